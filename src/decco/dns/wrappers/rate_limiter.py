"""Delays calls so that they stay below the rate limit of the provider."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.records import RecordSet
from decco.dns.wrappers.base import Wrapper


class RateLimiter(Wrapper):
    """At most ``per_second`` calls a second on average, and up to ``burst`` at once after an idle time."""

    def __init__(self, inner: Provider, per_second: float, burst: int = 1) -> None:
        super().__init__(inner)
        self._gap = 1 / per_second
        self._slack = (burst - 1) * self._gap
        self._next = float("-inf")

    async def zones(self) -> tuple[Zone, ...]:
        await self._acquire()
        return await self.inner.zones()

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        await self._acquire()
        return await self.inner.records(zone, names)

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        await self._acquire()
        return await self.inner.apply(zone, changes)

    async def _acquire(self) -> None:
        now = asyncio.get_running_loop().time()
        start = max(self._next, now - self._slack)
        self._next = start + self._gap
        if start > now:
            await asyncio.sleep(start - now)
