"""One open watch on its way through the fault proxy, and everything that can go wrong with it.

Lines are passed on whole, so that what is injected always lies between two events; only ``cut`` breaks one, on purpose.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from aiohttp import ClientResponse, web

from testbed.connections import reset

BOOKMARK = b'"type":"BOOKMARK"'
TYPE_WITHIN = 64
"""The API server writes the type first; so the event is not decoded for it."""

EXPIRED = {
    "type": "ERROR",
    "object": {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "too old resource version: 1 (2)",
        "reason": "Expired",
        "code": 410,
    },
}
UNFINISHED = b'{"type":"MODIFIED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"cu'


async def lines(reply: ClientResponse) -> AsyncIterator[bytes]:
    """Lines of any length with their line ends; an unfinished last one as it is."""
    buffer = bytearray()
    async for chunk in reply.content.iter_any():
        buffer += chunk
        # Only the last piece can be unfinished; a partial line is rare, so scanning it again is cheap.
        *whole, rest = buffer.split(b"\n")
        for line in whole:
            yield bytes(line) + b"\n"
        buffer = rest
    if buffer:
        yield bytes(buffer)


class WatchStream:
    """A watch from the API server to a client.

    Attributes:
        path, query: what is watched.
        passed: how many lines the client has got from the API server.
        swallowed: how many it should have got.
    """

    def __init__(
        self, path: str, query: Mapping[str, str], reply: web.StreamResponse, transport: asyncio.BaseTransport | None
    ) -> None:
        self.path = path
        self.query = query
        self.passed = 0
        self.swallowed = 0
        self._reply = reply
        self._transport = transport
        self._silent = False
        self._no_bookmarks = False
        self._ended = asyncio.Event()
        self._writing = asyncio.Lock()
        self._moved = asyncio.Condition()

    # Faults

    def silence(self) -> None:
        """Swallows everything from now on; the connection stays open, as behind a firewall that forgot it."""
        self._silent = True

    def speak(self) -> None:
        """Ends the silence; what was swallowed is lost."""
        self._silent = False

    def hold_bookmarks(self) -> None:
        """Swallows bookmarks from now on and passes on everything else."""
        self._no_bookmarks = True

    def end(self) -> None:
        """Ends the stream cleanly, as the API server does after its watch time limit."""
        self._ended.set()

    def break_off(self) -> None:
        """Resets the connection."""
        reset(self._transport)
        self._ended.set()

    async def inject(self, line: bytes) -> None:
        """Sends a line of one's own between two events."""
        async with self._writing:
            await self._reply.write(line)

    async def expire(self) -> None:
        """Sends the ERROR event with code 410 and ends the stream, as the API server does after a compaction."""
        await self.inject(json.dumps(EXPIRED).encode() + b"\n")
        self.end()

    async def garble(self) -> None:
        """Sends a line that is not JSON, and goes on."""
        await self.inject(b'{"type":"MODIFIED","object":{"kind:\xff}\n')

    async def cut(self) -> None:
        """Sends the beginning of an event and ends the stream cleanly in the middle of it."""
        self.silence()
        await self.inject(UNFINISHED)
        self.end()

    # Flow

    async def treated(self, line: bytes) -> Sequence[bytes]:
        """What the client gets for a line of the API server."""
        return (line,)

    async def run(self, upstream: ClientResponse, fault: Fault | None = None, after: int = 0) -> None:
        """Passes lines on until either side or a fault ends it.

        Args:
            upstream: the API server's answer.
            fault: what to do to the stream, once ``after`` lines have passed.
            after: see there.
        """
        pump = asyncio.create_task(self._pump(upstream, fault, after))
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait({pump, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            pump.cancel()
            await asyncio.wait({pump, ended})
        if not pump.cancelled() and (error := pump.exception()) is not None:
            raise error

    async def moved(self, passed: int = 0, swallowed: int = 0) -> None:
        """Waits until that many lines were passed on, and that many were swallowed."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.passed >= passed and self.swallowed >= swallowed)

    async def _pump(self, upstream: ClientResponse, fault: Fault | None, after: int) -> None:
        async def commit(trigger: int) -> None:
            if fault is not None and after == trigger and (pending := fault(self)) is not None:
                await pending

        await commit(0)
        async for line in lines(upstream):
            if self._silent or (self._no_bookmarks and BOOKMARK in line[:TYPE_WITHIN]):
                self.swallowed += 1
            else:
                for each in await self.treated(line):
                    await self.inject(each)
                self.passed += 1
                await commit(self.passed)
            async with self._moved:
                self._moved.notify_all()


Fault = Callable[[WatchStream], Awaitable[None] | None]
"""Something to do to an open watch: usually one of its methods, as ``WatchStream.expire``."""
