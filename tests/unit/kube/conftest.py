"""A server that answers as a test says, on loopback: for the behaviour of HTTP and sockets, not of Kubernetes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from decco.kube.client import Client
from decco.kube.connection import Access, Connection

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
RawHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Seen:
    """What the server was asked."""

    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path with query, in order."""
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    observed: list[tuple[str, str, str]] = field(default_factory=list)
    """What the client's observer received."""


class Account:
    """A source of credentials: token-0, then token-1 and so on, one more at each renewal."""

    def __init__(self) -> None:
        self.loads = 0
        self.error: Exception | None = None

    def describe(self) -> str:
        return "test account"

    async def load(self, *, rejected: bool = False) -> Access:
        self.loads += 1
        await asyncio.sleep(0.01)
        if self.error is not None:
            raise self.error
        return Access("http://unused", True, None, None, f"Bearer token-{self.loads}", float("inf"))


class Harness:
    """Starts servers and clients, and ends them with the test."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.account = Account()

    async def client(self, handler: Handler, **options: Any) -> tuple[Client, Seen]:
        """A client of a server that answers every request by ``handler``."""
        seen = Seen()

        async def record(request: web.Request) -> web.StreamResponse:
            seen.requests.append((request.method, request.raw_path))
            seen.headers.append(dict(request.headers))
            seen.bodies.append(await request.read())
            return await handler(request)

        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", record)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        return await self.to(f"http://127.0.0.1:{port}", seen, **options), seen

    async def raw_client(self, handler: RawHandler, **options: Any) -> tuple[Client, Seen]:
        """A client of a server that speaks bytes; each request is read up to the end of its head."""
        seen = Seen()

        async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    method, path, _ = head.split(b" ", 2)
                    seen.requests.append((method.decode(), path.decode()))
                    await handler(reader, writer)
                    if writer.is_closing():
                        return
            except (asyncio.IncompleteReadError, ConnectionError):
                pass  # the client left
            finally:
                writer.close()

        server = await asyncio.start_server(record, "127.0.0.1", 0)
        self._stack.callback(server.close)
        port = server.sockets[0].getsockname()[1]
        return await self.to(f"http://127.0.0.1:{port}", seen, **options), seen

    async def to(self, url: str, seen: Seen | None = None, **options: Any) -> Client:
        """A client of a given URL."""
        connection = Connection.of(self.account, Access(url, True, None, None, "Bearer token-0", float("inf")))
        watcher = (lambda v, r, c, _s: seen.observed.append((v, r, c))) if seen is not None else None
        client = Client(connection, user_agent="decco-test/1", observe=watcher, **options)
        return await self._stack.enter_async_context(client)


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    async with AsyncExitStack() as stack:
        yield Harness(stack)
