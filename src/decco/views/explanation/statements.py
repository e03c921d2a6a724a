"""What a statement is, and what it may rest on."""

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
    """One thing that is so: ``about`` names the part, ``text`` is a sentence, with what to do if something is wrong."""

    state: State
    about: str
    text: str


@dataclass(slots=True)
class World:
    """All that a statement can rest on."""

    snapshot: Snapshot
    result: SimulationResult
    now: datetime
    ready_backends: Mapping[Key, tuple[int, int]] | None
    """Service -> its ready endpoints, and all; None if that could not be read."""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """Host name -> what DNS says; names that were not asked for are not in it."""


def endpoints_of(reconciled: ReconcileResult | None) -> list[Obj]:
    """The endpoints that a reconcile would write into the status of its App."""
    return list(((reconciled.status if reconciled is not None else None) or {}).get("endpoints") or ())
