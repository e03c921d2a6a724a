"""What the record of a run is made from: the cache, unless it would change the record; then the API server's answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from decco.api.conditions import RunOutcome
from decco.desired.runs import JobEnd, JobView, RunRecord, run_digest
from decco.kube.entry import Entry
from decco.kube.errors import Conflict
from decco.objects import ANNOTATION_RUN, JOBS, Key, Obj, Resource, uid_of
from decco.reconcilers.event_handlers import EventHandlers
from decco.reconcilers.job_runs import JobRuns
from tests.unit.reconcilers.world import app, make_caches, owned

NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
APP = app("batch", "acme", runAsJob=True)
DIGEST = run_digest(APP["spec"]["pod"])
KEY = Key("acme", "batch")
DONE = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T00:00:30Z"}]}
COMPLETE = JobEnd(RunOutcome.COMPLETE, "2026-01-01T00:00:30Z", "")


def job(uid: str, *, run: str = DIGEST, **parts: Any) -> Obj:
    found = owned(JOBS, "batch", APP, meta={"annotations": {ANNOTATION_RUN: run}}, **{"spec": {}, **parts})
    found["metadata"]["uid"] = uid
    return found


class Harness:
    """A cache, and an API server that has ``live``."""

    def __init__(self, *, simulated: bool = False) -> None:
        self.live: Obj | None = None
        self.asked = 0
        self.caches = make_caches()
        EventHandlers(self.caches).connect()
        self.store = self.caches.children[JOBS]
        self.runs = JobRuns(self.caches, self._look, simulated)
        self.caches.apps.put({**APP, "metadata": dict(APP["metadata"])}, own=False)

    async def _look(self, resource: Resource, key: Key) -> Obj | None:
        assert (resource, key) == (JOBS, KEY)
        self.asked += 1
        return self.live

    @property
    def app(self) -> Entry:
        found = self.caches.apps.get(KEY)
        assert found is not None
        return found

    def cached(self, obj: Obj) -> None:
        self.store.put({**obj, "metadata": dict(obj["metadata"])}, own=False)

    async def find(self, record: RunRecord | None, digest: str = DIGEST) -> tuple[JobView | None, bool]:
        return await self.runs.find(self.app, digest, record, NOW)

    def record(self, **status: Any) -> RunRecord | None:
        return self.runs.record(self.app, {**APP, "status": {"job": status}})


async def test_a_job_that_changes_no_record_costs_no_request() -> None:
    harness = Harness()
    assert await harness.find(None) == (None, False)
    harness.cached(job("j1"))
    found, lost = await harness.find(RunRecord(DIGEST, "j1"))
    assert (found and found.uid, lost) == ("j1", False)
    harness.cached(job("j1", status=DONE))
    await harness.find(RunRecord(DIGEST, "j1", end=COMPLETE))
    assert harness.asked == 0


@pytest.mark.parametrize("record", [None, RunRecord("another", "j0"), RunRecord(DIGEST, "j1")])
async def test_what_changes_the_record_is_confirmed(record: RunRecord | None) -> None:
    harness = Harness()
    harness.live = job("j1", status=DONE)
    harness.cached(harness.live)
    found, lost = await harness.find(record)
    assert (found and found.end, lost, harness.asked) == (COMPLETE, False, 1)


@pytest.mark.parametrize("live", [None, job("j0", run="another"), job("j1")], ids=["none", "another", "unfinished"])
async def test_a_job_of_a_lost_history_is_not_recorded(live: Obj | None) -> None:
    """The App was listed after a restore of etcd, the Jobs were not: the cached one has run in the lost history."""
    harness = Harness()
    harness.cached(job("j1", status=DONE))
    harness.live = live
    with pytest.raises(Conflict):
        await harness.find(RunRecord(DIGEST, "j1") if live is not None else None)
    assert harness.asked == 1


async def test_a_simulation_asks_nothing() -> None:
    harness = Harness(simulated=True)
    harness.cached(job("j1"))
    found, lost = await harness.find(None)
    assert (found and found.uid, lost, harness.asked) == ("j1", False, 0)


async def test_a_recorded_job_that_left_the_cache_is_lost_or_lacks_its_label() -> None:
    harness = Harness()
    assert await harness.find(RunRecord(DIGEST, "j1")) == (None, True)
    harness.live = job("another")
    assert await harness.find(RunRecord(DIGEST, "j1")) == (None, True)
    harness.live = job("j1")
    found, lost = await harness.find(RunRecord(DIGEST, "j1"))
    assert (found and found.uid, lost) == ("j1", False)


async def test_the_end_of_a_removed_job_counts_unless_the_job_is_back() -> None:
    harness = Harness()
    record = RunRecord(DIGEST, "j1")
    harness.cached(job("j1", status=DONE))
    harness.store.remove(KEY, "j1", 10**6)
    assert harness.runs.ended(record) == COMPLETE
    assert await harness.find(record) == (None, False)
    assert harness.runs.ended(record) == COMPLETE
    harness.live = job("j1")
    found, lost = await harness.find(record)
    assert (found and found.end, lost) == (None, False)
    assert harness.runs.ended(record) is None


def test_the_end_of_a_job_that_a_list_brings_back_is_forgotten() -> None:
    harness = Harness()
    harness.cached(job("j1", status=DONE))
    harness.store.remove(KEY, "j1", 10**6)
    harness.store.begin_list()
    entry = harness.store.read(job("j1"))
    harness.store.replace_all({entry.key: entry}, entry.version)
    assert harness.runs.ended(RunRecord(DIGEST, "j1")) is None


def test_a_replaced_job_does_not_count_as_a_run_unless_a_restore_brought_it_back() -> None:
    harness = Harness()
    harness.cached(job("j1", run="another"))
    harness.store.mark_deleting(KEY, "j1")
    record = RunRecord("another", "j1")
    harness.runs.superseded(harness.app, DIGEST, record, harness.runs.job(harness.app, record))
    assert harness.caches.superseded_jobs == {uid_of(APP): "j1"}
    assert harness.record(run="another", uid="j1") is None, "it is being deleted"
    restored = {entry.key: entry for entry in harness.store}
    harness.store.begin_list()
    harness.store.replace_all({key: harness.store.read(entry.obj()) for key, entry in restored.items()}, 10**6)
    assert harness.record(run="another", uid="j1") == record
    assert harness.caches.superseded_jobs == {}


def test_what_is_remembered_of_a_replaced_job_ends_with_its_record() -> None:
    harness = Harness()
    harness.caches.superseded_jobs[uid_of(APP)] = "j1"
    assert harness.record(run="another", uid="j1") is None, "it is gone, and its record is not dropped yet"
    assert harness.record(run=DIGEST, uid="j2") == RunRecord(DIGEST, "j2")
    assert harness.caches.superseded_jobs == {}


def test_only_the_app_s_own_job_counts() -> None:
    harness = Harness()
    foreign = job("j1")
    foreign["metadata"]["ownerReferences"][0]["uid"] = "somebody"
    harness.cached(foreign)
    assert harness.runs.job(harness.app, None) is None
