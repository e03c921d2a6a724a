"""etcd is restored from a copy while decco runs: resourceVersions go back, and a part of the history never was.

Whoever watches from a version of the lost history is not refused: the API server is silent until that version is
reached, and then leaves out what came before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from testbed.snapshots import restore, snapshot
from tests.integration.harness import (
    APIS,
    Cluster,
    Decco,
    app,
    eventually,
    http_app,
    own_control_plane,
    pod,
    space,
    tls_secret,
)
from tests.integration.replicas import SHORT, pair
from tests.sample import full

pytestmark = pytest.mark.timeout(600)

LONG = 60.0
"""Seconds until all watches have found the API server again, on a machine that does much else."""
POLICIES = "/apis/networking.k8s.io/v1/namespaces/acme/networkpolicies"


@pytest.fixture
def own() -> Iterator[ControlPlane]:
    with own_control_plane(restart_manager=True) as cp:
        yield cp


def image(cluster: Cluster, name: str) -> str:
    found = cluster.deployment("acme", name)
    return found["spec"]["template"]["spec"]["containers"][0]["image"] if found else ""


def edit(cluster: Cluster, name: str, to: str) -> None:
    cluster.patch(f"{APIS}/namespaces/acme/apps/{name}", {"spec": {"pod": pod(8080, image=to)}})


def status(cluster: Cluster, name: str, kind: str) -> tuple[str, str]:
    found = cluster.space_condition(name, kind) or {}
    return found.get("status", ""), found.get("reason", "")


@pytest.mark.parametrize(
    "writes", [pytest.param(0, id="versions are lower"), pytest.param(600, id="versions have overtaken", marks=full)]
)
def test_a_restored_history_is_followed(own: ControlPlane, tmp_path: Path, writes: int) -> None:
    cluster = Cluster(own)
    with Decco(own, tmp_path) as decco:
        cluster.create(tls_secret("http", "acme.example.net"))
        cluster.make_space("acme", httpCertSecretName="http")
        for made in (http_app("acme", "web"), app("acme", "db")):
            cluster.create(made)
        eventually(lambda: image(cluster, "web") and image(cluster, "db"), LONG)
        decco.settle()
        copy = snapshot(own)
        decco.settle()

        cluster.create(space("ghost", domain="ghost.test"))
        eventually(lambda: status(cluster, "ghost", "NetworkReady")[0] == "True", LONG)
        cluster.create(app("ghost", "g"))
        edit(cluster, "web", "registry.example/lost:2")
        cluster.delete(f"{APIS}/namespaces/acme/apps/db")
        for n in range(100):
            cluster.patch(f"{APIS}/namespaces/acme/apps/web", {"metadata": {"annotations": {"n": str(n)}}})
        eventually(lambda: image(cluster, "web") == "registry.example/lost:2", LONG)
        eventually(lambda: cluster.service("acme", "db") is None, LONG)
        decco.settle()
        lost = int((cluster.get(f"{APIS}/apps") or {})["metadata"]["resourceVersion"])
        restore(own, copy, writes=writes)
        now = int((cluster.get(f"{APIS}/apps") or {})["metadata"]["resourceVersion"])
        assert (now > lost) == bool(writes), "the history of this test is as it should be"

        edit(cluster, "web", "registry.example/edited:3")
        eventually(lambda: image(cluster, "web") == "registry.example/edited:3", LONG, "an edited App is followed")
        cluster.delete(f"{POLICIES}/decco")
        eventually(lambda: cluster.get(f"{POLICIES}/decco"), LONG, "a deleted NetworkPolicy comes back")
        cluster.patch(f"{POLICIES}/app-web", {"spec": {"podSelector": {"matchLabels": {"evil": "yes"}}}})
        eventually(
            lambda: "evil" not in json.dumps((cluster.get(f"{POLICIES}/app-web") or {})["spec"]),
            LONG,
            "an altered NetworkPolicy is repaired",
        )
        edit(cluster, "db", "registry.example/edited:4")
        eventually(lambda: image(cluster, "db") == "registry.example/edited:4", LONG, "a deleted App is back")
        cluster.create(space("claimant", domain="test", hostnames=["ghost.ghost.test", "x.ghost.ghost.test"]))
        eventually(lambda: status(cluster, "claimant", "NetworkReady")[0] == "True", LONG)
        decco.settle()
        eventually(
            lambda: status(cluster, "claimant", "Ready")[1] != "HostnameConflict",
            LONG,
            "the names of a lost Space are free, whichever watch of the two is the last to list again",
        )
        assert cached(decco) == {"spaces": 2, "apps": 2}
        assert decco.get("/readyz").startswith("ok")
        before = _children(cluster)
    with Decco(own, tmp_path) as again:
        again.settle()
        assert _children(cluster) == before, "a restart has nothing to put right"
    assert "hit a defect" not in decco.log.read_text()


def cached(decco: Decco) -> dict[str, int]:
    return {
        kind: int(decco.metric(f'decco_cache_objects{{resource="{kind}.decco.platform9.com"'))
        or int(decco.metric(f'decco_cache_objects{{resource="{kind}"'))
        for kind in ("spaces", "apps")
    }


def _children(cluster: Cluster) -> dict[str, Any]:
    """Version of what decco made in the Space; of a Deployment, whose status others write, its generation."""
    found = {}
    query = "labelSelector=app.kubernetes.io/managed-by%3Ddecco"
    for root, plural in (
        ("/apis/apps/v1", "deployments"),
        ("/api/v1", "services"),
        ("/api/v1", "secrets"),
        ("/apis/networking.k8s.io/v1", "networkpolicies"),
        ("/apis/gateway.networking.k8s.io/v1", "httproutes"),
        ("/apis/gateway.networking.k8s.io/v1", "gateways"),
    ):
        for obj in cluster.items(f"{root}/namespaces/acme/{plural}?{query}"):
            meta = obj["metadata"]
            version = meta["generation"] if plural == "deployments" else meta["resourceVersion"]
            found[f"{plural}/{meta['name']}"] = version
    return found


@full
def test_a_restore_under_leader_election(own: ControlPlane, tmp_path: Path) -> None:
    """The restored Lease names a holder that is gone: whoever led stops in time, and one of the two leads again."""
    cluster = Cluster(own)
    with pair(own, tmp_path, **SHORT) as two:
        first, second = two.both()
        cluster.make_space("acme")
        cluster.create(app("acme", "web"))
        eventually(lambda: image(cluster, "web"), LONG)
        first.settle()
        copy = snapshot(own)
        two.leader()
        for decco in (first, second):  # another leader, and another identity of the first
            if two.leads(next(user for user, each in two.running.items() if each is decco)):
                decco.stop()
        two.revive()
        two.leader()
        edit(cluster, "web", "registry.example/lost:2")
        eventually(lambda: image(cluster, "web") == "registry.example/lost:2", LONG)
        restore(own, copy)
        two.leader()
        edit(cluster, "web", "registry.example/edited:3")
        eventually(lambda: image(cluster, "web") == "registry.example/edited:3", LONG, "an edited App is followed")
        cluster.delete(f"{POLICIES}/decco")
        eventually(lambda: cluster.get(f"{POLICIES}/decco"), LONG, "a deleted NetworkPolicy comes back")
