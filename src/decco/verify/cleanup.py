"""Removes what runs have made, found by its label: at the end of a run, and before one what a killed run has left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from decco.api.conditions import condition_of
from decco.kube.client import Client
from decco.kube.errors import ApiError, KubeError, NotFound
from decco.objects import NAMESPACES, SECRETS, SPACES, Key, Obj, Resource, key_of, uid_of
from decco.verify.names import LABEL, made_by_a_run
from decco.verify.objects import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES

KINDS = (CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, SPACES, NAMESPACES, SECRETS)
POLL_SECONDS = 0.5


async def remove(client: Client, controller_namespace: str, seconds: float, run: str = "") -> list[str]:
    """Deletes the objects of a run, or of all runs, and waits until they are gone, at most ``seconds`` after the last
    one went; returns what is left, and why.

    Secrets of the Spaces go after the Spaces, whose controller would else report them as missing. That nothing is left
    must be seen twice: what an interrupted request was creating appears a moment later.
    """
    selector = f"{LABEL}={run}" if run else LABEL
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    before: list[str] | None = None
    spaces: set[Key] = set()
    while True:
        left: list[str] = []
        for resource in KINDS:
            if resource is SECRETS and left:
                continue
            found = await _removable(client, resource, controller_namespace, selector)
            for obj in found:
                await _delete(client, resource, obj)
            left += [_describe(resource, obj) for obj in found]
            if resource is SPACES:
                spaces.update(map(key_of, found))
                left += await _namespaces_of(client, spaces)
        if not left and before == []:
            return []
        if before is not None and len(left) < len(before):
            deadline = loop.time() + seconds
        if loop.time() > deadline:
            return left
        before = left
        await asyncio.sleep(POLL_SECONDS)


async def labelled(client: Client, resource: Resource, namespace: str = "", selector: str = LABEL) -> list[Obj]:
    """The objects of a kind that a run has made. Raises KubeError."""
    pages = client.list_pages(resource, namespace=namespace, labels=selector)
    return [item async for page in pages for item in page.items if made_by_a_run(item)]


async def _removable(client: Client, resource: Resource, controller_namespace: str, selector: str) -> list[Obj]:
    try:
        return await labelled(client, resource, controller_namespace if resource is SECRETS else "", selector)
    except ApiError:
        return []  # nobody who may not list them has made any


async def _delete(client: Client, resource: Resource, obj: Obj) -> None:
    if "deletionTimestamp" in obj["metadata"]:
        return
    try:
        await client.delete(resource, key_of(obj), uid=uid_of(obj))
    except KubeError:
        return  # it is still listed then


async def _namespaces_of(client: Client, spaces: Iterable[Key]) -> list[str]:
    """Namespaces that are left of Spaces, which may be gone themselves."""
    left = []
    for key in sorted(spaces):
        try:
            left.append(_describe(NAMESPACES, await client.get(NAMESPACES, key)))
        except NotFound:
            continue
    return left


def _describe(resource: Resource, obj: Obj) -> str:
    """The object, and why it is not gone, as far as it says so."""
    for kind in ("DNSReady", "NamespaceContentRemaining", "NamespaceFinalizersRemaining"):
        condition = condition_of(obj, kind)
        if condition.get("message") and condition.get("status") != ("True" if kind == "DNSReady" else "False"):
            return f"{resource.kind} {key_of(obj)} ({condition['message']})"
    return f"{resource.kind} {key_of(obj)}"
