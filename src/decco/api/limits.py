"""``limits`` of a Space: what the edge permits to its clients."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from decco.api.durations import Duration
from decco.api.formats import ByteSize, Cidr
from decco.api.model import Model

MAX_CLIENT_CIDRS = 64
MAX_RATE = 1_000_000
MAX_CONNECTIONS = 1_000_000


class RateUnit(StrEnum):
    SECOND = "Second"
    MINUTE = "Minute"
    HOUR = "Hour"


class RequestRate(Model):
    requests: Annotated[int, Field(ge=1, le=MAX_RATE)]
    """Number of requests."""
    unit: RateUnit = RateUnit.SECOND
    """Second, Minute or Hour."""


class LongestTimeouts(Model):
    request: Duration | None = None
    """Longest time from a request to the end of its answer; at most 576h."""
    idle: Duration | None = None
    """Longest time without a byte in either direction; at most 576h."""


class Limits(Model):
    client_cidrs: Annotated[
        tuple[Cidr, ...], Field(max_length=MAX_CLIENT_CIDRS, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ()
    """Networks from which clients may connect; without it all. Where the edge cannot keep to it, nothing is served."""
    request_body: ByteSize | None = None
    """Largest body of a request, from 1Ki to 1024Mi; the edge answers 413 to a larger one. Envoy collects the whole
    body first, so gRPC and WebSocket are served without this limit, with a condition."""
    request_rate: RequestRate | None = None
    """Requests of one client address to one path, counted by each proxy on its own; the edge answers 429 to more."""
    connections: Annotated[int, Field(ge=1, le=MAX_CONNECTIONS)] | None = None
    """Open connections to one host name, counted by each proxy on its own; TCP endpoints count together below the FQDN.
    The edge closes further ones."""
    timeouts: LongestTimeouts | None = None
    """Of HTTP endpoints: the longest timeouts that they may have, and those that they have without their own."""
