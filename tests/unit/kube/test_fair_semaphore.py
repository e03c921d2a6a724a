"""Slots for requests: a limit, and round robin over the groups of those that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from random import Random

import pytest

from decco.kube.fair_semaphore import FairSemaphore, group_of


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("/api/v1/namespaces/a/services/b?x=y", "a"),
        ("/api/v1/namespaces/a", "a"),
        ("/api/v1/namespaces?fieldManager=decco", ""),
        ("/apis/decco.platform9.com/v1beta2/namespaces/a/apps/b/status", "a"),
        ("/apis/decco.platform9.com/v1beta2/spaces/a/status", "a"),
        ("/apis/decco.platform9.com/v1beta2/spaces?limit=500", ""),
    ],
)
def test_a_request_is_of_its_space(path: str, group: str) -> None:
    assert group_of(path) == group


async def _order(semaphore: FairSemaphore, groups: Iterable[str]) -> list[str]:
    """In which order these are served, one slot being taken while they come."""
    served: list[str] = []

    async def one(name: str) -> None:
        async with semaphore.slot(name[0]):
            served.append(name)
            await asyncio.sleep(0)

    async with semaphore.slot("first"):
        tasks = [asyncio.create_task(one(name)) for name in groups]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return served


async def test_a_space_with_many_requests_does_not_delay_another() -> None:
    served = await _order(FairSemaphore(1), [*(f"a{number}" for number in range(50)), "b0", "c0", "b1"])
    assert served[:6] == ["a0", "b0", "c0", "a1", "b1", "a2"]
    assert served[6:] == [f"a{number}" for number in range(3, 50)]


async def test_a_waiter_that_is_cancelled_takes_no_slot() -> None:
    semaphore = FairSemaphore(1)
    async with semaphore.slot("a"):
        leaving = asyncio.create_task(_order(semaphore, ()))
        staying = asyncio.create_task(_order(semaphore, ()))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
    await asyncio.wait_for(staying, 5)
    assert leaving.cancelled()
    assert await _order(semaphore, ["b"]) == ["b"]


async def test_a_slot_that_is_given_in_the_moment_of_the_cancellation_goes_on() -> None:
    semaphore = FairSemaphore(1)

    async def wait() -> None:
        async with semaphore.slot("a"):
            await asyncio.sleep(0)

    async with semaphore.slot("a"):
        leaving = asyncio.create_task(wait())
        await asyncio.sleep(0)
    leaving.cancel()  # its slot is its already, and it has not run yet
    await asyncio.gather(leaving, return_exceptions=True)
    assert await asyncio.wait_for(_order(semaphore, ["b"]), 5) == ["b"]


@pytest.mark.parametrize("seed", range(20))
async def test_never_more_than_the_limit_and_nobody_is_forgotten(seed: int) -> None:
    random, limit = Random(seed), 3
    semaphore, under_way, most, served = FairSemaphore(limit), 0, 0, 0

    async def one(group: str) -> None:
        nonlocal under_way, most, served
        async with semaphore.slot(group):
            under_way += 1
            most = max(most, under_way)
            try:
                for _ in range(random.randrange(3)):
                    await asyncio.sleep(0)
            finally:
                under_way -= 1
        served += 1

    tasks = []
    for _ in range(60):
        tasks.append(asyncio.create_task(one(random.choice("abc"))))
        if random.random() < 0.3:
            await asyncio.sleep(0)
        if random.random() < 0.3:
            random.choice(tasks).cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    cancelled = sum(isinstance(each, asyncio.CancelledError) for each in done)
    assert (most, under_way, served) == (limit, 0, len(tasks) - cancelled)
    assert await asyncio.wait_for(_order(semaphore, ["d"] * 5), 5) == ["d"] * 5


async def test_thousands_that_are_cancelled_at_once_keep_no_slot() -> None:
    """As at the end of a leader session, in the same turn of the loop in which a request ends."""
    semaphore = FairSemaphore(1)
    async with semaphore.slot("a"):
        leaving = [asyncio.create_task(_order(semaphore, ())) for _ in range(5000)]
        await asyncio.sleep(0)
        for each in leaving:
            each.cancel()
    await asyncio.wait(leaving)
    assert all(each.cancelled() for each in leaving)
    assert await asyncio.wait_for(_order(semaphore, ["b0"]), 5) == ["b0"]
