"""The base class of all wrappers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.records import RecordSet


class Wrapper:
    """Forwards every call to ``inner``; subclasses override single calls."""

    def __init__(self, inner: Provider) -> None:
        self.inner = inner

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def zone_names(self) -> tuple[str, ...]:
        return self.inner.zone_names

    async def zones(self) -> tuple[Zone, ...]:
        return await self.inner.zones()

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        return await self.inner.records(zone, names)

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        return self.inner.fit(zone, changes)

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        return await self.inner.apply(zone, changes)

    async def close(self) -> None:
        await self.inner.close()
