"""A Job: its result is kept when it is removed. A cleanup may be faster than the reconcile that records it."""

from __future__ import annotations

from decco.desired.runs import JobView
from decco.kube.store import Change
from decco.reconcilers.caches import Caches, Request


def job_changed(caches: Caches, change: Change) -> tuple[Request, ...]:
    gone = change.removed
    if change.new is not None:
        caches.ended_jobs.pop(change.new.uid, None)  # a restore of etcd has brought it back
    if gone is not None and isinstance(gone.facts, JobView) and gone.facts.end is not None:
        caches.ended_jobs[gone.uid] = gone.facts.end
    return ()
