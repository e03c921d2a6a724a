"""The statement and its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from decco.objects import Key, Obj
from decco.views.lookup import Answer
from decco.views.simulation import ReconcileResult, SimulationResult
from decco.views.snapshot import Snapshot


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Statement:
    """One fact: ``about`` names the part, ``text`` states the fact and, if something is wrong, what to do."""

    state: State
    about: str
    text: str


@dataclass(slots=True)
class World:
    """The inputs of all statements."""

    snapshot: Snapshot
    result: SimulationResult
    now: datetime
    ready_backends: Mapping[Key, tuple[int, int]] | None
    """Service -> numbers of its ready and of all endpoints; None if they could not be read."""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """Host name -> answer of DNS, only for names that were looked up."""


def endpoints_of(reconciled: ReconcileResult | None) -> list[Obj]:
    """The endpoints in the status that a reconcile would write."""
    return list(((reconciled.status if reconciled is not None else None) or {}).get("endpoints") or ())
