"""Resolves one host name, as a pod's resolver does: A and AAAA, through aliases, by a recursive server.

Import this file where it is used: dnspython takes memory that a cluster without such names need not spend.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from decco.forms import parse_name_server
from decco.resolver.model import LookupResult
from decco.text import printable

QUERY_SECONDS = 5.0
"""Time limit of one question, to all servers together."""
_MOST = 200
"""Characters of a failure that are kept."""


class Query:
    """Asks the servers of the settings, or of the machine's resolv.conf, which is read again for each name."""

    def __init__(self, servers: Sequence[str] = ()) -> None:
        self._servers = [parse_name_server(each) for each in servers]

    async def __call__(self, name: str) -> LookupResult:
        """Never raises for an answer or its absence."""
        try:
            resolver = await asyncio.to_thread(self._resolver)  # it reads a file
        except (dns.exception.DNSException, OSError) as error:
            return LookupResult(error=_shown(error), partial=True)
        absolute = dns.name.from_text(name)  # not relative to a search path
        return LookupResult.merged(await asyncio.gather(*(_ask(resolver, absolute, kind) for kind in ("A", "AAAA"))))

    def _resolver(self) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=not self._servers)
        if self._servers:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in self._servers]
        resolver.lifetime = QUERY_SECONDS
        return resolver


async def _ask(resolver: dns.asyncresolver.Resolver, name: dns.name.Name, kind: str) -> LookupResult:
    try:
        answer = await resolver.resolve(name, kind, search=False)
    except dns.resolver.NoAnswer:
        return LookupResult(error="it has no addresses")
    except dns.resolver.NXDOMAIN:
        return LookupResult(error="the name does not exist")
    except (dns.exception.DNSException, OSError) as error:
        return LookupResult(error=_shown(error), partial=True)
    ttl = float(answer.chaining_result.minimum_ttl)
    return LookupResult(addresses=tuple(str(each) for each in answer), ttl=ttl)


def _shown(error: Exception) -> str:
    if isinstance(error, dns.exception.Timeout):
        return "no DNS server answered in time"
    if isinstance(error, dns.resolver.NoNameservers):
        return "the DNS servers answered with an error"
    return printable(f"{type(error).__name__}: {error}", _MOST)
