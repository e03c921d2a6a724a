"""A bare client that sends prepared requests, so many at once: the least that any program needs for them.

It reads the file, prints ``ready``, and begins when it gets a line. ``--recipe`` is the file: a JSON list of
[method, path, body].
"""

from __future__ import annotations

import asyncio
import json
import sys

import aiohttp

from bench.peers.arguments import Arguments, arguments, tls
from bench.peers.raw import send


async def run(given: Arguments) -> None:
    context, server = tls(given.kubeconfig)
    connector = aiohttp.TCPConnector(limit=256, ssl=context)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(server, connector=connector, headers=headers) as http:
        queue = iter(json.loads(given.recipe.read_text()))

        async def work() -> None:
            for method, path, body in queue:
                await send(http, method, path, body)

        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(given.in_flight):
                tasks.create_task(work())


if __name__ == "__main__":
    asyncio.run(run(arguments()))
