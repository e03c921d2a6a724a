"""Timeouts of endpoints, measured: the edge ends a request, the sidecar an idle connection."""

from __future__ import annotations

import time

import pytest

from tests.e2e.conftest import BACKEND, Backend
from tests.e2e.world import Tenant, World, eventually
from tests.sample import full

SHORT = 2
TCP_PORT = 9000


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    return world.tenant("timed")


@full
@pytest.mark.skipif(BACKEND is Backend.INGRESS, reason="Traefik limits no request of a route")
def test_a_request_that_takes_longer_is_504(tenant: Tenant) -> None:
    endpoint = {"name": "web", "port": 8080, "httpPath": "/web"}
    tenant.run(tenant.app("web", endpoints=[{**endpoint, "timeouts": {"request": f"{SHORT}s"}}]))
    tenant.settled("/web")
    before = [pod["metadata"]["uid"] for pod in tenant.pods("web")]

    def ended() -> bool:
        return tenant.https(f"/web/slow?ms={SHORT * 2000}").status == 504

    eventually(ended, what="504")
    assert tenant.https(f"/web/slow?ms={SHORT * 250}").status == 200
    # Longer than Envoy's own 15 s.
    tenant.run(tenant.app("web", endpoints=[{**endpoint, "timeouts": {"request": "1m"}}]))
    eventually(lambda: tenant.https(f"/web/slow?ms={SHORT * 2000}").status == 200, what="the longer time")
    assert tenant.https("/web/slow?ms=17000", seconds=30).status == 200
    assert [pod["metadata"]["uid"] for pod in tenant.pods("web")] == before


@full
def test_an_idle_connection_ends(tenant: Tenant) -> None:
    endpoint = {"name": "db", "port": TCP_PORT}
    pod = {"container": {"readinessProbe": {"tcpSocket": {"port": TCP_PORT}, "periodSeconds": 1}}}
    tenant.run(tenant.app("db", [f"echo:{TCP_PORT}"], endpoints=[endpoint], pod=pod))
    tenant.listening("db")
    before = [each["metadata"]["uid"] for each in tenant.pods("db")]
    assert seconds_open(tenant, SHORT * 3) >= SHORT * 3, "without the field"
    tenant.run(
        tenant.app("db", [f"echo:{TCP_PORT}"], endpoints=[{**endpoint, "timeouts": {"idle": f"{SHORT}s"}}], pod=pod)
    )
    # The kubelet brings a changed ConfigMap to a pod within a minute or so.
    eventually(lambda: seconds_open(tenant, SHORT * 3) < SHORT * 3, 120, "the end of an idle connection")
    assert seconds_open(tenant, SHORT * 3) >= SHORT - 0.5
    assert [each["metadata"]["uid"] for each in tenant.pods("db")] == before


def seconds_open(tenant: Tenant, most: float) -> float:
    """How long a connection stays open after its last byte, at most so long."""
    with tenant.tls("db", seconds=most) as connection:
        connection.sendall(b"hello")
        assert connection.recv(5) == b"hello"
        started = time.monotonic()
        try:
            rest = connection.recv(1)
        except TimeoutError:
            return most
        except OSError:
            rest = b""
        assert rest == b""
        return time.monotonic() - started
