"""Timeouts of endpoints in the units of those who keep them, and what an edge cannot keep."""

from __future__ import annotations

import math
import re
from collections.abc import Collection

from decco.desired import reasons
from decco.desired.endpoints import EndpointKind, ResolvedEndpoint
from decco.desired.model import Problem

REQUEST, IDLE = "request", "idle"
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"([0-9]+)(h|ms|m|s)")


def whole_seconds(duration: str) -> int:
    """A duration of the Gateway API (GEP-2257) for those who count in seconds: rounded up, since 0 is no limit."""
    return max(1, math.ceil(sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(duration))))


def idle_seconds(endpoint: ResolvedEndpoint) -> int | None:
    idle = endpoint.timeouts.idle if endpoint.timeouts is not None else None
    return whole_seconds(idle) if idle is not None else None


def unkept(endpoint: ResolvedEndpoint, kept: Collection[str], edge: str) -> tuple[Problem, ...]:
    """For each timeout of an HTTP endpoint that the edge does not keep; ``kept`` has the others. The sidecar keeps
    those of TCP endpoints.
    """
    if endpoint.kind is not EndpointKind.HTTP or endpoint.timeouts is None:
        return ()
    given = {REQUEST: endpoint.timeouts.request, IDLE: endpoint.timeouts.idle}
    return tuple(
        Problem(
            reasons.ROUTE_NOT_SUPPORTED,
            f"endpoint {endpoint.name} is served without timeouts.{name}, which {edge} cannot limit for a route; "
            "remove it there, and let the container limit it",
        )
        for name, value in given.items()
        if value is not None and name not in kept
    )
