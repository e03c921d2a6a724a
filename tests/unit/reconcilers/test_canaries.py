"""What an App and its canaries know of each other, and which events reach the other one."""

from __future__ import annotations

from typing import Any

import pytest

from decco.desired.shares import Canary, HttpEndpoint
from decco.objects import BACKEND_TLS_POLICIES, DEPLOYMENTS, HTTP_ROUTES, INGRESSES, SERVICES, Key, Obj
from decco.reconcilers.canaries import canaries_of, primary_of
from decco.reconcilers.facts import app_facts
from tests.unit.reconcilers.test_event_handlers import Harness
from tests.unit.reconcilers.world import app, facts_of, owned, space

ACME = space("acme", httpCertSecretName="http", age=50)
MAIN = app("main", "acme", {"name": "main", "httpPath": "/"}, age=40)
NEXT = app("next", "acme", {"name": "next", "httpPath": "/", "port": 8080}, age=30, canaryOf="main", weight=5)
LATE = app("late", "acme", {"name": "late", "httpPath": "/"}, age=20, canaryOf="main", weight=1)
READY: Obj = {"readyReplicas": 1}
SERVICE = owned(SERVICES, "next", NEXT, spec={"ports": []})
MAIN_KEY, NEXT_KEY = Key("acme", "main"), Key("acme", "next")


def workload(**status: Any) -> Obj:
    return owned(DEPLOYMENTS, "next", NEXT, spec={"replicas": 1}, status=status)


def route(*backends: str, uid_of: Obj = MAIN) -> Obj:
    return owned(HTTP_ROUTES, "main", uid_of, spec={"rules": [{"backendRefs": [{"name": each} for each in backends]}]})


def ingress(name: str, service: str = "", uid_of: Obj = MAIN) -> Obj:
    paths = [{"path": "/", "backend": {"service": {"name": service or name}}}]
    return owned(INGRESSES, name, uid_of, spec={"rules": [{"host": "a.example.net", "http": {"paths": paths}}]})


@pytest.fixture
def harness() -> Harness:
    """A primary and two canaries, of which the older one is complete."""
    harness = Harness()
    harness.put(ACME, LATE, NEXT, MAIN, workload(**READY), SERVICE, route("main", "next"))
    harness.quiet()
    return harness


def canaries(harness: Harness, *, simulated: bool = False) -> tuple[Canary, ...]:
    return canaries_of(harness.caches, MAIN_KEY, facts_of(harness.caches, "acme"), simulated=simulated)


def test_the_canaries_of_an_app_are_in_order_of_age(harness: Harness) -> None:
    endpoint = HttpEndpoint("next", "/", 80)
    assert canaries(harness)[0] == Canary("next", 5, (endpoint,), serving=True, uid=NEXT["metadata"]["uid"])
    assert [(each.name, each.serving) for each in canaries(harness)] == [("next", True), ("late", False)]


def test_the_path_of_a_canary_is_not_contested(harness: Harness) -> None:
    for obj in (MAIN, NEXT, LATE):
        facts = app_facts(obj)
        assert harness.caches.index.taken(Key("acme", obj["metadata"]["name"]), facts, "acme.example.net") == {}


@pytest.mark.parametrize(
    "what",
    [
        lambda harness: harness.change(workload(), status={}),
        lambda harness: harness.drop(workload()),
        lambda harness: harness.drop(SERVICE),
        lambda harness: harness.change(NEXT, meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
    ],
    ids=["no ready pod", "no workload", "no Service", "in deletion"],
)
def test_a_canary_that_cannot_answer_gets_nothing_and_its_primary_hears_of_it(harness: Harness, what: Any) -> None:
    what(harness)
    assert not canaries(harness)[0].serving
    assert str(MAIN_KEY) in harness.apps


def test_a_workload_of_somebody_else_does_not_count(harness: Harness) -> None:
    harness.drop(workload())
    harness.put(owned(DEPLOYMENTS, "next", LATE, spec={}, status=READY))
    assert not canaries(harness)[0].serving


def test_with_encrypt_http_the_edge_needs_the_policy(harness: Harness) -> None:
    harness.change(ACME, spec={"encryptHttp": True})
    assert not canaries(harness)[0].serving
    harness.quiet()
    harness.put(owned(BACKEND_TLS_POLICIES, "next", NEXT, spec={}))
    found = canaries(harness)[0]
    assert (found.serving, found.endpoints[0].service_port) == (True, 443)
    assert str(MAIN_KEY) in harness.apps


def test_without_a_cluster_a_canary_counts_as_ready(harness: Harness) -> None:
    harness.drop(workload())
    assert canaries(harness, simulated=True)[0].serving


@pytest.mark.parametrize("spec", [{"suspend": True}, {"replicas": 0}, {"initialReplicas": 0}, {"replicas": 1}])
def test_without_a_cluster_a_canary_without_pods_gets_nothing(harness: Harness, spec: Obj) -> None:
    harness.drop(workload())
    harness.change(NEXT, spec=spec)
    assert canaries(harness, simulated=True)[0].serving == (spec == {"replicas": 1})


@pytest.mark.parametrize("status", [{}, {"status": {}}, {"status": READY}], ids=["none", "empty", "of before"])
def test_a_simulated_workload_without_pods_gets_nothing(harness: Harness, status: Obj) -> None:
    harness.drop(workload())
    harness.put(owned(DEPLOYMENTS, "next", NEXT, spec={"replicas": 0}, **status))
    assert not canaries(harness, simulated=True)[0].serving


def test_what_a_canary_knows_of_its_primary(harness: Harness) -> None:
    space_facts, facts = facts_of(harness.caches, "acme"), app_facts(NEXT)
    found = primary_of(harness.caches, NEXT_KEY, facts, space_facts, simulated=False)
    assert found is not None
    assert found.carried == {"main", "next"}
    assert found.endpoints == (HttpEndpoint("main", "/", 80),)
    harness.put(route("main", uid_of=LATE))
    again = primary_of(harness.caches, NEXT_KEY, facts, space_facts, simulated=False)
    assert again is not None
    assert again.carried == frozenset()
    harness.drop(MAIN)
    assert primary_of(harness.caches, NEXT_KEY, facts, space_facts, simulated=False) is None


def test_an_ingress_has_a_canary_as_well(harness: Harness) -> None:
    """In an Ingress of its own beside that of the primary."""
    space_facts, facts = facts_of(harness.caches, "acme"), app_facts(NEXT)
    harness.drop(route("main", "next"))
    harness.put(ingress("main"), ingress("main.canary", "next"), ingress("other", "late", uid_of=LATE))
    found = primary_of(harness.caches, NEXT_KEY, facts, space_facts, simulated=False)
    assert found is not None
    assert found.carried == {"main", "next"}
    harness.quiet()
    harness.drop(ingress("main.canary", "next"))
    assert {"acme/next", "acme/late"} <= harness.apps


@pytest.mark.parametrize(
    ("what", "want"),
    [
        (lambda harness: harness.change(NEXT, spec={"weight": 6}), {"acme/main", "acme/next", "acme/late"}),
        (lambda harness: harness.change(NEXT, spec={"canaryOf": "other"}), {"acme/main", "acme/late", "acme/other"}),
        (lambda harness: harness.drop(MAIN), {"acme/main", "acme/next", "acme/late"}),
        (lambda harness: harness.put(route("main"), own=True), {"acme/next", "acme/late"}),
        (lambda harness: harness.put(route("main", "next"), own=True), set()),
        (lambda harness: harness.put(workload(readyReplicas=2), own=True), set()),
    ],
    ids=["a weight", "another primary", "no primary", "the route without it", "the same route", "another ready pod"],
)
def test_who_hears_of_it(harness: Harness, what: Any, want: set[str]) -> None:
    what(harness)
    assert want <= harness.apps
    assert harness.apps <= want | {"acme/next", "acme/main"}


def test_nothing_is_remembered_of_a_canary_that_is_gone(harness: Harness) -> None:
    harness.drop(NEXT)
    harness.drop(LATE)
    assert harness.caches.index.canaries(MAIN_KEY) == []
