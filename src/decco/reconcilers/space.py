"""One Space: its namespace, isolation, Secrets, listeners and status."""

from __future__ import annotations

from dataclasses import replace

from decco.desired import reasons
from decco.desired import secrets as secret_rules
from decco.desired.model import Problem, SpaceFacts, SpaceInputs
from decco.desired.space import reserved_name, space_children, space_names
from decco.desired.space_status import blocked_space_status, space_status
from decco.desired.status import OWN_PAUSE
from decco.kube.controller import Action
from decco.kube.entry import Entry
from decco.log import get_logger
from decco.objects import NAMESPACES, SECRETS, Key, Obj, Resource, key_of
from decco.reconcilers.edge import addresses_for, space_live
from decco.reconcilers.facts import is_paused
from decco.reconcilers.reconciler import Dependencies, Reconciler, requeue_action, seconds_to_expiry
from decco.reconcilers.report import status_of

log = get_logger(__name__)


class SpaceReconciler(Reconciler):
    def __init__(self, dependencies: Dependencies) -> None:
        super().__init__(dependencies, dependencies.caches.spaces, blocked_space_status)

    async def reconcile(self, key: Key) -> Action:
        entry = self.store.get(key)
        if entry is None or entry.deleting:
            # Owner references make Kubernetes remove the namespace and all that is in it.
            self.dependencies.certificates(key.name, {})
            return self._gone(key) if entry is None else await self._release(entry)
        obj = entry.obj()
        facts = entry.facts
        if is_paused(obj):
            if isinstance(facts, SpaceFacts):
                self.dependencies.certificates(key.name, self.secrets.expiries(facts))
            return await self.pause(entry, obj, OWN_PAUSE)  # its Apps read the pause from the Space's facts
        if not isinstance(facts, SpaceFacts):
            return await self.block(entry, obj, Problem(reasons.INVALID, str(facts)))
        reserved = reserved_name(key.name, self.caches.settings)
        if reserved is not None and self.caches.namespace_uid(facts) is None:
            return await self.block(entry, obj, reserved)
        return await self._make(entry, facts, obj)

    def _gone(self, key: Key) -> Action:
        """A namespace that has lost its owner reference outlives its Space. decco does not delete it without proof."""
        entry = self.caches.children[NAMESPACES].get(key)
        if entry is not None and entry.labelled_owner is not None and not entry.deleting:
            self.dependencies.reporter.left_over(NAMESPACES, entry.obj(), [(NAMESPACES, entry)])
        return Action.done()

    async def _release(self, entry: Entry) -> Action:
        """Withdraws the records before anything is deleted: first those of the Apps, in the Apps' own reconciles."""
        names = (entry.facts.fqdn,) if isinstance(entry.facts, SpaceFacts) else ()
        apps = self.caches.apps.in_namespace(entry.key.name)
        return await self.withdraw(entry, entry.obj(), names, wait_for=apps)

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
            namespace_uid=self.caches.namespace_uid(space),
        )
        children = space_children(inputs)
        written = await self.writer.write(children[:1])
        namespace_uid = self.caches.namespace_uid(space)
        if namespace_uid is not None:
            if inputs.namespace_uid != namespace_uid:
                inputs = replace(inputs, namespace_uid=namespace_uid)
                children = space_children(inputs)
            await self.writer.write(children[1:], written)
        written.raise_if_overtaken()
        if namespace_uid is not None:
            keep: set[tuple[Resource, Key]] = {(child.resource, key_of(child.obj)) for child in children}
            keep |= {(SECRETS, Key(space.name, name)) for name in copying.keep}
            await self.prune(entry, obj, keep, written)
        # A copy that was written just now exists now, and the status contains what exists.
        views = await self.secrets.views(space, secret_rules.named_by_space(space.spec))
        inputs = replace(inputs, secrets=views)
        addresses = addresses_for(self.caches, space)
        records = await self.records.publish(self.store, entry, obj, space_names(inputs), addresses)
        live = replace(space_live(self.caches, space), dns=records.problems)
        found = self.answers.of_space(entry, inputs, live.listeners, addresses)
        live = replace(live, answers=found.answers)
        status = space_status(inputs, written.outcomes, live, status_of(records.obj), now)
        reported = await self.report(records.entry, records.obj, status)
        self.dependencies.certificates(space.name, self.secrets.expiries(space))
        log.debug("space reconciled", space=space.name, writes=written.writes, status_written=reported)
        if written.retryable_errors:
            raise written.retryable_errors[0]
        return requeue_action(
            written.requeue_after,
            records.requeue_after,
            *copying.requeue_afters,
            seconds_to_expiry(views.values(), now),
        )
