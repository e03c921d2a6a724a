"""What a Deployment says of itself, as the condition WorkloadReady: the rules of kstatus, without its counters.

A Deployment counts as ready when its newest revision is rolled out whole and it is available. A pod that restarts later
makes it no less ready while the Deployment's own promise (maxUnavailable) holds. Jobs are in ``live_job.py``.
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
"""How long a Deployment may fail to create pods before it is told. In a new namespace it always does for a moment,
until the ServiceAccount is there; telling that would be two writes and two Events about nothing."""

PODLESS_SECONDS = 30.0
"""How long a Job may be without its first pod. Its controller says nothing in the status but that it started; a pod
that is admitted is there within a second, unless the cluster is in trouble."""


@dataclass(frozen=True, slots=True)
class WorkloadState:
    """Content of the condition."""

    ready: bool
    reason: str
    message: str


def workload_state(child: Child, live: Obj | None, now: datetime) -> WorkloadState:
    """``live`` is the object that ``child`` asks for, as it is in the cluster; None if it is not there (yet)."""
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
    """Seconds until a failure to create pods that is still young will be told; 0 if there is none."""
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
    """Seconds until a Job without any pod will be told, 0 if that is now; None if it has, or had, or needs none."""
    status = live.get("status") or {}
    pods = any(
        status.get(count) for count in ("active", "succeeded", "failed", "terminating", "uncountedTerminatedPods")
    )
    # A Job that was resumed says so in a condition.
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
    """Each try to create a pod has another name and would make another message."""
    return re.sub(rf"\b{re.escape(deployment)}-[a-z0-9]+(-[a-z0-9]*)?", f"{deployment}-…", message)
