"""The Job of an App, and the record of its run.

The record in the App's status is for good: a run that it contains is not repeated. So what would change it is not taken
from the cache alone. After a restore of etcd the cache may have a Job of the lost history for some seconds, while the
App is the restored one; its run would count as done, and the Job would be missing for ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from decco.desired import runs
from decco.desired.ownership import LabelledOwner
from decco.desired.runs import JobEnd, JobView, RunRecord
from decco.frozen import frozen
from decco.kube.entry import Entry
from decco.kube.errors import Conflict
from decco.objects import JOBS, Key, Obj, Resource
from decco.reconcilers.caches import Caches
from decco.reconcilers.report import status_of

ReadLive = Callable[[Resource, Key], Awaitable[Obj | None]]
"""Requests an object; see ``Applier.read_live``."""


@frozen
class JobRuns:
    """``simulated``: there is no API server to be asked."""

    caches: Caches
    read_live: ReadLive
    simulated: bool = False

    def record(self, app: Entry, obj: Obj) -> RunRecord | None:
        """The record in the status of the App, whose object is ``obj``; None for a Job that decco has deleted for
        another pod: the status that drops it was not written, and the pod may have been changed back since.
        """
        record, superseded = runs.run_record(status_of(obj)), self.caches.superseded_jobs
        if record is not None and record.end is not None:
            self.caches.ended_jobs.pop(record.uid, None)
        if record is not None and superseded.get(app.uid) == record.uid:
            job = self.job(app, record)
            if job is None or job.uid != record.uid or job.deleting:
                return None
            # A restore of etcd has brought it back.
        superseded.pop(app.uid, None)
        return record

    def superseded(self, app: Entry, digest: str, record: RunRecord | None, job: JobView | None) -> None:
        """Remembers a Job that is being deleted for another pod; see ``record``."""
        if job is not None and runs.is_superseded(digest, record, job):
            self.caches.superseded_jobs[app.uid] = job.uid

    def ended(self, record: RunRecord | None) -> JobEnd | None:
        """The end of the recorded Job, if it was observed before the Job was removed."""
        return self.caches.ended_jobs.get(record.uid) if record is not None else None

    def job(self, app: Entry, record: RunRecord | None) -> JobView | None:
        """The App's Job in the cache."""
        entry = self.caches.children[JOBS].get(app.key)
        if entry is None or not isinstance(entry.facts, JobView):
            return None
        labelled = entry.labelled_owner == LabelledOwner(*app.key)
        if not runs.is_own(record, entry.uid, entry.owner_uid, app.uid, labelled=labelled):
            return None
        return replace(entry.facts, deleting=entry.deleting)

    async def find(
        self, app: Entry, digest: str, record: RunRecord | None, now: datetime
    ) -> tuple[JobView | None, bool]:
        """The App's Job, and whether it is certain that the recorded one is lost.

        Raises Conflict if the cache has a Job that would change the record in another way than the one that exists: an
        event of it is about to come.
        """
        job, ended = self.job(app, record), self.ended(record)
        lost = runs.may_be_lost(record, job, ended)
        changed = runs.observe(digest, record, job, ended, now, lost=False)
        if self.simulated or (changed == record and not lost):
            return job, False
        obj = await self.read_live(JOBS, app.key)
        live = runs.job_view(obj) if obj is not None else None
        if job is not None:
            if live is None or live.uid != job.uid:
                raise _stale(app)
            if runs.observe(digest, record, live, ended, now, lost=False) != changed:
                raise _stale(app)
            return job, False
        if live is None or record is None or live.uid != record.uid:
            return None, lost
        # Only its label is lost, or a restore of etcd has brought it back: how it ended before does not count.
        self.caches.ended_jobs.pop(record.uid, None)
        return live, False


def _stale(app: Entry) -> Conflict:
    return Conflict(409, "Conflict", f"Job {app.key} in the cache is not the one that exists")
