"""The isolation of a Space on the real API server with its policies: turned on and off on running Apps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from testbed.manifests import MANIFESTS
from tests.integration.by_hand import pods
from tests.integration.harness import APIS, Cluster, Decco, app, controller, eventually, pod
from tests.integration.loop import assert_no_defects

LEVEL, SANDBOXES = "decco.platform9.com/isolation", "decco.platform9.com/sandboxes"
SOON = 60.0
OVERHEAD = {"podFixed": {"memory": "100Mi"}}


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> Cluster:
    control_plane.kubectl("apply", "--server-side", "-f", str(MANIFESTS / "policies" / "space-pods.yaml"))
    for name in ("box", "cell", "plain"):
        made = {"metadata": {"name": name}, "handler": name, **({"overhead": OVERHEAD} if name == "box" else {})}
        control_plane.create("/apis/node.k8s.io/v1/runtimeclasses", made)
    return Cluster(control_plane)


@pytest.fixture
def decco(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Decco]:
    with controller(control_plane, tmp_path, isolation__sandboxes=json.dumps(["box", "cell"])) as decco:
        yield decco


@pytest.fixture
def space(cluster: Cluster, decco: Decco, request: pytest.FixtureRequest) -> str:
    del decco
    return cluster.space_of(request, "i")


def set_space(cluster: Cluster, space: str, **spec: Any) -> None:
    cluster.patch(f"{APIS}/spaces/{space}", {"spec": spec})


def template(cluster: Cluster, space: str, name: str = "web") -> tuple[Any, Any]:
    found = (cluster.deployment(space, name) or {"spec": {"template": {"spec": {}}}})["spec"]["template"]["spec"]
    return found.get("runtimeClassName"), found.get("hostUsers")


def attempt(cp: ControlPlane, space: str, **spec: Any) -> str:
    """The answer to a bare pod: "" if it was created (as a dry run)."""
    made = {"metadata": {"name": "bare"}, "spec": {"containers": [{"name": "c", "image": "x"}], **spec}}
    answer = cp.request("POST", f"/api/v1/namespaces/{space}/pods?dryRun=All", made)
    return "" if answer.status == 201 else str(answer.json()["message"])


def test_the_levels_on_a_running_app(control_plane: ControlPlane, cluster: Cluster, decco: Decco, space: str) -> None:
    cluster.create(app(space, "web", endpoints=[], pod=pod()))
    eventually(lambda: len(pods(cluster, space, "web")) == 1, SOON)
    assert template(cluster, space) == (None, None)
    assert attempt(control_plane, space) == ""

    set_space(cluster, space, isolation="UserNamespace")
    eventually(lambda: template(cluster, space) == (None, False), SOON)
    # Pods of before stay until those of the new template are ready, which no node makes them here.
    eventually(lambda: False in [each["spec"].get("hostUsers") for each in pods(cluster, space, "web")], SOON)
    eventually(lambda: "DECCO-0680" in attempt(control_plane, space), SOON)
    assert attempt(control_plane, space, hostUsers=False) == ""

    set_space(cluster, space, isolation="Sandboxed")
    eventually(lambda: template(cluster, space) == ("box", None), SOON)
    eventually(lambda: "box" in [each["spec"].get("runtimeClassName") for each in pods(cluster, space, "web")], SOON)
    eventually(lambda: "box, cell" in attempt(control_plane, space, hostUsers=False), SOON)
    namespace = cluster.get(f"/api/v1/namespaces/{space}") or {}
    assert namespace["metadata"]["labels"][LEVEL] == "Sandboxed"
    assert namespace["metadata"]["annotations"][SANDBOXES] == "box,cell"

    set_space(cluster, space, runtimeClassName="cell")
    eventually(lambda: template(cluster, space) == ("cell", None), SOON)

    set_space(cluster, space, isolation="Standard", runtimeClassName=None)
    eventually(lambda: template(cluster, space) == (None, None), SOON)
    namespace = cluster.get(f"/api/v1/namespaces/{space}") or {}
    assert LEVEL not in namespace["metadata"]["labels"]
    assert SANDBOXES not in namespace["metadata"]["annotations"]
    eventually(lambda: attempt(control_plane, space) == "", SOON)
    decco.settle()
    assert_no_defects(decco)


def test_an_app_that_asks_for_less_keeps_its_pods(cluster: Cluster, decco: Decco, space: str) -> None:
    cluster.create(app(space, "web", endpoints=[], pod=pod(runtimeClassName="plain")))
    eventually(lambda: len(pods(cluster, space, "web")) == 1, SOON)
    before = pods(cluster, space, "web")[0]["metadata"]["uid"]
    set_space(cluster, space, isolation="Sandboxed")
    eventually(lambda: (cluster.app_condition(space, "web", "Ready") or {})["reason"] == "IsolationTooWeak", SOON)
    assert "'plain'" in (cluster.app_condition(space, "web", "WorkloadReady") or {})["message"]
    decco.settle()
    assert [each["metadata"]["uid"] for each in pods(cluster, space, "web")] == [before]
    cluster.patch(f"{APIS}/namespaces/{space}/apps/web", {"spec": {"pod": {"runtimeClassName": None}}})
    eventually(lambda: template(cluster, space) == ("box", None), SOON)
    eventually(
        lambda: (cluster.app_condition(space, "web", "WorkloadReady") or {})["reason"] != "IsolationTooWeak", SOON
    )


def test_the_overhead_of_a_sandbox_counts_in_the_quota(cluster: Cluster, decco: Decco, space: str) -> None:
    quota = {"hard": {"requests.memory": "1000Mi"}}
    set_space(cluster, space, isolation="Sandboxed", resourceQuota=quota)
    used = f"/api/v1/namespaces/{space}/resourcequotas/decco"
    eventually(lambda: ((cluster.get(used) or {}).get("status") or {}).get("used"), SOON)
    container = {"name": "main", "image": "x", "resources": {"requests": {"memory": "50Mi"}}}
    cluster.create(app(space, "web", endpoints=[], pod={"containers": [container]}))
    eventually(lambda: (cluster.get(used) or {})["status"]["used"]["requests.memory"] == "150Mi", SOON)
    decco.settle()


def test_a_space_without_sandboxes_says_so(control_plane: ControlPlane, cluster: Cluster, tmp_path: Path) -> None:
    name = "i-none"
    with controller(control_plane, tmp_path) as decco:
        cluster.make_space(name, isolation="Sandboxed")
        eventually(
            lambda: (cluster.space_condition(name, "NamespaceReady") or {}).get("reason") == "SandboxMissing", SOON
        )
        cluster.create(app(name, "web", endpoints=[], pod=pod()))
        eventually(
            lambda: (cluster.app_condition(name, "web", "WorkloadReady") or {}).get("reason") == "SandboxMissing", SOON
        )
        assert cluster.deployment(name, "web") is None
        eventually(lambda: "isolation.sandboxes first" in attempt(control_plane, name, runtimeClassName="box"), SOON)
        decco.settle()
        assert_no_defects(decco)
