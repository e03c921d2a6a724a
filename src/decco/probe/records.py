"""The published records, as the servers of the zone answer: no resolver, no cache.

The servers are those that the settings name for the zone, or else those of its NS records. A zone whose servers cannot
be found or do not answer is *unknown*, which is no failure: its servers may not be reachable from the cluster.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.rdatatype
import dns.resolver

QUERY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Expected:
    """One published name: its addresses, or the name that it is an alias of."""

    name: str
    addresses: frozenset[str] = frozenset()
    alias: str | None = None


async def servers_of(zone: str, resolver: dns.asyncresolver.Resolver | None = None) -> tuple[str, ...]:
    """The addresses of the zone's servers by its NS records, sorted; () if they cannot be found."""
    resolver = resolver or dns.asyncresolver.Resolver()
    found: set[str] = set()
    try:
        for server in await resolver.resolve(zone, "NS"):
            for kind in ("A", "AAAA"):
                try:
                    found.update(str(each) for each in await resolver.resolve(str(server), kind))
                except dns.exception.DNSException:
                    continue
    except (dns.exception.DNSException, OSError):
        return ()
    return tuple(sorted(found))


async def difference(expected: Expected, servers: Sequence[str], port: int = 53) -> str | None:
    """What the servers answer instead of the expected record, "" if they answer with it; None: no server answers."""
    answers = [await _ask(expected, server, port) for server in servers]
    known = [answer for answer in answers if answer is not None]
    if not known:
        return None
    return next((answer for answer in known if answer), "")


async def _ask(expected: Expected, server: str, port: int) -> str | None:
    found: set[str] = set()
    for kind in _kinds(expected):
        query = dns.message.make_query(expected.name, kind, flags=0)  # no recursion: only what the server has itself
        try:
            answer, _ = await dns.asyncquery.udp_with_fallback(query, server, QUERY_SECONDS, port)
        except (dns.exception.DNSException, OSError):
            return None
        if not answer.flags & dns.flags.AA:
            return None  # the server is not one of the zone's
        found |= {str(record).lower().rstrip(".") for each in answer.answer if each.rdtype == kind for record in each}
    wanted = {expected.alias} if expected.alias is not None else set(expected.addresses)
    if found == wanted:
        return ""
    return f"server {server} answers {', '.join(sorted(found)) or 'that there is no record'}"


def _kinds(expected: Expected) -> Iterable[dns.rdatatype.RdataType]:
    if expected.alias is not None:
        return [dns.rdatatype.CNAME]
    versions = {ipaddress.ip_address(address).version for address in expected.addresses}
    by_version: Mapping[int, dns.rdatatype.RdataType] = {4: dns.rdatatype.A, 6: dns.rdatatype.AAAA}
    return [by_version[version] for version in sorted(versions)]
