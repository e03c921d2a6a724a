"""A watched kind is one declaration and one handler: a kind that decco does not have gets everything from the two."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from decco.desired.model import Child
from decco.kube.apply import Applier
from decco.kube.store import Change
from decco.kube.workqueue import WorkQueue
from decco.objects import LABEL_MANAGED_BY, Key, Obj, Resource
from decco.reconcilers.caches import Caches, Kind, Request, Role
from decco.reconcilers.children import ChildWriter
from decco.reconcilers.discover import discover, missing
from decco.reconcilers.event_handlers import EventHandlers
from decco.reconcilers.kinds import ALL_SERVED, KINDS, child
from decco.settings import Settings
from decco.views.dry_run_client import DryRunClient
from decco.views.preflight.controller import Permission, needed
from decco.views.preflight.model import ClusterContext
from decco.views.running import Running
from decco.views.snapshot import Snapshot
from tests.unit.reconcilers.world import app, owned, space

WIDGETS = Resource("widgets.example", "v1", "widgets", "Widget")


def widget_changed(_caches: Caches, change: Change) -> Iterator[Request]:
    yield Request(Key("", change.entry.key.namespace))


WIDGET = child(WIDGETS, widget_changed, needed=lambda _routing: True, versions=("v1",))
WITH_WIDGETS = (*KINDS, WIDGET)


class Cluster:
    """Serves widgets in two versions, and no other kind."""

    async def raw(self, path: str) -> Obj:
        _, _, group, *version = path.split("/")
        if group != WIDGETS.group:
            return {"versions": []}
        if not version:
            return {"versions": [{"version": "v2"}, {"version": "v1"}]}
        return {"resources": [{"name": WIDGETS.plural, "kind": WIDGETS.kind, "namespaced": True}]}


@pytest.fixture
async def caches() -> Caches:
    client: Any = Cluster()
    served = await discover(client, Settings().routing, kinds=WITH_WIDGETS)
    assert [each.version for each in served.values()] == ["v1"], "v2 is not accepted"
    return Caches(Settings(), WITH_WIDGETS, served)


async def test_it_is_discovered_watched_and_missed(caches: Caches) -> None:
    watched = next(each for each in caches.watches(caches.served) if each.kind is WIDGET)
    assert watched.kind.name == "widgets.widgets.example"
    assert (watched.spec.resource, watched.spec.labels) == (WIDGETS, f"{LABEL_MANAGED_BY}=decco")
    assert "Widget" in missing({}, Settings().routing, WITH_WIDGETS)
    assert WIDGETS in caches.routing_kinds


async def test_its_events_reach_its_handler_and_its_owner(caches: Caches) -> None:
    queues: list[WorkQueue[Key]] = [WorkQueue(name, group=str) for name in ("space", "app")]
    EventHandlers(caches, *queues).connect()
    web = app("web", "acme")
    caches.apps.put(web, own=False)
    assert [await queue.get() for queue in queues[1:]] == [Key("acme", "web")]
    queues[1].done(Key("acme", "web"))
    caches.children[WIDGETS].put(owned(WIDGETS, "web", web, spec={}), own=False)
    assert [await queue.get() for queue in queues] == [Key("", "acme"), Key("acme", "web")]


async def test_it_is_written_in_a_simulation(caches: Caches) -> None:
    dry_run = DryRunClient(Snapshot(caches, offline=True))
    made = owned(WIDGETS, "web", space("acme"), spec={"secretName": "web"})
    for field in ("uid", "resourceVersion", "creationTimestamp", "generation"):
        del made["metadata"][field]
    written = await ChildWriter(Applier(dry_run, caches.children), lambda: 0.0).write([Child(WIDGETS, made)])
    assert (written.writes, written.outcomes) == (1, {("Widget", "web"): None})
    assert [write.verb for write in dry_run.writes.values()] == ["create"]


def test_doctor_demands_its_permissions() -> None:
    client: Any = None
    served = {**ALL_SERVED, WIDGETS: WIDGETS}
    context = ClusterContext(client, Settings(), Running(), served, datetime.now(UTC), "decco-controller")
    for verb in ("get", "list", "watch", "create", "update", "delete"):
        permission = Permission(WIDGETS.group, WIDGETS.plural, verb)
        assert permission in needed(context, WITH_WIDGETS)
        assert permission not in needed(context)


def test_each_cache_has_one_declaration() -> None:
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == len(names)
    for kind in KINDS:
        assert kind.handlers
        assert (kind.role is Role.CHILD) == kind.shape.digests, "digests are of what decco writes"
        assert not kind.versions or kind.versions[0] == kind.resource.version
        same = [each for each in KINDS if each.resource == kind.resource]
        assert len({each.versions for each in same}) == 1, "one kind, the same versions"


def test_a_kind_that_only_some_settings_need_is_of_routing() -> None:
    optional: list[Kind] = [kind for kind in KINDS if kind.versions]
    assert all(kind.needed is not None for kind in optional)
