"""The contract of a reconcile: what each result and each error leads to, and that one key's defect is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from itertools import pairwise
from typing import Any

import pytest

from decco import log
from decco.errors import ReconcileError, TerminalError
from decco.kube.controller import Action, Controller, Postponed
from decco.kube.errors import Conflict, Forbidden, Unreachable
from decco.kube.workqueue import WorkQueue
from tests.capture import capture_logs

pytestmark = pytest.mark.looptime

Reconcile = Callable[[str], Awaitable[Action]]
CONFLICT = Conflict(409, "Conflict", "the object has been modified")


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    """The log lines of the test."""
    with capture_logs() as captured:
        yield captured


class Harness:
    """A controller under way, and what it did."""

    def __init__(self, reconcile: Reconcile, *, workers: int = 1) -> None:
        self.reconciles: list[tuple[str, float]] = []
        self.results: list[tuple[str, str, float]] = []
        self.bound: list[tuple[str, str]] = []
        self.queue: WorkQueue[str] = WorkQueue("test", group=lambda _: "", retry_base=1.0, jitter=lambda: 0.5)
        self._reconcile = reconcile
        self.controller = Controller(
            self.queue,
            self._record,
            workers=workers,
            observer=self,
        )

    async def _record(self, key: str) -> Action:
        _, controller, bound = log._current.get() or (0, "", "")
        self.bound.append((controller, str(bound)))
        self.reconciles.append((key, round(asyncio.get_running_loop().time(), 2)))
        return await self._reconcile(key)

    def reconciled(self, controller: str, result: str, seconds: float) -> None:
        self.results.append((controller, result, round(seconds, 2)))

    async def run_for(self, seconds: float) -> None:
        """Lets the controller work for a while; time flies."""
        task = asyncio.create_task(self.controller.run())
        await asyncio.sleep(seconds)
        self.queue.close()
        await task


def raising(*errors: BaseException | Action) -> Reconcile:
    """A reconcile that meets one after the other, and then has nothing more to do."""
    remaining = list(errors)

    async def reconcile(_: str) -> Action:
        outcome = remaining.pop(0) if remaining else Action()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return reconcile


OUTCOMES: dict[str, tuple[BaseException | Action, str, list[float], str]] = {
    # outcome -> its result, the times of all reconciles, the log levels of its lines
    "done": (Action(), "success", [0.0], ""),
    "again in a while": (Action(requeue_after=7), "requeue", [0.0, 7.0], ""),
    "again at once": (Action(requeue_after=0), "requeue", [0.0, 0.0], ""),
    "conflict": (CONFLICT, "conflict", [0.0, 0.0], "debug"),
    "terminal": (TerminalError("only a change helps"), "terminal", [0.0], "warning"),
    "an error of ours": (ReconcileError("not yet"), "error", [0.0, 1.0], "warning info"),
    "an API error": (Forbidden(403, "Forbidden", "no"), "error", [0.0, 1.0], "warning info"),
    "no server": (Unreachable("refused"), "error", [0.0, 1.0], "warning info"),
    "a defect": (KeyError("spec"), "error", [0.0, 1.0], "error"),
    "a group of errors": (ExceptionGroup("several", [CONFLICT]), "error", [0.0, 1.0], "error"),
    "a cancellation from below": (asyncio.CancelledError(), "error", [0.0, 1.0], "error"),
}


@pytest.mark.parametrize("name", OUTCOMES)
async def test_outcome(name: str, lines: list[MutableMapping[str, Any]]) -> None:
    outcome, result, times, levels = OUTCOMES[name]
    harness = Harness(raising(outcome))
    harness.queue.add("a")
    await harness.run_for(60)
    assert [at for _, at in harness.reconciles] == times
    assert [found for _, found, _ in harness.results] == [result, "success"][: len(times)]
    assert [line["log_level"] for line in lines] == levels.split()
    assert all(line["key"] == "a" and line["controller"] == "test" for line in lines)
    assert harness.queue.retry("a") == 1.0, "the last reconcile succeeded: failures are forgotten"


async def test_a_problem_is_logged_once_as_a_warning(lines: list[MutableMapping[str, Any]]) -> None:
    noted = Unreachable("refused")
    noted.add_note("while writing Service a/b")
    harness = Harness(raising(Unreachable("refused"), Unreachable("refused"), noted, Unreachable("reset")))
    harness.queue.add("a")
    await harness.run_for(60)
    assert [(line["log_level"], line.get("error", line["event"])) for line in lines] == [
        ("warning", "refused"),
        ("debug", "refused"),
        ("warning", "refused while writing Service a/b"),
        ("warning", "reset"),
        ("info", "reconcile works again"),
    ]


async def test_failures_come_back_ever_later_until_one_goes_well() -> None:
    harness = Harness(raising(ReconcileError("1"), ValueError("2"), OSError("3"), Action(), ReconcileError("5")))
    harness.queue.add("a")
    task = asyncio.create_task(harness.run_for(100))
    await asyncio.sleep(50)
    harness.queue.add("a")
    await task
    assert [at for _, at in harness.reconciles] == [0.0, 1.0, 3.0, 7.0, 50.0, 51.0]


async def test_a_conflict_is_retried_at_once_and_does_not_count_as_a_failure() -> None:
    harness = Harness(raising(CONFLICT, ReconcileError("1"), CONFLICT, CONFLICT, ReconcileError("2")))
    harness.queue.add("a")
    await harness.run_for(100)
    assert [at for _, at in harness.reconciles] == [0.0, 0.0, 1.0, 1.0, 1.0, 3.0]


async def test_two_writers_who_undo_each_other_s_work_do_not_spin() -> None:
    harness = Harness(raising(*[CONFLICT] * 1000))
    harness.queue.add("a")
    await harness.run_for(600)
    times = [at for _, at in harness.reconciles]
    assert times[:8] == [0.0, 0.0, 0.0, 0.0, 0.05, 0.15, 0.35, 0.75]
    pauses = [round(later - earlier, 2) for earlier, later in pairwise(times)]
    assert pauses == sorted(pauses)
    assert max(pauses) == 5.0, "never the pause of a failure, which grows to five minutes"
    assert len(times) < 140


async def test_a_change_does_not_wait_for_the_retry() -> None:
    harness = Harness(raising(ReconcileError("1"), ReconcileError("2")))
    harness.queue.add("a")
    task = asyncio.create_task(harness.run_for(100))
    await asyncio.sleep(0.5)
    harness.queue.add("a")
    await task
    # At once, in place of the first retry; the second failure waits longer.
    assert [at for _, at in harness.reconciles] == [0.0, 0.5, 2.5]


async def test_a_terminal_error_waits_for_a_change_and_begins_again() -> None:
    harness = Harness(raising(ReconcileError("1"), TerminalError("2"), ReconcileError("3")))
    harness.queue.add("a")
    task = asyncio.create_task(harness.run_for(500))
    await asyncio.sleep(200)
    harness.queue.add("a")
    await task
    assert [at for _, at in harness.reconciles] == [0.0, 1.0, 200.0, 201.0]


async def test_one_key_that_always_fails_stops_no_other(lines: list[MutableMapping[str, Any]]) -> None:
    async def reconcile(key: str) -> Action:
        if key == "bad":
            raise ZeroDivisionError
        return Action()

    harness = Harness(reconcile)
    for key in ("bad", "a", "b"):
        harness.queue.add(key)
    await harness.run_for(600)
    served = [key for key, _ in harness.reconciles]
    assert {"a", "b"} <= set(served)
    assert served.count("bad") == 10  # at 0, 1, 3, 7, 15, 31, 63, 127, 255, 511 s: doubling, never given up
    assert all(line["exc_info"] for line in lines), "a defect is logged whole"


async def test_workers_work_side_by_side_but_never_on_one_key() -> None:
    running: set[str] = set()
    most = 0

    async def reconcile(key: str) -> Action:
        nonlocal most
        assert key not in running
        running.add(key)
        most = max(most, len(running))
        await asyncio.sleep(1)
        running.remove(key)
        return Action()

    harness = Harness(reconcile, workers=4)
    task = asyncio.create_task(harness.run_for(100))
    for _ in range(5):
        for number in range(10):
            harness.queue.add(str(number))
        await asyncio.sleep(0.3)
    await task
    assert most == 4
    assert {result for _, result, _ in harness.results} == {"success"}


async def test_close_lets_what_runs_finish() -> None:
    finished = []

    async def reconcile(key: str) -> Action:
        await asyncio.sleep(3)
        finished.append(key)
        return Action(requeue_after=5)

    harness = Harness(reconcile, workers=2)
    for key in ("a", "b", "c"):
        harness.queue.add(key)
    await harness.run_for(1)
    assert sorted(finished) == ["a", "b"]
    assert (harness.queue.processing, harness.queue.waiting) == (0, 0)


async def test_cancelled_it_cancels_what_runs() -> None:
    ended = asyncio.Event()

    async def reconcile(_: str) -> Action:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.set()
        return Action()

    harness = Harness(reconcile)
    harness.queue.add("a")
    task = asyncio.create_task(harness.controller.run())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert harness.queue.processing == 0


async def test_it_reports_the_duration_of_each_reconcile_and_binds_its_key() -> None:
    async def reconcile(_: str) -> Action:
        await asyncio.sleep(2.5)
        return Action()

    harness = Harness(reconcile)
    harness.queue.add("a")
    harness.queue.add("b")
    await harness.run_for(10)
    assert harness.results == [("test", "success", 2.5), ("test", "success", 2.5)]
    assert harness.bound == [("test", "a"), ("test", "b")]


async def test_what_is_postponed_is_no_failure_and_waits_behind_the_others() -> None:
    queue: WorkQueue[str] = WorkQueue("postponed", group=lambda key: key)
    done: list[str] = []

    async def reconcile(key: str) -> Action:
        if key == "noisy" and not done.count("noisy"):
            done.append("noisy")
            raise Postponed(2.0)
        done.append(key)
        return Action()

    controller = Controller(queue, reconcile, workers=1)
    running = asyncio.create_task(controller.run())
    queue.add("noisy")
    await asyncio.sleep(1.9)
    queue.add("calm")
    await asyncio.sleep(0.2)
    assert done == ["noisy", "calm", "noisy"]
    assert not queue._failures
    queue.close()
    await running
