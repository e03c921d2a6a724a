"""appProtocol of an endpoint: its Service, its route, and what each dialect of the Ingress backend makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from decco.desired.app import app_children
from decco.objects import Obj
from tests.unit.desired.app_cases import app, by_address, reasons_of

PROTOCOLS = ("http", "h2c", "grpc", "websocket")
OWN_TLS = {"disableTlsTermination": True}
NGINX, HAPROXY = "nginx.ingress.kubernetes.io", "haproxy-ingress.github.io"
TRAEFIK = "traefik.ingress.kubernetes.io"


def made(protocol: str | None, *, encrypt: bool = False, dialect: str = "", **more: Any) -> dict[tuple[str, str], Obj]:
    return by_address(inputs(protocol, encrypt=encrypt, dialect=dialect, **more))


def inputs(protocol: str | None, *, encrypt: bool = False, dialect: str = "", **more: Any) -> Any:
    endpoint = {"name": "one", "port": 8080, "httpPath": "/a", "appProtocol": protocol, **more}
    given = {key: value for key, value in endpoint.items() if value is not None}
    routing = {"backend": "ingress", "ingressDialect": dialect} if dialect else {}
    return app({"endpoints": [given]}, space={"encryptHttp": encrypt}, routing=routing)


def port(children: dict[tuple[str, str], Obj], service: str = "one") -> Obj:
    [found] = children["Service", service]["spec"]["ports"]
    return dict(found)


def annotations(children: dict[tuple[str, str], Obj], kind: str) -> dict[str, str]:
    [obj] = [obj for (each, name), obj in children.items() if each == kind and ".redirect." not in name]
    return {key: value for key, value in obj["metadata"]["annotations"].items() if value is not None}


@pytest.mark.parametrize(
    ("protocol", "plain", "encrypted"),
    [
        ("http", "http", "https"),
        ("h2c", "kubernetes.io/h2c", "kubernetes.io/h2c"),
        ("grpc", "kubernetes.io/h2c", "kubernetes.io/h2c"),
        ("websocket", "kubernetes.io/ws", "kubernetes.io/wss"),
    ],
)
@pytest.mark.parametrize("own_tls", [False, True], ids=["sidecar", "own TLS"])
def test_the_service_of_an_http_endpoint(protocol: str, plain: str, encrypted: str, own_tls: bool) -> None:
    assert port(made(protocol))["appProtocol"] == plain
    assert port(made(protocol, encrypt=True, **(OWN_TLS if own_tls else {})))["appProtocol"] == encrypted


def test_the_clear_text_service_is_the_containers() -> None:
    assert port(made("http", encrypt=True, createClearTextService=True), "one-cleartext")["appProtocol"] == "http"


@pytest.mark.parametrize(
    ("more", "want"),
    [({"httpPath": None}, "tcp"), ({"httpPath": None, "isMetricsEndpoint": True}, "http")],
    ids=["tcp", "metrics"],
)
def test_the_service_of_other_endpoints(more: dict[str, Any], want: str) -> None:
    assert port(made(want, **more))["appProtocol"] == want


@pytest.mark.parametrize("dialect", ["", "haproxy", "nginx", "traefik"])
def test_without_the_field_nothing_is_said(dialect: str) -> None:
    assert "appProtocol" not in port(made(None, dialect=dialect))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_call_may_take_an_hour_and_a_request_the_time_of_the_edge(protocol: str) -> None:
    rule = made(protocol)["HTTPRoute", "one"]["spec"]["rules"][0]
    assert rule.get("timeouts") == ({"request": "1h"} if protocol == "grpc" else None)


@pytest.mark.parametrize(
    ("dialect", "encrypt", "protocol", "want"),
    [
        ("haproxy", False, "h2c", {f"{HAPROXY}/backend-protocol": "h2"}),
        ("haproxy", False, "grpc", {f"{HAPROXY}/backend-protocol": "h2"}),
        ("haproxy", True, "grpc", {f"{HAPROXY}/backend-protocol": "h2-ssl"}),
        ("haproxy", True, "http", {f"{HAPROXY}/backend-protocol": "h1-ssl"}),
        ("nginx", False, "grpc", {f"{NGINX}/backend-protocol": "GRPC"}),
        ("nginx", True, "websocket", {f"{NGINX}/backend-protocol": "HTTPS"}),
    ],
)
def test_annotations_of_ingresses(dialect: str, encrypt: bool, protocol: str, want: dict[str, str]) -> None:
    found = annotations(made(protocol, dialect=dialect, encrypt=encrypt), "Ingress")
    assert {key: value for key, value in found.items() if key.endswith("/backend-protocol")} == want


@pytest.mark.parametrize(
    ("encrypt", "more", "protocol", "want"),
    [
        (False, {}, "grpc", "h2c"),
        (False, {}, "h2c", "h2c"),
        (False, {}, "websocket", None),
        (True, {}, "http", "https"),
        (True, OWN_TLS, "grpc", "https"),
    ],
)
def test_annotations_for_traefik(encrypt: bool, more: dict[str, Any], protocol: str, want: str | None) -> None:
    found = annotations(made(protocol, dialect="traefik", encrypt=encrypt, **more), "Service")
    assert found.get(f"{TRAEFIK}/service.serversscheme") == want


@pytest.mark.parametrize(
    ("dialect", "encrypt", "protocol", "says"),
    [
        ("nginx", False, "h2c", "nginx speaks HTTP/2 to pods for gRPC only"),
        ("nginx", True, "grpc", "does not verify the certificates of pods that speak gRPC"),
        ("traefik", True, "grpc", "only where the pod negotiates it (ALPN)"),
        ("traefik", True, "h2c", "only where the pod negotiates it (ALPN)"),
    ],
)
def test_what_a_dialect_cannot_carry_is_a_condition(dialect: str, encrypt: bool, protocol: str, says: str) -> None:
    given = inputs(protocol, dialect=dialect, encrypt=encrypt)
    assert reasons_of(given) == [("RoutesReady", "RouteNotSupported")]
    [problem] = [each for found in app_children(given).problems.values() for each in found]
    assert says in problem.message
    assert not [kind for kind, _ in by_address(given) if kind == "Ingress"]
