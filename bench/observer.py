"""What an outsider sees of a cluster: watches of whole collections, from which the benchmarks take their times.

All contenders are observed in this way, so that what an observer costs is the same for all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import aiohttp
import orjson

Obj = dict[str, Any]
OnEvent = Callable[[str, str, Obj, float], None]
"""Receives the collection, the type of the event, the object, and when its line was read (``time.monotonic``)."""
_LIMIT_SECONDS = 3600.0


class WatchEnded(RuntimeError):
    """The API server ended a watch, so events may be missing."""


@asynccontextmanager
async def following(
    http: aiohttp.ClientSession, collections: Iterable[str], on_event: OnEvent, selector: str = ""
) -> AsyncIterator[None]:
    """Watches these collections (paths) from now on; the block begins when all watches are open.

    Raises WatchEnded out of the block, which is cancelled then.
    """
    async with asyncio.TaskGroup() as group:
        opened: list[asyncio.Event] = []
        tasks = []
        for collection in collections:
            opened.append(asyncio.Event())
            tasks.append(group.create_task(_follow(http, collection, selector, on_event, opened[-1])))
        for each in opened:
            await each.wait()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _follow(
    http: aiohttp.ClientSession, collection: str, selector: str, on_event: OnEvent, opened: asyncio.Event
) -> None:
    async with http.get(f"{collection}?limit=1") as answer:
        answer.raise_for_status()
        version = orjson.loads(await answer.read())["metadata"]["resourceVersion"]
    query = f"watch=1&resourceVersion={version}{'&' if selector else ''}{selector}"
    async with http.get(f"{collection}?{query}", timeout=aiohttp.ClientTimeout(_LIMIT_SECONDS)) as answer:
        answer.raise_for_status()
        opened.set()
        async for line in answer.content:
            when = time.monotonic()
            event = orjson.loads(line)
            if event["type"] == "ERROR":
                raise WatchEnded(f"{collection}: {event['object']}")
            on_event(collection, event["type"], event["object"], when)
    raise WatchEnded(f"{collection}: the watch ended")


async def every(
    seconds: float, stop: Callable[[], bool] = lambda: False, most: float = inf
) -> AsyncGenerator[int, None]:
    """Numbers at a steady pace, ``most`` of them or until ``stop``; a slow consumer gets the late ones at once, so the
    rate holds.
    """
    started, number = time.monotonic(), 0
    while number < most and not stop():
        yield number
        number += 1
        await asyncio.sleep(max(0.0, started + number * seconds - time.monotonic()))
