"""Remembers what a zone holds, so that a change costs no reading.

The picture is taken by one full reading (``names=None``, which always asks) and kept true by our own successful
changes. Names about which a call left doubt are read again the next time somebody asks for them, and only those.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from decco.dns.errors import ProviderUnreachable, RecordConflict, ZoneNotFound
from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.records import RecordSet
from decco.dns.wrappers.base import Wrapper


@dataclass(slots=True)
class _Picture:
    sets: dict[str, dict[str, RecordSet]] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)

    def put(self, found: Iterable[RecordSet]) -> None:
        for record in found:
            self.sets.setdefault(record.name, {})[record.type] = record

    def carry_out(self, change: Change) -> None:
        for old in change.removed:
            left = self.sets.get(old.name, {})
            left.pop(old.type, None)
            if not left:
                self.sets.pop(old.name, None)
        self.put(change.written)

    def all(self) -> list[RecordSet]:
        return [record for types in self.sets.values() for record in types.values()]


class Cache(Wrapper):
    """One picture per zone; belongs to the one worker of the zone, which never calls twice at once."""

    def __init__(self, inner: Provider) -> None:
        super().__init__(inner)
        self._pictures: dict[Zone, _Picture] = {}

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        picture = self._pictures.get(zone)
        if names is None or picture is None:
            picture = _Picture()
            try:
                picture.put(await self.inner.records(zone))
            except ZoneNotFound:
                self._pictures.pop(zone, None)
                raise
            self._pictures[zone] = picture
        if names is None:
            return picture.all()
        doubtful = picture.stale.intersection(names)
        if doubtful:
            found = await self.inner.records(zone, doubtful)
            for name in doubtful:
                picture.sets.pop(name, None)
            picture.put(found)
            picture.stale -= doubtful
        return [record for name in names for record in picture.sets.get(name, {}).values()]

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        picture = self._pictures.setdefault(zone, _Picture())
        doubtful = {name for change in changes for name in (change.name, change.mark)}
        try:
            outcomes = await self.inner.apply(zone, changes)
        except ZoneNotFound:
            self._pictures.pop(zone, None)
            raise
        except ProviderUnreachable as error:
            if error.uncertain:
                picture.stale |= doubtful
            raise
        except BaseException:  # cancelled as well: the call may have been carried out
            picture.stale |= doubtful
            raise
        for change, outcome in zip(changes, outcomes, strict=True):
            if outcome is None:
                picture.carry_out(change)
            elif isinstance(outcome, RecordConflict) or getattr(outcome, "uncertain", False):
                picture.stale |= {change.name, change.mark}
            elif isinstance(outcome, ZoneNotFound):
                self._pictures.pop(zone, None)
        return outcomes
