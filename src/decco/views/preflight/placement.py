"""Checks of ``placement``: whether the settings let this cluster see the others that Spaces name."""

from __future__ import annotations

from collections.abc import AsyncIterator

from decco.api.placement import ClusterRole
from decco.text import abbreviated
from decco.views.findings import Finding
from decco.views.preflight.model import ClusterContext

_SHOWN = 3


async def placement(context: ClusterContext) -> AsyncIterator[Finding]:
    """Nothing is reported where no Space has a placement."""
    placed = {s.name: s.spec.placement for s in (await context.spaces()).understood if s.spec.placement is not None}
    if not placed:
        return
    here, settings = context.settings.cluster_id, context.settings
    roles = {name: found.role_in(here) for name, found in placed.items()}
    counts = [sum(role is wanted for role in roles.values()) for wanted in (*ClusterRole, None)]
    text = "this cluster is {}; Spaces with a placement: Active {}, Standby {}, elsewhere {}".format(here, *counts)
    if settings.dns.federation.id or not settings.dns.providers:
        yield Finding("placement", text)
        return
    standby = sorted(name for name, role in roles.items() if role is ClusterRole.STANDBY)
    alone = sorted(placed)
    if standby:
        spaces = abbreviated(standby, _SHOWN)
        text = f"{text}; it stands by for Space {spaces}, and cannot see whether another serves the names"
    else:
        text = f"{text}; names of Space {abbreviated(alone, _SHOWN)} are absent while they change clusters"
    yield Finding("placement", f"{text}: set dns.federation.id", "placement-alone")
