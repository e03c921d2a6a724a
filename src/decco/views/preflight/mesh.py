"""Checks of Spaces with a service mesh: its kinds, and clients that are not in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from decco.desired.mesh.meshes import meshes
from decco.objects import LABEL_MONITORING, NAMESPACES, Key, Obj, labels_of
from decco.views.findings import Finding
from decco.views.preflight.model import ClusterContext


async def mesh(context: ClusterContext) -> AsyncIterator[Finding]:
    """Nothing is checked where no Space has a mesh."""
    used: dict[str, str] = {}
    for space in (await context.spaces()).understood:
        if space.spec.mesh.value in meshes():
            used.setdefault(space.spec.mesh.value, space.name)
    if not used:
        yield Finding("mesh", "no Space has one")
        return
    clients = [obj async for obj in _clients(context)]
    for name, space_name in sorted(used.items()):
        found = meshes()[name]
        if not context.served.keys() >= set(found.kinds):
            kinds = ", ".join(kind.kind for kind in found.kinds)
            text = f"Space {space_name} has the mesh {name}, and the cluster serves no {kinds}: install {found.crds}"
            yield Finding("mesh", text, "mesh-missing")
            continue
        outside = sorted(obj["metadata"]["name"] for obj in clients if not found.is_member(labels_of(obj)))
        if outside:
            text = (
                f"pods of {', '.join(outside)} connect to Spaces of the mesh {name} without it, so these ports take "
                f"connections that are not encrypted by it: label the namespace {'='.join(found.label)}"
            )
            yield Finding("mesh", text, "mesh-client-outside")
        else:
            yield Finding("mesh", f"{name} is served, and the edge and monitoring are in it")


async def _clients(context: ClusterContext) -> AsyncIterator[Obj]:
    """The namespaces of the edge and of monitoring."""
    async for obj in context.objects_if_served(NAMESPACES, labels=f"{LABEL_MONITORING}=true"):
        yield obj
    name = context.settings.edge.namespace
    if name is not None:
        found = await context.find(NAMESPACES, Key("", name))
        if found is not None:  # otherwise reported with the edge
            yield found
