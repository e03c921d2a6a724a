"""The DNS zone that all simulated processes share: decco's strict one in memory, behind a network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from decco.dns.errors import ProviderUnreachable
from decco.dns.provider import Change, Outcome, Zone
from decco.dns.providers.memory.client import MemoryProvider
from decco.dns.records import RecordSet
from decco.resolver.model import LookupResult

ZONE = "example.net"


class Trouble(Enum):
    NONE = auto()
    AWAY = auto()  # nothing arrives
    UNCERTAIN = auto()  # the change is made, and the answer lost


@dataclass
class SharedZone:
    """``trouble`` is asked for each call; ``latency`` in seconds; ``on_change`` sees each change that is made."""

    latency: Callable[[], float]
    trouble: Callable[[], Trouble] = lambda: Trouble.NONE
    contents: dict[str, Any] = field(default_factory=lambda: {ZONE: {}})
    on_change: list[Callable[[Change], None]] = field(default_factory=list)
    lookup: Callable[[str], LookupResult | None] = lambda _name: None
    """The answer of the resolver while it is in trouble."""


zones: list[SharedZone] = []
"""The zone of the present simulation is the last one."""


class SharedProvider(MemoryProvider):
    def __init__(self, name: str, names: tuple[str, ...]) -> None:
        super().__init__(name, names)
        self._zone_of_all = zones[-1]
        self.contents = self._zone_of_all.contents

    async def _way(self) -> Trouble:
        await asyncio.sleep(self._zone_of_all.latency())
        trouble = self._zone_of_all.trouble()
        if trouble is Trouble.AWAY:
            raise ProviderUnreachable("simulated: away")
        return trouble

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        await self._way()
        found = await super().records(zone, names)
        await asyncio.sleep(self._zone_of_all.latency())
        return found

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        trouble = await self._way()
        outcomes = await super().apply(zone, changes)
        for change, outcome in zip(changes, outcomes, strict=True):
            if outcome is None:
                for function in self._zone_of_all.on_change:
                    function(change)
        await asyncio.sleep(self._zone_of_all.latency())
        if trouble is Trouble.UNCERTAIN:
            raise ProviderUnreachable("simulated: no answer", uncertain=True)
        return outcomes


ADDRESS = "203.0.113.7"
"""Of every name outside of the cluster."""


async def resolve(name: str) -> LookupResult:
    """The answer to every question of decco's resolver."""
    shared = zones[-1]
    await asyncio.sleep(shared.latency())
    return shared.lookup(name) or LookupResult((ADDRESS,), ttl=300.0)


def make(settings: Any, _context: Any) -> SharedProvider:
    return SharedProvider(settings.label, settings.zones)
