"""The status of a paused Space or App.

As in Cluster API, Paused is a separate condition and all others stay as they were at the last reconcile, so a client
that waits for Ready does not see a failure. ``status.observedGeneration`` stays too, so that kstatus distinguishes a
spec that was edited meanwhile from one that is in effect.
"""

from __future__ import annotations

from datetime import datetime

from decco.api.conditions import ConditionType, remove_condition, set_condition
from decco.desired import reasons
from decco.desired.model import Problem
from decco.objects import ANNOTATION_PAUSED, Obj

OWN_PAUSE = Problem(
    reasons.PAUSED,
    f"the annotation {ANNOTATION_PAUSED} is true: decco leaves this object and all that it made of it alone; remove "
    "the annotation to go on",
)


def pause_of_space(name: str) -> Problem:
    """Why an App of a paused Space is paused."""
    return Problem(
        reasons.PAUSED,
        f"the annotation {ANNOTATION_PAUSED} of Space {name} is true, which holds for its Apps too; remove the "
        "annotation from the Space to go on",
    )


def paused_status(pause: Problem, generation: int, previous: Obj, now: datetime) -> Obj:
    """``previous`` with the condition Paused; an object without a former reconcile also gets Ready=Unknown."""
    conditions = list(previous.get("conditions") or ())
    if not any(condition["type"] == ConditionType.READY for condition in conditions):
        message = "paused before its first reconcile: decco has created no objects for it yet"
        conditions = set_condition(conditions, ConditionType.READY, "Unknown", reasons.PAUSED, message, generation, now)
    conditions = set_condition(conditions, ConditionType.PAUSED, "True", pause.reason, pause.message, generation, now)
    return {**previous, "conditions": conditions}


def unpaused(status: Obj) -> Obj:
    """``status`` without the condition Paused, which is absent from objects that are reconciled."""
    conditions = status.get("conditions")
    return {**status, "conditions": remove_condition(conditions, ConditionType.PAUSED)} if conditions else status
