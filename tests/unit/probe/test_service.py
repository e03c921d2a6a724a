"""The queue of probes, with fake time and answers from a table."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from decco.probe.model import AnyTarget, Observation, Record, Result, Server, State, Target
from decco.probe.service import RENEWAL_SECONDS, Prober
from tests.sample import thorough

pytestmark = pytest.mark.looptime

OK = Observation(Result.ANSWERED)
BAD = Observation(Result.CLOSED, "closed")
DOWN = Observation(Result.CONNECT, "refused")
WEB = Target("192.0.2.1", 443, "web.acme.example")


@dataclass
class Settings:
    enabled: bool = True
    interval_seconds: float = 300.0
    max_per_second: int = 200


@dataclass
class Bench:
    """A prober, and what its targets answer."""

    prober: Prober
    settings: Settings
    answers: dict[str, Observation] = field(default_factory=dict)
    sent: list[tuple[float, Any]] = field(default_factory=list)
    short: list[bool] = field(default_factory=list)
    """Of each probe that was sent, whether a short one sufficed."""
    results: Counter[str] = field(default_factory=Counter)
    first_answers: list[float] = field(default_factory=list)
    notified: list[str] = field(default_factory=list)
    seconds: float = 0.0

    async def probe(self, target: AnyTarget, short: bool) -> Observation:
        self.sent.append((asyncio.get_running_loop().time(), target))
        self.short.append(short)
        await asyncio.sleep(self.seconds)
        return self.answers.get(target.server_name, OK) if isinstance(target, Target) else OK

    def probed(self, result: str) -> None:
        self.results[result] += 1

    def first_answer(self, seconds: float) -> None:
        self.first_answers.append(seconds)

    def times(self, name: str) -> list[float]:
        return [at for at, target in self.sent if target.server_name == name]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    settings = Settings()
    found: Bench = None  # type: ignore[assignment]
    loop = asyncio.get_running_loop()

    class Late:
        def probed(self, result: str) -> None:
            found.probed(result)

        def first_answer(self, seconds: float) -> None:
            found.first_answer(seconds)

    prober = Prober(lambda: settings, Late(), probe=lambda target, short: found.probe(target, short), clock=loop.time)
    found = Bench(prober, settings)
    prober.subscribe(found.notified.append)
    task = asyncio.create_task(prober.run())
    yield found
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_new_target_is_probed_at_once(bench: Bench) -> None:
    assert bench.prober.ensure("a", {"web": WEB}) == State(waiting=frozenset({"web"}))
    await asyncio.sleep(0.1)
    assert bench.prober.state("a") == State(answered=frozenset({"web"}))
    assert bench.notified == ["a"]
    assert bench.first_answers == [pytest.approx(0, abs=0.01)]


async def test_then_once_in_each_interval(bench: Bench) -> None:
    bench.prober.ensure("a", {"web": WEB})
    await asyncio.sleep(3000)
    assert 10 <= len(bench.sent) <= 12
    assert bench.notified == ["a"]


async def test_what_was_ready_before_the_start_stays_so_and_waits_for_its_slot(bench: Bench) -> None:
    for number in range(300):
        state = bench.prober.ensure(f"a{number}", {"web": WEB}, assumed=True)
        assert state.answered == {"web"}
    await asyncio.sleep(30)
    assert 10 < len(bench.sent) < 60
    await asyncio.sleep(271)
    assert len({target for _, target in bench.sent}) == 1
    assert len(bench.sent) >= 300


async def test_a_failure_is_reported_when_it_is_confirmed(bench: Bench) -> None:
    bench.prober.ensure("a", {"web": WEB})
    await asyncio.sleep(1)
    bench.answers[WEB.server_name] = BAD
    bench.prober.ensure("a", {"web": WEB}, token=1)
    await asyncio.sleep(1)
    assert bench.prober.state("a").answered == {"web"}
    await asyncio.sleep(4)
    assert bench.prober.state("a").failed == {"web": BAD}
    bench.answers.clear()
    await asyncio.sleep(4)
    assert bench.prober.state("a").answered == {"web"}
    assert bench.notified == ["a"] * 3


async def test_a_repair_is_seen_soon_also_if_each_probe_lasts(bench: Bench) -> None:
    silent = Observation(Result.SILENT, "no answer within 3 s")
    bench.answers[WEB.server_name] = silent
    bench.seconds = 3
    bench.prober.ensure("a", {"web": WEB})
    await asyncio.sleep(60)
    assert bench.prober.state("a").failed == {"web": silent}
    times = bench.times(WEB.server_name)
    bench.answers.clear()
    await asyncio.sleep(3.1)
    assert bench.prober.state("a").answered == {"web"}
    assert times[-1] - times[-2] < 3.1


async def test_an_equal_target_keeps_its_verdict_and_another_does_not(bench: Bench) -> None:
    bench.prober.ensure("a", {"web": WEB})
    await asyncio.sleep(1)
    assert bench.prober.ensure("a", {"web": WEB}, token=2).answered == {"web"}
    assert bench.prober.ensure("a", {"web": replace(WEB, probe_path="/new")}).waiting == {"web"}
    await asyncio.sleep(1)
    assert bench.prober.state("a").answered == {"web"}


async def test_a_renewed_certificate_takes_a_while_to_its_servers(bench: Bench) -> None:
    """The kubelet brings it to a pod within some 90 s: until then the one from before is as good."""
    other = Observation(Result.CERTIFICATE, "another")
    old, new = replace(WEB, chain=(b"old",)), replace(WEB, chain=(b"new",))
    bench.prober.ensure("a", {"web": old})
    await asyncio.sleep(1)
    assert bench.prober.ensure("a", {"web": new}).answered == {"web"}
    await asyncio.sleep(1)
    assert [(target.chain, target.former) for _, target in bench.sent] == [((b"old",), ()), ((b"new",), (b"old",))]
    assert bench.prober.ensure("a", {"web": new}).answered == {"web"}
    await asyncio.sleep(RENEWAL_SECONDS - 20)
    assert not any(bench.short)
    bench.answers[WEB.server_name] = other
    await asyncio.sleep(30)
    assert bench.sent[-1][1].former == ()
    assert bench.prober.state("a").failed == {"web": other}
    assert bench.prober.ensure("a", {"web": old}).waiting == {"web"}  # what did not answer keeps nothing


async def test_a_renewal_after_a_start_keeps_what_is_assumed(bench: Bench) -> None:
    bench.prober.ensure("a", {"web": replace(WEB, chain=(b"old",))}, assumed=True)
    assert bench.prober.ensure("a", {"web": replace(WEB, chain=(b"new",))}).answered == {"web"}
    await asyncio.sleep(1)
    assert bench.sent[-1][1].former == (b"old",)
    assert bench.prober.state("a").answered == {"web"}


async def test_a_change_during_a_probe_is_probed_again(bench: Bench) -> None:
    bench.prober.ensure("a", {"web": WEB})
    await asyncio.sleep(1)
    bench.seconds = 1
    bench.prober.ensure("a", {"web": WEB}, token=1)
    await asyncio.sleep(0.5)
    bench.prober.ensure("a", {"web": WEB}, token=2)
    bench.prober.ensure("a", {"web": WEB}, token=2)  # a reconcile for another reason
    await asyncio.sleep(2)
    assert len(bench.sent) == 3


async def test_no_more_than_the_rate_and_changes_first(bench: Bench) -> None:
    for number in range(1000):
        bench.prober.ensure(f"a{number}", {"web": replace(WEB, server_name=f"{number}.example")})
    await asyncio.sleep(1)
    assert 190 <= len(bench.sent) <= 201
    await asyncio.sleep(5)
    assert len({target.server_name for _, target in bench.sent}) == 1000


async def test_failures_do_not_take_the_whole_rate(bench: Bench) -> None:
    bench.settings.max_per_second = 20
    bench.answers = {f"{number}.example": BAD for number in range(100)}
    for number in range(100):
        bench.prober.ensure(f"a{number}", {"web": replace(WEB, server_name=f"{number}.example")})
    await asyncio.sleep(40)
    before = len(bench.sent)
    await asyncio.sleep(40)
    assert len(bench.sent) - before <= 40 * 6


async def test_an_address_that_is_not_reached_from_here_fails_nobody(bench: Bench) -> None:
    names = [f"{number}.example" for number in range(50)]
    bench.answers = dict.fromkeys(names, DOWN)
    for name in names:
        bench.prober.ensure(name, {"web": replace(WEB, server_name=name)})
    await asyncio.sleep(30)
    assert all(bench.prober.state(name) == State(unreached=frozenset({"web"})) for name in names)
    assert bench.prober.unreached(WEB.address)
    assert sorted(bench.notified) == sorted(names)
    before = len(bench.sent)
    await asyncio.sleep(3000)
    assert len(bench.sent) - before <= 12  # one target alone
    bench.answers.clear()
    await asyncio.sleep(310)
    assert all(bench.prober.state(name).answered for name in names)


async def test_an_address_that_was_reached_and_is_down_is_a_failure(bench: Bench) -> None:
    bench.prober.ensure("a", {"web": WEB})
    await asyncio.sleep(1)
    bench.answers[WEB.server_name] = DOWN
    bench.prober.ensure("a", {"web": WEB}, token=1)
    await asyncio.sleep(3)
    assert not bench.prober.state("a").failed  # the restart of a proxy
    await asyncio.sleep(3)
    assert bench.prober.state("a").failed == {"web": DOWN}


async def test_what_is_forgotten_is_not_probed(bench: Bench) -> None:
    bench.prober.ensure("a", {"web": WEB, "db": replace(WEB, server_name="db.acme.example")})
    await asyncio.sleep(1)
    bench.prober.ensure("a", {"web": WEB})
    await asyncio.sleep(600)
    assert len(bench.times("db.acme.example")) == 1
    bench.prober.forget("a")
    before = len(bench.sent)
    await asyncio.sleep(600)
    assert len(bench.sent) == before
    assert bench.prober.state("a") == State()


async def test_switched_off_and_on_again(bench: Bench) -> None:
    bench.settings.enabled = False
    bench.prober.ensure("a", {"web": WEB})
    await asyncio.sleep(600)
    assert bench.sent == []
    bench.settings.enabled = True
    bench.prober.settings_changed()
    await asyncio.sleep(2)
    assert bench.prober.state("a").answered == {"web"}
    assert bench.prober.declared("a") == {"web"}


async def test_an_edge_that_only_closes_connections_from_here_fails_nobody(bench: Bench) -> None:
    """It expects the PROXY protocol, which a load balancer speaks and a connection from within the cluster does not."""
    closed = Observation(Result.CLOSED, "the connection is closed")
    bench.answers = {WEB.server_name: closed, "db.acme.example": closed}
    bench.prober.ensure("a", {"web": WEB})
    bench.prober.ensure("b", {"db": replace(WEB, server_name="db.acme.example")})
    await asyncio.sleep(30)
    assert bench.prober.state("a").unreached == {"web"}
    assert bench.prober.state("b").unreached == {"db"}
    del bench.answers[WEB.server_name]
    await asyncio.sleep(610)
    assert bench.prober.state("a").answered == {"web"}
    assert bench.prober.state("b").failed == {"db": closed}  # others are answered there


async def test_few_targets_have_whole_probes_only(bench: Bench) -> None:
    bench.settings.interval_seconds = 10
    for number in range(20):
        bench.prober.ensure(f"a{number}", {"web": replace(WEB, server_name=f"{number}.example")})
    await asyncio.sleep(60)
    assert len(bench.short) > 100
    assert not any(bench.short)


@thorough
async def test_many_settled_targets_have_short_probes_and_each_eighth_is_whole(bench: Bench) -> None:
    bench.settings.interval_seconds = 10
    for number in range(320):
        bench.prober.ensure(f"a{number}", {"web": replace(WEB, server_name=f"{number}.example")})
    await asyncio.sleep(161)
    settled = bench.short[320:]
    assert sum(settled) / len(settled) == pytest.approx(7 / 8, abs=0.02)
    halves = settled[: len(settled) // 2], settled[len(settled) // 2 :]
    assert sum(halves[0]) == pytest.approx(sum(halves[1]), rel=0.05)  # whole ones are spread
    of_one = [
        short for short, (_, each) in zip(bench.short, bench.sent, strict=True) if each.server_name == "7.example"
    ]
    assert all(False in of_one[start : start + 8] for start in range(len(of_one) - 7))


@thorough
async def test_what_may_have_changed_has_a_whole_probe(bench: Bench) -> None:
    bench.settings.interval_seconds = 10
    for number in range(320):
        bench.prober.ensure(f"a{number}", {"web": replace(WEB, server_name=f"{number}.example")})
    await asyncio.sleep(30)
    before = len(bench.sent)
    bench.answers["7.example"] = BAD
    bench.prober.ensure("a7", {"web": replace(WEB, server_name="7.example")}, token=1)
    await asyncio.sleep(9)
    later = zip(bench.short[before:], bench.sent[before:], strict=True)
    assert [short for short, (_, each) in later if each.server_name == "7.example"][:3] == [False] * 3


@thorough
async def test_settled_records_have_whole_probes_only_while_there_are_few(bench: Bench) -> None:
    def ensure(count: int) -> None:
        for number in range(count):
            record = Record("acme.example", f"e{number}.acme.example", frozenset(), (Server("192.0.2.53"),))
            bench.prober.ensure(f"a{number}/records", {"record": record})

    bench.settings.interval_seconds = 10
    ensure(40)
    await asyncio.sleep(31)
    assert not any(bench.short)
    ensure(320)
    await asyncio.sleep(21)
    settled = bench.short[-320:]
    assert all(settled)
