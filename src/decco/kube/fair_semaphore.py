"""How many requests are under way at once, and who of those that wait is next."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_OF_SPACE = re.compile(r"/(?:namespaces|spaces)/([^/?]+)")


def group_of(path: str) -> str:
    """The group of a request: its Space, which has the name of its namespace; "" for the cluster."""
    found = _OF_SPACE.search(path)
    return found[1] if found else ""


class FairSemaphore:
    """A semaphore that serves the groups of its waiters round robin, and the waiters of a group in their order.

    An App of one Space may have fifty children to write. In one queue each request of another Space would wait for all
    that such Apps have begun.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """The waiters of each group; the group that is served next is first."""

    @asynccontextmanager
    async def slot(self, group: str) -> AsyncIterator[None]:
        await self._take(group)
        try:
            yield
        finally:
            self._give()

    async def _take(self, group: str) -> None:
        if self._free:
            self._free -= 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(group, deque()).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._leave(group, waiter)
            else:
                self._give()  # it was given a slot in the same moment
            raise

    def _give(self) -> None:
        while self._waiting:
            group = next(iter(self._waiting))
            waiters = self._waiting.pop(group)
            waiter = waiters.popleft()
            if waiters:
                self._waiting[group] = waiters  # behind the other groups
            if not waiter.done():  # else it was cancelled in the same moment
                waiter.set_result(None)
                return
        self._free += 1

    def _leave(self, group: str, waiter: asyncio.Future[None]) -> None:
        waiters = self._waiting.get(group, deque())
        if waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._waiting[group]
