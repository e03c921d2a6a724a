"""Pods of many Apps over zones, and what their Services prefer: Kubernetes' own scheduler and controllers decide."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from decco.cli import main as cli
from testbed.controlplane import ControlPlane
from testbed.kwok import FakeNodes
from tests.integration.harness import Cluster, Decco, app, eventually, pod
from tests.zones.conftest import ZONES
from tests.zones.world import ZONE, hints, make_apps, pods, set_topology, spread, wait_ready, zone_of

APPS = 20


@pytest.fixture(scope="module", autouse=True)
def _reluctant(cluster: Cluster, nodes: FakeNodes) -> Iterator[None]:
    """The scheduler avoids all zones but the first where nothing but preferences decides, as its default spread."""
    others = [node for zone in list(ZONES)[1:] for node in nodes.names(zone)]
    for node in others:
        taint = {"key": "decco.test/reluctant", "effect": "PreferNoSchedule"}
        cluster.patch(f"/api/v1/nodes/{node}", {"spec": {"taints": [taint]}})
    yield
    for node in others:
        cluster.patch(f"/api/v1/nodes/{node}", {"spec": {"taints": None}})


def test_the_pods_of_20_apps_are_spread(cluster: Cluster, decco: Decco, name: str) -> None:
    """One pod of each App in each zone, though the scheduler would rather use the first."""
    cluster.make_space(name, topology={"zoneSpread": "Require"})
    names = make_apps(cluster, name, APPS, len(ZONES))
    assert {each: dict(spread(cluster, name, each)) for each in names} == {
        each: dict.fromkeys(ZONES, 1) for each in names
    }
    decco.settle()


def test_without_it_they_are_not(cluster: Cluster, decco: Decco, name: str) -> None:
    """Otherwise the test above could not fail."""
    del decco
    cluster.make_space(name)
    names = make_apps(cluster, name, APPS, len(ZONES))
    assert {zone for each in names for zone in spread(cluster, name, each)} == {"a"}


def test_doctor_names_apps_in_one_zone(
    cluster: Cluster, control_plane: ControlPlane, decco: Decco, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    del decco
    cluster.make_space(name, topology={"zoneSpread": "Prefer", "trafficDistribution": "PreferSameZone"})
    make_apps(cluster, name, 2, 3)
    assert set(spread(cluster, name, "app-0")) == {"a"}, "the preference for the zone is the stronger one here"
    set_topology(cluster, name, zoneSpread="Require")
    eventually(lambda: dict(spread(cluster, name, "app-0")) == dict.fromkeys(ZONES, 1))
    set_topology(cluster, name, zoneSpread="Prefer")
    eventually(lambda: set(spread(cluster, name, "app-0")) == set(spread(cluster, name, "app-1")) == {"a"})

    def found() -> dict[str, str]:
        capsys.readouterr()
        cli.main(["doctor", "--kubeconfig", str(control_plane.kubeconfig), "-o", "json"])
        return {each["check"]: each["text"] for each in json.loads(capsys.readouterr().out)["checks"]}

    said = found()
    assert said["zones"] == "nodes are in 3 zones: a, b, c"
    assert f"served; for Space {name}" in said["trafficDistribution PreferSameZone"]
    assert said[f"app {name}/app-0"].startswith("all 3 ready pods are in zone a, though")
    set_topology(cluster, name, zoneSpread="Require")
    eventually(lambda: dict(spread(cluster, name, "app-0")) == dict.fromkeys(ZONES, 1))
    assert f"app {name}/app-0" not in found()


def test_more_pods_than_zones_and_pods_with_names(cluster: Cluster, decco: Decco, name: str) -> None:
    del decco
    cluster.make_space(name, topology={"zoneSpread": "Require"})
    cluster.create(app(name, "many", endpoints=[], initialReplicas=8))
    cluster.create(app(name, "named", endpoints=[], initialReplicas=4, statefulSet={}))
    cluster.create(
        app(
            name,
            "own",
            endpoints=[],
            initialReplicas=3,
            pod=pod(8080, nodeSelector={ZONE: "b"}, topologySpreadConstraints=[]),
        )
    )
    for each, replicas in (("many", 8), ("named", 4)):
        wait_ready(cluster, name, [each], replicas)
        counted = spread(cluster, name, each)
        assert set(counted) == set(ZONES)
        assert max(counted.values()) - min(counted.values()) <= 1, counted
    # Its pods may be in one zone only, and zones where they may not be do not count (nodeAffinityPolicy: Honor).
    wait_ready(cluster, name, ["own"], 3)
    assert set(spread(cluster, name, "own")) == {"b"}


def test_a_rollout_keeps_the_spread(cluster: Cluster, decco: Decco, name: str) -> None:
    """Each revision counts for itself: pods of the old one do not make the new ones uneven."""
    cluster.make_space(name, topology={"zoneSpread": "Require"})
    [web] = make_apps(cluster, name, 1, 6)
    before = {each["metadata"]["uid"] for each in pods(cluster, name, web)}
    cluster.patch(
        f"/apis/decco.platform9.com/v1beta2/namespaces/{name}/apps/{web}",
        {"spec": {"pod": {"containers": [{"name": "main", "image": "registry.example/app:2"}]}}},
    )
    eventually(lambda: not before & {each["metadata"]["uid"] for each in pods(cluster, name, web)})
    wait_ready(cluster, name, [web], 6)
    eventually(lambda: dict(spread(cluster, name, web)) == dict.fromkeys(ZONES, 2))
    decco.settle()


def test_turned_on_and_off_on_running_apps(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name)
    names = make_apps(cluster, name, 3, 3, endpoints=[])
    set_topology(cluster, name, zoneSpread="Require", nodeTaintsPolicy="Honor")
    for each in names:
        eventually(lambda each=each: dict(spread(cluster, name, each)) == dict.fromkeys(ZONES, 1), what=each)
    set_topology(cluster, name, zoneSpread="Off", nodeTaintsPolicy=None)
    for each in names:
        eventually(
            lambda each=each: all(
                "topologySpreadConstraints" not in found["spec"] for found in pods(cluster, name, each)
            ),
            what=each,
        )
        wait_ready(cluster, name, [each], 3)
    decco.settle()


def test_services_prefer_the_zone_of_the_client(cluster: Cluster, decco: Decco, name: str) -> None:
    """Kubernetes' own controller writes the hints by which kube-proxy and proxies choose pods."""
    cluster.make_space(name, topology={"zoneSpread": "Require"})
    [web] = make_apps(cluster, name, 1, 3)
    eventually(lambda: hints(cluster, name, web) == [(zone, []) for zone in sorted(ZONES)])
    running = {each["metadata"]["uid"] for each in pods(cluster, name, web)}
    set_topology(cluster, name, trafficDistribution="PreferSameZone")
    eventually(lambda: hints(cluster, name, web) == [(zone, [zone]) for zone in sorted(ZONES)])
    set_topology(cluster, name, trafficDistribution=None)
    eventually(lambda: hints(cluster, name, web) == [(zone, []) for zone in sorted(ZONES)])
    assert running == {each["metadata"]["uid"] for each in pods(cluster, name, web)}, "no pod was started again"
    assert {zone_of(each) for each in pods(cluster, name, web)} == set(ZONES)
    decco.settle()
