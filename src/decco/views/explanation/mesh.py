"""The mesh of a Space: how far the Space has entered it, and which clients connect without it."""

from __future__ import annotations

from decco.desired.mesh_state import MeshPhase
from decco.desired.model import SpaceFacts
from decco.reconcilers.mesh import app_mesh, mesh_record
from decco.views.explanation.parts import World

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
    more = f" and {len(outside) - _SHOWN} more" if len(outside) > _SHOWN else ""
    return f"{text}; {', '.join(outside[:_SHOWN])}{more} may connect without it"
