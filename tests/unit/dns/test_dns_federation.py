"""Names that the clusters of a federation share: each row of the table, and random histories of three clusters."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from decco.dns.errors import BatchRefused, DnsError, InvalidRecord, RecordConflict
from decco.dns.federation import Member, Stand, members, parse
from decco.dns.plan import Plan, Rules, plan
from decco.dns.provider import Change, Zone
from decco.dns.providers.memory.client import MemoryProvider
from decco.dns.records import AAAA, CNAME, TXT, A, DesiredRecord, RecordSet, Role
from decco.dns.registry import Current, Owner, fold, ownership_name, ownership_set, shared_set
from decco.dns.service import Dns
from decco.dns.settings import DnsSettings, FederationSettings
from decco.dns.wrappers.batches import PlanGuard
from tests.promises import PATIENCE
from tests.sample import seeds

ZONE = "example.com"
NAME = "x.example.com"
EAST, WEST, NORTH = "192.0.2.1", "192.0.2.2", "2001:db8::3"


def member(cluster: str, *values: str, uid: str = "", federation: str = "world", stands: str = "") -> Member:
    return Member(federation, cluster, uid or f"uid-{cluster}", values, frozenset(map(Stand, stands.split())))


def shared(*of: Member, ttl: int = 180, name: str = NAME) -> Current:
    sets = []
    for rtype, version in ((A, "."), (AAAA, ":")):
        found = sorted({value for each in of for value in each.values if version in value})
        sets += [RecordSet(name, rtype, ttl, tuple(found))] if found else []
    return Current(name, tuple(sets), (shared_set(name, ZONE, of, ttl),))


def decide(
    now: Current | None,
    *targets: str,
    cluster: str = "east",
    federation: str = "world",
    uid: str = "",
    alive: tuple[str, ...] = (),
    standby: bool | None = False,
    create: bool = True,
    name: str = NAME,
    role: Role = Role.ACTIVE,
    uncovered: bool = False,
) -> Plan:
    uid = uid or f"uid-{cluster}"
    rules = Rules(cluster, 180, frozenset({uid, *alive}), federation=federation)
    rules = replace(rules, uncovered={name} if uncovered else frozenset())
    record = DesiredRecord(name, frozenset(targets), create=create, standby=standby, role=role)
    return plan(ZONE, {now.name: now} if now else {}, {name: {uid: record}}, rules)


def after(result: Plan, name: str = NAME) -> Current:
    assert result.problems == {}
    (change,) = result.changes
    return fold(change.after, ZONE).get(name, Current(name))


def withdraw(now: Current, cluster: str, alive: str) -> Plan:
    return plan(ZONE, {now.name: now}, {now.name: {}}, Rules(cluster, 180, frozenset({alive}), federation="world"))


def test_the_first_cluster_creates_the_name() -> None:
    result = decide(None, EAST)
    assert after(result) == shared(member("east", EAST))
    assert result.changes[0].before == ()
    assert after(result).ownership[0].values == ("v2 world east uid-east 192.0.2.1",)


def test_each_further_cluster_adds_its_own_addresses() -> None:
    now = shared(member("east", EAST))
    assert after(decide(now, WEST, NORTH, cluster="west")) == shared(member("east", EAST), member("west", WEST, NORTH))
    assert decide(shared(member("east", EAST), member("west", WEST)), EAST) == Plan()


def test_a_cluster_changes_and_withdraws_its_own_addresses_only() -> None:
    now = shared(member("east", EAST), member("west", WEST))
    assert after(decide(now, "192.0.2.9")) == shared(member("east", "192.0.2.9"), member("west", WEST))
    assert after(withdraw(now, "east", "uid-east")) == shared(member("west", WEST))
    (change,) = withdraw(shared(member("west", WEST)), "west", "uid-west").changes
    assert change.after == ()


def test_an_address_that_two_clusters_have_stays_until_both_withdraw_it() -> None:
    now = shared(member("east", EAST), member("west", EAST))
    assert after(withdraw(now, "east", "uid-east")) == shared(member("west", EAST))


def test_what_is_altered_beside_decco_is_repaired() -> None:
    now = shared(member("east", EAST), member("west", WEST))
    altered = replace(now, sets=(RecordSet(NAME, A, 180, ("198.51.100.1", EAST)),))
    assert after(decide(altered, EAST)) == now


def test_a_name_of_this_cluster_becomes_shared_and_exclusive_again() -> None:
    alone = Current(
        NAME, (RecordSet(NAME, A, 180, (EAST,)),), (ownership_set(NAME, ZONE, Owner("east", "uid-east"), 180),)
    )
    assert after(decide(alone, EAST)) == shared(member("east", EAST))
    assert after(decide(shared(member("east", EAST)), EAST, federation="")) == alone


@pytest.mark.parametrize("federation", ["", "other"])
def test_another_federation_is_a_conflict(federation: str) -> None:
    for now in (shared(member("west", WEST)), shared(member("east", EAST), member("west", WEST))):
        result = decide(now, EAST, federation=federation)
        assert result.changes == ()
        (problem,) = result.problems.values()
        assert isinstance(problem, RecordConflict)
        assert "the federation world (west)" in str(problem)
        assert "dns.federation.id" in str(problem)


def test_an_exclusive_name_of_another_cluster_is_a_conflict() -> None:
    alone = Current(NAME, (RecordSet(NAME, A, 180, (WEST,)),), (ownership_set(NAME, ZONE, Owner("west", "w"), 180),))
    result = decide(alone, EAST)
    assert result.changes == ()
    assert "belongs to another cluster" in str(*result.problems.values())


def test_records_without_owner_are_a_conflict() -> None:
    result = decide(Current(NAME, (RecordSet(NAME, A, 180, (WEST,)),)), EAST)
    assert result.changes == ()
    assert "without an ownership record" in str(*result.problems.values())


@pytest.mark.parametrize(
    "texts",
    [
        ("v2 world east u 192.0.2.1", "v1 west w"),
        ("v2 world east u 192.0.2.1", "v2 moon west w 192.0.2.2"),
        ("v2 world east u 192.0.2.1", "v2 world east w 192.0.2.2"),
        ("v2 world east u 192.0.2.1", "hello"),
        ("v2 world east u 192.0.2.01",),
        ("v2 world east u 192.0.2.2,192.0.2.1",),
        ("v2 world east u ",),
        ("v2 World east u -",),
        ("v2 world east u -/asleep",),
        ("v2 world east u -/standby/standby",),
        ("v2 world east u -/standby/failing",),
        ("v2 world east u -/",),
    ],
)
def test_an_unreadable_ownership_record_is_nobodys(texts: tuple[str, ...]) -> None:
    now = replace(shared(member("east", EAST)), ownership=(RecordSet(f"_decco.{NAME}", TXT, 180, texts),))
    assert members(texts) == ()
    result = decide(now, EAST, uid="u")
    assert result.changes == ()
    assert "is not an ownership record of decco" in str(*result.problems.values())


def test_an_alias_cannot_be_shared() -> None:
    result = decide(None, "edge.example.net")
    (problem,) = result.problems.values()
    assert isinstance(problem, InvalidRecord)
    assert result.changes == ()
    assert CNAME not in {s.type for s in shared(member("east", EAST)).sets}


def test_a_cluster_that_stands_by_has_no_address_while_another_one_has() -> None:
    both = shared(member("east", EAST), member("west", WEST))
    only_west = shared(member("east"), member("west", WEST))
    assert after(decide(both, EAST, standby=True)) == only_west
    assert decide(only_west, EAST, standby=True) == Plan()
    assert after(decide(only_west, EAST)) == both


def test_the_last_cluster_keeps_its_addresses() -> None:
    for others in ((), (member("west"),)):
        assert decide(shared(member("east", EAST), *others), EAST, standby=True) == Plan()
    assert after(decide(shared(member("east"), member("west")), EAST, standby=True)) == shared(
        member("east", EAST), member("west")
    )


def test_an_edge_without_addresses_keeps_what_it_has() -> None:
    now = shared(member("east", EAST), member("west", WEST))
    assert decide(now) == Plan()
    assert decide(shared(member("west", WEST))) == Plan()
    assert decide(shared(member("west", WEST)), EAST, create=False) == Plan()
    assert after(decide(now, uid="uid-new", alive=("uid-east",))) == shared(
        member("east", EAST, uid="uid-new"), member("west", WEST)
    )


def test_an_owner_that_does_not_exist_is_a_conflict_in_its_own_cluster_only() -> None:
    now = shared(member("east", EAST, uid="gone"), member("west", WEST))
    assert "does not exist" in str(*decide(now, EAST).problems.values())
    assert after(decide(now, "192.0.2.9", cluster="west")) == shared(
        member("east", EAST, uid="gone"), member("west", "192.0.2.9")
    )
    result = plan(ZONE, {NAME: now}, {NAME: {}}, Rules("east", 180, frozenset(), federation="world"))
    assert (result.changes, result.orphans) == ((), (NAME,))


def test_the_lifetime_is_that_of_the_first_cluster() -> None:
    now = shared(member("east", EAST), ttl=60)
    assert after(decide(now, WEST, cluster="west")) == shared(member("east", EAST), member("west", WEST), ttl=60)


def test_a_long_name_has_its_ownership_record_elsewhere() -> None:
    name = ".".join(["a" * 60] * 4)[: 249 - len(ZONE)] + "." + ZONE
    found = after(decide(None, EAST, name=name), name)
    assert found == shared(member("east", EAST), name=name)
    assert found.ownership[0].name == ownership_name(name, ZONE)
    assert found.ownership[0].values[0].endswith(f" {name}")
    assert after(decide(found, WEST, cluster="west", name=name), name).members == (
        member("east", EAST),
        member("west", WEST),
    )


def test_the_text_is_read_as_it_is_written() -> None:
    assert member("east", EAST, stands="standby failing").text() == "v2 world east uid-east 192.0.2.1/failing/standby"
    for each in (
        member("east", EAST, stands="leaving"),
        member("east", stands="standby"),
        member("east", EAST, WEST, stands="standby failing"),
        member("east"),
        member("e.1-x", WEST, NORTH, uid="u"),
        member("east", *(f"192.0.2.{n}" for n in (1, 10, 2))),
    ):
        assert parse(each.text()) == each


# -- roles ------------------------------------------------------------------------------------------------------------


STANDBY = Role.STANDBY
WAITS = member("west", stands="standby")


def test_a_cluster_that_joins_and_does_not_know_whether_it_answers_waits() -> None:
    only_west = shared(member("west", WEST))
    waiting = after(decide(only_west, EAST, standby=None))
    assert waiting == shared(member("east"), member("west", WEST))
    assert decide(waiting, EAST, standby=None) == Plan()
    assert after(decide(None, EAST, standby=None)) == shared(member("east", EAST)), "without others it waits for nobody"
    both = shared(member("east", EAST), member("west", WEST))
    assert decide(both, EAST, standby=None) == Plan(), "after a restart a name stays as it is"


def test_a_standby_cluster_adds_addresses_when_no_active_one_has_any() -> None:
    now = after(decide(shared(member("east", EAST)), WEST, cluster="west", role=STANDBY))
    assert now == shared(member("east", EAST), WAITS)
    assert decide(now, WEST, cluster="west", role=STANDBY, uncovered=True) == Plan()
    for alone in (None, shared(member("east"), WAITS)):
        found = decide(alone, WEST, cluster="west", role=STANDBY)
        assert (after(found) if alone is None else found) == (shared(WAITS) if alone is None else Plan())
    found = after(decide(shared(member("east"), WAITS), WEST, cluster="west", role=STANDBY, uncovered=True))
    assert found == shared(member("east"), member("west", WEST, stands="standby"))
    assert decide(found, WEST, cluster="west", role=STANDBY) == Plan(), (
        "what it has it keeps, though a clock starts again"
    )
    back = after(decide(found, EAST))
    assert after(decide(back, WEST, cluster="west", role=STANDBY)) == shared(member("east", EAST), WAITS)


def test_an_active_cluster_that_fails_calls_those_that_stand_by_before_it_leaves() -> None:
    now = shared(member("east", EAST), WAITS)
    calls = after(decide(now, EAST, standby=True))
    assert calls == shared(member("east", EAST, stands="failing"), WAITS)
    assert decide(calls, EAST, standby=True) == Plan()
    assert decide(calls, EAST, standby=None) == Plan(), "after a restart it calls on"
    assert after(decide(calls, EAST)) == now
    came = after(decide(calls, WEST, cluster="west", role=STANDBY))
    assert came == shared(member("east", EAST, stands="failing"), member("west", WEST, stands="standby"))
    assert after(decide(came, EAST, standby=True)) == shared(member("east"), member("west", WEST, stands="standby"))


def test_a_standby_cluster_that_fails_too_does_not_come() -> None:
    calls = shared(member("east", EAST, stands="failing"), WAITS)
    assert decide(calls, WEST, cluster="west", role=STANDBY, standby=True) == Plan()


def test_a_cluster_that_becomes_a_standby_one_keeps_the_last_addresses() -> None:
    assert after(decide(shared(member("east", EAST)), EAST, role=STANDBY)) == shared(
        member("east", EAST, stands="standby")
    )


LEAVES = member("east", EAST, stands="leaving")


def test_a_cluster_that_leaves_keeps_its_addresses_until_another_one_serves_the_name() -> None:
    alone = shared(member("east", EAST))
    for now in (alone, shared(member("east", EAST), member("west"))):
        leaving = after(decide(now, EAST, role=Role.LEAVING))
        assert {value for each in leaving.addresses for value in each.values} == {EAST}
        assert leaving.member_of("east") == LEAVES
        assert decide(leaving, EAST, role=Role.LEAVING) == Plan()
    for other in (member("west", WEST), member("west", WEST, stands="standby")):
        assert after(decide(shared(LEAVES, other), EAST, role=Role.LEAVING)) == shared(other)
    for other in (member("west", WEST, stands="failing"), member("west", WEST, stands="leaving")):
        assert decide(shared(LEAVES, other), EAST, role=Role.LEAVING) == Plan()
    called = after(decide(shared(LEAVES, WAITS), WEST, cluster="west", role=STANDBY))
    assert called == shared(LEAVES, member("west", WEST, stands="standby"))
    assert after(decide(shared(LEAVES), EAST)) == alone, "it is placed again"


def test_a_cluster_that_leaves_creates_nothing_and_has_no_conflict() -> None:
    theirs = Current(NAME, (RecordSet(NAME, A, 180, (WEST,)),), (ownership_set(NAME, ZONE, Owner("west", "w"), 180),))
    for now in (None, shared(member("west", WEST)), theirs, Current(NAME, (RecordSet(NAME, A, 180, (WEST,)),))):
        for federation in ("world", ""):
            assert decide(now, EAST, role=Role.LEAVING, federation=federation) == Plan()
    empty = shared(member("east"), member("west"))
    assert after(decide(empty, EAST, role=Role.LEAVING)) == shared(member("west"))
    assert after(decide(shared(LEAVES), role=Role.LEAVING, uid="uid-new", alive=("uid-east",))) == shared(
        member("east", EAST, uid="uid-new", stands="leaving")
    )


def test_without_a_federation_a_cluster_leaves_at_once_and_cannot_stand_by() -> None:
    alone = Current(
        NAME, (RecordSet(NAME, A, 180, (EAST,)),), (ownership_set(NAME, ZONE, Owner("east", "uid-east"), 180),)
    )
    assert after(decide(alone, EAST, role=Role.LEAVING, federation="")) == Current(NAME)
    for now in (alone, None):
        result = decide(now, EAST, role=STANDBY, federation="")
        assert result.changes == ()
        (problem,) = result.problems.values()
        assert isinstance(problem, InvalidRecord)
        assert "set dns.federation.id" in str(problem)


async def test_no_change_passes_that_alters_another_clusters_part() -> None:
    provider = MemoryProvider("memory", (ZONE,))
    guard = PlanGuard(provider, "east")
    now = shared(member("east", EAST), member("west", WEST))
    await provider.apply(Zone(ZONE), [Change(NAME, f"_decco.{NAME}", (), (*now.sets, *now.ownership))])
    for then in (
        shared(member("east", EAST)),
        shared(member("east", EAST), member("west")),
        shared(member("east", EAST), member("west", "192.0.2.9")),
        Current(NAME),
        replace(now, sets=(RecordSet(NAME, A, 180, (EAST,)),)),
    ):
        change = Change(NAME, f"_decco.{NAME}", (*now.sets, *now.ownership), (*then.sets, *then.ownership))
        (outcome,) = await guard.apply(Zone(ZONE), [change])
        assert isinstance(outcome, RecordConflict)
        assert "alters what other clusters have" in str(outcome)
    assert fold(await provider.records(Zone(ZONE)), ZONE) == {NAME: now}


async def test_an_owner_learns_when_its_names_begin_and_cease_to_lead_here() -> None:
    """Its published names and its problems are the same before and after."""
    provider = MemoryProvider("memory", (ZONE,))
    fast = FederationSettings(id="world", compare_seconds=0.05, withdraw_seconds=0.0)
    settings = DnsSettings(gather_milliseconds=0, federation=fast)
    east, west = (Dns([provider], cluster, settings, settle=0.0) for cluster in ("east", "west"))
    reported: list[frozenset[str]] = []
    west.subscribe(lambda uid: reported.append(west.state(uid).standing_by))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(dns.run()) for dns in (east, west)]
        east.ensure("e", [DesiredRecord(NAME, frozenset({EAST}))])
        await _until(lambda: bool(east.published("e")))
        west.ensure("w", [DesiredRecord(NAME, frozenset({WEST}), role=STANDBY)])
        await _until(lambda: reported[-1:] == [frozenset({NAME})])
        assert west.published("w") == {}
        east.ensure("e", [DesiredRecord(NAME, frozenset({EAST}), standby=True)])
        await _until(lambda: reported[-1:] == [frozenset()])
        assert west.published("w") == {NAME: ZONE}
        east.ensure("e", [DesiredRecord(NAME, frozenset({EAST}))])
        await _until(lambda: reported[-1:] == [frozenset({NAME})])
        for task in tasks:
            task.cancel()


async def _until(fact: Callable[[], bool]) -> None:
    for _ in range(int(PATIENCE / 0.01)):
        if fact():
            return
        await asyncio.sleep(0.01)
    raise AssertionError


@pytest.mark.parametrize("seed", seeds(100, sample=10))
def test_random_histories_of_three_clusters(seed: int) -> None:
    asyncio.run(_history(random.Random(seed)))


async def _history(rng: random.Random) -> None:
    """Each cluster plans with a view of the zone that may be old; the provider refuses what does not fit.

    After each change: a cluster has altered its own part alone, no address is there that no cluster has stated, and a
    name of which some cluster wants records never loses its last address.
    """
    zone, provider = Zone(ZONE), MemoryProvider("memory", (ZONE,))
    addresses = {"east": EAST, "west": WEST, "north": NORTH}
    guards = {cluster: PlanGuard(provider, cluster) for cluster in addresses}
    wanted: dict[str, DesiredRecord | None] = dict.fromkeys(addresses)
    views: dict[str, dict[str, Current]] = {cluster: {} for cluster in addresses}
    for _ in range(120):
        cluster = rng.choice(sorted(addresses))
        match rng.randrange(5):
            case 0:
                wanted[cluster] = rng.choice(
                    [None, DesiredRecord(NAME, frozenset({addresses[cluster]}), standby=rng.random() < 0.5)]
                )
            case 1:
                views[cluster] = fold(await provider.records(zone), ZONE)
            case _:
                await _turn(rng, cluster, provider, guards[cluster], wanted[cluster], views[cluster])
    for _ in addresses:  # one that stands by may have to see the others first
        await _settle(provider, guards, wanted)
    now = fold(await provider.records(zone), ZONE).get(NAME, Current(NAME))
    active = {c for c, record in wanted.items() if record is not None and not record.standby}
    assert {m.cluster for m in now.members} == {c for c, record in wanted.items() if record is not None}
    having = {m.cluster for m in now.members if m.values}
    assert having == active or (not active and len(having) == min(1, len(now.members)))


@pytest.mark.parametrize("seed", seeds(100, sample=10))
def test_random_histories_with_roles(seed: int) -> None:
    """A name that some cluster serves, and that no cluster deletes, never loses its last address."""
    asyncio.run(_placed_history(random.Random(seed)))


async def _placed_history(rng: random.Random) -> None:
    zone, provider = Zone(ZONE), MemoryProvider("memory", (ZONE,))
    addresses = {"east": EAST, "west": WEST, "north": NORTH}
    guards = {cluster: PlanGuard(provider, cluster) for cluster in addresses}
    wanted: dict[str, DesiredRecord | None] = {
        cluster: DesiredRecord(NAME, frozenset({address}), role=Role.LEAVING) for cluster, address in addresses.items()
    }
    views: dict[str, dict[str, Current]] = {cluster: {} for cluster in addresses}
    served = False
    for _ in range(150):
        cluster = rng.choice(sorted(addresses))
        match rng.randrange(5):
            case 0:
                wanted[cluster] = DesiredRecord(
                    NAME,
                    frozenset({addresses[cluster]}),
                    standby=rng.choice((False, False, True, None)),
                    role=rng.choice((*Role,)),
                )
            case 1:
                views[cluster] = fold(await provider.records(zone), ZONE)
            case _:
                await _turn(rng, cluster, provider, guards[cluster], wanted[cluster], views[cluster])
        now = fold(await provider.records(zone), ZONE).get(NAME, Current(NAME))
        assert not served or now.addresses
        served = bool(now.addresses)
    for _ in range(4):  # one calls, another comes, the first withdraws
        await _settle(provider, guards, wanted)
    now = fold(await provider.records(zone), ZONE).get(NAME, Current(NAME))
    answering = {c for c, r in wanted.items() if r is not None and r.standby is False and r.role is Role.ACTIVE}
    # Of these it is not known whether they answer: they keep what they have.
    unknown = {c for c, r in wanted.items() if r is not None and r.standby is None and r.role is Role.ACTIVE}
    having = {m.cluster for m in now.members if m.values}
    if answering:
        assert having - unknown == answering


async def _turn(
    rng: random.Random,
    cluster: str,
    provider: MemoryProvider,
    guard: PlanGuard,
    record: DesiredRecord | None,
    view: dict[str, Current],
) -> None:
    uid = f"uid-{cluster}"
    before = fold(await provider.records(Zone(ZONE)), ZONE).get(NAME, Current(NAME))
    rules = Rules(cluster, rng.choice([60, 180]), frozenset({uid}), federation="world")
    rules = replace(rules, uncovered={NAME} if rng.random() < 0.3 else frozenset())
    result = plan(ZONE, view, {NAME: {uid: record} if record is not None else {}}, rules)
    assert result.problems == {}
    for change in result.changes:
        try:
            (outcome,) = await guard.apply(Zone(ZONE), [change])
        except (BatchRefused, DnsError) as error:
            raise AssertionError from error
        now = fold(await provider.records(Zone(ZONE)), ZONE).get(NAME, Current(NAME))
        assert outcome is None or isinstance(outcome, RecordConflict)
        assert outcome is None or now == before
        others = [[m for m in each.members if m.cluster != cluster] for each in (before, now)]
        assert others[0] == others[1]
        stated = {value for m in now.members for value in m.values}
        assert {value for s in now.sets for value in s.values} == stated
        assert stated or not now.members or not {v for m in before.members for v in m.values} or record is None
        view.clear()
        view.update({NAME: now} if now.sets or now.ownership else {})


async def _settle(
    provider: MemoryProvider, guards: dict[str, PlanGuard], wanted: dict[str, DesiredRecord | None]
) -> None:
    for cluster, guard in guards.items():
        view = fold(await provider.records(Zone(ZONE)), ZONE)
        await _turn(random.Random(0), cluster, provider, guard, wanted[cluster], view)
