"""Timeouts of endpoints in the units of those who keep them, and what an edge cannot keep."""

from __future__ import annotations

import math
from collections.abc import Collection

from decco.api.durations import seconds
from decco.desired import reasons
from decco.desired.endpoints import EndpointKind, ResolvedEndpoint
from decco.desired.limits import limits_of, longest_idle, longest_request
from decco.desired.model import Problem, SpaceFacts

REQUEST, IDLE = "request", "idle"


def whole_seconds(duration: str) -> int:
    """The same for those who count in seconds: rounded up, since 0 is no limit."""
    return max(1, math.ceil(seconds(duration)))


def shortest(*durations: str | None) -> str | None:
    """The first of the shortest ones; None if all are."""
    return min((each for each in durations if each is not None), key=seconds, default=None)


def idle_timeout(endpoint: ResolvedEndpoint, space: SpaceFacts) -> str | None:
    """The idle timeout of an HTTP endpoint: its own, if that is shorter than the Space's limit."""
    return shortest(longest_idle(limits_of(space)), endpoint.timeouts.idle if endpoint.timeouts is not None else None)


def request_timeout(endpoint: ResolvedEndpoint, space: SpaceFacts, default: str | None = None) -> str | None:
    """The same of its requests; ``default``: if it has none of its own."""
    own = endpoint.timeouts.request if endpoint.timeouts is not None else None
    return shortest(longest_request(limits_of(space)), own or default)


def idle_seconds(endpoint: ResolvedEndpoint, space: SpaceFacts) -> int | None:
    """The idle timeout of an HTTP endpoint in whole seconds."""
    idle = idle_timeout(endpoint, space)
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
