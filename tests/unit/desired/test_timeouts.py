"""Timeouts of an endpoint: where each is kept, and what is said where it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from decco.desired.app import app_children
from decco.desired.model import AppInputs
from decco.desired.timeouts import whole_seconds
from decco.kube.diff import rebuild, to_wire
from decco.objects import INGRESSES
from decco.reconcilers.kinds import KINDS
from tests.unit.desired.app_cases import app, by_address, reasons_of, space_facts

BOTH = {"request": "90s", "idle": "1m500ms"}
KEPT = {"haproxy": {"idle"}, "nginx": {"idle"}, "traefik": set[str](), "": {"request", "idle"}}


def inputs(timeouts: dict[str, str], *, dialect: str = "", **endpoint: Any) -> AppInputs:
    declared = {"name": "one", "port": 8080, "httpPath": "/a", "timeouts": timeouts, **endpoint}
    given = {key: value for key, value in declared.items() if value is not None}
    routing = {"backend": "ingress", "ingressDialect": dialect} if dialect else {}
    return app({"endpoints": [given]}, routing=routing)


@pytest.mark.parametrize(
    ("duration", "want"), [("1ms", 1), ("1s", 1), ("1s1ms", 2), ("1m500ms", 61), ("1h30m", 5400), ("0h5m", 300)]
)
def test_seconds(duration: str, want: int) -> None:
    assert whole_seconds(duration) == want


@pytest.mark.parametrize(
    ("given", "protocol", "want"),
    [
        ({"request": "90s"}, None, {"request": "90s"}),
        ({"request": "90s"}, "grpc", {"request": "90s"}),
        ({"idle": "90s"}, "grpc", {"request": "1h"}),
        ({}, None, None),
    ],
)
def test_the_route_limits_requests(given: dict[str, str], protocol: str | None, want: dict[str, str] | None) -> None:
    rule = by_address(inputs(given, appProtocol=protocol))["HTTPRoute", "one"]["spec"]["rules"][0]
    assert rule.get("timeouts") == want


@pytest.mark.parametrize(
    ("dialect", "want"),
    [
        ("haproxy", {"timeout-server": "61s", "timeout-tunnel": "61s"}),
        ("nginx", {"proxy-read-timeout": "61", "proxy-send-timeout": "61"}),
        ("traefik", {}),
    ],
)
def test_annotations(dialect: str, want: dict[str, str]) -> None:
    made = by_address(inputs(BOTH, dialect=dialect))
    [ingress] = [obj for (kind, name), obj in made.items() if kind == "Ingress" and ".redirect" not in name]
    found = {key.partition("/")[2]: value for key, value in ingress["metadata"]["annotations"].items()}
    assert {key: value for key, value in found.items() if "timeout" in key and value is not None} == want


@pytest.mark.parametrize("dialect", KEPT)
@pytest.mark.parametrize("name", BOTH)
def test_what_an_edge_does_not_limit_is_a_condition_and_the_route_stays(dialect: str, name: str) -> None:
    given = inputs({name: BOTH[name]}, dialect=dialect)
    assert {kind for kind, _ in by_address(given)} & {"HTTPRoute", "Ingress"}
    if name in KEPT[dialect]:
        assert reasons_of(given) == []
        return
    assert reasons_of(given) == [("RoutesReady", "RouteNotSupported")]
    [problem] = [each for found in app_children(given).problems.values() for each in found]
    assert f"endpoint one is served without timeouts.{name}" in problem.message


@pytest.mark.parametrize("dialect", KEPT)
def test_the_sidecar_ends_idle_connections_of_tcp_endpoints(dialect: str) -> None:
    given = inputs({"idle": "1m500ms"}, dialect=dialect, httpPath=None)
    assert "TIMEOUTidle = 61" in by_address(given)["ConfigMap", "web-stunnel"]["data"]["stunnel.conf"].splitlines()
    assert reasons_of(given) == []


def test_in_front_of_http_the_sidecar_waits_for_the_edge() -> None:
    declared = {"name": "one", "port": 8080, "httpPath": "/a", "timeouts": BOTH}
    made = by_address(app({"endpoints": [declared]}, space={"encryptHttp": True}))
    assert "TIMEOUT" not in made["ConfigMap", "web-stunnel"]["data"]["stunnel.conf"]


LONGER = ("576h", "576h1ms", "600h", "1193h2m48s", "99999h99999m99999s99999ms")
"""The longest that the API server accepts, and longer ones of before it had a bound."""


@pytest.mark.parametrize("long", LONGER)
@pytest.mark.parametrize("of_space", [False, True])
@pytest.mark.parametrize(
    ("dialect", "want"),
    [
        ("haproxy", {"timeout-server": "2073600s", "timeout-tunnel": "2073600s"}),
        ("nginx", {"proxy-read-timeout": "2073600", "proxy-send-timeout": "2073600"}),
    ],
)
def test_no_timer_of_an_edge_overflows(dialect: str, want: dict[str, str], *, of_space: bool, long: str) -> None:
    """HAProxy rejects its whole file above 2147483647 ms: one App would stop an edge that others share."""
    given = inputs({} if of_space else {"idle": long}, dialect=dialect)
    if of_space:
        given = replace(given, space=space_facts(limits={"timeouts": {"idle": long}}))
    [ingress] = [
        obj for (kind, name), obj in by_address(given).items() if kind == "Ingress" and ".redirect" not in name
    ]
    found = {key.partition("/")[2]: value for key, value in ingress["metadata"]["annotations"].items()}
    assert {key: value for key, value in found.items() if "timeout" in key and value is not None} == want


@pytest.mark.parametrize("long", LONGER)
def test_no_timer_of_the_sidecar_or_of_envoy_overflows(long: str) -> None:
    """stunnel counts 1193h2m48s as 704 ms: a pause of a second would end a connection."""
    made = by_address(inputs({"idle": long}, httpPath=None))
    assert "TIMEOUTidle = 2073600" in made["ConfigMap", "web-stunnel"]["data"]["stunnel.conf"].splitlines()
    made = by_address(inputs({"request": long, "idle": long}))
    assert made["HTTPRoute", "one"]["spec"]["rules"][0]["timeouts"] == {"request": "576h"}
    [policy] = [obj for (kind, _), obj in made.items() if kind == "BackendTrafficPolicy"]
    assert policy["spec"]["timeout"]["http"] == {"streamIdleTimeout": "576h"}


def test_an_ingress_without_timeouts_is_as_before_they_existed_and_loses_them_with_the_field() -> None:
    shape = next(kind.shape for kind in KINDS if kind.resource == INGRESSES)
    for dialect in ("haproxy", "nginx"):
        with_idle, without_idle = (
            next(
                child.obj
                for child in app_children(inputs(timeouts, dialect=dialect)).children
                if child.resource == INGRESSES
            )
            for timeouts in ({"idle": "61s"}, {})
        )
        assert not any("timeout" in name for name in without_idle["metadata"]["annotations"])
        written = rebuild(to_wire(with_idle), without_idle, shape)
        assert not any("timeout" in name for name in written["metadata"]["annotations"])
