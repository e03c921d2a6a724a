"""Removes what runs have made, found by its label: at the end of a run, and before one what a killed run has left."""

from __future__ import annotations

import asyncio

from decco.api.conditions import condition_of
from decco.kube.client import Client
from decco.kube.errors import ApiError, KubeError, NotFound
from decco.objects import NAMESPACES, SECRETS, SPACES, Obj, Resource, key_of, uid_of
from decco.verify.names import LABEL
from decco.verify.objects import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES

KINDS = (CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, SPACES, NAMESPACES, SECRETS)
POLL_SECONDS = 0.5


async def remove(client: Client, controller_namespace: str, seconds: float, run: str = "") -> list[str]:
    """Deletes the objects of a run, or of all runs, and waits until they are gone; returns what is left, and why.

    Secrets of the Spaces go after the Spaces, whose controller would else report them as missing.
    """
    selector = f"{LABEL}={run}" if run else LABEL
    deadline = asyncio.get_running_loop().time() + seconds
    left: list[str] = []
    while True:
        left = []
        for resource in KINDS:
            if resource is SECRETS and left:
                continue
            found = await _labelled(client, resource, controller_namespace, selector)
            for obj in found:
                await _delete(client, resource, obj)
            left += [_words(resource, obj) for obj in found]
            if resource is SPACES:
                left += await _namespaces_of(client, found)
        if not left or asyncio.get_running_loop().time() > deadline:
            return left
        await asyncio.sleep(POLL_SECONDS)


async def _labelled(client: Client, resource: Resource, controller_namespace: str, selector: str) -> list[Obj]:
    namespace = controller_namespace if resource is SECRETS else ""
    try:
        pages = client.list_pages(resource, namespace=namespace, labels=selector)
        return [item async for page in pages for item in page.items]
    except ApiError:
        return []  # nobody who may not list them has made any


async def _delete(client: Client, resource: Resource, obj: Obj) -> None:
    if "deletionTimestamp" in obj["metadata"]:
        return
    try:
        await client.delete(resource, key_of(obj), uid=uid_of(obj))
    except KubeError:
        return  # it is still listed then


async def _namespaces_of(client: Client, spaces: list[Obj]) -> list[str]:
    """Namespaces that are left of Spaces."""
    left = []
    for space in spaces:
        try:
            left.append(_words(NAMESPACES, await client.get(NAMESPACES, key_of(space))))
        except NotFound:
            continue
    return left


def _words(resource: Resource, obj: Obj) -> str:
    """The object, and why it is not gone, as far as it says so."""
    for kind in ("DNSReady", "NamespaceContentRemaining", "NamespaceFinalizersRemaining"):
        condition = condition_of(obj, kind)
        if condition.get("message") and condition.get("status") != ("True" if kind == "DNSReady" else "False"):
            return f"{resource.kind} {key_of(obj)} ({condition['message']})"
    return f"{resource.kind} {key_of(obj)}"
