"""Sockets whose events are taken together."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from decco.probe.gathered import PAUSE_SECONDS, Gathered

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


async def test_an_event_when_it_is_writable_and_for_each_arrival(pair: Pair) -> None:
    ours, theirs = pair
    gathered, seen = Gathered(), 0

    def event() -> None:
        nonlocal seen
        seen += 1

    gathered.add(ours.fileno(), event)
    for expected in (1, 2, 3):
        await asyncio.sleep(4 * PAUSE_SECONDS)
        assert seen == expected
        theirs.send(b"more")
    gathered.remove(ours.fileno())
    await asyncio.sleep(4 * PAUSE_SECONDS)
    assert seen == 3
    gathered.remove(ours.fileno())  # also twice
    gathered.add(ours.fileno(), event)
    await asyncio.sleep(4 * PAUSE_SECONDS)
    assert seen == 4


async def test_an_event_that_raises_does_not_end_the_looks(pair: Pair) -> None:
    ours, theirs = pair
    gathered, raised, seen = Gathered(), [], []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))

    def event() -> None:
        seen.append(True)
        if len(seen) == 1:
            raise ValueError

    gathered.add(ours.fileno(), event)
    await asyncio.sleep(4 * PAUSE_SECONDS)
    theirs.send(b"more")
    await asyncio.sleep(4 * PAUSE_SECONDS)
    assert (len(seen), len(raised)) == (2, 1)
