"""Ownership of names: the ownership record is a TXT record at ``_decco.<name>``.

Its text is ``v1 <cluster id> <owner's UID>``, ``v3 <cluster id> <owner's UID> <cluster id>`` while the owner offers the
name to another cluster, or one such value for each cluster of a federation that serves the name
(federation.py). For a name too long for the prefix (more than 246 octets) the record is
at ``_decco._<digest>.<zone>``, and the text also has the name. The text is short, so that 500 names with their
ownership records fit in one UPDATE message of 64 KB and in one Route 53 batch of 32,000 characters.

Reading never raises: zones can contain anything, and a text that does not match exactly belongs to somebody else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from decco.dns import federation
from decco.dns.errors import InvalidRecord
from decco.dns.federation import Member
from decco.dns.records import ADDRESS_TYPES, TXT, RecordSet
from decco.frozen import frozen
from decco.hostnames import MAX_NAME

PREFIX = "_decco."
VERSION = "v1"
OFFERED = "v3"
_DIGEST = 32  # hex digits: 128 bits
_ID = r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?"
_UID = r"[A-Za-z0-9-]{1,64}"
_TEXT = re.compile(
    rf"(?:v1 (?P<cluster>{_ID}) (?P<uid>{_UID})|v3 (?P<from>{_ID}) (?P<of>{_UID}) (?P<to>{_ID}))"
    r"(?: (?P<name>\S{1,253}))?"
)
APEX_TYPES = frozenset({"SOA", "NS", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "CDS", "CDNSKEY", "ZONEMD"})
"""Types that a zone has at its apex by itself; they do not make the name owned."""
SIGNATURE_TYPES = frozenset({"RRSIG", "NSEC", "NSEC3"})
"""Added by a signing server to every name; they do not make a name owned."""


@frozen
class Owner:
    """The owner of a name: the id of the cluster and the UID of an object in it."""

    cluster: str
    uid: str
    to: str = ""
    """Id of the cluster to which the owner offers the name, see docs/design/2026-11-30-move.md."""

    def __str__(self) -> str:
        return f"cluster {self.cluster}, owner {self.uid}"


@frozen
class Current:
    """The current records of one name and of its ownership record."""

    name: str
    sets: tuple[RecordSet, ...] = ()
    """At the name itself, of any type, except those that a zone adds by itself."""
    ownership: tuple[RecordSet, ...] = ()
    """At the name of the ownership record, of any type."""

    @property
    def owner(self) -> Owner | None:
        """The owner; None unless there is exactly one readable ownership record."""
        if len(self.ownership) != 1 or self.ownership[0].type != TXT or len(self.ownership[0].values) != 1:
            return None
        return parse(self.ownership[0].values[0])

    @property
    def members(self) -> tuple[Member, ...]:
        """The clusters that share the name, by their ids; empty unless it is shared, with a readable record."""
        if len(self.ownership) != 1 or self.ownership[0].type != TXT:
            return ()
        return federation.members(self.ownership[0].values)

    def member_of(self, cluster: str) -> Member | None:
        """The part of one cluster of a shared name."""
        return next((member for member in self.members if member.cluster == cluster), None)

    def others_than(self, cluster: str) -> tuple[Member, ...]:
        """The parts of the other clusters of a shared name."""
        return tuple(member for member in self.members if member.cluster != cluster)

    def uid_in(self, cluster: str) -> str | None:
        """The UID of the owner in this cluster, whether the name is shared or not; None if it has none there."""
        owner = self.owner or self.member_of(cluster)
        return owner.uid if owner is not None and owner.cluster == cluster else None

    @property
    def addresses(self) -> tuple[RecordSet, ...]:
        return tuple(s for s in self.sets if s.type in ADDRESS_TYPES)

    @property
    def others(self) -> tuple[RecordSet, ...]:
        return tuple(s for s in self.sets if s.type not in ADDRESS_TYPES)


def marked(name: str, ownership_name: str, sets: Iterable[RecordSet]) -> Current:
    """Whose the name is by the ownership record among ``sets``, such as those of one side of a change."""
    return Current(name, ownership=tuple(s for s in sets if s.name == ownership_name))


def parse(text: str) -> Owner | None:
    """Parse the text of an ownership record; None if it does not match."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    return Owner(match["cluster"] or match["from"], match["uid"] or match["of"], match["to"] or "")


def ownership_name(name: str, zone: str) -> str:
    """The name of the ownership record of ``name``. Raises InvalidRecord if it would be too long."""
    if len(name) + len(PREFIX) <= MAX_NAME:
        return PREFIX + name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    # decco publishes no names that start with an underscore, so this name cannot be claimed.
    long = f"{PREFIX}_{digest}.{zone}"
    if len(long) > MAX_NAME:
        raise InvalidRecord(f"the zone {zone} leaves no space for the ownership record of {name}: use a shorter name")
    return long


def shared_set(name: str, zone: str, members: Iterable[Member], ttl: int) -> RecordSet:
    """The ownership record of a shared name. Raises InvalidRecord like ``ownership_set``."""
    where = ownership_name(name, zone)
    return federation.ownership(where, _suffix(name, where), members, ttl)


def _suffix(name: str, where: str) -> str:
    """The name itself, where that of the ownership record does not contain it."""
    return "" if where == PREFIX + name else f" {name}"


def ownership_set(name: str, zone: str, owner: Owner, ttl: int) -> RecordSet:
    where = ownership_name(name, zone)
    version, to = (OFFERED, f" {owner.to}") if owner.to else (VERSION, "")
    text = f"{version} {owner.cluster} {owner.uid}{to}{_suffix(name, where)}"
    if parse(text) != owner:
        raise InvalidRecord(
            f"the cluster id or UID of {owner} has characters that an ownership record cannot have: "
            "choose another clusterId"
        )
    return RecordSet(where, TXT, ttl, (text,))


def owned_name(record: RecordSet, zone: str) -> str | None:
    """The name whose ownership record this record set is, by its name (and its text, for a long name), or None."""
    if not record.name.startswith(PREFIX):
        return None
    name = record.name.removeprefix(PREFIX)
    if not name.startswith("_"):
        return name
    for value in record.values if record.type == TXT else ():
        match = _TEXT.fullmatch(value)
        found = match["name"] if match else federation.long_name(value)
        if found and ownership_name(found, zone) == record.name:
            return found
    return None


def fold(records: Iterable[RecordSet], zone: str) -> dict[str, Current]:
    """Group the sets of a zone, or of a part of it, by name; ownership records belong to the name that they are for."""
    found: dict[str, tuple[list[RecordSet], list[RecordSet]]] = {}
    for record in sorted(records, key=lambda s: s.type):
        if record.type in SIGNATURE_TYPES or (record.name == zone and record.type in APEX_TYPES):
            continue
        of = owned_name(record, zone)
        sets, ownership = found.setdefault(record.name if of is None else of, ([], []))
        (sets if of is None else ownership).append(record)
    return {name: Current(name, tuple(sets), tuple(ownership)) for name, (sets, ownership) in found.items()}
