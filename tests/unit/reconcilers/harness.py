"""The reconcilers of Spaces and Apps on caches with given objects: what they write, report and publish is recorded.

Writes go to decco's own dry-run client, which stores nothing and answers as if each was made.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from decco.desired.model import Problem
from decco.dns.records import Role
from decco.expiries import Expiries
from decco.kube.apply import Applier
from decco.kube.controller import Action
from decco.kube.entry import Entry
from decco.kube.store import Store
from decco.objects import APPS, SPACES, Key, Obj, Resource
from decco.reconcilers.answers import NoAnswers
from decco.reconcilers.app import AppReconciler
from decco.reconcilers.children import ChildWriter
from decco.reconcilers.copies import Copies
from decco.reconcilers.event_handlers import EventHandlers
from decco.reconcilers.issuing import Causes
from decco.reconcilers.outgoing import FormerAddresses
from decco.reconcilers.reconciler import Dependencies
from decco.reconcilers.records import Published
from decco.reconcilers.requested_secrets import DeletedSources, LocalSecrets
from decco.reconcilers.secrets import Secrets
from decco.reconcilers.space import SpaceReconciler
from decco.views.dry_run_client import DryRunClient
from decco.views.snapshot import Snapshot
from tests.unit.reconcilers.world import CREATED, make_caches

NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


@dataclass
class Reported:
    """Stands for ``report.Reporter``."""

    status: Obj | None = None
    left: list[Key] = field(default_factory=list)
    """Objects without an owner that were reported."""

    async def report(self, _store: Store, _entry: Entry, _obj: Obj, status: Obj) -> bool:
        self.status = status
        return True

    def left_over(self, _resource: Resource, _owner: Obj, left: Iterable[tuple[Resource, Entry]]) -> None:
        self.left += [entry.key for _, entry in left]

    def condition(self, type_: str) -> tuple[str, str]:
        """Status and reason."""
        assert self.status is not None
        found = next(each for each in self.status["conditions"] if each["type"] == type_)
        return found["status"], found["reason"]


@dataclass
class Names:
    """Stands for ``records.Records``."""

    enabled: bool = True
    published: set[str] | None = None
    released: set[str] | None = None
    abandoned: bool = False
    waits_for: list[Key] = field(default_factory=list)
    lost: set[str] | None = None
    """Of a paused object."""
    role: Role = Role.ACTIVE
    asked: list[Key] = field(default_factory=list)
    lead: float | None = None
    """Seconds for which names may lead here."""

    async def publish(
        self,
        _store: Store,
        entry: Entry,
        obj: Obj,
        names: Sequence[str],
        _addresses: Sequence[str] | None,
        _found: object = None,
        _restored: object = None,
        role: Role = Role.ACTIVE,
        _joins: object = None,
        _move: object = None,
    ) -> Published:
        self.published, self.role = set(names), role
        return Published(entry, obj)

    def leads(self, *owners: Entry) -> float | None:
        self.asked = [owner.key for owner in owners]
        return self.lead

    def former(self, _entry: Entry, _names: Collection[str]) -> frozenset[str]:
        return frozenset()

    def pause(self, _entry: Entry, lost: Iterable[str] = ()) -> None:
        self.lost = set(lost)

    async def release(
        self,
        _store: Store,
        _entry: Entry,
        names: Iterable[str],
        *,
        abandon: bool = False,
        wait_for: Iterable[Entry] = (),
    ) -> tuple[Problem, ...]:
        self.released, self.abandoned = set(names), abandon
        self.waits_for = [entry.key for entry in wait_for]
        return ()


class _Client(DryRunClient):
    """Without a server a written object has no time."""

    async def create(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj:
        made = await super().create(resource, obj, strict=strict)
        return {**made, "metadata": {**made["metadata"], "creationTimestamp": CREATED.format(0)}}


class Harness:
    """``objects`` are in the caches as if they had been listed."""

    def __init__(self, *objects: Obj, causes: Causes | None = None, **settings: Any) -> None:
        self.caches = make_caches(**settings)
        EventHandlers(self.caches).connect()  # they also keep the indices
        self._stores: dict[str, Store] = {SPACES.kind: self.caches.spaces, APPS.kind: self.caches.apps}
        self._stores |= {resource.kind: store for resource, store in self.caches.children.items()}
        for obj in objects:
            self._stores[obj["kind"]].put(obj, own=False)
        self.client = _Client(Snapshot(self.caches, offline=True))
        self.reported, self.names = Reported(), Names()
        self.expiries: dict[str, Expiries] = {}
        local = LocalSecrets(self.client.find_secret, time.monotonic)
        deleted = DeletedSources(self.client.find_secret, time.monotonic)
        self.secrets = Secrets(self.caches, Copies(self.caches, None), local, deleted)
        dependencies = Dependencies(
            caches=self.caches,
            writer=ChildWriter(Applier(self.client, self.caches.children), time.monotonic),
            secrets=self.secrets,
            reporter=self.reported,
            records=self.names,
            now=lambda: NOW,
            expiries=self.expiries.__setitem__,
            answers=NoAnswers(),
            addressing=FormerAddresses(),
            causes=causes or Causes(None, time.monotonic),
        )
        self._space, self._app = SpaceReconciler(dependencies), AppReconciler(dependencies)

    async def space(self, name: str = "acme") -> Action:
        return await self._space.reconcile(Key("", name))

    async def app(self, name: str = "web", namespace: str = "acme") -> Action:
        return await self._app.reconcile(Key(namespace, name))

    @property
    def written(self) -> list[str]:
        """Verb and object of each write, in order."""
        return [f"{each.verb} {each.resource.kind} {each.key.name}" for each in self.client.writes.values()]
