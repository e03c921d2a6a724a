"""Routing as the contract has it: each backend's objects on a real API server, and what an edge's answers lead to.

A control plane of its own: another backend means other objects for every Space of the cluster.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.by_hand import GATEWAY, accept_listeners, answer_policy, answer_route, condition, run_pods
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, space, tls_secret
from tests.integration.loop import assert_no_defects
from tests.sample import full

INGRESSES = "/apis/networking.k8s.io/v1"
TRAEFIK = "/apis/traefik.io/v1alpha1"
ENDPOINTS = [
    {"name": "web", "port": 8080, "httpPath": "/web", "rewritePath": "/"},
    {"name": "db", "port": 5432},
    {"name": "shop", "port": 5433, "hostname": "shop.example.org"},
    {"name": "metrics", "port": 9090, "isMetricsEndpoint": True},
]
EDGE_GATEWAY: Obj = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "shared", "namespace": "edge"},
    "spec": {
        "gatewayClassName": "any",
        "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
        "allowedListeners": {"namespaces": {"from": "All"}},
    },
}


@pytest.fixture(scope="module")
def routed() -> Iterator[Cluster]:
    """A control plane without the Gateway API."""
    with ControlPlane() as cp:
        cp.install_decco_crds()
        cluster = Cluster(cp)
        for name in ("decco", "edge"):
            cp.create("/api/v1/namespaces", {"metadata": {"name": name}})
        for name in ("http", "tcp"):
            cluster.create(tls_secret(name))
        yield cluster


@pytest.fixture(scope="module")
def gateway_api(routed: Cluster) -> Cluster:
    routed.cp.install_gateway_api()
    return routed


@pytest.fixture
def tenant(routed: Cluster, name: str) -> Iterator[str]:
    """A Space with one App, made before the controller runs, and gone after the test with its namespace, which keeps
    its host names.
    """
    wanted = {"httpCertSecretName": "http", "tcpCertAndCaSecretName": "tcp", "hostnames": ["shop.example.org"]}
    routed.create(space(name, **wanted))
    yield name
    routed.delete(f"{APIS}/spaces/{name}")
    eventually(lambda: routed.get(f"/api/v1/namespaces/{name}") is None)


class Running:
    """One controller with settings of the test's own; a context manager."""

    def __init__(self, cluster: Cluster, folder: Path, **settings: str) -> None:
        self.decco = Decco(cluster.cp, folder, **settings)

    def __enter__(self) -> Decco:
        return self.decco.start()

    def __exit__(self, *_: object) -> None:
        assert self.decco.stop() == 0, self.decco.tail()
        assert_no_defects(self.decco)


def make_app(cluster: Cluster, namespace: str, *endpoints: Obj) -> None:
    eventually(lambda: (cluster.space_condition(namespace, "NetworkReady") or {}).get("status") == "True", 15)
    cluster.create(app(namespace, "app", endpoints=list(endpoints) or ENDPOINTS))
    eventually(lambda: (cluster.app(namespace, "app") or {}).get("status"), 10)


def names(cluster: Cluster, root: str, namespace: str, plural: str) -> list[str]:
    return sorted(item["metadata"]["name"] for item in cluster.items(f"{root}/namespaces/{namespace}/{plural}"))


def reason_of(cluster: Cluster, namespace: str, kind: str = "Space") -> str:
    """RoutesReady as "True", or as its reason; "absent" if it is not there."""
    found = (
        cluster.space_condition(namespace, "RoutesReady")
        if kind == "Space"
        else cluster.app_condition(namespace, "app", "RoutesReady")
    )
    if found is None:
        return "absent"
    return "True" if found["status"] == "True" else str(found["reason"])


def message(cluster: Cluster, namespace: str) -> str:
    return str((cluster.app_condition(namespace, "app", "RoutesReady") or {}).get("message"))


# -- no routes, and none to be had ------------------------------------------------------------------------------------


@full
def test_none_means_services_only(routed: Cluster, tenant: str, tmp_path: Path) -> None:
    with Running(routed, tmp_path, routing__backend="none") as decco:
        make_app(routed, tenant)
        decco.settle(quiet=0.3)
        assert reason_of(routed, tenant) == reason_of(routed, tenant, "App") == "absent"
        status = (routed.app(tenant, "app") or {})["status"]
        assert all("url" not in endpoint for endpoint in status["endpoints"])
        assert names(routed, "/api/v1", tenant, "services") == ["db", "metrics", "shop", "web"]
        assert (routed.space_condition(tenant, "Ready") or {})["status"] == "True", routed.space(tenant)


@full
def test_a_cluster_without_the_gateway_api_says_so_and_runs_the_rest(
    routed: Cluster, tenant: str, tmp_path: Path
) -> None:
    with Running(routed, tmp_path) as decco:
        make_app(routed, tenant)
        decco.settle(quiet=0.3)
        assert reason_of(routed, tenant) == reason_of(routed, tenant, "App") == "GatewayAPIMissing"
        assert routed.deployment(tenant, "app")
        assert "install the Gateway API" in message(routed, tenant)


def test_a_dry_run_reports_all_and_writes_nothing(routed: Cluster, tenant: str, tmp_path: Path) -> None:
    mark = routed.cp.audit_mark()
    with Running(routed, tmp_path, dry_run="true", routing__backend="none") as decco:
        decco.settle(quiet=0.5)
        assert routed.get(f"/api/v1/namespaces/{tenant}") is None
        assert (routed.space(tenant) or {})["status"] == {"observedGeneration": -1}  # the default of the CRD
        lines = [line for line in decco.log.read_text().splitlines() if "dry run: not sent" in line]
        assert any('"namespaces"' in line and tenant in line for line in lines), lines[:3]
    assert [event for event in routed.cp.audit("decco", since=mark) if event.writes] == []


# -- Gateway API ------------------------------------------------------------------------------------------------------


def test_a_gateway_for_each_space(gateway_api: Cluster, tenant: str, tmp_path: Path) -> None:
    cluster, fqdn = gateway_api, f"{tenant}.example.net"
    with Running(cluster, tmp_path, routing__gateway_class_name="my-class") as decco:
        make_app(cluster, tenant)
        gateway = eventually(lambda: cluster.get(f"{GATEWAY}/namespaces/{tenant}/gateways/decco"), 10)
        assert gateway["spec"]["gatewayClassName"] == "my-class"
        listeners = {each["name"]: each for each in gateway["spec"]["listeners"]}
        assert {(each["protocol"], each["hostname"], each["port"]) for each in listeners.values()} == {
            ("HTTP", fqdn, 80),
            ("HTTPS", fqdn, 443),
            ("TLS", f"*.{fqdn}", 443),
            ("TLS", "shop.example.org", 443),
        }
        assert all(each["allowedRoutes"]["namespaces"]["from"] == "Same" for each in listeners.values())
        assert all(each["tls"]["mode"] == "Passthrough" for each in listeners.values() if each["protocol"] == "TLS")
        eventually(lambda: names(cluster, GATEWAY, tenant, "httproutes") == ["decco.probe", "decco.redirect", "web"], 5)
        eventually(lambda: names(cluster, GATEWAY, tenant, "tlsroutes") == ["db", "shop"], 5)
        assert names(cluster, GATEWAY, tenant, "backendtlspolicies") == []

        # The edge answers; every answer counts for the generation that it was given for only.
        assert reason_of(cluster, tenant) == reason_of(cluster, tenant, "App") == "WaitingForEdge"
        accept_listeners(cluster, tenant, "203.0.113.7", "lb.example.net")
        eventually(lambda: reason_of(cluster, tenant) == "True", 5)
        assert (cluster.space(tenant) or {})["status"]["addresses"] == ["203.0.113.7", "lb.example.net"]
        eventually(lambda: (cluster.space_condition(tenant, "Ready") or {})["status"] == "True", 5)
        for plural, route in (("httproutes", "web"), ("tlsroutes", "db"), ("tlsroutes", "shop")):
            assert reason_of(cluster, tenant, "App") == "WaitingForEdge"
            answer_route(cluster, tenant, plural, route)
        eventually(lambda: reason_of(cluster, tenant, "App") == "True", 5)
        refused = condition("ResolvedRefs", "False", "BackendNotFound", message="no such backend")
        answer_route(cluster, tenant, "tlsroutes", "db", condition("Accepted"), refused)
        eventually(lambda: reason_of(cluster, tenant, "App") == "NotAccepted", 5)
        assert "no such backend" in message(cluster, tenant)
        answer_route(cluster, tenant, "tlsroutes", "db")
        eventually(lambda: reason_of(cluster, tenant, "App") == "True", 5)

        moved = [{**ENDPOINTS[0], "httpPath": "/moved"}, *ENDPOINTS[1:]]
        cluster.patch(f"{APIS}/namespaces/{tenant}/apps/app", {"spec": {"endpoints": moved}})
        eventually(
            lambda: reason_of(cluster, tenant, "App") == "WaitingForEdge", 5, "the answer was about the old route"
        )
        answer_route(cluster, tenant, "httproutes", "web", generation=1)
        decco.settle(quiet=0.3)
        assert reason_of(cluster, tenant, "App") == "WaitingForEdge"
        answer_route(cluster, tenant, "httproutes", "web")
        eventually(lambda: reason_of(cluster, tenant, "App") == "True", 5)

        # A change is waited for again; the address goes when the edge loses it.
        cluster.patch(f"{APIS}/spaces/{tenant}", {"spec": {"httpCertSecretName": None}})
        eventually(lambda: reason_of(cluster, tenant) == "WaitingForEdge", 5)
        https = "https" in str((cluster.get(f"{GATEWAY}/namespaces/{tenant}/gateways/decco") or {})["spec"])
        assert not https, "no HTTPS listener without a certificate"
        accept_listeners(cluster, tenant, tls=condition("Accepted", "False", "Conflicted", 2, "taken"))
        eventually(lambda: reason_of(cluster, tenant) == "NotAccepted", 5)
        assert "addresses" not in (cluster.space(tenant) or {})["status"]
        decco.settle(quiet=0.3)


def test_an_edge_that_encrypts(gateway_api: Cluster, tenant: str, tmp_path: Path) -> None:
    cluster = gateway_api
    with Running(cluster, tmp_path):
        cluster.patch(f"{APIS}/spaces/{tenant}", {"spec": {"encryptHttp": True}})
        make_app(cluster, tenant, ENDPOINTS[0])
        policy = eventually(lambda: cluster.get(f"{GATEWAY}/namespaces/{tenant}/backendtlspolicies/web"), 10)["spec"]
        assert policy["validation"]["hostname"] == f"{tenant}.example.net"
        assert policy["validation"]["caCertificateRefs"] == [{"group": "", "kind": "ConfigMap", "name": "decco"}]
        (target,) = policy["targetRefs"]
        service = cluster.service(tenant, "web") or {}
        assert (target["name"], target["sectionName"]) == ("web", service["spec"]["ports"][0]["name"])
        assert cluster.get(f"/api/v1/namespaces/{tenant}/configmaps/decco")
        answer_route(cluster, tenant, "httproutes", "web")
        eventually(lambda: reason_of(cluster, tenant, "App") == "True", 5, "a policy needs no answer")
        answer_policy(cluster, tenant, "web", condition("Accepted", "False", "Invalid", message="no such authority"))
        eventually(lambda: reason_of(cluster, tenant, "App") == "NotAccepted", 5)
        assert "no such authority" in message(cluster, tenant)
        # Without a ca.crt the edge trusts the system's authorities; the policy follows.
        own = tls_secret(tenant)
        del own["data"]["ca.crt"]
        cluster.create(own)
        cluster.patch(f"{APIS}/spaces/{tenant}", {"spec": {"httpCertSecretName": tenant}})

        def trusts_the_system() -> bool:
            found = cluster.get(f"{GATEWAY}/namespaces/{tenant}/backendtlspolicies/web") or {}
            return bool(found["spec"]["validation"].get("wellKnownCACertificates") == "System")

        eventually(trusts_the_system, 5)
        eventually(lambda: cluster.get(f"/api/v1/namespaces/{tenant}/configmaps/decco") is None, 5)
        cluster.patch(f"{APIS}/spaces/{tenant}", {"spec": {"encryptHttp": False}})
        eventually(lambda: names(cluster, GATEWAY, tenant, "backendtlspolicies") == [], 5)


@full
def test_listener_sets_on_a_shared_gateway(gateway_api: Cluster, tenant: str, tmp_path: Path) -> None:
    cluster = gateway_api
    with Running(cluster, tmp_path, routing__parent_gateway="edge/shared") as decco:
        make_app(cluster, tenant)
        eventually(lambda: reason_of(cluster, tenant) == "GatewayNotFound", 5)
        assert names(cluster, GATEWAY, tenant, "gateways") == []
        listener_set = eventually(lambda: cluster.get(f"{GATEWAY}/namespaces/{tenant}/listenersets/decco"), 5)["spec"]
        parent = listener_set["parentRef"]
        assert (parent["kind"], parent["namespace"], parent["name"]) == ("Gateway", "edge", "shared")
        route = eventually(lambda: cluster.get(f"{GATEWAY}/namespaces/{tenant}/httproutes/web"), 5)["spec"]
        assert route["parentRefs"][0]["kind"] == "ListenerSet"
        assert "namespace" not in route["parentRefs"][0]

        cluster.cp.create(f"{GATEWAY}/namespaces/edge/gateways", EDGE_GATEWAY)
        eventually(lambda: reason_of(cluster, tenant) == "WaitingForEdge", 5)
        accept_listeners(cluster, tenant, plural="listenersets")
        eventually(lambda: reason_of(cluster, tenant) == "True", 5)
        assert "addresses" not in (cluster.space(tenant) or {})["status"]
        for addresses in (["203.0.113.9", "2001:db8::9"], ["203.0.113.10"], []):
            accept_listeners(cluster, "edge", *addresses, name="shared")
            eventually(
                lambda wanted=addresses: (cluster.space(tenant) or {})["status"].get("addresses", []) == sorted(wanted),
                5,
            )
        cluster.delete(f"{GATEWAY}/namespaces/edge/gateways/shared")
        eventually(lambda: reason_of(cluster, tenant) == "GatewayNotFound", 5)
        decco.settle(quiet=0.3)


def test_the_edges_addresses_as_its_operator_names_them(gateway_api: Cluster, tenant: str, tmp_path: Path) -> None:
    """The named addresses are used; the addresses of a Gateway are ignored."""
    cluster = gateway_api
    port = {"port": 443, "targetPort": 443}
    service = {"metadata": {"name": "lb"}, "spec": {"type": "LoadBalancer", "ports": [port], "selector": {"a": "b"}}}
    cluster.cp.create("/api/v1/namespaces/edge/services", service)

    def addresses() -> list[str]:
        return list((cluster.space(tenant) or {}).get("status", {}).get("addresses", []))

    try:
        with Running(cluster, tmp_path, edge__service="edge/lb"):
            accept_listeners(cluster, tenant, "10.0.0.1")
            ingress = [{"ip": "198.51.100.1"}, {"hostname": "lb.example.com"}]
            cluster.patch(
                "/api/v1/namespaces/edge/services/lb/status", {"status": {"loadBalancer": {"ingress": ingress}}}
            )
            eventually(lambda: addresses() == ["198.51.100.1", "lb.example.com"], 5)
            cluster.patch("/api/v1/namespaces/edge/services/lb/status", {"status": {"loadBalancer": {"ingress": None}}})
            eventually(lambda: addresses() == [], 5, "not the Gateway's, which is an address inside")
        with Running(cluster, tmp_path, edge__service="edge/lb", edge__addresses="2001:db8::1,192.0.2.1"):
            eventually(lambda: addresses() == ["192.0.2.1", "2001:db8::1"], 10)
    finally:
        cluster.delete("/api/v1/namespaces/edge/services/lb")


# -- Ingress ----------------------------------------------------------------------------------------------------------

DIALECTS = {"haproxy": "haproxy-ingress.github.io/", "nginx": "nginx.ingress.kubernetes.io/", "traefik": "traefik"}


@pytest.fixture(scope="module")
def traefik(routed: Cluster) -> Cluster:
    """Traefik's kinds, as far as an API server needs them."""
    for kind in ("IngressRouteTCP", "Middleware", "ServersTransport", "TLSOption"):
        plural = f"{kind.lower()}s"
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        routed.cp.create(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            {
                "metadata": {"name": f"{plural}.traefik.io"},
                "spec": {
                    "group": "traefik.io",
                    "scope": "Namespaced",
                    "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
                    "versions": [version],
                },
            },
        )
        eventually(lambda plural=plural: routed.get(f"{TRAEFIK}/{plural}") is not None, 10)
    return routed


@pytest.mark.parametrize("dialect", DIALECTS)
def test_ingress(traefik: Cluster, tenant: str, tmp_path: Path, dialect: str) -> None:
    cluster, fqdn = traefik, f"{tenant}.example.net"
    settings = {"routing__backend": "ingress", "routing__ingress_dialect": dialect}
    with Running(cluster, tmp_path, routing__ingress_class_name="the-class", **settings) as decco:
        make_app(cluster, tenant)
        decco.settle(quiet=0.3)
        assert reason_of(cluster, tenant) == reason_of(cluster, tenant, "App") == "True", message(cluster, tenant)
        found = cluster.items(f"{INGRESSES}/namespaces/{tenant}/ingresses")
        assert all(each["spec"]["ingressClassName"] == "the-class" for each in found)
        name = re.compile(r"web\.[0-9a-f]{16}" if dialect == "traefik" else "web")
        web = next(each for each in found if name.fullmatch(each["metadata"]["name"]))
        assert {rule["host"] for rule in web["spec"]["rules"]} == {fqdn}
        assert web["spec"]["tls"] == [{"hosts": [fqdn], "secretName": "http"}]
        assert any(key.startswith(DIALECTS[dialect]) for key in web["metadata"]["annotations"])
        assert _sni_hosts(cluster, tenant, dialect) == sorted([f"db.{fqdn}", "shop.example.org"])
        _assert_paths_lead_somewhere(cluster, tenant, found)
        if dialect == "traefik":
            assert names(cluster, TRAEFIK, tenant, "middlewares")


def _sni_hosts(cluster: Cluster, namespace: str, dialect: str) -> list[str]:
    if dialect == "traefik":
        routes = cluster.items(f"{TRAEFIK}/namespaces/{namespace}/ingressroutetcps")
        holder = [route for route in routes if not route["spec"]["routes"]]
        assert [route["spec"]["tls"] for route in holder] == [{"secretName": "http"}]
        assert all(route["spec"]["tls"]["passthrough"] for route in routes if route not in holder)
        return sorted(rule["match"].split("`")[1] for route in routes for rule in route["spec"]["routes"])
    found = cluster.items(f"{INGRESSES}/namespaces/{namespace}/ingresses")
    through = [
        each
        for each in found
        if any(key.endswith("ssl-passthrough") and value == "true" for key, value in _annotations(each).items())
    ]
    return sorted(rule["host"] for each in through for rule in each["spec"]["rules"])


def _annotations(obj: Obj) -> dict[str, str]:
    return dict(obj["metadata"].get("annotations") or {})


def _assert_paths_lead_somewhere(cluster: Cluster, namespace: str, ingresses: list[Obj]) -> None:
    """Each backend is a Service of the namespace with that port."""
    for rule in (rule for each in ingresses for rule in each["spec"]["rules"]):
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            service = cluster.service(namespace, backend["name"])
            assert service is not None, backend
            ports: list[Any] = [service["spec"]["ports"][0]["port"], service["spec"]["ports"][0]["name"]]
            assert backend["port"].get("number", backend["port"].get("name")) in ports


@full
def test_a_canary_of_ingress_nginx(traefik: Cluster, tenant: str, tmp_path: Path) -> None:
    """An Ingress of its own beside that of the primary, as long as a pod is ready; each change is one write."""
    cluster, at = traefik, f"{INGRESSES}/namespaces/{tenant}/ingresses/main.canary"
    patch = f"{APIS}/namespaces/{tenant}/apps"

    def weight() -> str | None:
        found = cluster.get(at)
        return _annotations(found)["nginx.ingress.kubernetes.io/canary-weight"] if found else None

    def reason(name: str) -> str:
        found = cluster.app_condition(tenant, name, "RoutesReady") or {}
        return str(found.get("reason"))

    def shares(name: str, **more: Any) -> Obj:
        paths = [{"path": "/shop", "rewritePath": "/v1"}, {"path": "/cart"}]
        if more:
            paths = [{"path": each["path"]} for each in paths]
        return app(tenant, name, endpoints=[{"name": name, "port": 8080, "httpPaths": paths}], **more)

    with Running(cluster, tmp_path, routing__backend="ingress", routing__ingress_dialect="nginx") as decco:
        eventually(lambda: (cluster.space_condition(tenant, "NetworkReady") or {}).get("status") == "True", 15)
        cluster.create(shares("main"))
        cluster.create(shares("next", canaryOf="main", weight=5))
        run_pods(cluster, tenant, "main")
        eventually(lambda: reason("next") == "CanaryWaiting", 10)
        assert weight() is None
        run_pods(cluster, tenant, "next")
        eventually(lambda: weight() == "5", 15)
        eventually(lambda: reason("next") == "Reconciled", 10)
        found = cluster.items(f"{INGRESSES}/namespaces/{tenant}/ingresses")
        _assert_paths_lead_somewhere(cluster, tenant, found)
        assert len(found) == 3, "two paths of the primary, and the share of both"
        decco.settle()
        mark = cluster.cp.audit_mark()
        cluster.patch(f"{patch}/next", {"spec": {"weight": 20}})
        eventually(lambda: weight() == "20", 10)
        decco.settle()
        written = cluster.cp.audit("decco", since=mark, writes=True)
        assert [f"{each.verb} {each.name}" for each in written if each.resource == "ingresses"] == [
            "update main.canary"
        ]
        # A second one has no place beside it.
        cluster.create(shares("third", canaryOf="main", weight=5))
        run_pods(cluster, tenant, "third")
        eventually(lambda: reason("third") == "CanaryRefused", 15)
        assert "App next is older" in (cluster.app_condition(tenant, "third", "RoutesReady") or {})["message"]
        cluster.patch(f"{patch}/next", {"spec": {"weight": 0}})
        eventually(lambda: weight() == "5" and reason("third") == "Reconciled", 15, "the other canary's share")
        cluster.delete(f"{patch}/third")
        eventually(lambda: cluster.get(at) is None, 10)
        cluster.patch(f"{patch}/next", {"spec": {"weight": 50}})
        eventually(lambda: weight() == "50", 10)
        cluster.patch(f"/apis/apps/v1/namespaces/{tenant}/deployments/next", {"spec": {"replicas": 0}})
        eventually(lambda: cluster.get(at) is None, 15)
        decco.settle()


@full
def test_one_dialect_after_the_other_leaves_nothing_behind(traefik: Cluster, tenant: str, tmp_path: Path) -> None:
    cluster = traefik
    for dialect, prefix in (("traefik", "traefik"), ("haproxy", "haproxy"), ("nginx", "nginx")):
        with Running(cluster, tmp_path, routing__backend="ingress", routing__ingress_dialect=dialect) as decco:
            if dialect == "traefik":
                make_app(cluster, tenant)
            decco.settle(quiet=0.3)
            eventually(lambda: len(cluster.items(f"{INGRESSES}/namespaces/{tenant}/ingresses")) >= 1, 10)
            for each in cluster.items(f"{INGRESSES}/namespaces/{tenant}/ingresses"):
                own = {key.partition("/")[0] for key in _annotations(each)} - {"decco.platform9.com"}
                assert all(prefix in key for key in own), (dialect, own)
    eventually(lambda: names(cluster, TRAEFIK, tenant, "ingressroutetcps") == [], 10)
    assert names(cluster, TRAEFIK, tenant, "middlewares") == []
    with Running(cluster, tmp_path, routing__backend="none") as decco:
        decco.settle(quiet=0.3)
        eventually(lambda: names(cluster, INGRESSES, tenant, "ingresses") == [], 10)
        assert reason_of(cluster, tenant, "App") == "absent"
