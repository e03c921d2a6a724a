"""A Job: its result is kept when it is removed. A cleanup may be faster than the reconcile that records it."""

from __future__ import annotations

from decco.desired.runs import JobView
from decco.kube.store import Change
from decco.reconcilers.caches import Caches, Request


def job_changed(caches: Caches, change: Change) -> tuple[Request, ...]:
    old, new = change.old, change.new
    removed = old is not None and (new is None or new.uid != old.uid)
    if removed and old is not None and isinstance(old.facts, JobView) and old.facts.end is not None:
        caches.ended_jobs[old.uid] = old.facts.end
    return ()
