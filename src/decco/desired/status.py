"""What the status of a Space and that of an App have in common: verdicts, their conditions, and the special cases.

An equal state gives an equal status and no write. So messages have no counters, times or names of pods, lists are
sorted, and a condition keeps its lastTransitionTime.

There is no Stalled or Reconciling: kstatus takes them as a hint, and reads Ready=False with a current
observedGeneration as "in progress", which is true of all causes here, because decco retries. The reason states whether
a cause ends by itself (``reasons.WAITING``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from decco.api.conditions import ConditionType, set_condition
from decco.desired import reasons
from decco.desired.model import Problem
from decco.frozen import frozen
from decco.objects import ANNOTATION_PAUSED, Obj

Outcomes = Mapping[tuple[str, str], Problem | None]
"""(kind, name) of a child -> why it is not in its desired state, or None. Absent: not tried."""


@frozen
class Satisfied:
    """Content of a condition that is True; that of one that is False is a Problem."""

    message: str
    reason: str = reasons.RECONCILED


Verdict = Problem | Satisfied

_ORDER = {str(type_): position for position, type_ in enumerate(ConditionType)}


def verdict(problems: Iterable[Problem | None], message: str) -> Verdict:
    return reasons.combine(problems) or Satisfied(message)


def conditions(verdicts: Mapping[ConditionType, Verdict], previous: Obj, generation: int, now: datetime) -> list[Obj]:
    """The conditions of a status, in the order of ConditionType: one for each verdict, no others."""
    known = [each for each in previous.get("conditions") or () if each.get("type") in verdicts]
    return _with(known, verdicts, generation, now)


def amended_status(verdicts: Mapping[ConditionType, Verdict], generation: int, previous: Obj, now: datetime) -> Obj:
    """``previous`` with these conditions. All others stay, except Paused: the object is reconciled."""
    known = [each for each in previous.get("conditions") or () if each.get("type") != ConditionType.PAUSED]
    changed = _with(known, verdicts, generation, now)
    return {**previous, "observedGeneration": generation, "conditions": changed}


def withdrawal_status(problems: Iterable[Problem], generation: int, previous: Obj, now: datetime) -> Obj:
    """The status of an object that exists only until its DNS records are removed; ``problems`` block the removal."""
    problem = reasons.combine(problems)
    assert problem is not None
    return amended_status({ConditionType.DNS_READY: problem, ConditionType.READY: problem}, generation, previous, now)


def _with(
    existing: Iterable[Obj], verdicts: Mapping[ConditionType, Verdict], generation: int, now: datetime
) -> list[Obj]:
    changed = list(existing)
    for type_, found in verdicts.items():
        state = "True" if isinstance(found, Satisfied) else "False"
        changed = set_condition(changed, type_, state, found.reason, found.message, generation, now)
    return sorted(changed, key=lambda condition: _ORDER.get(condition["type"], len(_ORDER)))


# -- paused -----------------------------------------------------------------------------------------------------------
# As in Cluster API, Paused is a separate condition and all others stay as they were at the last reconcile, so a client
# that waits for Ready does not see a failure. status.observedGeneration stays too, so that kstatus distinguishes a spec
# that was edited meanwhile from one that is in effect.

OWN_PAUSE = Problem(
    reasons.PAUSED,
    f"reconciliation is paused by the annotation {ANNOTATION_PAUSED}: changes of this object have no effect; remove "
    "the annotation to resume",
)


def pause_of_space(name: str) -> Problem:
    """Why an App of a paused Space is paused."""
    return Problem(
        reasons.PAUSED,
        f"reconciliation is paused by the annotation {ANNOTATION_PAUSED} of Space {name}, which applies to its Apps; "
        "remove the annotation from the Space to resume",
    )


def paused_status(pause: Problem, generation: int, previous: Obj, now: datetime) -> Obj:
    """``previous`` with the condition Paused; an object without a former reconcile also gets Ready=Unknown."""
    changed = list(previous.get("conditions") or ())
    if not any(condition["type"] == ConditionType.READY for condition in changed):
        message = "paused before its first reconcile: decco has created no objects for it yet"
        changed = set_condition(changed, ConditionType.READY, "Unknown", reasons.PAUSED, message, generation, now)
    changed = set_condition(changed, ConditionType.PAUSED, "True", pause.reason, pause.message, generation, now)
    return {**previous, "conditions": changed}
