"""What is recorded and known of the mesh of a Space, and the order in which a Space enters and leaves one.

A record in an annotation of the namespace has the phase and since when, so that a restart continues a switch. While
pods enter or leave, connections with and without the mesh are both permitted (docs/design/2026-11-30-mesh.md).
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum

from decco.api.conditions import timestamp
from decco.frozen import frozen

POLICY_SECONDS = 10.0
"""Time that the data plane has to take in changed policies before the next phase."""
_POLL_SECONDS = 1.0


class MeshPhase(StrEnum):
    """How far a Space has entered its mesh."""

    OFF = "Off"  # no policies
    PREPARED = "Prepared"  # policies, and pods outside
    PASSING = "Passing"  # pods enter or leave
    STRICT = "Strict"  # all pods are inside


@frozen
class MeshRecord:
    """The annotation of a namespace."""

    mesh: str
    phase: MeshPhase
    since: datetime

    @property
    def text(self) -> str:
        return f"{self.mesh}/{self.phase}@{timestamp(self.since)}"


@frozen
class Account:
    """The service account that a name in allowedClients stands for in a mesh: ``<account>.<FQDN of its Space>``. Both
    are the Space's own: the names below its FQDN, and the accounts of its namespace.
    """

    client: str
    """The name."""
    namespace: str
    name: str


@frozen
class MeshView:
    """The mesh of a Space, for its policies."""

    name: str = ""
    """Of the mesh whose policies exist, "" for none."""
    phase: MeshPhase = MeshPhase.OFF
    clients: tuple[str, ...] = ()
    """The namespaces, beside its own, whose pods may connect to routed ports. Not all of them, if there is no
    project. For the policies of the Space itself, that of the edge."""
    clients_outside: tuple[str, ...] = ()
    """Those of them whose pods are not in the mesh, or not all of them."""
    monitors: tuple[str, ...] = ()
    """The namespaces whose pods may connect to the ports of metrics."""
    monitors_outside: tuple[str, ...] = ()
    accounts: tuple[Account, ...] = ()
    """Of the names in allowedClients of the App, those that stand for a service account."""
    has_policies: bool = True
    """Whether the policies of the mesh for the App are in place: its tunnel is closed to other namespaces before."""


NO_MESH = MeshView()

_RECORD = re.compile(r"([A-Za-z0-9]{1,32})/(Prepared|Passing|Strict)@([0-9TZ:.+-]{1,40})")


def parse_mesh_record(text: str) -> MeshRecord | None:
    """The reverse of ``MeshRecord.text``; None for anything else."""
    match = _RECORD.fullmatch(text)
    if match is None:
        return None
    try:
        since = datetime.fromisoformat(match[3])
    except ValueError:
        return None
    return MeshRecord(match[1], MeshPhase(match[2]), since) if since.tzinfo is not None else None


@frozen
class Switch:
    """What decides about the next phase of a Space."""

    wanted: str
    """The mesh of the spec, "" for none."""
    served: bool
    """Whether the cluster serves the kinds of that mesh."""
    fresh: bool
    """Whether the namespace does not exist yet."""
    labelled: bool
    """Whether the live namespace has the mesh's label."""
    waits: tuple[str, ...]
    """The Apps without the policies that they need."""
    seconds: float
    """How long pods have to enter or leave."""


def next_record(live: MeshRecord | None, switch: Switch, now: datetime) -> tuple[MeshRecord | None, float | None]:
    """The record that the namespace is to have now, and the seconds until the next may be due; None: by an event."""
    if live is None:
        return _first(switch, now)
    # A record of the future, by another clock, would wait for ever.
    passed = max(0.0, (now - live.since).total_seconds()) if live.since <= now else switch.seconds + POLICY_SECONDS
    phase, left = _next(live, switch, passed)
    if phase is MeshPhase.OFF:
        return None, None
    if phase is not live.phase:
        return MeshRecord(live.mesh, phase, now), _POLL_SECONDS
    return live, left


def _first(switch: Switch, now: datetime) -> tuple[MeshRecord | None, float | None]:
    if not switch.wanted or not switch.served:
        return None, None
    if switch.fresh:
        return MeshRecord(switch.wanted, MeshPhase.STRICT, now), None
    # The label of an earlier version, or of the time without the kinds, stays: pods are inside.
    phase = MeshPhase.PASSING if switch.labelled else MeshPhase.PREPARED
    return MeshRecord(switch.wanted, phase, now), _POLL_SECONDS


def _next(live: MeshRecord, switch: Switch, passed: float) -> tuple[MeshPhase, float | None]:
    """The phase, and the seconds that are left of it."""
    enters, policies = live.mesh == switch.wanted, min(POLICY_SECONDS, switch.seconds)
    match live.phase:
        case MeshPhase.STRICT if enters:
            return MeshPhase.STRICT, None
        case MeshPhase.STRICT:
            return MeshPhase.PASSING, None
        case MeshPhase.PASSING:
            over, after = (switch.seconds, MeshPhase.STRICT) if enters else (policies, MeshPhase.PREPARED)
        case _ if enters:
            if switch.waits:
                return live.phase, None
            over, after = policies, MeshPhase.PASSING
        case _:
            over, after = switch.seconds, MeshPhase.OFF
    return (after, None) if passed >= over else (live.phase, over - passed)
