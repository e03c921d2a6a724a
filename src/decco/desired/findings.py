"""What is wrong with an App, each sorted under the condition that tells its owner."""

from __future__ import annotations

from dataclasses import dataclass

from decco.api.conditions import ConditionType
from decco.desired.model import Problem


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as the spec asks; the rest of the App goes on without it."""

    condition: ConditionType
    problem: Problem


def workload(reason: str, message: str) -> Finding:
    return Finding(ConditionType.WORKLOAD_READY, Problem(reason, message))


def certificates(reason: str, message: str) -> Finding:
    return Finding(ConditionType.CERTIFICATES_READY, Problem(reason, message))


def routes(reason: str, message: str) -> Finding:
    return Finding(ConditionType.ROUTES_READY, Problem(reason, message))
