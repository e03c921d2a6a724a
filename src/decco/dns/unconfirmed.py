"""Calls of which no answer came, and which may still be carried out: after decco has read the zone again.

A server that was held up, or whatever stands between, may carry a change out when decco has long given it up, read the
zone without it, and decided that there is nothing to do. Every change has prerequisites, so it can only happen while
the name is as it was before it. That is the whole of the danger: a name that is wanted gets the change again, and once
that is done the late one is refused. But if the wish has changed meanwhile and the name is as it was, it has to be
looked at once more, when the call is surely dead; until then nobody may say of the name that it is gone for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from decco.dns.provider import Change
from decco.dns.records import RecordSet
from decco.dns.registry import Current

Data = frozenset[tuple[str, str, tuple[str, ...]]]
"""Record sets without their TTL, which prerequisites do not compare."""


@dataclass(slots=True)
class _Doubt:
    until: float
    possible: bool = True
    """Whether the name is such that the change could be carried out now."""


class UnconfirmedChanges:
    """Of one zone. ``settle`` in seconds; times are those of the event loop."""

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._unconfirmed: dict[str, dict[Data, _Doubt]] = {}
        """By name, and by how the name was before."""

    def any_of(self, names: Iterable[str]) -> bool:
        """Whether a call in doubt may still change one of the names, as they are now."""
        return any(doubt.possible for name in names for doubt in self._unconfirmed.get(name, {}).values())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._unconfirmed)

    @property
    def look_at(self) -> float:
        """When the zone has to be read because of names in doubt; infinity for never."""
        ends = [d.until for unconfirmed in self._unconfirmed.values() for d in unconfirmed.values() if d.possible]
        return max(ends, default=float("inf"))

    def add(self, changes: Iterable[Change]) -> None:
        """No answer came to these."""
        until = asyncio.get_running_loop().time() + self._settle
        for change in changes:
            self._unconfirmed.setdefault(change.name, {})[_data(change.before)] = _Doubt(until)

    def seen(self, now: Current) -> None:
        """This is how a name is, by the zone itself or by an answer to a change."""
        unconfirmed = self._unconfirmed.get(now.name)
        if unconfirmed is None:
            return
        data = _data((*now.sets, *now.marks))
        time = asyncio.get_running_loop().time()
        for before, doubt in tuple(unconfirmed.items()):
            if doubt.until <= time and not doubt.possible:
                del unconfirmed[before]  # it could not come true as long as it was alive
            else:
                doubt.possible = before <= data if before else not data
        if not unconfirmed:
            del self._unconfirmed[now.name]

    def looked(self, at: float) -> None:
        """The whole zone was read, from then on: calls that were dead by that time are in doubt no more."""
        left = {
            name: {b: d for b, d in unconfirmed.items() if d.until > at}
            for name, unconfirmed in self._unconfirmed.items()
        }
        self._unconfirmed = {name: unconfirmed for name, unconfirmed in left.items() if unconfirmed}


def _data(sets: Iterable[RecordSet]) -> Data:
    return frozenset((s.name, s.type, s.values) for s in sets)
