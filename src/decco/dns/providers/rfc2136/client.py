"""DNS UPDATE (RFC 2136) with TSIG, and zone transfer for reading: BIND, Knot, PowerDNS, Windows.

One TCP connection per call: a batch is one message, so a persistent connection would save one round trip for hundreds
of names, and the server would have closed it after each idle hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig

from decco.dns import errors
from decco.dns.provider import Change, Context, Outcome, ProviderBase, Zone, refuse
from decco.dns.providers.rfc2136.message import MAX_MESSAGE, Asked, Transfer, fit, update_message
from decco.dns.providers.rfc2136.settings import Settings, algorithm_name
from decco.dns.providers.rfc2136.tsig_key import TsigKey, choose, read_keys
from decco.dns.records import RecordSet
from decco.errors import ConfigError

PREREQUISITE_FAILED = frozenset(
    {dns.rcode.YXDOMAIN, dns.rcode.YXRRSET, dns.rcode.NXRRSET, dns.rcode.NXDOMAIN}  # RFC 2136 section 3.2
)
HEADER = 12


class Rfc2136Provider(ProviderBase):
    """``key`` signs every message and must sign every answer; None only for servers that authorize by address.

    A missing zone is detected when it is read.
    """

    def __init__(
        self, name: str, zones: tuple[str, ...], host: str, port: int = 53, key: dns.tsig.Key | None = None
    ) -> None:
        super().__init__(name, zones)
        self._host = host
        self._port = port
        self._key = key

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
                    raise errors.ProviderUnreachable(f"{self._where} sent an empty part of the zone {zone.name}")
                context = answer.tsig_ctx
                transfer.take(answer)
            if self._key is not None and not answer.had_tsig:  # RFC 8945 5.3.1: the last message is signed
                raise errors.ProviderRefused(
                    f"{self._where} did not sign the end of the zone {zone.name}: check its TSIG key"
                )
        found = transfer.records()
        return found if names is None else [s for s in found if s.name in names]

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        return fit(changes, zone.name)

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        wire, asked = update_message(changes, zone.name, self._key)
        if len(wire) > MAX_MESSAGE:  # only possible for a single change: see fit
            return [
                errors.InvalidRecord(
                    f"{changes[0].name} has more targets than one message can carry: give the edge fewer addresses"
                )
            ] * len(changes)
        async with self._connection() as (reader, writer):
            try:
                await _send(writer, wire)
            except OSError as error:
                raise errors.ProviderUnreachable(
                    f"{self._where} closed the connection: {error.strerror}", uncertain=True
                ) from error
            answer = self._parse(await self._receive(reader, uncertain=True), asked, zone.name)
        rcode = answer.rcode()
        said = dns.rcode.to_text(rcode)
        if rcode in PREREQUISITE_FAILED:
            alone = errors.RecordConflict(
                f"{changes[0].name}, or its ownership record, is not as decco left it (the server said {said}): "
                "decco reads the zone again, see who else writes to it"
            )
            return refuse(changes, f"one of {len(changes)} names is not as expected ({said})", alone)
        if rcode != dns.rcode.NOERROR:
            refusal = self._refusal(rcode, zone.name, "update")
            if isinstance(refusal, errors.InvalidRecord):
                return refuse(changes, str(refusal), refusal)
            raise refusal
        return [None] * len(changes)

    @property
    def _where(self) -> str:
        return f"the DNS server {self._host} port {self._port}"

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port, limit=MAX_MESSAGE + 2)
        except OSError as error:
            raise errors.ProviderUnreachable(f"{self._where} cannot be reached: {error.strerror or error}") from error
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
            raise errors.ProviderUnreachable(f"{self._where} broke off its answer", uncertain=uncertain) from error

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
            raise errors.ProviderRefused(
                f"{self._where} and decco do not agree on the TSIG key or the time of day, so compare both: {error}"
            ) from error
        except dns.exception.DNSException as error:
            # Knot does not sign its refusal for a missing zone. Of unsigned answers only refusals are accepted.
            ours = len(wire) >= HEADER and wire[:2] == asked.id.to_bytes(2, "big")
            rcode = dns.rcode.Rcode(wire[3] & 0xF) if ours else dns.rcode.NOERROR
            if rcode not in PREREQUISITE_FAILED | {dns.rcode.NOERROR}:
                raise self._refusal(rcode, zone, "transfer" if xfr else "update") from error
            raise errors.ProviderUnreachable(f"{self._where} sent a wrong answer: {error}", uncertain=True) from error
        if answer.id != asked.id:
            raise errors.ProviderUnreachable(f"{self._where} answered another question", uncertain=True)
        return answer

    def _refusal(self, rcode: dns.rcode.Rcode, zone: str, what: str) -> errors.DnsError:
        said = f"{self._where} answered {dns.rcode.to_text(rcode)} to {what} of the zone {zone}"
        if rcode == dns.rcode.NOTAUTH:
            return errors.ZoneNotFound(
                f"{said}: let it serve that zone and know the TSIG key, or correct dns.providers"
            )
        if rcode == dns.rcode.SERVFAIL:
            return errors.ProviderUnreachable(f"{said}: see its log", one_zone=True)
        if rcode in (dns.rcode.FORMERR, dns.rcode.NOTZONE):
            return errors.InvalidRecord(f"{said}: it cannot take this record, choose another name")
        return errors.ProviderRefused(f"{said}: allow this TSIG key to {what} the zone")


async def _send(writer: asyncio.StreamWriter, wire: bytes) -> None:
    writer.write(struct.pack("!H", len(wire)) + wire)
    await writer.drain()


def make(settings: Settings, context: Context) -> Rfc2136Provider:
    key = _tsig_key(settings, context)
    return Rfc2136Provider(settings.label, settings.zones, settings.host, settings.port, key)


def _tsig_key(settings: Settings, context: Context) -> dns.tsig.Key | None:
    credentials = context.credentials
    key_name = settings.tsig_key_name or credentials.access_key("keyName")
    if not credentials.where:
        return None
    where = f"dns.providers: the TSIG key in {credentials.where}"
    try:
        text = credentials.content.get("secret", b"").decode("utf-8-sig").strip()
        if not text:
            raise ValueError("it is empty: write the key there, in base64 or as tsig-keygen writes it")
        key = choose(read_keys(text), key_name)
        named = replace(key, name=key_name or key.name)
        if not named.name:
            raise ValueError("it has no name: give tsigKeyName, the name of the key on the server")
        return replace(named, algorithm=_algorithm(settings, key)).signing()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where} cannot be used: it must be text in UTF-8") from error
    except ValueError as error:
        raise ConfigError(f"{where} cannot be used: {error}") from error


def _algorithm(settings: Settings, key: TsigKey) -> str:
    """The algorithm in the key's text. Raises ValueError if the settings name another one."""
    wanted = settings.tsig_algorithm.value
    if not key.algorithm:
        return wanted
    if "tsig_algorithm" in settings.model_fields_set and algorithm_name(key.algorithm) != wanted:
        raise ValueError(f"its algorithm is {key.algorithm}, but tsigAlgorithm is {wanted}: correct one of them")
    return key.algorithm
