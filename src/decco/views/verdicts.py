"""Problems of the Spaces and Apps in files: whether they would be accepted, and would work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from decco.api.parse import InvalidObjectError
from decco.desired import reasons
from decco.kube.entry import Entry
from decco.objects import Key
from decco.views.simulation import SimulationResult
from decco.views.snapshot import Snapshot

_RUNTIME_REASONS = frozenset(
    {
        reasons.UNAVAILABLE,
        reasons.PROGRESS_DEADLINE_EXCEEDED,
        reasons.REPLICA_FAILURE,
        reasons.JOB_FAILED,
        reasons.NOT_ACCEPTED,
        reasons.NOT_PROGRAMMED,
    }
)
"""Reasons about the runtime state of correct objects. ``decco explain`` reports them; they are omitted here."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A message with its location; ``fatal`` if no objects can be rendered for the object."""

    text: str
    fatal: bool


def verdicts(snapshot: Snapshot, result: SimulationResult, locations: Mapping[tuple[str, str], str]) -> list[Verdict]:
    """``locations``: (kind, key as text) -> location of the object. Messages are those of admission and conditions."""
    found: list[Verdict] = []
    for reconciled in result.results:
        location = locations.get((reconciled.kind, str(reconciled.key)))
        where = f"{location}: {reconciled}" if location is not None else str(reconciled)
        store = snapshot.caches.spaces if reconciled.kind == "Space" else snapshot.caches.apps
        entry = store.get(reconciled.key)
        if entry is not None and isinstance(entry.facts, InvalidObjectError):
            found += [Verdict(f"{where}: {problem}", fatal=True) for problem in entry.facts.problems]
        elif entry is not None and isinstance(entry.facts, Exception):
            found.append(Verdict(f"{where}: {entry.facts}", fatal=True))
        elif reconciled.kind == "App" and (missing := _without_space(snapshot, reconciled.key)) is not None:
            found.append(Verdict(f"{where}: {missing}", fatal=True))
        elif entry is not None and entry.deleting:
            found.append(Verdict(f"{where}: is being deleted", fatal=False))
        else:
            fatal = {reasons.PAUSED}
            found += [
                Verdict(f"{where}: {problem.reason}: {problem.message}", problem.reason in fatal)
                for problem in reconciled.problems()
                if problem.reason not in _RUNTIME_REASONS
            ]
    return found


def _without_space(snapshot: Snapshot, key: Key) -> str | None:
    if snapshot.caches.space(key.namespace) is not None:
        return None
    space: Entry | None = snapshot.caches.spaces.get(Key("", key.namespace))
    if space is not None:
        return (
            f"Space {key.namespace} is not usable, so nothing can be made of its Apps: "
            f"see `decco explain {key.namespace}`"
        )
    if snapshot.offline:
        return f"there is no Space {key.namespace} in the files, and an App gets its names from it: give it as well"
    return (
        f"there is no Space {key.namespace}, and an App must be in the namespace of a Space: create it, or move the App"
    )
