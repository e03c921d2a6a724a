"""One run for each value of ``pod``: the decisions, as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from decco.api.conditions import RunOutcome
from decco.desired.runs import (
    READY_SECONDS,
    JobEnd,
    JobView,
    RunPlan,
    RunRecord,
    is_own,
    job_view,
    may_be_lost,
    observe,
    plan,
    requeue_after,
    run_record,
    seconds_to_next_run,
)
from decco.objects import ANNOTATION_RUN

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
COMPLETE = JobEnd(RunOutcome.COMPLETE, "2026-06-01T11:00:00Z", "")
FAILED = JobEnd(RunOutcome.FAILED, "2026-06-01T11:00:00Z", "too often")
DELETED = JobEnd(RunOutcome.DELETED, "2026-06-01T12:00:00Z", "")
RUNS = JobView(uid="u1", run="a", suspended=False, resumed=False, deleting=False, ready=False, start_time="", end=None)
NEW = replace(RUNS, suspended=True)
QUEUED = replace(NEW, resumed=True)
DONE = replace(RUNS, end=COMPLETE)
ANOTHER = replace(NEW, uid="u2")
RECORD = RunRecord("a", "u1")
OVER = RunRecord("a", "u1", end=COMPLETE)
LOST = RunRecord("a", "u1", end=DELETED)

HOLD, GO = RunPlan(suspended=True), RunPlan()
RESUME, LEAVE = RunPlan(resumed=True), RunPlan(suspended=True, resumed=True)


@pytest.mark.parametrize(
    ("digest", "record", "job", "want"),
    [
        ("a", None, None, HOLD),
        ("a", None, NEW, HOLD),
        ("a", None, RUNS, GO),
        ("a", RECORD, NEW, RESUME),
        ("a", RECORD, QUEUED, LEAVE),
        ("a", None, QUEUED, LEAVE),
        ("a", RECORD, replace(QUEUED, suspended=False), RESUME),
        ("a", RECORD, RUNS, GO),
        ("a", RECORD, None, None),
        ("a", OVER, None, None),
        ("a", OVER, DONE, GO),
        ("a", LOST, None, None),
        ("a", OVER, ANOTHER, None),
        ("b", OVER, None, HOLD),
        ("b", OVER, DONE, GO),
        ("b", LOST, None, HOLD),
    ],
    ids=[
        "a new App",
        "created, not recorded",
        "of an earlier version, or the status was lost",
        "recorded",
        "suspended by a queue",
        "suspended by a queue, and the status was lost",
        "resumed by the queue",
        "running",
        "gone while it ran",
        "finished and cleaned up",
        "finished",
        "deleted, noted",
        "created from an old view of the App",
        "another pod",
        "another pod while the finished Job is there: apply replaces it",
        "another pod after a deletion",
    ],
)
def test_what_the_job_should_be(
    digest: str, record: RunRecord | None, job: JobView | None, want: RunPlan | None
) -> None:
    assert plan(digest, record, job) == want


@pytest.mark.parametrize(
    ("digest", "record", "job", "ended", "want"),
    [
        ("a", None, None, None, None),
        ("a", None, NEW, None, RECORD),
        ("a", None, DONE, None, OVER),
        ("a", RECORD, RUNS, None, RECORD),
        ("a", RECORD, DONE, None, OVER),
        ("a", RECORD, replace(DONE, end=FAILED), None, RunRecord("a", "u1", end=FAILED)),
        ("a", RECORD, None, COMPLETE, OVER),
        ("a", RECORD, None, None, LOST),
        ("a", LOST, None, None, LOST),
        ("a", LOST, None, COMPLETE, OVER),
        ("a", LOST, RUNS, None, RECORD),
        ("a", OVER, None, None, OVER),
        ("a", OVER, ANOTHER, None, OVER),
        ("a", RECORD, replace(RUNS, deleting=True), None, RECORD),
        ("b", RECORD, RUNS, None, RECORD),
        ("b", RECORD, replace(RUNS, deleting=True), None, None),
        ("b", OVER, replace(DONE, deleting=True), None, OVER),
        ("b", OVER, replace(ANOTHER, run="b"), None, RunRecord("b", "u2")),
        ("", RECORD, replace(RUNS, deleting=True), None, None),
    ],
    ids=[
        "nothing",
        "created",
        "finished before it was recorded",
        "running",
        "finished",
        "failed",
        "cleaned up faster than recorded",
        "gone",
        "still gone",
        "gone, and known to have finished",
        "gone for a late cache only",
        "cleaned up",
        "a second Job that must not run",
        "deleted by somebody, its pods still end",
        "the new pod is refused: the old one runs on",
        "ended for the new pod",
        "finished, makes place for the new pod",
        "the new run",
        "ended for a Deployment",
    ],
)
def test_what_is_remembered(
    digest: str, record: RunRecord | None, job: JobView | None, ended: JobEnd | None, want: RunRecord | None
) -> None:
    assert observe(digest, record, job, ended, NOW, lost=job is None) == want


def test_a_job_that_only_the_cache_lacks_is_not_taken_for_deleted() -> None:
    assert observe("a", RECORD, None, None, NOW, lost=False) == RECORD


@pytest.mark.parametrize("record", [RECORD, OVER, LOST, RunRecord("a", "u1", started=True, end=FAILED)])
def test_a_record_is_read_as_it_was_written(record: RunRecord) -> None:
    assert run_record({"job": record.status()}) == record


@pytest.mark.parametrize("job", [None, [], {"run": "a"}, {"run": 1, "uid": 2}])
def test_a_record_that_cannot_be_understood_is_none(job: object) -> None:
    assert run_record({"job": job}) is None
    assert run_record({}) is None


def test_a_run_goes_on_after_any_crash() -> None:
    """Between any two writes the process may end: what is stored then is all that the next one has."""
    assert plan("a", None, None) == HOLD  # create
    stored = None
    for _ in range(2):  # crash after the create, before the record
        assert plan("a", stored, NEW) == HOLD
    stored = observe("a", stored, NEW, None, NOW, lost=False)
    assert plan("a", stored, NEW) == RESUME  # crash after the record, before it is resumed
    for job in (None, NEW, RUNS, DONE):
        found = plan("a", stored, job)
        assert found is None or not found.suspended, "never a second one"
    assert plan("a", stored, None) is None


def test_the_view_of_a_job() -> None:
    view = job_view(
        {
            "metadata": {"uid": "u1", "annotations": {ANNOTATION_RUN: "a"}, "deletionTimestamp": "x"},
            "spec": {"suspend": True},
            "status": {"ready": 1, "startTime": "t", "conditions": [{"type": "Failed", "status": "False"}]},
        }
    )
    assert view == JobView(
        "u1", "a", suspended=True, resumed=False, deleting=True, ready=True, start_time="t", end=None
    )


@pytest.mark.parametrize(
    ("digest", "record", "pod", "seconds"),
    [
        ("b", LOST, {}, 20.0),
        ("b", LOST, {"terminationGracePeriodSeconds": 100}, 90.0),
        ("b", LOST, {"terminationGracePeriodSeconds": 1}, 0.0),
        ("b", LOST, {"terminationGracePeriodSeconds": "x"}, 20.0),
        ("b", LOST, {"terminationGracePeriodSeconds": 10**30}, 0.0),
        ("a", LOST, {}, 0.0),
        ("b", OVER, {}, 0.0),
        ("b", None, {}, 0.0),
        ("b", RunRecord("a", "u1", end=replace(DELETED, time="then")), {}, 0.0),
        ("b", RunRecord("a", "u1", end=replace(DELETED, time="2026-06-01")), {}, 0.0),
    ],
)
def test_the_next_run_waits_for_pods_of_a_job_that_somebody_deleted(
    digest: str, record: RunRecord | None, pod: dict[str, Any], seconds: float
) -> None:
    assert seconds_to_next_run(digest, record, pod, NOW + timedelta(seconds=10)) == seconds


@pytest.mark.parametrize(
    ("record", "uid", "owner", "labelled", "own"),
    [
        (None, "u1", "app", False, True),
        (None, "u1", "other", False, False),
        (RunRecord("a", "u1"), "u1", "", False, True),
        (RunRecord("a", "u1"), "u1", "other", False, False),
        (RunRecord("a", "u1"), "u2", "", False, False),
        (None, "u2", "", True, True),
    ],
)
def test_whose_a_job_is(record: RunRecord | None, uid: str, owner: str, labelled: bool, own: bool) -> None:
    assert is_own(record, uid, owner, "app", labelled=labelled) is own


def test_a_job_that_left_the_cache_may_be_lost_only_while_it_ran() -> None:
    record = RunRecord("a", "u1")
    assert may_be_lost(record, None, None)
    assert not may_be_lost(record, RUNS, None)
    assert not may_be_lost(record, None, DONE.end)
    assert not may_be_lost(OVER, None, None)
    assert not may_be_lost(None, None, None)


def test_when_a_job_needs_a_reconcile_without_an_event() -> None:
    record = RunRecord("a", NEW.uid)
    assert requeue_after(None, record, NEW, NOW, written=True) == 0.0, "recorded now, resumed by the next one"
    assert requeue_after(None, record, NEW, NOW, written=False) is None
    assert requeue_after(record, record, NEW, NOW, written=True) is None, "its start is an event"
    assert requeue_after(None, record, None, NOW, written=True) is None
    started = replace(RUNS, start_time=NOW.isoformat())
    record = RunRecord("a", started.uid)
    assert requeue_after(record, record, started, NOW, written=False) == READY_SECONDS
    assert requeue_after(record, record, started, NOW + timedelta(seconds=60), written=False) is None
    assert requeue_after(record, replace(record, started=True), started, NOW, written=False) is None
    assert requeue_after(record, replace(record, uid="u9"), started, NOW, written=False) is None
