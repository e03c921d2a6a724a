"""Stands in front of a name server: counts what passes over TCP, and loses, refuses or cuts it on demand.

It sees messages, not octets, so a test can act between decco's decision and the server's (``before``), and between the
server's answer and decco's hearing of it (``after``): the two moments that make interleavings.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from enum import StrEnum
from types import TracebackType

HOST = "127.0.0.1"
QUERY, UPDATE = 0, 5
"""Opcodes (RFC 1035 4.1.1, RFC 2136 1.3); zone transfers are queries."""
_ANSWER = 0x8000
_OPCODE = 0x7800
_RCODES = {"servfail": 2, "refused": 5}


class Fault(StrEnum):
    """What happens to one message."""

    LOST = "lost"
    """The connection ends before the server receives the request."""
    ANSWER_LOST = "answer lost"
    """The server carries it out, and the connection ends before its answer arrives."""
    SILENCE = "silence"
    """The server carries it out, and no answer comes until the client's timeout."""
    LATE = "late"
    """The connection ends, and the server carries it out all the same, ``late_seconds`` later."""
    SERVFAIL = "servfail"
    """Refused in the server's place, unsigned."""
    REFUSED = "refused"
    """Refused in the server's place, unsigned."""
    CUT = "cut"
    """The server's answer breaks off in its middle."""


Judge = Callable[[int], Fault | None]
"""Says by its opcode what happens to the next message."""
Meanwhile = Callable[[], Awaitable[None]]
"""Waited for while an update is held."""


async def _nothing() -> None:
    return


class DnsProxy:
    """``async with DnsProxy(port) as proxy``: listens at ``proxy.port``; ``messages`` and ``octets`` are by opcode."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self.messages: Counter[int] = Counter()
        self.octets: Counter[int] = Counter()
        """Of questions and updates, without the answers."""
        self.judge: Judge = lambda _opcode: None
        self.late_seconds = 0.2
        self.before: Meanwhile = _nothing
        self.after: Meanwhile = _nothing
        self._connections: set[asyncio.Task[None]] = set()
        self._held = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def __aenter__(self) -> DnsProxy:
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def quiet(self) -> None:
        """Waits until no message to the server is pending: what was sent before is carried out, or lost."""
        await self._quiet.wait()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: the loop's exception handler receives a task of start_server that is cancelled.
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        streams: asyncio.Task[None] | None = None
        try:
            answers, upstream = await asyncio.open_connection(HOST, self._upstream)
            while (message := await _read(reader)) is not None:
                opcode = message[2] >> 3 & 0xF
                self.messages[opcode] += 1
                self.octets[opcode] += len(message)
                fault = self.judge(opcode)
                if opcode == UPDATE:
                    going_on = await self._update(message, fault, reader, writer, answers, upstream)
                elif fault in (Fault.SERVFAIL, Fault.REFUSED):
                    going_on = await _send(writer, _refusal(message, fault))
                else:
                    going_on = fault is None or fault == Fault.CUT
                    if going_on:
                        await _send(upstream, message)
                        streams = asyncio.create_task(_stream(answers, writer, cut=fault == Fault.CUT))
                if not going_on:
                    return
        except OSError:
            return  # one of the two sides is gone, and with it the conversation
        finally:
            if streams is not None:
                streams.cancel()
            for side in (writer, upstream):
                if side is not None:
                    side.close()

    async def _update(
        self,
        message: bytes,
        fault: Fault | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
    ) -> bool:
        """Carry one update through; False if the connection ends with it."""
        self._held += 1
        self._quiet.clear()
        try:
            await self.before()
            if fault == Fault.LOST:
                return False
            if fault == Fault.LATE:
                writer.close()
                await asyncio.sleep(self.late_seconds)
            if fault in (Fault.SERVFAIL, Fault.REFUSED):
                return await _send(writer, _refusal(message, fault))
            await _send(upstream, message)
            answer = await _read(answers)
            await self.after()
        finally:
            self._held -= 1
            if not self._held:
                self._quiet.set()
        if answer is None or fault in (Fault.ANSWER_LOST, Fault.LATE):
            return False
        if fault == Fault.SILENCE:
            await reader.read()
            return False
        if fault == Fault.CUT:
            writer.write((struct.pack("!H", len(answer)) + answer)[: len(answer) // 2])
            await writer.drain()
            return False
        return await _send(writer, answer)


async def _stream(answers: asyncio.StreamReader, writer: asyncio.StreamWriter, *, cut: bool) -> None:
    """Pass on the answers of a transfer; with ``cut`` only a part of the first."""
    with contextlib.suppress(OSError):
        while (answer := await _read(answers)) is not None:
            if cut:
                writer.write((struct.pack("!H", len(answer)) + answer)[: len(answer) // 2])
                break
            await _send(writer, answer)
    writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes | None:
    """One message; None at the end of the connection."""
    try:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError:
        return None


async def _send(writer: asyncio.StreamWriter, message: bytes) -> bool:
    writer.write(struct.pack("!H", len(message)) + message)
    await writer.drain()
    return True


def _refusal(message: bytes, fault: Fault) -> bytes:
    ident, flags = struct.unpack("!HH", message[:4])
    return struct.pack("!HHHHHH", ident, _ANSWER | flags & _OPCODE | _RCODES[fault], 0, 0, 0, 0)
