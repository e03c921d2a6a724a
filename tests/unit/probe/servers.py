"""TLS servers on the loopback address, and targets for them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from decco.probe.model import Target
from testbed.certificates import self_signed

NAME = "db.acme.example"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], "asyncio.Future[None]"]


@dataclass(frozen=True)
class Pair:
    """A certificate with its key; ``issuer`` stands for that of an intermediate authority."""

    folder: Path

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert((self.folder / "crt").read_text())).digest()

    @property
    def issuer(self) -> bytes:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert((self.folder / "issuer").read_text())).digest()


def make_pair(folder: Path) -> Pair:
    """With its files."""
    certificate, key = self_signed([NAME])
    issuer, _ = self_signed(["issuer"])
    (folder / "crt").write_bytes(certificate)
    (folder / "issuer").write_bytes(issuer)
    (folder / "all").write_bytes(certificate + issuer)
    (folder / "key").write_bytes(key)
    return Pair(folder)


def server_context(pair: Pair, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, file: str = "all") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = version
    context.load_cert_chain(pair.folder / file, pair.folder / "key")
    return context


async def stays(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def closes(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    return


def http_answer(answer: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        assert request.startswith(b"GET /")
        assert b"\r\nUser-Agent: decco-probe/" in request
        writer.write(answer)
        await writer.drain()

    return handle  # type: ignore[return-value]


@contextlib.asynccontextmanager
async def serving(context: ssl.SSLContext | None, handle: Handler = stays) -> AsyncIterator[int]:  # type: ignore[assignment]
    """Yields the port."""

    open_ones = set()

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        open_ones.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await handle(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        open_ones.discard(task)

    server = await asyncio.start_server(once, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
        if open_ones:
            await asyncio.wait(open_ones, timeout=5)


def target(port: int, pair: Pair | None = None, **more: object) -> Target:
    chain = (pair.digest, pair.issuer) if pair is not None else ()
    return replace(Target("127.0.0.1", port, NAME, chain), **more)  # type: ignore[arg-type]
