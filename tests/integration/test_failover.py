"""Two real controllers on a real API server: who stands by, who takes over how soon, and that never two work at once.

After each test every write in the API server's audit log is checked to be of the process that held the Lease then.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from decco.kube.fence import PAUSED_STATUS
from decco.kube.leader import ABORT_STATUS
from testbed.audit import REPLICAS, AuditEvent
from testbed.controlplane import ControlPlane
from tests.integration.harness import eventually, http_app, space
from tests.integration.logs import lines
from tests.integration.replicas import (
    FULL,
    NORMAL,
    SHORT_LEASE,
    SHORT_RENEW,
    Churn,
    assert_nothing_is_made_twice,
    is_lease,
    pair,
    pause,
    resume,
)
from tests.promises import PATIENCE, promised, timed
from tests.sample import full

A, B = REPLICAS
TRIALS = int(os.environ.get("LEADER_TRIALS", "2"))
"""Pauses of the leader; `make test-leader` makes 100."""
LEADER_END = 5.0
"""From SIGTERM to the end."""


def test_standing_by_writes_nothing(control_plane: ControlPlane, tmp_path: Path, name: str) -> None:
    """Ready, with full caches, and silent: not a write, no Event, no finalizer, no LIST, whatever happens meanwhile."""
    with pair(control_plane, tmp_path) as two:
        first, second = two.both()
        mark = control_plane.audit_mark()
        two.cluster.make_space(name)
        for number in range(20):
            two.cluster.create(http_app(name, f"app-{number}"))
        first.settle()
        assert second.get("/readyz").startswith("ok")
        assert second.get("/healthz").startswith("ok")
        assert (first.metric("decco_leader"), second.metric("decco_leader")) == (1, 0)
        assert second.metric('decco_cache_objects{resource="apps"') >= 20
        assert second.metric("decco_workqueue_depth{") == 0
        assert second.metric("decco_reconcile_total{") == 0
        by_second = [event for event in control_plane.audit(since=mark) if event.user == B]
        asked = [(event.verb, event.resource) for event in by_second if event.verb != "watch"]
        assert asked in ([], [("get", "leases")]), "its first read may fall into this time; then it watches"
        assert second.stop() == 0
        assert [event for event in control_plane.audit(since=mark, writes=True) if event.user == B] == []
        assert two.leads(A)
        two.cluster.delete(f"/apis/decco.platform9.com/v1beta2/spaces/{name}")


COPIES = re.compile(
    r"/api/v1/namespaces/[^/]+/secrets\?labelSelector=app\.kubernetes\.io%2Fmanaged-by%3Ddecco&limit=\d+"
)


def lists(events: Sequence[AuditEvent]) -> list[str]:
    """Collections that were listed, without those that are not watched, so that a new leader must read them: Secrets
    that Apps name in their own namespaces, one by one by a list with the one name, and decco's copies, once for each
    namespace of a Space. Other tests leave some of both.
    """
    listed = [each.uri for each in events if each.verb == "list" and "fieldSelector=metadata.name%3D" not in each.uri]
    copies = Counter(uri for uri in listed if COPIES.fullmatch(uri))
    assert set(copies.values()) <= {1}, copies.most_common(3)
    return [uri for uri in listed if uri not in copies]


@timed
def test_sigterm_hands_over_in_half_a_second(control_plane: ControlPlane, tmp_path: Path, name: str) -> None:
    """With the default times, so that it is not their expiry which is seen. What is settled is not written again."""
    with pair(control_plane, tmp_path, **NORMAL) as two:
        first, second = two.both()
        two.cluster.make_space(name)
        for number in range(50):
            two.cluster.create(http_app(name, f"app-{number}"))
        first.settle()
        mark = control_plane.audit_mark()
        sent, began = time.time(), time.monotonic()
        assert first.process is not None
        first.process.send_signal(signal.SIGTERM)
        two.cluster.create(space(f"{name}-late"))
        assert first.process.wait(PATIENCE) == 0
        promised("the end after SIGTERM", time.monotonic() - began, LEADER_END)
        eventually(lambda: two.cluster.space_condition(f"{name}-late", "NetworkReady"))
        second.settle()
        events = control_plane.audit(since=mark)
        new = [event for event in events if event.user == B]
        acted = min(event.received for event in new if event.writes and not is_lease(event))
        promised("the first write of the next leader after SIGTERM", acted - sent, 0.5)
        assert lists(new) == []
        # The first one may still send Events about what it did before the mark.
        writes = [event for event in events if event.writes and f"/{name}/" in event.uri]
        assert [each.uri for each in writes if (each.user, each.resource) != (A, "events")] == []
        assert_nothing_is_made_twice(two.writes())
        assert lines(first, "error", "critical") == []


@full
@timed
def test_a_killed_leader_is_replaced_after_its_lease(control_plane: ControlPlane, tmp_path: Path, name: str) -> None:
    """In the middle of its work; the other finishes it, with no LIST, and makes nothing a second time."""
    with pair(control_plane, tmp_path) as two:
        first, second = two.both()
        two.cluster.make_space(name)
        for number in range(60):
            two.cluster.create(http_app(name, f"app-{number}"))
        mark = control_plane.audit_mark()
        killed = time.time()
        first.kill()
        two.cluster.create(http_app(name, "last"))
        eventually(lambda: two.cluster.deployment(name, "last"))
        second.settle()
        new = [event for event in control_plane.audit(since=mark) if event.user == B]
        acted = min(event.received for event in new if event.writes and not is_lease(event))
        promised("the first write of the next leader after SIGKILL", acted - killed, SHORT_LEASE + 1)
        assert lists(new) == []
        for number in range(60):
            assert two.cluster.deployment(name, f"app-{number}")
        assert_nothing_is_made_twice(two.writes())


@full
@pytest.mark.timeout(120 + 30 * TRIALS)
def test_a_leader_that_was_stopped_writes_no_more(control_plane: ControlPlane, tmp_path: Path, name: str) -> None:
    """SIGSTOP for longer than the lease, then SIGCONT: not one write arrives.

    Alternately at a random moment of hard work, and in the act of writing.
    """
    with pair(control_plane, tmp_path, module="tests.integration.defective") as two:
        two.both()
        two.cluster.make_space(name)
        wrote = []
        statuses: Counter[int] = Counter()
        with Churn(two.cluster, name) as churn:
            for trial in range(TRIALS):
                two.revive()
                leader = two.leader()
                old, other = two.running[leader], B if leader == A else A
                edits = churn.edits
                eventually(lambda edits=edits: churn.edits > edits + 20, 60, "work for the leader")
                time.sleep(random.uniform(0, 0.2))
                pause(old, in_the_act=trial % 2 == 0)
                eventually(lambda other=other: two.leads(other), SHORT_LEASE + 20, "another leader")
                mark = control_plane.audit_mark()
                eventually(lambda mark=mark: control_plane.audit(since=mark, writes=True), 20, "its work")
                continued = resume(old)
                assert old.process is not None
                statuses[old.process.wait(20)] += 1
                events = control_plane.audit(since=mark)
                wrote += [event for event in events if event.user == leader and event.received > continued]
                print(f"trial {trial + 1}: {len(wrote)} requests of a former leader", flush=True)
        print(f"SIGSTOP: {TRIALS} trials, {churn.edits} edits, {len(wrote)} requests of a former leader; {statuses}")
        assert wrote == []
        assert statuses.keys() <= {PAUSED_STATUS, ABORT_STATUS}, "ended by the kernel's timer, or by its own if sooner"


@FULL
def test_a_leader_that_was_stopped_for_less_goes_on(control_plane: ControlPlane, tmp_path: Path, name: str) -> None:
    """Stopped for longer than it may go without renewing, and for less than the lease: it stops, and leads again."""
    with pair(control_plane, tmp_path) as two:
        only = two.start(A)
        eventually(lambda: two.leads(A), 10)
        pause(only)
        time.sleep((SHORT_RENEW + SHORT_LEASE) / 2)  # what is tried is time itself
        resume(only)
        eventually(lambda: [line for line in lines(only, "info") if line["event"] == "leading"][1:], 10)
        two.cluster.make_space(name)
