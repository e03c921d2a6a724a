"""A strict DNS service in memory: for tests, for ``make demo`` without a name server, and as the reference model.

It refuses what a real server refuses: a change whose ``before`` differs from the zone, a CNAME beside other records, a
CNAME at the apex, a name that is outside the zone or too long, an empty set, too large a batch. A batch is atomic.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Sequence

from decco.dns.errors import DnsError, InvalidRecord, RecordConflict, ZoneNotFound
from decco.dns.provider import Change, Context, Outcome, ProviderBase, Zone, refuse
from decco.dns.providers.memory.settings import Settings
from decco.dns.records import ADDRESS_TYPES, CNAME, TXT, RecordSet
from decco.hostnames import MAX_LABEL, MAX_NAME, in_zone
from decco.log import get_logger

log = get_logger("decco.dns")
Contents = dict[str, dict[str, RecordSet]]
"""Name -> type -> set."""


class MemoryProvider(ProviderBase):
    """Stores zones as dicts. Tests may change ``contents`` as a second writer."""

    def __init__(self, name: str, zones: tuple[str, ...], *, batch: int = 1000) -> None:
        super().__init__(name, zones)
        self.contents: dict[str, Contents] = {zone: {} for zone in zones}
        self.batch = batch

    async def _zone_id(self, name: str) -> str | None:
        return "" if name in self.contents else None

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        found = self._zone(zone)
        return tuple(s for name in (found if names is None else names) for s in found.get(name, {}).values())

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        return max(1, min(self.batch, len(changes)))

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        if len(changes) > self.batch:
            raise InvalidRecord(f"{len(changes)} changes in one call: at most {self.batch} are allowed")
        contents = self._zone(zone)
        trial = ChainMap[str, dict[str, RecordSet]]({}, contents)
        """The zone with the changes so far, which are committed together: only names that change are copied."""
        for change in changes:
            try:
                _carry_out(trial, zone.name, change)
            except DnsError as error:
                return refuse(changes, str(error), error)
        for name, sets in trial.maps[0].items():
            if sets:
                contents[name] = sets
            else:
                contents.pop(name, None)
        for change in changes:
            # The records of this provider are visible in the log only.
            shown = [f"{s.type}/{s.ttl}/{value}" for s in change.after if s.name == change.name for value in s.values]
            log.info("dns name in memory", name=change.name, records=",".join(shown) or "none")
        return [None] * len(changes)

    def _zone(self, zone: Zone) -> Contents:
        try:
            return self.contents[zone.name]
        except KeyError:
            raise ZoneNotFound(f"the provider {self.name} has no zone {zone.name}") from None


def _carry_out(trial: ChainMap[str, dict[str, RecordSet]], zone: str, change: Change) -> None:
    _check_prerequisites(trial, zone, change)
    for old in change.dropped:
        trial[old.name] = {rtype: s for rtype, s in trial[old.name].items() if rtype != old.type}
    for new in change.written:
        trial[new.name] = {**trial.get(new.name, {}), new.type: new}
    for new in change.written:
        _check(trial[new.name], zone, new)


def _check_prerequisites(trial: ChainMap[str, dict[str, RecordSet]], zone: str, change: Change) -> None:
    for old in change.before:
        now = trial.get(old.name, {}).get(old.type)
        if now is None or now.values != old.values:
            raise RecordConflict(f"{old.name} {old.type} is not what it was")
    if change.before:
        return
    for rtype in trial.get(change.name, {}):
        if change.name != zone or rtype in ADDRESS_TYPES:
            raise RecordConflict(f"{change.name} already has a record of type {rtype}")
    if trial.get(change.ownership_name):
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


def make(settings: Settings, context: Context) -> MemoryProvider:
    return MemoryProvider(settings.label, settings.zones)
