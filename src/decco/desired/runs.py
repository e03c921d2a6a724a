"""One run of a Job for each value of an App's ``pod``: the record of the run, and the desired state of the Job.

The record is ``status.job`` of the App: it outlives the Job, which any client may clean up once it has finished, and
restarts of the controller. A Job is created suspended, its UID is recorded, and only then is it resumed. The record is
written with the resourceVersion of the App, so a controller with a stale App cannot resume a second Job, and a
controller that crashes at any point leaves either no run, or a run that is recorded. Reasons and alternatives:
docs/design/2026-11-29-jobs.md.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from decco.api.conditions import RunOutcome as Outcome
from decco.api.conditions import timestamp
from decco.api.types import AppSpec
from decco.api.workload_kinds import WorkloadKind
from decco.frozen import frozen
from decco.objects import ANNOTATION_RESUMED, ANNOTATION_RUN, ANNOTATION_SUSPEND, Obj, annotations_of, uid_of
from decco.text import quote

DEFAULT_GRACE_SECONDS = 30
"""terminationGracePeriodSeconds of a pod that names none (Kubernetes' default)."""
READY_SECONDS = 45.0
"""How long a Job may have pods of which none is ready before that is reported: images have to be pulled."""


@frozen
class JobEnd:
    """How a Job finished; ``time`` is RFC 3339."""

    outcome: Outcome
    time: str
    message: str


@frozen
class RunRecord:
    """``status.job`` of an App."""

    run: str
    """Digest of the pod."""
    uid: str
    """UID of the Job."""
    started: bool = False
    """Whether a pod was seen ready; recorded for runs that last longer than READY_SECONDS."""
    end: JobEnd | None = None

    def status(self) -> Obj:
        """The record in the form of the App's status."""
        found: Obj = {"run": self.run, "uid": self.uid}
        if self.started:
            found["started"] = True
        if self.end is not None:
            found |= {"outcome": self.end.outcome.value, "completionTime": self.end.time}
            if self.end.message:
                found["message"] = self.end.message
        return found


@frozen
class JobView:
    """The fields of a live Job that its run depends on."""

    uid: str
    run: str
    """The digest that it was created for, "" if the annotation was removed."""
    suspended: bool
    resumed: bool
    """Whether decco has resumed it before; if it is suspended now, another client suspended it."""
    deleting: bool
    ready: bool
    """Whether a pod is ready."""
    start_time: str
    """When it was started or resumed, RFC 3339; "" before that."""
    end: JobEnd | None
    suspend: bool = False
    """Whether it was last written for an App whose job.suspend is true."""


def run_digest(pod: Obj) -> str:
    """Identifies a run of a Job: the same for equal pods, independent of their notation.

    It covers only the user's pod. A new image or a new port of the sidecar must not run a migration twice.
    """
    canonical = json.dumps(pod, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()[:32]


def requested_run(spec: AppSpec) -> str:
    """The digest of the run that an App requests; "" if it requests none."""
    return run_digest(spec.pod) if spec.workload_kind is WorkloadKind.JOB else ""


def run_record(status: Obj) -> RunRecord | None:
    """The record in a status; None if it is absent or not valid."""
    found = status.get("job")
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in ("run", "uid")):
        return None
    end = None
    if found.get("outcome") in tuple(Outcome):
        end = JobEnd(Outcome(found["outcome"]), str(found.get("completionTime", "")), str(found.get("message", "")))
    return RunRecord(found["run"], found["uid"], found.get("started") is True, end)


def job_view(obj: Obj) -> JobView:
    status = obj.get("status") or {}
    return JobView(
        uid=uid_of(obj),
        run=annotations_of(obj).get(ANNOTATION_RUN, ""),
        suspended=obj.get("spec", {}).get("suspend") is True,
        resumed=annotations_of(obj).get(ANNOTATION_RESUMED) == "true",
        deleting="deletionTimestamp" in obj["metadata"],
        ready=bool(status.get("ready")),
        start_time=str(status.get("startTime") or ""),
        end=_end(status.get("conditions") or ()),
        suspend=annotations_of(obj).get(ANNOTATION_SUSPEND) == "true",
    )


def _end(conditions: Any) -> JobEnd | None:
    for condition in conditions:
        for outcome in (Outcome.COMPLETE, Outcome.FAILED):
            if (condition.get("type"), condition.get("status")) == (outcome.value, "True"):
                message = quote(condition) if outcome is Outcome.FAILED else ""
                return JobEnd(outcome, str(condition.get("lastTransitionTime") or ""), message)
    return None


def observe(
    digest: str, record: RunRecord | None, job: JobView | None, ended: JobEnd | None, now: datetime, *, lost: bool
) -> RunRecord | None:
    """The record after an observation of the App's Job.

    ``digest`` is that of the App's current pod. ``ended`` is the end of the recorded Job, if it was observed before the
    Job was deleted. ``lost`` is whether the API server reported that the Job does not exist. A Job is recorded as soon
    as it exists, before it is resumed. A Job that runs without a record (an earlier version created it, or the status
    was lost) is recorded too. A Job that was recorded as deleted but exists gets its current state recorded.
    """
    if record is not None and (record.end is None or record.end.outcome is Outcome.DELETED):
        if job is None or job.uid != record.uid:
            gone = JobEnd(Outcome.DELETED, timestamp(now), "") if lost else None
            record = replace(record, end=ended or record.end or gone)
        elif job.deleting and record.run != digest:
            record = None  # decco deletes it for the new pod; the run of the old pod does not count as done
        else:
            started = record.started or (job.ready and seconds_to_ready(job, now) == 0)
            record = replace(record, end=job.end, started=started)
    if job is None or job.deleting or job.run != digest:
        return record
    unknown = record is None or record.run != digest or (record.uid != job.uid and not job.suspended)
    return RunRecord(digest, job.uid, end=job.end) if unknown else record


def is_superseded(digest: str, record: RunRecord | None, job: JobView | None) -> bool:
    """Whether the recorded Job is being deleted, unfinished, because the App has another pod now (or no Job)."""
    if record is None or job is None or record.run == digest:
        return False
    return job.deleting and (record.uid, record.end) == (job.uid, None)


def seconds_to_ready(job: JobView, now: datetime) -> float:
    """How long a pod may still take to become ready before that is reported; 0 once the time is over."""
    if not job.start_time:
        return READY_SECONDS
    return max(0.0, READY_SECONDS - (now - datetime.fromisoformat(job.start_time)).total_seconds())


def is_own(record: RunRecord | None, uid: str, owner_uid: str, app_uid: str, *, labelled: bool) -> bool:
    """Whether a Job is the App's: by its owner, or by the record if the owner reference was removed. Also one that is
    about to be taken over by its labels alone (``labelled``): a restored Job continues to run.
    """
    recorded = record is not None and record.uid == uid and not owner_uid
    return recorded or owner_uid == app_uid or labelled


def may_be_lost(record: RunRecord | None, job: JobView | None, ended: JobEnd | None) -> bool:
    """Whether a Job left the cache while it ran. It may only lack the label that decco watches by, so the API server
    has to be asked once.
    """
    return job is None and ended is None and record is not None and record.end is None


def requeue_after(
    before: RunRecord | None, record: RunRecord | None, job: JobView | None, now: datetime, *, written: bool
) -> float | None:
    """Seconds after which the Job needs a reconcile without an event, or None.

    ``before`` is the record that this reconcile found, ``record`` the one that it reported; ``written``: in a changed
    status.
    """
    if job is None or record is None or job.uid != record.uid:
        return None
    if job.suspended and (before is None or before.uid != job.uid):
        return 0.0 if written else None  # recorded by this reconcile, and resumed by the next one
    if record.end is not None or record.started or not job.start_time:
        return None
    return seconds_to_ready(job, now) or None


@frozen
class RunPlan:
    """Desired state of an existing Job: suspended or not, and with the annotation that decco resumed it."""

    suspended: bool = False
    resumed: bool = False


def plan(digest: str, record: RunRecord | None, job: JobView | None, *, suspend: bool = False) -> RunPlan | None:
    """The desired Job; None if it must not exist, because the pod has had its run.

    ``record`` is the one in the App's status, not one that was observed and is not written yet. ``suspend`` is the
    App's job.suspend.
    """
    if record is None or record.run != digest:
        return RunPlan(job.suspended, job.resumed) if job is not None else RunPlan(suspended=True)
    if job is None or (job.uid != record.uid and job.suspended):  # the latter was created from a stale App
        return None
    if suspend != job.suspend:  # the App's field was changed
        return RunPlan(suspended=suspend, resumed=not suspend or job.resumed)
    if suspend:
        return RunPlan(job.suspended, job.resumed)  # a queue or a person may have resumed it
    # decco resumes a Job once. A queue (Kueue) or a person may suspend it later, and resumes it too.
    return RunPlan(suspended=job.suspended and job.resumed, resumed=job.suspended or job.resumed)


def seconds_to_next_run(digest: str, record: RunRecord | None, pod: Obj, now: datetime) -> float:
    """How long the next run waits for pods of a Job that another client deleted before it had finished.

    decco cannot read pods. Those of a finished Job are gone, and a Job that decco itself deletes stays until its pods
    are gone. For pods of a Job that another client deleted, decco waits for their grace period.
    """
    if record is None or record.end is None or record.end.outcome is not Outcome.DELETED or record.run == digest:
        return 0.0
    grace = pod.get("terminationGracePeriodSeconds")
    seconds = grace if type(grace) is int and grace >= 0 else DEFAULT_GRACE_SECONDS
    try:
        since = datetime.fromisoformat(record.end.time)
    except ValueError:
        return 0.0
    try:
        return max(0.0, (since + timedelta(seconds=seconds) - now).total_seconds())
    except (TypeError, OverflowError):  # a time without a zone, or a grace of centuries
        return 0.0
