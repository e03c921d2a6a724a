"""What is probed, and what was observed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from enum import StrEnum
from typing import NamedTuple

from decco.frozen import frozen

CONNECT_SECONDS = 1.0
"""Time limit of a connection."""
PROBE_SECONDS = 3.0
"""Time limit of a whole probe."""


class Result(StrEnum):
    """How a probe ended; the values are those of the label ``result`` of decco_probe_total."""

    ANSWERED = "answered"
    CONNECT = "connect"  # refused, timeout, no route, or a name without address
    CLOSED = "closed"  # the connection ended within the handshake, without an alert
    ALERT = "alert"  # the server refused the handshake
    SILENT = "silent"  # connected, and no answer within the time limit
    CERTIFICATE = "certificate"  # another certificate than the expected one
    CHAIN = "chain"  # the expected certificate, without those of its issuers
    NOT_REQUESTED = "not_requested"  # no client certificate is requested
    PORT_CLOSED = "port_closed"  # closed after the handshake, before a byte was sent
    ROUTE = "route"  # the answer is not that of the route
    APPLICATION = "application"  # the App's own answer to probePath is an error
    RECORD = "record"  # a server of the zone answers with another record


@frozen
class Route:
    """A request that a route of decco's own making answers with a redirect to ``host``."""

    path: str
    host: str


@frozen
class Target:
    """One server name at one address. Equal targets have the same answer, so a verdict is kept for an equal one."""

    address: str
    """An address of the edge, or a host name that resolves to them."""
    port: int
    server_name: str
    chain: tuple[bytes, ...] = ()
    """SHA-256 of the expected certificate, then of those of its issuers that must be sent too; () for any."""
    requests_client_certificate: bool = False
    route: Route | None = None
    probe_path: str | None = None
    """Path of a request to the App, which its owner has allowed."""
    waits_for_close: bool = False
    """Whether a server closes the connection after the handshake if nothing is behind it: the sidecar does."""
    former: tuple[bytes, ...] = field(default=(), compare=False)
    """``chain`` before a renewal. It is also accepted until the renewal must have reached all servers."""

    @property
    def may_be_other_view(self) -> bool:
        return False


class Server(NamedTuple):
    """A DNS server; ``address`` is an IP address."""

    address: str
    port: int = 53


@frozen
class Record:
    """A published name. It has an interface in common with ``Target``: ``address`` is what is reached or not."""

    zone: str
    name: str
    values: frozenset[tuple[str, str]]
    """Type (A, AAAA, CNAME) and value in its usual spelling, without a final dot."""
    servers: tuple[Server, ...] = ()
    """The zone's servers; () for those of its NS records."""
    shared: bool = False
    """Whether others may publish further values at the name."""

    @property
    def address(self) -> str:
        return f"zone {self.zone}"

    @property
    def may_be_other_view(self) -> bool:
        """Whether the servers may serve another view of the zone. They count only after one right answer."""
        return not self.servers


AnyTarget = Target | Record


def renewed(old: AnyTarget, new: AnyTarget) -> Target | None:
    """The new target with the old certificate as ``former``; None if anything else has changed."""
    if not isinstance(old, Target) or not isinstance(new, Target) or not (old.chain and new.chain):
        return None
    return replace(new, former=old.chain) if replace(old, chain=new.chain) == new else None


@frozen
class Observation:
    """The end of one probe; ``detail`` is for people, and without a line break."""

    result: Result
    detail: str = ""

    @property
    def ok(self) -> bool:
        return self.result is Result.ANSWERED


@frozen
class State:
    """What is known of an owner's targets, by the name that the owner gave them."""

    failed: Mapping[str, Observation] = field(default_factory=dict)
    """Confirmed failures."""
    answered: frozenset[str] = frozenset()
    waiting: frozenset[str] = frozenset()
    """Without a verdict yet."""
    unreached: frozenset[str] = frozenset()
    """At addresses that cannot be reached from the controller: without a verdict, and none will come."""
