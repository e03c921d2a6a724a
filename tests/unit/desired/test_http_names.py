"""HTTP at further names and by several paths: who is served where, and what is written for it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from decco.desired.app import app_children
from decco.desired.app_status import AppLive, app_status
from decco.desired.claims import claimed
from decco.desired.closing import closed_route, lost_names, serves
from decco.desired.endpoints import resolve
from decco.desired.http_names import certificate_of, entry_of, server_name, with_former
from decco.desired.http_routes import ResolvedPath
from decco.desired.model import AppInputs, SecretState
from decco.desired.routing import space_routing
from decco.desired.routing.gateway import certificates_of
from decco.desired.secrets import http_use, named_by_space
from decco.desired.space import space_names
from decco.objects import HTTP_ROUTES, INGRESSES, TLS_ROUTES, Obj
from tests.unit.desired.app_cases import (
    FQDN,
    GOOD_SECRETS,
    NOW,
    app,
    by_address,
    reasons_of,
    secret,
    settings,
    space_facts,
    space_inputs,
)
from tests.unit.desired.test_closing import index
from tests.unit.desired.test_closing import space as paused_space
from tests.unit.goldens import check_golden

WWW, WILD = "www.example.com", "*.shop.example.com"
NAMES: dict[str, Any] = {
    "httpHostnames": [
        {"name": WWW, "certSecretName": "www"},
        {"name": WILD, "certSecretName": "shops"},
        {"name": "elsewhere.test", "certSecretName": "www", "createDnsRecord": False},
    ]
}
ALL = (FQDN, WILD, "elsewhere.test", WWW)
SECRETS = GOOD_SECRETS | {name: secret(name) for name in ("www", "shops")}
PATHS = [{"path": "/api/", "rewritePath": "/v1"}, {"path": "/old", "rewritePath": "/v1"}, {"path": "/docs"}]


def served(*endpoints: dict[str, Any], **more: Any) -> AppInputs:
    spec = {"endpoints": [{"name": f"e{n}", "port": 8080 + n, **each} for n, each in enumerate(endpoints)]}
    return app(spec, space={**NAMES, **more.pop("space", {})}, secrets=more.pop("secrets", SECRETS), **more)


def at(inputs: AppInputs, number: int = 0) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names and paths of an endpoint with a route."""
    found = resolve(inputs).endpoints[number]
    return (found.http_names, tuple(path.path for path in found.paths)) if found.routed else ((), ())


def messages(inputs: AppInputs) -> list[tuple[str, str]]:
    return [(problem.reason, problem.message) for problem in resolve(inputs).route_problems]


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "entry", "certificate"),
    [
        (FQDN, FQDN, "http"),
        (WWW, WWW, "www"),
        (WILD, WILD, "shops"),
        ("a.shop.example.com", WILD, "shops"),
        ("a.b.shop.example.com", None, None),
        ("shop.example.com", None, None),
        (f"a.{FQDN}", None, None),
    ],
)
def test_each_name_has_one_certificate(name: str, entry: str | None, certificate: str | None) -> None:
    space = space_facts(**NAMES)
    assert (entry_of(space, name), certificate_of(space, name)) == (entry, certificate)


def test_an_exact_name_is_before_a_wildcard() -> None:
    listed = [{"name": WILD, "certSecretName": "shops"}, {"name": "a.shop.example.com", "certSecretName": "own"}]
    assert certificate_of(space_facts(httpHostnames=listed), "a.shop.example.com") == "own"


def test_what_a_space_claims() -> None:
    assert claimed(space_facts(hostnames=["tcp.example.com"], **NAMES)).claims == {
        f".{FQDN}",
        "tcp.example.com",
        WWW,
        WILD,
        "elsewhere.test",
    }


def test_a_wildcard_is_probed_by_a_name_below_it() -> None:
    assert [server_name(name) for name in (WWW, WILD)] == [WWW, "decco-probe.shop.example.com"]


def test_which_names_have_records() -> None:
    assert space_names(space_inputs(**NAMES)) == (FQDN, WILD, WWW)
    assert space_names(space_inputs(**NAMES, lost={WILD: "elder"})) == (FQDN, WWW)


def test_secrets_of_the_names() -> None:
    space = space_facts(**NAMES)
    assert named_by_space(space.spec) == {"http", "tcp", "www", "shops"}
    uses = {name: http_use(space, name, settings(), None).names for name in ("http", "tcp", "www", "shops")}
    assert uses == {"http": {FQDN}, "tcp": set(), "www": {WWW, "elsewhere.test"}, "shops": {WILD}}


# -- where an endpoint is served --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "names", "reported"),
    [
        ({}, ALL, []),
        ({"httpHostnames": [WWW]}, (WWW,), []),
        ({"httpHostnames": [WWW, FQDN]}, (FQDN, WWW), []),
        ({"httpHostnames": ["a.shop.example.com"]}, ("a.shop.example.com",), []),
        ({"httpHostnames": [WWW, "other.example.com"]}, (WWW,), ["HostnameNotAllowed"]),
        ({"httpHostnames": ["a.b.shop.example.com"]}, (), ["HostnameNotAllowed"]),
        ({"httpHostnames": ["*.example.com"]}, (), ["HostnameNotAllowed"]),
        ({"httpHostnames": [f"a.{FQDN}"]}, (), ["HostnameNotAllowed"]),
    ],
)
def test_the_names_of_an_endpoint(endpoint: dict[str, Any], names: tuple[str, ...], reported: list[str]) -> None:
    inputs = served({"httpPath": "/", **endpoint})
    assert at(inputs)[0] == names
    assert [reason for reason, _ in messages(inputs)] == reported


@pytest.mark.parametrize(
    ("endpoint", "names", "reported"),
    [
        ({}, (FQDN, "elsewhere.test", WWW), []),  # the Space reports it
        ({"httpHostnames": [WWW, WILD]}, (WWW,), ["HostnameConflict"]),
        ({"httpHostnames": ["a.shop.example.com"]}, (), ["HostnameConflict"]),
    ],
)
def test_a_name_of_another_space(endpoint: dict[str, Any], names: tuple[str, ...], reported: list[str]) -> None:
    inputs = served({"httpPath": "/", **endpoint}, lost={WILD: "elder"})
    assert at(inputs)[0] == names
    assert [reason for reason, _ in messages(inputs)] == reported


def test_a_lost_fqdn_leaves_the_further_names() -> None:
    inputs = served({"httpPath": "/"}, lost={FQDN: "elder"})
    assert at(inputs)[0] == ALL[1:]
    assert [reason for reason, _ in messages(inputs)] == ["HostnameConflict"]


@pytest.mark.parametrize(
    ("taken", "names", "paths", "says"),
    [
        ({"path:/api": "elder"}, ALL, ("/old", "/docs"), "the path /api/: App elder"),
        ({f"path:/api@{WWW}": "elder"}, ALL[:3], ("/api/", "/old", "/docs"), f"the path /api/ at {WWW}: App elder"),
        (
            {f"path:/api@{WWW}": "a", f"path:/docs@{WILD}": "b"},
            (FQDN, "elsewhere.test"),
            ("/api/", "/old", "/docs"),
            f"the path /docs at {WILD}: App b",
        ),
        ({"path:/api": "a", "path:/old": "a", "path:/docs": "a"}, (), (), "the path /docs: App a"),
    ],
)
def test_a_path_of_an_older_app(
    taken: dict[str, str], names: tuple[str, ...], paths: tuple[str, ...], says: str
) -> None:
    inputs = served({"httpPaths": PATHS}, taken=taken)
    assert at(inputs) == (names, paths)
    assert {reason for reason, _ in messages(inputs)} == {"PathConflict"}
    assert any(says in message for _, message in messages(inputs))


def test_endpoints_of_one_app_at_different_names() -> None:
    inputs = served(
        {"httpPath": "/", "httpHostnames": [WWW]},
        {"httpPath": "/", "httpHostnames": ["a.shop.example.com"]},
        {"httpPath": "/"},
    )
    assert [at(inputs, number)[0] for number in range(3)] == [
        (WWW,),
        ("a.shop.example.com",),
        (FQDN, WILD, "elsewhere.test"),
    ]
    [(_, message)] = messages(inputs)
    assert message.startswith(f"endpoint e2 gets no route for the path / at {WWW}: another endpoint of this App")


def test_the_first_path_is_probed() -> None:
    inputs = served({"httpPaths": PATHS, "probePath": "/healthz"})
    assert resolve(inputs).endpoints[0].probe_path == "/api/healthz"
    lost = served({"httpPaths": PATHS, "probePath": "/healthz"}, taken={"path:/api": "elder"})
    assert resolve(lost).endpoints[0].probe_path is None


def test_a_listed_certificate_only_counts_for_who_is_served_there() -> None:
    lacking = {**SECRETS, "www": secret("www", SecretState.MISSING)}
    assert reasons_of(served({"httpPath": "/"}, secrets=lacking)) == [("CertificatesReady", "SecretMissing")]
    assert reasons_of(served({"httpPath": "/", "httpHostnames": [FQDN]}, secrets=lacking)) == []
    without_own = {"httpCertSecretName": None}
    assert reasons_of(served({"httpPath": "/", "httpHostnames": [WWW]}, space=without_own)) == []
    assert reasons_of(served({"httpPath": "/"}, space=without_own)) == [("CertificatesReady", "CertificateMissing")]


def test_with_encryption_the_pods_show_the_certificate_of_the_fqdn() -> None:
    inputs = served({"httpPath": "/", "httpHostnames": [WWW]}, space={"encryptHttp": True})
    [endpoint] = resolve(inputs).endpoints
    assert endpoint.tls is not None
    assert endpoint.tls.secret == "http"
    assert by_address(inputs)["BackendTLSPolicy", "e0"]["spec"]["validation"]["hostname"] == FQDN
    lacking = {**SECRETS, "http": secret("http", SecretState.MISSING)}
    assert reasons_of(replace(inputs, secrets=lacking)) == [("CertificatesReady", "SecretMissing")]


def test_the_urls_of_the_status() -> None:
    def endpoint(inputs: AppInputs) -> Obj:
        status = app_status(inputs, app_children(inputs), {}, AppLive(), {}, NOW)
        return dict(status["endpoints"][0])

    found = endpoint(served({"httpPaths": PATHS[:2], "httpHostnames": [WILD, WWW]}))
    assert (found["hostname"], found["url"]) == (WILD, f"https://{WILD}/api/")
    assert found["urls"] == [f"https://{name}{path}" for name in (WILD, WWW) for path in ("/api/", "/old")]
    assert "urls" not in endpoint(served({"httpPath": "/", "httpHostnames": [WWW]}))


# -- the Gateway API --------------------------------------------------------------------------------------------------


def test_the_objects_of_a_space() -> None:
    check_golden(
        "routing/space-http-hostnames", [child.obj for child in space_routing(space_inputs(**NAMES, secrets=SECRETS))]
    )


def test_the_objects_of_an_app() -> None:
    inputs = served(
        {"name": "api", "httpPaths": PATHS},
        {"name": "shop", "httpPath": "/", "httpHostnames": [WILD, "a.shop.example.com"]},
    )
    check_golden(
        "routing/app-http-hostnames", [obj for (kind, _), obj in by_address(inputs).items() if kind == "HTTPRoute"]
    )


def test_a_name_without_certificate_has_the_redirect_only() -> None:
    lacking = {**SECRETS, "shops": secret("shops", SecretState.MISSING)}
    made = {
        child.obj["metadata"]["name"]: child.obj["spec"]
        for child in space_routing(space_inputs(**NAMES, secrets=lacking))
    }
    listeners = {each["name"] for each in made["decco"]["listeners"]}
    assert {"any-http-shop.example.com", "http", "https", "tls", "http-www.example.com"} <= listeners
    assert "any-https-shop.example.com" not in listeners
    assert WILD in made["decco.redirect"]["hostnames"]
    assert WILD not in made["decco.probe"]["hostnames"]


def test_further_names_without_the_fqdn() -> None:
    made = {
        child.obj["metadata"]["name"]: child.obj["spec"]
        for child in space_routing(space_inputs(**NAMES, secrets=SECRETS, lost={FQDN: "elder"}))
    }
    assert made["decco.redirect"]["hostnames"] == list(ALL[1:])
    assert {each["hostname"] for each in made["decco"]["listeners"]} == set(ALL[1:])


def test_the_largest_space_fits_into_one_gateway_and_its_routes() -> None:
    """The limits of the Gateway API: 64 listeners, 16 host names of a route, 32 parents, names of 253 characters."""
    long = ".".join(["l" * 60] * 4)
    http = [{"name": f"{n}{long}", "certSecretName": "www"} for n in range(13)]
    http += [{"name": f"*.{long}", "certSecretName": "www"}, {"name": "any.x", "certSecretName": "www"}]
    hostnames = [f"t{n}{long}" for n in range(31)]
    inputs = space_inputs(hostnames=hostnames, httpHostnames=http, secrets=SECRETS)
    made = {child.obj["metadata"]["name"]: child.obj["spec"] for child in space_routing(inputs)}
    names = [each["name"] for each in made["decco"]["listeners"]]
    assert len(names) == len(set(names)) == 64
    assert max(map(len, names)) <= 253
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", name) for name in names)
    assert len(made["decco.redirect"]["hostnames"]) == len(made["decco.redirect"]["parentRefs"]) == 16
    spec = served({"httpPaths": [{"path": f"/{n}"} for n in range(8)]}, space={"httpHostnames": http})
    route = by_address(spec)["HTTPRoute", "e0"]["spec"]
    assert (len(route["hostnames"]), len(route["parentRefs"]), len(route["rules"])) == (16, 16, 9)
    assert {each["sectionName"] for each in route["parentRefs"]} <= set(names)


def test_an_endpoint_below_a_wildcard_has_its_listener() -> None:
    spec = by_address(served({"httpPath": "/", "httpHostnames": [WILD, "a.shop.example.com"]}))["HTTPRoute", "e0"][
        "spec"
    ]
    assert [each["sectionName"] for each in spec["parentRefs"]] == ["any-https-shop.example.com"]


# -- Ingress ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["haproxy", "nginx", "traefik"])
def test_ingresses(dialect: str) -> None:
    routing = {"backend": "ingress", "ingressDialect": dialect}
    spec = {"name": "api", "httpPaths": PATHS, "httpHostnames": [FQDN, WWW, WILD]}
    made = [
        obj for (kind, _), obj in by_address(served(spec, routing=routing)).items() if kind in ("Ingress", "Middleware")
    ]
    made += [child.obj for child in space_routing(space_inputs(**NAMES, secrets=SECRETS, routing=routing))]
    check_golden(f"routing/ingress-{dialect}-http-hostnames", made)


def test_traefik_prefers_exact_names() -> None:
    routing = {"backend": "ingress", "ingressDialect": "traefik"}
    spec = {"httpPaths": [{"path": "/"}, {"path": "/" + "l" * 1000}]}
    by_kind: dict[bool, list[int]] = {False: [], True: []}
    for (kind, _), obj in by_address(served(spec, routing=routing)).items():
        if kind == "Ingress":
            priority = int(obj["metadata"]["annotations"]["traefik.ingress.kubernetes.io/router.priority"])
            by_kind[all(rule["host"].startswith("*.") for rule in obj["spec"]["rules"])].append(priority)
    assert max(by_kind[True]) < 0 < min(by_kind[False])


# -- names that go ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "claim", "kept", "found"),
    [
        ('"*.shop.test"', "*.shop.test", (), True),
        ('"a.shop.test"', "*.shop.test", (), True),
        ('"a.b.shop.test"', "*.shop.test", (), False),
        ('"shop.test"', "*.shop.test", (), False),
        ('"a.shop.test.net"', "*.shop.test", (), False),
        ('"a.shop.test"', "*.shop.test", ("a.shop.test",), False),
        ('"a.shop.test" "b.shop.test"', "*.shop.test", ("a.shop.test",), True),
        ('"db.a.shop.test" "a.shop.test"', "*.shop.test", (".a.shop.test",), False),
        ('"a.shop.test"', "a.shop.test", ("*.shop.test",), False),
        ('"a.shop.test"', "a.shop.test", ("*.b.test",), True),
    ],
)
def test_what_serves_a_wildcard(text: str, claim: str, kept: tuple[str, ...], *, found: bool) -> None:
    assert serves(text.encode(), [claim], kept) is found


def test_a_route_of_several_names_keeps_those_that_are_left() -> None:
    meta = {"name": "e0", "namespace": "beta", "labels": {"a": "b"}, "resourceVersion": "7"}
    live = {"metadata": meta, "spec": {"parentRefs": [1], "hostnames": [FQDN, WWW, WILD], "rules": [2]}}
    closed = closed_route(HTTP_ROUTES, live, [WILD], [WWW])
    assert closed is not None
    assert closed.obj["spec"] == {**live["spec"], "hostnames": [FQDN, WWW]}
    assert closed.obj["metadata"] == {"name": "e0", "namespace": "beta", "labels": {"a": "b"}}
    rules = [{"host": FQDN}, {"host": WWW}]
    ingress = {"metadata": meta, "spec": {"tls": [{"hosts": [WWW]}, {"hosts": [FQDN]}], "rules": rules}}
    closed = closed_route(INGRESSES, ingress, [WWW], [])
    assert closed is not None
    assert closed.obj["spec"] == {"tls": [{"hosts": [FQDN]}], "rules": [{"host": FQDN}]}
    assert closed_route(HTTP_ROUTES, {"metadata": meta, "spec": {"hostnames": [WWW]}}, [WWW], []) is None
    assert closed_route(TLS_ROUTES, live, [WILD], [WWW]) is None


def test_a_published_wildcard_is_the_spaces() -> None:
    given = paused_space(http_hostnames=({"name": "*.shop.test", "certSecretName": "a"},))
    held = index(given, ".acme.example.net", "*.shop.test")
    names = ["*.shop.test", "a.shop.test", "a.b.shop.test", "shop.test"]
    assert lost_names(held, given, names) == {"a.b.shop.test", "shop.test"}


def test_a_removed_name_is_served_while_it_has_a_record() -> None:
    inputs = space_inputs(**NAMES, secrets=SECRETS)
    [live] = [child.obj for child in space_routing(inputs) if child.resource.kind == "ListenerSet"]
    assert certificates_of(live) == {FQDN: "http", WWW: "www", WILD: "shops", "elsewhere.test": "www"}
    removed = space_facts(httpHostnames=NAMES["httpHostnames"][:1])
    found = with_former(removed, {WILD: "shops"})
    assert certificate_of(found, "a.shop.example.com") == "shops"
    assert space_names(replace(inputs, space=found)) == (FQDN, WWW)
    full = space_facts(httpHostnames=[{"name": f"n{n}.test", "certSecretName": "a"} for n in range(15)])
    assert with_former(full, {WILD: "shops"}) is full
    assert resolve(replace(served({"httpPath": "/"}), space=found)).endpoints[0].paths == (ResolvedPath("/"),)
