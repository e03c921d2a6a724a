"""Limits the duration of every call; a change that times out is reported as uncertain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Sequence
from typing import TypeVar

from decco.dns.errors import ProviderUnreachable
from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.records import RecordSet
from decco.dns.wrappers.base import Wrapper

T = TypeVar("T")
READ_FACTOR = 10
"""Reading a zone may take this many times the limit of a change."""


class Deadline(Wrapper):
    def __init__(self, inner: Provider, seconds: float) -> None:
        super().__init__(inner)
        self._seconds = seconds

    async def zones(self) -> tuple[Zone, ...]:
        return await self._within(self._seconds, self.inner.zones(), uncertain=False)

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        return await self._within(self._seconds * READ_FACTOR, self.inner.records(zone, names), uncertain=False)

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        return await self._within(self._seconds, self.inner.apply(zone, changes), uncertain=True)

    async def _within(self, seconds: float, call: Awaitable[T], *, uncertain: bool) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await call
        except TimeoutError as error:
            raise ProviderUnreachable(
                f"the provider {self.name} did not answer within {seconds:g} s", uncertain=uncertain
            ) from error
