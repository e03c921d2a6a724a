"""An operator with kopf: handlers for creation and for what it finds at its start; children by aiohttp, as in kopf.

kopf keeps its progress in annotations of the object, which costs a PATCH that the others do not need.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from typing import Any

import aiohttp
import kopf

from bench.peers.arguments import Arguments, arguments, tls
from bench.peers.recipe import Recipe, is_namespace, with_uid

GROUP = ("decco.platform9.com", "v1beta2")


def main(given: Arguments) -> None:
    recipe = Recipe(given.recipe)
    context, server = tls(given.kubeconfig)

    @kopf.on.startup()
    async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
        settings.posting.enabled = False  # no Events, which are left out of the recipe too
        memo.places = asyncio.Semaphore(given.in_flight)  # a limit of workers would keep each for 5 s of idle time
        connector = aiohttp.TCPConnector(limit=256, ssl=context)
        memo.http = aiohttp.ClientSession(server, connector=connector, headers={"Content-Type": "application/json"})

    @kopf.on.cleanup()
    async def end(memo: kopf.Memo, **_: Any) -> None:
        await memo.http.close()

    os.environ["KUBECONFIG"] = str(given.kubeconfig)

    @kopf.on.login()
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.resume(*GROUP, "spaces")
    @kopf.on.create(*GROUP, "spaces")
    @kopf.on.resume(*GROUP, "apps")
    @kopf.on.create(*GROUP, "apps")
    async def reconcile(memo: kopf.Memo, patch: kopf.Patch, body: kopf.Body, **_: Any) -> None:
        obj = dict(body)
        namespace_uid = ""
        async with memo.places:
            for method, path, text in recipe.children(obj):
                async with memo.http.request(method, path, data=with_uid(text, namespace_uid).encode()) as answer:
                    content = await answer.read()
                    if answer.status >= 300 and answer.status != 409:
                        raise kopf.TemporaryError(f"{path}: {answer.status}", delay=1)
                    if is_namespace(path):
                        namespace_uid = json.loads(content)["metadata"]["uid"]
        patch.status.update(json.loads(recipe.status(obj)[2])["status"])

    logging.getLogger("kopf").setLevel(logging.WARNING)
    asyncio.run(kopf.operator(clusterwide=True))


if __name__ == "__main__":
    main(arguments())
