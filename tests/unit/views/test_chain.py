"""The way to an endpoint: which part a finding belongs to, and where the way ends."""

from __future__ import annotations

import pytest

from decco.api.conditions import ConditionType
from decco.desired import reasons
from decco.messages import Severity
from decco.objects import GATEWAYS, SPACES, Key, Obj
from decco.views.explanation.chain import INSIDE, Chain, Link, Part, _add_conditions, chains
from decco.views.explanation.parts import World
from decco.views.findings import Finding
from tests.unit.views.stories import app, secret, space
from tests.unit.views.test_explanation import world

FQDN = "acme.example.net"
EDGE = {"edge": {"addresses": ["192.0.2.1"]}}


def way(found: World, name: str = "web") -> Chain:
    (entry,) = [each for each in found.snapshot.caches.apps if each.key.name == name]
    (chain,) = chains(found, entry)
    return chain


def states(chain: Chain) -> dict[str, str]:
    return {link.part.value: link.severity.value for link in chain.links}


def http(**more: object) -> Obj:
    return app("web", "acme", {"name": "web", "httpPath": "/"}, **more)


def tcp(**more: object) -> Obj:
    return app("web", "acme", {"name": "web", **more})


def test_the_parts_in_the_order_of_a_request() -> None:
    found = world(space(httpCertSecretName="http"), secret("http", FQDN), http(), **EDGE)
    chain = way(found)
    assert tuple(link.part for link in chain.links) == tuple(Part)
    assert chain.where == f"https://{FQDN}/"
    assert states(chain)["name"] == "ok"
    assert states(chain)["certificate"] == "ok"
    edge = next(link for link in chain.links if link.part is Part.EDGE)
    assert edge.findings[0].text.endswith(": 192.0.2.1")


def test_the_first_failure_is_where_it_is_broken() -> None:
    found = world(space(httpCertSecretName="http"), secret("http", "other.example"), http(), **EDGE)
    chain = way(found)
    assert chain.broken is not None
    broken = [link.part for link in chain.links if link.severity is Severity.FAILURE]
    assert chain.broken.part is broken[0]
    certificate = next(link for link in chain.links if link.part is Part.CERTIFICATE)
    assert certificate.severity is Severity.FAILURE
    assert "certificate-for-other-names" in {each.name for each in certificate.findings}


def test_a_port_for_the_inside_has_two_parts() -> None:
    found = world(space(), app("web", "acme", {"name": "web", "isMetricsEndpoint": True}))
    chain = way(found)
    assert tuple(link.part for link in chain.links) == INSIDE
    assert chain.where == "web.acme.svc:8000"


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ({}, "endpoint web: for *.acme.example.net"),
        ({"certAndCaSecretName": "own"}, "endpoint web: for web.acme.example.net"),
        ({"disableTlsTermination": True}, "the container of the App ends TLS"),
    ],
)
def test_the_certificate_is_that_of_the_endpoint(endpoint: Obj, words: str) -> None:
    secrets = (secret("t", "*.acme.example.net"), secret("own", "web.acme.example.net"))
    found = world(space(tcpCertAndCaSecretName="t"), *secrets, tcp(**endpoint), **EDGE)
    certificate = next(link for link in way(found).links if link.part is Part.CERTIFICATE)
    assert words in certificate.findings[0].text
    assert all(each.severity is Severity.OK for each in certificate.findings)


def test_an_edge_that_may_not_be_read_is_not_guessed() -> None:
    found = world(space(), http(), routing={"parentGateway": "edge/shared"})
    assert states(way(found))["edge"] in ("failure", "warning")
    found.snapshot.unreadable.add((GATEWAYS, "edge"))
    edge = next(link for link in way(found).links if link.part is Part.EDGE)
    assert [each.name for each in edge.findings if each.severity is Severity.UNKNOWN] == ["edge-hidden"]


def test_without_the_space_the_chain_is_from_the_status() -> None:
    found = world(http())
    found.snapshot.unreadable.add((SPACES, ""))
    (entry,) = found.snapshot.caches.apps
    assert chains(found, entry) == []
    refused = {"type": "RoutesReady", "status": "False", "reason": reasons.NOT_ACCEPTED, "message": "no such listener"}
    endpoint = {"name": "web", "hostname": FQDN, "url": f"https://{FQDN}/", "port": 80}
    obj = {**entry.obj(), "status": {"endpoints": [endpoint], "conditions": [refused]}}
    obj["metadata"]["resourceVersion"] = "9"
    found.snapshot.caches.apps.put(obj, own=False)
    shown = states(way(found))
    assert {shown[each] for each in ("edge", "listener", "certificate")} == {"unknown"}
    assert shown["name"] == "ok"
    chain = way(found)
    route = next(link for link in chain.links if link.part is Part.ROUTE)
    assert "NotAccepted: no such listener" in [each.text for each in route.findings]


@pytest.mark.parametrize(
    ("kind", "reason", "part"),
    [
        (ConditionType.ROUTES_READY, reasons.NOT_ACCEPTED, Part.ROUTE),
        (ConditionType.ROUTES_READY, reasons.HOSTNAME_CONFLICT, Part.NAME),
        (ConditionType.ROUTES_READY, reasons.ADDRESS_UNREACHABLE, Part.EDGE),
        (ConditionType.ROUTES_READY, reasons.WRONG_CERTIFICATE, Part.CERTIFICATE),
        (ConditionType.ROUTES_READY, reasons.PORT_CLOSED, Part.PODS),
        (ConditionType.DNS_READY, reasons.RECORD_CONFLICT, Part.RECORD),
        (ConditionType.CERTIFICATES_READY, reasons.SECRET_MISSING, Part.CERTIFICATE),
        (ConditionType.WORKLOAD_READY, reasons.UNAVAILABLE, Part.PODS),
    ],
)
def test_a_condition_goes_to_the_part_that_it_is_about(kind: ConditionType, reason: str, part: Part) -> None:
    links = {each: Link(each) for each in Part}
    _add_conditions(links, [{"type": kind, "status": "False", "reason": reason, "message": "m"}])
    assert [link.part for link in links.values() if link.findings] == [part]


def test_a_condition_does_not_repeat_a_finding() -> None:
    links = {Part.ROUTE: Link(Part.ROUTE, [Finding("route", "NotAccepted: m", reasons.NOT_ACCEPTED)])}
    again = {"type": ConditionType.ROUTES_READY, "status": "False", "reason": reasons.NOT_ACCEPTED, "message": "m"}
    _add_conditions(links, [again])
    assert len(links[Part.ROUTE].findings) == 1


def test_a_suspended_app_has_no_pods_and_that_is_well() -> None:
    found = world(space(httpCertSecretName="http"), secret("http", FQDN), http(suspend=True), **EDGE)
    pods = next(link for link in way(found).links if link.part is Part.PODS)
    assert "suspended by spec.suspend" in pods.findings[0].text
    assert Key("acme", "web") == way(found).app
