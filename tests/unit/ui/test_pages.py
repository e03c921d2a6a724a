"""When an answer is computed: once for all who request it, and not again and again for a busy cluster."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from decco.objects import Obj
from decco.ui import pages as module
from decco.ui.changes import Changes
from decco.ui.pages import MOST_ANSWERS, Pages


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class StillCluster:
    def __init__(self) -> None:
        self.changes = Changes(0)


class Computed:
    """Counts its calls; each takes ``seconds`` on the clock."""

    def __init__(self, clock: Clock, seconds: float = 0.0) -> None:
        self.calls, self.clock, self.seconds = 0, clock, seconds

    async def __call__(self) -> Obj:
        self.calls += 1
        await asyncio.sleep(0)
        self.clock.now += self.seconds
        return {"calls": self.calls}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


def made() -> tuple[Pages, Any]:
    cluster: Any = StillCluster()
    return Pages(cluster, None), cluster


async def changed(cluster: Any) -> None:
    number = cluster.changes.number
    cluster.changes.note()
    await cluster.changes.after(number)


async def test_one_computation_for_all_tabs(clock: Clock) -> None:
    pages, cluster = made()
    computed = Computed(clock)
    answers = await asyncio.gather(*(pages._once("graph", "", computed) for _ in range(20)))
    assert set(answers) == {b'{"calls":1}'}
    await changed(cluster)
    assert await pages._once("graph", "", computed) == b'{"calls":2}'


async def test_what_took_long_rests_and_is_computed_in_the_end(clock: Clock) -> None:
    pages, cluster = made()
    computed = Computed(clock, seconds=5.0)
    await pages._once("graph", "", computed)
    await changed(cluster)
    clock.now += 9.0
    assert await pages._once("graph", "", computed) == b'{"calls":1}'
    assert pages._reminder is not None
    clock.now += 2.0
    assert await pages._once("graph", "", computed) == b'{"calls":2}'


async def test_an_answer_ages(clock: Clock) -> None:
    """The days that are left, and what DNS answers, change without the cluster."""
    pages, _ = made()
    computed = Computed(clock)
    await pages._once("space", "a", computed)
    clock.now += module.KEPT_SECONDS - 1
    assert await pages._once("space", "a", computed) == b'{"calls":1}'
    clock.now += 2
    assert await pages._once("space", "a", computed) == b'{"calls":2}'


async def test_an_error_is_not_kept(clock: Clock) -> None:
    pages, _ = made()

    async def fails() -> Obj:
        raise ValueError("once")

    with pytest.raises(ValueError, match="once"):
        await pages._once("space", "a", fails)
    assert await pages._once("space", "a", Computed(clock)) == b'{"calls":1}'


async def test_a_closed_tab_ends_no_computation_of_others(clock: Clock) -> None:
    pages, _ = made()
    computed = Computed(clock)
    leaving = asyncio.create_task(pages._once("graph", "", computed))
    staying = asyncio.create_task(pages._once("graph", "", computed))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == b'{"calls":1}'


async def test_answers_are_few(clock: Clock) -> None:
    pages, _ = made()
    for number in range(3 * MOST_ANSWERS):
        await pages._once("space", str(number), Computed(clock))
    assert len(pages._answers) == MOST_ANSWERS
