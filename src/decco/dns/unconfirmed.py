"""Unconfirmed changes: calls without an answer that may still be carried out after decco has read the zone again.

A delayed server or network may carry out a change after decco has given up on the call, has read the zone without the
change, and has decided that there is nothing to do. Every change has prerequisites, so a late change can only succeed
while the name is as it was before. If the name is still desired, the change is sent again, and afterwards the late one
is refused. But if the desired record has changed and the name is as it was before the call, the zone must be read once
more after the call has certainly expired. Until then the name cannot be reported as gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from decco.dns.provider import Change
from decco.dns.records import RecordSet
from decco.dns.registry import Current

SETTLE_SECONDS = 60.0
"""How long a call without an answer may still be carried out."""
Data = frozenset[tuple[str, str, tuple[str, ...]]]
"""Record sets without their TTL, which prerequisites do not compare."""


@dataclass(slots=True)
class _Unconfirmed:
    until: float
    possible: bool = True
    """Whether the prerequisites hold, so that the change could be carried out now."""


class UnconfirmedChanges:
    """The unconfirmed changes of one zone. ``settle`` in seconds; times are those of the event loop."""

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._unconfirmed: dict[str, dict[Data, _Unconfirmed]] = {}
        """By name and by the state of the name before the change."""

    def any_of(self, names: Iterable[str]) -> bool:
        """Whether an unconfirmed change may still alter one of the names in their current state."""
        return any(change.possible for name in names for change in self._unconfirmed.get(name, {}).values())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._unconfirmed)

    @property
    def read_at(self) -> float:
        """When the zone must be read because of unconfirmed changes; infinity for never."""
        ends = [d.until for unconfirmed in self._unconfirmed.values() for d in unconfirmed.values() if d.possible]
        return max(ends, default=float("inf"))

    def add(self, changes: Iterable[Change]) -> None:
        """Record changes without an answer."""
        until = asyncio.get_running_loop().time() + self._settle
        for change in changes:
            self._unconfirmed.setdefault(change.name, {})[_data(change.before)] = _Unconfirmed(until)

    def seen(self, now: Current) -> None:
        """Update with the current state of a name, from the zone or from the answer to a change."""
        unconfirmed = self._unconfirmed.get(now.name)
        if unconfirmed is None:
            return
        data = _data((*now.sets, *now.ownership))
        time = asyncio.get_running_loop().time()
        for before, change in tuple(unconfirmed.items()):
            if change.until <= time and not change.possible:
                del unconfirmed[before]  # its prerequisites did not hold before it expired
            else:
                change.possible = before <= data if before else not data
        if not unconfirmed:
            del self._unconfirmed[now.name]

    def zone_read(self, at: float) -> None:
        """The whole zone was read, starting at ``at``: removes the changes that had expired by that time."""
        left = {
            name: {b: d for b, d in unconfirmed.items() if d.until > at}
            for name, unconfirmed in self._unconfirmed.items()
        }
        self._unconfirmed = {name: unconfirmed for name, unconfirmed in left.items() if unconfirmed}


def _data(sets: Iterable[RecordSet]) -> Data:
    return frozenset((s.name, s.type, s.values) for s in sets)
