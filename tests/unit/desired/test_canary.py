"""Shares of an App's traffic: what is in the route of the App, and what its canaries report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from decco.api.conditions import ConditionType
from decco.api.types import AppProtocol
from decco.desired.app import app_children
from decco.desired.model import AppInputs
from decco.desired.replicas import LiveReplicas
from decco.desired.shares import Canary, HttpEndpoint, Primary, split
from decco.objects import BACKEND_TLS_POLICIES, Obj
from tests.unit.desired.app_cases import addresses, app, by_address, objs, reasons_of, without
from tests.unit.goldens import check_golden

PATH = "/a"


def canary(
    name: str,
    weight: int,
    *,
    serving: bool = True,
    path: str = PATH,
    protocol: AppProtocol | None = None,
    port: int = 80,
) -> Canary:
    return Canary(name, weight, (HttpEndpoint(name, path, port, protocol),), serving)


def primary(*canaries: Canary, more: tuple[HttpEndpoint, ...] = (), **changed: Any) -> AppInputs:
    inputs = app({"httpUrlPath": PATH, **changed})
    return replace(inputs, canaries=canaries)


def weights(inputs: AppInputs) -> dict[str, int | None]:
    """Service -> weight in the rule of the App's route; None: no weight."""
    rule = by_address(inputs)["HTTPRoute", "web"]["spec"]["rules"][0]
    return {backend["name"]: backend.get("weight") for backend in rule["backendRefs"]}


@pytest.mark.parametrize(
    ("canaries", "want"),
    [
        ((), {"web": None}),
        ((canary("next", 5),), {"web": 95, "next": 5}),
        ((canary("next", 0),), {"web": None}),
        ((canary("next", 100),), {"web": 0, "next": 100}),
        ((canary("next", 5, serving=False),), {"web": None}),
        ((canary("next", 5, path="/other"),), {"web": None}),
        ((canary("next", 5, protocol=AppProtocol.HTTP),), {"web": 95, "next": 5}),
        ((canary("next", 5, protocol=AppProtocol.GRPC),), {"web": None}),
        ((canary("one", 30), canary("two", 20)), {"web": 50, "one": 30, "two": 20}),
        ((canary("one", 60), canary("two", 41), canary("three", 40)), {"web": 0, "one": 60, "three": 40}),
        ((canary("one", 60, serving=False), canary("two", 41)), {"web": None}),
    ],
    ids=[
        *("none", "one", "weight 0", "weight 100", "no ready pod", "another path", "same protocol", "other protocol"),
        *("two", "more than a hundred", "a hundred is a hundred while one has no pod"),
    ],
)
def test_the_route_of_the_primary(canaries: tuple[Canary, ...], want: dict[str, int | None]) -> None:
    assert weights(primary(*canaries)) == want


def test_h2c_and_grpc_are_one_protocol_for_the_edge() -> None:
    [share] = split(PATH, AppProtocol.H2C, [canary("next", 5, protocol=AppProtocol.GRPC)])
    assert share.carried


def test_the_answer_to_probes_follows_the_weights() -> None:
    """So that a probe sees whether the edge has the new weights."""

    def answer(inputs: AppInputs) -> Obj:
        return dict(by_address(inputs)["HTTPRoute", "web"]["spec"]["rules"][-1]["filters"][0])

    assert answer(primary(canary("next", 5))) != answer(primary(canary("next", 6)))


# -- the canary -------------------------------------------------------------------------------------------------------

SPEC = {"httpUrlPath": PATH, "canaryOf": "main", "weight": 5}
MAIN = Primary("main", None, (HttpEndpoint("main", PATH, 80),), (canary("web", 5),), frozenset({"main", "web"}))


def reported(main: Primary | None, spec: dict[str, Any] | None = None, **more: Any) -> list[tuple[str, str]]:
    return reasons_of(replace(app({**SPEC, **(spec or {})}, **more), primary=main))


def test_a_canary_has_all_but_a_route() -> None:
    inputs = replace(app(SPEC), primary=MAIN)
    assert addresses(inputs) == ["NetworkPolicy/app-web", "Service/web", "Deployment/web"]
    assert reported(MAIN) == []
    [endpoint] = app_children(inputs).resolved.endpoints
    assert endpoint.routed


def test_a_canary_needs_no_certificate_for_the_fqdn() -> None:
    """Its route is that of the other App, which may be served at further names only."""
    space = {"httpCertSecretName": None}
    assert reported(MAIN, space=space) == []
    assert ("CertificatesReady", "CertificateMissing") in reasons_of(app({"httpUrlPath": PATH}, space=space))


def test_the_edge_verifies_a_canary_by_itself() -> None:
    inputs = replace(app(SPEC, space={"encryptHttp": True}), primary=MAIN)
    assert ("BackendTLSPolicy", "web") in by_address(inputs)
    missing = replace(inputs, served=without(BACKEND_TLS_POLICIES))
    assert reasons_of(missing) == [("RoutesReady", "GatewayAPIMissing")]


@pytest.mark.parametrize(
    ("main", "spec", "want"),
    [
        (None, {}, "PrimaryNotFound"),
        (replace(MAIN, canary_of="other"), {}, "CanaryRefused"),
        (replace(MAIN, endpoints=(HttpEndpoint("main", "/b", 80),)), {}, "CanaryRefused"),
        (replace(MAIN, endpoints=()), {}, "CanaryRefused"),
        (replace(MAIN, endpoints=(HttpEndpoint("main", PATH, 80, AppProtocol.H2C),)), {}, "CanaryRefused"),
        (replace(MAIN, canaries=(canary("elder", 96), canary("web", 5))), {}, "CanaryRefused"),
        (replace(MAIN, canaries=(canary("web", 5, serving=False),)), {}, "CanaryWaiting"),
        (replace(MAIN, carried=frozenset({"main"})), {}, "CanaryWaiting"),
        (replace(MAIN, canaries=()), {}, "CanaryWaiting"),
    ],
    ids=[
        *("no primary", "a canary of a canary", "another path", "no HTTP", "another protocol", "no weight left"),
        *("no ready pod", "not in the route yet", "not known there yet"),
    ],
)
def test_why_a_canary_gets_nothing(main: Primary | None, spec: dict[str, Any], want: str) -> None:
    assert reported(main, spec) == [("RoutesReady", want)]


def test_a_weight_of_0_waits_for_nothing() -> None:
    main = replace(MAIN, canaries=(canary("web", 0, serving=False),), carried=frozenset({"main"}))
    assert reported(main, {"weight": 0}) == []


@pytest.mark.parametrize("spec", [{"suspend": True}, {"replicas": 0}])
def test_a_canary_that_is_to_have_no_pods_waits_for_none(spec: dict[str, Any]) -> None:
    main = replace(MAIN, canaries=(canary("web", 5, serving=False),), carried=frozenset({"main"}))
    assert reported(main) == [("RoutesReady", "CanaryWaiting")]
    assert reported(main, spec) == []


def test_a_canary_that_was_scaled_to_none_waits_for_none() -> None:
    main = replace(MAIN, canaries=(canary("web", 5, serving=False),), carried=frozenset({"main"}))
    inputs = replace(app(SPEC), primary=main, live_replicas=LiveReplicas(0, "1", None))
    assert reasons_of(inputs) == []


def test_two_canaries_of_each_other() -> None:
    """The advice is not to name itself, which is refused."""
    inputs = replace(app(SPEC), primary=replace(MAIN, canary_of="web"))
    [problem] = app_children(inputs).problems[ConditionType.ROUTES_READY]
    assert problem.reason == "CanaryRefused"
    assert "remove canaryOf and weight" in problem.message
    assert "set canaryOf to" not in problem.message


def test_without_its_primary_a_canary_has_no_address() -> None:
    [endpoint] = app_children(app(SPEC)).resolved.endpoints
    assert not endpoint.routed


@pytest.mark.parametrize("dialect", ["haproxy", "traefik"])
def test_most_ingress_controllers_have_no_weights(dialect: str) -> None:
    routing = {"backend": "ingress", "ingressDialect": dialect}
    assert reported(MAIN, routing=routing) == [("RoutesReady", "RouteNotSupported")]
    assert not [kind for kind, _ in by_address(replace(app(SPEC, routing=routing), primary=MAIN)) if kind == "Ingress"]


# -- ingress-nginx ----------------------------------------------------------------------------------------------------

NGINX = {"backend": "ingress", "ingressDialect": "nginx"}
KEY = "nginx.ingress.kubernetes.io"
TWO = [{"name": "web", "port": 8080, "httpPaths": [{"path": PATH, "rewritePath": "/v2"}, {"path": "/b.c/"}]}]


def both(name: str, weight: int = 5) -> Canary:
    """With both paths of TWO."""
    endpoints = tuple(HttpEndpoint(name, path, 443, backend_tls=True) for path in (PATH, "/b.c"))
    return Canary(name, weight, endpoints, serving=True, uid="uid-next")


def nginx(*canaries: Canary, endpoints: list[dict[str, Any]] = TWO, **more: Any) -> AppInputs:
    return replace(app({"endpoints": endpoints}, routing=NGINX, **more), canaries=canaries)


def shared(inputs: AppInputs) -> tuple[str, str] | None:
    """The Service and the weight of the Ingress of a canary."""
    found = by_address(inputs).get(("Ingress", "web.canary"))
    if found is None:
        return None
    annotations = found["metadata"]["annotations"]
    assert annotations[f"{KEY}/canary"] == "true"
    services = [path["backend"]["service"]["name"] for path in found["spec"]["rules"][0]["http"]["paths"]]
    assert len(set(services)) == 1
    return services[0], annotations[f"{KEY}/canary-weight"]


def test_ingress_nginx_shares_an_endpoint_with_one_canary() -> None:
    space = {"encryptHttp": True, "httpHostnames": [{"name": "www.example.org", "certSecretName": "http"}]}
    made = [obj for obj in objs(app_children(nginx(both("next"), space=space))) if obj["kind"] == "Ingress"]
    check_golden("routing/ingress-nginx-canary", made)
    first, second, share = made

    def places(obj: Obj) -> set[tuple[str, str, str]]:
        rules = [(rule["host"], path) for rule in obj["spec"]["rules"] for path in rule["http"]["paths"]]
        return {(host, path["path"], path["pathType"]) for host, path in rules}

    assert places(share) == places(first) | places(second), "ingress-nginx compares the texts"


@pytest.mark.parametrize(
    ("canaries", "want"),
    [
        ((), None),
        ((both("next"),), ("next", "5")),
        ((both("next", 100),), ("next", "100")),
        ((both("next", 0),), None),
        ((replace(both("next"), serving=False),), None),
        ((canary("next", 5),), None),
        ((both("one", 30), both("two", 20)), ("one", "30")),
        ((both("one", 0), both("two", 20)), ("two", "20")),
        ((replace(both("one"), serving=False), both("two")), None),
    ],
    ids=[
        *("none", "one", "weight 100", "weight 0", "no ready pod", "not all paths", "the older of two"),
        *("the younger beside weight 0", "the older waits"),
    ],
)
def test_the_ingress_of_a_canary(canaries: tuple[Canary, ...], want: tuple[str, str] | None) -> None:
    assert shared(nginx(*canaries)) == want


def test_a_path_that_another_app_has_is_still_one_of_the_endpoint() -> None:
    """The canary decides by the same paths, which it knows from the spec of its primary."""
    lost = replace(nginx(canary("next", 5)), taken={"path:/b.c": "older"})
    assert shared(lost) is None
    assert shared(replace(lost, canaries=(both("next"),))) == ("next", "5")


def test_what_an_ingress_cannot_serve_has_no_canary() -> None:
    inputs = nginx(canary("next", 5), endpoints=[{"name": "web", "port": 1, "httpPath": PATH, "rewritePath": "/a,b"}])
    assert shared(inputs) is None


MAIN_OF_TWO = replace(MAIN, endpoints=tuple(HttpEndpoint("main", path, 80) for path in (PATH, "/b.c")))


@pytest.mark.parametrize(
    ("main", "want", "words"),
    [
        (MAIN, None, ""),
        (MAIN_OF_TWO, "CanaryRefused", "it has no /b.c; add that"),
        (replace(MAIN, canaries=(canary("elder", 5), canary("web", 5))), "CanaryRefused", "App elder is older"),
        (replace(MAIN, canaries=(canary("elder", 0), canary("web", 5))), None, ""),
        (replace(MAIN, canaries=(canary("web", 5, serving=False),)), "CanaryWaiting", "a ready pod"),
        (replace(MAIN, carried=frozenset({"main"})), "CanaryWaiting", "its route does not have it"),
    ],
    ids=["good", "not all paths", "another canary", "one with weight 0", "no ready pod", "not there yet"],
)
def test_what_a_canary_reports_with_ingress_nginx(main: Primary, want: str | None, words: str) -> None:
    inputs = replace(app(SPEC, routing=NGINX), primary=main)
    assert reasons_of(inputs) == ([("RoutesReady", want)] if want else [])
    problems = app_children(inputs).problems[ConditionType.ROUTES_READY]
    assert words in " ".join(problem.message for problem in problems)
    assert not [kind for kind, _ in by_address(inputs) if kind == "Ingress"]


def test_without_routes_nothing_is_shared() -> None:
    assert reported(None, routing={"backend": "none"}) == []


def test_other_endpoints_of_a_canary_are_its_own() -> None:
    endpoints = [{"name": "web", "port": 8080, "httpPath": PATH}, {"name": "db", "port": 5432}]
    inputs = replace(app({"canaryOf": "main", "weight": 5, "endpoints": endpoints}), primary=MAIN)
    assert [each for each in addresses(inputs) if "Route" in each] == ["TLSRoute/db"]
