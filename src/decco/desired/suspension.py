"""A suspended App (``spec.suspend``): its verdicts, and what the edge says to clients.

Its conditions are True with the reason Suspended: it is as its spec asks, so kstatus reports Current, and a tool that
waits for it ends. Its names and routes stay, and the edge answers 503 for them.
"""

from __future__ import annotations

from decco.api.conditions import is_observed
from decco.api.workload_kinds import WorkloadKind
from decco.desired import reasons
from decco.desired.model import Problem
from decco.desired.status import Satisfied, Verdict
from decco.objects import Obj

RETRY_AFTER = "60"
"""Seconds, in the header Retry-After of the edge's answers."""

SUSPENDED_APP = Satisfied(
    "suspended by spec.suspend: no pods run; host names, routes, records and certificates stay", reasons.SUSPENDED
)
SUSPENDED_ROUTES = Satisfied("All routes are there, and lead to no pod while the App is suspended", reasons.SUSPENDED)


def not_suspended(problem: Problem, kind: WorkloadKind, name: str, live: Obj | None) -> Problem:
    """Why the workload is not written, if ``suspend`` is set: what runs goes on, since one write has both."""
    if live is None or isinstance(suspended_verdict(kind, name, live), Satisfied):
        return problem
    return Problem(problem.reason, f"{problem.message}; until then spec.suspend has no effect, and the pods run on")


def suspended_verdict(kind: WorkloadKind, name: str, live: Obj | None) -> Verdict:
    """``live`` is None if the workload does not exist (yet)."""
    what = f"{kind.value} {name}"
    if live is None:
        return Problem(reasons.PROGRESSING, f"{what} is being created")
    status, spec = live.get("status") or {}, live.get("spec") or {}
    if kind is WorkloadKind.JOB:
        stopped = spec.get("suspend") is True and not status.get("active")
    else:
        stopped = is_observed(live) and spec.get("replicas") == 0 and not status.get("replicas")
    if not stopped:
        return Problem(reasons.PROGRESSING, f"the pods of {what} are being stopped")
    return Satisfied(f"{what} has no pods: the App is suspended by spec.suspend", reasons.SUSPENDED)
