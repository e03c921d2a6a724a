"""The DNS zone of one run: decco's strict one in memory, which outlives the controller, behind a line that can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from decco.dns.errors import ProviderUnreachable
from decco.dns.provider import Change, Outcome, Zone
from decco.dns.providers.memory.client import MemoryProvider
from decco.dns.records import RecordSet

ZONE = "faults.test"


class Line(Enum):
    """What happens to one call."""

    GOOD = auto()
    AWAY = auto()  # it does not arrive
    LOST = auto()  # it is carried out, and the answer is lost


@dataclass
class SharedZone:
    """``before`` is awaited for each change with its number, ``after`` once it was carried out."""

    before: Callable[[], Awaitable[Line]]
    after: Callable[[], Awaitable[None]]
    contents: dict[str, Any] = field(default_factory=lambda: {ZONE: {}})


class Provider(MemoryProvider):
    """``is_alive`` says whether the process that calls still runs: a killed one sends nothing."""

    def __init__(self, name: str, names: tuple[str, ...], zone: SharedZone, is_alive: Callable[[], bool]) -> None:
        super().__init__(name, names)
        self._shared, self._is_alive = zone, is_alive
        self.contents = zone.contents

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        await self._check()
        return await super().records(zone, names)

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        await self._check()
        line = await self._shared.before()
        await self._check()
        if line is Line.AWAY:
            raise ProviderUnreachable("injected: away")
        outcomes = await super().apply(zone, changes)
        await self._shared.after()
        await self._check()
        if line is Line.LOST:
            raise ProviderUnreachable("injected: no answer", uncertain=True)
        return outcomes

    async def _check(self) -> None:
        if not self._is_alive():
            await asyncio.Event().wait()
