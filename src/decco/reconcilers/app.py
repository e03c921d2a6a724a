"""One App: its sidecar's configuration, workload, Services, routes and policy, and what its owner is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from decco.api.parse import parse_app
from decco.desired import reasons
from decco.desired import secrets as secret_rules
from decco.desired.app import app_children
from decco.desired.app_status import AppLive, app_status, blocked_app_status
from decco.desired.live_workload import grace_left
from decco.desired.model import AppInputs, Child, EgressTarget, Problem, SecretState, SpaceFacts
from decco.kube.controller import Action
from decco.kube.store import UNKNOWN, Entry
from decco.objects import DEPLOYMENTS, INGRESSES, JOBS, Key, Obj, Resource, key_of
from decco.reconcilers.caches import Caches
from decco.reconcilers.children import ChildWriter
from decco.reconcilers.facts import AppFacts
from decco.reconcilers.local_secrets import FOUND_SECONDS, MISSING_SECONDS
from decco.reconcilers.report import Reporter
from decco.reconcilers.secrets import Secrets

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class AppReconciler:
    """``now`` tells the time in UTC; it matters for the expiry of certificates only."""

    caches: Caches
    writer: ChildWriter
    secrets: Secrets
    reporter: Reporter
    now: Callable[[], datetime]

    async def reconcile(self, key: Key) -> Action:
        entry = self.caches.apps.get(key)
        if entry is None or entry.deleting:
            # Owner references make Kubernetes remove the children.
            return Action.done()
        if not isinstance(entry.facts, AppFacts):
            return await self._blocked(entry, Problem(reasons.INVALID, str(entry.facts)))
        if entry.facts.paused:
            return Action.done()
        owner = self.caches.spaces.get(Key("", key.namespace))
        if owner is not None and owner.deleting:
            return Action.done()  # the namespace, and this App with it, is about to go
        found = self.caches.space(key.namespace)
        if found is None:
            sentence = (
                f"There is no Space {key.namespace}: an App lives in the namespace of a Space. "
                "Create the Space, or move the App."
            )
            return await self._blocked(entry, Problem(reasons.SPACE_NOT_FOUND, sentence))
        space_entry, space = found
        if not self.caches.namespace_is_ready(space):
            if space_entry.ready == UNKNOWN:
                return (
                    Action.done()
                )  # the Space's first turn is still to come; it wakes its Apps, and nobody waits long
            sentence = f"The namespace of Space {space.name} is not ready; see the Space's conditions."
            return await self._blocked(entry, Problem(reasons.NAMESPACE_NOT_READY, sentence))
        return await self._make(entry, entry.facts, space)

    async def _blocked(self, entry: Entry, problem: Problem) -> Action:
        """Nothing can be made now; what runs is left alone, and the owner is told why."""
        obj = entry.obj()
        status = blocked_app_status(problem, entry.generation, obj.get("status") or {}, self.now())
        await self.reporter.report(self.caches.apps, entry, obj, status)
        return Action.done()

    async def _make(self, entry: Entry, facts: AppFacts, space: SpaceFacts) -> Action:
        obj = entry.obj()
        inputs = await self._gather(entry, facts, space, obj)
        desired = app_children(inputs)
        written = await self.writer.write(desired.children)
        if not written.disturbances:
            keep: set[tuple[Resource, Key]] = {(child.resource, key_of(child.obj)) for child in desired.children}
            written.writes += await self.writer.prune(entry.uid, keep | desired.keep)
        live = self._live(entry.uid, desired.children)
        status = app_status(inputs, desired, written.outcomes, live, obj.get("status") or {}, inputs.now)
        reported = await self.reporter.report(self.caches.apps, entry, obj, status)
        log.debug("app reconciled", writes=written.writes, status_written=reported)
        if written.disturbances:
            raise written.disturbances[0]
        return _next_look(written.recheck, inputs, live)

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

        served = self.caches.served
        routes = {served.http_route, served.tls_route, served.ingress_route_tcp, INGRESSES} - {None}
        workload = next((child for child in children if child.resource in (DEPLOYMENTS, JOBS)), None)
        return AppLive(
            workload=live(workload.resource, key_of(workload.obj)) if workload is not None else None,
            routes={
                (child.resource.kind, child.obj["metadata"]["name"]): obj
                for child in children
                if child.resource in routes and (obj := live(child.resource, key_of(child.obj))) is not None
            },
        )


def _next_look(recheck: float | None, inputs: AppInputs, live: AppLive) -> Action:
    seconds = [] if recheck is None else [recheck]
    if grace := grace_left(live.workload, inputs.now):
        seconds.append(grace + 0.1)
    for view in inputs.secrets.values():
        if view.state in (SecretState.MISSING, SecretState.NOT_SHARED):
            seconds.append(MISSING_SECONDS)
        elif view.state is SecretState.LOCAL:
            seconds.append(FOUND_SECONDS)
        if view.facts is not None and view.facts.not_after is not None:
            left = (view.facts.not_after - inputs.now).total_seconds()
            if 0 < left < 86_400:
                seconds.append(left + 1)
    return Action.after(min(seconds)) if seconds else Action.done()
