"""Which limits of a Space its edge does not keep, by the conditions of a simulation."""

from __future__ import annotations

from decco.api.conditions import ConditionType
from decco.desired.limits import given, limits_of
from decco.desired.model import SpaceFacts
from decco.objects import Key
from decco.views.simulation import SimulationResult


def unkept_limits(result: SimulationResult, space: SpaceFacts) -> tuple[str, ...]:
    """Their names, as in the spec. The condition names each, whatever backend or dialect it comes from."""
    reconciled = result.of("Space", Key("", space.name))
    conditions = ((reconciled.status if reconciled is not None else None) or {}).get("conditions") or ()
    text = next((str(c["message"]) for c in conditions if c["type"] == ConditionType.ROUTES_READY), "")
    return tuple(name for name in given(limits_of(space)) if f"limits.{name}" in text)
