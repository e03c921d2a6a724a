"""The condition WorkloadReady from the status of a Deployment: the rules of kstatus, without its counters.

A Deployment is ready when its newest revision is rolled out completely and it is available. A later restart of a pod
does not change that while the Deployment stays within maxUnavailable. Jobs are in ``live_job.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from decco.desired import reasons
from decco.desired.model import Child
from decco.desired.pod_refusals import advice
from decco.desired.quoting import quote
from decco.objects import Obj

NEW_REPLICA_SET_AVAILABLE = "NewReplicaSetAvailable"
"""Reason of Progressing once a rollout is complete; it stays until the next one."""
DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
FAILURE_GRACE_SECONDS = 10.0
"""How long a Deployment may fail to create pods before the failure is reported. In a new namespace it always fails
until the ServiceAccount exists; a report of that would cost two writes and two Events."""

PODLESS_SECONDS = 30.0
"""How long a Job may be without its first pod. Its status contains only that it started; an admitted pod exists within
a second in a healthy cluster."""


@dataclass(frozen=True, slots=True)
class WorkloadState:
    """Content of the condition."""

    ready: bool
    reason: str
    message: str


def workload_state(child: Child, live: Obj | None, now: datetime) -> WorkloadState:
    """``live`` is the live object of ``child``, None if it does not exist (yet)."""
    what = f"{child.resource.kind} {child.obj['metadata']['name']}"
    if live is None:
        return WorkloadState(False, reasons.PROGRESSING, f"{what} is being created")
    return _deployment(what, live, now)


def _deployment(what: str, live: Obj, now: datetime) -> WorkloadState:
    if live.get("status", {}).get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return WorkloadState(False, reasons.PROGRESSING, f"{what} is being rolled out")
    failure = live_condition(live, "ReplicaFailure")
    if failure.get("status") == "True" and not grace_left(live, now):
        cause = _without_pod_names(quote(failure), live["metadata"]["name"])
        message = f"{what} cannot create pods: {cause}; {advice(cause, live)}"
        return WorkloadState(False, reasons.REPLICA_FAILURE, message)
    progressing = live_condition(live, "Progressing")
    if progressing.get("reason") == DEADLINE_EXCEEDED:
        message = f"{what} made no progress for as long as it may; look at its pods, or undo the last change"
        return WorkloadState(False, reasons.PROGRESS_DEADLINE_EXCEEDED, message)
    if progressing.get("reason") != NEW_REPLICA_SET_AVAILABLE:
        return WorkloadState(False, reasons.PROGRESSING, f"{what} is being rolled out")
    if live_condition(live, "Available").get("status") != "True":
        return WorkloadState(
            False, reasons.UNAVAILABLE, f"{what} has fewer ready pods than it promises; look at its pods"
        )
    return WorkloadState(True, reasons.RECONCILED, f"{what} is rolled out and available")


def grace_left(live: Obj | None, now: datetime) -> float:
    """Seconds until a recent failure to create pods is reported; 0 if there is none."""
    podless = podless_grace(live or {}, now)
    if podless is not None:
        return podless
    failure = live_condition(live or {}, "ReplicaFailure")
    since = failure.get("lastTransitionTime")
    if failure.get("status") != "True" or since is None:
        return 0.0
    age = (now - datetime.fromisoformat(since)).total_seconds()
    return max(0.0, FAILURE_GRACE_SECONDS - age)


def podless_grace(live: Obj, now: datetime) -> float | None:
    """Seconds until a Job without pods is reported, 0 if that is now; None if it has or had pods, or needs none."""
    status = live.get("status") or {}
    pods = any(
        status.get(count) for count in ("active", "succeeded", "failed", "terminating", "uncountedTerminatedPods")
    )
    # A resumed Job has the condition Suspended too, with status False.
    decided = any(condition.get("type") != "Suspended" for condition in status.get("conditions") or ())
    if pods or decided or status.get("startTime") is None or live.get("spec", {}).get("suspend"):
        return None
    age = (now - datetime.fromisoformat(status["startTime"])).total_seconds()
    return max(0.0, PODLESS_SECONDS - age)


def live_condition(live: Obj, type_: str) -> Obj:
    """The condition of this type, {} if there is none."""
    conditions = live.get("status", {}).get("conditions") or ()
    return next((condition for condition in conditions if condition.get("type") == type_), {})


def _without_pod_names(message: str, deployment: str) -> str:
    """Each attempt to create a pod has another name and would result in another message."""
    return re.sub(rf"\b{re.escape(deployment)}-[a-z0-9]+(-[a-z0-9]*)?", f"{deployment}-…", message)
