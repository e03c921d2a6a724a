"""``decco init``: what is chosen for what is found, and a file that is valid whatever is found."""

from __future__ import annotations

from typing import Any

import pytest

from decco.objects import Obj
from decco.settings import RoutingBackend, Settings
from decco.settings.load import ConfigText, load
from decco.views.proposal import ClusterInventory, choose, remarks, settings_text

ALL = frozenset({"Gateway", "GatewayClass", "HTTPRoute", "TLSRoute", "ListenerSet", "BackendTLSPolicy"})


def condition(kind: str, status: str = "True") -> Obj:
    return {"type": kind, "status": status, "observedGeneration": 1}


def gateway(name: str, namespace: str = "edge", who: str | None = "Selector", programmed: str = "True") -> Obj:
    spec: Obj = {"gatewayClassName": "eg"}
    if who is not None:
        spec["allowedListeners"] = {"namespaces": {"from": who}}
    status = {"conditions": [condition("Programmed", programmed)]}
    return {"metadata": {"name": name, "namespace": namespace, "generation": 1}, "spec": spec, "status": status}


def gateway_class(name: str, accepted: str = "True") -> Obj:
    status = {"conditions": [condition("Accepted", accepted)]}
    return {"metadata": {"name": name, "generation": 1}, "spec": {"controllerName": "x.example/c"}, "status": status}


def ingress_class(name: str, controller: str, *, default: bool = False) -> Obj:
    annotations = {"ingressclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {"metadata": {"name": name, "annotations": annotations}, "spec": {"controller": controller}}


def service(namespace: str, **labels: str) -> Obj:
    named = {name.replace("__", "/").replace("_dot_", ".").replace("_", "-"): value for name, value in labels.items()}
    return {"metadata": {"name": "proxy", "namespace": namespace, "labels": named}}


def by_envoy(namespace: str, name: str, of: str) -> Obj:
    prefix = "gateway.envoyproxy.io/owning-gateway-"
    labels = {f"{prefix}name": name, f"{prefix}namespace": of}
    return {"metadata": {"name": "proxy", "namespace": namespace, "labels": labels}}


def settings(found: ClusterInventory) -> Settings:
    """The file is read as the controller reads it: a mistake in it raises WrongSettings."""
    return load({}, {}, ConfigText(settings_text(found), "proposal"))


def test_a_shared_gateway_with_the_namespace_of_its_pods() -> None:
    found = ClusterInventory(
        ALL,
        [gateway_class("eg")],
        [gateway("shared"), gateway("other", programmed="False")],
        services=[by_envoy("envoy-gateway-system", "shared", "edge"), by_envoy("wrong", "shared", "another")],
    )
    read = settings(found)
    assert read.routing.parent_gateway == "edge/shared"
    assert read.edge.namespace == "envoy-gateway-system"
    assert "Also possible: edge/other" in settings_text(found)
    assert list(remarks(found)) == []


def test_the_label_that_all_gateways_have() -> None:
    labels = {"gateway.networking.k8s.io/gateway-name": "shared"}
    proxy = {"metadata": {"name": "proxy", "namespace": "edge", "labels": labels}}
    assert settings(ClusterInventory(ALL, [], [gateway("shared")], services=[proxy])).edge.namespace == "edge"


@pytest.mark.parametrize(
    ("kinds", "who", "words"),
    [
        (ALL, None, "edge/shared: it lets no ListenerSets in (allowedListeners.namespaces.from is None)"),
        (ALL, "Same", "edge/shared: it lets no ListenerSets in (allowedListeners.namespaces.from is Same)"),
        (ALL - {"ListenerSet"}, "All", "edge/shared: the cluster serves no ListenerSets"),
    ],
)
def test_a_gateway_that_cannot_be_shared(kinds: frozenset[str], who: str | None, words: str) -> None:
    found = ClusterInventory(kinds, [gateway_class("eg")], [gateway("shared", who=who)])
    read = settings(found)
    assert read.routing.parent_gateway is None
    assert read.routing.gateway_class_name == "eg"
    assert f"Not possible as it is: {words}" in settings_text(found)


def test_classes_that_are_accepted() -> None:
    found = ClusterInventory(ALL, [gateway_class("new", "Unknown"), gateway_class("b"), gateway_class("a")])
    assert (choose(found).gateway_class, choose(found).others) == ("a", ("b",))
    assert choose(ClusterInventory(ALL, [gateway_class("a"), gateway_class("decco")])).gateway_class == "decco"
    (remark,) = remarks(found)
    assert remark.name == "edge-unknown"


@pytest.mark.parametrize(
    ("controller", "dialect"),
    [
        ("k8s.io/ingress-nginx", "nginx"),
        ("haproxy-ingress.github.io/controller", "haproxy"),
        ("traefik.io/ingress-controller", "traefik"),
    ],
)
def test_an_ingress_controller(controller: str, dialect: str) -> None:
    other = ingress_class("other", "example.net/unknown", default=True)
    found = ClusterInventory(ingress_classes=[other, ingress_class("own", controller)])
    read = settings(found)
    assert read.routing.backend is RoutingBackend.INGRESS
    assert (read.routing.ingress_dialect, read.routing.ingress_class_name) == (dialect, "own")


@pytest.mark.parametrize(
    "found",
    [
        ClusterInventory(),
        ClusterInventory(hidden=["gateways", "services"]),
        ClusterInventory(ALL, [gateway_class("x", "False")]),
    ],
)
def test_nothing_that_carries_traffic(found: ClusterInventory) -> None:
    assert settings(found) == Settings()
    names = [remark.name for remark in remarks(found)]
    assert "gateway-class-missing" in names
    assert ("kinds-hidden" in names) is bool(found.hidden)
    assert "Install one" in settings_text(found)


@pytest.mark.parametrize(
    ("more", "provider"),
    [
        ({"clouds": frozenset({"aws"})}, "route53"),
        ({"clouds": frozenset({"gce"})}, "clouddns"),
        ({"dns_kinds": ["externaldns"], "clouds": frozenset({"gce"})}, "externaldns"),
        ({}, "route53"),
    ],
)
def test_dns_is_a_comment_that_is_valid_without_its_marks(more: dict[str, Any], provider: str) -> None:
    """Zones are known to people only, so no provider is set."""
    found = ClusterInventory(ALL, [gateway_class("eg")], **more)
    assert settings(found).dns.providers == ()
    text = settings_text(found)
    section = text[text.index("# dns:") :].replace("# ", "").replace("#  ", "  ")
    read = load({}, {}, ConfigText(section, "proposal"))
    assert [(each.type, each.zones) for each in read.dns.providers] == [(provider, ("example.com",))]


@pytest.mark.parametrize("name", ["true", "null", "1", "on"])
def test_names_that_yaml_takes_for_something_else(name: str) -> None:
    labels = {"gateway.networking.k8s.io/gateway-name": name}
    proxy = {"metadata": {"name": "proxy", "namespace": name, "labels": labels}}
    read = settings(ClusterInventory(ALL, [], [gateway(name, name)], services=[proxy]))
    assert (read.routing.parent_gateway, read.edge.namespace) == (f"{name}/{name}", name)


def test_text_of_others_stays_in_its_line() -> None:
    evil = gateway("shared", who="Same\nrouting: {backend: none}")
    found = ClusterInventory(
        ALL, [gateway_class("eg\nedge: {cidrs: [0.0.0.0/0]}"), gateway_class("a")], [evil], hidden=["x\ny: 1"]
    )
    assert settings(found).routing.backend is RoutingBackend.GATEWAY
    assert settings(found).edge.cidrs == ()
