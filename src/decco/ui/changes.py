"""Counts changes: what depends on the state of the cluster is computed again only for a higher number.

A burst of changes counts once. Readers wait for the next number, so they need no queue, however slow they are.
"""

from __future__ import annotations

import asyncio

GATHER_SECONDS = 0.3
"""How long changes are gathered before they count: a rollout changes many objects, and a page is drawn once."""


class Changes:
    def __init__(self, gather_seconds: float = GATHER_SECONDS) -> None:
        self.number = 0
        self._gather = gather_seconds
        self._due: asyncio.TimerHandle | None = None
        self._next = asyncio.Event()

    def note(self) -> None:
        """Something has changed."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(self._gather, self._count)

    async def after(self, number: int) -> int:
        """Waits until the number is not ``number`` any more, and returns it."""
        while self.number == number:
            await self._next.wait()
        return self.number

    def _count(self) -> None:
        self._due = None
        self.number += 1
        self._next.set()
        self._next = asyncio.Event()
