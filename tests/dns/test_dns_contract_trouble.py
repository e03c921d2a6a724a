"""What every provider must do when calls fail, answers are lost or late, and credentials or clocks are wrong.

A run publishes ten names, leads them elsewhere and withdraws them. With one trouble in it, it has to end in the same
state, with at most twice the calls of a run without, and without a moment in which a name is half published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from _pytest.mark import ParameterSet

from decco.dns.provider import Change, Provider, Zone
from decco.dns.service import Dns
from decco.dns.wrappers.base import Wrapper
from testbed.dns.wire import ANSWERED, Trouble
from tests.dns.lines import Line
from tests.dns.world import OTHER_UID, UID, World, problem, ready, until, wanted_record

LONG_TIMEOUT, SHORT_TIMEOUT = 30.0, 3.0
"""Seconds for a call; the second where an answer never comes, and still long enough for a busy machine."""
NAMES = 10
STORM = 2
"""A run with a trouble may need so many times the calls of one without."""


async def run(
    world: World, provider: Provider, at: Callable[[str], None] = lambda _step: None, timeout: float = LONG_TIMEOUT
) -> int:
    """Publish, move, withdraw; ``at`` receives each step before it begins. Gives the calls of the whole run."""
    world.calls.clear()
    async with world.running(providers=[provider], timeout=timeout) as dns:
        for step, target in (("publish", "192.0.2.1"), ("move", "192.0.2.2")):
            at(step)
            dns.ensure(UID, [wanted_record(world.name(f"n{i}"), target) for i in range(NAMES)])
            await ready(dns, UID)
        at("withdraw")
        dns.release(UID)
        await until(dns, lambda: dns.gone(UID))
    return world.calls.total()


_without: dict[str, int] = {}


async def calls_without_trouble(world: World) -> int:
    """Of a run on such a line; measured once for each service."""
    if world.backend.kind not in _without:
        async with world.backend.line(world.zone) as line:
            _without[world.backend.kind] = await run(world, line.provider)
    return _without[world.backend.kind]


def each_trouble_in_each_step() -> Iterator[ParameterSet]:
    """In the sample each trouble meets the first step, and a lost reply the last one as well."""
    for trouble in Trouble:
        for step in ("publish", "move", "withdraw"):
            sampled = step == "publish" or (trouble, step) == (Trouble.LOST_REPLY, "withdraw")
            marks = () if sampled else (pytest.mark.full,)
            if trouble is not Trouble.CUT:
                yield pytest.param(trouble, step, id=f"{trouble.name.lower()}-{step}", marks=marks)


@pytest.mark.parametrize(("trouble", "step"), list(each_trouble_in_each_step()))
async def test_one_call(world: World, trouble: Trouble, step: str) -> None:
    if trouble in ANSWERED and world.backend.troubles and trouble not in world.backend.troubles:
        pytest.skip(f"not for {world.backend.kind}: its protocol has no such answer")
    without = await calls_without_trouble(world)
    async with world.backend.line(world.zone) as line, world.watched():

        def at(now: str) -> None:
            if now == step:
                line.trouble(trouble, "change")

        calls = await run(world, line.provider, at, SHORT_TIMEOUT if trouble is Trouble.NO_REPLY else LONG_TIMEOUT)
        assert line.quiet()
    assert calls <= STORM * without, world.calls
    assert await world.holds() == {}


class Few(Wrapper):
    """Takes four changes per call."""

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        return min(4, self.inner.fit(zone, changes))


async def test_partial_failure(world: World) -> None:
    """The second of three calls fails: what the first did stays, and what the third has to do is done."""
    async with world.backend.line(world.zone) as line:
        without = await run(world, Few(line.provider))
    async with world.backend.line(world.zone) as line, world.watched():
        line.trouble(Trouble.FAILS, "change", skip=1)
        calls = await run(world, Few(line.provider))
        assert line.quiet()
    assert calls <= STORM * without, world.calls
    assert await world.holds() == {}


@pytest.mark.parametrize("keep", [*(pytest.param(n, marks=pytest.mark.full) for n in (0, 1, 20)), 300])
async def test_truncated_reading(world: World, keep: int) -> None:
    """After a partial read of a zone nothing is published again, and nothing that is no longer desired is forgotten."""
    desired = [wanted_record(world.name(f"n{i}")) for i in range(60)]
    async with world.running() as dns:
        dns.ensure(UID, desired)
        dns.ensure(OTHER_UID, [wanted_record(world.name("left"))])
        await ready(dns, UID, OTHER_UID)
    before = await world.read()

    async def restart(line: Line) -> int:
        world.calls.clear()
        async with world.running(providers=[line.provider]) as again:
            again.ensure(UID, desired)
            await ready(again, UID)
        return world.calls.total()

    async with world.backend.line(world.zone) as line:
        without = await restart(line)
    async with world.backend.line(world.zone) as line:
        line.trouble(Trouble.CUT, "reading", skip=world.backend.lookups, keep=keep)
        assert await restart(line) <= STORM * without, world.calls
        assert line.quiet()
        assert world.calls["apply"] == 0
        assert await world.read() == before
        async with world.running(providers=[line.provider]) as again:
            again.ensure(UID, desired)
            again.ensure(OTHER_UID, [])
            await ready(again, UID)
            await until(again, lambda: not again.state(OTHER_UID).published)
    assert before.keys() - (await world.read()).keys() == {
        (world.name("left"), "A"),
        (world.ownership_name("left"), "TXT"),
    }


async def refused(world: World, dns: Dns) -> None:
    """Expect that nothing can be done, and that the condition says why."""
    dns.ensure(UID, [wanted_record(world.name())])
    said = await problem(dns, UID, world.backend.refusal)
    assert len(said) > 20


async def test_bad_credentials(world: World) -> None:
    async with world.running(providers=[world.backend.stranger(world.zone)]) as dns:
        await refused(world, dns)
        assert world.calls["apply"] == 0
        assert await world.holds() == {}
    async with world.running() as right:
        right.ensure(UID, [wanted_record(world.name())])
        await ready(right, UID)


async def test_clock_skew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the clocks differ nothing is done; when they agree again, it is, without a restart."""
    async with world.running() as dns:
        with world.backend.skewed(monkeypatch):
            await refused(world, dns)
        await ready(dns, UID)
    assert (world.name(), "A") in await world.holds()
