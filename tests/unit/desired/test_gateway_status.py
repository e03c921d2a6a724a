"""Which conditions of the Gateway API count: of this generation, for this parent, by the controller of its class."""

from __future__ import annotations

from typing import Any

import pytest

from decco.desired.gateway_status import (
    PROGRAMMED,
    ParentGateway,
    current,
    is_programmed,
    is_true,
    parent_gateway,
    policy_problem,
    refusals,
    route_problem,
)
from decco.desired.model import Child
from decco.objects import BACKEND_TLS_POLICIES, GATEWAY_GROUP, HTTP_ROUTES, INGRESSES, Obj, Resource
from tests.unit.desired.app_cases import settings

OURS, FOREIGN = "envoy.example/controller", "other.example/controller"
OWN = settings(parentGateway=None).routing
SHARED = settings().routing
KINDS = {"own": (OWN, "Gateway"), "shared": (SHARED, "ListenerSet")}


def condition(type_: str = "Accepted", status: str = "True", generation: int = 2) -> Obj:
    return {"type": type_, "status": status, "reason": "Some", "message": "text", "observedGeneration": generation}


REFUSED = condition(status="False")


def parent(*conditions: Obj, controller: str = OURS, **ref: Any) -> Obj:
    reference = {"group": GATEWAY_GROUP, "kind": "Gateway", "name": "decco", "sectionName": "https", **ref}
    return {"parentRef": reference, "controllerName": controller, "conditions": list(conditions)}


def route(*parents: Obj, kind: str = "Gateway") -> Obj:
    reference = {"group": GATEWAY_GROUP, "kind": kind, "name": "decco", "sectionName": "https"}
    return {
        "metadata": {"name": "web", "namespace": "acme", "generation": 2},
        "spec": {"parentRefs": [reference]},
        "status": {"parents": list(parents)},
    }


def reason_of(obj: Obj, resource: Resource = HTTP_ROUTES, gateway: ParentGateway | None = None) -> str | None:
    problem = route_problem(Child(resource, obj), obj, gateway or parent_gateway(OWN, "acme", OURS))
    return problem.reason if problem is not None else None


@pytest.mark.parametrize(
    ("parents", "want"),
    [
        ([parent(condition())], None),
        ([parent(condition(), controller=FOREIGN)], "WaitingForEdge"),
        ([parent(REFUSED, controller=FOREIGN)], "WaitingForEdge"),
        ([parent(REFUSED, controller=FOREIGN), parent(condition())], None),
        ([parent(condition(), controller=FOREIGN), parent(REFUSED)], "NotAccepted"),
        ([parent(condition(), controller="")], "WaitingForEdge"),
        ([parent(condition(), namespace="acme")], None),
        ([parent(condition(), namespace="other")], "WaitingForEdge"),
        ([parent(condition(), group="example.com")], "WaitingForEdge"),
        ([parent(condition(), kind="ListenerSet")], "WaitingForEdge"),
        ([parent(condition(), name="other")], "WaitingForEdge"),
        ([parent(condition(), sectionName="http")], "WaitingForEdge"),
        ([parent(condition(generation=1))], "WaitingForEdge"),
        ([parent(condition("Accepted"), condition("ResolvedRefs", "False", generation=1))], None),
        ([parent({"type": "Accepted", "status": "True"})], None),
        ([{"conditions": [condition()]}], "WaitingForEdge"),
        ([], "WaitingForEdge"),
    ],
    ids=[
        "in effect",
        "accepted by a foreign controller only",
        "refused by a foreign controller only",
        "refused by a foreign controller, accepted by ours",
        "accepted by a foreign controller, refused by ours",
        "nobody's",
        "the namespace is written out",
        "a Gateway of this name elsewhere",
        "another group",
        "another kind",
        "another name",
        "another listener",
        "about an earlier generation",
        "refused in an earlier generation",
        "no generation",
        "no parent",
        "no answer",
    ],
)
def test_conditions_on_a_route(parents: list[Obj], want: str | None) -> None:
    assert reason_of(route(*parents)) == want


def test_while_the_class_is_not_known_every_controller_counts() -> None:
    unknown = parent_gateway(OWN, "acme", None)
    assert reason_of(route(parent(condition(), controller=FOREIGN)), gateway=unknown) is None
    assert reason_of(route(parent(REFUSED, controller=FOREIGN)), gateway=unknown) == "NotAccepted"
    assert reason_of(route(parent(condition(), name="other")), gateway=unknown) == "WaitingForEdge"


def test_a_route_of_a_listener_set() -> None:
    gateway = parent_gateway(SHARED, "acme", OURS)
    assert reason_of(route(parent(condition(), kind="ListenerSet"), kind="ListenerSet"), gateway=gateway) is None
    foreign = route(parent(condition(), kind="ListenerSet", controller=FOREIGN), kind="ListenerSet")
    assert reason_of(foreign, gateway=gateway) == "WaitingForEdge"


def policy(controller: str = OURS, **ref: Any) -> Obj:
    entry = {"ancestorRef": ref, "controllerName": controller, "conditions": [REFUSED]}
    return {
        "metadata": {"name": "web", "namespace": "acme", "generation": 2},
        "spec": {},
        "status": {"ancestors": [entry]},
    }


@pytest.mark.parametrize("backend", KINDS)
@pytest.mark.parametrize(
    ("ref", "counts"),
    [
        ({"name": "decco"}, True),
        ({"name": "decco", "sectionName": "https"}, True),
        ({"name": "decco", "namespace": "other"}, False),
        ({"name": "another"}, False),
        ({"kind": "Service", "group": "", "name": "web"}, True),
    ],
    ids=["ours", "one of our listeners", "a Gateway of this name elsewhere", "another Gateway", "of another kind"],
)
def test_a_refused_policy_counts_for_our_gateway(backend: str, ref: dict[str, str], counts: bool) -> None:
    routing, kind = KINDS[backend]
    gateway = parent_gateway(routing, "acme", OURS)
    want = "NotAccepted" if counts else None
    assert reason_of(policy(**{"kind": kind, **ref}), BACKEND_TLS_POLICIES, gateway) == want
    assert reason_of(policy(FOREIGN, **{"kind": kind, **ref}), BACKEND_TLS_POLICIES, gateway) is None


@pytest.mark.parametrize(
    ("ref", "want"),
    [
        ({"name": "shared", "namespace": "edge"}, "NotAccepted"),
        ({"name": "shared"}, None),
        ({"name": "decco"}, None),
    ],
)
def test_a_policy_may_name_the_shared_gateway(ref: dict[str, str], want: str | None) -> None:
    assert reason_of(policy(**ref), BACKEND_TLS_POLICIES, parent_gateway(SHARED, "acme", OURS)) == want


def test_kinds_without_a_status_are_in_effect() -> None:
    assert reason_of(route(), INGRESSES) is None


def test_an_earlier_generation_counts_only_where_it_is_asked_for() -> None:
    obj = route(parent(condition(generation=1)))
    gateway = parent_gateway(OWN, "acme", OURS)
    assert reason_of(obj) == "WaitingForEdge"
    assert route_problem(Child(HTTP_ROUTES, obj), obj, gateway, former=True) is None
    for other in (route(), route(parent(condition(generation=1), controller=FOREIGN))):
        problem = route_problem(Child(HTTP_ROUTES, other), other, gateway, former=True)
        assert problem is not None
        assert problem.reason == "WaitingForEdge"


@pytest.mark.parametrize(
    ("status", "reason", "want"),
    [
        ("True", "Programmed", True),
        ("False", "Pending", False),
        ("False", "AddressNotAssigned", False),
        ("False", "NoResources", False),
        ("False", "Invalid", True),
        (None, "", False),
    ],
)
def test_whether_the_listeners_are_served(status: str | None, reason: str, want: bool) -> None:
    conditions = [] if status is None else [{**condition(PROGRAMMED, status), "reason": reason}]
    assert is_programmed({"metadata": {"generation": 2}, "status": {"conditions": conditions}}) is want
    assert not is_programmed({"metadata": {"generation": 3}, "status": {"conditions": conditions}})


def test_conditions_of_the_object_and_of_a_part_of_it() -> None:
    part = {"conditions": [condition("Programmed", "False"), condition("Accepted", "False", generation=1)]}
    obj = {"metadata": {"generation": 2}, "status": {"conditions": [condition(), condition("Programmed")]}}
    assert is_true(current(obj), "Accepted", "Programmed")
    assert not is_true(current(obj), "ResolvedRefs")
    assert [each["type"] for each in refusals(current(obj, part))] == ["Programmed"]
    assert list(refusals(current(obj))) == []
    assert current({"metadata": {}}) == {}


def envoy_policy(*ancestors: Obj) -> Obj:
    meta = {"name": "decco.limits", "namespace": "acme", "generation": 2}
    return {"kind": "SecurityPolicy", "metadata": meta, "status": {"ancestors": list(ancestors)}}


def ancestor(*conditions: Obj, controller: str = OURS, **ref: Any) -> Obj:
    reference = {"group": GATEWAY_GROUP, "kind": "ListenerSet", "name": "decco", "namespace": "acme", **ref}
    return {"ancestorRef": reference, "controllerName": controller, "conditions": list(conditions)}


@pytest.mark.parametrize(
    ("ancestors", "want"),
    [
        ([], "WaitingForEdge"),
        ([ancestor(condition())], None),
        ([ancestor(condition(), sectionName="https"), ancestor(REFUSED, sectionName="tls")], "NotAccepted"),
        ([ancestor(condition(generation=1))], "WaitingForEdge"),
        ([ancestor(condition(status="False", generation=1))], "WaitingForEdge"),
        ([ancestor(condition(), controller=FOREIGN)], "WaitingForEdge"),
        ([ancestor(condition(), name="other")], "WaitingForEdge"),
    ],
)
def test_a_policy_of_the_edge_counts_once_it_is_accepted(ancestors: list[Obj], want: str | None) -> None:
    problem = policy_problem(envoy_policy(*ancestors), parent_gateway(SHARED, "acme", OURS))
    assert (problem.reason if problem is not None else None) == want
