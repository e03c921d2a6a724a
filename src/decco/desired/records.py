"""The DNS names that a Space or App should have, and its status while its records are being removed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from decco.api.conditions import ConditionType, set_condition
from decco.desired import reasons
from decco.desired.endpoints import ResolvedApp
from decco.desired.model import Problem, SpaceInputs
from decco.desired.pausing import unpaused
from decco.objects import Obj


def space_names(inputs: SpaceInputs) -> tuple[str, ...]:
    """The FQDN, if the Space has it."""
    fqdn = inputs.space.fqdn
    return (fqdn,) if inputs.claims.holds(fqdn) else ()


def app_names(resolved: ResolvedApp) -> tuple[str, ...]:
    """The host names of endpoints with createDnsRecord that may have their name, sorted."""
    return tuple(sorted({e.hostname for e in resolved.endpoints if e.dns and e.hostname is not None}))


def withdrawal_status(
    problems: Iterable[Problem], order: Sequence[ConditionType], generation: int, previous: Obj, now: datetime
) -> Obj:
    """The status of an object that exists only until its records are removed.

    DNSReady and Ready report what blocks the removal. ``order`` is the order of the kind's conditions.
    """
    problem = reasons.combine(problems)
    assert problem is not None
    conditions = unpaused(previous).get("conditions") or ()
    for type_ in (ConditionType.DNS_READY, ConditionType.READY):
        conditions = set_condition(conditions, type_, "False", problem.reason, problem.message, generation, now)
    positions = {str(type_): position for position, type_ in enumerate(order)}
    return {
        **previous,
        "observedGeneration": generation,
        "conditions": sorted(conditions, key=lambda condition: positions.get(condition["type"], len(positions))),
    }
