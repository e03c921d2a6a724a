"""What this cluster does for a Space and for its Apps, for pictures and tables of many Spaces."""

from __future__ import annotations

from decco.desired.model import SpaceFacts
from decco.desired.placement import Placed, place
from decco.desired.reasons import NOT_PLACED
from decco.reconcilers.facts import AppFacts
from decco.views.snapshot import Snapshot


def placed_of(space: SpaceFacts, snapshot: Snapshot) -> tuple[Placed | None, dict[str, Placed]]:
    """That of the Space, None without a placement; and by name those of its Apps for which this cluster does something
    else.
    """
    here, whole = snapshot.caches.settings.cluster_id, space.spec.placement
    of_space = place(here, whole)
    apps: dict[str, Placed] = {}
    for entry in sorted(snapshot.caches.apps.in_namespace(space.name), key=lambda entry: entry.key):
        narrower = entry.facts.placement if isinstance(entry.facts, AppFacts) else None
        found = place(here, whole, narrower)
        if narrower is not None and found is not None and (of_space is None or found.role is not of_space.role):
            apps[entry.key.name] = found
    return of_space, apps


def role_name(placed: Placed) -> str:
    """Active, Standby or NotPlaced."""
    return placed.role.value if placed.role is not None else NOT_PLACED
