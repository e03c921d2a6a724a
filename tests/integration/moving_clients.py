"""Clients that keep DNS answers for their TTL, and what they reach: a process of its own.

Each client resolves the name at the zone's server when its answer has expired, connects to the address, sends a request
and needs the answer. What stands at the address of a cluster answers while that cluster has listeners for the Space; it
ends connections when the Space is being deleted there, as an edge does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import dns.asyncquery
import dns.message

from decco.moving.mover import MARGIN_SECONDS

PORT = 18443
CLIENTS = 16


@dataclass
class Count:
    requests: int = 0
    by_address: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    lasting: list[float] = field(default_factory=list)
    """Seconds that connections lasted which ended unanswered after more than MARGIN_SECONDS: the documented limit."""
    longest: float = 0.0


async def client(name: str, server: str, port: int, count: Count, ended: asyncio.Event) -> None:
    address, expires = "", 0.0
    while not ended.is_set():
        if time.monotonic() >= expires:
            asked = time.monotonic()
            answer = await dns.asyncquery.udp(dns.message.make_query(name, "A"), server, port=port, timeout=10)
            if not answer.answer:
                count.failed.append(f"{name} has no address")
                count.requests += 1
                await asyncio.sleep(0.1)
                continue
            [record] = answer.answer[0]
            address, expires = str(record), asked + answer.answer[0].ttl
        began, problem = time.monotonic(), ""
        try:
            reader, writer = await asyncio.open_connection(address, PORT)
            try:
                writer.write(b"?")
                found = await asyncio.wait_for(reader.read(8), 30)
            finally:
                writer.close()
            if found != b"ok":
                problem = f"{address} ended the connection"
        except OSError as error:
            problem = f"{address}: {error}"
        seconds = time.monotonic() - began
        count.longest = max(count.longest, seconds)
        if problem and seconds > MARGIN_SECONDS:
            count.lasting.append(seconds)
        elif problem:
            count.failed.append(f"{problem} after {seconds:.2f} s")
        count.requests += 1
        count.by_address[address] = count.by_address.get(address, 0) + 1


async def run(name: str, server: str, port: int) -> None:
    """Writes the count to standard output each second; ends with standard input."""
    count, ended = Count(), asyncio.Event()
    asyncio.get_running_loop().run_in_executor(None, lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)))
    loop = asyncio.get_running_loop()
    clients = [asyncio.create_task(client(name, server, port, count, ended)) for _ in range(CLIENTS)]
    while not ended.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), 1)
        print(json.dumps(count.__dict__), flush=True)
        for each in clients:
            if each.done():
                await each
    await asyncio.gather(*clients)
    print(json.dumps(count.__dict__), flush=True)


async def edge(address: str, serves: Callable[[], bool]) -> asyncio.Server:
    """Stands at the address of a cluster."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            if serves() and await reader.read(1):
                writer.write(b"ok")
                await writer.drain()
            writer.close()

    return await asyncio.start_server(answer, address, PORT, backlog=1024)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
