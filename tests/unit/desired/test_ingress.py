from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import replace
from typing import Any

import pytest

from decco.api.types import AppSpec, Endpoint
from decco.desired import names
from decco.desired.app import app_children
from decco.desired.model import AppInputs, Problem, SecretState, SpaceInputs
from decco.desired.routing import space_routing, space_routing_problems
from decco.desired.routing.dialects import dialects
from decco.desired.routing.dialects.traefik import (
    INGRESS_ROUTE_TCPS,
    MIDDLEWARES,
    SERVERS_TRANSPORTS,
    TLS_OPTIONS,
)
from decco.desired.shares import Canary, HttpEndpoint
from decco.objects import Obj, Resource
from decco.settings.fields import SETTINGS
from tests.unit.desired import app_cases
from tests.unit.desired.app_cases import (
    FQDN,
    POD,
    addresses,
    app,
    objs,
    reasons_of,
    secret,
    space_inputs,
    without,
)
from tests.unit.goldens import check_golden

ENDPOINTS = [
    {"name": "shop", "port": 8080, "httpPath": "/shop", "rewritePath": "/v1.2"},
    {"name": "root", "port": 8081, "httpPath": "/"},
    {"name": "db", "port": 8082, "verifyTcpClientCert": True, "hostname": "db.example.com"},
    {"name": "metrics", "port": 9090, "isMetricsEndpoint": True},
]
ALL = list(dialects())


def by_address(inputs: AppInputs) -> dict[tuple[str, str], Obj]:
    """As that of the cases; names of Ingresses without their digest."""
    made = app_cases.by_address(inputs)
    return {(kind, re.sub(r"\.[0-9a-f]{16}$", "", name)): obj for (kind, name), obj in made.items()}


def ingress(dialect: str, endpoints: list[dict[str, Any]] | None = None, **more: Any) -> AppInputs:
    routing = {"backend": "ingress", "ingressDialect": dialect, "ingressClassName": "edge", **more.pop("routing", {})}
    space = {"hostnames": ["db.example.com"], **more.pop("space", {})}
    return app({"endpoints": ENDPOINTS if endpoints is None else endpoints}, routing=routing, space=space, **more)


def routes(inputs: AppInputs) -> list[Obj]:
    core = ("NetworkPolicy", "ConfigMap", "Service", "Deployment")
    return [obj for obj in objs(app_children(inputs)) if obj["kind"] not in core]


def annotations(obj: Obj) -> dict[str, str]:
    return {key: value for key, value in obj["metadata"].get("annotations", {}).items() if value is not None}


def paths(obj: Obj) -> list[tuple[str, str]]:
    return [(path["path"], path["pathType"]) for rule in obj["spec"]["rules"] for path in rule["http"]["paths"]]


def test_the_settings_offer_every_dialect() -> None:
    assert SETTINGS["routing.ingressDialect"].type.choices == tuple(ALL)


@pytest.mark.parametrize("dialect", ALL)
@pytest.mark.parametrize("encrypt", [False, True], ids=["plain", "encrypted"])
def test_goldens(dialect: str, encrypt: bool) -> None:
    inputs = ingress(dialect, space={"encryptHttp": encrypt})
    made = [*routes(inputs), *(obj for obj in objs(app_children(inputs)) if obj["kind"] == "Service")]
    check_golden(f"routing/ingress-{dialect}{'-encrypted' if encrypt else ''}", made)


# -- all dialects -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ALL)
def test_http_is_at_the_fqdn_under_its_certificate(dialect: str) -> None:
    made = by_address(ingress(dialect))["Ingress", "shop"]
    assert made["spec"]["tls"] == [{"hosts": [FQDN], "secretName": "http"}]
    assert [rule["host"] for rule in made["spec"]["rules"]] == [FQDN]
    assert made["spec"]["ingressClassName"] == "edge"
    without = by_address(ingress(dialect, routing={"ingressClassName": None}))["Ingress", "shop"]
    assert "ingressClassName" not in without["spec"]
    plain = by_address(ingress(dialect, space={"httpCertSecretName": None}))["Ingress", "shop"]
    assert "tls" not in plain["spec"]


@pytest.mark.parametrize("dialect", ALL)
def test_tls_is_handed_on_as_it_is(dialect: str) -> None:
    made = by_address(ingress(dialect))
    if dialect == "traefik":
        spec = made["IngressRouteTCP", "db"]["spec"]
        assert spec["routes"][0]["match"] == "HostSNI(`db.example.com`)"
        assert spec["tls"] == {"passthrough": True}
        return
    tcp = made["Ingress", "db"]
    assert [rule["host"] for rule in tcp["spec"]["rules"]] == ["db.example.com"]
    assert paths(tcp) == [("/", "Prefix")]
    assert "tls" not in tcp["spec"]
    assert [value for key, value in annotations(tcp).items() if key.endswith("/ssl-passthrough")] == ["true"]


@pytest.mark.parametrize("before", ALL)
@pytest.mark.parametrize("after", ALL)
def test_what_another_dialect_or_spec_wrote_is_taken_back(before: str, after: str) -> None:
    """The apply layer keeps annotations that are not in its list; so the list has all that decco may have written."""
    old = by_address(ingress(before, space={"encryptHttp": True}))
    new = by_address(ingress(after, [{**ENDPOINTS[0], "rewritePath": None}]))
    for address in (("Ingress", "shop"), ("Service", "shop")):
        left = annotations(old[address]).keys() - new[address]["metadata"]["annotations"].keys()
        assert left == set()


@pytest.mark.parametrize("dialect", ALL)
def test_dialects_name_all_that_they_write(dialect: str) -> None:
    own = dialects()[dialect]
    on_ingress, on_service = (
        own.named(dict.fromkeys(names)).keys()
        for names in ((*own.ingress_annotations, *own.optional), own.service_annotations)
    )
    shares = (Canary("next", 5, (HttpEndpoint("next", "/shop", 80),), serving=True),)
    for encrypt in (False, True):
        inputs = replace(ingress(dialect, space={"encryptHttp": encrypt}), canaries=shares)
        for obj in objs(app_children(inputs)):
            if obj["kind"] == "Ingress":
                assert annotations(obj).keys() <= on_ingress
            if obj["kind"] == "Service":
                assert annotations(obj).keys() <= on_service


@pytest.mark.parametrize("dialect", ALL)
def test_pods_that_speak_tls_are_verified_by_name(dialect: str) -> None:
    made = by_address(ingress(dialect, space={"encryptHttp": True}))
    wanted = {
        "haproxy": {"backend-protocol": "h1-ssl", "secure-sni": FQDN, "secure-verify-ca-secret": "http"},
        "nginx": {
            "backend-protocol": "HTTPS",
            "proxy-ssl-name": FQDN,
            "proxy-ssl-server-name": "on",
            "proxy-ssl-verify": "on",
            "proxy-ssl-secret": f"beta/decco-ca-{names.edge_digest('uid-beta')}",
        },
        "traefik": {},
    }[dialect]
    got = {key.partition("/")[2]: value for key, value in annotations(made["Ingress", "shop"]).items()}
    assert wanted.items() <= got.items()
    if dialect == "traefik":
        transports = [obj["spec"] for (kind, _), obj in made.items() if kind == "ServersTransport"]
        assert transports == [{"serverName": FQDN, "rootCAs": [{"secret": "http"}]}] * 2
        assert annotations(made["Service", "shop"])["traefik.ingress.kubernetes.io/service.serversscheme"] == "https"


NO_CA = {"http": secret("http", has_ca=False), "tcp": secret("tcp")}


@pytest.mark.parametrize("dialect", ALL)
def test_without_ca_crt(dialect: str) -> None:
    """Traefik can use the system's authorities; the others would not verify at all, and so there is no route."""
    inputs = ingress(dialect, ENDPOINTS[:1], space={"encryptHttp": True}, secrets=NO_CA)
    if dialect == "traefik":
        specs = [obj["spec"] for (kind, _), obj in by_address(inputs).items() if kind == "ServersTransport"]
        assert specs == [{"serverName": FQDN}]
        return
    assert routes(inputs) == []
    assert reasons_of(inputs) == [("RoutesReady", "RouteNotSupported")]


@pytest.mark.parametrize("dialect", ALL)
def test_a_lost_secret_leaves_the_routes_alone(dialect: str) -> None:
    space = {"encryptHttp": True}
    for view in (secret("http", SecretState.MISSING), secret("http", problem=Problem("SecretInvalid", "half a key"))):
        lost = ingress(dialect, space=space, secrets={"http": view})
        assert routes(lost) == routes(ingress(dialect, space=space))


# -- haproxy ----------------------------------------------------------------------------------------------------------


def test_haproxy_rewrites_a_prefix_as_such() -> None:
    made = by_address(ingress("haproxy"))["Ingress", "shop"]
    assert paths(made) == [("/shop", "Prefix")]
    assert annotations(made)["haproxy-ingress.github.io/rewrite-target"] == "/v1.2"


def test_haproxy_would_read_a_percent_sign_as_a_format() -> None:
    inputs = ingress("haproxy", [{**ENDPOINTS[0], "rewritePath": "/a%20b"}])
    assert routes(inputs) == []
    assert reasons_of(inputs) == [("RoutesReady", "RouteNotSupported")]


# -- nginx ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "path", "target"),
    [
        ({"httpPath": "/a"}, "/a(/|$)", None),
        ({"httpPath": "/"}, "/", None),
        ({"httpPath": "/a.b+c"}, r"/a\.b\+c(/|$)", None),
        ({"httpPath": "/a", "rewritePath": "/b"}, "/a(/.*)?$", "/b$1"),
        ({"httpPath": "/a", "rewritePath": "/"}, "/a(?:/|$)(.*)", "/$1"),
        ({"httpPath": "/", "rewritePath": "/b"}, "/(.*)", "/b/$1"),
    ],
)
def test_nginx_paths_are_escaped_patterns_from_the_start(item: dict[str, Any], path: str, target: str | None) -> None:
    made = by_address(ingress("nginx", [{"name": "e", "port": 1, **item}]))["Ingress", "e"]
    assert paths(made) == [(path, "ImplementationSpecific")]
    found = annotations(made)
    assert found["nginx.ingress.kubernetes.io/use-regex"] == "true"
    assert found.get("nginx.ingress.kubernetes.io/rewrite-target") == target


@pytest.mark.parametrize("item", [{"httpPath": "/a%20b"}, {"httpPath": "/a", "rewritePath": "/a,b"}])
def test_nginx_is_not_asked_for_what_it_would_drop(item: dict[str, Any]) -> None:
    inputs = ingress("nginx", [{"name": "e", "port": 1, **item}])
    assert routes(inputs) == []
    assert reasons_of(inputs) == [("RoutesReady", "RouteNotSupported")]


# -- traefik ----------------------------------------------------------------------------------------------------------


def test_traefik_paths_end_at_a_segment() -> None:
    made = by_address(ingress("traefik"))
    assert paths(made["Ingress", "shop"]) == [("/shop", "Exact"), ("/shop/", "Prefix")]
    assert paths(made["Ingress", "root"]) == [("/", "Prefix")]


@pytest.mark.parametrize(
    ("shallow", "deep"), [("/", "/a"), ("/", "/a/b"), ("/a", "/a/b"), ("/long-one", "/long-one/b")]
)
def test_the_deeper_path_has_the_higher_priority(shallow: str, deep: str) -> None:
    """Traefik itself would count characters, and Path("/a") has fewer of them than PathPrefix("/")."""
    items = [{"name": "s", "port": 1, "httpPath": shallow}, {"name": "d", "port": 2, "httpPath": deep}]
    made = by_address(ingress("traefik", items))

    def priority(name: str) -> int:
        return int(annotations(made["Ingress", name])["traefik.ingress.kubernetes.io/router.priority"])

    assert priority("d") > priority("s")
    assert priority("d.redirect") > priority("s.redirect")


def test_what_others_route_more_precisely_goes_first() -> None:
    """The answer to ACME's HTTP-01 challenge, say, for which cert-manager makes an Ingress without a priority."""
    made = by_address(ingress("traefik", [{"name": "root", "port": 1, "httpPath": "/"}]))
    ours = int(annotations(made["Ingress", "root.redirect"])["traefik.ingress.kubernetes.io/router.priority"])
    assert len("PathPrefix(`/`)") < ours < len(f'Host("{FQDN}") && Path("/.well-known/acme-challenge/token")')


def test_traefik_compares_decoded_paths() -> None:
    inputs = ingress("traefik", [{"name": "e", "port": 1, "httpPath": "/a%20b"}])
    assert routes(inputs) == []
    assert reasons_of(inputs) == [("RoutesReady", "RouteNotSupported")]


def test_traefik_lets_one_side_finish() -> None:
    [route] = by_address(ingress("traefik"))["IngressRouteTCP", "db"]["spec"]["routes"]
    assert route["services"][0]["terminationDelay"] == -1


def space(dialect: str, **more: Any) -> SpaceInputs:
    """The Space of ``ingress(dialect)``."""
    return space_inputs(routing={"backend": "ingress", "ingressDialect": dialect, "ingressClassName": "edge"}, **more)


def test_a_space_has_one_tls_option_that_its_routes_name() -> None:
    option, _ = [child.obj for child in space_routing(space("traefik"))]
    assert option["kind"] == "TLSOption"
    assert option["spec"] == {"minVersion": "VersionTLS12", "sniStrict": True}
    assert option["metadata"]["annotations"] == {"kubernetes.io/ingress.class": "edge"}
    named = {
        value
        for obj in routes(ingress("traefik"))
        for key, value in annotations(obj).items()
        if key.endswith("/router.tls.options")
    }
    assert named == {f"{option['metadata']['namespace']}-{option['metadata']['name']}@kubernetescrd"}


def test_a_space_without_its_fqdn_has_no_tls_option() -> None:
    assert space_routing(space("traefik", lost={FQDN: "older"})) == []


@pytest.mark.parametrize("dialect", ["haproxy", "nginx"])
def test_other_dialects_need_nothing_for_a_space(dialect: str) -> None:
    inputs = space(dialect)
    assert space_routing(inputs) == []
    assert space_routing_problems(inputs) == ()


def test_nginx_has_the_authority_of_a_space_alone_in_a_secret() -> None:
    """It writes the authority into a file named after namespace and Secret, joined by hyphens."""
    inputs = space("nginx", encryptHttp=True)
    [made] = [child.obj for child in space_routing(inputs)]
    facts = inputs.secrets["http"].facts
    assert facts is not None
    assert facts.ca_pem is not None
    assert {name: b64decode(value).decode() for name, value in made["data"].items()} == {"ca.crt": facts.ca_pem}
    named = annotations(by_address(ingress("nginx", space={"encryptHttp": True}))["Ingress", "shop"])
    assert named["nginx.ingress.kubernetes.io/proxy-ssl-secret"] == f"beta/{made['metadata']['name']}"


def test_traefik_loads_the_certificate_of_a_space_under_a_name_of_its_own() -> None:
    """The Secret of an Ingress is kept under <namespace>-<secret>, the one of an IngressRouteTCP under both names."""
    _, holder = [child.obj for child in space_routing(space("traefik"))]
    assert (holder["kind"], holder["spec"]["routes"]) == ("IngressRouteTCP", [])
    assert holder["spec"]["tls"] == {"secretName": "http"}


def test_a_cluster_without_tls_options_is_reported() -> None:
    inputs = space("traefik", served=without(TLS_OPTIONS))
    assert space_routing(inputs) == []
    assert [problem.reason for problem in space_routing_problems(inputs)] == ["IngressKindMissing"]


def test_traefik_rewrites_by_an_escaped_pattern() -> None:
    inputs = ingress("traefik", [{"name": "e", "port": 1, "httpPath": "/a.b", "rewritePath": "/c"}])
    specs = [obj["spec"] for obj in routes(inputs) if obj["kind"] == "Middleware"]
    assert {"replacePathRegex": {"regex": r"^/a\.b(/.*)?$", "replacement": "/c${1}"}} in specs


def test_traefik_redirects_at_the_plain_entry_point_only() -> None:
    made = by_address(ingress("traefik"))
    key = "traefik.ingress.kubernetes.io/router.entrypoints"
    assert annotations(made["Ingress", "shop.redirect"])[key] == "web"
    assert annotations(made["Ingress", "shop"])[key] == "websecure"
    assert "tls" not in made["Ingress", "shop.redirect"]["spec"]


def test_traefik_references_lead_to_objects_that_are_there() -> None:
    inputs = ingress("traefik", space={"encryptHttp": True})
    made = routes(inputs)
    there = {f"{obj['metadata']['namespace']}-{obj['metadata']['name']}@kubernetescrd" for obj in made}
    named = {
        value
        for obj in objs(app_children(inputs))
        for key, value in annotations(obj).items()
        if key.endswith(("/router.middlewares", "/service.serverstransport"))
    }
    assert len(named) == 5
    assert named <= there


@pytest.mark.parametrize(
    ("kind", "endpoint", "encrypt"),
    [
        (MIDDLEWARES, 0, False),
        (TLS_OPTIONS, 0, False),
        (SERVERS_TRANSPORTS, 0, True),
        (INGRESS_ROUTE_TCPS, 2, False),
    ],
)
def test_a_kind_of_traefik_that_is_not_served_is_reported(kind: Resource, endpoint: int, encrypt: bool) -> None:
    inputs = ingress("traefik", [ENDPOINTS[endpoint]], served=without(kind), space={"encryptHttp": encrypt})
    assert routes(inputs) == []
    assert reasons_of(inputs) == [("RoutesReady", "IngressKindMissing")]
    assert addresses(inputs)[-1] == "Deployment/web"


# -- text that admission would never have let in ----------------------------------------------------------------------

EVIL_PATHS = ["/a\nb", '/a"b', "/a`b", "/a;b", "/a{b", "/$(id)", "/a b", "/a\\b", "/a'b"]


@pytest.mark.parametrize("dialect", ALL)
@pytest.mark.parametrize("evil", EVIL_PATHS)
def test_no_controller_sees_a_path_or_name_of_the_wrong_form(dialect: str, evil: str) -> None:
    endpoints = (
        Endpoint.model_construct(name="a", port=1, http_path=evil),
        Endpoint.model_construct(name="b", port=2, http_path="/b", rewrite_path=evil),
        Endpoint.model_construct(name="c", port=3, hostname=f"{evil}.{FQDN}"),
    )
    inputs = app(
        AppSpec.model_construct(pod=POD, endpoints=endpoints),
        routing={"backend": "ingress", "ingressDialect": dialect},
    )
    assert routes(inputs) == []
    assert len(reasons_of(inputs)) == 3
