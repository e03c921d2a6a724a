"""The service and its zone queues on fake time, with the strict provider in memory and faults in front of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from decco.backoff import Backoff
from decco.dns.contested import AWAITED_SECONDS, CONFLICT_SECONDS, MOST_READ
from decco.dns.errors import BatchRefused, ProviderUnreachable
from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.providers.memory.client import MemoryProvider
from decco.dns.records import CNAME, TXT, A, DesiredRecord, RecordSet, address_sets
from decco.dns.registry import Owner, fold, ownership_set
from decco.dns.service import Dns, OwnerState
from decco.dns.settings import DnsSettings
from decco.dns.wrappers.base import Wrapper
from decco.dns.wrappers.batches import Bisect, PlanGuard
from decco.dns.wrappers.cache import Cache

pytestmark = pytest.mark.looptime
ZONE = "example.com"
CALL_SECONDS = 0.05


class Faulty(Wrapper):
    """Takes 50 ms per call, counts calls, checks that none overlap, and fails on demand."""

    def __init__(self, inner: Provider) -> None:
        super().__init__(inner)
        self.calls: list[str] = []
        self.times: list[float] = []
        self.in_flight = 0
        self.overlap = False
        self.begun = asyncio.Event()
        self.reads: list[BaseException] = []
        self.before: list[BaseException] = []
        self.after: list[BaseException] = []

    async def zones(self) -> tuple[Zone, ...]:
        return await self.inner.zones()

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        async with self._call("records"):
            if self.reads:
                raise self.reads.pop(0)
            return await self.inner.records(zone, names)

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        async with self._call("apply"):
            if self.before:
                raise self.before.pop(0)
            done = await self.inner.apply(zone, changes)
            if self.after:
                raise self.after.pop(0)
            return done

    @asynccontextmanager
    async def _call(self, operation: str) -> AsyncIterator[None]:
        self.calls.append(operation)
        self.begun.set()
        self.times.append(asyncio.get_running_loop().time())
        self.in_flight += 1
        assert self.in_flight == 1 or self.overlap
        await asyncio.sleep(CALL_SECONDS)
        try:
            yield
        finally:
            self.in_flight -= 1


class Bench:
    def __init__(self, zones: tuple[str, ...] = (ZONE,), batch: int = 500, cluster: str = "here") -> None:
        self.memory = MemoryProvider("mem", zones, batch=batch)
        self.faulty = Faulty(self.memory)
        self.cluster = cluster
        self.dns = self.new_dns()

    def new_dns(self, cluster: str | None = None, *, adopt: bool = False) -> Dns:
        cluster = cluster or self.cluster
        return Dns([Cache(PlanGuard(Bisect(self.faulty), cluster))], cluster, DnsSettings(adopt=adopt))

    def put(self, record: RecordSet) -> None:
        self.memory.contents[ZONE].setdefault(record.name, {})[record.type] = record

    def values(self, label: str, rtype: str = A) -> tuple[str, ...]:
        found = self.memory.contents[ZONE].get(f"{label}.{ZONE}", {}).get(rtype)
        return found.values if found else ()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@asynccontextmanager
async def running(*services: Dns) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(service.run()) for service in services]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def want(*labels: str, to: str = "192.0.2.1", ttl: int | None = None) -> frozenset[DesiredRecord]:
    return frozenset(
        DesiredRecord(f"{label}.{ZONE}", frozenset(to.split(",")) if to else frozenset(), ttl) for label in labels
    )


async def until(dns: Dns, condition: Callable[[], bool]) -> None:
    """Wait for the service's own signal that the condition may have come true."""
    notified = asyncio.Event()
    dns.subscribe(lambda _uid: notified.set())
    async with asyncio.timeout(4000):
        while not condition():
            notified.clear()
            await notified.wait()


async def ready(dns: Dns, *uids: str) -> None:
    await until(dns, lambda: all(dns.state(uid).ready for uid in uids))


async def test_a_thousand_names_are_one_reading_and_two_calls(bench: Bench, looptime: int) -> None:
    async with running(bench.dns):
        for i in range(1000):
            bench.dns.ensure(f"u{i}", want(f"n{i}"))
        await ready(bench.dns, *(f"u{i}" for i in range(1000)))
        assert bench.faulty.calls == ["records", "apply", "apply"]
        assert looptime == pytest.approx(0.2 + 3 * CALL_SECONDS)
    assert len(bench.memory.contents[ZONE]) == 2000


async def test_idle_costs_nothing_but_one_reading_an_hour(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("x"))
        await ready(bench.dns, "u")
        del bench.faulty.calls[:]
        for _ in range(20):
            bench.dns.ensure("u", want("x"))
            await asyncio.sleep(30)
        assert bench.faulty.calls == []
        await asyncio.sleep(3600)
        assert bench.faulty.calls == ["records"]


async def test_which_desired_names_a_zone_has(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", [*want("a"), *want("no-address", to=""), DesiredRecord("a.other.example")])
        assert bench.dns.published("u") == {}
        await until(bench.dns, lambda: bench.dns.published("u") == {f"a.{ZONE}": ZONE})
        bench.dns.ensure("u", want("b"))
        assert bench.dns.published("u") == {}, "a is to be withdrawn"
        await ready(bench.dns, "u")
        assert bench.dns.published("u") == {f"b.{ZONE}": ZONE}
    assert bench.dns.published("nobody") == {}


async def test_a_published_name_is_no_work_when_it_may_not_be_created_any_more(bench: Bench) -> None:
    def ensure(*, create: bool) -> OwnerState:
        return bench.dns.ensure("u", [replace(each, create=create) for each in want("a")])

    async with running(bench.dns):
        assert ensure(create=False).problems[0].message.endswith("is published when the edge answers for it")
        await asyncio.sleep(1)
        assert bench.values("a") == ()
        ensure(create=True)
        await ready(bench.dns, "u")
        calls = len(bench.faulty.calls)
        assert ensure(create=False).ready
        await asyncio.sleep(1)
        assert len(bench.faulty.calls) == calls
        assert bench.values("a") == ("192.0.2.1",)


async def test_a_change_waits_at_most_200_ms_for_company(bench: Bench, looptime: int) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("x"))
        await ready(bench.dns, "u")
        del bench.faulty.times[:]
        start = float(looptime)
        for i in range(10):
            bench.dns.ensure(f"u{i}", want(f"n{i}"))
            await asyncio.sleep(0.05)
        await ready(bench.dns, *(f"u{i}" for i in range(10)))
        assert bench.faulty.times[0] - start == pytest.approx(0.2)
        assert len(bench.faulty.times) <= 3


async def test_a_change_of_address_type_and_ttl_is_followed(bench: Bench) -> None:
    async with running(bench.dns):
        for to, ttl in [("192.0.2.1", 60), ("192.0.2.2,2001:db8::1", 60), ("lb.example", 60), ("192.0.2.3", 30)]:
            bench.dns.ensure("u", want("x", to=to, ttl=ttl))
            await ready(bench.dns, "u")
        held = fold(bench.memory.contents[ZONE][f"x.{ZONE}"].values(), ZONE)[f"x.{ZONE}"]
        assert [str(s) for s in held.sets] == [f"x.{ZONE} 30 A 192.0.2.3"]
        bench.dns.ensure("u", want("y"))
        await ready(bench.dns, "u")
        await until(bench.dns, lambda: bench.dns.state("u").published == {f"y.{ZONE}"})
        assert set(bench.memory.contents[ZONE]) == {f"y.{ZONE}", f"_decco.y.{ZONE}"}


async def test_a_foreign_name_is_named_and_left_and_its_batch_goes_on(bench: Bench) -> None:
    bench.put(RecordSet(f"n3.{ZONE}", "MX", 60, ("10 mail",)))
    async with running(bench.dns):
        for i in range(8):
            bench.dns.ensure(f"u{i}", want(f"n{i}"))
        await ready(bench.dns, *(f"u{i}" for i in range(8) if i != 3))
        await until(bench.dns, lambda: bench.dns.state("u3").problems[0].reason == "RecordConflict")
        assert f"n3.{ZONE} already has a record of type MX" in bench.dns.state("u3").problems[0].message
        assert bench.faulty.calls == ["records", "apply"]
        await asyncio.sleep(10 * CONFLICT_SECONDS - 5)
        assert bench.faulty.calls == ["records", "apply", *["records"] * 9], "once a minute"


async def test_a_name_taken_behind_our_back_is_found_without_a_storm(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("x"))
        await ready(bench.dns, "u")
        del bench.faulty.calls[:]
        bench.put(RecordSet(f"n5.{ZONE}", TXT, 60, ("mine",)))
        for i in range(64):
            bench.dns.ensure(f"u{i}", want(f"n{i}"))
        await ready(bench.dns, *(f"u{i}" for i in range(64) if i != 5))
        await until(bench.dns, lambda: bench.dns.state("u5").problems[0].reason == "RecordConflict")
        assert len(bench.faulty.calls) <= 1 + 2 * 6 + 1
        del bench.faulty.calls[:]
        await asyncio.sleep(10 * CONFLICT_SECONDS - 5)
        assert bench.faulty.calls == ["records"] * 9
    assert bench.values("n5", TXT) == ("mine",)
    assert bench.values("n5") == ()


@pytest.mark.parametrize("uncertain", [True, False])
@pytest.mark.parametrize("applied", [True, False])
async def test_a_lost_reply_converges_within_twice_the_calls(bench: Bench, *, uncertain: bool, applied: bool) -> None:
    error = ProviderUnreachable("timed out", uncertain=uncertain)
    (bench.faulty.after if applied else bench.faulty.before).append(error)
    async with running(bench.dns):
        bench.dns.ensure("u", want("x", "y"))
        await until(bench.dns, lambda: {p.reason for p in bench.dns.state("u").problems} == {"ProviderUnreachable"})
        await ready(bench.dns, "u")
    assert len(bench.faulty.calls) <= 2 * 2 + (3 if applied and not uncertain else 0)  # a server that lies about it
    assert bench.values("x") == ("192.0.2.1",)
    assert bench.values("y") == ("192.0.2.1",)


async def test_a_reading_that_fails_after_a_lost_reply_loses_no_name(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("first"))
        await ready(bench.dns, "u")
        bench.faulty.after = [ProviderUnreachable("reply lost", uncertain=True)]
        bench.faulty.reads = [ProviderUnreachable("down")]
        bench.dns.ensure("u", want("x"))
        start = asyncio.get_running_loop().time()
        await ready(bench.dns, "u")
        assert asyncio.get_running_loop().time() - start < 60
    assert bench.values("x")


async def test_a_change_that_is_carried_out_late_leaves_nothing_behind(bench: Bench) -> None:
    """The owner goes while a claim of its name is under way that the server has not done when the zone is read."""
    async with running(bench.dns):
        bench.dns.ensure("first", want("first"))
        await ready(bench.dns, "first")
        del bench.faulty.calls[:]
        bench.faulty.before = [ProviderUnreachable("timed out", uncertain=True)]
        bench.dns.ensure("u", want("x"))
        await until(bench.dns, lambda: bench.dns.state("u").problems[0].reason == "ProviderUnreachable")
        bench.dns.release("u")
        await asyncio.sleep(20)
        assert not bench.dns.gone("u")
        assert "may still be carried out" in bench.dns.blocking_problems("u")[0].message
        ownership = ownership_set(f"x.{ZONE}", ZONE, Owner("here", "u"), 180)
        for late in (ownership, *address_sets(f"x.{ZONE}", ["192.0.2.1"], 180)):
            bench.put(late)
        await until(bench.dns, lambda: bench.dns.gone("u"))
        assert set(bench.memory.contents[ZONE]) == {f"first.{ZONE}", f"_decco.first.{ZONE}"}
        # The claim, the name read again, the zone read when the claim is lost, and what was found is withdrawn.
        assert bench.faulty.calls == ["apply", "records", "records", "apply"]
        await asyncio.sleep(600)
        assert len(bench.faulty.calls) == 4


async def test_a_late_change_of_a_name_that_stays_is_put_right(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("x"))
        await ready(bench.dns, "u")
        bench.faulty.before = [ProviderUnreachable("timed out", uncertain=True)]
        bench.dns.ensure("u", want("x", to="192.0.2.2"))
        await until(bench.dns, lambda: bench.dns.state("u").problems[0].reason == "ProviderUnreachable")
        assert bench.dns.state("u").problems[0].message.endswith(f"; {ProviderUnreachable.advice}")
        bench.dns.ensure("u", want("x"))
        await ready(bench.dns, "u")
        bench.put(RecordSet(f"x.{ZONE}", A, 180, ("192.0.2.2",)))  # late
        await asyncio.sleep(90)
        assert bench.values("x") == ("192.0.2.1",)


@pytest.mark.parametrize("applied", [True, False])
async def test_an_unconfirmed_change_that_cannot_be_applied_costs_no_call(bench: Bench, *, applied: bool) -> None:
    error = ProviderUnreachable("timed out", uncertain=True)
    async with running(bench.dns):
        (bench.faulty.after if applied else bench.faulty.before).append(error)
        bench.dns.ensure("u", want("x"))
        await ready(bench.dns, "u")
        calls = len(bench.faulty.calls)
        await asyncio.sleep(600)
        assert len(bench.faulty.calls) == calls
        bench.dns.release("u")
        await until(bench.dns, lambda: bench.dns.gone("u"))
        assert len(bench.faulty.calls) == calls + 1


async def test_a_server_that_always_sees_a_conflict_is_not_asked_in_a_storm(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("first"))
        await ready(bench.dns, "u")
        del bench.faulty.calls[:]
        bench.faulty.before = [BatchRefused("no") for _ in range(1000)]
        bench.dns.ensure("u", want("first", "x"))
        await asyncio.sleep(3000)
        assert [p.reason for p in bench.dns.state("u").problems] == ["RecordConflict"]
        assert len(bench.faulty.calls) <= 40  # one try and one reading, nine times in 255 s and then each 300 s


async def test_zones_of_a_dead_provider_wait_together(bench: Bench) -> None:
    zones = tuple(f"z{i}.com" for i in range(10))
    many = Bench(zones)
    many.faulty.overlap = True
    many.faulty.reads = [ProviderUnreachable("down") for _ in range(1000)]
    async with running(many.dns):
        await asyncio.sleep(290)
        # One zone alone tries at about 0, 1, 3, 7, 15, 31, 63, 127, 255 s; ten must not make the pauses ten times as
        # long.
        assert 9 <= len(many.faulty.calls) <= 10 * 10
        assert len({round(t) for t in many.faulty.times}) <= 20


async def test_a_backoff_counts_failures_at_once_as_one() -> None:
    backoff = Backoff(1.0, 60.0)
    for _ in range(10):
        backoff.fail()
    assert backoff.until <= asyncio.get_running_loop().time() + 1.0
    await asyncio.sleep(2)
    backoff.fail()
    assert 1.8 <= backoff.until - asyncio.get_running_loop().time() <= 2.0
    for _ in range(20):
        await asyncio.sleep(61)
        backoff.fail()
    assert 54 <= backoff.until - asyncio.get_running_loop().time() <= 60
    backoff.reset()
    backoff.fail(at_least=7)
    assert backoff.until - asyncio.get_running_loop().time() == 7


async def test_retries_back_off(bench: Bench) -> None:
    bench.faulty.before = [ProviderUnreachable("down") for _ in range(1000)]
    async with running(bench.dns):
        bench.dns.ensure("u", want("x"))
        await asyncio.sleep(3500)
        assert bench.faulty.calls.count("apply") < 25
        assert bench.dns.state("u").problems[0].reason == "ProviderUnreachable"
        del bench.faulty.before[:]
        await ready(bench.dns, "u")


async def test_lag_is_the_age_of_the_oldest_change_that_is_not_in_the_zone(bench: Bench) -> None:
    def lag() -> float:
        return bench.dns.lags()["mem", ZONE]

    assert lag() == 0
    async with running(bench.dns):
        bench.dns.ensure("u", want("x"))
        await ready(bench.dns, "u")
        assert lag() == 0
        bench.faulty.before = [ProviderUnreachable("down") for _ in range(1000)]
        bench.dns.ensure("u", want("y"))
        await asyncio.sleep(500)
        bench.dns.ensure("u", want("z"))  # a younger change, and failures in between, do not hide the older one
        await asyncio.sleep(500)
        assert lag() == pytest.approx(1000)
        del bench.faulty.before[:]
        await ready(bench.dns, "u")
        assert lag() == 0


async def test_a_dead_provider_does_not_delay_others(looptime: int) -> None:
    dead, alive = Bench(("dead.com",)), Bench()
    dead.faulty.before = [ProviderUnreachable("down") for _ in range(1000)]
    dns = Dns([Cache(Bisect(dead.faulty)), Cache(Bisect(alive.faulty))], "here")
    async with running(dns):
        dns.ensure("d", [DesiredRecord("x.dead.com", frozenset({"192.0.2.1"}))])
        await until(dns, lambda: bool(dead.faulty.calls) and dns.state("d").problems[0].reason == "ProviderUnreachable")
        start = float(looptime)
        dns.ensure("a", want("x"))
        await ready(dns, "a")
        assert looptime - start < 0.5


async def test_a_zone_created_again_is_filled_again(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("x"))
        await ready(bench.dns, "u")
        del bench.memory.contents[ZONE]
        bench.dns.ensure("v", want("y"))
        await until(bench.dns, lambda: bench.dns.state("v").problems[0].reason == "ZoneNotFound")
        bench.memory.contents[ZONE] = {}
        await ready(bench.dns, "u", "v")
        assert bench.values("x")
        assert bench.values("y")


async def test_release_takes_the_name_away_before_gone(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("x"))
        await ready(bench.dns, "u")
        bench.dns.release("u")
        assert not bench.dns.gone("u")
        await until(bench.dns, lambda: bench.dns.gone("u"))
        assert bench.memory.contents[ZONE] == {}
        bench.dns.forget("u")
        assert bench.dns.state("u").ready


async def test_gone_is_not_said_before_the_zone_was_read(bench: Bench) -> None:
    bench.dns.release("u", [f"x.{ZONE}"])
    assert not bench.dns.gone("u")
    async with running(bench.dns):
        await until(bench.dns, lambda: bench.dns.gone("u"))
        assert bench.faulty.calls == ["records"]


async def test_a_deletion_waits_for_an_unreachable_provider_and_says_so(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("x"))
        await ready(bench.dns, "u")
        bench.faulty.before = [ProviderUnreachable("down") for _ in range(1000)]
        bench.dns.release("u")
        await until(bench.dns, lambda: bool(bench.dns.blocking_problems("u")))
        assert not bench.dns.gone("u")
        assert bench.dns.blocking_problems("u")[0].reason == "ProviderUnreachable"
        bench.dns.abandon("u")
        del bench.faulty.before[:]
        bench.dns.ensure("v", want("x", "y"))
        await until(bench.dns, lambda: [p.reason for p in bench.dns.state("v").problems] == ["RecordConflict"])
    assert bench.values("x") == ("192.0.2.1",)
    assert fold(bench.memory.contents[ZONE][f"_decco.x.{ZONE}"].values(), ZONE)[f"x.{ZONE}"].owner == Owner("here", "u")


async def test_what_an_owner_abandoned_is_free_when_it_is_gone(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("x"))
        await ready(bench.dns, "u")
        bench.dns.abandon("u")
        bench.dns.ended("u")
        bench.dns.ensure("v", want("x"))
        await ready(bench.dns, "v")
    assert fold(bench.memory.contents[ZONE][f"_decco.x.{ZONE}"].values(), ZONE)[f"x.{ZONE}"].owner == Owner("here", "v")


@pytest.mark.parametrize("published", [True, False])
async def test_an_owner_that_ends_without_its_finalizer_leaves_nothing(bench: Bench, published: bool) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("x"))
        if published:
            await ready(bench.dns, "u")
        bench.dns.ended("u")
        bench.dns.ensure("other", want("y"))
        await ready(bench.dns, "other")
        await asyncio.sleep(10)
        assert bench.values("x") == ()
        assert (bench.dns._ownerless, bench.dns._owners.keys()) == (set(), {"other"})


async def test_a_paused_owner_gives_up_what_it_lost_and_nothing_else(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("x", "y"))
        await ready(bench.dns, "u")
        bench.put(RecordSet(f"y.{ZONE}", A, 180, ("192.0.2.9",)))
        bench.dns.pause("u", [f"x.{ZONE}"])
        bench.dns.ensure("v", want("x"))
        await ready(bench.dns, "v")
        await asyncio.sleep(10)
        assert bench.values("y") == ("192.0.2.9",), "the pause keeps it as it is"
    again = bench.new_dns()
    async with running(again):
        again.pause("u", [f"y.{ZONE}"])
        await asyncio.sleep(10)
    assert bench.values("y") == (), "also if this process has not published it"


async def test_after_a_restart_what_is_no_longer_wanted_goes(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("x", "y"))
        bench.dns.ensure("gone", want("z"))
        await ready(bench.dns, "u", "gone")
    again = bench.new_dns()
    async with running(again):
        again.ensure("u", want("x"))
        await until(again, lambda: again.state("u").published == {f"x.{ZONE}"})
        await ready(again, "u")
        await asyncio.sleep(10)
    assert bench.values("y") == ()
    assert bench.values("z") == ("192.0.2.1",)  # its owner is unknown here, so it is not deleted


async def test_an_owner_seen_late_has_its_leftovers_removed(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("x"))
        await ready(bench.dns, "u")
    again = bench.new_dns()
    async with running(again):
        again.ensure("other", want("o"))
        await ready(again, "other")
        again.ensure("u", [])
        await until(again, lambda: again.state("u").published == frozenset())
    assert bench.values("x") == ()


async def test_a_name_moves_between_owners_in_one_change(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("x"))
        await ready(bench.dns, "u")
        bench.dns.ensure("v", want("x", to="192.0.2.2"))
        await until(bench.dns, lambda: bench.dns.state("v").problems[0].reason == "RecordConflict")
        bench.dns.ensure("u", [])
        await ready(bench.dns, "v")
        assert bench.values("x") == ("192.0.2.2",)
        assert bench.faulty.calls[-1] == "apply"


async def test_without_an_address_what_is_published_stays(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("x"))
        await ready(bench.dns, "u")
        bench.dns.ensure("u", want("x", "new", to=""))
        await asyncio.sleep(10)
        problems = {p.name: p for p in bench.dns.state("u").problems}
        assert {p.reason for p in problems.values()} == {"NoAddress"}
        assert "stays" in problems[f"x.{ZONE}"].message
        assert "nothing is published" in problems[f"new.{ZONE}"].message
        assert bench.values("x") == ("192.0.2.1",)
        assert bench.values("new") == ()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("x.elsewhere.org", "ZoneNotFound"), ("a..b", "InvalidRecord"), ("_decco.x.example.com", "InvalidRecord")],
)
async def test_an_invalid_desired_record_is_reported_at_once(bench: Bench, name: str, reason: str) -> None:
    state = bench.dns.ensure("u", [DesiredRecord(name, frozenset({"192.0.2.1"})), *want("x")])
    assert {p.reason for p in state.problems} == {reason, "Publishing"}
    async with running(bench.dns):
        await until(bench.dns, lambda: [p.reason for p in bench.dns.state("u").problems] == [reason])


async def test_two_clusters_on_one_zone_never_touch_each_other(bench: Bench) -> None:
    there = bench.new_dns("there")
    bench.faulty.in_flight = 0
    async with running(bench.dns):
        bench.dns.ensure("u", want("x", "mine"))
        await ready(bench.dns, "u")
        async with running(there):
            there.ensure("t", want("x", "theirs", to="192.0.2.9"))
            await until(there, lambda: [p.reason for p in there.state("t").problems] == ["RecordConflict"])
            assert "another cluster (cluster here, owner u)" in there.state("t").problems[0].message
            there.release("t")
            await until(there, lambda: there.gone("t"))
    assert bench.values("x") == ("192.0.2.1",)
    assert bench.values("theirs") == ()


async def test_adopt_gives_a_lost_owners_name_to_the_one_who_wants_it(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("before-restore", want("x", "z"))
        await ready(bench.dns, "before-restore")
    again = bench.new_dns(adopt=True)
    async with running(again):
        again.ensure("stranger", want("x", to="192.0.2.3"))
        await until(again, lambda: {p.reason for p in again.state("stranger").problems} == {"RecordConflict"})
        again.forget("stranger")
        again.ensure("after-restore", [replace(each, restored=True) for each in want("x", to="192.0.2.2")])
        await ready(again, "after-restore")
    assert bench.values("x") == ("192.0.2.2",)
    assert bench.values("z") == ("192.0.2.1",)


def reasons_of(dns: Dns) -> set[str]:
    return {problem.reason for problem in dns.state("after-restore").problems}


async def test_a_restored_cluster_hands_its_names_over(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("before-restore", want("x", "z"))
        await ready(bench.dns, "before-restore")
    controller, command = bench.new_dns(), bench.new_dns()
    async with running(controller):
        controller.ensure("after-restore", want("x", to="192.0.2.2"))
        await until(controller, lambda: reasons_of(controller) == {"RecordConflict"})
        command.ensure("after-restore", want("x", to="192.0.2.2"))
        for send in (False, True):
            ((_, _, result),) = await command.hand_over(send=send)
            assert not isinstance(result, Exception)
            assert [(change.verb, change.name) for change in result.changes] == [("update", f"x.{ZONE}")]
            assert bench.values("x") == (("192.0.2.2",) if send else ("192.0.2.1",))
        assert bench.values("z") == ("192.0.2.1",), "nobody desires it yet"
        await asyncio.sleep(CONFLICT_SECONDS + 5)
        assert controller.state("after-restore").ready


async def test_a_name_is_handed_over_when_both_clusters_agree(bench: Bench) -> None:
    (offered,) = (replace(each, offer="there") for each in want("x"))
    (awaited,) = (replace(each, accept="here") for each in want("x", to="192.0.2.2"))
    there = bench.new_dns("there")
    async with running(bench.dns):
        bench.dns.ensure("u", want("x"))
        await ready(bench.dns, "u")
    async with running(there):
        there.ensure("t", [awaited])
        await until(there, lambda: {p.reason for p in there.state("t").problems} == {"RecordConflict"})
        before = len(bench.faulty.calls)
        await asyncio.sleep(60)
        assert 25 <= len(bench.faulty.calls) - before <= 60 / AWAITED_SECONDS, "it is about to be offered"
    assert bench.values("x") == ("192.0.2.1",)
    async with running(bench.dns):
        bench.dns.ensure("u", [offered])
        await ready(bench.dns, "u")
        assert bench.values("x") == ("192.0.2.1",)
    async with running(there):
        await asyncio.sleep(AWAITED_SECONDS + 1)
        await ready(there, "t")
        there.ensure("t", want("x", to="192.0.2.2"))
        assert there.state("t").ready, "the end of a move is no work for the zone"
    assert bench.values("x") == ("192.0.2.2",)
    assert bench.values("_decco.x", TXT) == ("v1 there t",)


async def test_a_name_that_becomes_free_is_taken_within_minutes(bench: Bench) -> None:
    many = [f"n{number}" for number in range(3 * MOST_READ)]
    for label in many:
        bench.put(RecordSet(f"{label}.{ZONE}", A, 60, ("192.0.2.1",)))
    async with running(bench.dns):
        bench.dns.ensure("u", want(*many, to="192.0.2.9"))
        await until(bench.dns, lambda: bench.dns.state("u").problems)
        await asyncio.sleep(600)
        assert len(bench.dns.state("u").problems) == len(many)
        bench.memory.contents[ZONE].clear()
        await asyncio.sleep(CONFLICT_SECONDS + 5)
        assert bench.dns.state("u").ready


async def test_plan_reports_and_changes_nothing(bench: Bench) -> None:
    bench.dns.ensure("u", want("x"))
    ((provider, zone, result),) = await bench.dns.plan()
    assert (provider, zone) == ("mem", ZONE)
    assert not isinstance(result, Exception)
    assert [c.verb for c in result.changes] == ["create"]
    assert bench.memory.contents[ZONE] == {}


async def test_random_interleavings_with_a_second_writer(bench: Bench) -> None:
    """Nothing foreign changes, nothing of ours is left half done, whatever the second writer and the faults do."""
    dice = random.Random(20)
    foreign: dict[str, RecordSet] = {}
    owners = [f"u{i}" for i in range(6)]
    labels = [f"n{i}" for i in range(12)]
    async with running(bench.dns):
        for _ in range(600):
            match dice.randrange(5):
                case 0:
                    name = f"{dice.choice(labels)}.{ZONE}"
                    if name not in bench.memory.contents[ZONE]:
                        foreign[name] = RecordSet(name, dice.choice([A, "MX", TXT, CNAME]), 60, ("192.0.2.99",))
                        bench.put(foreign[name])
                case 1:
                    name = f"{dice.choice(labels)}.{ZONE}"
                    if name in foreign:
                        del bench.memory.contents[ZONE][name]
                        del foreign[name]
                case 2:
                    faults = [ProviderUnreachable("x", uncertain=True), ProviderUnreachable("y")]
                    (bench.faulty.before if dice.random() < 0.5 else bench.faulty.after).append(faults[0])
                case _:
                    uid = dice.choice(owners)
                    chosen = [label for i, label in enumerate(labels) if i % 6 == owners.index(uid)]
                    to = dice.choice(["192.0.2.1", "2001:db8::1", "lb.example"])
                    bench.dns.ensure(uid, want(*dice.sample(chosen, dice.randint(0, 2)), to=to))
            await asyncio.sleep(dice.choice([0, 0.1, 0.3, 5]))
        del bench.faulty.before[:], bench.faulty.after[:]
        await asyncio.sleep(2 * 3600)
    contents = bench.memory.contents[ZONE]
    held = fold([s for types in contents.values() for s in types.values()], ZONE)
    for name, record in foreign.items():
        assert held[name].sets == (record,)
        assert held[name].ownership == ()
    wanted = {record.name: (uid, record) for uid in owners for record in bench.dns._owners[uid].desired.values()}
    assert {n for n in held if n not in foreign} == {n for n in wanted if n not in foreign}
    for name in wanted.keys() - foreign.keys():
        uid, record = wanted[name]
        assert held[name].owner == Owner("here", uid)
        assert {v for s in held[name].sets for v in s.values} == record.targets
        assert held[name].ownership == (ownership_set(name, ZONE, Owner("here", uid), 180),)


async def test_a_paused_owners_records_are_left_alone_until_it_is_heard_of_again(bench: Bench) -> None:
    dns = bench.dns
    async with running(dns):
        dns.ensure("u", want("a", "b"))
        await asyncio.sleep(1)
        assert bench.values("a") == ("192.0.2.1",)
        dns.pause("u")
        bench.put(RecordSet(f"a.{ZONE}", A, 180, ("192.0.2.66",)))
        await asyncio.sleep(2 * 3600)
        assert bench.values("a") == ("192.0.2.66",), "also at the hourly comparison"
        dns.ensure("u", want("a"))
        await asyncio.sleep(1)
        assert (bench.values("a"), bench.values("b")) == (("192.0.2.1",), ())
        dns.pause("u")
        dns.release("u")
        await asyncio.sleep(1)
        assert (dns.gone("u"), bench.values("a")) == (True, ())


async def test_a_comparison_of_the_zone_makes_no_owner_wait(bench: Bench) -> None:
    """A reconcile in that moment would write that the record is being published, and another that it is."""
    async with running(bench.dns):
        bench.dns.ensure("u", want("a", "b"))
        await ready(bench.dns, "u")
        reads = bench.faulty.calls.count("records")
        bench.faulty.begun.clear()
        await bench.faulty.begun.wait()
        assert bench.faulty.calls.count("records") == reads + 1
        assert bench.dns.state("u").ready
        assert bench.dns.ensure("u", want("a", "b")).ready
        bench.dns.ensure("u", want("a"))
        assert not bench.dns.gone("u")
        await until(bench.dns, lambda: bench.dns.state("u").published == {f"a.{ZONE}"})


async def test_a_repair_that_a_comparison_finds_is_waited_for(bench: Bench) -> None:
    async with running(bench.dns):
        bench.dns.ensure("u", want("a"))
        await ready(bench.dns, "u")
        bench.put(RecordSet(f"a.{ZONE}", A, 180, ("198.51.100.1",)))
        for operation in ("records", "apply"):
            bench.faulty.begun.clear()
            await bench.faulty.begun.wait()
            assert bench.faulty.calls[-1] == operation
        assert not bench.dns.ensure("u", want("a")).ready
        await ready(bench.dns, "u")
        assert bench.values("a") == ("192.0.2.1",)
