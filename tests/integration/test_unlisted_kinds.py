"""A kind that cannot be listed at the start blocks only what depends on it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from testbed.controlplane import ControlPlane
from testbed.faults import refuse
from testbed.proxy import FaultProxy
from tests.integration.harness import Cluster, Decco, app, eventually, http_app, tls_secret
from tests.sample import full

pytestmark = pytest.mark.timeout(600)

LONG = 60.0
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces"


@pytest.mark.parametrize("status", [403, pytest.param(500, marks=full)])
async def test_a_kind_that_cannot_be_listed_blocks_only_what_depends_on_it(
    proxy: FaultProxy, control_plane: ControlPlane, cluster: Cluster, tmp_path: Path, name: str, status: int
) -> None:
    proxy.add(refuse(status), when=lambda call: "/tlsroutes" in call.path)
    decco = Decco(control_plane, tmp_path, kubeconfig=proxy.kubeconfig)

    def broken() -> None:
        decco.start()
        assert "tlsroutes.gateway.networking.k8s.io: cannot be listed" in decco.get("/readyz")
        cluster.create(tls_secret(name, f"{name}.example.net"))
        cluster.make_space(name, httpCertSecretName=name, tcpCertAndCaSecretName=name)
        policy = f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies/decco"
        cluster.delete(policy)
        eventually(lambda: cluster.get(policy), LONG, "a deleted NetworkPolicy comes back")
        cluster.create(http_app(name, "web"))
        cluster.create(app(name, "db"))
        eventually(lambda: cluster.get(f"{ROUTES}/{name}/httproutes/web"), LONG, "HTTP is routed")
        found = eventually(lambda: cluster.app_condition(name, "db", "RoutesReady"), LONG)
        assert found["status"] == "False"
        assert "TLSRoute objects cannot be listed" in found["message"]

    def repaired() -> None:
        eventually(lambda: cluster.get(f"{ROUTES}/{name}/tlsroutes/db"), LONG, "the route follows")
        assert decco.get("/readyz") == "ok\n"

    try:
        await asyncio.to_thread(broken)
        proxy.clear()
        await asyncio.to_thread(repaired)
    finally:
        await asyncio.to_thread(decco.kill)
    assert "hit a defect" not in decco.log.read_text()
