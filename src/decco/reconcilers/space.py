"""One Space: its namespace, isolation, Secrets, listeners and status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from decco.api.conditions import SPACE_CONDITIONS
from decco.desired import reasons
from decco.desired import secrets as secret_rules
from decco.desired.model import Problem, SpaceFacts, SpaceInputs
from decco.desired.ownership import LabelledOwner
from decco.desired.pausing import OWN_PAUSE, paused_status
from decco.desired.records import space_names, withdrawal_status
from decco.desired.reserved import reserved_name
from decco.desired.space import space_children
from decco.desired.space_status import Checked, blocked_space_status, space_status
from decco.kube.controller import Action
from decco.kube.entry import Entry
from decco.log import get_logger
from decco.objects import NAMESPACES, SECRETS, Key, Obj, Resource, key_of
from decco.reconcilers.caches import Caches
from decco.reconcilers.children import ChildWriter
from decco.reconcilers.edge import addresses_for, space_live
from decco.reconcilers.facts import is_paused
from decco.reconcilers.records import Records
from decco.reconcilers.report import Reporter, status_of
from decco.reconcilers.requeue import requeue_action, seconds_to_expiry
from decco.reconcilers.secrets import Secrets

log = get_logger(__name__)


@dataclass(slots=True)
class SpaceReconciler:
    """``now`` returns the time in UTC, for the expiry of certificates only. ``certificates`` receives the certificates
    of each Space, see ``Metrics.certificates``.
    """

    caches: Caches
    writer: ChildWriter
    secrets: Secrets
    reporter: Reporter
    records: Records
    now: Callable[[], datetime]
    certificates: Callable[[str, Mapping[str, float]], None]

    async def reconcile(self, key: Key) -> Action:
        entry = self.caches.spaces.get(key)
        if entry is None or entry.deleting:
            # Owner references make Kubernetes remove the namespace and all that is in it.
            self.certificates(key.name, {})
            if entry is not None:
                await self._release(entry)
            else:
                self._gone(key)
            return Action.done()
        obj = entry.obj()
        if is_paused(obj):
            return await self._pause(entry, obj)
        if not isinstance(entry.facts, SpaceFacts):
            return await self._blocked(entry, obj, Problem(reasons.INVALID, str(entry.facts)))
        reserved = reserved_name(key.name, self.caches.settings)
        if reserved is not None and self._namespace_uid(entry.facts) is None:
            return await self._blocked(entry, obj, reserved)
        return await self._make(entry, entry.facts, obj)

    def _gone(self, key: Key) -> None:
        """A namespace that has lost its owner reference outlives its Space. decco does not delete it without proof."""
        entry = self.caches.children[NAMESPACES].get(key)
        if entry is not None and entry.labelled_owner is not None and not entry.deleting:
            self.reporter.left_over(NAMESPACES, entry.obj(), [(NAMESPACES, entry)])

    async def _blocked(self, entry: Entry, obj: Obj, problem: Problem) -> Action:
        """Writes only the status, with the reason."""
        status = blocked_space_status(problem, entry.generation, status_of(obj), self.now())
        await self.reporter.report(self.caches.spaces, entry, obj, status)
        return Action.done()

    async def _pause(self, entry: Entry, obj: Obj) -> Action:
        """Writes only the status; its Apps read the pause from the Space's facts."""
        self.records.pause(entry)
        if isinstance(entry.facts, SpaceFacts):
            self.certificates(entry.key.name, self.secrets.expiries(entry.facts))
        status = paused_status(OWN_PAUSE, entry.generation, status_of(obj), self.now())
        await self.reporter.report(self.caches.spaces, entry, obj, status)
        return Action.done()

    async def _release(self, entry: Entry) -> None:
        """Withdraws the records before anything is deleted: first those of the Apps, in the Apps' own reconciles."""
        names = (entry.facts.fqdn,) if isinstance(entry.facts, SpaceFacts) else ()
        apps = self.caches.apps.in_namespace(entry.key.name)
        problems = await self.records.release(self.caches.spaces, entry, names, wait_for=apps)
        if problems:
            obj = entry.obj()
            status = withdrawal_status(problems, SPACE_CONDITIONS, entry.generation, status_of(obj), self.now())
            await self.reporter.report(self.caches.spaces, entry, obj, status)

    async def _make(self, entry: Entry, space: SpaceFacts, obj: Obj) -> Action:
        now = self.now()
        copying = await self.secrets.copying(space, now)
        views = await self.secrets.views(space, secret_rules.named_by_space(space.spec))
        inputs = SpaceInputs(
            space=space,
            settings=self.caches.settings,
            served=self.caches.served,
            claims=self.caches.claims.verdict(space.name),
            copies=copying.write,
            secrets=views,
            now=now,
            in_force=copying.in_force,
            namespace_uid=self._namespace_uid(space),
        )
        children = space_children(inputs)
        written = await self.writer.write(children[:1])
        namespace_uid = self._namespace_uid(space)
        if namespace_uid is not None:
            if inputs.namespace_uid != namespace_uid:
                inputs = replace(inputs, namespace_uid=namespace_uid)
                children = space_children(inputs)
            await self.writer.write(children[1:], written)
        written.raise_if_overtaken()
        if namespace_uid is not None:
            keep: set[tuple[Resource, Key]] = {(child.resource, key_of(child.obj)) for child in children}
            keep |= {(SECRETS, Key(space.name, name)) for name in copying.keep}
            labelled = LabelledOwner(space.name)
            keep |= self.caches.unreplaced(space.uid, labelled, written.unwritten)
            await self.writer.prune(space.uid, labelled, keep, written)
            self.reporter.left_over(self.caches.spaces.resource, obj, written.left)
        # A copy that was written just now exists now, and the status contains what exists.
        views = await self.secrets.views(space, secret_rules.named_by_space(space.spec))
        inputs = replace(inputs, secrets=views)
        live = space_live(self.caches, space)
        addresses = addresses_for(self.caches, space)
        records = await self.records.publish(self.caches.spaces, entry, obj, space_names(inputs), addresses)
        if records.problems is not None:
            live = replace(live, dns=Checked(reasons.combine(records.problems)))
        status = space_status(inputs, written.outcomes, live, status_of(records.obj), now)
        reported = await self.reporter.report(self.caches.spaces, records.entry, records.obj, status)
        self.certificates(space.name, self.secrets.expiries(space))
        log.debug("space reconciled", space=space.name, writes=written.writes, status_written=reported)
        if written.retryable_errors:
            raise written.retryable_errors[0]
        return requeue_action(
            written.requeue_after,
            records.requeue_after,
            *copying.requeue_afters,
            seconds_to_expiry(views.values(), now),
        )

    def _namespace_uid(self, space: SpaceFacts) -> str | None:
        """UID of the namespace if it is the Space's own and is not being deleted."""
        entry = self.caches.children[NAMESPACES].get(Key("", space.name))
        return entry.uid if entry is not None and entry.owner_uid == space.uid and not entry.deleting else None
