"""The condition WorkloadReady from the status of a Job and the record of its run.

What keeps the pod of a Job from starting is inferred from the Job's status (``workload_status.py``): no pod at all, or
no pod that is ready. The message states where to find the cause.
"""

from __future__ import annotations

from datetime import datetime

from decco.api.conditions import RunOutcome, has_status
from decco.desired import reasons
from decco.desired.model import Problem
from decco.desired.runs import JobEnd, JobView, RunRecord, seconds_to_ready
from decco.desired.status import Satisfied, Verdict
from decco.objects import Obj

PODLESS_SECONDS = 30.0
"""How long a Job may be without its first pod. Its status contains only that it started; an admitted pod exists within
a second in a healthy cluster."""


def job_verdict(name: str, live: Obj | None, job: JobView | None, run: RunRecord | None, now: datetime) -> Verdict:
    """``run`` is the record of the run for the present pod, None before its Job exists."""
    what = f"Job {name}"
    if run is None and job is not None:
        return Problem(reasons.PROGRESSING, f"{what} starts when the pods of its former run are gone")
    if run is not None and run.end is not None:
        return _ended(what, run.end)
    if run is not None and live is not None and job is not None and job.suspended and job.suspend and not job.deleting:
        message = f"{what} is suspended by spec.job.suspend of the App; it goes on when that is false"
        return Problem(reasons.JOB_SUSPENDED, message)
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
    if podless_grace(live, now) == 0:
        message = (
            f"{what} has started and has no pod: a quota, Pod Security or another admission refuses them; look at its "
            f"Events with kubectl describe job {name} --namespace {namespace}"
        )
        return Problem(reasons.REPLICA_FAILURE, message)
    look = f"kubectl describe pods --namespace {namespace} --selector batch.kubernetes.io/job-name={name}"
    # The last pods of such a Job still terminate.
    ending = any(has_status(live, each) for each in ("FailureTarget", "SuccessCriteriaMet"))
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
    return seconds_left(PODLESS_SECONDS, status["startTime"], now)


def seconds_left(seconds: float, since: str, now: datetime) -> float:
    return max(0.0, seconds - (now - datetime.fromisoformat(since)).total_seconds())
