"""Checks of what Spaces with an ``isolation`` above Standard need from the cluster: RuntimeClasses and nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from decco.api.types import Isolation
from decco.objects import Obj, Resource, key_of
from decco.views.findings import Finding
from decco.views.preflight.model import NODES, ClusterContext

RUNTIME_CLASSES = Resource("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", namespaced=False)
DEFAULT_HANDLER = ""
"""How a node names the runtime of pods without a RuntimeClass, in status.runtimeHandlers."""


async def isolation(context: ClusterContext) -> AsyncIterator[Finding]:
    """Nothing is checked where no Space has a level above Standard and the settings name no sandboxes."""
    levels = {space.spec.isolation for space in (await context.spaces()).understood} - {Isolation.STANDARD}
    sandboxes = context.settings.isolation.sandboxes
    if not sandboxes and not levels:
        yield Finding("isolation", "every Space is Standard")
        return
    known = {key_of(obj).name: str(obj.get("handler", "")) async for obj in context.objects_if_served(RUNTIME_CLASSES)}
    handlers = [_handlers(node) async for node in context.objects_if_served(NODES)]
    for sandbox in sandboxes:
        yield _sandbox(sandbox, known.get(sandbox), handlers)
    if Isolation.SANDBOXED in levels and not sandboxes:
        yield Finding("isolation", "a Space is Sandboxed, and isolation.sandboxes is empty", "sandbox-missing")
    if Isolation.USER_NAMESPACE in levels:
        yield _user_namespaces(handlers)


def _sandbox(name: str, handler: str | None, nodes: list[dict[str, bool]]) -> Finding:
    what = f"sandbox {name}"
    if handler is None:
        text = "the cluster has no RuntimeClass of this name in isolation.sandboxes: create it, or correct the setting"
        return Finding(what, text, "sandbox-missing")
    reporting = [node for node in nodes if node]
    serving = [node for node in reporting if handler in node]
    if reporting and not serving:
        text = f"no node has its runtime handler {handler}, so its pods do not start: install the runtime on nodes"
        return Finding(what, text, "sandbox-missing")
    where = f", on {len(serving)} of {len(nodes)} nodes" if reporting else ""
    return Finding(what, f"RuntimeClass with handler {handler}{where}")


def _user_namespaces(nodes: list[dict[str, bool]]) -> Finding:
    reporting = [node for node in nodes if node]
    able = [node for node in reporting if node.get(DEFAULT_HANDLER)]
    if reporting and not able:
        text = (
            "a Space demands user namespaces, and no node's runtime has them: its pods do not start. They need Linux "
            "6.3, and containerd 2.0 with runc 1.2, or CRI-O 1.25 with crun"
        )
        return Finding("user namespaces", text, "user-namespaces-missing")
    where = f"on {len(able)} of {len(nodes)} nodes" if reporting else "no node reports whether it has them"
    return Finding("user namespaces", where)


def _handlers(node: Obj) -> dict[str, bool]:
    """Name of the runtime handler -> whether it has user namespaces; {} if the node reports no handlers."""
    return {
        str(handler.get("name", "")): (handler.get("features") or {}).get("userNamespaces") is True
        for handler in (node.get("status") or {}).get("runtimeHandlers") or ()
    }
