"""The provider that stores no records: for clusters whose DNS is managed elsewhere, such as with one wildcard."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from decco.dns.provider import Change, Context, Outcome, ProviderBase, Zone
from decco.dns.providers.none.settings import Settings
from decco.dns.records import RecordSet


class NoneProvider(ProviderBase):
    """Accepts every change and does nothing; every zone of it is always empty."""

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        return ()

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        return max(1, len(changes))

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        return [None] * len(changes)


def make(settings: Settings, context: Context) -> NoneProvider:
    return NoneProvider(settings.label, settings.zones)
