"""DNS lookup of a name and of its ownership record, through a resolver, without credentials."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver

from decco.dns import federation, registry
from decco.dns.federation import Member
from decco.errors import ConfigError
from decco.frozen import frozen

SECONDS = 3.0


@frozen
class Answer:
    """The records published at one name; ``trouble`` is the error if they are unknown."""

    addresses: tuple[str, ...] = ()
    alias: str | None = None
    """The target of a CNAME."""
    owner: registry.Owner | None = None
    """The owner in the ownership record."""
    members: tuple[Member, ...] = ()
    """The clusters of a federation that share the name, instead of one owner."""
    trouble: str | None = None

    @property
    def values(self) -> tuple[str, ...]:
        return (self.alias,) if self.alias is not None else self.addresses


def resolver(server: str | None) -> dns.asyncresolver.Resolver:
    """The resolver of this machine, or the one at ``server`` (address, or address:port). Raises ConfigError."""
    try:
        made = dns.asyncresolver.Resolver(configure=server is None)
    except dns.resolver.NoResolverConfiguration as error:
        raise ConfigError("this machine has no resolver configured: name one with --resolver") from error
    if server is not None:
        host, _, port = server.rpartition(":") if server.count(":") == 1 else (server, "", "53")
        try:
            made.nameservers = [str(ipaddress.ip_address(host))]
            made.port = int(port)
        except ValueError as error:
            raise ConfigError(
                f"--resolver: {server!r} is not an address such as 192.0.2.53 or 192.0.2.53:5353"
            ) from error
    made.lifetime = SECONDS
    return made


async def look_up(asked: dns.asyncresolver.Resolver, names: Iterable[str]) -> dict[str, Answer]:
    """One answer for each name, looked up concurrently."""
    wanted = sorted(set(names))
    answers = await asyncio.gather(*(_one(asked, name) for name in wanted))
    return dict(zip(wanted, answers, strict=True))


async def _one(asked: dns.asyncresolver.Resolver, name: str) -> Answer:
    try:
        four, six, ownership = await asyncio.gather(
            _ask(asked, name, "A"), _ask(asked, name, "AAAA"), _ask(asked, f"{registry.PREFIX}{name}", "TXT")
        )
    except (dns.exception.DNSException, OSError) as error:
        return Answer(trouble=str(error).splitlines()[0] if str(error) else type(error).__name__)
    owners = [owner for text in ownership.addresses if (owner := registry.parse(text)) is not None]
    return Answer(
        addresses=tuple(sorted({*four.addresses, *six.addresses})),
        alias=four.alias or six.alias,
        owner=owners[0] if len(owners) == 1 else None,
        members=federation.members(ownership.addresses),
    )


async def _ask(asked: dns.asyncresolver.Resolver, name: str, kind: str) -> Answer:
    """The answer to one query; its ``addresses`` are the values, of whatever kind."""
    values: tuple[Any, ...]
    try:
        answer = await asked.resolve(f"{name}.", kind, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN as error:
        canonical, values = error.canonical_name, ()
    else:
        canonical, values = answer.canonical_name, tuple(answer.rrset or ())
    texts = [b"".join(each.strings).decode(errors="replace") if kind == "TXT" else each.to_text() for each in values]
    alias = str(canonical).rstrip(".").lower()
    return Answer(tuple(texts), alias if alias != name.lower() else None)
