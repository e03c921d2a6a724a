"""A strict DNS service in memory: for tests, for ``make demo`` without a name server, and as the reference model.

It refuses what a real server refuses: a change whose ``before`` differs from the zone, a CNAME beside other records, a
CNAME at the apex, a name that is outside the zone or too long, an empty set, too large a batch. A batch is atomic.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from decco.dns.errors import BatchRefused, DnsError, InvalidRecord, RecordConflict, ZoneNotFound
from decco.dns.names import MAX_LABEL, MAX_NAME, in_zone
from decco.dns.provider import Change, Outcome, Zone
from decco.dns.records import ADDRESS_TYPES, CNAME, TXT, RecordSet
from decco.log import get_logger

log = get_logger("decco.dns")
Contents = dict[str, dict[str, RecordSet]]
"""Name -> type -> set."""


class MemoryProvider:
    """Stores zones as dicts. Tests may change ``contents`` as a second writer."""

    def __init__(self, name: str, zones: tuple[str, ...], *, batch: int = 1000) -> None:
        self.name = name
        self.zone_names = zones
        self.contents: dict[str, Contents] = {zone: {} for zone in zones}
        self.batch = batch

    async def zones(self) -> tuple[Zone, ...]:
        return tuple(Zone(name) for name in self.zone_names if name in self.contents)

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        found = self._zone(zone)
        return tuple(s for name in (found if names is None else names) for s in found.get(name, {}).values())

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        return max(1, min(self.batch, len(changes)))

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        if len(changes) > self.batch:
            raise InvalidRecord(f"{len(changes)} changes in one call: at most {self.batch} are allowed")
        contents = self._zone(zone)
        touched: Contents = {}
        for change in changes:
            try:
                _carry_out(_Trial(contents, touched), zone.name, change)
            except DnsError as error:
                if len(changes) == 1:
                    return [error]
                raise BatchRefused(str(error)) from error
        for name, sets in touched.items():
            if sets:
                contents[name] = sets
            else:
                contents.pop(name, None)
        for change in changes:
            # The records of this provider are visible in the log only.
            shown = [f"{s.type}/{s.ttl}/{value}" for s in change.after if s.name == change.name for value in s.values]
            log.info("dns name in memory", name=change.name, records=",".join(shown) or "none")
        return [None] * len(changes)

    async def close(self) -> None:
        return

    def _zone(self, zone: Zone) -> Contents:
        try:
            return self.contents[zone.name]
        except KeyError:
            raise ZoneNotFound(f"the provider {self.name} has no zone {zone.name}") from None


class _Trial:
    """A zone with uncommitted changes; copies only the names that are touched."""

    def __init__(self, contents: Contents, touched: Contents) -> None:
        self._contents = contents
        self._touched = touched

    def at(self, name: str) -> Mapping[str, RecordSet]:
        return self._touched[name] if name in self._touched else self._contents.get(name, {})

    def edit(self, name: str) -> dict[str, RecordSet]:
        if name not in self._touched:
            self._touched[name] = dict(self._contents.get(name, {}))
        return self._touched[name]


def _carry_out(trial: _Trial, zone: str, change: Change) -> None:
    _prerequisites(trial, zone, change)
    for old in change.removed:
        del trial.edit(old.name)[old.type]
    for new in change.written:
        trial.edit(new.name)[new.type] = new
    for new in change.written:
        _check(trial.at(new.name), zone, new)


def _prerequisites(trial: _Trial, zone: str, change: Change) -> None:
    if change.before:
        for old in change.before:
            now = trial.at(old.name).get(old.type)
            if now is None or not now.same_data(old):
                raise RecordConflict(f"{old.name} {old.type} is not what it was")
        return
    for rtype in trial.at(change.name):
        if change.name != zone or rtype in ADDRESS_TYPES:
            raise RecordConflict(f"{change.name} already has a record of type {rtype}")
    if trial.at(change.ownership_name):
        raise RecordConflict(f"{change.ownership_name} already exists")


def _check(types: Collection[str], zone: str, new: RecordSet) -> None:
    if not in_zone(new.name, zone):
        raise InvalidRecord(f"{new.name} is not in the zone {zone}")
    if len(new.name) > MAX_NAME or any(not 0 < len(label) <= MAX_LABEL for label in new.name.split(".")):
        raise InvalidRecord(f"{new.name} is too long, or has a label that is")
    if not new.values or new.type not in {*ADDRESS_TYPES, TXT}:
        raise InvalidRecord(f"{new.name} {new.type} cannot be published")
    if new.type == CNAME and (len(new.values) != 1 or new.name == zone):
        raise InvalidRecord(f"{new.name} cannot be that alias")
    if CNAME in types and len(types) > 1:
        raise RecordConflict(f"{new.name} would have an alias beside other records")
