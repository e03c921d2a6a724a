"""Where a Space or an App runs, by its placement."""

from __future__ import annotations

from decco.api.placement import ClusterRole
from decco.desired.model import SpaceFacts
from decco.desired.placement import Placed, place
from decco.objects import Key
from decco.reconcilers.facts import AppFacts
from decco.views.explanation.parts import World
from decco.views.findings import Finding, Findings


def place_of(world: World, space: SpaceFacts, app: Key | None = None) -> Placed | None:
    """What this cluster does for the Space, or for its App; None without placement."""
    caches = world.snapshot.caches
    entry = caches.apps.get(app) if app is not None else None
    facts = entry.facts if entry is not None else None
    own = facts.placement if isinstance(facts, AppFacts) else None
    return place(caches.settings.cluster_id, space.spec.placement, own)


def is_away(world: World, app: Key) -> bool:
    """Whether the App runs in other clusters only."""
    found = world.snapshot.caches.space(app.namespace)
    here = place_of(world, found[1], app) if found is not None else None
    return here is not None and here.role is None


def placement(world: World, space: SpaceFacts, app: Key | None = None) -> Findings:
    here = place_of(world, space, app)
    if here is None:
        return
    text = f"{here.where}; this cluster is {here.cluster}: "
    match here.role:
        case ClusterRole.ACTIVE:
            text += "Active"
        case ClusterRole.STANDBY:
            text += "stands by, its names lead here while no Active cluster serves them"
        case None:
            text += f"no pods run and nothing is published here, by the placement of the {here.by}"
    if not world.snapshot.caches.settings.dns.federation.id and here.role is ClusterRole.STANDBY:
        text += "; it cannot see whether another serves them: set dns.federation.id"
        yield Finding("placement", text, "placement-alone")
        return
    yield Finding("placement", text)
