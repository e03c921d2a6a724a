"""RFC 2136 on the wire: refusals, keys, clocks, and answers that are cut or lost; BIND itself, or one answer by
script."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import dns.rcode
import dns.tsig
import pytest

from decco.dns.errors import DnsError, ProviderRefused, ProviderUnreachable, ZoneNotFound
from decco.dns.provider import Change, Zone
from decco.dns.providers.rfc2136.client import Rfc2136Provider
from decco.dns.records import A, RecordSet
from decco.dns.registry import Owner, ownership_set
from testbed.dns.bind import Bind
from testbed.dns.server import HOST, KEY_NAME, KEY_SECRET
from tests.dns.backends.rfc2136 import BindBackend
from tests.dns.world import UID, World, ready, until, wanted_record

ZONE = Zone("z.test")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def claim(label: str = "x", zone: str = ZONE.name) -> Change:
    name = f"{label}.{zone}"
    ownership = ownership_set(name, zone, Owner("here", UID), 60)
    return Change(name, ownership.name, (), (RecordSet(name, A, 60, ("192.0.2.1",)), ownership))


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """Listen on loopback with ``handler`` for each connection; gives the port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def read_message(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack("!H", await reader.readexactly(2))
    return await reader.readexactly(size)


def framed(wire: bytes) -> bytes:
    return struct.pack("!H", len(wire)) + wire


def answering(rcode: dns.rcode.Rcode, *, other_id: bool = False) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = await read_message(reader)
        ident, flags = struct.unpack("!HH", query[:4])
        # The question's own opcode, the bit that says "answer", and no records: enough for a refusal.
        reply = struct.pack("!HHHHHH", ident ^ other_id, 0x8000 | (flags & 0x7800) | rcode, 0, 0, 0, 0)
        writer.write(framed(reply))
        await writer.drain()

    return handle


@pytest.mark.parametrize(
    ("rcode", "error", "whole"),
    [
        (dns.rcode.SERVFAIL, ProviderUnreachable, False),
        (dns.rcode.REFUSED, ProviderRefused, False),
        (dns.rcode.NOTAUTH, ZoneNotFound, False),
        (dns.rcode.NOTIMP, ProviderRefused, False),
    ],
)
async def test_a_refusal_has_its_reason(rcode: dns.rcode.Rcode, error: type[DnsError], *, whole: bool) -> None:
    async with serving(answering(rcode)) as port:
        provider = Rfc2136Provider("p", (ZONE.name,), HOST, port)
        for call in (provider.records(ZONE), provider.apply(ZONE, [claim()])):
            with pytest.raises(error, match=dns.rcode.to_text(rcode)) as caught:
                await call
            assert caught.value.whole_provider is whole


async def test_an_answer_to_another_question_is_no_answer() -> None:
    async with serving(answering(dns.rcode.NOERROR, other_id=True)) as port:
        with pytest.raises(ProviderUnreachable, match="another question") as caught:
            await Rfc2136Provider("p", (ZONE.name,), HOST, port).apply(ZONE, [claim()])
        assert caught.value.uncertain


async def test_an_unsigned_success_is_not_trusted() -> None:
    async with serving(answering(dns.rcode.NOERROR)) as port:
        provider = Rfc2136Provider("p", (ZONE.name,), HOST, port, dns.tsig.Key(KEY_NAME, KEY_SECRET))
        with pytest.raises(ProviderUnreachable, match="wrong answer") as caught:
            await provider.apply(ZONE, [claim()])
        assert caught.value.uncertain


async def test_garbage_is_no_answer() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        writer.write(framed(b"\x00\x01garbage"))
        await writer.drain()

    async with serving(handle) as port:
        with pytest.raises(ProviderUnreachable, match="wrong answer"):
            await Rfc2136Provider("p", (ZONE.name,), HOST, port).apply(ZONE, [claim()])


async def test_nobody_listens() -> None:
    async with serving(answering(dns.rcode.NOERROR)) as port:
        pass
    with pytest.raises(ProviderUnreachable, match="cannot be reached") as caught:
        await Rfc2136Provider("p", (ZONE.name,), HOST, port).apply(ZONE, [claim()])
    assert not caught.value.uncertain


@pytest.fixture(scope="module")
def bind_server() -> Iterator[Bind]:
    if line := Bind.missing():
        pytest.skip(f"MISSING {line}")
    server = Bind()
    with server:
        server.create_zone(ZONE.name)
        server.put(ZONE.name, f"big.{ZONE.name}", 60, "TXT", *(f'"{i:0250d}"' for i in range(100)))
        yield server


@pytest.mark.parametrize(
    ("key", "word"),
    [
        (dns.tsig.Key(KEY_NAME, "d3Jvbmcga2V5IHdyb25nIGtleSB3cm9uZyBrZXkgISE=", "hmac-sha256"), "TSIG"),
        (dns.tsig.Key("nobody", KEY_SECRET, "hmac-sha256"), "TSIG"),
        (dns.tsig.Key(KEY_NAME, KEY_SECRET, "hmac-sha512"), "TSIG"),
        (None, "REFUSED"),
    ],
)
async def test_a_wrong_key_is_refused_and_named(bind_server: Bind, key: dns.tsig.Key | None, word: str) -> None:
    provider = Rfc2136Provider("p", (ZONE.name,), HOST, bind_server.port, key)
    for call in (provider.records(ZONE), provider.apply(ZONE, [claim("k")])):
        with pytest.raises(ProviderRefused, match=word):
            await call
    assert bind_server.ask(f"k.{ZONE.name}", "A") == set()


async def test_a_skewed_clock_is_named(bind_server: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    provider = Rfc2136Provider("p", (ZONE.name,), HOST, bind_server.port, bind_server.key)
    with pytest.raises(ProviderRefused, match="time of day"):
        await provider.apply(ZONE, [claim("skew")])


async def test_a_zone_that_is_not_served(bind_server: Bind) -> None:
    elsewhere = Zone("elsewhere.test")
    provider = Rfc2136Provider("p", (elsewhere.name,), HOST, bind_server.port, bind_server.key)
    for call in (provider.records(elsewhere), provider.apply(elsewhere, [claim("x", elsewhere.name)])):
        with pytest.raises(ZoneNotFound):
            await call


class Cutter:
    """Passes a connection on to BIND, and cuts the answer after ``keep`` octets."""

    def __init__(self, port: int, keep: int) -> None:
        self.port = port
        self.keep: int | None = keep
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        upstream_reader, upstream = await asyncio.open_connection(HOST, self.port)
        upstream.write(framed(await read_message(reader)))
        answer = bytearray()
        try:
            async with asyncio.timeout(0.5):
                while (self.keep is None or len(answer) < self.keep) and (part := await upstream_reader.read(65536)):
                    answer += part
        except TimeoutError:
            pass  # BIND keeps the connection open: all that it had to say is here
        upstream.close()
        writer.write(bytes(answer[: self.keep]))
        await writer.drain()


@pytest.mark.parametrize("keep", [0, 1, 2, 100, 5000])
async def test_a_truncated_transfer_is_no_picture_of_the_zone(bind_server: Bind, keep: int) -> None:
    async with serving(Cutter(bind_server.port, keep)) as port:
        provider = Rfc2136Provider("p", (ZONE.name,), HOST, port, bind_server.key)
        with pytest.raises(ProviderUnreachable, match="broke off"):
            await provider.records(ZONE)


@pytest.mark.parametrize("backend", [BindBackend], indirect=True, ids=["bind"])
async def test_a_reply_lost_on_the_wire_converges_without_a_storm(world: World) -> None:
    cutter = Cutter(world.backend.server.port, 0)  # type: ignore[attr-defined]
    async with serving(cutter) as port:
        provider = Rfc2136Provider("p", (world.zone,), HOST, port, world.backend.server.key)  # type: ignore[attr-defined]
        cutter.keep = None
        async with world.running(providers=[provider]) as service:
            service.ensure("first", [wanted_record(world.name("first"))])
            await ready(service, "first")
            cutter.keep = 0
            before = world.work
            service.ensure(UID, [wanted_record(world.name(f"n{i}")) for i in range(20)])
            await until(service, lambda: {p.reason for p in service.state(UID).problems} == {"ProviderUnreachable"})
            cutter.keep = None
            await ready(service, UID)
            # The change, perhaps the reading while the line was still cut, and the reading that finds the change done.
            assert world.work - before <= 4
    assert len([1 for _, rtype in await world.holds() if rtype == "A"]) == 21
