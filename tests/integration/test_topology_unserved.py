"""A value of ``trafficDistribution`` that a cluster does not serve: Kubernetes 1.33 has PreferClose only."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from testbed.faults import Call, Respond
from testbed.proxy import FaultProxy
from tests.integration.harness import APIS, Cluster, Decco, soon
from tests.integration.loop import assert_no_defects
from tests.integration.test_contract_traits import writes
from tests.integration.test_topology import SOON, make_app, preferred, set_topology

FIELD = "spec.trafficDistribution"


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
