"""A program that stands for a pod in its network namespace: it listens on ports, and connects when it is asked to.

Run by itself, with nothing but the standard library: ``peer.py <socket> <name> <port>...``. Every TCP connection to one
of the ports is answered with the name. Lines of JSON come over the Unix socket, ``[[address, port, seconds], ...]``, to
be tried all at once. A line says what each one answered, or null where none did in that time.
"""

from __future__ import annotations

import asyncio
import json
import sys


async def ask(address: str, port: int, seconds: float) -> str | None:
    """What the other side says, may be nothing; None if there is no connection in time."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(address, port)
    except OSError:  # TimeoutError is one
        return None
    try:
        # Whoever waits for a request, as a TLS server does, sees that there will be none, and ends.
        writer.write_eof()
        async with asyncio.timeout(seconds):
            return (await reader.read()).decode(errors="replace")
    except OSError:
        return ""
    finally:
        writer.close()


async def main(socket: str, name: str, *ports: str) -> None:
    """Serves until it is ended."""

    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name.encode())
        await writer.drain()
        writer.close()

    async def command(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            answers = await asyncio.gather(*(ask(*each) for each in json.loads(line)))
            writer.write(json.dumps(answers).encode() + b"\n")
            await writer.drain()
        writer.close()

    for port in ports:
        await asyncio.start_server(say, "0.0.0.0", int(port))
    await asyncio.start_unix_server(command, socket, limit=2**20)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
