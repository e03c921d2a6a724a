"""Limits of a Space and idle timeouts of endpoints as policies of Envoy Gateway, on a real API server with its CRDs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from testbed import manifests
from tests.integration.by_hand import GATEWAY, accept_listeners, condition
from tests.integration.harness import (
    APIS,
    Cluster,
    Decco,
    Obj,
    app,
    eventually,
    http_app,
    own_control_plane,
    tls_secret,
)
from tests.integration.loop import assert_no_defects
from tests.sample import full

ENVOY = "/apis/gateway.envoyproxy.io/v1alpha1"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
KINDS = {
    "securitypolicies": "SecurityPolicy",
    "backendtrafficpolicies": "BackendTrafficPolicy",
    "clienttrafficpolicies": "ClientTrafficPolicy",
}
NUMBERS = itertools.count()
LIMITS: Obj = {
    "clientCidrs": ["192.0.2.0/24", "2001:db8::/32"],
    "requestBody": "10Mi",
    "requestRate": {"requests": 50},
    "connections": 500,
    "timeouts": {"request": "30s", "idle": "1m"},
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_control_plane() as cp:
        manifests.install_envoy_gateway_crds(cp.api)
        cluster = Cluster(cp)
        cp.create("/api/v1/namespaces", {"metadata": {"name": "edge"}})
        cp.create(f"{GATEWAY}/gatewayclasses", gateway_class("envoy", CONTROLLER))
        listener = {"name": "http", "port": 80, "protocol": "HTTP"}
        spec = {"gatewayClassName": "envoy", "listeners": [listener]}
        cp.create(f"{GATEWAY}/namespaces/edge/gateways", made("Gateway", "shared", spec))
        yield cluster


@pytest.fixture(scope="module")
def decco(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    with Decco(cluster.cp, tmp_path_factory.mktemp("decco"), routing__parent_gateway="edge/shared") as decco:
        yield decco
        assert decco.stop() == 0, decco.tail()
        assert_no_defects(decco)


@pytest.fixture
def name(decco: Decco) -> str:
    return f"limits{next(NUMBERS)}"


def gateway_class(name: str, controller: str) -> Obj:
    return made("GatewayClass", name, {"controllerName": controller})


def made(kind: str, name: str, spec: Obj) -> Obj:
    api = "gateway.networking.k8s.io/v1" if kind.startswith("Gateway") else "gateway.envoyproxy.io/v1alpha1"
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}


def make(cluster: Cluster, name: str, **spec: object) -> None:
    cluster.create(tls_secret(name, f"{name}.example.net"))
    cluster.make_space(name, httpCertSecretName=name, **spec)
    eventually(lambda: cluster.get(f"{GATEWAY}/namespaces/{name}/listenersets/decco"))


def policies(cluster: Cluster, space: str) -> dict[str, Obj]:
    """ "kind/name" -> the policies in the Space's namespace."""
    return {
        f"{kind}/{each['metadata']['name']}": each
        for plural, kind in KINDS.items()
        for each in cluster.items(f"{ENVOY}/namespaces/{space}/{plural}")
    }


def accept(cluster: Cluster, space: str, *given: Obj, of: str = "") -> None:
    """As Envoy Gateway: accepts the policies of the Space, or reports ``given`` for ``of``, "plural/name"."""
    for plural in KINDS:
        for each in cluster.items(f"{ENVOY}/namespaces/{space}/{plural}"):
            meta = each["metadata"]
            mine = given if of == f"{plural}/{meta['name']}" else ()
            said = list(mine) or [condition("Accepted", generation=meta["generation"])]
            ancestor = {
                "group": "gateway.networking.k8s.io",
                "kind": "ListenerSet",
                "name": "decco",
                "namespace": space,
            }
            entry = {"ancestorRef": ancestor, "controllerName": CONTROLLER, "conditions": said}
            path = f"{ENVOY}/namespaces/{space}/{plural}/{meta['name']}/status"
            cluster.patch(path, {"status": {"ancestors": [entry]}})


def listeners(cluster: Cluster, space: str) -> Obj | None:
    return cluster.get(f"{GATEWAY}/namespaces/{space}/listenersets/decco")


def edit(cluster: Cluster, name: str, **spec: object) -> None:
    cluster.patch(f"{APIS}/spaces/{name}", {"spec": spec})


def routes_ready(cluster: Cluster, name: str, of: str = "") -> tuple[str, str, str]:
    found = cluster.app_condition(name, of, "RoutesReady") if of else cluster.space_condition(name, "RoutesReady")
    found = found or {}
    return str(found.get("status")), str(found.get("reason")), str(found.get("message"))


def endpoint(name: str, path: str, **more: object) -> Obj:
    return {"name": name, "port": 8080, "httpPath": path, **more}


@full
def test_limits_come_change_and_go_while_an_app_runs(cluster: Cluster, decco: Decco, name: str) -> None:
    make(cluster, name)
    cluster.create(http_app(name, "web"))
    eventually(lambda: cluster.get(f"{GATEWAY}/namespaces/{name}/httproutes/web"))
    decco.settle()
    assert policies(cluster, name) == {}
    pods = cluster.deployment(name, "web")

    edit(cluster, name, limits=LIMITS)
    found = eventually(lambda: p if len(p := policies(cluster, name)) == 3 else None)
    assert set(found) == {
        "SecurityPolicy/decco.limits",
        "BackendTrafficPolicy/decco.limits",
        "ClientTrafficPolicy/decco.limits",
    }
    clients = found["SecurityPolicy/decco.limits"]["spec"]["authorization"]
    assert clients["defaultAction"] == "Deny"
    assert clients["rules"][0]["principal"]["clientCIDRs"] == LIMITS["clientCidrs"]
    traffic = found["BackendTrafficPolicy/decco.limits"]["spec"]
    assert traffic["requestBuffer"] == {"limit": "10Mi"}
    assert traffic["timeout"] == {"http": {"streamIdleTimeout": "1m"}}
    assert traffic["rateLimit"]["local"]["rules"][0]["limit"] == {"requests": 50, "unit": "Second"}
    connections = found["ClientTrafficPolicy/decco.limits"]["spec"]
    assert connections["connection"]["connectionLimit"] == {"value": 500}
    assert [each["sectionName"] for each in connections["targetRefs"]] == ["https", "tls"]
    eventually(lambda: route(cluster, name, "web")["rules"][0].get("timeouts") == {"request": "30s"})
    assert cluster.deployment(name, "web") == pods

    accept_listeners(cluster, name, plural="listenersets")
    eventually(lambda: routes_ready(cluster, name)[1] == "WaitingForEdge")
    accept(cluster, name)
    eventually(lambda: routes_ready(cluster, name)[0] == "True")
    decco.settle()
    mark = cluster.cp.audit_mark()
    decco.settle()
    assert writes(cluster, mark) == []

    edit(cluster, name, limits={"connections": None, "clientCidrs": None, "requestBody": "2Mi"})
    eventually(lambda: set(policies(cluster, name)) == {"BackendTrafficPolicy/decco.limits"})
    eventually(
        lambda: policies(cluster, name)["BackendTrafficPolicy/decco.limits"]["spec"]["requestBuffer"]["limit"] == "2Mi"
    )
    edit(cluster, name, limits=None)
    eventually(lambda: policies(cluster, name) == {})
    eventually(lambda: "timeouts" not in route(cluster, name, "web")["rules"][0])
    assert (cluster.deployment(name, "web") or {})["metadata"]["generation"] == (pods or {})["metadata"]["generation"]


def writes(cluster: Cluster, mark: int) -> list[str]:
    """decco's writes since the mark, but for Events."""
    made_by = cluster.cp.audit("decco", since=mark, writes=True)
    return [f"{each.verb} {each.uri}" for each in made_by if each.resource != "events"]


def route(cluster: Cluster, name: str, of: str) -> Obj:
    return dict((cluster.get(f"{GATEWAY}/namespaces/{name}/httproutes/{of}") or {})["spec"])


def test_an_idle_timeout_is_a_policy_of_the_route(cluster: Cluster, decco: Decco, name: str) -> None:
    make(cluster, name)
    cluster.create(app(name, "web", endpoints=[endpoint("web", "/", timeouts={"idle": "2m"})]))
    found = eventually(lambda: policies(cluster, name).get("BackendTrafficPolicy/web"))
    assert found["spec"]["mergeType"] == "StrategicMerge"
    assert found["spec"]["timeout"] == {"http": {"streamIdleTimeout": "2m"}}

    edit(cluster, name, limits={"requestBody": "1Mi", "timeouts": {"idle": "90s"}})
    eventually(
        lambda: set(policies(cluster, name)) == {"BackendTrafficPolicy/decco.limits"}
    )  # the App has nothing of its own
    edit(cluster, name, limits={"timeouts": {"idle": "1h"}})
    found = eventually(lambda: policies(cluster, name).get("BackendTrafficPolicy/web"))
    assert "mergeType" not in found["spec"]
    assert found["spec"]["requestBuffer"] == {"limit": "1Mi"}
    assert found["spec"]["timeout"] == {"http": {"streamIdleTimeout": "2m"}}

    patch = [{"op": "remove", "path": "/spec/endpoints/0/timeouts"}]
    cluster.patch(f"{APIS}/namespaces/{name}/apps/web", patch, "json")
    eventually(lambda: set(policies(cluster, name)) == {"BackendTrafficPolicy/decco.limits"})


def test_streams_are_served_without_the_limit_of_bodies(cluster: Cluster, decco: Decco, name: str) -> None:
    make(cluster, name, limits={"requestBody": "1Mi", "requestRate": {"requests": 5, "unit": "Minute"}})
    cluster.create(app(name, "web", endpoints=[endpoint("calls", "/a.B", appProtocol="grpc")]))
    found = eventually(lambda: policies(cluster, name).get("BackendTrafficPolicy/calls"))
    assert "requestBuffer" not in found["spec"]
    assert "rateLimit" in found["spec"]
    says = eventually(lambda: m if "limits.requestBody" in (m := routes_ready(cluster, name, "web"))[2] else None)
    assert says[:2] == ("False", "RouteNotSupported")


def test_what_the_edge_refuses_is_a_condition(cluster: Cluster, decco: Decco, name: str) -> None:
    make(cluster, name, limits={"clientCidrs": ["192.0.2.0/24"]})
    accept_listeners(cluster, name, plural="listenersets")
    refused = condition("Accepted", "False", "Conflicted", message="another\npolicy")
    eventually(lambda: policies(cluster, name))
    accept(cluster, name, refused, of="securitypolicies/decco.limits")
    eventually(lambda: routes_ready(cluster, name)[1] == "NotAccepted")
    assert "SecurityPolicy decco.limits: another policy" in routes_ready(cluster, name)[2]
    accept(cluster, name)
    eventually(lambda: routes_ready(cluster, name)[0] == "True")


def test_a_policy_of_the_gateway_is_not_replaced(cluster: Cluster, decco: Decco, name: str) -> None:
    make(cluster, name, limits={"connections": 7})
    eventually(lambda: "ClientTrafficPolicy/decco.limits" in policies(cluster, name))
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "shared"}
    path = f"{ENVOY}/namespaces/edge/clienttrafficpolicies"
    cluster.cp.create(path, made("ClientTrafficPolicy", "platform", {"targetRefs": [target]}))
    eventually(lambda: policies(cluster, name) == {})
    status, reason, message = routes_ready(cluster, name)
    assert (status, reason) == ("False", "RouteNotSupported")
    assert "limits.connections" in message
    assert "ClientTrafficPolicy edge/platform" in message
    cluster.delete(f"{path}/platform")
    eventually(lambda: "ClientTrafficPolicy/decco.limits" in policies(cluster, name))


def test_nobody_gets_rid_of_what_the_gateway_demands_of_everybody(cluster: Cluster, decco: Decco, name: str) -> None:
    """A Space's SecurityPolicy would replace that of the Gateway, whatever it permits."""
    make(cluster, name, limits={"clientCidrs": ["0.0.0.0/0", "::/0"]})
    eventually(lambda: "SecurityPolicy/decco.limits" in policies(cluster, name))
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "shared"}
    path = f"{ENVOY}/namespaces/edge/securitypolicies"
    spec = {"targetRefs": [target], "authorization": {"defaultAction": "Deny"}}
    cluster.cp.create(path, made("SecurityPolicy", "platform", spec))
    eventually(lambda: policies(cluster, name) == {})
    eventually(lambda: listeners(cluster, name) is None)
    assert "SecurityPolicy edge/platform" in eventually(
        lambda: m if "clientCidrs" in (m := routes_ready(cluster, name)[2]) else None
    )
    cluster.delete(f"{path}/platform")
    eventually(lambda: listeners(cluster, name))
    assert "SecurityPolicy/decco.limits" in policies(cluster, name)


def test_nobody_is_served_by_an_edge_without_the_limit_of_clients(cluster: Cluster, decco: Decco, name: str) -> None:
    cidrs = {"clientCidrs": ["192.0.2.0/24"], "requestBody": "1Mi"}
    make(cluster, name, limits=cidrs)
    path = f"{GATEWAY}/namespaces/edge/gateways/shared"
    cluster.cp.create(f"{GATEWAY}/gatewayclasses", gateway_class("other", "example.net/other"))
    cluster.patch(path, {"spec": {"gatewayClassName": "other"}})
    try:
        eventually(lambda: listeners(cluster, name) is None)
        eventually(lambda: policies(cluster, name) == {})
        status, reason, message = eventually(
            lambda: m if "clientCidrs" in (m := routes_ready(cluster, name))[2] else None
        )
        assert (status, reason) == ("False", "RouteNotSupported")
        assert "example.net/other" in message
        assert "without limits.requestBody" in message
        edit(cluster, name, limits={"clientCidrs": None})
        eventually(lambda: listeners(cluster, name))
    finally:
        cluster.patch(path, {"spec": {"gatewayClassName": "envoy"}})
        cluster.delete(f"{GATEWAY}/gatewayclasses/other")
    eventually(lambda: "BackendTrafficPolicy/decco.limits" in policies(cluster, name))


@full
def test_a_refused_policy_leaves_the_listeners_unwritten(cluster: Cluster, decco: Decco, name: str) -> None:
    """Somebody else's SecurityPolicy has the name: no listener is open to everybody meanwhile."""
    cluster.create(tls_secret(name, f"{name}.example.net"))
    cluster.make_space(name)
    eventually(lambda: listeners(cluster, name))
    foreign = made("SecurityPolicy", "decco.limits", {"targetRefs": [], "authorization": {"defaultAction": "Allow"}})
    cluster.cp.create(f"{ENVOY}/namespaces/{name}/securitypolicies", foreign)
    before = listeners(cluster, name)
    edit(cluster, name, httpCertSecretName=name, limits={"clientCidrs": ["192.0.2.0/24"]})
    eventually(lambda: routes_ready(cluster, name)[1] == "Conflict")
    decco.settle()
    assert (listeners(cluster, name) or {})["spec"] == (before or {})["spec"]
    cluster.delete(f"{ENVOY}/namespaces/{name}/securitypolicies/decco.limits")
    eventually(lambda: len((listeners(cluster, name) or {})["spec"]["listeners"]) == 3)
    assert "SecurityPolicy/decco.limits" in policies(cluster, name)
