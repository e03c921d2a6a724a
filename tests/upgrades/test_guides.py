"""The commands of the guides, run as they stand on their pages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.harness import Cluster, Decco, Obj, app, eventually
from tests.integration.test_delete import GONE_SECONDS

PAGES = Path(__file__).parents[2] / "docs" / "operations"
FENCE = re.compile(r"^(?P<indent> *)```sh(?P<words>[ a-z]*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def commands(page: str, word: str = "") -> list[str]:
    """The blocks of a page that are marked ``sh`` and, if given, with the word, in their order."""
    found = FENCE.finditer((PAGES / page).read_text())
    return [textwrap.dedent(each["text"]) for each in found if not word or word in each["words"].split()]


def execute(cp: ControlPlane, block: str, folder: Path) -> str:
    path = [str(cp.binaries.kubernetes["kubectl"].parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {**os.environ, "PATH": os.pathsep.join(path), "KUBECONFIG": str(cp.kubeconfig)}
    argv = ["bash", "-euo", "pipefail", "-c", block]
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def control_plane() -> Iterator[ControlPlane]:
    """With decco as it is installed, and a Deployment in the place of its program, which runs beside it."""
    with ControlPlane() as cp:
        cp.install_decco()
        cp.restart_manager()
        cp.create("/apis/apps/v1/namespaces/decco/deployments", _controller())
        yield cp


def _controller() -> Obj:
    labels = {"app.kubernetes.io/name": "decco"}
    pod = {"containers": [{"name": "controller", "image": "registry.example/decco:1"}]}
    return {
        "metadata": {"name": "decco-controller", "namespace": "decco"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


@pytest.fixture
def cluster(control_plane: ControlPlane) -> Cluster:
    return Cluster(control_plane)


def live(cluster: Cluster) -> None:
    cluster.make_space("acme")
    cluster.create(app("acme", "web", endpoints=[{"name": "web", "port": 8080, "disableTlsTermination": True}]))
    eventually(lambda: cluster.deployment("acme", "web"), 10)
    eventually(lambda: (cluster.space_condition("acme", "Ready") or {}).get("status") == "True", 10)


def nothing_of_decco_is_left(cluster: Cluster) -> None:
    names = [each["metadata"]["name"] for each in cluster.items(CRDS)]
    assert not [name for name in names if name.endswith("decco.platform9.com")]
    for kind in ("validatingadmissionpolicies", "validatingadmissionpolicybindings"):
        left = [each["metadata"]["name"] for each in cluster.items(f"/apis/admissionregistration.k8s.io/v1/{kind}")]
        assert not [name for name in left if "decco" in name]
    for kind in ("clusterroles", "clusterrolebindings"):
        path = f"/apis/rbac.authorization.k8s.io/v1/{kind}"
        assert not [each for each in cluster.items(path) if each["metadata"]["name"].startswith("decco")]
    assert cluster.get("/api/v1/namespaces/decco") is None


def test_an_upgrade(control_plane: ControlPlane, cluster: Cluster, tmp_path: Path) -> None:
    with Decco(control_plane, tmp_path, routing__backend="none") as decco:
        live(cluster)
        decco.settle()
        mark = control_plane.audit_mark()
        blocks = commands("upgrading.md")
        assert len(blocks) == 5
        said = [execute(control_plane, block, tmp_path) for block in blocks]
        assert said[1].count("serverside-applied") == 2
        assert "space.decco.platform9.com/acme serverside-applied (server dry run)" in said[2]
        decco.settle()
        assert control_plane.audit("decco-controller", since=mark, writes=True) == []


def test_everything_goes_on_without_decco(control_plane: ControlPlane, cluster: Cluster, tmp_path: Path) -> None:
    with Decco(control_plane, tmp_path, routing__backend="none") as decco:
        live(cluster)
        assert decco.stop() == 0
    finalizer = {"metadata": {"finalizers": ["decco.platform9.com/dns"]}}
    for path in ("spaces/acme", "namespaces/acme/apps/web"):
        cluster.patch(f"/apis/decco.platform9.com/v1beta2/{path}", finalizer)
    for block in commands("uninstalling.md", "leave"):
        execute(control_plane, block, tmp_path)
    nothing_of_decco_is_left(cluster)
    assert "name: web" in (tmp_path / "decco-backup.yaml").read_text()
    for left in (
        cluster.get("/api/v1/namespaces/acme"),
        cluster.deployment("acme", "web"),
        cluster.service("acme", "web"),
        cluster.get("/apis/networking.k8s.io/v1/namespaces/acme/networkpolicies/decco"),
    ):
        assert left is not None
        assert "deletionTimestamp" not in left["metadata"]
        owners = {owner["kind"] for owner in left["metadata"].get("ownerReferences") or ()}
        assert owners <= {"Namespace"}, "nothing waits to be collected"


def test_nothing_is_left(control_plane: ControlPlane, cluster: Cluster, tmp_path: Path) -> None:
    with Decco(control_plane, tmp_path, routing__backend="none"):
        live(cluster)
        for block in commands("uninstalling.md", "remove"):
            execute(control_plane, block, tmp_path)
    nothing_of_decco_is_left(cluster)
    eventually(lambda: cluster.get("/api/v1/namespaces/acme") is None, GONE_SECONDS)
