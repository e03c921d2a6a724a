"""Caches the records of a zone, so that a change does not need a read.

The cache is filled by a full read (``names=None``, which always calls the provider) and updated by our own successful
changes. Only names that are stale after a call are read again, the next time they are requested.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from decco.dns.errors import ProviderUnreachable, RecordConflict, ZoneNotFound
from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.records import RecordSet
from decco.dns.wrappers.base import Wrapper


@dataclass(slots=True)
class _ZoneCache:
    sets: dict[str, dict[str, RecordSet]] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)

    def put(self, found: Iterable[RecordSet]) -> None:
        for record in found:
            self.sets.setdefault(record.name, {})[record.type] = record

    def carry_out(self, change: Change) -> None:
        for old in change.dropped:
            self.sets.get(old.name, {}).pop(old.type, None)
        self.put(change.written)

    def all(self) -> list[RecordSet]:
        return [record for types in self.sets.values() for record in types.values()]


class Cache(Wrapper):
    """One cache per zone; used by the single worker of the zone, which never makes concurrent calls."""

    def __init__(self, inner: Provider) -> None:
        super().__init__(inner)
        self._zones: dict[Zone, _ZoneCache] = {}

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        cached = self._zones.get(zone)
        if names is None or cached is None:
            cached = _ZoneCache()
            try:
                cached.put(await self.inner.records(zone))
            except ZoneNotFound:
                self._zones.pop(zone, None)
                raise
            self._zones[zone] = cached
        if names is None:
            return cached.all()
        stale = cached.stale.intersection(names)
        if stale:
            found = await self.inner.records(zone, stale)
            for name in stale:
                cached.sets.pop(name, None)
            cached.put(found)
            cached.stale -= stale
        return [record for name in names for record in cached.sets.get(name, {}).values()]

    def outdated(self, zone: Zone, names: Collection[str]) -> None:
        if zone in self._zones:
            self._zones[zone].stale.update(names)

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        cached = self._zones.setdefault(zone, _ZoneCache())
        touched = {name for change in changes for name in (change.name, change.ownership_name)}
        try:
            outcomes = await self.inner.apply(zone, changes)
        except BaseException as error:  # also if cancelled: the call may have been carried out
            if isinstance(error, ZoneNotFound):
                self._zones.pop(zone, None)
            elif not isinstance(error, ProviderUnreachable) or error.uncertain:
                cached.stale |= touched
            raise
        for change, outcome in zip(changes, outcomes, strict=True):
            if outcome is None:
                cached.carry_out(change)
            elif isinstance(outcome, RecordConflict) or getattr(outcome, "uncertain", False):
                cached.stale |= {change.name, change.ownership_name}
            elif isinstance(outcome, ZoneNotFound):
                self._zones.pop(zone, None)
        return outcomes
