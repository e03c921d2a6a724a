"""Limits of a Space and idle timeouts, by real traffic through Envoy Gateway."""

from __future__ import annotations

import contextlib
import ssl
import time
from typing import Any

import pytest

from tests.e2e import clients
from tests.e2e.conftest import BACKEND, Backend
from tests.e2e.world import APPS, SPACES, TCP_PORT, Obj, Tenant, World, eventually
from tests.sample import full

NOWHERE = ["203.0.113.0/24"]
KIB = 1024

pytestmark = pytest.mark.skipif(BACKEND is Backend.INGRESS, reason="the policies are Envoy Gateway's")


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    tenant = world.tenant("limited")
    tenant.run_web_and_db()
    return tenant


def limit(tenant: Tenant, **limits: Any) -> None:
    """Changes the limits, and waits until the edge has accepted them."""
    tenant.change({"limits": limits or None})
    tenant.wait_ready()


def condition(tenant: Tenant, kind: str = "RoutesReady") -> Obj:
    found = tenant.world.get(SPACES, tenant.name)["status"]["conditions"]
    return next(dict(each) for each in found if each["type"] == kind)


def statuses(tenant: Tenant, path: str, count: int) -> list[int]:
    return [tenant.https(path).status for _ in range(count)]


def echoes(tenant: Tenant) -> bool:
    """Whether a byte through the TCP endpoint comes back."""
    try:
        with tenant.tls("db", seconds=5) as connection:
            connection.sendall(b"x")
            return connection.recv(1) == b"x"
    except (OSError, ssl.SSLError):
        return False


def test_only_permitted_clients_are_served(tenant: Tenant) -> None:
    assert echoes(tenant)
    [seen] = tenant.https("/web").json()["headers"]["X-Forwarded-For"]
    limit(tenant, clientCidrs=NOWHERE)
    eventually(lambda: tenant.https("/web").status == 403, what="403")
    eventually(lambda: not echoes(tenant), what="TLS passthrough is closed")
    # decco's own probes are refused too: it probes certificates only, and stays Ready.
    time.sleep(25)
    tenant.wait_ready()
    tenant.wait_app("web")
    assert condition(tenant)["reason"] == "NotProbed", condition(tenant)
    limit(tenant, clientCidrs=[*NOWHERE, f"{seen}/32"])
    eventually(lambda: tenant.https("/web").status == 200, what="200")
    eventually(lambda: echoes(tenant), what="TLS passthrough is open")
    limit(tenant)
    eventually(lambda: condition(tenant)["reason"] == "Reconciled", what="probes again")


def test_a_larger_body_is_413(tenant: Tenant) -> None:
    def sends(size: int, path: str = "/web") -> int:
        return tenant.https(path, method="POST", body=b"x" * size).status

    tenant.world.apply(own_route(tenant))
    limit(tenant, requestBody="64Ki")
    eventually(lambda: sends(128 * KIB) == 413, what="413")
    assert sends(32 * KIB) == 200
    # A tenant's own route does not get around it.
    eventually(lambda: sends(32 * KIB, "/own") == 200, what="the tenant's route")
    assert sends(128 * KIB, "/own") == 413
    tenant.world.kubectl("delete", "httproute", "own", "-n", tenant.name)
    limit(tenant)
    eventually(lambda: sends(128 * KIB) == 200, what="200")


def own_route(tenant: Tenant) -> Obj:
    """An HTTPRoute that decco has not made, at the Space's HTTPS listener."""
    live = tenant.world.get("httproute", "web", tenant.name)["spec"]
    [parent] = live["parentRefs"]
    match = {"path": {"type": "PathPrefix", "value": "/own"}}
    rule = {"matches": [match], "backendRefs": live["rules"][0]["backendRefs"]}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "own", "namespace": tenant.name},
        "spec": {"parentRefs": [parent], "hostnames": [tenant.fqdn], "rules": [rule]},
    }


@full
def test_streams_go_on_beside_the_limit_of_bodies(tenant: Tenant) -> None:
    endpoint = {"name": "talk", "port": 8080, "httpPath": "/talk", "appProtocol": "websocket"}
    tenant.run(tenant.app("talk", endpoints=[endpoint]))
    eventually(lambda: "101" in upgraded(tenant, "/talk/ws"), what="an upgrade")
    limit(tenant, requestBody="64Ki")
    eventually(lambda: tenant.https("/web", method="POST", body=b"x" * 128 * KIB).status == 413, what="413")
    eventually(lambda: "101" in upgraded(tenant, "/talk/ws"), what="an upgrade")
    reason = {
        each["type"]: each["reason"] for each in tenant.world.get(APPS, "talk", tenant.name)["status"]["conditions"]
    }
    assert reason["RoutesReady"] == "RouteNotSupported"
    limit(tenant)
    tenant.wait_app("talk")


def upgraded(tenant: Tenant, path: str) -> str:
    """The first line of the answer to a request for WebSocket."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {tenant.fqdn}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    with clients.tls(tenant.edge, tenant.fqdn, tenant.authority.cert, seconds=5) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection.recv(1024).decode("latin-1").partition("\r\n")[0]


@full
def test_more_requests_are_429(tenant: Tenant) -> None:
    limit(tenant, requestRate={"requests": 5, "unit": "Hour"})
    eventually(lambda: 429 in statuses(tenant, "/web", 8), what="429")
    assert statuses(tenant, "/web", 3) == [429] * 3
    # decco's probes, which the edge answers itself, are not counted.
    time.sleep(25)
    tenant.wait_app("web")
    limit(tenant)
    eventually(lambda: statuses(tenant, "/web", 8) == [200] * 8, what="200")


@full
def test_a_request_without_a_byte_for_long_ends(tenant: Tenant) -> None:
    assert tenant.https("/web/slow?ms=4000").status == 200
    limit(tenant, timeouts={"idle": "1s"})
    eventually(lambda: tenant.https("/web/slow?ms=4000").status in (408, 504), what="the limit of the Space")
    assert tenant.https("/web/slow?ms=300").status == 200
    web = {"name": "web", "port": 8080, "httpPath": "/web", "timeouts": {"idle": "2s"}}
    db = {"name": "db", "port": TCP_PORT}
    limit(tenant)
    eventually(lambda: tenant.https("/web/slow?ms=4000").status == 200, what="no limit")
    tenant.run(tenant.app("web", ["http:8080", f"echo:{TCP_PORT}"], endpoints=[web, db]))
    eventually(lambda: tenant.https("/web/slow?ms=4000").status in (408, 504), what="the endpoint's own timeout")
    assert tenant.https("/web/slow?ms=1000").status == 200
    # Both: the endpoint's policy stands alone beside that of its Space, and has the limit of bodies too.
    limit(tenant, requestBody="64Ki", timeouts={"idle": "1h"})
    eventually(lambda: tenant.https("/web", method="POST", body=b"x" * 128 * KIB).status == 413, what="413")
    eventually(lambda: tenant.https("/web/slow?ms=4000").status in (408, 504), what="both")
    limit(tenant)


def test_more_connections_are_closed(tenant: Tenant) -> None:
    limit(tenant, connections=5)

    def is_limited() -> bool:
        with contextlib.ExitStack() as stack:
            try:
                for _ in range(8):
                    connection = stack.enter_context(tenant.tls("db", seconds=5))
                    connection.sendall(b"x")
                    if connection.recv(1) != b"x":
                        return True
            except (OSError, ssl.SSLError):
                return True
        return False

    eventually(is_limited, what="the end of further connections")
    eventually(lambda: echoes(tenant), what="a place is free again")
    limit(tenant)
    eventually(lambda: not is_limited(), what="no limit")
