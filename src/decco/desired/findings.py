"""Problems of an App, each with the condition that reports it."""

from __future__ import annotations

from dataclasses import dataclass

from decco.api.conditions import ConditionType
from decco.desired.model import Problem


@dataclass(frozen=True, slots=True)
class Finding:
    """One deviation from the spec; the rest of the App is reconciled without it."""

    condition: ConditionType
    problem: Problem


def workload(reason: str, message: str) -> Finding:
    return Finding(ConditionType.WORKLOAD_READY, Problem(reason, message))


def certificates(reason: str, message: str) -> Finding:
    return Finding(ConditionType.CERTIFICATES_READY, Problem(reason, message))


def routes(reason: str, message: str) -> Finding:
    return Finding(ConditionType.ROUTES_READY, Problem(reason, message))
