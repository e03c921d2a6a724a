"""The provider that stores no records: for clusters whose DNS is managed elsewhere, such as with one wildcard."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from decco.dns.provider import Change, Outcome, Zone
from decco.dns.records import RecordSet


class NoneProvider:
    """Accepts every change and does nothing; every zone of it is always empty."""

    def __init__(self, name: str, zones: tuple[str, ...]) -> None:
        self.name = name
        self.zone_names = zones

    async def zones(self) -> tuple[Zone, ...]:
        return tuple(Zone(name) for name in self.zone_names)

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        return ()

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        return max(1, len(changes))

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        return [None] * len(changes)

    async def close(self) -> None:
        return
