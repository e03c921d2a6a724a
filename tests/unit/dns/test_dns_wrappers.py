from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import pytest

from decco.dns.errors import BatchRefused, DnsError, ProviderUnreachable, RecordConflict, ZoneNotFound
from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.providers.memory.client import MemoryProvider
from decco.dns.records import TXT, A, RecordSet
from decco.dns.registry import Owner, ownership_name, ownership_set
from decco.dns.wrappers.base import Deadline, DryRun, Instrumented, LeaderGate, RateLimiter, Wrapper
from decco.dns.wrappers.batches import Bisect, PlanGuard
from decco.dns.wrappers.cache import Cache

ZONE = Zone("example.com")


def create(label: str, cluster: str = "here", address: str = "192.0.2.1") -> Change:
    name = f"{label}.example.com"
    ownership = ownership_set(name, ZONE.name, Owner(cluster, "u1"), 60)
    return Change(name, ownership.name, (), (RecordSet(name, A, 60, (address,)), ownership))


def delete(change: Change) -> Change:
    return Change(change.name, change.ownership_name, change.after, ())


def put(memory: MemoryProvider, record: RecordSet) -> None:
    memory.contents[ZONE.name].setdefault(record.name, {})[record.type] = record


class Calls(Wrapper):
    """Counts what passes, and raises the given error, before or after the inner call."""

    def __init__(self, inner: MemoryProvider) -> None:
        super().__init__(inner)
        self.reads: list[Collection[str] | None] = []
        self.applies: list[int] = []
        self.before: BaseException | None = None
        self.after: BaseException | None = None

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        self.reads.append(names)
        return await self.inner.records(zone, names)

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        self.applies.append(len(changes))
        if self.before:
            raise self.before
        outcomes = await self.inner.apply(zone, changes)
        if self.after:
            raise self.after
        return outcomes


@pytest.fixture
def memory() -> MemoryProvider:
    return MemoryProvider("mem", (ZONE.name,))


@pytest.fixture
def calls(memory: MemoryProvider) -> Calls:
    return Calls(memory)


async def refused(provider: Provider, count: int) -> Bisect:
    """A wrapper whose batch of ``count`` names was refused once already."""
    bisect = Bisect(provider)
    outcomes = await bisect.apply(ZONE, [create(f"n{i}") for i in range(count)])
    assert all(isinstance(outcome, RecordConflict) for outcome in outcomes)
    return bisect


async def test_a_refused_batch_is_first_reported_as_a_conflict(memory: MemoryProvider, calls: Calls) -> None:
    put(memory, RecordSet("n3.example.com", "MX", 60, ()))
    bisect = await refused(calls, 8)
    assert calls.applies == [8]
    outcomes = await bisect.apply(ZONE, [create(f"n{i}") for i in range(8) if i != 3])  # read and planned again
    assert outcomes == [None] * 7
    assert calls.applies == [8, 7]


async def test_names_that_the_answer_mentions_are_left_out(memory: MemoryProvider) -> None:
    class NamesSuspects(Calls):
        async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
            self.applies.append(len(changes))
            bad = frozenset(c.name for c in changes if c.name in {"n1.example.com", "n6.example.com"})
            if bad:
                raise BatchRefused("taken", suspects=bad)
            return await self.inner.apply(zone, changes)

    calls = NamesSuspects(memory)
    bisect = Bisect(calls)
    outcomes = await bisect.apply(ZONE, [create(f"n{i}") for i in range(8)])
    assert {i for i, outcome in enumerate(outcomes) if outcome} == {1, 6}
    assert calls.applies == [8, 6]


async def test_bisect_finds_the_poisoned_names_and_does_the_others(memory: MemoryProvider, calls: Calls) -> None:
    bad = {17, 40}
    for i in bad:
        put(memory, RecordSet(f"n{i}.example.com", "MX", 60, ()))
    bisect = await refused(calls, 64)
    calls.applies.clear()
    outcomes = await bisect.apply(ZONE, [create(f"n{i}") for i in range(64)])
    assert {i for i, outcome in enumerate(outcomes) if outcome} == bad
    assert all(isinstance(outcomes[i], RecordConflict) for i in bad)
    assert f"n{min(bad)}.example.com" in str(outcomes[min(bad)])
    assert len(calls.applies) <= 1 + 2 * 6 * len(bad)
    assert len(memory.contents[ZONE.name]) == 2 * 62 + 2


async def test_bisect_keeps_what_is_known_when_the_provider_dies_in_between(memory: MemoryProvider) -> None:
    class Dies(Calls):
        async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
            if any(change.name.startswith("n3.") for change in changes) and len(changes) < 4:
                raise ProviderUnreachable("gone", uncertain=True)
            return await super().apply(zone, changes)

    put(memory, RecordSet("n2.example.com", "MX", 60, ()))
    bisect = await refused(Dies(memory), 4)
    outcomes = await bisect.apply(ZONE, [create(f"n{i}") for i in range(4)])
    assert outcomes[:2] == [None, None]
    assert all(isinstance(o, ProviderUnreachable) for o in outcomes[2:])


async def test_bisect_asks_a_dead_provider_no_further(memory: MemoryProvider) -> None:
    class Dies(Calls):
        async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
            dead = len(changes) == 2 and changes[0].name.startswith("n2.")
            self.before = ProviderUnreachable("gone") if dead else None
            return await super().apply(zone, changes)

    put(memory, RecordSet("n0.example.com", "MX", 60, ()))
    calls = Dies(memory)
    bisect = await refused(calls, 8)
    calls.applies.clear()
    outcomes = await bisect.apply(ZONE, [create(f"n{i}") for i in range(8)])
    assert calls.applies == [8, 4, 2, 1, 1, 2]
    assert [type(o) for o in outcomes[:2]] == [RecordConflict, type(None)]
    assert all(isinstance(o, ProviderUnreachable) for o in outcomes[2:])


async def test_the_cache_reads_once_and_follows_own_changes(calls: Calls) -> None:
    cache = Cache(calls)
    change = create("x")
    assert await cache.records(ZONE, {change.name, change.ownership_name}) == []
    await cache.apply(ZONE, [change])
    assert set(await cache.records(ZONE, [change.name, change.ownership_name])) == set(change.after)
    await cache.apply(ZONE, [delete(change)])
    assert await cache.records(ZONE, [change.name, change.ownership_name]) == []
    assert calls.reads == [None]


async def test_the_cache_reads_only_unconfirmed_names_again(memory: MemoryProvider, calls: Calls) -> None:
    cache = Cache(calls)
    lost, fine = create("lost"), create("fine")
    await cache.records(ZONE, [])
    calls.after = ProviderUnreachable("reply lost", uncertain=True)
    with pytest.raises(ProviderUnreachable):
        await cache.apply(ZONE, [lost])
    calls.after = None
    await cache.apply(ZONE, [fine])
    found = await cache.records(ZONE, [lost.name, lost.ownership_name, fine.name, fine.ownership_name])
    assert set(found) == {*lost.after, *fine.after}
    assert calls.reads == [None, {lost.name, lost.ownership_name}]


async def test_the_cache_trusts_a_definite_failure(calls: Calls) -> None:
    cache = Cache(calls)
    await cache.records(ZONE, [])
    calls.before = ProviderUnreachable("refused", uncertain=False)
    with pytest.raises(ProviderUnreachable):
        await cache.apply(ZONE, [create("x")])
    assert await cache.records(ZONE, ["x.example.com"]) == []
    assert calls.reads == [None]


async def test_the_cache_sees_a_foreign_name_after_its_conflict(memory: MemoryProvider, calls: Calls) -> None:
    cache = Cache(calls)
    await cache.records(ZONE, [])
    foreign = RecordSet("x.example.com", "MX", 60, ())
    put(memory, foreign)
    (outcome,) = await cache.apply(ZONE, [create("x")])
    assert isinstance(outcome, RecordConflict)
    assert await cache.records(ZONE, ["x.example.com"]) == [foreign]


async def test_the_cache_forgets_a_zone_that_is_gone(memory: MemoryProvider, calls: Calls) -> None:
    cache = Cache(calls)
    await cache.apply(ZONE, [create("x")])
    kept = memory.contents.pop(ZONE.name)
    with pytest.raises(ZoneNotFound):
        await cache.apply(ZONE, [create("y")])
    kept.clear()
    memory.contents[ZONE.name] = kept
    assert await cache.records(ZONE, ["x.example.com"]) == []


async def test_a_cancelled_change_is_unconfirmed(calls: Calls) -> None:
    cache = Cache(calls)
    await cache.records(ZONE, [])
    calls.after = asyncio.CancelledError()
    change = create("x")
    with pytest.raises(asyncio.CancelledError):
        await cache.apply(ZONE, [change])
    assert set(await cache.records(ZONE, [change.name, change.ownership_name])) == set(change.after)


def _unmarked(change: Change) -> Change:
    return Change(change.name, change.ownership_name, change.before, change.after[:1])


@pytest.mark.parametrize(
    "change",
    [
        create("x", cluster="there"),
        _unmarked(create("x")),
        delete(create("x", cluster="there")),
        delete(_unmarked(create("x"))),
        Change(
            "x.example.com", ownership_name("x.example.com", ZONE.name), (), (*create("x").after, create("y").after[0])
        ),
        delete(
            Change(
                "x.example.com",
                create("x").ownership_name,
                (),
                (*create("x").after, RecordSet("x.example.com", TXT, 1, ("t",))),
            )
        ),
    ],
)
async def test_the_plan_guard_lets_nothing_foreign_pass(calls: Calls, change: Change) -> None:
    outcomes = await PlanGuard(calls, "here").apply(ZONE, [change, create("fine")])
    assert isinstance(outcomes[0], RecordConflict)
    assert outcomes[1] is None
    assert calls.applies == [1]


async def test_a_dry_run_changes_nothing(memory: MemoryProvider) -> None:
    assert await DryRun(memory).apply(ZONE, [create("x")]) == [None]
    assert memory.contents[ZONE.name] == {}


@pytest.mark.looptime
async def test_the_rate_limiter_waits_only_as_long_as_needed(calls: Calls, looptime: int) -> None:
    paced = RateLimiter(calls, per_second=5, burst=3)
    for _ in range(3):
        await paced.records(ZONE)
    assert looptime == 0
    for _ in range(5):
        await paced.zones()
    assert looptime == pytest.approx(1.0)
    await asyncio.sleep(10)
    for _ in range(3):
        await paced.apply(ZONE, [])
    assert looptime == pytest.approx(11.0)


@pytest.mark.looptime
async def test_a_deadline_says_that_the_outcome_is_unknown(memory: MemoryProvider) -> None:
    class Deaf(Wrapper):
        async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
            await asyncio.Event().wait()
            raise AssertionError

    with pytest.raises(ProviderUnreachable, match="within 5 s") as caught:
        await Deadline(Deaf(memory), 5).apply(ZONE, [create("x")])
    assert caught.value.uncertain


async def test_every_call_is_counted_with_its_result(memory: MemoryProvider, calls: Calls) -> None:
    seen: list[tuple[str, str, str]] = []
    measured = Instrumented(
        calls, lambda provider, operation, result, _seconds: seen.append((provider, operation, result))
    )
    put(memory, RecordSet("x.example.com", "MX", 60, ()))
    await measured.zones()
    await measured.records(ZONE)
    await measured.apply(ZONE, [create("x")])
    calls.before = ZoneNotFound("gone")
    with pytest.raises(DnsError):
        await measured.apply(ZONE, [create("y")])
    assert seen == [
        ("mem", "zones", "ok"),
        ("mem", "records", "ok"),
        ("mem", "apply", "RecordConflict"),
        ("mem", "apply", "ZoneNotFound"),
    ]


async def test_who_leads_no_more_reads_and_changes_nothing(memory: MemoryProvider, calls: Calls) -> None:
    leads = True
    gate = LeaderGate(calls, lambda: leads)
    assert await gate.apply(ZONE, [create("a")]) == [None]
    leads = False
    with pytest.raises(ProviderUnreachable, match="no longer leads") as refused:
        await gate.apply(ZONE, [create("b")])
    assert not refused.value.uncertain
    assert calls.applies == [1]
    assert len(await gate.records(ZONE)) == 2
