"""``topology`` of a Space on the real API server: added, changed and removed under running Apps.

Where the pods are, with a scheduler and nodes in zones, is in ``tests/zones``.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from testbed.faults import Call, Respond
from testbed.proxy import FaultProxy
from tests.integration.harness import APIS, Cluster, Decco, app, eventually, pod, soon
from tests.integration.loop import assert_no_defects
from tests.integration.test_contract_traits import generation, writes

SAME_ZONE = "PreferSameZone"
FIELD = "spec.trafficDistribution"
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


def real_refusal(cp: ControlPlane, value: str) -> Respond:
    """What a real API server answers to a value that it does not serve, with another value in its place."""
    made = {
        "metadata": {"name": "refused", "namespace": "default"},
        "spec": {"ports": [{"port": 80}], "trafficDistribution": "PreferNobody"},
    }
    answer = cp.request("POST", "/api/v1/namespaces/default/services", made)
    status = answer.json()
    assert answer.status == 422
    assert [cause["field"] for cause in status["details"]["causes"]] == [FIELD]
    return Respond(422, json.dumps(status).replace("PreferNobody", value).encode())


def asks_for(value: str) -> Any:
    def when(call: Call) -> bool:
        return call.method in ("POST", "PUT") and bool(call.body) and call.json()["spec"].get(FIELD[5:]) == value

    return when


@pytest.mark.asyncio
async def test_a_value_that_is_not_served_costs_no_service(
    control_plane: ControlPlane, cluster: Cluster, proxy: FaultProxy, tmp_path: Path, name: str
) -> None:
    """Kubernetes 1.33 serves PreferClose only. The Service is there all the same, and goes on as it was."""
    rule = proxy.add(
        real_refusal(control_plane, "PreferSameNode"), path="/services(/|$)", when=asks_for("PreferSameNode")
    )
    decco = Decco(control_plane, tmp_path, kubeconfig=proxy.kubeconfig)
    await asyncio.to_thread(decco.start)
    try:
        await soon(lambda: cluster.make_space(name, topology={"trafficDistribution": "PreferSameNode"}))
        await soon(lambda: make_app(cluster, name))

        def reason() -> str:
            return str((cluster.app_condition(name, "web", "WorkloadReady") or {})["reason"])

        await soon(lambda: reason() == "ValueNotServed", SOON)
        message = str((cluster.app_condition(name, "web", "WorkloadReady") or {})["message"])
        assert f"Service {name}/web is written without {FIELD}" in message
        assert 'Unsupported value: "PreferSameNode"' in message
        assert "upgrade the cluster" in message
        await soon(lambda: cluster.service(name, "web-cleartext") is not None and preferred(cluster, name) is None)

        await soon(lambda: decco.settle() is None)
        hits, mark = rule.hits, cluster.cp.audit_mark()
        cluster.patch(f"{APIS}/namespaces/{name}/apps/web", {"metadata": {"annotations": {"touched": "1"}}})
        cluster.patch(f"{APIS}/spaces/{name}", {"metadata": {"annotations": {"touched": "1"}}})
        await soon(lambda: decco.settle() is None)
        assert writes(cluster, name, mark) == []
        assert rule.hits == hits, "an answer that is known is not asked for again"

        set_topology(cluster, name, trafficDistribution="PreferClose")
        await soon(lambda: preferred(cluster, name) == "PreferClose", SOON)
        await soon(lambda: reason() != "ValueNotServed", SOON)
        # On a running Service, which the API server refuses to change: it keeps what it has of everything else.
        address = (cluster.service(name, "web") or {})["spec"]["clusterIP"]
        set_topology(cluster, name, trafficDistribution="PreferSameNode")
        await soon(lambda: reason() == "ValueNotServed" and preferred(cluster, name) is None, SOON)
        assert (cluster.service(name, "web") or {})["spec"]["clusterIP"] == address
        await soon(lambda: decco.settle() is None)
        assert_no_defects(decco)
    finally:
        decco.kill()
