"""A key that is added without pause is processed at a steady pace; its last state is processed, others do not wait."""

from __future__ import annotations

import asyncio

import pytest

from decco.kube.workqueue import CLOCK_SECONDS, Closed, Priority, WorkQueue

pytestmark = pytest.mark.looptime
BURST, SECONDS = 4, 0.08
WORK = 0.005


class Worker:
    """Processes the queue's keys, and records when each began."""

    def __init__(self, queue: WorkQueue[str]) -> None:
        self.queue = queue
        self.began: list[tuple[str, float]] = []

    async def run(self) -> None:
        while True:
            try:
                key = await self.queue.get()
            except Closed:
                return
            self.began.append((key, asyncio.get_running_loop().time()))
            await asyncio.sleep(WORK)
            self.queue.done(key)

    def times(self, key: str) -> list[float]:
        return [when for each, when in self.began if each == key]


def queue_of() -> WorkQueue[str]:
    return WorkQueue("test", group=lambda key: key, key_budget=(BURST, SECONDS))


async def test_a_key_that_is_edited_without_pause_has_a_pace() -> None:
    queue = queue_of()
    worker = Worker(queue)
    task = asyncio.create_task(worker.run())
    for _ in range(1000):
        queue.add("a", Priority.EDIT)
        await asyncio.sleep(0.01)
    last = asyncio.get_running_loop().time()
    await asyncio.sleep(1)
    times = worker.times("a")
    assert 10 / SECONDS * 0.95 <= len(times) <= BURST + 10 / SECONDS + 1
    assert last - 0.01 <= times[-1] <= last + SECONDS + CLOCK_SECONDS, "the last edit is not lost, and not late"
    queue.close()
    await task


async def test_a_few_edits_have_no_pause_and_neither_has_another_key() -> None:
    queue = queue_of()
    worker = Worker(queue)
    task = asyncio.create_task(worker.run())
    start = asyncio.get_running_loop().time()
    for _ in range(BURST):
        queue.add("a")
        await asyncio.sleep(WORK)
    await asyncio.sleep(0)
    assert worker.times("a") == [pytest.approx(start + WORK * number) for number in range(BURST)]
    queue.add("a")
    queue.add("b")
    await asyncio.sleep(0.001)
    assert len(worker.times("a")) == BURST
    assert len(worker.times("b")) == 1
    await asyncio.sleep(1)
    assert len(worker.times("a")) == BURST + 1
    queue.add("a")
    await asyncio.sleep(0.001)
    assert len(worker.times("a")) == BURST + 2, "after a while without edits it is served at once again"
    queue.close()
    await task


async def test_an_edit_during_the_pause_keeps_its_priority() -> None:
    queue = queue_of()
    for _ in range(BURST):
        queue.add("a")
        queue.done(await queue.get())
    queue.add("a", Priority.LIST)
    queue.add("a", Priority.EDIT)
    queue.add("a", Priority.CHANGE)
    await asyncio.sleep(1)
    queue.add("b", Priority.CHANGE)
    assert [await queue.get(), await queue.get()] == ["a", "b"]


async def test_what_is_done_leaves_nothing_behind() -> None:
    queue = queue_of()
    for _ in range(BURST):
        queue.add("a")
        queue.done(await queue.get())
    queue.add("a")
    assert (len(queue), queue.waiting) == (0, 1)
    await asyncio.sleep(1)
    queue.done(await queue.get())
    assert not queue._paced
    for _ in range(BURST):
        queue.add("a")
        if len(queue):
            queue.done(await queue.get())
    queue.add("a")
    queue.close()
    assert not queue._paced
    assert queue.waiting == 0
