"""DNS UPDATE (RFC 2136) with TSIG, and zone transfer for reading: BIND, Knot, PowerDNS, Windows.

One TCP connection per call: a batch is one message, so a persistent connection would save one round trip for hundreds
of names, and the server would have closed it after each idle hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Collection, Sequence

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig

from decco.dns.errors import (
    BatchRefused,
    DnsError,
    InvalidRecord,
    ProviderRefused,
    ProviderUnreachable,
    RecordConflict,
    ZoneNotFound,
)
from decco.dns.provider import Change, Outcome, Zone
from decco.dns.records import RecordSet
from decco.dns.rfc2136_message import MAX_MESSAGE, Asked, Transfer, pack, update_message

PREREQUISITE_FAILED = frozenset(
    {dns.rcode.YXDOMAIN, dns.rcode.YXRRSET, dns.rcode.NXRRSET, dns.rcode.NXDOMAIN}  # RFC 2136 section 3.2
)
HEADER = 12
MAX_CHANGES = 500
"""Changes per message: larger ones block the server's single writer."""


class Rfc2136Provider:
    """``key`` signs every message and must sign every answer; None only for servers that authorize by address."""

    def __init__(
        self, name: str, zones: tuple[str, ...], host: str, port: int = 53, key: dns.tsig.Key | None = None
    ) -> None:
        self.name = name
        self.zone_names = zones
        self._host = host
        self._port = port
        self._key = key

    async def zones(self) -> tuple[Zone, ...]:
        """All of them, without a query: a missing zone is detected when it is read."""
        return tuple(Zone(name) for name in self.zone_names)

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        """Transfer the zone, also for a few names: a query does not distinguish a record from a wildcard match."""
        query = dns.message.make_query(dns.name.from_text(zone.name), dns.rdatatype.AXFR)
        if self._key is not None:
            query.use_tsig(self._key)
        transfer = Transfer()
        context = None
        async with self._connection() as (reader, writer):
            await _send(writer, query.to_wire())
            asked = Asked(query.id, self._key, query.mac or b"")
            while not transfer.done:
                wire = await self._receive(reader, uncertain=False)
                answer = self._parse(wire, asked, zone.name, context, xfr=True)
                if answer.rcode() != dns.rcode.NOERROR:
                    raise self._refusal(answer.rcode(), zone.name, "transfer")
                if not answer.answer:
                    raise ProviderUnreachable(f"{self._where} sent an empty part of the zone {zone.name}")
                context = answer.tsig_ctx
                transfer.take(answer)
            if self._key is not None and not answer.had_tsig:  # RFC 8945 5.3.1: the last message is signed
                raise ProviderRefused(f"{self._where} did not sign the end of the zone {zone.name}: check its TSIG key")
        found = transfer.records()
        return found if names is None else [s for s in found if s.name in names]

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        return pack(changes[:MAX_CHANGES], zone.name).count

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        wire, asked = update_message(pack(changes, zone.name), self._key)
        if len(wire) > MAX_MESSAGE:  # only possible for a single change: see fit
            return [
                InvalidRecord(
                    f"{changes[0].name} has more targets than one message can carry: give the edge fewer addresses"
                )
            ] * len(changes)
        async with self._connection() as (reader, writer):
            try:
                await _send(writer, wire)
            except OSError as error:
                raise ProviderUnreachable(
                    f"{self._where} closed the connection: {error.strerror}", uncertain=True
                ) from error
            answer = self._parse(await self._receive(reader, uncertain=True), asked, zone.name)
        rcode = answer.rcode()
        if rcode in PREREQUISITE_FAILED:
            if len(changes) > 1:
                raise BatchRefused(f"one of {len(changes)} names is not as expected ({dns.rcode.to_text(rcode)})")
            said = dns.rcode.to_text(rcode)
            return [
                RecordConflict(
                    f"{changes[0].name}, or its ownership record, is not as decco left it (the server said {said}): "
                    "decco reads the zone again, see who else writes to it"
                )
            ]
        if rcode != dns.rcode.NOERROR:
            refusal = self._refusal(rcode, zone.name, "update")
            if isinstance(refusal, InvalidRecord):
                if len(changes) > 1:
                    raise BatchRefused(str(refusal))
                return [refusal]
            raise refusal
        return [None] * len(changes)

    async def close(self) -> None:
        return

    @property
    def _where(self) -> str:
        return f"the DNS server {self._host} port {self._port}"

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port, limit=MAX_MESSAGE + 2)
        except OSError as error:
            raise ProviderUnreachable(f"{self._where} cannot be reached: {error.strerror or error}") from error
        try:
            yield reader, writer
        except BaseException:
            writer.transport.abort()  # close() would wait for ever for a server that no longer reads
            raise
        writer.close()
        with contextlib.suppress(OSError):  # errors at the end do not affect the answer
            await writer.wait_closed()

    async def _receive(self, reader: asyncio.StreamReader, *, uncertain: bool) -> bytes:
        try:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            return await reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise ProviderUnreachable(f"{self._where} broke off its answer", uncertain=uncertain) from error

    def _parse(
        self, wire: bytes, asked: Asked, zone: str, context: object = None, *, xfr: bool = False
    ) -> dns.message.Message:
        try:
            answer = dns.message.from_wire(
                wire,
                keyring=asked.key,
                request_mac=asked.mac,
                xfr=xfr,
                tsig_ctx=context,  # type: ignore[arg-type]  # an HMAC context that dnspython does not export
                multi=xfr,
            )
        except (dns.tsig.PeerError, dns.tsig.BadTime, dns.tsig.BadSignature, dns.tsig.BadKey) as error:
            raise ProviderRefused(
                f"{self._where} and decco do not agree on the TSIG key or the time of day, so compare both: {error}"
            ) from error
        except dns.exception.DNSException as error:
            # Knot does not sign its refusal for a missing zone. Of unsigned answers only refusals are accepted.
            ours = len(wire) >= HEADER and wire[:2] == asked.id.to_bytes(2, "big")
            rcode = dns.rcode.Rcode(wire[3] & 0xF) if ours else dns.rcode.NOERROR
            if rcode not in PREREQUISITE_FAILED | {dns.rcode.NOERROR}:
                raise self._refusal(rcode, zone, "transfer" if xfr else "update") from error
            raise ProviderUnreachable(f"{self._where} sent a wrong answer: {error}", uncertain=True) from error
        if answer.id != asked.id:
            raise ProviderUnreachable(f"{self._where} answered another question", uncertain=True)
        return answer

    def _refusal(self, rcode: dns.rcode.Rcode, zone: str, what: str) -> DnsError:
        said = f"{self._where} answered {dns.rcode.to_text(rcode)} to {what} of the zone {zone}"
        if rcode == dns.rcode.NOTAUTH:
            return ZoneNotFound(f"{said}: let it serve that zone and know the TSIG key, or correct dns.providers")
        if rcode == dns.rcode.SERVFAIL:
            return ProviderUnreachable(f"{said}: see its log", one_zone=True)
        if rcode in (dns.rcode.FORMERR, dns.rcode.NOTZONE):
            return InvalidRecord(f"{said}: it cannot take this record, choose another name")
        return ProviderRefused(f"{said}: allow this TSIG key to {what} the zone")


async def _send(writer: asyncio.StreamWriter, wire: bytes) -> None:
    writer.write(struct.pack("!H", len(wire)) + wire)
    await writer.drain()
