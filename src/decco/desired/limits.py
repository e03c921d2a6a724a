"""The limits of a Space (``spec.limits``) by name, and what is reported where an edge does not keep one."""

from __future__ import annotations

from decco.api.limits import Limits
from decco.api.types import AppProtocol
from decco.desired import reasons
from decco.desired.endpoints import EndpointKind, ResolvedEndpoint
from decco.desired.model import Problem, SpaceFacts

CLIENT_CIDRS, REQUEST_BODY, REQUEST_RATE, CONNECTIONS = "clientCidrs", "requestBody", "requestRate", "connections"
REQUEST, IDLE = "timeouts.request", "timeouts.idle"
STREAMS = frozenset({AppProtocol.GRPC, AppProtocol.WEBSOCKET})
"""Protocols whose requests may have no end: nobody can wait for their whole body."""

NO_LIMITS = Limits()


def limits_of(space: SpaceFacts) -> Limits:
    return space.spec.limits or NO_LIMITS


def longest_request(limits: Limits) -> str | None:
    return limits.timeouts.request if limits.timeouts is not None else None


def longest_idle(limits: Limits) -> str | None:
    return limits.timeouts.idle if limits.timeouts is not None else None


def given(limits: Limits) -> tuple[str, ...]:
    """The names of the limits that are set."""
    found = {
        CLIENT_CIDRS: bool(limits.client_cidrs),
        REQUEST_BODY: limits.request_body is not None,
        REQUEST_RATE: limits.request_rate is not None,
        CONNECTIONS: limits.connections is not None,
        REQUEST: longest_request(limits) is not None,
        IDLE: longest_idle(limits) is not None,
    }
    return tuple(name for name, is_set in found.items() if is_set)


def limits_text(limits: Limits) -> str:
    """For people; "" without limits."""
    rate = limits.request_rate
    values = {
        CLIENT_CIDRS: ", ".join(limits.client_cidrs),
        REQUEST_BODY: limits.request_body,
        REQUEST_RATE: f"{rate.requests} for each client and {rate.unit.value.lower()}" if rate is not None else None,
        CONNECTIONS: limits.connections,
        REQUEST: longest_request(limits),
        IDLE: longest_idle(limits),
    }
    return "; ".join(f"{name} {values[name]}" for name in given(limits))


def unkept_limit(name: str, why: str) -> Problem:
    if name == CLIENT_CIDRS:
        message = f"nothing is served to anybody, because limits.{name} does not hold: {why}; remove it"
    else:
        message = f"the Space is served without limits.{name}: {why}; remove it"
    return Problem(reasons.ROUTE_NOT_SUPPORTED, message)


def short_size(size: str) -> str:
    """A size for HAProxy and nginx, whose k and m are binary."""
    return size.lower().removesuffix("i")


def streams(endpoint: ResolvedEndpoint) -> bool:
    return endpoint.kind is EndpointKind.HTTP and endpoint.protocol in STREAMS


def unkept_by_streams(space: SpaceFacts, endpoint: ResolvedEndpoint, edge: str) -> tuple[Problem, ...]:
    """Where the edge collects bodies to measure them."""
    if limits_of(space).request_body is None or not streams(endpoint):
        return ()
    message = (
        f"endpoint {endpoint.name} is served without limits.{REQUEST_BODY} of Space {space.name}: {edge} collects "
        f"a body to measure it, and appProtocol {endpoint.protocol} has bodies without end; serve it in a Space "
        "without this limit, or as a TCP endpoint (without httpPath)"
    )
    return (Problem(reasons.ROUTE_NOT_SUPPORTED, message),)
