"""A bare client: aiohttp, and the bodies as decco sent them. It lists Spaces and Apps once, and watches nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson

from bench.peers.arguments import Arguments, arguments, tls
from bench.peers.recipe import Recipe, is_namespace, with_uid

APIS = "/apis/decco.platform9.com/v1beta2"


async def run(given: Arguments) -> None:
    recipe = Recipe(given.recipe)
    context, server = tls(given.kubeconfig)
    connector = aiohttp.TCPConnector(limit=256, ssl=context)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(server, connector=connector, headers=headers) as http:
        found: list[dict[str, Any]] = []
        for plural in ("spaces", "apps"):
            async with http.get(f"{APIS}/{plural}?resourceVersion=0") as answer:
                answer.raise_for_status()
                found += orjson.loads(await answer.read())["items"]
        queue = iter(found)

        async def work() -> None:
            for obj in queue:
                namespace_uid = ""
                for method, path, body in (*recipe.children(obj), recipe.status(obj)):
                    text = await send(http, method, path, with_uid(body, namespace_uid))
                    if is_namespace(path):
                        namespace_uid = orjson.loads(text)["metadata"]["uid"]

        async with asyncio.TaskGroup() as tasks:
            for _ in range(given.in_flight):
                tasks.create_task(work())
        await asyncio.Event().wait()  # until the benchmark ends it, as it ends the operators


async def send(http: aiohttp.ClientSession, method: str, path: str, body: str) -> bytes:
    async with http.request(method, path, data=body.encode()) as answer:
        text = await answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")
        return text


if __name__ == "__main__":
    asyncio.run(run(arguments()))
