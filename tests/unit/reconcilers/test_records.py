"""Records of owners that change meanwhile; the DNS layer and the conditions have the same reasons."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from decco.desired import reasons
from decco.desired.model import Problem
from decco.dns.errors import REASON_PENDING, REASONS
from decco.dns.records import DesiredRecord, Role
from decco.dns.service import Dns, DnsProblem, OwnerState
from decco.dns.settings import DnsSettings, FederationSettings
from decco.kube.errors import Conflict, NotFound
from decco.objects import ANNOTATION_ABANDON_DNS, APPS, FINALIZER_DNS, SPACES, Key
from decco.reconcilers.answers import NOT_PROBING, EdgeState
from decco.reconcilers.records import Published, Records, _problem
from decco.settings import Settings
from tests.unit.reconcilers.world import make_caches, stored

KNOWN = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_of_dns_is_one_of_conditions(reason: str) -> None:
    problem = _problem(DnsProblem("a.example", reason, "message"))
    assert problem.message == "message"
    assert problem.reason == (reasons.WAITING_FOR_DNS if reason == REASON_PENDING else reason)
    assert problem.reason in KNOWN


def test_an_unknown_reason_is_a_failure() -> None:
    assert _problem(DnsProblem("a.example", "DNSError", "see the log")).reason == reasons.DNS_FAILED


async def test_nothing_is_wanted_for_an_object_that_is_gone_since_its_reconcile_began() -> None:
    """Another Space has its name now, as after a restore of etcd: it would never get the record."""
    store = make_caches().spaces
    held = {"finalizers": [FINALIZER_DNS]}
    before = stored(SPACES, "acme", uid="before", meta=held, spec={"domainName": "example.net"})
    store.put(before, own=False)
    entry = store.get(Key("", "acme"))
    assert entry is not None
    dns = Dns([], "here", DnsSettings())
    nobody: Any = Mock()
    records = Records(dns, nobody, Settings(), lambda: 0.0, nobody)
    with records.following(store):
        store.put(stored(SPACES, "acme", uid="after", meta=held, spec={"domainName": "example.net"}), own=False)
        for attempt in (
            records.publish(store, entry, entry.obj(), ["acme.example.net"], ["192.0.2.1"]),
            records.release(store, entry, ["acme.example.net"]),
        ):
            with pytest.raises(Conflict):
                await attempt
    assert dns.state("before").ready
    assert dns.gone("before")


async def test_a_space_that_gives_up_its_records_stays_until_its_apps_have_done_so() -> None:
    """Its Apps read the annotation from the Space: if it were gone first, they would wait for their zones for ever."""
    caches = make_caches()
    held = {"finalizers": [FINALIZER_DNS]}
    meta = held | {"deletionTimestamp": "2026-11-01T00:00:00Z", "annotations": {ANNOTATION_ABANDON_DNS: "true"}}
    caches.spaces.put(stored(SPACES, "acme", uid="space", meta=meta, spec={"domainName": "example.net"}), own=False)
    caches.apps.put(stored(APPS, "web", namespace="acme", uid="app", meta=held), own=False)
    space, app = caches.spaces.get(Key("", "acme")), caches.apps.get(Key("acme", "web"))
    assert space is not None
    assert app is not None
    client: Any = Mock(patch=AsyncMock(return_value=space.obj()))
    records = Records(Dns([], "here", DnsSettings()), client, Settings(), lambda: 0.0, Mock())
    await records.release(caches.spaces, space, ["acme.example.net"], wait_for=[app])
    client.patch.assert_not_awaited()
    caches.apps.put(stored(APPS, "web", namespace="acme", uid="app"), own=False)
    app = caches.apps.get(Key("acme", "web"))
    assert app is not None
    await records.release(caches.spaces, space, ["acme.example.net"], wait_for=[app])
    client.patch.assert_awaited_once()


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_404_for_a_finalizer_is_a_refusal_if_the_object_is_there(is_there: bool) -> None:
    """As from a webhook: no event follows it, and the object would be in deletion for ever."""
    store = make_caches().spaces
    held = {"finalizers": [FINALIZER_DNS], "deletionTimestamp": "2026-01-01T00:00:00Z"}
    live = stored(SPACES, "acme", uid="1", meta=held, spec={"domainName": "example.net"})
    entry = store.put(live, own=False)
    missing = NotFound(404, "NotFound", "no")
    client: Any = Mock(patch=AsyncMock(side_effect=missing))
    client.get = AsyncMock(return_value=live) if is_there else AsyncMock(side_effect=missing)
    records = Records(Dns([], "here", DnsSettings()), client, Settings(), lambda: 0.0, Mock())
    with records.following(store), pytest.raises(NotFound) if is_there else nullcontext():
        assert await records.release(store, entry, ["acme.example.net"]) == ()
    client.patch.assert_awaited_once()


@pytest.mark.parametrize(
    ("was", "generation", "answered", "kept"),
    [("True", 1, False, False), ("False", 1, False, True), ("True", 2, False, True), ("True", 1, True, True)],
    ids=["restart", "was not ready", "ready for another spec", "the zone has been read"],
)
def test_what_was_ready_stays_ready_until_the_zone_has_been_read(
    was: str, generation: int, answered: bool, kept: bool
) -> None:
    store = make_caches().spaces
    condition = {
        "type": "DNSReady",
        "status": was,
        "observedGeneration": generation,
        "reason": "Published",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {"conditions": [condition], "observedGeneration": 1}
    live = stored(SPACES, "acme", spec={"domainName": "example.net"}, status=status)
    entry = store.put(live, own=False)
    records = Records(Dns([], "here", DnsSettings()), Mock(), Settings(), lambda: 0.0, Mock())
    if answered:
        assert records._settled(Published(entry, live), ()) == ()
    waiting = (Problem(reasons.WAITING_FOR_DNS, "no answer yet"),)
    assert records._settled(Published(entry, live), waiting) == (waiting if kept else ())


async def test_a_shared_name_that_fails_stands_by_after_a_while_and_comes_back_at_once() -> None:
    store = make_caches().spaces
    held = {"finalizers": [FINALIZER_DNS]}
    entry = store.put(stored(SPACES, "acme", uid="1", meta=held, spec={"domainName": "example.net"}), own=False)
    name, other, time = "acme.example.net", "*.b.example.net", 100.0
    asked: list[dict[str, bool | None]] = []
    dns = Mock(wraps=Dns([], "east", DnsSettings()))
    dns.ensure.side_effect = lambda _uid, wanted: (
        asked.append({each.name: each.standby for each in wanted}) or Mock(problems=())
    )
    settings = Settings(cluster_id="east", dns=DnsSettings(federation=FederationSettings(id="world")))
    served = Mock(problems=Mock(return_value={}))
    records = Records(dns, Mock(), settings, lambda: time, served)

    async def publish(found: EdgeState) -> float | None:
        return (await records.publish(store, entry, entry.obj(), [name, other], ["192.0.2.1"], found)).requeue_after

    failing = EdgeState(silent=frozenset({name, "b.example.net"}), failing=frozenset({name}))
    good = EdgeState()
    assert await publish(failing) == 60
    time = 150.0
    assert await publish(failing) == 10
    time = 160.0
    assert await publish(failing) is None
    assert await publish(good) is None
    time = 161.0
    assert await publish(failing) == 60
    # "None" leaves it as it is: after a restart nothing is known, and a name that stood by stays so.
    assert [each[name] for each in asked] == [None, None, True, False, None]
    assert served.problems.call_args.kwargs == {"shared": True}


async def test_the_earlier_of_two_withdrawals_is_waited_for() -> None:
    """The edge has lost its address, and a shared name has begun to fail: each has its own delay."""
    settings = Settings.model_validate(
        {
            "cluster_id": "east",
            "dns": {"federation": {"id": "world", "withdrawSeconds": 60}, "noAddressGraceSeconds": 20},
        }
    )
    store = make_caches().spaces
    held = {"finalizers": [FINALIZER_DNS]}
    entry = store.put(stored(SPACES, "acme", uid="1", meta=held, spec={"domainName": "example.net"}), own=False)
    records = Records(
        Dns([], "east", settings.dns), Mock(), settings, lambda: 0.0, Mock(problems=Mock(return_value={}))
    )
    failing = EdgeState(failing=frozenset({"acme.example.net"}))
    published = await records.publish(store, entry, entry.obj(), ["acme.example.net"], [], failing)
    assert published.requeue_after == 20


async def test_a_name_of_one_cluster_never_stands_by() -> None:
    store = make_caches().spaces
    held = {"finalizers": [FINALIZER_DNS]}
    entry = store.put(stored(SPACES, "acme", uid="1", meta=held, spec={"domainName": "example.net"}), own=False)
    dns = Mock(wraps=Dns([], "east", DnsSettings()))
    records = Records(dns, Mock(), Settings(), lambda: 0.0, Mock(problems=Mock(return_value={})))
    name = "acme.example.net"
    found = EdgeState(silent=frozenset({name}), failing=frozenset({name}))
    published = await records.publish(store, entry, entry.obj(), [name], ["192.0.2.1"], found)
    assert [each.standby for each in dns.ensure.call_args.args[1]] == [False]
    assert published.requeue_after is None


class _Zone:
    """A DNS service of which a test says what the zones have."""

    def __init__(self) -> None:
        self.wanted: list[tuple[str, Role, bool | None]] = []
        self.names: dict[str, str] = {}
        self.forgotten = 0

    def ensure(self, _uid: str, wanted: list[DesiredRecord]) -> OwnerState:
        self.wanted = [(each.name, each.role, each.standby) for each in wanted]
        problems = [DnsProblem(name, "WaitingForCluster", "leads here") for name in self.names]
        return OwnerState(tuple(problems) if wanted[0].role is Role.LEAVING else ())

    def serves(self, _name: str) -> bool:
        return True

    def absent(self, _uid: str) -> bool:
        return not self.names

    def published(self, _uid: str) -> dict[str, str]:
        return self.names

    def forget(self, _uid: str) -> None:
        self.forgotten += 1


class _Client:
    async def patch(self, _resource: object, key: Key, patch: dict[str, Any]) -> dict[str, Any]:
        version = str(int(patch["metadata"]["resourceVersion"]) + 1)
        meta = {"finalizers": patch["metadata"]["finalizers"], "resourceVersion": version}
        return stored(SPACES, key.name, uid="1", meta=meta, spec={"domainName": "example.net"})


def _world(clock: list[float]) -> tuple[Records, _Zone, Any]:
    settings = Settings(cluster_id="east", dns=DnsSettings(ttl=30, federation=FederationSettings(id="world")))
    zone, client = _Zone(), _Client()
    served = Mock(problems=Mock(return_value={}))
    dns: Any = zone
    api: Any = client
    return Records(dns, api, settings, lambda: clock[0], served), zone, make_caches().spaces


async def test_an_object_that_is_not_placed_any_more_lets_its_names_go_and_then_waits_for_resolvers() -> None:
    clock = [1000.0]
    records, zone, store = _world(clock)
    clock[0] += 500
    held = {"finalizers": [FINALIZER_DNS]}
    entry = store.put(stored(SPACES, "acme", uid="1", meta=held, spec={"domainName": "example.net"}), own=False)
    zone.names = {"acme.example.net": "example.net"}

    async def leave() -> Published:
        return await records.publish(
            store, entry, entry.obj(), ["acme.example.net"], ["192.0.2.1"], NOT_PROBING, (), Role.LEAVING
        )

    found = await leave()
    assert zone.wanted == [("acme.example.net", Role.LEAVING, False)]
    assert [each.reason for each in found.problems or ()] == [reasons.WAITING_FOR_CLUSTER]
    assert found.here
    assert records.leads(entry) is not None
    zone.names = {}
    found = await leave()
    assert (found.problems, found.here) == (None, False)
    entry = found.entry
    assert not entry.obj()["metadata"].get("finalizers")
    assert records.leads(entry) == 30
    clock[0] += 30
    assert records.leads(entry) is None
    zone.wanted = []
    assert (await leave()).problems is None
    assert zone.wanted == [], "nothing is asked for an object without records"


async def test_after_a_start_pods_wait_for_resolvers_once() -> None:
    clock = [1000.0]
    records, _, store = _world(clock)
    entry = store.put(stored(SPACES, "acme", uid="1", spec={"domainName": "example.net"}), own=False)
    assert records.leads(entry) == 30, "it may have been withdrawn by the process before this one"
    clock[0] += 30
    assert records.leads(entry) is None


async def test_a_name_is_not_added_before_its_object_can_serve_it() -> None:
    records, zone, store = _world([0.0])
    held = {"finalizers": [FINALIZER_DNS]}
    entry = store.put(stored(SPACES, "acme", uid="1", meta=held, spec={"domainName": "example.net"}), own=False)
    for names, can, standby in (({}, False, None), ({}, True, False), ({"acme.example.net": ""}, False, False)):
        zone.names = names
        found = await records.publish(
            *(store, entry, entry.obj(), ["acme.example.net"], ["192.0.2.1"], NOT_PROBING, (), Role.ACTIVE),
            lambda can=can: can,
        )
        assert zone.wanted == [("acme.example.net", Role.ACTIVE, standby)]
        assert (found.requeue_after is not None) is (standby is None)
