"""The mesh of a Space: how far the Space has entered it, and which clients connect without it."""

from __future__ import annotations

from decco.api.parse import parse_app
from decco.api.types import Endpoint
from decco.desired import names
from decco.desired.endpoints import endpoints_of
from decco.desired.mesh_state import MeshPhase
from decco.desired.model import SpaceFacts
from decco.errors import DeccoError
from decco.objects import Key
from decco.reconcilers.mesh import app_mesh, mesh_record
from decco.text import abbreviated
from decco.views.explanation.parts import World
from decco.views.findings import Finding, Findings

_PHASES = {
    MeshPhase.PREPARED: "its pods are outside, and connections without it are permitted",
    MeshPhase.PASSING: "its pods enter or leave, and connections without it are permitted",
    MeshPhase.STRICT: "its pods are inside",
}
_SHOWN = 5


def mesh_of(world: World, space: SpaceFacts) -> str:
    """Empty if the Space has none, and had none."""
    caches, wanted = world.snapshot.caches, space.spec.mesh.value
    record = mesh_record(caches, space)
    if record is None:
        return "" if wanted == "None" else f"{wanted}: its pods have not begun to enter (condition MeshReady)"
    text = f"{record.mesh}, {record.phase} since {record.since:%Y-%m-%dT%H:%M:%SZ}: {_PHASES[record.phase]}"
    if space.spec.project is None:
        return f"{text}; declared ports also take connections without it, since the Space has no project"
    outside = app_mesh(caches, space).clients_outside
    if not outside:
        return text
    return f"{text}; {abbreviated(outside, _SHOWN)} may connect without it"


def plain_text(world: World, space: SpaceFacts, app: Key) -> Findings:
    """Who reaches the clear text Services of an App by the mesh."""
    caches = world.snapshot.caches
    entry = caches.apps.get(app)
    if entry is None or not app_mesh(caches, space).name:
        return
    try:
        endpoints = endpoints_of(app.name, parse_app(entry.obj()))
    except DeccoError:
        return  # reported as invalid elsewhere
    for endpoint in endpoints:
        if endpoint.create_clear_text_service and not endpoint.is_metrics_endpoint:
            where = f"{names.cleartext_service(endpoint.name)}.{space.name}:{endpoint.port}"
            yield Finding("mesh", f"{where} in plain text by the mesh: {_clients(world, space, endpoint)}")


def _clients(world: World, space: SpaceFacts, endpoint: Endpoint) -> str:
    if endpoint.allowed_clients:
        accounts = app_mesh(world.snapshot.caches, space, endpoint.allowed_clients).accounts
        found = [f"service account {each.name} of Space {each.namespace}" for each in accounts]
        others = sorted(set(endpoint.allowed_clients) - {each.client for each in accounts})
        found += [f"not {name}, which is not a service account of a Space that may connect" for name in others]
        return "; ".join(found)
    if endpoint.verify_tcp_client_cert:
        return "nobody of other Spaces, since clients are known by certificates alone; name them in allowedClients"
    if space.spec.project is not None:
        return f"Spaces of project {space.spec.project}"
    return "everybody in the mesh"
