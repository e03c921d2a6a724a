"""A bare client that follows: what exists it writes as ``raw`` does, then it watches Apps and writes what they need.

Each new App takes two steps: first everything but its workload at once, then the workload, which must not run before
the policy that isolates it exists. Nobody could be faster and keep that order. It writes no status of new Apps.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson

from bench.peers.arguments import Arguments, arguments, tls
from bench.peers.raw import APIS, send
from bench.peers.recipe import Recipe, is_namespace, with_uid

WORKLOADS = ("/deployments", "/statefulsets", "/jobs")


async def run(given: Arguments) -> None:
    recipe = Recipe(given.recipe)
    context, server = tls(given.kubeconfig)
    connector = aiohttp.TCPConnector(limit=256, ssl=context)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(server, connector=connector, headers=headers) as http:
        namespaces: dict[str, str] = {}
        version = ""
        for plural in ("spaces", "apps"):
            async with http.get(f"{APIS}/{plural}?resourceVersion=0") as answer:
                answer.raise_for_status()
                found = orjson.loads(await answer.read())
            version = found["metadata"]["resourceVersion"]
            await _existing(http, recipe, found["items"], namespaces, given.in_flight)
        tasks: set[asyncio.Task[None]] = set()
        url = f"{APIS}/apps?watch=1&resourceVersion={version}"
        async with http.get(url, timeout=aiohttp.ClientTimeout(None)) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                event = orjson.loads(line)
                if event["type"] == "ADDED":
                    app = event["object"]
                    tasks.add(task := asyncio.create_task(_new(http, recipe, app, namespaces)))
                    task.add_done_callback(_ended(tasks))


def _ended(tasks: set[asyncio.Task[None]]) -> Any:
    def ended(task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        task.result()

    return ended


async def _existing(
    http: aiohttp.ClientSession, recipe: Recipe, objects: list[Any], namespaces: dict[str, str], in_flight: int
) -> None:
    queue = iter(objects)

    async def work() -> None:
        for obj in queue:
            space = obj["metadata"].get("namespace") or obj["metadata"]["name"]
            for method, path, body in (*recipe.children(obj), recipe.status(obj)):
                text = await send(http, method, path, with_uid(body, namespaces.get(space, "")))
                if is_namespace(path):
                    namespaces[space] = orjson.loads(text)["metadata"]["uid"]

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())


async def _new(http: aiohttp.ClientSession, recipe: Recipe, app: dict[str, Any], namespaces: dict[str, str]) -> None:
    uid = namespaces[app["metadata"]["namespace"]]
    steps: tuple[list[Any], list[Any]] = ([], [])
    for method, path, body in recipe.children(app):
        last = path.partition("?")[0].endswith(WORKLOADS)
        steps[last].append((method, path, with_uid(body, uid)))
    for step in steps:
        await asyncio.gather(*(send(http, *request) for request in step))


if __name__ == "__main__":
    asyncio.run(run(arguments()))
