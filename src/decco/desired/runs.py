"""One run of a Job for each value of an App's ``pod``: what is remembered of it, and what follows for the Job.

The memory is ``status.job`` of the App: it survives the Job, which anybody may clean up once it has finished, and it
survives the controller. A Job is created suspended, its UID is recorded, and only then is it resumed. The record is
written under the resourceVersion of the App, so a controller with an old view of the App cannot resume a second Job,
and a controller that crashes at any point leaves either no run, or a run that is recorded. Reasons and alternatives:
docs/design/2026-11-29-jobs.md.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from decco.api.conditions import timestamp
from decco.api.status import RunOutcome as Outcome
from decco.desired.quoting import quote
from decco.objects import ANNOTATION_RESUMED, ANNOTATION_RUN, Obj, annotations_of, uid_of

DEFAULT_GRACE_SECONDS = 30
"""terminationGracePeriodSeconds of a pod that names none (Kubernetes' default)."""
READY_SECONDS = 45.0
"""How long a Job may have pods of which none is ready before that is reported: images have to be pulled."""


@dataclass(frozen=True, slots=True)
class JobEnd:
    """What a finished Job says of its end; ``time`` is RFC 3339."""

    outcome: Outcome
    time: str
    message: str


@dataclass(frozen=True, slots=True)
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
        """As the App's status has it."""
        found: Obj = {"run": self.run, "uid": self.uid}
        if self.started:
            found["started"] = True
        if self.end is not None:
            found |= {"outcome": self.end.outcome.value, "completionTime": self.end.time}
            if self.end.message:
                found["message"] = self.end.message
        return found


@dataclass(frozen=True, slots=True)
class JobView:
    """What of a live Job its run depends on."""

    uid: str
    run: str
    """The digest that it was created for, "" if somebody removed the annotation."""
    suspended: bool
    resumed: bool
    """Whether decco has resumed it before; if it is suspended now, somebody else did that."""
    deleting: bool
    ready: bool
    """Whether a pod is ready."""
    start_time: str
    """When it was started or resumed, RFC 3339; "" if that is still to come."""
    end: JobEnd | None


def run_digest(pod: Obj) -> str:
    """Tells one run of a Job from another: the same for equal pods, however they were written.

    It is about the user's pod alone. A new sidecar image or a new port of the sidecar's must not run a migration twice.
    """
    canonical = json.dumps(pod, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()[:32]


def run_record(status: Obj) -> RunRecord | None:
    """The record that a status holds; None if there is none, or none that can be understood."""
    found = status.get("job")
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in ("run", "uid")):
        return None
    end = None
    if found.get("outcome") in tuple(Outcome):
        end = JobEnd(Outcome(found["outcome"]), str(found.get("completionTime", "")), str(found.get("message", "")))
    return RunRecord(found["run"], found["uid"], found.get("started") is True, end)


def job_view(obj: Obj) -> JobView:
    """Reads a live Job."""
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
    """The record after a look at the App's Job.

    ``digest`` is that of the pod that the App has now; ``ended`` is what the recorded Job said before it left, if it
    was seen to; ``lost`` is whether the API server has said that it does not exist. A Job is recorded as soon as it
    exists, before it is resumed. One that runs although it was not recorded (an earlier version created it, or the
    status was lost) is recorded too, and one that was taken for deleted and is there counts again.
    """
    if record is not None and (record.end is None or record.end.outcome is Outcome.DELETED):
        if job is None or job.uid != record.uid:
            gone = JobEnd(Outcome.DELETED, timestamp(now), "") if lost else None
            record = replace(record, end=ended or record.end or gone)
        elif job.deleting and record.run != digest:
            record = None  # ended by decco for the new pod; if the old pod returns, it has not had its run
        else:
            started = record.started or (job.ready and seconds_to_ready(job, now) == 0)
            record = replace(record, end=job.end, started=started)
    if job is None or job.deleting or job.run != digest:
        return record
    unknown = record is None or record.run != digest or (record.uid != job.uid and not job.suspended)
    return RunRecord(digest, job.uid, end=job.end) if unknown else record


def is_superseded(digest: str, record: RunRecord | None, job: JobView | None) -> bool:
    """Whether the recorded Job is being deleted, unfinished, because the App has another pod now (or no Job)."""
    return (
        record is not None
        and job is not None
        and (record.uid, record.end) == (job.uid, None)
        and record.run != digest
        and job.deleting
    )


def seconds_to_ready(job: JobView, now: datetime) -> float:
    """How long a pod may still take to become ready before that is reported; 0 once the time is over."""
    if not job.start_time:
        return READY_SECONDS
    return max(0.0, READY_SECONDS - (now - datetime.fromisoformat(job.start_time)).total_seconds())


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What the Job should be: there or not, suspended or not, and whether it says that decco has resumed it."""

    wanted: bool
    suspended: bool = False
    resumed: bool = False


def plan(digest: str, record: RunRecord | None, job: JobView | None) -> RunPlan:
    """``record`` is what the App's status holds: what was observed and not yet written does not count."""
    recorded = record is not None and record.run == digest
    if recorded and job is None:
        return RunPlan(wanted=False)
    if recorded and record is not None and job is not None and job.uid != record.uid and job.suspended:
        return RunPlan(wanted=False)  # created from an old view of the App: this pod has had its run
    if not recorded or job is None:
        return RunPlan(wanted=True, suspended=job is None or job.suspended, resumed=job is not None and job.resumed)
    # decco resumes a Job once. A queue (Kueue) or a person may suspend it later, and resumes it too.
    return RunPlan(wanted=True, suspended=job.suspended and job.resumed, resumed=job.suspended or job.resumed)


def seconds_to_next_run(digest: str, record: RunRecord | None, pod: Obj, now: datetime) -> float:
    """How long the next run waits for pods of a Job that somebody deleted before it had finished.

    decco cannot see pods. It knows that they are gone when a Job has finished, or when it has itself deleted the Job,
    which stays until they are gone. For pods of a Job that others deleted it waits as long as they may take to end.
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
