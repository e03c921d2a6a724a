"""Where the pods of a Space may connect to: ``egressPolicy`` and ``egressCIDRs``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from decco.api.formats import Cidr
from decco.api.model import Model, Port
from decco.api.rules import Rule

MAX_EGRESS_PORTS = 16


class EgressPolicy(StrEnum):
    """Where the pods of a Space may connect to."""

    OPEN = "Open"
    DECLARED = "Declared"


class Protocol(StrEnum):
    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class EgressPort(Model):
    rules: ClassVar[tuple[Rule[EgressPort], ...]] = (
        Rule(
            cel="!has(self.endPort) || self.endPort >= self.port",
            holds=lambda p: p.end_port is None or p.end_port >= p.port,
            at=".endPort",
            message="is below port, where the range begins: swap the two, or remove endPort",
        ),
    )

    port: Port
    """Port of the target; the first one with endPort."""
    end_port: Port | None = None
    """Last port of a range that begins with port."""
    protocol: Protocol = Protocol.TCP
    """TCP, UDP or SCTP."""


class EgressCidr(Model):
    cidr: Cidr
    """Network that the pods may connect to."""
    ports: Annotated[
        tuple[EgressPort, ...],
        Field(max_length=MAX_EGRESS_PORTS, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    """Ports there; without them every port of every protocol."""
