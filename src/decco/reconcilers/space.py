"""One Space: its namespace, isolation, Secrets and listeners, and what its owner is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from decco.desired import secrets as secret_rules
from decco.desired.model import SecretView, SpaceFacts, SpaceInputs
from decco.desired.space import space_children
from decco.desired.space_status import SpaceLive, invalid_space_status, space_status
from decco.kube.controller import Action
from decco.kube.store import Entry
from decco.objects import NAMESPACES, SECRETS, SERVICES, Key, Obj, Resource, key_of
from decco.reconcilers.caches import Caches
from decco.reconcilers.children import ChildWriter
from decco.reconcilers.facts import is_paused
from decco.reconcilers.report import Reporter
from decco.reconcilers.secrets import Secrets

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SpaceReconciler:
    """``now`` tells the time in UTC; it matters for the expiry of certificates only."""

    caches: Caches
    writer: ChildWriter
    secrets: Secrets
    reporter: Reporter
    now: Callable[[], datetime]

    async def reconcile(self, key: Key) -> Action:
        entry = self.caches.spaces.get(key)
        if entry is None or entry.deleting:
            # Owner references make Kubernetes remove the namespace and all that is in it.
            return Action.done()
        obj = entry.obj()
        if is_paused(obj):
            return Action.done()
        if not isinstance(entry.facts, SpaceFacts):
            status = invalid_space_status(str(entry.facts), entry.generation, obj.get("status") or {}, self.now())
            await self.reporter.report(self.caches.spaces, entry, obj, status)
            return Action.done()
        return await self._make(entry, entry.facts, obj)

    async def _make(self, entry: Entry, space: SpaceFacts, obj: Obj) -> Action:
        now = self.now()
        copying = await self.secrets.copying(space)
        views = await self.secrets.views(space, secret_rules.named_by_space(space.spec))
        inputs = SpaceInputs(
            space=space,
            settings=self.caches.settings,
            served=self.caches.served,
            claims=self.caches.claims.verdict(space.name),
            copies=copying.write,
            secrets=views,
            now=now,
            app_hostnames=self._app_hostnames(space),
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
            if not written.disturbances:
                keep: set[tuple[Resource, Key]] = {(child.resource, key_of(child.obj)) for child in children}
                keep |= {(SECRETS, Key(space.name, name)) for name in copying.keep}
                written.writes += await self.writer.prune(space.uid, keep)
        # A copy that was written just now is there now, and the status is about what is there.
        views = await self.secrets.views(space, secret_rules.named_by_space(space.spec))
        inputs = replace(inputs, secrets=views)
        status = space_status(inputs, written.outcomes, self._live(space), obj.get("status") or {}, now)
        reported = await self.reporter.report(self.caches.spaces, entry, obj, status)
        log.debug("space reconciled", space=space.name, writes=written.writes, status_written=reported)
        if written.disturbances:
            raise written.disturbances[0]
        return _next_look(written.recheck, views, now)

    def _namespace_uid(self, space: SpaceFacts) -> str | None:
        """UID of the namespace if it is the Space's own and is going to stay."""
        entry = self.caches.children[NAMESPACES].get(Key("", space.name))
        return entry.uid if entry is not None and entry.owner_uid == space.uid and not entry.deleting else None

    def _app_hostnames(self, space: SpaceFacts) -> frozenset[str]:
        if not space.spec.hostnames:
            return frozenset()
        used = {
            endpoint.hostname
            for _, facts in self.caches.app_facts_in(space.name)
            for endpoint in facts.endpoints
            if endpoint.tls and endpoint.hostname
        }
        return frozenset(used)

    def _live(self, space: SpaceFacts) -> SpaceLive:
        served, children = self.caches.served, self.caches.children

        def live(resource: Resource | None, key: Key) -> Obj | None:
            store = children.get(resource) if resource is not None else None
            entry = store.get(key) if store is not None else None
            return entry.obj() if entry is not None and entry.owner_uid == space.uid else None

        own = Key(space.name, "decco")
        gateway_first = sorted(self.caches.edges.items(), key=lambda item: item[0] == SERVICES)
        edge = next((e.obj() for _, store in gateway_first for e in store), None)
        return SpaceLive(
            namespace=live(NAMESPACES, Key("", space.name)),
            listeners=live(served.listener_set, own) or live(served.gateway, own),
            edge=edge,
        )


def _next_look(recheck: float | None, views: dict[str, SecretView], now: datetime) -> Action:
    """The earliest of: a refusal that may have ended, and the next certificate's expiry."""
    expiries = [
        view.facts.not_after - now
        for view in views.values()
        if view.facts is not None and view.facts.not_after is not None and view.facts.not_after > now
    ]
    # Timers of weeks are no use: a restart comes first, and an event loop's clock is not made for them.
    seconds = [(min(expiries) + timedelta(seconds=1)).total_seconds()] if expiries and min(expiries).days < 1 else []
    if recheck is not None:
        seconds.append(recheck)
    return Action.after(min(seconds)) if seconds else Action.done()
