from __future__ import annotations

import json

import pytest

from decco.desired.app import app_children
from decco.desired.routing import space_routing
from decco.desired.routing.dialects import dialects
from decco.desired.routing.dialects.traefik import INGRESS_ROUTE_TCPS, MIDDLEWARES
from decco.desired.routing.withdrawn import NO_CLASS, withdrawn
from decco.objects import BACKEND_TLS_POLICIES, INGRESSES, NETWORK_POLICIES, SERVICES, Obj, Resource
from tests.unit.desired.app_cases import FQDN, SPACE, app, space_inputs

BACKENDS = [
    {"backend": "gateway"},
    {"backend": "gateway", "parentGateway": None},
    *({"backend": "ingress", "ingressDialect": name} for name in dialects()),
]
WITHOUT_HOSTS = {SERVICES, NETWORK_POLICIES, BACKEND_TLS_POLICIES, MIDDLEWARES}


def made() -> list[tuple[Resource, Obj]]:
    """All routes and listeners that decco ever writes."""
    endpoints = [{"name": "web", "port": 8080, "httpPath": "/"}, {"name": "db", "port": 5432}]
    found = []
    for routing in BACKENDS:
        children = [
            *app_children(app({"endpoints": endpoints}, routing=routing)).children,
            *space_routing(space_inputs(routing=routing, hostnames=["db.example.com"])),
        ]
        found += [(child.resource, child.obj) for child in children if FQDN in json.dumps(child.obj.get("spec", {}))]
    return found


@pytest.mark.parametrize(("resource", "obj"), [pytest.param(*each, id=each[0].kind) for each in made()])
def test_no_host_name_and_no_edge_is_left(resource: Resource, obj: Obj) -> None:
    """A child of any kind that names the host of a Space loses it; the metadata stays."""
    if resource in WITHOUT_HOSTS:
        assert withdrawn(resource, obj) is None
        return
    left = withdrawn(resource, obj)
    assert left is not None
    assert FQDN not in json.dumps(left["spec"])
    assert "parentRefs" not in left["spec"]
    assert left["metadata"] == obj["metadata"]
    assert withdrawn(resource, left) is None, "a second time there is nothing to write"


def test_an_ingress_is_of_no_controller_and_for_no_name_that_exists() -> None:
    spec = {"ingressClassName": "nginx", "tls": [{"hosts": ["a.example.com"]}], "rules": [{"host": "a.example.com"}]}
    left = withdrawn(INGRESSES, {"metadata": {}, "spec": spec})
    assert left is not None
    assert left["spec"].keys() == {"ingressClassName", "rules"}
    assert left["spec"]["ingressClassName"] == NO_CLASS


def test_a_certificate_of_traefik_is_not_loaded() -> None:
    left = withdrawn(INGRESS_ROUTE_TCPS, {"metadata": {}, "spec": {"routes": [], "tls": {"secretName": "http"}}})
    assert left is not None
    assert left["spec"] == {"routes": []}


def test_the_space_of_the_cases_has_what_is_withdrawn() -> None:
    assert SPACE
    assert {kind.kind for kind, _ in made()} >= {"Ingress", "HTTPRoute", "TLSRoute", "Gateway", "IngressRouteTCP"}
