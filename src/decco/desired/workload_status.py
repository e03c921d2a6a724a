"""The condition WorkloadReady from the status of a Deployment; that of a Job is in ``job_status.py``.

A Deployment is ready, as in kstatus but without its counters, when its newest revision is rolled out completely and it
is available. A later restart of a pod does not change that while the Deployment stays within maxUnavailable.

decco has no permission to read pods or Events: what keeps a pod from starting is inferred from the workload's status.
"""

from __future__ import annotations

import re
from datetime import datetime

from decco.api.conditions import condition_of, has_status, is_observed
from decco.desired import reasons
from decco.desired.job_status import podless_grace, seconds_left
from decco.desired.model import Child, Problem
from decco.desired.pod_refusals import advice
from decco.desired.status import Satisfied, Verdict
from decco.objects import Obj, Resource
from decco.text import quote

NEW_REPLICA_SET_AVAILABLE = "NewReplicaSetAvailable"
"""Reason of Progressing once a rollout is complete; it stays until the next one."""
DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
PAUSED = "DeploymentPaused"
FAILURE_GRACE_SECONDS = 10.0
"""How long a Deployment may fail to create pods before the failure is reported. In a new namespace it always fails
until the ServiceAccount exists; a report of that would cost two writes and two Events."""


def deployment_verdict(name: str, live: Obj | None, now: datetime) -> Verdict:
    """``live`` is None if the Deployment does not exist (yet)."""
    what = f"Deployment {name}"
    if live is None:
        return Problem(reasons.PROGRESSING, f"{what} is being created")
    rolling_out = Problem(reasons.PROGRESSING, f"{what} is being rolled out")
    if not is_observed(live):
        return rolling_out
    failure = condition_of(live, "ReplicaFailure")
    if failure.get("status") == "True" and not grace_left(live, now):
        cause = _without_pod_names(quote(failure), name)
        return Problem(reasons.REPLICA_FAILURE, f"{what} cannot create pods: {cause}; {advice(cause, live)}")
    progressing = condition_of(live, "Progressing")
    if progressing.get("reason") == DEADLINE_EXCEEDED:
        message = f"{what} made no progress for as long as it may; look at its pods, or undo the last change"
        return Problem(reasons.PROGRESS_DEADLINE_EXCEEDED, message)
    if progressing.get("reason") == PAUSED:
        message = f"{what} is paused by spec.deployment.paused of the App; changes are rolled out when that is false"
        return Problem(reasons.PROGRESSING, message)
    if progressing.get("reason") != NEW_REPLICA_SET_AVAILABLE:
        return rolling_out
    if not has_status(live, "Available"):
        return Problem(reasons.UNAVAILABLE, f"{what} has fewer ready pods than it promises; look at its pods")
    return Satisfied(f"{what} is rolled out and available")


def grace_left(live: Obj | None, now: datetime) -> float:
    """Seconds until a recent failure to create pods is reported; 0 if there is none."""
    podless = podless_grace(live or {}, now)
    if podless is not None:
        return podless
    failure = condition_of(live or {}, "ReplicaFailure")
    since = failure.get("lastTransitionTime")
    if failure.get("status") != "True" or since is None:
        return 0.0
    return seconds_left(FAILURE_GRACE_SECONDS, since, now)


def _without_pod_names(message: str, deployment: str) -> str:
    """Each attempt to create a pod has another name and would result in another message."""
    return re.sub(rf"\b{re.escape(deployment)}-[a-z0-9]+(-[a-z0-9]*)?", f"{deployment}-…", message)


def waits_for_former(pods: Child, former: Resource) -> Problem:
    """Pods of one kind of workload never run beside those of another."""
    message = f"{_named(pods)} starts when the pods of the App's former {former.kind} are gone"
    return Problem(reasons.PROGRESSING, message)


def waits_for_deleted(pods: Child) -> Problem:
    message = f"{_named(pods)} waits for pods of a Job that somebody deleted before it had finished"
    return Problem(reasons.PROGRESSING, message)


def _named(child: Child) -> str:
    return f"{child.resource.kind} {child.obj['metadata']['name']}"
