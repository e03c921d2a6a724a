"""What a pause does not keep: other Spaces' names, ports that are open to a former project."""

from __future__ import annotations

from typing import Any

import pytest

from decco.api.types import SpaceSpec
from decco.desired.claims import GrantIndex, claimed
from decco.desired.closing import (
    closed_listeners,
    closed_namespace,
    closed_policy,
    lost_claims,
    lost_names,
    serves,
)
from decco.desired.grants import Grant, Record, record_text
from decco.desired.model import SpaceFacts
from decco.objects import ANNOTATION_HOSTNAMES, LABEL_MONITORING, LABEL_PROJECT, LISTENER_SETS, Obj
from decco.settings import EdgeSettings

PORTS = [{"protocol": "TCP", "port": 20001}]
MONITORING = {"from": [{"namespaceSelector": {"matchLabels": {LABEL_MONITORING: "true"}}}], "ports": PORTS}
EDGE = EdgeSettings(namespace="edge")


def space(
    *, paused: bool = True, hostnames: tuple[str, ...] = (), transfers: dict[str, str] | None = None, **spec: Any
) -> SpaceFacts:
    given = SpaceSpec(domain_name="example.net", hostnames=hostnames, **spec)
    return SpaceFacts("acme", "u", 1, "2026-01-01T00:00:00Z", given, paused=paused, transfers=transfers or {})


def of_project(project: str) -> Obj:
    edge = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}}
    return {"from": [{"namespaceSelector": {"matchLabels": {LABEL_PROJECT: project}}}, edge], "ports": PORTS}


def policy(*rules: Obj) -> Obj:
    return {"spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": list(rules)}}


@pytest.mark.parametrize("before", [{"ports": PORTS}, of_project("former")])
def test_a_port_is_closed_to_all_but_the_project(before: Obj) -> None:
    live = policy(before, MONITORING)
    closed = closed_policy(live, space(project="bank"), "web", "u", EDGE)
    assert closed is not None
    assert closed.obj["spec"] == {**live["spec"], "ingress": [of_project("bank"), MONITORING]}
    assert closed.obj["metadata"]["name"] == "app-web"


def test_a_port_is_not_opened_and_what_is_right_is_not_written() -> None:
    assert closed_policy(policy(of_project("bank"), MONITORING), space(project="bank"), "web", "u", EDGE) is None
    assert closed_policy(policy(of_project("bank")), space(), "web", "u", EDGE) is None


def index(given: SpaceFacts, *claims: str) -> GrantIndex:
    found = GrantIndex()
    found.set_claims("acme", claimed(given))
    found.record("acme", Record({claim: Grant("2026-01-01T00:00:00Z", 1) for claim in claims}))
    return found


def test_a_name_that_is_transferred_is_lost() -> None:
    given = space(hostnames=("shop.test",))
    held = index(given, ".acme.example.net", "shop.test")
    assert lost_claims(held, given) == set()
    receiver = SpaceFacts(
        "other",
        "v",
        1,
        "2026-01-02T00:00:00Z",
        SpaceSpec(domain_name="example.org", hostnames=("shop.test",)),
        transfers={"shop.test": "acme"},
    )
    held.set_claims("other", claimed(receiver))
    assert lost_claims(held, given) == {"shop.test"}
    names = ["db.acme.example.net", "SHOP.test", "x.test"]
    assert lost_names(held, given, names) == {"shop.test", "x.test"}


@pytest.mark.parametrize(("paused", "lost"), [(True, set()), (False, {"shop.test"})])
def test_an_edit_of_a_paused_space_has_no_effect_yet(paused: bool, lost: set[str]) -> None:
    """A paused App of a Space that is not paused loses what the Space gave up."""
    given = space(paused=paused)
    held = index(given, ".acme.example.net", "shop.test")
    assert lost_claims(held, given) == lost
    assert lost_names(held, given, ["shop.test", "acme.example.net"]) == lost


@pytest.mark.parametrize(
    ("claim", "text", "found"),
    [
        (".acme.example.net", '"db.acme.example.net"', True),
        (".acme.example.net", '"*.acme.example.net"', True),
        (".acme.example.net", "HostSNI(`acme.example.net`)", True),
        (".acme.example.net", '"notacme.example.net"', False),
        (".acme.example.net", '"acme.example.net.evil.test"', False),
        ("shop.test", '"shop.test"', True),
        ("shop.test", '"db.shop.test"', False),
        ("shop.test", '"*.shop.test"', False),
        ("*.shop.test", '"*.shop.test"', True),
        # Names of listeners are not names that they serve.
        ("*.shop.test", '{"hostname":"www.shop.test","name":"https-www.shop.test"}', True),
        ("*.shop.test", '{"hostname":"*.eu.shop.test","name":"any-https-eu.shop.test"}', False),
        ("*.shop.test", '{"name":"decco","sectionName":"tls-db.shop.test"}', False),
        ("*.shop.test", r'"{\"name\":\"decco\",\"sectionName\":\"tls-db.shop.test\"}"', False),
        ("*.shop.test", '{"hostnames":["https-www.shop.test"]}', True),
    ],
)
def test_serves(claim: str, text: str, found: bool) -> None:
    assert serves(text.encode(), [claim]) is found


def test_listeners_of_lost_names_go() -> None:
    live = {
        "spec": {
            "parentRef": {"name": "x"},
            "listeners": [{"hostname": "shop.test"}, {"hostname": "*.acme.example.net"}],
        }
    }
    closed = closed_listeners(LISTENER_SETS, live, space(), ["shop.test"])
    assert closed is not None
    assert closed.obj["spec"] == {"parentRef": {"name": "x"}, "listeners": [{"hostname": "*.acme.example.net"}]}
    assert closed_listeners(LISTENER_SETS, live, space(), ["shop.test", ".acme.example.net"]) is None


def test_the_namespace_follows_project_and_grants_only() -> None:
    record = record_text({"shop.test": Grant("2026-01-01T00:00:00Z", 1)})
    live = {"metadata": {"labels": {LABEL_PROJECT: "former"}, "annotations": {ANNOTATION_HOSTNAMES: record}}}
    assert closed_namespace(live, space(project="former", podSecurity="restricted"), record) is None
    left = closed_namespace(live, space(), record)
    assert left is not None
    assert left.obj["metadata"]["labels"][LABEL_PROJECT] is None
    given_up = closed_namespace(live, space(project="former"), "")
    assert given_up is not None
    assert given_up.obj["metadata"]["annotations"] == {ANNOTATION_HOSTNAMES: None}
