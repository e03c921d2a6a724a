"""Who may talk to whom, from policies that are really those of the daemon."""

from __future__ import annotations

from typing import Any

import pytest

from decco.objects import Obj
from decco.views.connectivity import ConnectivityGraph, as_data, connectivity
from tests.unit.views.stories import app, simulated, space


def graph(*objects: Obj, **settings: Any) -> ConnectivityGraph:
    snapshot, result = simulated(*objects, **settings)
    return connectivity(snapshot, result)


def allowed_from(found: ConnectivityGraph, name: str) -> dict[str, list[str]]:
    (node,) = (node for node in found.nodes if node.name == name)
    return {who: [port.endpoint for port in ports] for who, ports in node.allowed_from.items()}


def test_a_project_lets_its_own_in_and_the_edge() -> None:
    found = graph(
        space("a", project="p", tcpCertAndCaSecretName="s"),
        space("b", project="p"),
        space("c", project="q"),
        space("d"),
        app("db", "a", {"name": "db"}, {"name": "stats", "isMetricsEndpoint": True}, {"name": "web", "httpPath": "/"}),
        edge={"namespace": "edge", "cidrs": ["192.0.2.0/24"]},
    )
    assert allowed_from(found, "a") == {
        "b": ["db", "web"],
        "edge in namespace edge": ["db", "web"],
        "edge at 192.0.2.0/24": ["db", "web"],
        "monitoring": ["stats"],
    }
    assert allowed_from(found, "b") == {}


def test_without_a_project_anybody_may() -> None:
    assert allowed_from(graph(space("a"), app("w", "a", {"name": "w", "httpPath": "/"})), "a") == {"anybody": ["w"]}


def test_in_a_mesh_the_port_of_the_mesh_opens_no_endpoint() -> None:
    found = graph(
        space("a", project="p", mesh="Istio"),
        space("b", project="p"),
        app("w", "a", {"name": "w", "port": 15008, "httpPath": "/"}),
    )
    assert allowed_from(found, "a") == {}, "15008 alone is how the mesh delivers, whatever it is for"


def test_plain_text_in_a_mesh() -> None:
    """Not for a Space outside of the mesh, or of another project."""
    found = graph(
        space("a", project="p", mesh="Istio"),
        space("b", project="p", mesh="Istio", egressPolicy="Declared"),
        space("c", project="p"),
        space("d", project="q", mesh="Istio"),
        space("e", project="p", mesh="Istio"),
        space("open", mesh="Istio"),
        app(
            "w",
            "a",
            {"name": "cache", "port": 6379, "createClearTextService": True},
            {"name": "db", "port": 5432, "createClearTextService": True, "allowedClients": ["x.e.example.net"]},
            {"name": "own", "port": 5433, "createClearTextService": True, "verifyTcpClientCert": True},
        ),
        app("w", "open", {"name": "all", "port": 6379, "createClearTextService": True}),
    )
    assert allowed_from(found, "a") == {"e": ["cache-cleartext"], "service account x of e": ["db-cleartext"]}
    assert allowed_from(found, "open") == {"anybody in the mesh": ["all-cleartext"]}


def test_an_endpoint_without_a_certificate_is_unreachable() -> None:
    """Its Service leads to a port that no pod has."""
    found = graph(space("a"), app("db", "a", {"name": "db"}))
    assert allowed_from(found, "a") == {}


@pytest.mark.parametrize(
    ("caller", "owner", "allowed"),
    [("p", "p", True), ("q", "p", False), (None, "p", False), ("p", None, True), (None, None, True)],
)
def test_calls_by_projects(caller: str | None, owner: str | None, allowed: bool) -> None:
    def one(name: str, project: str | None) -> Obj:
        return space(name, tcpCertAndCaSecretName="s", **({"project": project} if project else {}))

    egress = [{"localPort": 9000, "endpoint": "db", "spaceName": "owner"}]
    found = graph(
        one("caller", caller),
        one("owner", owner),
        app("c", "caller", tlsEgresses=egress),
        app("db", "owner", {"name": "db"}),
    )
    (call,) = found.calls
    assert (str(call.caller), call.space, call.target, call.allowed) == ("caller/c", "owner", "db", allowed)
    assert call.why == ("" if allowed else "the Space lets only its project in")


def test_calls_to_nothing_to_oneself_and_outside() -> None:
    egresses = [
        {"localPort": 9000, "endpoint": "gone"},
        {"localPort": 9001, "endpoint": "db"},
        {"localPort": 9002, "fqdn": "api.example.com", "targetPort": 8443},
    ]
    found = graph(space("a", tcpCertAndCaSecretName="s"), app("db", "a", {"name": "db"}, tlsEgresses=egresses))
    assert [(call.target, call.space, call.allowed, call.why) for call in found.calls] == [
        ("api.example.com:8443", None, None, ""),
        ("db", "a", True, ""),
        ("gone", "a", False, "no such endpoint"),
    ]


def test_only_some_spaces_and_their_neighbours() -> None:
    egress = [{"localPort": 9000, "endpoint": "db", "spaceName": "b"}]
    found = graph(space("a"), space("b"), space("c"), app("x", "a", tlsEgresses=egress))
    assert [node.name for node in found.only({"b"}).nodes] == ["a", "b"]
    assert [node.name for node in found.only({"c"}).nodes] == ["c"]
    assert found.only({"c"}).calls == []


def test_as_data_has_no_empty_words() -> None:
    data = as_data(graph(space("a", project="p"), app("w", "a", {"name": "w", "httpPath": "/x"})))
    assert data == {
        "spaces": [
            {
                "name": "a",
                "fqdn": "a.example.net",
                "project": "p",
                "endpoints": [{"app": "w", "endpoint": "w", "port": 80, "url": "https://a.example.net/x"}],
                "allowed_from": [],
            }
        ],
        "calls": [],
    }


DECLARED = {"egressPolicy": "Declared", "tcpCertAndCaSecretName": "s"}


def test_a_limited_egress_is_shown_with_all_that_is_permitted() -> None:
    cidrs = [{"cidr": "192.0.2.0/24", "ports": [{"port": 80, "endPort": 90}]}, {"cidr": "198.51.100.7/32"}]
    found = graph(space("a", **DECLARED, egressCidrs=cidrs), space("b"))
    (limited, open_) = found.nodes
    assert limited.leads_to == [
        "pods k8s-app=kube-dns of namespace kube-system (53/UDP, 53/TCP)",
        "169.254.20.10/32 (53/UDP, 53/TCP)",
        "192.0.2.0/24 (80-90/TCP)",
        "198.51.100.7/32 (every port)",
    ]
    assert open_.leads_to is None
    shown, other = as_data(found)["spaces"]
    assert shown["leads_to"] == limited.leads_to
    assert "leads_to" not in other


MEMBER = {"project": "p", **DECLARED}


def test_a_limited_space_of_a_project_connects_where_its_apps_call() -> None:
    """Both policies count: what the target lets in, and what the source may do."""
    endpoints = [{"name": name, "certAndCaSecretName": "s"} for name in ("db", "queue")]
    calls = [{"localPort": 9000, "endpoint": "db", "spaceName": "owner"}]
    found = graph(
        space("owner", project="p"),
        app("store", "owner", *endpoints),
        space("caller", **MEMBER),
        app("c", "caller", tlsEgresses=calls),
        space("mute", **MEMBER),
        space("free", project="p"),
    )
    assert allowed_from(found, "owner") == {"caller": ["db"], "free": ["db", "queue"]}
    (call,) = found.calls
    assert call.allowed is True


@pytest.mark.parametrize(
    ("cidr", "reached"),
    [("8.8.8.0/24", False), ("10.0.0.0/8", True), ("0.0.0.0/0", True), ("fd00::/8", True), ("2606:4700::/32", False)],
)
def test_networks_in_which_pods_may_be(cidr: str, reached: bool) -> None:
    found = graph(
        space("owner", project="p"),
        app("store", "owner", {"name": "db", "certAndCaSecretName": "s"}),
        space("caller", **MEMBER, egressCidrs=[{"cidr": cidr}]),
    )
    assert ("caller" in allowed_from(found, "owner")) is reached


@pytest.mark.parametrize(
    ("routing", "clients"),
    [
        ({}, ["192.0.2.0/24"]),
        ({"backend": "ingress", "ingressDialect": "nginx"}, ["192.0.2.0/24"]),
        ({"backend": "ingress", "ingressDialect": "traefik"}, []),
        ({"backend": "none"}, None),
    ],
)
def test_clients_that_the_edge_serves(routing: dict[str, Any], clients: list[str] | None) -> None:
    found = graph(space("a", limits={"clientCidrs": ["192.0.2.0/24"]}), space("b"), routing=routing)
    (limited, free) = found.nodes
    assert limited.clients == clients
    assert free.clients is None
    assert as_data(found)["spaces"][0].get("clients") == clients


def test_what_a_space_shows_of_its_placement() -> None:
    """The policies are written where it is not placed too, so who may talk to whom is the same."""
    active, standby, elsewhere = {"id": "here"}, {"id": "here", "role": "Standby"}, {"id": "east"}
    found = graph(
        space("active", placement={"clusters": [active, elsewhere]}),
        app("web", "active", {"name": "web", "httpPath": "/"}),
        app("far", "active", {"name": "far", "httpPath": "/far"}, placement={"clusters": [elsewhere]}),
        app("late", "active", placement={"clusters": [standby]}),
        space("away", placement={"clusters": [elsewhere]}),
        app("web", "away", {"name": "w", "httpPath": "/"}, placement={"clusters": [active]}),
        space("plain"),
        app("only", "plain", placement={"clusters": [active]}),
        space("waits", placement={"clusters": [elsewhere, standby]}),
        cluster_id="here",
    )
    listed = ("placement", "here", "apps_placed")
    shown = {each["name"]: {key: each[key] for key in listed if key in each} for each in as_data(found)["spaces"]}
    assert shown == {
        "active": {"placement": "here, east", "here": "Active", "apps_placed": {"far": "NotPlaced", "late": "Standby"}},
        "away": {"placement": "east", "here": "NotPlaced"},
        "plain": {"apps_placed": {"only": "Active"}},
        "waits": {"placement": "east, here (Standby)", "here": "Standby"},
    }
    assert allowed_from(found, "away") == {"anybody": ["w"]}


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ({"endpoint": "db", "spaceName": "owner"}, True),
        ({"endpoint": "bare", "spaceName": "owner"}, False),  # nothing listens there
        ({"fqdn": "db.owner.svc"}, None),
        ({"fqdn": "other.owner.svc"}, False),
        ({"fqdn": "api.example.com"}, None),
        ({"fqdn": "db.caller.svc"}, None),
    ],
)
def test_calls_out_of_a_limited_space(target: Obj, allowed: bool | None) -> None:
    listed = [{"name": "db", "certAndCaSecretName": "s"}, {"name": "bare"}]
    found = graph(
        space("caller", **DECLARED),
        space("owner"),
        app("store", "owner", *listed),
        app("c", "caller", tlsEgresses=[{"localPort": 9000, **target}]),
    )
    (call,) = found.calls
    assert call.allowed is allowed
