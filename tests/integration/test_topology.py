"""``topology`` of a Space on the real API server: added, changed and removed under running Apps.

Where the pods are, with a scheduler and nodes in zones, is in ``tests/zones``.
"""

from __future__ import annotations

from typing import Any

from tests.integration.harness import APIS, Cluster, Decco, app, eventually, pod
from tests.integration.test_contract_traits import generation, writes

SAME_ZONE = "PreferSameZone"
SOON = 30.0


def set_topology(cluster: Cluster, space: str, **topology: Any) -> None:
    cluster.patch(f"{APIS}/spaces/{space}", {"spec": {"topology": topology}})


def preferred(cluster: Cluster, space: str, service: str = "web") -> str | None:
    found: str | None = (cluster.service(space, service) or {})["spec"].get("trafficDistribution")
    return found


def constraints(cluster: Cluster, space: str, name: str = "web") -> list[dict[str, Any]]:
    found = (cluster.deployment(space, name) or {})["spec"]["template"]["spec"]
    return list(found.get("topologySpreadConstraints") or ())


def make_app(cluster: Cluster, space: str) -> bool:
    """One with two Services, and one of decco's that has no address of its own."""
    endpoints = [{"name": "web", "port": 8080, "createClearTextService": True}]
    cluster.create(app(space, "web", endpoints=endpoints))
    cluster.create(app(space, "db", endpoints=[], statefulSet={}, pod=pod()))
    for service in ("web", "web-cleartext", "db-pods"):
        eventually(lambda service=service: cluster.service(space, service), SOON)
    return True


def test_services_prefer_a_zone_and_nothing_restarts(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name)
    make_app(cluster, name)
    assert preferred(cluster, name) is None
    decco.settle()
    before, address = generation(cluster, name, "web"), (cluster.service(name, "web") or {})["spec"]["clusterIP"]

    for value in (SAME_ZONE, "PreferSameNode", "PreferClose"):
        mark = cluster.cp.audit_mark()
        set_topology(cluster, name, trafficDistribution=value)
        for service in ("web", "web-cleartext"):
            eventually(lambda value=value, service=service: preferred(cluster, name, service) == value, SOON)
        decco.settle()
        assert writes(cluster, name, mark) == ["update services/web", "update services/web-cleartext"]
    assert preferred(cluster, name, "db-pods") is None, "a headless Service distributes nothing"

    cluster.patch(f"/api/v1/namespaces/{name}/services/web", {"spec": {"trafficDistribution": SAME_ZONE}})
    eventually(lambda: preferred(cluster, name) == "PreferClose", SOON, "put right")

    set_topology(cluster, name, trafficDistribution=None)
    eventually(lambda: preferred(cluster, name) is None and preferred(cluster, name, "web-cleartext") is None, SOON)
    decco.settle()
    assert generation(cluster, name, "web") == before
    assert (cluster.service(name, "web") or {})["spec"]["clusterIP"] == address
    mark = cluster.cp.audit_mark()
    cluster.patch(f"{APIS}/spaces/{name}", {"metadata": {"annotations": {"touched": "1"}}})
    decco.settle()
    assert writes(cluster, name, mark) == []


def test_the_policy_of_taints_follows(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name, topology={"zoneSpread": "Require"})
    make_app(cluster, name)
    [constraint] = eventually(lambda: constraints(cluster, name), SOON)
    assert "nodeTaintsPolicy" not in constraint
    for value in ("Honor", "Ignore", None):
        set_topology(cluster, name, nodeTaintsPolicy=value)
        eventually(
            lambda value=value: constraints(cluster, name)[0].get("nodeTaintsPolicy") == value, SOON, f"{value} is set"
        )
    decco.settle()
    set_topology(cluster, name, zoneSpread="Off", nodeTaintsPolicy="Honor")
    eventually(lambda: not constraints(cluster, name), SOON)
