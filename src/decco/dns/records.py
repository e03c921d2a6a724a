"""Record sets: the unit in which zones are read, compared and changed.

A record set is all records of one name and type (RFC 2181 section 5). Values have one canonical spelling, so that a set
read from one provider equals the same set of another.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field

from decco.dns.errors import InvalidRecord
from decco.dns.names import canonical, normalise

A, AAAA, CNAME, TXT = "A", "AAAA", "CNAME", "TXT"
ADDRESS_TYPES = frozenset({A, AAAA, CNAME})
"""The types that decco publishes at a name; the ownership record is a TXT at another name (registry.py)."""
MAX_TTL = 2**31 - 1  # RFC 2181 section 8


@dataclass(frozen=True, slots=True)
class RecordSet:
    """All records of one name and type.

    ``values`` are sorted and unique: addresses as ipaddress writes them, names normalised, TXT as plain text with its
    strings joined. For types that decco does not write they are as the provider returned them, and may be empty.
    """

    name: str
    type: str
    ttl: int
    values: tuple[str, ...]

    def same_data(self, other: RecordSet) -> bool:
        """Compare all but the TTL."""
        return (self.name, self.type, self.values) == (other.name, other.type, other.values)

    def __str__(self) -> str:
        return f"{self.name} {self.ttl} {self.type} {' '.join(self.values)}"


def record_set(name: str, rtype: str, ttl: int, values: Iterable[str]) -> RecordSet:
    """Make a set from a provider's data in canonical spelling. Never an error, since zones can contain anything."""
    return RecordSet(canonical(name), rtype, ttl, tuple(sorted({_spell(rtype, value) for value in values})))


def _spell(rtype: str, value: str) -> str:
    if rtype in (A, AAAA):
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            return value
    return canonical(value) if rtype == CNAME else value


@dataclass(frozen=True, slots=True)
class WantedRecord:
    """A desired record: one name of an owner and its targets.

    ``targets`` are addresses, host names, or both; empty means that the edge has no address at the moment: published
    records stay, new ones are not created. ``ttl`` in seconds; None uses the setting.
    """

    name: str
    targets: frozenset[str] = field(default_factory=frozenset)
    ttl: int | None = None


def address_sets(name: str, targets: Iterable[str], ttl: int) -> tuple[RecordSet, ...]:
    """The sets that point ``name`` to ``targets``: A and AAAA for addresses, otherwise one CNAME.

    If there are addresses, host names are ignored, since a CNAME excludes other records (RFC 1034 section 3.6.2); of
    several host names the first in text order is used, so that the choice is stable. Raises InvalidRecord.
    """
    if not 0 <= ttl <= MAX_TTL:
        raise InvalidRecord(f"the TTL {ttl} of {name} is outside 0 to {MAX_TTL} seconds: correct dns.ttl")
    four: set[str] = set()
    six: set[str] = set()
    hosts: set[str] = set()
    for target in targets:
        try:
            address = ipaddress.ip_address(target)
        except ValueError:
            hosts.add(_host(name, target))
            continue
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
            raise InvalidRecord(
                f"the target {target!a} of {name} has a scope, which DNS cannot carry: name an address without %"
            )
        (four if address.version == 4 else six).add(str(address))
    sets = []
    if four:
        sets.append(RecordSet(name, A, ttl, tuple(sorted(four))))
    if six:
        sets.append(RecordSet(name, AAAA, ttl, tuple(sorted(six))))
    if not sets and hosts:
        sets.append(RecordSet(name, CNAME, ttl, (min(hosts),)))
    return tuple(sets)


def _host(name: str, target: str) -> str:
    host = normalise(target)
    if host == name:
        raise InvalidRecord(f"{name} cannot be an alias of itself: give the edge another name or an address")
    if host.startswith("*."):
        raise InvalidRecord(
            f"the target {host} of {name} is a wildcard: correct edge.addresses, an alias needs one exact name"
        )
    if host.rpartition(".")[2].isdigit():
        raise InvalidRecord(
            f"the target {target!a} of {name} is neither an address nor a host name: correct edge.addresses"
        )
    return host
