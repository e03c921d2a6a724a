"""Limits of a Space: the policies of Envoy Gateway, the annotations of Ingress dialects, and what is said elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from decco.api.limits import RateUnit
from decco.desired import limits as names_of
from decco.desired.app import app_children
from decco.desired.model import AppInputs, SpaceInputs
from decco.desired.routing import space_routing, space_routing_problems
from decco.desired.routing.dialects import dialects
from decco.desired.routing.envoy_gateway import POLICIES, targeted_gateways
from decco.desired.timeouts import shortest
from decco.kube.diff import rebuild, to_wire
from decco.objects import BACKEND_TRAFFIC_POLICIES, INGRESSES, SECURITY_POLICIES, Obj, Resource
from decco.reconcilers.kinds import KINDS
from tests.unit.desired.app_cases import SERVED, app, by_address, reasons_of, space_inputs, without
from tests.unit.goldens import check_golden

ENVOY = "gateway.envoyproxy.io/gatewayclass-controller"
CIDRS = ["2001:db8::/32", "192.0.2.0/24"]
ALL: Obj = {
    "clientCidrs": CIDRS,
    "requestBody": "10Mi",
    "requestRate": {"requests": 50, "unit": "Minute"},
    "connections": 500,
    "timeouts": {"request": "30s", "idle": "1m"},
}
WITHOUT_CIDRS = {name: value for name, value in ALL.items() if name != "clientCidrs"}
OWN_GATEWAY = {"parentGateway": None, "gatewayClassName": "envoy"}


def space(limits: Obj | None = ALL, **more: Any) -> SpaceInputs:
    return space_inputs(limits=limits, **more)


def endpoint(limits: Obj | None = None, dialect: str = "", **declared: Any) -> AppInputs:
    one = {"name": "one", "port": 8080, "httpPath": "/a", **declared}
    given = {key: value for key, value in one.items() if value is not None}
    routing = {"backend": "ingress", "ingressDialect": dialect} if dialect else {}
    return app({"endpoints": [given]}, space={"limits": limits}, routing=routing)


def policies(inputs: SpaceInputs) -> list[Obj]:
    return [child.obj for child in space_routing(inputs) if child.resource in POLICIES]


def kinds(inputs: SpaceInputs) -> list[str]:
    return [child.obj["kind"] for child in space_routing(inputs)]


# -- Envoy Gateway ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("golden", "inputs"),
    [
        ("routing/space-limits", space(httpHostnames=[{"name": "*.shop.example", "certSecretName": "own"}])),
        ("routing/space-limits-own-gateway", space(routing=OWN_GATEWAY)),
    ],
)
def test_goldens(golden: str, inputs: SpaceInputs) -> None:
    check_golden(golden, policies(inputs))


def test_the_policies_come_before_the_listeners() -> None:
    assert kinds(space())[:4] == ["SecurityPolicy", "BackendTrafficPolicy", "ClientTrafficPolicy", "ListenerSet"]


def test_a_space_without_limits_has_no_policy() -> None:
    assert policies(space(None)) == policies(space({})) == []
    assert space_routing_problems(space(None)) == ()


def test_another_gateway_serves_a_space_without_its_limits_and_says_so() -> None:
    inputs = replace(space(WITHOUT_CIDRS), gateway_controller="example.net/other")
    assert policies(inputs) == []
    assert "ListenerSet" in kinds(inputs)
    said = [problem.message for problem in space_routing_problems(inputs)]
    assert len(said) == 4
    for message, name in zip(said, ("requestBody", "requestRate", "connections", "timeouts.idle"), strict=True):
        assert f"without limits.{name}: the gateway controller example.net/other" in message


@pytest.mark.parametrize("served", [SERVED, without(SECURITY_POLICIES)])
def test_nobody_is_served_where_the_clients_cannot_be_limited(served: Any) -> None:
    controller = ENVOY if served is not SERVED else "example.net/other"
    inputs = replace(space({"clientCidrs": CIDRS}, served=served), gateway_controller=controller)
    assert not {"ListenerSet", "HTTPRoute"} & set(kinds(inputs))
    [problem] = space_routing_problems(inputs)
    assert problem.message.startswith("nothing is served to anybody, because limits.clientCidrs does not hold")


@pytest.mark.parametrize("controller", [None, ENVOY, "gateway.envoyproxy.io/internal"])
def test_what_may_be_envoy_gateway_counts_as_it(controller: str | None) -> None:
    inputs = replace(space(), gateway_controller=controller)
    assert len(policies(inputs)) == 3
    assert space_routing_problems(inputs) == ()


@pytest.mark.parametrize("kind", POLICIES)
def test_a_policy_of_the_gateway_is_not_replaced(kind: Resource) -> None:
    inputs = replace(space(), edge_policies={kind: "edge/platform"})
    closed = kind == SECURITY_POLICIES
    assert {obj["kind"] for obj in policies(inputs)} == (
        set() if closed else {each.kind for each in POLICIES} - {kind.kind}
    )
    assert ("ListenerSet" in kinds(inputs)) is not closed
    said = [problem.message for problem in space_routing_problems(inputs)]
    assert len(said) == (3 if kind == BACKEND_TRAFFIC_POLICIES else 1)
    assert all(f"it would replace {kind.kind} edge/platform of the whole Gateway" in message for message in said)


def test_beside_a_policy_of_the_gateway_that_of_an_endpoint_is_merged_with_it() -> None:
    others = {BACKEND_TRAFFIC_POLICIES: "edge/platform"}
    found = policy(replace(endpoint(ALL, timeouts={"idle": "30s"}), edge_policies=others))
    assert found is not None
    assert found["mergeType"] == "StrategicMerge"
    assert found.keys() == {"targetRefs", "mergeType", "timeout"}
    inputs = replace(endpoint(ALL, appProtocol="grpc"), edge_policies=others)
    assert reasons_of(inputs) == []  # the Space has the condition


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ({}, ()),
        ({"targetRefs": [{"kind": "Gateway", "name": "a"}, {"kind": "ListenerSet", "name": "b"}]}, ("a",)),
        ({"targetRefs": [{"kind": "Gateway", "name": "a", "sectionName": "http"}]}, ()),
        ({"targetRef": {"kind": "Gateway", "name": "a"}}, ("a",)),
        ({"targetSelectors": [{"kind": "Gateway"}]}, None),
    ],
)
def test_which_gateways_a_policy_is_for(spec: Obj, want: tuple[str, ...] | None) -> None:
    assert targeted_gateways({"spec": spec}) == want


# -- endpoints --------------------------------------------------------------------------------------------------------


def policy(inputs: AppInputs) -> Obj | None:
    found = by_address(inputs).get(("BackendTrafficPolicy", "one"))
    return found["spec"] if found is not None else None


def test_an_idle_timeout_is_merged_with_the_policy_of_the_gateway() -> None:
    found = policy(endpoint(timeouts={"idle": "2m"}))
    assert found is not None
    assert found["mergeType"] == "StrategicMerge"
    assert found["timeout"] == {"http": {"streamIdleTimeout": "2m"}}
    assert found["targetRefs"] == [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "one"}]


def test_beside_a_policy_of_the_space_that_of_an_endpoint_is_complete() -> None:
    found = policy(endpoint(ALL, timeouts={"idle": "30s"}))
    of_space = next(each["spec"] for each in policies(space()) if each["kind"] == BACKEND_TRAFFIC_POLICIES.kind)
    assert found is not None
    assert {**found, "targetRefs": None} == {
        **of_space,
        "targetRefs": None,
        "timeout": {"http": {"streamIdleTimeout": "30s"}},
    }


@pytest.mark.parametrize("idle", [None, "1m", "60s", "2h"])
def test_an_endpoint_as_its_space_has_no_policy(idle: str | None) -> None:
    timeouts = {"timeouts": {"idle": idle}} if idle is not None else {}
    assert policy(endpoint(ALL, **timeouts)) is None


def test_connections_alone_are_no_reason_for_a_policy_of_a_route() -> None:
    assert policy(endpoint({"connections": 5, "clientCidrs": CIDRS})) is None


@pytest.mark.parametrize("protocol", ["grpc", "websocket"])
def test_streams_have_no_limit_of_bodies_and_a_condition(protocol: str) -> None:
    inputs = endpoint(ALL, appProtocol=protocol)
    found = policy(inputs)
    assert found is not None
    assert "requestBuffer" not in found
    assert found["rateLimit"]["local"]["rules"][0]["limit"] == {"requests": 50, "unit": "Minute"}
    assert reasons_of(inputs) == [("RoutesReady", "RouteNotSupported")]
    [problem] = [each for found in app_children(inputs).problems.values() for each in found]
    assert (
        "served without limits.requestBody of Space beta: Envoy Gateway collects a body to measure it"
        in problem.message
    )
    assert f"appProtocol {protocol} has bodies without end" in problem.message


@pytest.mark.parametrize("protocol", [None, "http", "h2c"])
def test_other_protocols_are_limited_as_the_space(protocol: str | None) -> None:
    inputs = endpoint(ALL, appProtocol=protocol)
    assert policy(inputs) is None
    assert reasons_of(inputs) == []


def test_without_the_kind_an_idle_timeout_is_a_condition() -> None:
    given = replace(endpoint(timeouts={"idle": "2m"}), served=without(BACKEND_TRAFFIC_POLICIES))
    assert policy(given) is None
    assert reasons_of(given) == [("RoutesReady", "RouteNotSupported")]
    given = replace(endpoint(timeouts={"idle": "2m"}), gateway_controller="example.net/other")
    assert policy(given) is None
    assert reasons_of(given) == [("RoutesReady", "RouteNotSupported")]


@pytest.mark.parametrize(
    ("own", "protocol", "want"),
    [
        (None, None, "30s"),
        ("10s", None, "10s"),
        ("1h", None, "30s"),
        (None, "grpc", "30s"),
        ("29999ms", "grpc", "29999ms"),
    ],
)
def test_no_request_is_longer_than_the_limit(own: str | None, protocol: str | None, want: str) -> None:
    inputs = endpoint(ALL, appProtocol=protocol, timeouts={"request": own} if own else None)
    assert by_address(inputs)["HTTPRoute", "one"]["spec"]["rules"][0]["timeouts"] == {"request": want}


@pytest.mark.parametrize(
    ("durations", "want"),
    [((None, None), None), (("1m", None), "1m"), ((None, "1m"), "1m"), (("1m", "59s"), "59s"), (("60s", "1m"), "60s")],
)
def test_the_shortest(durations: tuple[str | None, ...], want: str | None) -> None:
    assert shortest(*durations) == want


def test_the_limit_of_a_space_does_not_reach_tcp_endpoints() -> None:
    conf = by_address(endpoint(ALL, httpPath=None))["ConfigMap", "web-stunnel"]["data"]["stunnel.conf"]
    assert "TIMEOUTidle" not in conf


# -- Ingress ----------------------------------------------------------------------------------------------------------

WRITTEN = {
    "haproxy": {
        "allowlist-source-range": "192.0.2.0/24,2001:db8::/32",
        "proxy-body-size": "10m",
        "timeout-server": "60s",
        "timeout-tunnel": "60s",
    },
    "nginx": {
        "whitelist-source-range": "192.0.2.0/24,2001:db8::/32",
        "proxy-body-size": "10m",
        "limit-rpm": "50",
        "proxy-read-timeout": "60",
        "proxy-send-timeout": "60",
    },
}


def annotations(inputs: AppInputs) -> dict[str, str | None]:
    [found] = [child.obj for child in app_children(inputs).children if child.resource == INGRESSES]
    return {key.partition("/")[2]: value for key, value in found["metadata"]["annotations"].items()}


@pytest.mark.parametrize("dialect", WRITTEN)
def test_annotations(dialect: str) -> None:
    found, plain = (annotations(endpoint(limits, dialect)) for limits in (ALL, None))
    assert {key: value for key, value in found.items() if key not in plain} == WRITTEN[dialect]
    assert plain.items() <= found.items()


@pytest.mark.parametrize("dialect", WRITTEN)
def test_annotations_go_with_the_limits(dialect: str) -> None:
    shape = next(kind.shape for kind in KINDS if kind.resource == INGRESSES)
    limited, plain = (
        next(child.obj for child in app_children(endpoint(limits, dialect)).children if child.resource == INGRESSES)
        for limits in (ALL, None)
    )
    written = rebuild(to_wire(limited), plain, shape)["metadata"]["annotations"]
    assert not {key.partition("/")[2] for key in written} & WRITTEN[dialect].keys()


@pytest.mark.parametrize("dialect", dialects())
def test_what_a_dialect_does_not_write_is_a_condition(dialect: str) -> None:
    inputs = space(ALL, routing={"backend": "ingress", "ingressDialect": dialect})
    kept = dialects()[dialect].kept_limits(inputs.space.spec.limits or names_of.NO_LIMITS)
    found = [problem.message for problem in space_routing_problems(inputs)]
    assert len(found) == len(names_of.given(inputs.space.spec.limits or names_of.NO_LIMITS)) - len(kept)
    assert all(f"the ingress controller {dialect} has no such limit" in message for message in found)


@pytest.mark.parametrize(("unit", "want"), [("Second", {"limit-rps": "7"}), ("Hour", {})])
def test_rates_of_nginx(unit: str, want: dict[str, str]) -> None:
    limits = {"requestRate": {"requests": 7, "unit": unit}}
    found = annotations(endpoint(limits, "nginx"))
    assert {key: value for key, value in found.items() if key.startswith("limit-")} == want
    inputs = space(limits, routing={"backend": "ingress", "ingressDialect": "nginx"})
    assert bool(space_routing_problems(inputs)) is (RateUnit(unit) is RateUnit.HOUR)


@pytest.mark.parametrize(
    ("dialect", "path", "served"),
    [
        ("haproxy", "/a", True),
        ("haproxy", None, True),
        ("nginx", "/a", True),
        ("nginx", None, False),
        ("traefik", "/a", False),
        ("traefik", None, False),
    ],
)
def test_nobody_is_served_by_an_endpoint_whose_clients_cannot_be_limited(
    dialect: str, path: str | None, served: bool
) -> None:
    inputs = endpoint({"clientCidrs": CIDRS}, dialect, httpPath=path)
    routes = {kind for kind, _ in by_address(inputs)} & {"Ingress", "IngressRouteTCP"}
    assert bool(routes) is served
    assert reasons_of(inputs) == ([] if served else [("RoutesReady", "RouteNotSupported")])
    if served:
        key = "allowlist-source-range" if dialect == "haproxy" else "whitelist-source-range"
        assert annotations(inputs)[key] == "192.0.2.0/24,2001:db8::/32"


def test_an_endpoint_named_as_an_object_of_its_space_does_not_collide() -> None:
    declared = {"name": "decco", "port": 8080, "httpPath": "/a", "timeouts": {"idle": "1s"}}
    of_app = by_address(app({"endpoints": [declared]}, space={"limits": ALL}))
    of_space = {(obj["kind"], obj["metadata"]["name"]) for obj in policies(space())}
    assert ("BackendTrafficPolicy", "decco") in of_app
    assert not of_space & of_app.keys()
