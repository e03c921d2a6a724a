"""Who owns a name: the mark, a TXT record at ``_decco.<name>``.

Its text is ``v1 <cluster id> <owner's UID>``, and for a name too long to be prefixed (more than 246 octets) also the
name, at ``_decco._<digest>.<zone>``. It is this short on purpose: 500 names with their marks then fit in one UPDATE
message of 64 KB and in one Route 53 batch of 32,000 characters.

Reading never raises: zones hold anything, and a text that is not exactly a mark is somebody else's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from decco.dns.errors import InvalidRecord
from decco.dns.names import MAX_NAME
from decco.dns.records import ADDRESS_TYPES, TXT, RecordSet

PREFIX = "_decco."
VERSION = "v1"
_DIGEST = 32  # hex digits: 128 bits
_MARK = re.compile(
    r"v1 (?P<cluster>[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?) (?P<uid>[A-Za-z0-9-]{1,64})(?: (?P<name>\S{1,253}))?"
)
APEX_TYPES = frozenset({"SOA", "NS", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "CDS", "CDNSKEY", "ZONEMD"})
"""What a zone itself puts at its apex; it makes nobody the owner of the name."""
SIGNATURE_TYPES = frozenset({"RRSIG", "NSEC", "NSEC3"})
"""Made by a signing server for every name; they say nothing of an owner."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who published a name: the cluster by its id, and in it an object by its UID."""

    cluster: str
    uid: str

    def __str__(self) -> str:
        return f"cluster {self.cluster}, owner {self.uid}"


@dataclass(frozen=True, slots=True)
class Current:
    """What a zone holds at one name and at the name of its mark."""

    name: str
    sets: tuple[RecordSet, ...] = ()
    """At the name itself, of any type, less what a zone holds by itself."""
    marks: tuple[RecordSet, ...] = ()
    """At the mark's name, of any type."""

    @property
    def owner(self) -> Owner | None:
        """The owner, or None without a mark, and if what is there is not exactly one readable mark."""
        if len(self.marks) != 1 or self.marks[0].type != TXT or len(self.marks[0].values) != 1:
            return None
        return parse(self.marks[0].values[0])

    @property
    def addresses(self) -> tuple[RecordSet, ...]:
        return tuple(s for s in self.sets if s.type in ADDRESS_TYPES)

    @property
    def others(self) -> tuple[RecordSet, ...]:
        return tuple(s for s in self.sets if s.type not in ADDRESS_TYPES)

    @property
    def empty(self) -> bool:
        return not self.sets and not self.marks


def parse(text: str) -> Owner | None:
    """Read a mark; None if the text is not exactly one."""
    match = _MARK.fullmatch(text)
    return Owner(match["cluster"], match["uid"]) if match else None


def mark_name(name: str, zone: str) -> str:
    """Where the mark of ``name`` stands. Raises InvalidRecord if the zone's own name leaves no room for it."""
    if len(name) + len(PREFIX) <= MAX_NAME:
        return PREFIX + name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    # No name that decco publishes by itself starts with an underscore, so nobody can ask for this mark's place.
    long = f"{PREFIX}_{digest}.{zone}"
    if len(long) > MAX_NAME:
        raise InvalidRecord(f"the zone {zone} leaves no room for the mark of {name}: use a shorter name")
    return long


def mark_set(name: str, zone: str, owner: Owner, ttl: int) -> RecordSet:
    where = mark_name(name, zone)
    text = f"{VERSION} {owner.cluster} {owner.uid}"
    if where != PREFIX + name:
        text += f" {name}"
    if parse(text) != owner:
        raise InvalidRecord(
            f"the cluster id or UID of {owner} has characters that a mark cannot hold: choose another clusterId"
        )
    return RecordSet(where, TXT, ttl, (text,))


def marked_name(record: RecordSet, zone: str) -> str | None:
    """Tell which name a record set is the mark of, by its place (and its text, for a long name); None if of none."""
    if not record.name.startswith(PREFIX):
        return None
    name = record.name.removeprefix(PREFIX)
    if not name.startswith("_"):
        return name
    for value in record.values if record.type == TXT else ():
        match = _MARK.fullmatch(value)
        if match and match["name"] and mark_name(match["name"], zone) == record.name:
            return match["name"]
    return None


def fold(records: Iterable[RecordSet], zone: str) -> dict[str, Current]:
    """Gather the sets of a zone, or of a part of it, by the name that they are at or mark."""
    sets: dict[str, list[RecordSet]] = {}
    marks: dict[str, list[RecordSet]] = {}
    for record in records:
        if record.type in SIGNATURE_TYPES or (record.name == zone and record.type in APEX_TYPES):
            continue
        of = marked_name(record, zone)
        if of is None:
            sets.setdefault(record.name, []).append(record)
        else:
            marks.setdefault(of, []).append(record)
    return {
        name: Current(name, _ordered(sets.get(name)), _ordered(marks.get(name))) for name in sets.keys() | marks.keys()
    }


def _ordered(found: list[RecordSet] | None) -> tuple[RecordSet, ...]:
    return tuple(sorted(found, key=lambda s: s.type)) if found else ()
