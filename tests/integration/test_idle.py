"""Nothing to do means nothing sent: counted in the API server's audit log.

With leader election, as by default: its renewals are the one thing that quiet costs, and they are counted too.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from decco.reconcilers.kinds import KINDS
from testbed.controlplane import ControlPlane
from tests.integration.harness import APIS, Cluster, Decco, app, eventually, own_control_plane, pod, space, tls_secret

SETTLED_APPS = 200
SETTLED_SPACES = 20
IDLE_SECONDS = float(os.environ.get("IDLE_SECONDS", "10"))
"""How long the quiet is listened to; `make idle` listens for 60 s."""
LAST_EVENT = "decco_watch_last_event_timestamp_seconds{"
SILENT_SECONDS = 240.0
"""Until a silent watch was replaced and its successor has brought a bookmark, on a machine that does much else."""
TOUCHES = 1000
RENEW_EVERY = 2.0
"""Seconds, the default of leaderElection.retrySeconds."""


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    """One of this test's own: elsewhere are objects that wait for something, and decco reconciles those."""
    with own_control_plane(restart_manager=True) as cp:
        yield cp


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> Cluster:
    return Cluster(control_plane)


@pytest.mark.timeout(900)
def test_nothing_to_do_means_nothing_sent(control_plane: ControlPlane, cluster: Cluster, tmp_path: Path) -> None:
    """200 Apps settled: a time of quiet, a restart and 1,000 touches of an annotation cost no write but that of the
    Lease every two seconds, and no read but LIST and WATCH.
    """
    cluster.create(tls_secret("idle-tls"))
    first = Decco(control_plane, tmp_path, leader_election__enabled="true").start()
    try:
        spaces = [f"idle-{number:02d}" for number in range(SETTLED_SPACES)]
        for each in spaces:
            cluster.create(space(each, project="p", tcpCertAndCaSecretName="idle-tls"))
        for each in spaces:
            eventually(lambda each=each: cluster.condition(cluster.space(each), "NetworkReady"), 20)
        for number in range(SETTLED_APPS):
            cluster.create(_app_in_all_its_variety(spaces[number % SETTLED_SPACES], number))
        jobs = [number for number in range(SETTLED_APPS) if number % 5 == JOB]
        for number in jobs:  # no node runs their pods, which is reported after a while
            where = spaces[number % SETTLED_SPACES], f"app-{number:03d}"
            eventually(
                lambda where=where: (cluster.app_condition(*where, "WorkloadReady") or {}).get("reason") == "JobStalled"
            )
        first.settle(quiet=2.0, seconds=120)
        _every_watch_is_heard(first)
        first.settle(quiet=2.0, seconds=120)
        mark = cluster.cp.audit_mark()
        time.sleep(IDLE_SECONDS)
        said = [event for event in cluster.cp.audit("decco", since=mark) if event.verb != "watch"]
        renewals = [event for event in said if event.resource == "leases" and event.verb == "update"]
        assert said == renewals
        assert 1 <= len(renewals) <= IDLE_SECONDS / RENEW_EVERY + 2
    finally:
        assert first.stop() == 0

    mark = cluster.cp.audit_mark()
    second = Decco(control_plane, tmp_path, leader_election__enabled="true").start()
    try:
        second.settle(quiet=2.0)
        assert second.metric("decco_reconcile_total{") >= SETTLED_APPS + SETTLED_SPACES
        for number in range(TOUCHES):
            namespace = spaces[number % SETTLED_SPACES]
            path = f"{APIS}/namespaces/{namespace}/apps/app-{number % SETTLED_APPS:03d}"
            cluster.patch(path, {"metadata": {"annotations": {"unrelated": str(number)}}})
        second.settle(quiet=2.0)
        events = [event for event in cluster.cp.audit("decco", since=mark) if event.resource != "leases"]
        assert [event for event in events if event.writes] == []
        discovery = {f"/apis/{kind.resource.group}" for kind in KINDS if "." in kind.resource.group}
        reads = {
            event.verb
            for event in events
            if not any(event.uri.startswith(path) for path in discovery) or event.resource
        }
        assert reads <= {"list", "watch"}, Counter((event.verb, event.resource) for event in events)
    finally:
        assert second.stop() == 0


def _every_watch_is_heard(decco: Decco) -> None:
    """Waits until each watch has brought something since now, if only a bookmark.

    A watch cache that has seen no change since it was made sends no bookmarks ("never send a bookmark event if we did
    not see an event so far", cacher.go of k8s.io/apiserver). decco takes the silence of a kind without objects on a new
    API server for a dead watch, and lists after 75 s: once, since the list makes the cache send bookmarks.
    """
    since = time.time()

    def heard() -> bool:
        lines = decco.get("/metrics").splitlines()
        moments = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(LAST_EVENT)]
        return min(moment for moment in moments if moment) > since

    eventually(heard, SILENT_SECONDS)


JOB = 3


def _app_in_all_its_variety(namespace: str, number: int) -> dict[str, object]:
    """Every fifth App is of the same kind; values in them are such as the API server writes in another way."""
    name = f"app-{number:03d}"
    match number % 5:
        case 0:
            return app(namespace, name, httpUrlPath=f"/{name}")
        case 1:
            return app(namespace, name)
        case 2:
            odd = pod(8080, hostNetwork=False, nodeSelector={}, securityContext={}, terminationGracePeriodSeconds=0)
            odd["containers"][0] |= {
                "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}, "limits": {"cpu": 1}},
                "env": [{"name": "EMPTY", "value": ""}],
                "command": [],
                "livenessProbe": {"httpGet": {"port": 8080, "path": "/"}, "initialDelaySeconds": 0},
                "stdin": False,
            }
            return app(namespace, name, pod=odd, endpoints=[])
        case 3:  # JOB
            return app(namespace, name, runAsJob=True, pod=pod(restartPolicy="Never"))
        case _:
            egress = {
                "localPort": 6000,
                "endpoint": f"app-{number - 3:03d}",
                "spaceName": f"idle-{(number - 3) % 20:02d}",
            }
            return app(namespace, name, endpoints=[], tlsEgresses=[egress])
