"""DNS UPDATE messages (RFC 2136) and zone transfers (RFC 5936) as values: no socket in here.

A change becomes prerequisites and updates of the one message that carries its batch, so the server carries out the
claim of a name and its records together or not at all, whoever else writes to the zone at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.tsig
import dns.update

from decco.dns.provider import Change
from decco.dns.records import AAAA, ADDRESS_TYPES, CNAME, TXT, A, RecordSet, record_set

MAX_MESSAGE = 65_535
"""Octets of a message over TCP (RFC 1035 4.2.2)."""
TSIG_ROOM = 400
"""Octets kept free for the TSIG record: two names and a hash of at most 64 octets."""
_POINTER_LIMIT = 0x4000  # RFC 1035 4.1.4: a compression pointer has 14 bits
_HEADER, _FIXED = 12, 10  # octets of the header; of type, class, TTL and length
RIVALS = ("MX", "TXT", "SRV", "NS", "CAA", "HTTPS", "SVCB", "DNAME")
"""Types that must be absent where an alias takes the place of addresses, since a server would drop the alias
silently."""
_TYPES = {t: dns.rdatatype.from_text(t) for t in (*ADDRESS_TYPES, TXT, *RIVALS)}
_IN = dns.rdataclass.IN


class Need(NamedTuple):
    """A prerequisite: with ``records`` exactly these; without, ``rtype`` (None: any type) must be absent."""

    name: str
    rtype: str | None
    records: RecordSet | None = None


def needs(change: Change, zone: str) -> Iterator[Need]:
    """Give the prerequisites of a change; the mark's come first, since its name holds the other for compression."""
    if not change.before:
        yield Need(change.mark, None)
        if change.name != zone:
            yield Need(change.name, None)
        else:
            yield from (Need(zone, rtype) for rtype in (A, AAAA, CNAME))
        return
    for old in sorted(change.before, key=lambda s: s.name != change.mark):
        yield Need(old.name, old.type, old)
    known = {s.type for s in change.before if s.name == change.name}
    new = {s.type for s in change.after if s.name == change.name}
    if not new:
        return
    yield from (Need(change.name, rtype) for rtype in sorted(ADDRESS_TYPES - known))
    if CNAME in new - known:
        yield from (Need(change.name, rtype) for rtype in RIVALS)


def message_size(changes: Sequence[Change], zone: str, limit: int) -> tuple[int, int]:
    """Count how many of ``changes`` fit in ``limit`` octets, and the octets they take with names compressed.

    A bound from above that is nearly exact: the zone's name is always compressed, and an owner's name in the updates
    is a pointer to its prerequisite if that stands early enough in the message to be pointed to.
    """
    first = _HEADER + len(zone) + 2 + 4
    taken_needs = taken_updates = 0
    for count, change in enumerate(changes):
        at = first + taken_needs
        seen: set[str] = set()
        grow_needs = 0
        for need in needs(change, zone):
            under_mark = need.name == change.name and change.mark in seen
            grow_needs += 2 if need.name in seen or under_mark else _owner(need.name, zone)
            grow_needs += _data_size(need.records, _owner(need.name, zone)) if need.records else _FIXED
            if at + grow_needs < _POINTER_LIMIT:
                seen.add(need.name)
        grow_updates = 0
        for old in _dropped(change):
            grow_updates += _FIXED + (2 if old.name in seen else _owner(old.name, zone))
        for new in change.written:
            owner = 2 if new.name in seen else _owner(new.name, zone)
            grow_updates += owner + _data_size(new, owner)
        if first + taken_needs + grow_needs + taken_updates + grow_updates > limit:
            return count, first + taken_needs + taken_updates
        taken_needs += grow_needs
        taken_updates += grow_updates
    return len(changes), first + taken_needs + taken_updates


def _owner(name: str, zone: str) -> int:
    """Octets of a name whose zone is a pointer."""
    return len(name) - len(zone) + 2


def _data_size(records: RecordSet, owner: int) -> int:
    """Octets of the records of a set, less the first one's owner."""
    size = (len(records.values) - 1) * owner
    for value in records.values:
        size += _FIXED + {A: 4, AAAA: 16}.get(records.type, len(value) + 2 + len(value) // 255)
    return size


def _dropped(change: Change) -> list[RecordSet]:
    replaced = [old for new in change.written if (old := change.old(new)) is not None]
    return [*change.removed, *replaced]


def update_message(changes: Sequence[Change], zone: str, key: dns.tsig.Key | None) -> dns.update.UpdateMessage:
    origin = dns.name.from_text(zone)
    message = dns.update.UpdateMessage(origin)
    names: dict[str, dns.name.Name] = {}

    def at(name: str) -> dns.name.Name:
        if name not in names:
            names[name] = dns.name.Name((*name.encode().split(b"."), b""))
        return names[name]

    for change in changes:
        for need in needs(change, zone):
            if need.records is not None:
                message.present(at(need.name), *_rdata(need.records))
            elif need.rtype is None:
                message.absent(at(need.name))
            else:
                message.absent(at(need.name), _TYPES[need.rtype])
    for change in changes:
        for old in _dropped(change):
            message.delete(at(old.name), _TYPES[old.type])
        for new in change.written:
            message.add(at(new.name), new.ttl, *_rdata(new))
    if key is not None:
        message.use_tsig(key)
    return message


def _rdata(records: RecordSet) -> list[dns.rdata.Rdata]:
    return [_RDATA[records.type](value) for value in records.values]


def _strings(text: str) -> list[bytes]:
    octets = text.encode()
    return [octets[i : i + 255] for i in range(0, len(octets), 255)] or [b""]


_RDATA: dict[str, Callable[[str], dns.rdata.Rdata]] = {
    A: partial(dns.rdtypes.IN.A.A, _IN, _TYPES[A]),
    AAAA: partial(dns.rdtypes.IN.AAAA.AAAA, _IN, _TYPES[AAAA]),
    CNAME: lambda value: partial(dns.rdtypes.ANY.CNAME.CNAME, _IN, _TYPES[CNAME])(dns.name.from_text(value)),
    TXT: lambda value: dns.rdtypes.ANY.TXT.TXT(_IN, _TYPES[TXT], _strings(value)),
}
"""Made without parsing a master file's text, which costs several times as much."""


class Transfer:
    """Takes the messages of an AXFR answer one by one; ``done`` after the second SOA."""

    def __init__(self) -> None:
        self.done = False
        self._soas = 0
        self._found: dict[tuple[str, str], tuple[int, list[str]]] = {}

    def take(self, message: dns.message.Message) -> None:
        for rrset in message.answer:
            rtype = dns.rdatatype.to_text(rrset.rdtype)
            if rtype == "SOA":
                self._soas += 1
                self.done = self._soas > 1
            values = [_text(rdata, rtype) for rdata in rrset]
            key = (rrset.name.to_text(omit_final_dot=True), rtype)
            if key in self._found:
                self._found[key][1].extend(values)
            else:
                self._found[key] = (rrset.ttl, values)

    def records(self) -> list[RecordSet]:
        return [record_set(name, rtype, ttl, values) for (name, rtype), (ttl, values) in self._found.items()]


def _text(rdata: dns.rdata.Rdata, rtype: str) -> str:
    if isinstance(rdata, dns.rdtypes.ANY.TXT.TXT):
        return b"".join(rdata.strings).decode("utf-8", "replace")
    return str(rdata) if rtype in ADDRESS_TYPES else ""
