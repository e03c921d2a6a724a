"""Sockets of short probes, whose events are taken together.

Nobody waits for a short probe. So the process does not wake up for each packet: it takes all that has arrived, some
hundredths of a second later. At 60 probes a second waking up is most of what they cost.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

PAUSE_SECONDS = 0.02
"""Interval between two polls of the sockets, while there are any."""


class Gathered:
    """Sockets by descriptor."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._events: dict[int, Callable[[], None]] = {}
        self._scheduled = False

    def add(self, fd: int, event: Callable[[], None]) -> None:
        """Calls ``event`` after the socket has become writable, and after something has arrived: it reads all of it."""
        self._poll.register(fd, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        self._events[fd] = event
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._poll_sockets)

    def remove(self, fd: int) -> None:
        """To be called before the socket is closed."""
        if self._events.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def _poll_sockets(self) -> None:
        try:
            for fd, _ in self._poll.poll(0):
                if (event := self._events.get(fd)) is not None:
                    event()
        finally:  # a defect in one probe does not end all others
            self._scheduled = bool(self._events)
            if self._scheduled:
                asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._poll_sockets)
