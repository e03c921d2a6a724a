"""What ``decco import --from-namespace`` proposes is accepted by a real API server, and is ready but for its pods.

The input goes through the API server too, so that it has the defaults that the server fills in.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from testbed.controlplane import ControlPlane
from tests.integration.by_hand import GATEWAY
from tests.integration.harness import Cluster, Decco, Obj, eventually, tls_secret
from tests.integration.loop import assert_no_defects

INPUTS = Path(__file__).parents[1] / "importing" / "namespace"
DOMAIN = "importns.test"


@pytest.fixture
def cluster(control_plane: ControlPlane) -> Cluster:
    return Cluster(control_plane)


@pytest.fixture
def decco(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Decco]:
    with Decco(control_plane, tmp_path, edge__addresses=json.dumps(["192.0.2.7"])) as found:
        yield found
        assert found.stop() == 0, found.tail()
        assert_no_defects(found)


def imported(control_plane: ControlPlane, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "decco.cli.main", "import", "--kubeconfig", str(control_plane.kubeconfig)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def proposed(control_plane: ControlPlane, case: str, space: str, folder: Path) -> list[Obj]:
    """Applies the input to a namespace, imports it, and applies the Space."""
    old = f"{space}-old"
    text = (INPUTS / f"{case}.yaml").read_text().replace("example.", "importns.")
    namespace = next(each for each in ("shop", "data", "rules") if f"namespace: {each}" in text)
    control_plane.kubectl("create", "namespace", old)
    control_plane.kubectl("apply", "-f", "-", input=text.replace(f"namespace: {namespace}", f"namespace: {old}"))
    words = ["--from-namespace", old, "--space", space, "--domain", DOMAIN, "-o", str(folder)]
    done = imported(control_plane, *words)
    assert done.returncode == 1, done.stderr  # each input has what has no counterpart
    assert "error:" not in done.stderr
    assert "swordfish" not in done.stderr
    control_plane.kubectl("apply", "--validate=strict", "-f", str(folder / "1-spaces.yaml"))
    return [each for file in sorted(folder.glob("*.yaml")) for each in yaml.safe_load_all(file.read_text())]


def apply_rest(control_plane: ControlPlane, cluster: Cluster, space: str, folder: Path) -> None:
    eventually(lambda: (cluster.space_condition(space, "NetworkReady") or {}).get("status") == "True", 15)
    for file in sorted(folder.glob("[2-9]*.yaml")):
        control_plane.kubectl("apply", "--validate=strict", "-f", str(file))


def assert_ready_but_for_pods(cluster: Cluster, space: str, apps: list[str]) -> None:
    for name in apps:
        for kind in ("CertificatesReady", "DNSReady"):
            condition = cluster.app_condition(space, name, kind)
            assert condition is None or condition["status"] == "True", condition

    # Without nodes and gateway controller workloads and routes wait. Only idle times need Envoy Gateway's own kinds.
    waiting = ("Progressing", "Unavailable", "WaitingForEdge", "CanaryWaiting")
    for name in apps:
        for kind in ("WorkloadReady", "RoutesReady"):
            condition = cluster.app_condition(space, name, kind)
            if condition is not None and condition["status"] != "True":
                idle = condition["reason"] == "RouteNotSupported" and "without timeouts.idle" in condition["message"]
                assert idle or condition["reason"] in waiting, condition


def test_a_shop(control_plane: ControlPlane, cluster: Cluster, decco: Decco, tmp_path: Path) -> None:
    space, folder = "imported-shop", tmp_path / "new"
    objects = proposed(control_plane, "shop", space, folder)
    for obj in objects:
        spec = obj["spec"]
        if obj["kind"] == "App":
            # What the API server had filled in is not in the proposal.
            assert not {"dnsPolicy", "restartPolicy", "schedulerName", "securityContext"} & spec["pod"].keys()
            assert "deployment" not in spec
        if obj["kind"] == "Space":
            for name, secret in (
                ("shop.importns.com", "shop-tls"),
                ("*.shops.importns.org", "shops-tls"),
            ):
                names = [name, "www.importns.org"]
                cluster.create(tls_secret(secret, *names))
    apply_rest(control_plane, cluster, space, folder)
    # What the notes of the import say is to be created.
    control_plane.kubectl("create", "serviceaccount", "web", "--namespace", space)
    apps = ["api", "prices", "web", "web-next"]
    for name in apps:
        eventually(lambda name=name: cluster.deployment(space, name))
    route = eventually(lambda: cluster.get(f"{GATEWAY}/namespaces/{space}/httproutes/web-edge"))
    assert route["spec"]["hostnames"] == ["*.shops.importns.org", "shop.importns.com", "www.importns.org"]
    decco.settle()
    assert_ready_but_for_pods(cluster, space, apps)
    assert (cluster.deployment(space, "web") or {})["spec"]["replicas"] == 3
    kept = cluster.service(space, "web") or {}
    assert [each["port"] for each in kept["spec"]["ports"]] == [80, 9090]
    assert (cluster.service(space, "prices-edge") or {})["spec"]["ports"][0]["appProtocol"] == "kubernetes.io/h2c"
    budget = cluster.get(f"/apis/policy/v1/namespaces/{space}/poddisruptionbudgets/web")
    assert (budget or {})["spec"]["minAvailable"] == "50%"
    scaler = f"/apis/autoscaling/v2/namespaces/{space}/horizontalpodautoscalers/web"
    assert (cluster.get(scaler) or {})["spec"]["scaleTargetRef"]["kind"] == "App"


def test_a_database(control_plane: ControlPlane, cluster: Cluster, decco: Decco, tmp_path: Path) -> None:
    space, folder = "imported-data", tmp_path / "new"
    proposed(control_plane, "database", space, folder)
    apply_rest(control_plane, cluster, space, folder)
    stateful = eventually(lambda: cluster.get(f"/apis/apps/v1/namespaces/{space}/statefulsets/mysql"))
    assert stateful["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert eventually(lambda: cluster.get(f"/apis/batch/v1/namespaces/{space}/jobs/migrate"))
    assert (cluster.service(space, "mysql-peers") or {})["spec"]["clusterIP"] == "None"
    assert cluster.service(space, "archive") is None


def test_rules_of_all_kinds(control_plane: ControlPlane, cluster: Cluster, decco: Decco, tmp_path: Path) -> None:
    space, folder = "imported-rules", tmp_path / "new"
    [given, *_] = proposed(control_plane, "rules", space, folder)
    cluster.create(tls_secret(given["spec"]["httpCertSecretName"], f"{space}.{DOMAIN}"))
    for each in given["spec"]["httpHostnames"]:
        cluster.create(tls_secret(each["certSecretName"], each["name"]))
    apply_rest(control_plane, cluster, space, folder)
    for name in ("many-edge", "many-edge-2", "many-edge-3", "many-edge-4"):
        eventually(lambda name=name: cluster.get(f"{GATEWAY}/namespaces/{space}/httproutes/{name}"))
    eventually(lambda: cluster.get(f"{GATEWAY}/namespaces/{space}/tlsroutes/many-edge-5"))
    decco.settle()
    assert_ready_but_for_pods(cluster, space, ["many"])


def test_a_namespace_that_is_not_there(control_plane: ControlPlane) -> None:
    done = imported(control_plane, "--from-namespace", "nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert "namespace nowhere has no Deployment" in done.stderr
    done = imported(control_plane, "--from-namespace", "default", "some.yaml")
    assert done.returncode == 2
    assert "leave one of the two out" in done.stderr


def test_a_reader_without_permission(control_plane: ControlPlane) -> None:
    words = ["--kubeconfig", str(control_plane.kubeconfig_for("nobody")), "--from-namespace", "default"]
    done = imported(control_plane, *words)
    assert done.returncode == 2
    assert "you may not list deployments in namespace default: have somebody bind the ClusterRole view" in done.stderr
