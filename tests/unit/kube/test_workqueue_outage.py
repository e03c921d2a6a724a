"""Keys that fail together recover together: within a minute after a webhook is back, whatever their number."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from decco.kube.workqueue import RETRIES_PER_SECOND, WorkQueue
from tests.sample import thorough

pytestmark = pytest.mark.looptime


def queue_of(**options: float) -> WorkQueue[int]:
    numbers = itertools.cycle([0.1, 0.5, 0.9])
    return WorkQueue("test", group=str, retry_max_while_few_fail=30.0, jitter=lambda: next(numbers), **options)


class Outage:
    """Workers that fail until it is over; counts the attempts."""

    def __init__(self, queue: WorkQueue[int], count: int) -> None:
        self.queue = queue
        self.tries = 0
        self.over = False
        self.left = set(range(count))
        for number in range(count):
            queue.add(number)
        self.task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            self.tries += 1
            if self.over:
                self.queue.forget(key)
                self.left.discard(key)
            else:
                self.queue.retry(key)
            self.queue.done(key)


@pytest.mark.parametrize("count", [1, 50, pytest.param(700, marks=thorough)])
async def test_all_proceed_within_a_minute_of_an_outage_s_end(count: int) -> None:
    outage = Outage(queue_of(), count)
    await asyncio.sleep(300)
    outage.over = True
    await asyncio.sleep(60)
    assert outage.left == set()
    outage.task.cancel()


@thorough
async def test_many_that_fail_are_retried_at_a_bounded_rate() -> None:
    outage = Outage(queue_of(), 700)
    await asyncio.sleep(300)
    before = outage.tries
    await asyncio.sleep(100)
    assert outage.tries - before <= 100 * RETRIES_PER_SECOND * 1.5
    outage.task.cancel()


async def fail(queue: WorkQueue[int], key: int, times: int = 12) -> None:
    """The key is tried so often, and fails each time; its next retry is in some 30 s then."""
    for _ in range(times):
        queue.add(key)
        assert await queue.get() == key
        queue.retry(key)
        queue.done(key)


async def succeed(queue: WorkQueue[int], key: int) -> None:
    queue.add(key)
    assert await queue.get() == key
    queue.forget(key)
    queue.done(key)


async def test_one_success_hastens_the_others_at_most_once_a_minute() -> None:
    queue = queue_of()
    for key in (1, 2, 3):
        await fail(queue, key)
    await succeed(queue, 1)
    await asyncio.sleep(1)
    assert len(queue) == 2
    for key in sorted([await queue.get(), await queue.get()]):
        queue.retry(key)
        queue.done(key)
    await succeed(queue, 2)
    await asyncio.sleep(1)
    assert len(queue) == 0


async def test_a_key_that_failed_once_or_twice_shows_no_outage() -> None:
    queue = queue_of()
    await fail(queue, 1)
    await fail(queue, 2, times=2)
    await succeed(queue, 2)
    await asyncio.sleep(1)
    assert len(queue) == 0


async def test_a_longest_pause_of_the_settings_holds_for_few_as_well() -> None:
    queue = queue_of(retry_max=5.0)
    assert max(queue.retry(1) for _ in range(20)) <= 5.0 * 1.25
