"""A plain operator with kubernetes_asyncio: its Watch, a queue and workers, children by the typed APIs' client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from kubernetes_asyncio import client, config, watch

from bench.peers.arguments import Arguments, arguments
from bench.peers.recipe import Recipe, is_namespace, with_uid

GROUP, VERSION = "decco.platform9.com", "v1beta2"


async def run(given: Arguments) -> None:
    recipe = Recipe(given.recipe)
    await config.load_kube_config(str(given.kubeconfig))
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    async with client.ApiClient() as api:
        custom = client.CustomObjectsApi(api)

        async def follow(plural: str) -> None:
            async with watch.Watch() as events:
                async for event in events.stream(custom.list_cluster_custom_object, GROUP, VERSION, plural):
                    if event["type"] == "ADDED":
                        queue.put_nowait(event["object"])

        async def work() -> None:
            while True:
                obj = await queue.get()
                meta = obj["metadata"]
                namespace_uid = ""
                for _, path, text in recipe.children(obj):
                    written = await _write(api, path, json.loads(with_uid(text, namespace_uid)))
                    if is_namespace(path):
                        namespace_uid = written.metadata.uid
                body = {**obj, "status": json.loads(recipe.status(obj)[2])["status"]}
                if obj["kind"] == "Space":
                    await custom.replace_cluster_custom_object_status(GROUP, VERSION, "spaces", meta["name"], body)
                else:
                    await custom.replace_namespaced_custom_object_status(
                        GROUP, VERSION, meta["namespace"], "apps", meta["name"], body
                    )

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follow("spaces"))
            tasks.create_task(follow("apps"))
            for _ in range(given.in_flight):
                tasks.create_task(work())


TYPED = {
    "services": (client.CoreV1Api, "create_namespaced_service"),
    "secrets": (client.CoreV1Api, "create_namespaced_secret"),
    "deployments": (client.AppsV1Api, "create_namespaced_deployment"),
    "networkpolicies": (client.NetworkingV1Api, "create_namespaced_network_policy"),
}


async def _write(api: client.ApiClient, path: str, obj: dict[str, Any]) -> Any:
    if is_namespace(path):
        return await client.CoreV1Api(api).replace_namespace(obj["metadata"]["name"], obj)
    plural = path.partition("?")[0].rsplit("/", 1)[1]
    if plural in TYPED:
        group, create = TYPED[plural]
        return await getattr(group(api), create)(obj["metadata"]["namespace"], obj)
    group_name, version = obj["apiVersion"].split("/")
    return await client.CustomObjectsApi(api).create_namespaced_custom_object(
        group_name, version, obj["metadata"]["namespace"], plural, obj
    )


if __name__ == "__main__":
    asyncio.run(run(arguments()))
