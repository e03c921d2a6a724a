"""A client of the edge: connects to its addresses with the real server name, and refuses no certificate itself.

What a certificate must be is compared by fingerprint, so no public authority is needed, and a refusal is the edge's.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol, cast

from decco.frozen import frozen
from decco.verify.pki import digest

HTTPS, HTTP = 443, 80
SECONDS = 6.0
MOST_BYTES = 64 * 1024


@frozen
class Answer:
    """``certificate`` is the digest of the presented one, "" without TLS; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str
    certificate: str = ""


class Refused(Exception):
    """No answer: the connection, the handshake or the request was refused, or nothing came."""


@frozen
class Request:
    """``host`` None: the server name. ``server`` "": no server name is sent. ``seconds``: limit for the answer."""

    server: str
    path: str = "/"
    host: str | None = None
    method: str = "GET"
    body: str = ""
    seconds: float = SECONDS

    def encoded(self) -> bytes:
        host = self.host if self.host is not None else self.server
        head = (
            f"{self.method} {self.path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nUser-Agent: decco-verify\r\n"
        )
        length = f"Content-Length: {len(self.body)}\r\n" if self.body else ""
        return f"{head}{length}\r\n{self.body}".encode()


async def send(address: str, request: Request, trust: ssl.SSLContext | None, port: int | None = None) -> Answer:
    """One request; without ``trust`` in plain text to port 80, or to ``port``. Raises Refused."""
    port = port if port is not None else (HTTPS if trust is not None else HTTP)
    try:
        async with asyncio.timeout(request.seconds), opened(address, port, request.server, trust) as (reader, writer):
            return await exchange(reader, writer, request)
    except TimeoutError as error:
        raise Refused(f"no answer within {request.seconds:g} s") from error
    except (OSError, ssl.SSLError, http.client.HTTPException) as error:
        raise Refused(_describe(error)) from error


async def certificate(address: str, server: str, trust: ssl.SSLContext) -> str:
    """The digest of the certificate that is presented to this server name. Raises Refused."""
    try:
        async with asyncio.timeout(SECONDS), opened(address, HTTPS, server, trust) as (_, writer):
            return _presented(writer)
    except TimeoutError as error:
        raise Refused(f"no answer within {SECONDS:g} s") from error
    except (OSError, ssl.SSLError) as error:
        raise Refused(_describe(error)) from error


@contextlib.asynccontextmanager
async def opened(
    address: str, port: int, server: str, trust: ssl.SSLContext | None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection; aborted at the end, since nothing is left to be said."""
    # An empty server_hostname sends no name.
    name = server if trust is not None else None
    reader, writer = await asyncio.open_connection(address, port, ssl=trust, server_hostname=name)
    try:
        yield reader, writer
    finally:
        cast("asyncio.Transport", writer.transport).abort()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> Answer:
    """Sends the request over an open connection and reads the answer to its end."""
    writer.write(request.encoded())
    await writer.drain()
    raw = b""
    while len(raw) < MOST_BYTES and (part := await reader.read(MOST_BYTES)):
        raw += part
    if not raw:
        raise ConnectionResetError("closed without an answer")
    return parse(raw, request.method, _presented(writer))


class _Readable(Protocol):
    def makefile(self, mode: str) -> io.BytesIO: ...


class _Whole:
    """An answer that is complete, as http.client reads it from a socket."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._raw)


def parse(raw: bytes, method: str, presented: str = "") -> Answer:
    """Raises http.client.HTTPException for what is not HTTP."""
    source: _Readable = _Whole(raw)
    found = http.client.HTTPResponse(cast("Any", source), method=method)
    found.begin()
    headers = {name.lower(): value for name, value in found.headers.items()}
    return Answer(found.status, headers, found.read().decode(errors="replace"), presented)


def _presented(writer: asyncio.StreamWriter) -> str:
    connection = writer.get_extra_info("ssl_object")
    der = connection.getpeercert(binary_form=True) if connection is not None else None
    return digest(der) if der else ""


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__
