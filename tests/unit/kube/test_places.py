"""Places for requests: a limit, and turns of those who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from random import Random

import pytest

from decco.kube.places import Places, group_of


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


async def _order(places: Places, groups: Iterable[str]) -> list[str]:
    """In which order these are served, one place being taken while they come."""
    served: list[str] = []

    async def one(name: str) -> None:
        async with places.place(name[0]):
            served.append(name)
            await asyncio.sleep(0)

    async with places.place("first"):
        tasks = [asyncio.create_task(one(name)) for name in groups]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return served


async def test_a_space_with_many_requests_does_not_delay_another() -> None:
    served = await _order(Places(1), [*(f"a{number}" for number in range(50)), "b0", "c0", "b1"])
    assert served[:6] == ["a0", "b0", "c0", "a1", "b1", "a2"]
    assert served[6:] == [f"a{number}" for number in range(3, 50)]


async def test_a_waiter_that_is_cancelled_takes_no_place() -> None:
    places = Places(1)
    async with places.place("a"):
        leaving = asyncio.create_task(_order(places, ()))
        staying = asyncio.create_task(_order(places, ()))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
    await asyncio.wait_for(staying, 5)
    assert leaving.cancelled()
    assert await _order(places, ["b"]) == ["b"]


async def test_a_place_that_is_given_in_the_moment_of_the_cancellation_goes_on() -> None:
    places = Places(1)

    async def wait() -> None:
        async with places.place("a"):
            await asyncio.sleep(0)

    async with places.place("a"):
        leaving = asyncio.create_task(wait())
        await asyncio.sleep(0)
    leaving.cancel()  # its place is its already, and it has not run yet
    await asyncio.gather(leaving, return_exceptions=True)
    assert await asyncio.wait_for(_order(places, ["b"]), 5) == ["b"]


@pytest.mark.parametrize("seed", range(20))
async def test_never_more_than_the_limit_and_nobody_is_forgotten(seed: int) -> None:
    random, limit = Random(seed), 3
    places, under_way, most, served = Places(limit), 0, 0, 0

    async def one(group: str) -> None:
        nonlocal under_way, most, served
        async with places.place(group):
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
    assert await asyncio.wait_for(_order(places, ["d"] * 5), 5) == ["d"] * 5


async def test_thousands_that_are_cancelled_at_once_keep_no_place() -> None:
    """As at the end of a leader session, in the same turn of the loop in which a request ends."""
    places = Places(1)
    async with places.place("a"):
        leaving = [asyncio.create_task(_order(places, ())) for _ in range(5000)]
        await asyncio.sleep(0)
        for each in leaving:
            each.cancel()
    await asyncio.wait(leaving)
    assert all(each.cancelled() for each in leaving)
    assert await asyncio.wait_for(_order(places, ["b0"]), 5) == ["b0"]
