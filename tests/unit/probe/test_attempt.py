"""One probe, against TLS servers on the loopback address."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct

import pytest

from decco.probe import attempt as module
from decco.probe import tls
from decco.probe.attempt import attempt
from decco.probe.model import Result, Route, Target
from tests.unit.probe.servers import (
    NAME,
    VERSIONS,
    Handler,
    Pair,
    closes,
    http_answer,
    server_context,
    serving,
    stays,
    target,
)


@pytest.fixture(scope="module")
def context() -> ssl.SSLContext:
    return tls.client_context()


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_expected_certificate_is_an_answer(
    pair: Pair, context: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    async with serving(server_context(pair, version)) as port:
        assert (await attempt(context, target(port, pair))).result is Result.ANSWERED


@pytest.mark.parametrize("version", VERSIONS)
async def test_another_certificate(pair: Pair, context: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    async with serving(server_context(pair, version)) as port:
        found = await attempt(context, target(port, chain=(b"\1" * 32,)))
    assert found.result is Result.CERTIFICATE
    assert pair.digest.hex()[:16] in found.detail


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_certificate_from_before_a_renewal(
    pair: Pair, context: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    expected = target(0, pair).chain
    async with serving(server_context(pair, version)) as port:
        known = await attempt(context, target(port, chain=(b"\1" * 32,), former=expected))
        other = await attempt(context, target(port, chain=(b"\1" * 32,), former=(b"\2" * 32,)))
    assert (known.result, other.result) == (Result.ANSWERED, Result.CERTIFICATE)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_chain_without_its_issuer(pair: Pair, context: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    async with serving(server_context(pair, version, "crt")) as port:
        assert (await attempt(context, target(port, pair))).result is Result.CHAIN


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("asks", [True, False])
async def test_whether_a_client_certificate_is_requested(
    pair: Pair, context: ssl.SSLContext, version: ssl.TLSVersion, asks: bool
) -> None:
    server = server_context(pair, version)
    if asks:
        server.load_verify_locations(pair.folder / "crt")
        server.verify_mode = ssl.CERT_REQUIRED
    async with serving(server) as port:
        found = await attempt(context, target(port, pair, requests_client_certificate=True))
        wrong = await attempt(context, target(port, chain=(b"\1" * 32,), requests_client_certificate=True))
    assert found.result is (Result.ANSWERED if asks else Result.NOT_REQUESTED)
    assert wrong.result is Result.CERTIFICATE  # also of a handshake that fails without a client certificate


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_container_with_its_own_tls_may_verify_clients(
    pair: Pair, context: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    server = server_context(pair, version)
    server.load_verify_locations(pair.folder / "crt")
    server.verify_mode = ssl.CERT_REQUIRED
    async with serving(server) as port:
        assert (await attempt(context, target(port))).result is Result.ANSWERED


async def test_nothing_listens(context: ssl.SSLContext) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    found = await attempt(context, target(port))
    assert (found.result, found.detail) == (Result.CONNECT, "Connection refused")


async def test_a_name_without_address(context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", nothing)
    found = await attempt(context, Target("edge.example", 443, NAME))
    assert found.result is Result.CONNECT
    assert "not known" in found.detail


async def _resets(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("handle", [closes, _resets])
async def test_no_listener_of_this_name(context: ssl.SSLContext, handle: Handler) -> None:
    async with serving(None, handle) as port:
        assert (await attempt(context, target(port))).result is Result.CLOSED


async def test_an_alert(pair: Pair, context: ssl.SSLContext) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"\x15\x03\x03\x00\x02\x02\x70")  # fatal, unrecognized_name: RFC 8446 section 6

    async with serving(None, refuse) as port:  # type: ignore[arg-type]
        found = await attempt(context, target(port, pair))
    assert (found.result, found.detail) == (Result.ALERT, "TLS alert unrecognized_name")


async def test_something_that_is_not_tls(context: ssl.SSLContext) -> None:
    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(None, plain) as port:  # type: ignore[arg-type]
        found = await attempt(context, target(port))
    assert found.result is Result.ALERT
    assert "wrong version number" in found.detail


async def test_silence(context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.1)
    async with serving(None) as port:
        found = await attempt(context, target(port))
    assert (found.result, found.detail) == (Result.SILENT, "no answer within 0.1 s")


@pytest.mark.parametrize("handle", [closes, _resets])
async def test_the_plain_text_port_is_closed(pair: Pair, context: ssl.SSLContext, handle: Handler) -> None:
    async with serving(server_context(pair), handle) as port:
        assert (await attempt(context, target(port, pair, waits_for_close=True))).result is Result.PORT_CLOSED
        assert (await attempt(context, target(port, pair))).result is Result.ANSWERED


async def test_the_plain_text_port_is_open(pair: Pair, context: ssl.SSLContext) -> None:
    async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        await reader.read()

    for handle in (stays, greets):
        async with serving(server_context(pair), handle) as port:  # type: ignore[arg-type]
            assert (await attempt(context, target(port, pair, waits_for_close=True))).result is Result.ANSWERED


ROUTE = Route("/.well-known/decco-probe/web", "abc.decco-probe.invalid")


@pytest.mark.parametrize(
    ("answer", "result", "detail"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: https://abc.decco-probe.invalid/x\r\n\r\n", Result.ANSWERED, ""),
        (
            b"HTTP/1.1 302 Found\r\nlocation: https://none.decco-probe.invalid/\r\n\r\n",
            Result.ROUTE,
            "status 302 to none.decco-probe.invalid",
        ),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", Result.ROUTE, "status 404"),
        (b"HTTP/1.1 302 Found\r\nlocation: https://[::/\r\n\r\n", Result.ROUTE, "status 302"),
        (b"SSH-2.0-x\r\n\r\n", Result.ROUTE, "the answer is not HTTP"),
        (b"", Result.ROUTE, "the answer is not HTTP"),
    ],
)
async def test_the_answer_of_the_route(
    pair: Pair, context: ssl.SSLContext, answer: bytes, result: Result, detail: str
) -> None:
    async with serving(server_context(pair), http_answer(answer)) as port:
        found = await attempt(context, target(port, pair, route=ROUTE))
    assert (found.result, found.detail) == (result, detail)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, Result.ANSWERED),
        (302, Result.ANSWERED),
        (404, Result.APPLICATION),
        (500, Result.APPLICATION),
        (503, Result.SILENT),
    ],
)
async def test_the_answer_of_the_application(pair: Pair, context: ssl.SSLContext, status: int, result: Result) -> None:
    async with serving(server_context(pair), http_answer(b"HTTP/1.1 %d X\r\n\r\n" % status)) as port:
        found = await attempt(context, target(port, pair, probe_path="/healthz"))
    assert found.result is result
    assert found.ok or found.detail == f"GET /healthz: status {status}"


async def test_no_request_is_sent_without_a_route_or_a_path(pair: Pair, context: ssl.SSLContext) -> None:
    received = asyncio.get_running_loop().create_future()

    async def keeps(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        received.set_result(await reader.read())

    async with serving(server_context(pair), keeps) as port:  # type: ignore[arg-type]
        await attempt(context, target(port, pair, waits_for_close=True))
        assert await received == b""


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_a_short_certificate_message_is_no_error(cut: int) -> None:
    body = b"\x00\x00\x10" + b"x" * 16 + b"\x00\x00"
    message = b"\x0b\x00\x00\x00" + b"\x00" + len(body).to_bytes(3, "big") + body
    assert tls.certificates_of(message[: len(message) - cut], ssl.TLSVersion.TLSv1_3) in ([b"x" * 16], [])
