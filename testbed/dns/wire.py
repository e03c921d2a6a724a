"""A line between a provider and its service that can be troubled: requests lost, answers lost, late, cut or replaced.

It passes octets on and parses of the protocol only where one request ends and which requests change something. It
listens on loopback, in the event loop of the test::

    async with Wire(server.port, DnsMessages()) as wire:
        wire.trouble(Trouble.LOST_REPLY, "change")
        ...  # use the service at wire.port
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Literal, Protocol

HOST = "127.0.0.1"
HEADER = 12
UPDATE = 5
CHUNK = 1 << 16
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
On = Literal["change", "reading"]


class Trouble(Enum):
    """What happens to one request."""

    FAILS = "the service answers that it failed: SERVFAIL, or HTTP 5xx"
    REFUSED = "the service answers that it may not be done: REFUSED, or HTTP 403"
    NOT_SERVED = "the service answers that it has no such zone: NOTAUTH, or HTTP 404"
    THROTTLED = "the service answers that it was asked too often"
    LOST_REQUEST = "the connection ends before the service got the request"
    LOST_REPLY = "the service carries it out, and the connection ends"
    NO_REPLY = "the service carries it out, and the answer never comes"
    CUT = "the connection ends within the answer"


ANSWERED = frozenset({Trouble.FAILS, Trouble.REFUSED, Trouble.NOT_SERVED, Trouble.THROTTLED})


class Framing(Protocol):
    async def request(self, reader: asyncio.StreamReader) -> bytes:
        """Read one whole request, as it is on the wire; raises IncompleteReadError at the end of the connection."""
        ...

    def changes(self, request: bytes) -> bool:
        """Whether the request changes records."""
        ...


class DnsMessages:
    """DNS over TCP (RFC 1035 4.2.2)."""

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readexactly(2)
        return head + await reader.readexactly(struct.unpack("!H", head)[0])

    def changes(self, request: bytes) -> bool:
        return (request[4] >> 3) & 0xF == UPDATE


class HttpRequests:
    """HTTP/1.1 with a Content-Length; ``changing`` is found in the first line of requests that change records."""

    def __init__(self, changing: str) -> None:
        self._changing = re.compile(changing.encode())

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        return head + await reader.readexactly(int(length[1]) if length else 0)

    def changes(self, request: bytes) -> bool:
        return self._changing.search(request.partition(b"\r\n")[0]) is not None


def dns_answer(rcode: int) -> Callable[[bytes], bytes]:
    """An answer without records and without a signature, as servers send that cannot identify the client."""

    def answer(request: bytes) -> bytes:
        ident, flags = struct.unpack("!HH", request[2:6])
        # The question's own opcode, and the bit that says "answer".
        message = struct.pack("!HHHHHH", ident, 0x8000 | (flags & 0x7800) | rcode, 0, 0, 0, 0)
        return struct.pack("!H", len(message)) + message

    return answer


def http_answer(status: int, body: str, content_type: str = "application/json") -> Callable[[bytes], bytes]:
    data = body.encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(data)}\r\nConnection: close"
    return lambda _request: head.encode() + b"\r\n\r\n" + data


@dataclass
class _Planned:
    trouble: Trouble
    on: On
    skip: int
    keep: int


class Wire:
    """``answers`` are what the service says in each of the troubles that are answers; ``requests`` counts them all."""

    def __init__(
        self,
        port: int,
        protocol: Framing,
        answers: dict[Trouble, Callable[[bytes], bytes]] | None = None,
    ) -> None:
        self._upstream = port
        self._protocol = protocol
        self._answers = answers or {}
        self._planned: list[_Planned] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self.requests = 0

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._connection, HOST, 0, limit=1 << 20)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    def trouble(self, trouble: Trouble, on: On, *, times: int = 1, skip: int = 0, keep: int = 0) -> None:
        """Makes the next ``times`` such requests fail so, after ``skip`` that pass; ``keep`` octets of a CUT answer."""
        if trouble in ANSWERED and trouble not in self._answers:
            raise ValueError(f"the service's answer is not defined: {trouble}")
        self._planned += [_Planned(trouble, on, skip if number == 0 else 0, keep) for number in range(times)]

    def quiet(self) -> bool:
        """Whether all planned trouble has happened."""
        return not self._planned

    def _next(self, request: bytes) -> _Planned | None:
        self.requests += 1
        on = "change" if self._protocol.changes(request) else "reading"
        if not self._planned or self._planned[0].on != on:
            return None
        if self._planned[0].skip:
            self._planned[0].skip -= 1
            return None
        return self._planned.pop(0)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # either side has ended the connection, which is all that there is to say
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection(HOST, self._upstream)
        passing: asyncio.Task[None] | None = None
        try:
            passing = asyncio.create_task(_pass_on(upstream_reader, writer))
            while True:
                request = await self._protocol.request(reader)
                planned = self._next(request)
                if planned is None:
                    upstream.write(request)
                    await upstream.drain()
                    continue
                if planned.trouble is Trouble.LOST_REQUEST:
                    return
                if planned.trouble in ANSWERED:
                    writer.write(self._answers[planned.trouble](request))
                    await writer.drain()
                    return
                passing.cancel()
                await asyncio.gather(passing, return_exceptions=True)
                upstream.write(request)
                await upstream.drain()
                # The first octet of the answer says that the request was carried out.
                answer = await upstream_reader.readexactly(max(1, planned.keep))
                if planned.trouble is Trouble.CUT:
                    writer.write(answer[: planned.keep])
                    await writer.drain()
                elif planned.trouble is Trouble.NO_REPLY:
                    await reader.read()  # until the client closes
                return
        finally:
            if passing is not None:
                passing.cancel()
                await asyncio.gather(passing, return_exceptions=True)
            upstream.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while part := await reader.read(CHUNK):
            writer.write(part)
            await writer.drain()
        writer.close()  # the service has ended the connection
