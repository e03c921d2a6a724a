"""Space names that are reserved by the cluster or the settings.

Admission refuses most of them at creation. It cannot read the settings, and some Spaces are older than its rule.
"""

from __future__ import annotations

from decco.api.reserved_names import is_reserved
from decco.desired import reasons
from decco.desired.model import Problem
from decco.settings import Settings


def reserved_name(space: str, settings: Settings) -> Problem | None:
    """Why a Space should not have this name, or None; an existing namespace stays."""
    taken = {
        "namespace, decco's own": settings.namespace,
        "edge.namespace": settings.edge.namespace,
        "edge.service": (settings.edge.service or "").partition("/")[0],
        "routing.parentGateway": (settings.routing.parent_gateway or "").partition("/")[0],
    }
    owner = next((setting for setting, name in taken.items() if name == space), None)
    if owner is not None:
        why = f"is the namespace of the setting {owner}"
    elif is_reserved(space):
        why = "is a top-level domain, a word of cluster DNS, or a system namespace's name"
    else:
        return None
    message = f"the name {space} {why}: a Space of this name gets no namespace; create it under another name"
    return Problem(reasons.NAME_RESERVED, message)
