from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from decco.desired.answers import probe_answer, probe_host
from decco.desired.app import app_children
from decco.desired.endpoints import resolve
from decco.desired.model import Claims, SecretState, SpaceInputs
from decco.desired.routing import app_routing, space_routing, space_routing_problems
from decco.objects import BACKEND_TLS_POLICIES, GATEWAYS, HTTP_ROUTES, LISTENER_SETS, TLS_ROUTES, Obj, Resource
from tests.unit.desired.app_cases import (
    FQDN,
    GOOD_SECRETS,
    SERVED,
    addresses,
    app,
    by_address,
    objs,
    reasons_of,
    secret,
    space_inputs,
    without,
)
from tests.unit.goldens import check_golden

OWN_GATEWAY = {"parentGateway": None, "gatewayClassName": "envoy"}


def space_objs(inputs: SpaceInputs) -> list[Obj]:
    return [child.obj for child in space_routing(inputs)]


def listeners(inputs: SpaceInputs) -> list[str]:
    """As "name protocol hostname port"."""
    found = [obj for obj in space_objs(inputs) if obj["kind"] in ("ListenerSet", "Gateway")]
    return [
        f"{item['name']} {item['protocol']} {item['hostname']} {item['port']}"
        for obj in found
        for item in obj["spec"]["listeners"]
    ]


HTTP = f"http HTTP {FQDN} 80"
HTTPS = f"https HTTPS {FQDN} 443"
TLS = f"tls TLS *.{FQDN} 443"


# -- Space ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("golden", "inputs"),
    [
        ("routing/space-listener-set", space_inputs(hostnames=["shop.example.com", "a.example.com"])),
        ("routing/space-gateway", space_inputs(routing=OWN_GATEWAY, encryptHttp=True)),
    ],
)
def test_space_goldens(golden: str, inputs: SpaceInputs) -> None:
    check_golden(golden, space_objs(inputs))


@pytest.mark.parametrize(
    ("more", "want"),
    [
        ({}, [HTTP, HTTPS, TLS]),
        ({"httpCertSecretName": None}, [HTTP, TLS]),
        ({"secrets": {"http": secret("http", SecretState.MISSING)}}, [HTTP, TLS]),
        ({"secrets": {}}, [HTTP, TLS]),
        ({"secrets": {"http": secret("http", SecretState.PENDING)}}, [HTTP, HTTPS, TLS]),
        ({"secrets": {"http": secret("http", SecretState.LOCAL)}}, [HTTP, HTTPS, TLS]),
        ({"secrets": {"http": secret("http", SecretState.DELETED)}}, [HTTP, HTTPS, TLS]),
        ({"lost": {FQDN: "elder"}}, []),
        ({"hostnames": ["x.test"]}, [HTTP, HTTPS, TLS, "tls-x.test TLS x.test 443"]),
        ({"hostnames": ["x.test"], "lost": {FQDN: "elder"}}, ["tls-x.test TLS x.test 443"]),
        ({"hostnames": ["x.test", "y.test"], "lost": {"x.test": "e"}}, [HTTP, HTTPS, TLS, "tls-y.test TLS y.test 443"]),
        (
            {"hostnames": ["b.test", "a.test"]},
            [HTTP, HTTPS, TLS, "tls-a.test TLS a.test 443", "tls-b.test TLS b.test 443"],
        ),
    ],
    ids=[
        "all",
        "no certificate named",
        "no such Secret",
        "not read",
        "being copied",
        "created by others",
        "deleted a moment ago",
        "lost FQDN",
        "a further name",
        "lost FQDN, held name",
        "lost name",
        "sorted names",
    ],
)
def test_listeners(more: dict[str, Any], want: list[str]) -> None:
    assert listeners(space_inputs(**more)) == want


def test_an_fqdn_too_long_for_a_wildcard_has_none() -> None:
    domain = ".".join(["d" * 60, "d" * 60, "d" * 60, "d" * 60])  # 243; "beta." and "*." make 250
    assert len(listeners(space_inputs(domainName=domain))) == 3
    longest = ".".join(["d" * 62, "d" * 62, "d" * 62, "d" * 59])  # 248: the FQDN has 253
    found = listeners(space_inputs(domainName=longest))
    assert [listener.split()[0] for listener in found] == ["http", "https"]


def test_nothing_is_left_of_a_space_that_lost_all_its_names() -> None:
    assert space_objs(space_inputs(lost={FQDN: "elder"})) == []


def test_a_lost_fqdn_takes_the_redirect_with_it() -> None:
    made = space_objs(space_inputs(hostnames=["x.test"], lost={FQDN: "elder"}))
    assert [obj["kind"] for obj in made] == ["ListenerSet"]


def test_listeners_let_in_routes_of_the_own_namespace_only() -> None:
    for routing in ({}, OWN_GATEWAY):
        made = space_objs(space_inputs(routing=routing, hostnames=["x.test"]))[0]
        allowed = [listener["allowedRoutes"] for listener in made["spec"]["listeners"]]
        assert allowed == [{"namespaces": {"from": "Same"}}] * 4


def test_a_name_that_the_space_has_stopped_to_claim_meanwhile_gets_no_listener_and_no_route() -> None:
    """The index knows the next spec already: the name may be another Space's by now."""
    newer = Claims(frozenset({FQDN}))
    space = space_inputs(hostnames=["x.test"])
    assert listeners(replace(space, claims=newer)) == [HTTP, HTTPS, TLS]
    web = app({"endpoints": [{"name": "db", "port": 1, "hostname": "x.test"}]}, space={"hostnames": ["x.test"]})
    desired = app_children(replace(web, claims=newer))
    assert not [child for child in desired.children if child.resource == TLS_ROUTES]
    assert ("RoutesReady", "HostnameConflict") in reasons_of(replace(web, claims=newer))


def test_names_of_listeners_are_distinct_and_short_enough() -> None:
    long = ".".join(["a" * 60] * 4)
    names = [line.split()[0] for line in listeners(space_inputs(hostnames=["http", "https", "tls", long, f"b{long}"]))]
    assert len(set(names)) == len(names) == 8
    assert max(map(len, names)) <= 253


@pytest.mark.parametrize(
    ("served", "routing", "missing"),
    [
        (without(LISTENER_SETS), {}, ["ListenerSet"]),
        (without(GATEWAYS), OWN_GATEWAY, ["Gateway"]),
        (without(GATEWAYS), {}, []),
        (without(LISTENER_SETS), OWN_GATEWAY, []),
        (without(HTTP_ROUTES), {}, ["HTTPRoute"]),
    ],
)
def test_a_kind_that_is_not_served_is_reported(served: Any, routing: dict[str, Any], missing: list[str]) -> None:
    inputs = space_inputs(served=served, routing=routing)
    problems = space_routing_problems(inputs)
    assert [(problem.reason, problem.message.split()[5]) for problem in problems] == [
        ("GatewayAPIMissing", kind) for kind in missing
    ]
    kinds = {obj["kind"] for obj in space_objs(inputs)}
    assert not kinds & set(missing)


@pytest.mark.parametrize("backend", ["ingress", "none"])
def test_other_backends_need_nothing_of_the_space(backend: str) -> None:
    inputs = space_inputs(routing={"backend": backend}, encryptHttp=True)
    assert space_objs(inputs) == []
    assert space_routing_problems(replace(inputs, served=without(GATEWAYS))) == ()


@pytest.mark.parametrize(
    ("more", "there"),
    [
        ({"encryptHttp": True}, True),
        ({"encryptHttp": True, "secrets": {"http": secret("http", SecretState.DELETED)}}, True),
        ({"encryptHttp": False}, False),
        ({"encryptHttp": True, "secrets": {"http": secret("http", has_ca=False)}}, False),
        ({"encryptHttp": True, "secrets": {"http": secret("http", SecretState.MISSING)}}, False),
        ({"encryptHttp": True, "httpCertSecretName": None}, False),
    ],
)
def test_the_authority_of_the_pods_is_a_config_map(more: dict[str, Any], there: bool) -> None:
    maps = [obj["data"] for obj in space_objs(space_inputs(**more)) if obj["kind"] == "ConfigMap"]
    facts = GOOD_SECRETS["http"].facts
    assert facts is not None
    assert maps == ([{"ca.crt": facts.ca_pem}] if there else [])


# -- App --------------------------------------------------------------------------------------------------------------


def route(spec: dict[str, Any], kind: str, **more: Any) -> Obj:
    endpoint = {"name": "e", "port": 8080, **spec}
    return by_address(app({"endpoints": [endpoint]}, **more))[kind, "e"]


@pytest.mark.parametrize(
    ("item", "rule"),
    [
        ({"httpPath": "/a"}, ("/a", None)),
        ({"httpPath": "/a/"}, ("/a", None)),
        ({"httpPath": "/"}, ("/", None)),
        ({"httpPath": "/a", "rewritePath": "/"}, ("/a", "/")),
        ({"httpPath": "/a", "rewritePath": "/b/"}, ("/a", "/b")),
    ],
)
def test_http_routes(item: dict[str, Any], rule: tuple[str, str | None]) -> None:
    spec = route(item, "HTTPRoute")["spec"]
    prefix, rewrite = rule
    want: Obj = {
        "matches": [{"path": {"type": "PathPrefix", "value": prefix}}],
        "backendRefs": [{"group": "", "kind": "Service", "name": "e", "port": 80}],
    }
    if rewrite is not None:
        replaced = {"type": "ReplacePrefixMatch", "replacePrefixMatch": rewrite}
        want["filters"] = [{"type": "URLRewrite", "urlRewrite": {"path": replaced}}]
    rule, probe = spec["rules"]
    assert rule == want
    assert probe["matches"] == [{"path": {"type": "Exact", "value": "/.well-known/decco-probe/e"}}]
    assert probe_answer({"spec": spec}) == ("/.well-known/decco-probe/e", probe_host([want]))
    assert spec["hostnames"] == [FQDN]
    assert spec["parentRefs"][0]["sectionName"] == "https"


@pytest.mark.parametrize(
    ("item", "hostname", "section", "port"),
    [
        ({}, f"e.{FQDN}", "tls", 443),
        ({"hostname": f"a.b.{FQDN}"}, f"a.b.{FQDN}", "tls", 443),
        ({"hostname": "x.test"}, "x.test", "tls-x.test", 443),
        ({"tlsListenPort": 8443}, f"e.{FQDN}", "tls", 8443),
        ({"disableTlsTermination": True}, f"e.{FQDN}", "tls", 443),
    ],
)
def test_tls_routes(item: dict[str, Any], hostname: str, section: str, port: int) -> None:
    space = {"hostnames": ["x.test"]}
    spec = route(item, "TLSRoute", space=space)["spec"]
    assert spec["hostnames"] == [hostname]
    assert spec["parentRefs"] == [
        {"group": "gateway.networking.k8s.io", "kind": "ListenerSet", "name": "decco", "sectionName": section}
    ]
    assert spec["rules"][0]["backendRefs"][0]["port"] == port
    # The listener that the route names is there.
    assert section in {line.split()[0] for line in listeners(space_inputs(**space))}


@pytest.mark.parametrize(("routing", "kind"), [({}, "ListenerSet"), (OWN_GATEWAY, "Gateway")])
def test_routes_attach_to_what_the_space_has(routing: dict[str, Any], kind: str) -> None:
    for item, route_kind in (({}, "TLSRoute"), ({"httpPath": "/a"}, "HTTPRoute")):
        parent = route(item, route_kind, routing=routing)["spec"]["parentRefs"][0]
        assert (parent["kind"], parent["name"]) == (kind, "decco")
    made = space_objs(space_inputs(routing=routing))
    assert (made[0]["kind"], made[0]["metadata"]["name"]) == (kind, "decco")
    assert made[1]["spec"]["parentRefs"][0]["kind"] == kind


@pytest.mark.parametrize(
    ("view", "trust"),
    [
        (secret("http"), {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "decco"}]}),
        (secret("http", has_ca=False), {"wellKnownCACertificates": "System"}),
        (
            secret("http", SecretState.MISSING),
            {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "decco"}]},
        ),
    ],
    ids=["ca.crt", "no ca.crt: the system's", "unknown: never wider"],
)
def test_the_edge_verifies_the_pods(view: Any, trust: Obj) -> None:
    spec = route({"httpPath": "/a"}, "BackendTLSPolicy", space={"encryptHttp": True}, secrets={"http": view})["spec"]
    assert spec["validation"] == {"hostname": FQDN, **trust}
    assert spec["targetRefs"] == [{"group": "", "kind": "Service", "name": "e", "sectionName": "https"}]


def test_no_route_leads_plain_text_to_a_pod_that_speaks_tls() -> None:
    inputs = app({"httpUrlPath": "/a"}, space={"encryptHttp": True}, served=without(BACKEND_TLS_POLICIES))
    assert not [address for address in addresses(inputs) if address.startswith("HTTPRoute")]
    assert reasons_of(inputs) == [("RoutesReady", "GatewayAPIMissing")]


@pytest.mark.parametrize(
    ("spec", "kind"), [({"httpUrlPath": "/a"}, HTTP_ROUTES), ({}, TLS_ROUTES)], ids=["HTTPRoute", "TLSRoute"]
)
def test_a_route_of_a_kind_that_is_not_served_is_reported_once(spec: dict[str, Any], kind: Resource) -> None:
    inputs = app(spec, served=without(kind))
    assert reasons_of(inputs) == [("RoutesReady", "GatewayAPIMissing")]
    assert app_routing(inputs, resolve(inputs))[0] == []
    # All the rest is there.
    assert addresses(inputs)[-1] == "Deployment/web"

    two = [{"name": "a", "port": 1, "httpPath": "/a"}, {"name": "b", "port": 2, "httpPath": "/b"}]
    twice = app({"endpoints": two}, served=without(HTTP_ROUTES))
    assert len(app_routing(twice, resolve(twice))[1]) == 1


def test_metrics_have_no_route() -> None:
    inputs = app({"endpoints": [{"name": "m", "port": 9090, "isMetricsEndpoint": True}]})
    assert objs(app_children(inputs))[-1]["kind"] == "Deployment"


def test_versions_are_what_the_cluster_serves() -> None:
    old = {**SERVED, TLS_ROUTES: replace(TLS_ROUTES, version="v1alpha2")}
    assert route({}, "TLSRoute", served=old)["apiVersion"] == "gateway.networking.k8s.io/v1alpha2"
