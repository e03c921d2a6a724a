"""Probes wait for what they need, and each ends as passed, failed or skipped, whatever happens in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from decco.kube.errors import Forbidden, NotServed, Unreachable
from decco.verify import runner
from decco.verify.edge import Refused
from decco.verify.outcome import Failed, NotTested, Outcome, eventually
from decco.verify.probe import Probe, Result
from decco.verify.world import World

NO_WORLD = cast("World", None)


def raising(error: Exception) -> Callable[[Any], Awaitable[None]]:
    async def check(_: Any) -> None:
        raise error

    return check


async def passing(_: Any) -> None:
    await asyncio.sleep(0.01)


async def endless(_: Any) -> None:
    await asyncio.sleep(3600)


def probe(name: str, check: Callable[[Any], Awaitable[None]], *after: str, seconds: float = 5) -> Probe:
    return Probe(name, "text", "verify-route", check, after=after, seconds=seconds)


async def ran(*probes: Probe, without: str = "", seconds: float = 60) -> dict[str, Result]:
    seen: list[Result] = []
    chosen = {each.name for each in probes} - {without}
    results = await runner.run(probes, NO_WORLD, chosen, seen.append, seconds)
    assert [each.probe.name for each in results] == [each.name for each in probes]
    assert {each.probe.name for each in seen} == chosen
    return {each.probe.name: each for each in results}


async def test_an_edge_that_does_not_answer_fails_the_probe_and_not_the_run() -> None:
    found = await ran(probe("a/silent", raising(Refused("no answer within 6 s"))), probe("a/other", passing))
    assert (found["a/silent"].outcome, found["a/silent"].code) == (Outcome.FAILED, "DECCO-0806")
    assert found["a/silent"].text == "the edge does not answer: no answer within 6 s"
    assert found["a/other"].outcome is Outcome.PASSED


async def test_what_needs_a_failed_probe_is_skipped_with_its_name() -> None:
    found = await ran(
        probe("a/last", passing, "a/middle"),
        probe("a/middle", passing, "a/first"),
        probe("a/first", raising(Failed("broken"))),
        probe("a/other", passing),
    )
    assert (found["a/first"].outcome, found["a/first"].text) == (Outcome.FAILED, "broken")
    assert found["a/middle"].text == "it needs a/first, which failed"
    assert found["a/last"].text == "it needs a/middle, which was skipped"
    assert found["a/other"].outcome is Outcome.PASSED
    assert Outcome.PASSED not in {found["a/middle"].outcome, found["a/last"].outcome}


@pytest.mark.parametrize(
    ("error", "outcome", "text"),
    [
        (NotTested("no provider"), Outcome.SKIPPED, "no provider"),
        (Forbidden(403, "Forbidden", "cannot create"), Outcome.SKIPPED, "cannot create"),
        (NotServed(404, "NotFound", "no such kind"), Outcome.SKIPPED, "no such kind"),
        (Unreachable("refused"), Outcome.FAILED, "refused"),
    ],
    ids=lambda each: type(each).__name__,
)
async def test_errors_have_outcomes(error: Exception, outcome: Outcome, text: str) -> None:
    result = (await ran(probe("a/x", raising(error))))["a/x"]
    assert result.outcome is outcome
    assert text in result.text


async def test_limits() -> None:
    found = await ran(probe("a/x", endless, seconds=0.05), probe("a/y", endless), seconds=0.1)
    assert {each.outcome for each in found.values()} == {Outcome.FAILED}
    assert "no result within" in found["a/x"].text


async def test_a_probe_that_is_left_out_is_skipped_and_so_is_what_needs_it() -> None:
    found = await ran(probe("a/x", passing), probe("b/y", passing, "a/x"), without="a/x")
    assert found["a/x"].text == "left out by the command line"
    assert found["b/y"].text == "it needs a/x, which was skipped"


async def test_behind_waits_for_the_end_whatever_became_of_it() -> None:
    order: list[str] = []

    def noting(name: str, error: Exception | None = None) -> Callable[[Any], Awaitable[None]]:
        async def check(_: Any) -> None:
            await asyncio.sleep(0.02 if error else 0)
            order.append(name)
            if error is not None:
                raise error

        return check

    last = Probe("a/last", "text", "verify-route", noting("last"), behind=("a/broken", "a/skipped"))
    found = await ran(last, probe("a/broken", noting("broken", Failed("x"))), probe("a/skipped", passing, "a/broken"))
    assert order == ["broken", "last"]
    assert found["a/last"].outcome is Outcome.PASSED


async def test_an_end_ends_the_probes() -> None:
    ended: list[str] = []

    async def check(_: Any) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("ended")

    task = asyncio.create_task(ran(probe("a/x", check)))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["ended"]


async def test_the_code_is_that_of_the_cause() -> None:
    found = await ran(
        probe("a/x", raising(Failed("text", "SecretMissing"))),
        probe("a/y", raising(Failed("text"))),
        probe("a/z", raising(Failed("text", "WaitingForEdge"))),
    )
    assert found["a/x"].code.startswith("DECCO-01")
    assert found["a/y"].code == "DECCO-0806"
    assert found["a/x"].hint
    assert found["a/y"].hint
    assert found["a/z"].hint, "a reason that ends by itself has no action"


async def test_eventually_returns_the_first_success_and_raises_the_last_failure() -> None:
    tries = iter([Failed("first"), Failed("second"), None])

    async def check() -> str:
        error = next(tries)
        if error is not None:
            raise error
        return "done"

    assert await eventually(check, 5) == "done"
    with pytest.raises(Failed, match="always"):
        await eventually(lambda: raising(Failed("always"))(None), 0.01)
