"""Record sets: the unit in which zones are read, compared and changed.

A record set is all records of one name and type (RFC 2181 section 5). Values have one canonical spelling, so that a set
read from one provider equals the same set of another.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import field
from enum import StrEnum

from decco import hostnames
from decco.dns.errors import InvalidRecord
from decco.frozen import frozen
from decco.hostnames import canonical

A, AAAA, CNAME, TXT = "A", "AAAA", "CNAME", "TXT"
ADDRESS_TYPES = frozenset({A, AAAA, CNAME})
"""The types that decco publishes at a name; the ownership record is a TXT at another name (registry.py)."""
MAX_TTL = 2**31 - 1  # RFC 2181 section 8
MAX_STRING = 255
"""Octets of one string of a TXT record (RFC 1035 section 3.3)."""
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(\d{3}|.)")


@frozen
class RecordSet:
    """All records of one name and type.

    ``values`` are sorted and unique: addresses as ipaddress writes them, names normalised, TXT as plain text with its
    strings joined. For types that decco does not write they are as the provider returned them, and may be empty.
    """

    name: str
    type: str
    ttl: int
    values: tuple[str, ...]

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


def presented(rtype: str, value: str) -> str:
    """A value as in master files and web APIs (RFC 1035 section 5.1): TXT in quotation marks, names with a dot."""
    if rtype == TXT:
        parts = [value[i : i + MAX_STRING] for i in range(0, len(value), MAX_STRING)] or [""]
        return " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)
    return f"{value}." if rtype == CNAME else value


def from_presented(
    name: str, rtype: str, ttl: int, values: Iterable[str], *, policy: object = False, base: int = 10
) -> RecordSet:
    """A set as a web API returns it; types that decco does not write have no values.

    ``policy``: whether the answer is weighted, geolocated or computed; such a set is never decco's, even with an
    ownership record. ``base`` is that of three-digit escapes: 10 in master files, 8 in Route 53.
    """
    if policy:
        return record_set(name, f"{rtype} with a routing policy", 0, ())
    if rtype == TXT:
        return record_set(name, rtype, ttl, [_unquoted(value, base) for value in values])
    return record_set(name, rtype, ttl, values if rtype in ADDRESS_TYPES else ())


def _unquoted(value: str, base: int) -> str:
    """The strings of a TXT value joined; a value without quotation marks is returned unchanged."""

    def octet(match: re.Match[str]) -> str:
        digits = match[1]
        return chr(int(digits, base) & 0xFF) if len(digits) == len("000") else digits

    parts = _STRING.findall(value)
    return "".join(_ESCAPED.sub(octet, part) for part in parts) if parts else value


def normalise(text: str) -> str:
    """The canonical spelling of a name to publish, see ``hostnames.normalise``; raises InvalidRecord."""
    try:
        return hostnames.normalise(text)
    except hostnames.WrongName as error:
        raise InvalidRecord(str(error)) from error


class Role(StrEnum):
    """What a cluster is for a name that it shares."""

    ACTIVE = "Active"
    STANDBY = "Standby"  # it adds its addresses while no active cluster serves the name
    LEAVING = "Leaving"  # it keeps its addresses until another cluster serves the name


@frozen
class DesiredRecord:
    """A desired record: one name of an owner and its targets.

    ``targets`` are addresses, host names, or both; empty means that the edge has no address at the moment: published
    records stay, new ones are not created. ``ttl`` in seconds; None uses the setting. Without ``create`` only a name
    that the zone already has is kept up to date. With ``standby`` a name that other clusters of the federation serve
    has none of these targets, with None if that is so already, or if it has not been added yet; elsewhere it changes
    nothing. ``role`` is that of this cluster for the name. ``restored``: it is proven that the owner had the name
    before the cluster was restored. ``offer`` is the cluster that is to have the name, and ``accept`` the one from
    which it is taken when that offers it.
    """

    name: str
    targets: frozenset[str] = field(default_factory=frozenset)
    ttl: int | None = None
    create: bool = True
    standby: bool | None = False
    restored: bool = False
    role: Role = Role.ACTIVE
    offer: str = ""
    accept: str = ""


def address_sets(name: str, targets: Iterable[str], ttl: int) -> tuple[RecordSet, ...]:
    """The sets that point ``name`` to ``targets``: A and AAAA for addresses, otherwise one CNAME.

    If there are addresses, host names are ignored, since a CNAME excludes other records (RFC 1034 section 3.6.2); of
    several host names the first in text order is used, so that the choice is stable. Raises InvalidRecord.
    """
    if not 0 <= ttl <= MAX_TTL:
        raise InvalidRecord(f"the TTL {ttl} of {name} is outside 0 to {MAX_TTL} seconds: correct dns.ttl")
    addresses: dict[str, set[str]] = {A: set(), AAAA: set()}
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
        addresses[A if address.version == 4 else AAAA].add(str(address))
    sets = [RecordSet(name, rtype, ttl, tuple(sorted(found))) for rtype, found in addresses.items() if found]
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
