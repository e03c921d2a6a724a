"""One cluster for this folder: decco as an operator installs it, its tenants, and strangers of all kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import netpol
from testbed.controlplane import ControlPlane
from testbed.found import AssetsMissing
from tests.integration.harness import Cluster, Decco, eventually, tls_secret
from tests.integration.loop import assert_no_defects
from tests.integration.test_policies import as_user, refused
from tests.policies import picture, tenants
from tests.policies.world import (
    EDGE_CIDRS,
    EDGE_NAMESPACE,
    IMPOSTOR_LABELS,
    IMPOSTOR_POD_LABELS,
    LABEL_APP,
    World,
    make_apps,
    make_namespace,
    make_pod,
    read,
)

RBAC = "/apis/rbac.authorization.k8s.io/v1"
TENANT = "policies-tenant"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marked as those of tests/integration are. The first one's time is also that of a whole cluster's start."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    """Built before any test's time counts by ``make``; without a Go compiler, a line says what is not proven."""
    try:
        for name in netpol.PROGRAMS:
            netpol.provide(name)
    except AssetsMissing as error:
        pytest.skip(f"MISSING, so NetworkPolicies are not evaluated: {error}")


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    with ControlPlane() as cp:
        cp.install_gateway_api()
        cp.install_decco()
        cp.restart_manager()
        yield cp


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> Cluster:
    return Cluster(control_plane)


@pytest.fixture(scope="session")
def decco(control_plane: ControlPlane, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    """The real controller, with the address of the edge."""
    cluster.create(tls_secret("policies"))
    cidrs = "[" + ", ".join(f'"{cidr}"' for cidr in EDGE_CIDRS) + "]"
    folder = tmp_path_factory.mktemp("decco")
    decco = Decco(control_plane, folder, edge__namespace=EDGE_NAMESPACE, edge__cidrs=cidrs).start()
    yield decco
    assert decco.stop() == 0, decco.tail()
    assert_no_defects(decco)


@pytest.fixture(scope="session")
def strangers(control_plane: ControlPlane, cluster: Cluster) -> list[str]:
    return make_strangers(control_plane, cluster)


def make_strangers(control_plane: ControlPlane, cluster: Cluster) -> list[str]:
    """Pods in namespaces that are not Spaces: the edge's, the monitoring's, one like any other, and an impostor's."""
    make_namespace(cluster, EDGE_NAMESPACE)
    make_namespace(cluster, "monitoring", **{"decco.platform9.com/monitoring": "true"})
    make_namespace(cluster, "foreign")
    _impostor(control_plane)
    make_pod(cluster, EDGE_NAMESPACE, "proxy", 8443)
    make_pod(cluster, "monitoring", "prometheus", 9090)
    make_pod(cluster, "foreign", "tool", 8080)
    make_pod(cluster, "impostor", "mimic", 8080, labels=IMPOSTOR_POD_LABELS)
    return [f"{EDGE_NAMESPACE}/proxy", "monitoring/prometheus", "foreign/tool", "impostor/mimic"]


def _impostor(cp: ControlPlane) -> None:
    """A namespace made by somebody who may create namespaces, and who imitates a Space of project foo."""
    role = {"metadata": {"name": TENANT}, "rules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["*"]}]}
    cp.create(f"{RBAC}/clusterroles", role)
    binding = {
        "metadata": {"name": TENANT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": TENANT},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": TENANT}],
    }
    cp.create(f"{RBAC}/clusterrolebindings", binding)
    tenant = as_user(cp, "mallory", TENANT)
    kept = ("decco.platform9.com/project", "foo"), ("decco.platform9.com/monitoring", "foo")
    for label, value in (*kept, ("app.kubernetes.io/managed-by", "decco")):
        asked = {"metadata": {"name": "impostor", "labels": {label: value}}}
        eventually(
            lambda asked=asked: refused(tenant.request("POST", "/api/v1/namespaces?dryRun=All", asked)),  # type: ignore[misc]
            30,
            f"the policy that keeps {label} for decco",
        )
    made = tenant.request(
        "POST", "/api/v1/namespaces", {"metadata": {"name": "impostor", "labels": dict(IMPOSTOR_LABELS)}}
    )
    assert made.status == 201, made.json()


@pytest.fixture(scope="session")
def matrix(cluster: Cluster, decco: Decco, strangers: list[str]) -> World:
    """The cluster with the Spaces of ``tenants.py``, all of them settled."""
    wanted = list(strangers)
    for space, spec in tenants.SPACES.items():
        cluster.make_space(space, **spec)
        wanted += make_apps(cluster, space, tenants.APPS)
        make_pod(cluster, space, tenants.STRAY, tenants.STRAY_PORT, labels={LABEL_APP: "nobody"})
        wanted.append(f"{space}/{tenants.STRAY}")
    decco.settle()
    return read(cluster, wanted)


@pytest.fixture(scope="session")
def talk(cluster: Cluster, decco: Decco, strangers: list[str]) -> World:
    """The cluster with the Spaces of ``picture.py``, all of them settled."""
    wanted = list(strangers)
    for space, project in picture.SPACES.items():
        cluster.make_space(space, **picture.SECRETS, **project)
        wanted += make_apps(cluster, space, picture.APPS[space])
    decco.settle()
    return read(cluster, wanted)
