"""What a Space or App says of itself while decco leaves it alone.

As in Cluster API, pausing is a condition of its own and leaves all others as they were at the last look: whoever waits
for Ready is not told that something broke because somebody asked for quiet. ``status.observedGeneration`` stays too, so
that kstatus tells a spec that was edited meanwhile from one that is in effect.
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
    """Why an App is paused whose Space is."""
    return Problem(
        reasons.PAUSED,
        f"the annotation {ANNOTATION_PAUSED} of Space {name} is true, which holds for its Apps too; remove the "
        "annotation from the Space to go on",
    )


def paused_status(pause: Problem, generation: int, previous: Obj, now: datetime) -> Obj:
    """``previous`` with the condition Paused; an object that was never looked at also says that of Ready."""
    conditions = list(previous.get("conditions") or ())
    if not any(condition["type"] == ConditionType.READY for condition in conditions):
        sentence = "paused before decco looked at it for the first time: nothing is made of it yet"
        conditions = set_condition(
            conditions, ConditionType.READY, "Unknown", reasons.PAUSED, sentence, generation, now
        )
    conditions = set_condition(conditions, ConditionType.PAUSED, "True", pause.reason, pause.message, generation, now)
    return {**previous, "conditions": conditions}


def unpaused(status: Obj) -> Obj:
    """``status`` without the condition Paused, which does not apply to what decco works for."""
    conditions = status.get("conditions")
    return {**status, "conditions": remove_condition(conditions, ConditionType.PAUSED)} if conditions else status
