"""The condition WorkloadReady from the status of a Job and the record of its run.

decco has no permission to read pods or Events. What keeps a pod from starting is therefore inferred from the Job's
status: no pod at all, or no pod that is ready. The message states where to find the cause.
"""

from __future__ import annotations

from datetime import datetime

from decco.api.status import RunOutcome
from decco.desired import reasons
from decco.desired.live_workload import WorkloadState, live_condition, podless_grace
from decco.desired.runs import JobView, RunRecord, seconds_to_ready
from decco.objects import Obj

_ENDING = ("FailureTarget", "SuccessCriteriaMet")
"""Conditions of a Job whose last pods still terminate."""


def job_state(name: str, live: Obj | None, job: JobView | None, run: RunRecord | None, now: datetime) -> WorkloadState:
    """``run`` is the record of the run for the present pod, None before its Job exists."""
    what = f"Job {name}"
    if run is None:
        if job is None:
            return WorkloadState(False, reasons.PROGRESSING, f"{what} is being created")
        message = f"{what} starts when the pods of its former run are gone"
        return WorkloadState(False, reasons.PROGRESSING, message)
    if run.end is not None:
        return _ended(what, run)
    if live is None or job is None or (job.suspended and not job.resumed):
        return WorkloadState(False, reasons.PROGRESSING, f"{what} is being created")
    if job.deleting:
        message = f"{what} is being deleted before it has finished; the same pod is not run a second time"
        return WorkloadState(False, reasons.JOB_RUNNING, message)
    if job.suspended:
        return WorkloadState(
            False,
            reasons.JOB_SUSPENDED,
            f"{what} is suspended by a queue or a person; it goes on when its spec.suspend is false",
        )
    return _running(what, live, job, run, now)


def job_requeue_after(job: JobView | None, run: RunRecord | None, now: datetime) -> float | None:
    """Seconds after which a Job without a ready pod needs a reconcile without an event, or None."""
    if job is None or run is None or run.uid != job.uid or run.end is not None or run.started or not job.start_time:
        return None
    return seconds_to_ready(job, now) or None


def _ended(what: str, run: RunRecord) -> WorkloadState:
    """A run that has ended no longer changes, and neither does its message."""
    assert run.end is not None
    if run.end.outcome is RunOutcome.COMPLETE:
        return WorkloadState(True, reasons.JOB_COMPLETE, f"{what} is complete")
    if run.end.outcome is RunOutcome.FAILED:
        why = run.end.message
        return WorkloadState(
            False, reasons.JOB_FAILED, f"{what} failed: {why}; look at its pods. A changed pod is a new run"
        )
    message = (
        f"{what} is gone and was not seen to finish: somebody deleted it, or it was cleaned up while decco was not "
        "running. The same pod is not run a second time; change the pod (an environment variable is enough) to run it "
        "again"
    )
    return WorkloadState(False, reasons.JOB_DELETED, message)


def _running(what: str, live: Obj, job: JobView, run: RunRecord, now: datetime) -> WorkloadState:
    name, namespace = live["metadata"]["name"], live["metadata"].get("namespace", "")
    status = live.get("status") or {}
    if podless_grace(live, now) == 0:
        message = (
            f"{what} has started and has no pod: a quota, Pod Security or another admission refuses them; look at its "
            f"Events with kubectl describe job {name} --namespace {namespace}"
        )
        return WorkloadState(False, reasons.REPLICA_FAILURE, message)
    look = f"kubectl describe pods --namespace {namespace} --selector batch.kubernetes.io/job-name={name}"
    ending = any(
        live_condition(live, type_).get("status") == "True" for type_ in ("FailureTarget", "SuccessCriteriaMet")
    )
    if status.get("failed") and not ending:
        message = (
            f"{what} has not finished yet: a pod of it failed, and Kubernetes tries again until jobBackoffLimit is "
            f"reached; the cause is in {look}, or in the pod's log"
        )
        return WorkloadState(False, reasons.JOB_RUNNING, message)
    pending = status.get("active") and status.get("ready") == 0 and not ending and not run.started
    if pending and seconds_to_ready(job, now) == 0:
        message = (
            f"{what} has a pod that does not become ready: an image cannot be pulled, no node takes the pod, or a "
            f"ConfigMap, Secret or volume that it names is missing; the cause is in {look}"
        )
        return WorkloadState(False, reasons.JOB_STALLED, message)
    # Whether the first pod exists is not reported, because it would cost one more write for each Job.
    return WorkloadState(False, reasons.JOB_RUNNING, f"{what} has not finished yet")
