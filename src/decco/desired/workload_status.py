"""The condition WorkloadReady from the status of a Deployment, or of a Job and the record of its run.

A Deployment is ready, as in kstatus but without its counters, when its newest revision is rolled out completely and it
is available. A later restart of a pod does not change that while the Deployment stays within maxUnavailable.

decco has no permission to read pods or Events. What keeps the pod of a Job from starting is therefore inferred from the
Job's status: no pod at all, or no pod that is ready. The message states where to find the cause.
"""

from __future__ import annotations

import re
from datetime import datetime

from decco.api.conditions import RunOutcome, condition_of
from decco.desired import reasons
from decco.desired.endpoints import objects
from decco.desired.model import Child, Problem
from decco.desired.names import SPACE_OBJECT
from decco.desired.runs import JobEnd, JobView, RunRecord, seconds_to_ready
from decco.desired.sidecar import CONTAINER
from decco.desired.status import Satisfied, Verdict
from decco.objects import Obj, Resource
from decco.text import quote

NEW_REPLICA_SET_AVAILABLE = "NewReplicaSetAvailable"
"""Reason of Progressing once a rollout is complete; it stays until the next one."""
DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
FAILURE_GRACE_SECONDS = 10.0
"""How long a Deployment may fail to create pods before the failure is reported. In a new namespace it always fails
until the ServiceAccount exists; a report of that would cost two writes and two Events."""
PODLESS_SECONDS = 30.0
"""How long a Job may be without its first pod. Its status contains only that it started; an admitted pod exists within
a second in a healthy cluster."""


def deployment_verdict(name: str, live: Obj | None, now: datetime) -> Verdict:
    """``live`` is None if the Deployment does not exist (yet)."""
    what = f"Deployment {name}"
    if live is None:
        return Problem(reasons.PROGRESSING, f"{what} is being created")
    rolling_out = Problem(reasons.PROGRESSING, f"{what} is being rolled out")
    if live.get("status", {}).get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return rolling_out
    failure = condition_of(live, "ReplicaFailure")
    if failure.get("status") == "True" and not grace_left(live, now):
        cause = _without_pod_names(quote(failure), name)
        return Problem(reasons.REPLICA_FAILURE, f"{what} cannot create pods: {cause}; {advice(cause, live)}")
    progressing = condition_of(live, "Progressing")
    if progressing.get("reason") == DEADLINE_EXCEEDED:
        message = f"{what} made no progress for as long as it may; look at its pods, or undo the last change"
        return Problem(reasons.PROGRESS_DEADLINE_EXCEEDED, message)
    if progressing.get("reason") != NEW_REPLICA_SET_AVAILABLE:
        return rolling_out
    if condition_of(live, "Available").get("status") != "True":
        return Problem(reasons.UNAVAILABLE, f"{what} has fewer ready pods than it promises; look at its pods")
    return Satisfied(f"{what} is rolled out and available")


def grace_left(live: Obj | None, now: datetime) -> float:
    """Seconds until a recent failure to create pods is reported; 0 if there is none."""
    podless = _podless_grace(live or {}, now)
    if podless is not None:
        return podless
    failure = condition_of(live or {}, "ReplicaFailure")
    since = failure.get("lastTransitionTime")
    return _left(FAILURE_GRACE_SECONDS, since, now) if failure.get("status") == "True" and since is not None else 0.0


def _podless_grace(live: Obj, now: datetime) -> float | None:
    """Seconds until a Job without pods is reported, 0 if that is now; None if it has or had pods, or needs none."""
    status = live.get("status") or {}
    pods = any(
        status.get(count) for count in ("active", "succeeded", "failed", "terminating", "uncountedTerminatedPods")
    )
    # A resumed Job has the condition Suspended too, with status False.
    decided = any(condition.get("type") != "Suspended" for condition in status.get("conditions") or ())
    if pods or decided or status.get("startTime") is None or live.get("spec", {}).get("suspend"):
        return None
    return _left(PODLESS_SECONDS, status["startTime"], now)


def _left(seconds: float, since: str, now: datetime) -> float:
    return max(0.0, seconds - (now - datetime.fromisoformat(since)).total_seconds())


def _without_pod_names(message: str, deployment: str) -> str:
    """Each attempt to create a pod has another name and would result in another message."""
    return re.sub(rf"\b{re.escape(deployment)}-[a-z0-9]+(-[a-z0-9]*)?", f"{deployment}-…", message)


def waits_for_former(pods: Child, former: Resource) -> Problem:
    """A Deployment never runs beside pods of the App's Job, nor a Job beside those of its Deployment."""
    message = f"{_named(pods)} starts when the pods of the App's former {former.kind} are gone"
    return Problem(reasons.PROGRESSING, message)


def waits_for_deleted(pods: Child) -> Problem:
    message = f"{_named(pods)} waits for pods of a Job that somebody deleted before it had finished"
    return Problem(reasons.PROGRESSING, message)


def _named(child: Child) -> str:
    return f"{child.resource.kind} {child.obj['metadata']['name']}"


# -- Job --------------------------------------------------------------------------------------------------------------


def job_verdict(name: str, live: Obj | None, job: JobView | None, run: RunRecord | None, now: datetime) -> Verdict:
    """``run`` is the record of the run for the present pod, None before its Job exists."""
    what = f"Job {name}"
    if run is None and job is not None:
        return Problem(reasons.PROGRESSING, f"{what} starts when the pods of its former run are gone")
    if run is not None and run.end is not None:
        return _ended(what, run.end)
    if run is None or live is None or job is None or (job.suspended and not job.resumed):
        return Problem(reasons.PROGRESSING, f"{what} is being created")
    if job.deleting:
        message = f"{what} is being deleted before it has finished; the same pod is not run a second time"
        return Problem(reasons.JOB_RUNNING, message)
    if job.suspended:
        message = f"{what} is suspended by a queue or a person; it goes on when its spec.suspend is false"
        return Problem(reasons.JOB_SUSPENDED, message)
    return _running(what, live, job, run, now)


def _ended(what: str, end: JobEnd) -> Verdict:
    """A run that has ended no longer changes, and neither does its message."""
    if end.outcome is RunOutcome.COMPLETE:
        return Satisfied(f"{what} is complete", reasons.JOB_COMPLETE)
    if end.outcome is RunOutcome.FAILED:
        message = f"{what} failed: {end.message}; look at its pods. A changed pod is a new run"
        return Problem(reasons.JOB_FAILED, message)
    message = (
        f"{what} is gone and was not seen to finish: somebody deleted it, or it was cleaned up while decco was not "
        "running. The same pod is not run a second time; change the pod (an environment variable is enough) to run it "
        "again"
    )
    return Problem(reasons.JOB_DELETED, message)


def _running(what: str, live: Obj, job: JobView, run: RunRecord, now: datetime) -> Problem:
    name, namespace = live["metadata"]["name"], live["metadata"].get("namespace", "")
    status = live.get("status") or {}
    if _podless_grace(live, now) == 0:
        message = (
            f"{what} has started and has no pod: a quota, Pod Security or another admission refuses them; look at its "
            f"Events with kubectl describe job {name} --namespace {namespace}"
        )
        return Problem(reasons.REPLICA_FAILURE, message)
    look = f"kubectl describe pods --namespace {namespace} --selector batch.kubernetes.io/job-name={name}"
    # The last pods of such a Job still terminate.
    ending = any(condition_of(live, each).get("status") == "True" for each in ("FailureTarget", "SuccessCriteriaMet"))
    if status.get("failed") and not ending:
        message = (
            f"{what} has not finished yet: a pod of it failed, and Kubernetes tries again until jobBackoffLimit is "
            f"reached; the cause is in {look}, or in the pod's log"
        )
        return Problem(reasons.JOB_RUNNING, message)
    pending = status.get("active") and status.get("ready") == 0 and not ending and not run.started
    if pending and seconds_to_ready(job, now) == 0:
        message = (
            f"{what} has a pod that does not become ready: an image cannot be pulled, no node takes the pod, or a "
            f"ConfigMap, Secret or volume that it names is missing; the cause is in {look}"
        )
        return Problem(reasons.JOB_STALLED, message)
    # Whether the first pod exists is not reported, because it would cost one more write for each Job.
    return Problem(reasons.JOB_RUNNING, f"{what} has not finished yet")


# -- refused pods -----------------------------------------------------------------------------------------------------

_QUOTA = (f"quota: {SPACE_OBJECT}:", f"quota: {SPACE_OBJECT},")
"""How the quota admission names the Space's own quota (Kubernetes, plugin/resourcequota)."""
_LIMIT_RANGE = (" per Container", " per Pod")
"""How LimitRanger names a limit."""


def advice(cause: str, workload: Obj) -> str:
    """What to change after ``cause``, the message with which a pod of ``workload`` was refused."""
    pod = ((workload.get("spec") or {}).get("template") or {}).get("spec") or {}
    sidecar = next((each for each in objects(pod.get("initContainers")) if each.get("name") == CONTAINER), None)
    counted = f"; decco's TLS sidecar counts too: {_amounts(sidecar)}" if sidecar is not None else ""
    if any(name in cause for name in _QUOTA):
        return f"let the pod ask for less, or raise spec.resourceQuota of the Space{counted}"
    if any(name in cause for name in _LIMIT_RANGE):
        return (
            "change the resources of the pod's containers, or the LimitRange: spec.limitRange of the Space, or another "
            f"one in its namespace{counted}"
        )
    if sidecar is not None and "initContainers[0].runAsUser" in cause:
        return "the cluster chooses user ids by itself: set decco's setting sidecar.runAsUser to null"
    if sidecar is not None and CONTAINER in cause:
        return (
            f"container {CONTAINER} is the TLS sidecar that decco adds: correct what refuses it, or the settings "
            "sidecar.* of decco"
        )
    return "change the pod, or what refuses it"


def _amounts(sidecar: Obj) -> str:
    resources = sidecar.get("resources") or {}
    found = [
        f"{part}.{name} {amount}"
        for part in ("requests", "limits")
        for name, amount in sorted((resources.get(part) or {}).items())
    ]
    return ", ".join(found) or "it has no resources"
