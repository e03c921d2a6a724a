"""One App: its sidecar's configuration, workload, Services, routes and policy, and what its owner is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog

from decco.api.conditions import APP_CONDITIONS
from decco.api.parse import parse_app
from decco.desired import reasons
from decco.desired import secrets as secret_rules
from decco.desired.app import AppDesired, app_children
from decco.desired.app_status import AppLive, app_status, blocked_app_status
from decco.desired.live_workload import grace_left
from decco.desired.model import AppInputs, Child, EgressTarget, Problem, SecretState, SpaceFacts
from decco.desired.ownership import LabelledOwner
from decco.desired.pausing import OWN_PAUSE, pause_of_space, paused_status
from decco.desired.records import app_names, withdrawal_status
from decco.errors import TerminalError
from decco.kube.controller import Action
from decco.kube.store import UNKNOWN, Entry
from decco.objects import (
    ANNOTATION_ABANDON_DNS,
    CONFIGMAPS,
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    SPACES,
    Key,
    Obj,
    Resource,
    annotations_of,
    key_of,
)
from decco.reconcilers.caches import Caches
from decco.reconcilers.children import ChildWriter, Written
from decco.reconcilers.edge import addresses_for
from decco.reconcilers.facts import AppFacts, is_paused
from decco.reconcilers.looks import next_look, seconds_to_expiry
from decco.reconcilers.records import Records
from decco.reconcilers.report import Reporter, status_of
from decco.reconcilers.secrets import Secrets
from decco.reconcilers.shapes import routing_kinds

log = structlog.get_logger(__name__)

_PODS = (DEPLOYMENTS, JOBS, CONFIGMAPS)
"""What runs, and what it reads."""
_NOT_TRIED = Problem(reasons.NOT_WRITTEN, "")


@dataclass(slots=True)
class AppReconciler:
    """``now`` tells the time in UTC; it matters for times that others wrote down, such as a certificate's last.
    ``certificates`` is told those that a Space uses, see ``Metrics.certificates``.
    """

    caches: Caches
    writer: ChildWriter
    secrets: Secrets
    reporter: Reporter
    records: Records
    now: Callable[[], datetime]
    certificates: Callable[[str, Mapping[str, float]], None]

    async def reconcile(self, key: Key) -> Action:
        entry = self.caches.apps.get(key)
        if entry is None:
            self._gone(key)
            return Action.done()
        if entry.deleting:
            # Owner references make Kubernetes remove the children.
            return await self._let_go(entry)
        owner = self.caches.spaces.get(Key("", key.namespace))
        if owner is not None and owner.deleting:
            return await self._let_go(entry)  # the namespace, and this App with it, is about to go
        found = self.caches.space(key.namespace)
        if (pause := _pause_of(entry, found[1] if found is not None else None)) is not None:
            return await self._pause(entry, pause)
        if not isinstance(entry.facts, AppFacts):
            return await self._blocked(entry, Problem(reasons.INVALID, str(entry.facts)))
        if found is None and owner is not None:
            sentence = f"Space {owner.key.name} cannot be understood; see the Space's conditions."
            return await self._blocked(entry, Problem(reasons.NAMESPACE_NOT_READY, sentence))
        if found is None:
            sentence = (
                f"There is no Space {key.namespace}: an App lives in the namespace of a Space. "
                "Create the Space, or move the App."
            )
            return await self._blocked(entry, Problem(reasons.SPACE_NOT_FOUND, sentence))
        space_entry, space = found
        if not self.caches.namespace_is_ready(space):
            if space_entry.ready == UNKNOWN:
                # The Space's first turn is still to come; it wakes its Apps, and nobody waits long.
                return Action.done()
            sentence = f"The namespace of Space {space.name} is not ready; see the Space's conditions."
            return await self._blocked(entry, Problem(reasons.NAMESPACE_NOT_READY, sentence))
        return await self._make(entry, entry.facts, space)

    def _gone(self, key: Key) -> None:
        """What a deleted App has left without an owner may have been left on purpose, by ``--cascade=orphan``."""
        owner = self.caches.spaces.get(Key("", key.namespace))
        namespace = self.caches.children[NAMESPACES].get(Key("", key.namespace))
        if owner is not None and not owner.deleting and namespace is not None and not namespace.deleting:
            left = self.caches.labelled_for(LabelledOwner(*key))
            self.reporter.left_over(SPACES, owner.obj(), left)

    async def _blocked(self, entry: Entry, problem: Problem) -> Action:
        """Nothing can be made now; what runs is left alone, and the owner is told why."""
        obj = entry.obj()
        status = blocked_app_status(problem, entry.generation, status_of(obj), self.now())
        await self.reporter.report(self.caches.apps, entry, obj, status)
        return Action.done()

    async def _pause(self, entry: Entry, pause: Problem) -> Action:
        """Nothing is written but that it is so."""
        self.records.pause(entry)
        obj = entry.obj()
        status = paused_status(pause, entry.generation, status_of(obj), self.now())
        await self.reporter.report(self.caches.apps, entry, obj, status)
        return Action.done()

    async def _let_go(self, entry: Entry) -> Action:
        """Withdraws the records; an App without any just goes."""
        obj = entry.obj()
        space = self.caches.spaces.get(Key("", entry.key.namespace))
        fqdn = space.facts.fqdn if space is not None and isinstance(space.facts, SpaceFacts) else None
        names = {str(each["hostname"]) for each in status_of(obj).get("endpoints") or () if each.get("hostname")}
        if isinstance(entry.facts, AppFacts):
            asking = [endpoint for endpoint in entry.facts.endpoints if endpoint.dns]
            names |= {endpoint.hostname for endpoint in asking if endpoint.hostname is not None}
            names |= {f"{endpoint.name}.{fqdn}" for endpoint in asking if endpoint.hostname is None and fqdn}
        # Whoever abandons the records of a whole Space is not made to say so of each App.
        abandon = (
            space is not None and space.deleting and annotations_of(space.obj()).get(ANNOTATION_ABANDON_DNS) == "true"
        )
        problems = await self.records.release(self.caches.apps, entry, names, abandon=abandon)
        if problems:
            status = withdrawal_status(problems, APP_CONDITIONS, entry.generation, status_of(obj), self.now())
            await self.reporter.report(self.caches.apps, entry, obj, status)
        return Action.done()

    async def _make(self, entry: Entry, facts: AppFacts, space: SpaceFacts) -> Action:
        obj = entry.obj()
        inputs = await self._gather(entry, facts, space, obj)
        try:
            desired = app_children(inputs)
        except TerminalError as error:
            return await self._blocked(entry, Problem(reasons.INVALID, str(error)))
        labelled = LabelledOwner(*entry.key)
        waits_for = None if self.caches.is_isolated(space) else _not_isolated(space)
        written = await self.writer.write(desired.children, Written(waits_for=waits_for))
        written.raise_if_overtaken()
        await self.writer.prune(entry.uid, labelled, self._keep(entry, desired, written), written)
        self.reporter.left_over(self.caches.apps.resource, obj, written.left)
        live = self._live(entry.uid, desired.children)
        names = app_names(desired.resolved)
        addresses = addresses_for(self.caches, space) if names and self.records.enabled else ()
        records = await self.records.publish(self.caches.apps, entry, obj, names, addresses)
        previous = status_of(records.obj)
        status = app_status(inputs, desired, written.outcomes, live, previous, inputs.now, records.problems)
        reported = await self.reporter.report(self.caches.apps, records.entry, records.obj, status)
        log.debug("app reconciled", writes=written.writes, status_written=reported)
        if any(view.state is SecretState.LOCAL for view in inputs.secrets.values()):
            # Only now known to the Space's own turn.
            self.certificates(space.name, self.secrets.expiries(space))
        if written.disturbances:
            raise written.disturbances[0]
        return next_look(
            written.recheck,
            records.recheck,
            grace_left(live.workload, inputs.now) or None,
            self.secrets.seconds_to_next_look(space, inputs.secrets.values()),
            seconds_to_expiry(inputs.secrets.values(), inputs.now),
        )

    def _keep(self, entry: Entry, desired: AppDesired, written: Written) -> set[tuple[Resource, Key]]:
        """What is not to be pruned: what is wanted, and what goes on running while its successor is not there."""
        labelled = LabelledOwner(*entry.key)
        keep = {(child.resource, key_of(child.obj)) for child in desired.children} | desired.keep
        for child in desired.children:
            if child.resource in _PODS and written.outcomes.get(
                (child.resource.kind, key_of(child.obj).name), _NOT_TRIED
            ):
                keep |= self.caches.owned(entry.uid, labelled, _PODS)
        return keep | self.caches.unreplaced(entry.uid, labelled, written.disturbed)

    async def _gather(self, entry: Entry, facts: AppFacts, space: SpaceFacts, obj: Obj) -> AppInputs:
        spec = parse_app(obj)
        names = facts.secrets | secret_rules.named_by_space(space.spec)
        return AppInputs(
            namespace=entry.key.namespace,
            name=entry.key.name,
            uid=entry.uid,
            generation=entry.generation,
            spec=spec,
            space=space,
            settings=self.caches.settings,
            served=self.caches.served,
            claims=self.caches.claims.verdict(space.name),
            secrets=await self.secrets.views(space, names),
            targets=self._targets(entry.key, facts),
            taken=self.caches.index.taken(entry.key, facts, space.fqdn),
            now=self.now(),
        )

    def _targets(self, key: Key, facts: AppFacts) -> dict[tuple[str, str], EgressTarget]:
        found: dict[tuple[str, str], EgressTarget] = {}
        for space_name, name in facts.targets:
            target_space = self.caches.space(space_name or key.namespace)
            endpoint = self.caches.index.endpoint(space_name or key.namespace, name)
            if target_space is None or endpoint is None or not endpoint.tls:
                continue
            _, space = target_space
            found[space.name, name] = EgressTarget(
                host=f"{name}.{space.name}.svc",
                port=endpoint.service_port,
                hostname=endpoint.hostname or f"{name}.{space.fqdn}",
            )
        return found

    def _live(self, uid: str, children: list[Child]) -> AppLive:
        def live(resource: Resource, key: Key) -> Obj | None:
            store = self.caches.children.get(resource)
            found = store.get(key) if store is not None else None
            return found.obj() if found is not None and found.owner_uid == uid else None

        routes = routing_kinds(self.caches.served)
        workload = next((child for child in children if child.resource in (DEPLOYMENTS, JOBS)), None)
        return AppLive(
            workload=live(workload.resource, key_of(workload.obj)) if workload is not None else None,
            routes={
                (child.resource.kind, child.obj["metadata"]["name"]): obj
                for child in children
                if child.resource in routes and (obj := live(child.resource, key_of(child.obj))) is not None
            },
        )


def _not_isolated(space: SpaceFacts) -> Problem:
    sentence = (
        f"waits until the NetworkPolicy that isolates namespace {space.name} is in place; see the conditions of Space "
        f"{space.name}"
    )
    return Problem(reasons.NAMESPACE_NOT_READY, sentence)


def _pause_of(entry: Entry, space: SpaceFacts | None) -> Problem | None:
    """Why the App is to be left alone: by its own annotation, or by its Space's; None if it is not."""
    facts = entry.facts
    if facts.paused if isinstance(facts, AppFacts) else is_paused(entry.obj()):
        return OWN_PAUSE
    return pause_of_space(space.name) if space is not None and space.paused else None
