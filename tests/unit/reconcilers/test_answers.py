"""Which targets an App and a Space have, and what the prober's verdicts mean for their status and records."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from decco.desired.answers import NOTHING_PROBED
from decco.desired.app import app_children
from decco.desired.app_status import AppLive
from decco.desired.gateway_status import ACCEPTED, PROGRAMMED
from decco.kube.entry import Entry
from decco.kube.store import Change
from decco.objects import HTTP_ROUTES, LISTENER_SETS, Obj
from decco.probe.model import Observation, Result, Route, State, Target
from decco.probe.service import Prober
from decco.reconcilers.answers import NOT_PROBING, EdgeAnswers, EdgeState
from decco.reconcilers.caches import Caches
from decco.reconcilers.kinds import KINDS
from decco.settings import Settings
from tests.unit.desired.app_cases import GOOD_SECRETS, SERVED, app, settings, space_inputs
from tests.unit.reconcilers.world import owned, space

ADDRESS = "192.0.2.1"
CHAIN = (b"leaf", b"issuer")
SECRETS = {
    name: replace(view, facts=replace(view.facts, chain=CHAIN)) for name, view in GOOD_SECRETS.items() if view.facts
}
READY: dict[str, Any] = {
    "metadata": {"generation": 1},
    "spec": {"replicas": 1},
    "status": {
        "observedGeneration": 1,
        **dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), 1),
        "conditions": [{"type": "Available", "status": "True"}],
    },
}


@dataclass
class Verdicts:
    """In place of a prober: keeps the targets, and answers with ``state``."""

    enabled: bool = True
    targets: Mapping[str, Target] = field(default_factory=dict)
    token: Hashable = None
    assumed: bool = False
    state: State | None = None
    known: tuple[str, ...] = ()
    forgotten: list[str] = field(default_factory=list)

    def ensure(self, _uid: str, targets: Mapping[str, Target], *, group: str, token: Hashable, assumed: bool) -> State:
        assert group == "beta"
        self.targets, self.token, self.assumed = targets, token, assumed
        return self.state or State(waiting=frozenset(targets))

    def forget(self, uid: str) -> None:
        self.forgotten.append(uid)

    def declared(self, _uid: str) -> tuple[str, ...]:
        return self.known

    def unreached(self, _address: str) -> bool:
        return False


def entry(*conditions: dict[str, Any]) -> Entry:
    obj = {"metadata": {"name": "web"}, "status": {"conditions": list(conditions)}}
    return cast("Entry", SimpleNamespace(uid="uid-web", generation=1, obj=lambda: obj))


def routes_ready(status: str = "True", generation: int = 1) -> Entry:
    condition = {
        "type": "RoutesReady",
        "status": status,
        "observedGeneration": generation,
        "reason": "Reconciled",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    return entry(condition)


def answered(route: Obj, status: str = "True", generation: int = 1) -> Obj:
    """The route with the gateway's answer about this generation of it."""
    said = {"type": ACCEPTED, "status": status, "reason": "Some", "observedGeneration": generation}
    route["status"] = {"parents": [{"parentRef": route["spec"]["parentRefs"][0], "conditions": [said]}]}
    return route


@dataclass
class Edge:
    """What the gateway says: of the Space's listeners, of its route that answers probes, and of the App's routes."""

    programmed: str | None = "True"
    guard: str | None = "True"
    route_generation: int = 1

    def caches(self) -> Caches:
        found = Caches(settings(), KINDS, SERVED)
        owner = space("beta", uid="uid-beta")
        listeners = owned(LISTENER_SETS, "decco", owner, spec={})
        if self.programmed is not None:
            said = {"type": PROGRAMMED, "status": self.programmed, "reason": "NoResources", "observedGeneration": 1}
            listeners["status"] = {"conditions": [said]}
        found.children[LISTENER_SETS].put(listeners, own=False)
        parent = {"kind": "ListenerSet", "group": "gateway.networking.k8s.io", "name": "decco", "sectionName": "https"}
        spec = {"parentRefs": [parent]}
        route = owned(HTTP_ROUTES, "decco.probe", owner, spec=spec)
        found.children[HTTP_ROUTES].put(answered(route, self.guard) if self.guard else route, own=False)
        return found


def ask(
    verdicts: Verdicts,
    *endpoints: dict[str, Any],
    workload: dict[str, Any] | None = None,
    backend: str = "ingress",
    known: Entry | None = None,
    secrets: Any = SECRETS,
    edge: Edge | None = None,
    source: EdgeAnswers | None = None,
) -> EdgeState:
    """What is found for an App with these endpoints; of an Ingress, which needs no accepted route, or by ``edge``."""
    backend = backend if edge is None else "gateway"
    given = settings(backend=backend, parentGateway=None) if backend == "ingress" else settings()
    inputs = replace(
        app({"endpoints": [{"port": 8080 + n, **each} for n, each in enumerate(endpoints)]}, secrets=secrets),
        settings=given,
    )
    caches = edge.caches() if edge is not None else Caches(given, KINDS, SERVED)
    source = source or EdgeAnswers(cast("Prober", verdicts), caches)
    desired = app_children(inputs)
    routes = {
        (child.resource.kind, child.obj["metadata"]["name"]): answered(
            {**child.obj, "metadata": {**child.obj["metadata"], "generation": edge.route_generation}}
        )
        for child in desired.children
        if edge is not None and child.resource.kind.endswith("Route")
    }
    live = AppLive(workload if workload is not None else READY, routes)
    return source.of_app(known or entry(), inputs, desired, live, (ADDRESS,))


DB = {"name": "db", "createDnsRecord": True}
HTTP = {"name": "a", "httpPath": "/"}


def test_a_tcp_endpoint() -> None:
    verdicts = Verdicts()
    found = ask(verdicts, DB)
    assert verdicts.targets == {
        f"db {ADDRESS}": Target(ADDRESS, 443, "db.beta.decco.test", CHAIN, waits_for_close=True)
    }
    assert found.answers.waiting == ("db.beta.decco.test",)
    assert found.held_back == {"db.beta.decco.test"}


def test_clients_are_to_be_asked_for_a_certificate() -> None:
    verdicts = Verdicts()
    ask(verdicts, {**DB, "verifyTcpClientCert": True})
    (target,) = verdicts.targets.values()
    assert target.requests_client_certificate


def test_a_container_with_its_own_tls_may_have_any_certificate() -> None:
    verdicts = Verdicts()
    ask(verdicts, {**DB, "disableTlsTermination": True})
    (target,) = verdicts.targets.values()
    assert target.chain == ()
    assert not target.waits_for_close


def test_a_path_is_requested_only_if_its_owner_set_it() -> None:
    verdicts = Verdicts()
    ask(verdicts, {"name": "a", "httpPath": "/a/"}, {"name": "b", "httpPath": "/b", "probePath": "/healthz"})
    assert [target.probe_path for target in verdicts.targets.values()] == [None, None, "/b/healthz"]
    assert all(target.route is None for target in verdicts.targets.values())  # Ingress


def test_no_app_is_probed_before_the_spaces_own_route_is_accepted() -> None:
    verdicts = Verdicts()
    found = ask(verdicts, HTTP, DB, edge=Edge(guard=None))
    assert list(verdicts.targets) == [f"db {ADDRESS}"]
    assert found.answers.waiting[0] == "beta.decco.test"
    ask(verdicts, HTTP, DB, edge=Edge())
    assert sorted(verdicts.targets) == [f"a {ADDRESS}", f"db {ADDRESS}"]
    assert verdicts.targets[f"a {ADDRESS}"].route is not None


def test_what_is_probed_stays_so_while_the_gateway_looks_at_the_spaces_route_again() -> None:
    verdicts = Verdicts()
    ask(verdicts, HTTP, edge=Edge())
    before = verdicts.targets
    verdicts.known = tuple(before)
    ask(verdicts, HTTP, edge=Edge(guard=None))
    assert verdicts.targets == before


def test_a_gateway_that_refuses_the_spaces_route_gets_no_request_that_could_reach_an_app() -> None:
    verdicts = Verdicts()
    ask(verdicts, {**HTTP, "probePath": "/healthz"}, edge=Edge(guard="False"))
    (target,) = verdicts.targets.values()
    assert target.route is None
    assert target.probe_path is None
    found = of_space(verdicts, edge=Edge(guard="False"))
    assert [target.route for target in verdicts.targets.values()] == [None]
    assert "refuses HTTPRoute decco.probe" in found.answers.refusal


@pytest.mark.parametrize("programmed", [None, "False"])
def test_nothing_is_probed_while_the_proxy_starts(programmed: str | None) -> None:
    verdicts = Verdicts()
    found = ask(verdicts, HTTP, DB, edge=Edge(programmed=programmed))
    assert verdicts.targets == {}
    assert sorted(found.answers.waiting) == ["beta.decco.test", "db.beta.decco.test"]
    assert of_space(verdicts, edge=Edge(programmed=programmed)).answers.waiting == ("beta.decco.test",)


def test_a_route_is_probed_when_the_gateway_has_answered_for_it() -> None:
    verdicts = Verdicts()
    found = ask(verdicts, HTTP, edge=Edge(route_generation=2))
    assert verdicts.targets == {}
    assert found.answers.waiting == ("beta.decco.test",)


# -- the start of a new version ---------------------------------------------------------------------------------------

NEW_VERSION = {
    "the Space's route is new": Edge(guard=None),
    "the App's route is written again": Edge(route_generation=2),
    "both": Edge(guard=None, route_generation=2),
}


@pytest.mark.parametrize("what", NEW_VERSION)
def test_an_app_that_was_ready_stays_so_while_the_gateway_takes_new_routes_over(what: str) -> None:
    verdicts, edge = Verdicts(), NEW_VERSION[what]
    source = EdgeAnswers(cast("Prober", verdicts), edge.caches())
    for _ in range(2):
        found = ask(verdicts, HTTP, DB, edge=edge, known=routes_ready(), source=source)
        assert found.answers == NOTHING_PROBED
        assert found.former is (edge.route_generation == 2)
        assert found.held_back == {"beta.decco.test", "db.beta.decco.test"}
    assert verdicts.targets == {}
    source = EdgeAnswers(cast("Prober", verdicts), Edge().caches())
    assert not ask(verdicts, HTTP, DB, edge=Edge(), known=routes_ready(), source=source).former
    assert len(verdicts.targets) == 2
    assert verdicts.assumed  # so they are probed in their slots


@pytest.mark.parametrize("known", [entry(), routes_ready("False"), routes_ready(generation=0)])
def test_an_app_that_was_not_ready_waits(known: Entry) -> None:
    found = ask(Verdicts(), HTTP, edge=Edge(route_generation=2), known=known)
    assert not found.former
    assert found.answers.waiting == ("beta.decco.test",)


def test_what_was_known_once_is_not_assumed_again() -> None:
    source = EdgeAnswers(cast("Prober", Verdicts(enabled=False)), Edge().caches())
    off = Verdicts(enabled=False)
    assert not ask(off, HTTP, edge=Edge(), known=routes_ready(), source=source).former
    assert not ask(off, HTTP, edge=Edge(route_generation=2), known=routes_ready(), source=source).former
    source._gone(Change(cast("Entry", SimpleNamespace(uid="uid-web")), None, own=False, initial=False))
    assert ask(off, HTTP, edge=Edge(route_generation=2), known=routes_ready(), source=source).former


def test_a_space_that_was_ready_stays_so_until_its_new_route_is_accepted() -> None:
    verdicts = Verdicts()
    assert of_space(verdicts, known=routes_ready(), edge=Edge(guard=None)) == NOT_PROBING
    assert of_space(verdicts, edge=Edge(guard=None)).answers.waiting == ("beta.decco.test",)
    assert verdicts.targets == {}
    of_space(verdicts, known=routes_ready())
    assert list(verdicts.targets) == [f"https {ADDRESS}"]
    assert verdicts.assumed


# -- restarts and switches --------------------------------------------------------------------------------------------


def test_nothing_is_probed_before_pods_are_ready_and_all_stays_probed_later() -> None:
    starting = {**READY, "status": {}}
    verdicts = Verdicts()
    found = ask(verdicts, DB, workload=starting)
    assert verdicts.targets == {}
    assert found.answers.waiting == ("db.beta.decco.test",)
    verdicts.known = (f"db {ADDRESS}",)
    ask(verdicts, DB, workload=starting)
    assert list(verdicts.targets) == [f"db {ADDRESS}"]


def test_no_certificate_no_probe_and_no_new_record() -> None:
    verdicts = Verdicts()
    found = ask(verdicts, DB, secrets={})
    assert verdicts.targets == {}
    assert found.answers == NOTHING_PROBED
    assert found.held_back == {"db.beta.decco.test"}


@pytest.mark.parametrize("state", ["answered", "unreached"])
def test_a_record_is_created_after_the_answer_or_where_none_can_be_seen(state: str) -> None:
    found = ask(Verdicts(state=State(**{state: frozenset({f"db {ADDRESS}"})})), DB)
    assert found.held_back == frozenset()
    assert found.answers.failed == ()
    assert found.answers.unreached == ((ADDRESS,) if state == "unreached" else ())


def test_a_failure_has_what_the_caches_contain() -> None:
    seen = Observation(Result.CLOSED, "the connection is closed")
    found = ask(Verdicts(state=State(failed={f"db {ADDRESS}": seen})), DB)
    (answer,) = found.answers.failed
    assert (answer.endpoint, answer.server_name, answer.address) == ("db", "db.beta.decco.test", ADDRESS)
    assert (answer.result, answer.tcp, answer.service, answer.ready_pods) == ("closed", True, False, True)


def test_names_without_a_good_answer_are_silent_and_fail_where_every_address_does() -> None:
    seen, key, name = Observation(Result.CLOSED, "closed"), f"db {ADDRESS}", "db.beta.decco.test"
    for state, silent, failing in (
        (State(failed={key: seen}), {name}, {name}),
        (State(waiting=frozenset({key})), {name}, set()),
        (State(answered=frozenset({key})), set(), set()),
        (State(unreached=frozenset({key})), set(), set()),
    ):
        found = ask(Verdicts(state=state), DB)
        assert (found.silent, found.failing) == (silent, failing)


@pytest.mark.parametrize(
    ("status", "generation", "assumed"), [("True", 1, True), ("True", 0, False), ("False", 1, False)]
)
def test_what_was_ready_before_a_restart_is_assumed(status: str, generation: int, assumed: bool) -> None:
    verdicts = Verdicts()
    ask(verdicts, DB, known=routes_ready(status, generation))
    assert verdicts.assumed is assumed


def test_switched_off_all_is_as_before() -> None:
    verdicts = Verdicts(enabled=False)
    assert ask(verdicts, DB) == NOT_PROBING
    assert verdicts.forgotten == ["uid-web"]


def test_without_pods_nothing_is_to_answer() -> None:
    assert ask(Verdicts(), DB, workload={**READY, "spec": {"replicas": 0}}) == NOT_PROBING


HTTPS = {"spec": {"listeners": [{"name": "http"}, {"name": "https"}]}}


def of_space(
    verdicts: Verdicts,
    listeners: dict[str, Any] | None = HTTPS,
    addresses: Any = (ADDRESS,),
    *,
    known: Entry | None = None,
    edge: Edge | None = None,
) -> EdgeState:
    inputs = space_inputs(httpCertSecretName="http", secrets=SECRETS)
    source = EdgeAnswers(cast("Prober", verdicts), (edge or Edge()).caches())
    return source.of_space(known or entry(), inputs, listeners, addresses)


def test_a_space_has_its_own_route_as_target() -> None:
    verdicts = Verdicts()
    found = of_space(verdicts)
    route = Route("/.well-known/decco-probe", "none.decco-probe.invalid")
    assert verdicts.targets == {f"https {ADDRESS}": Target(ADDRESS, 443, "beta.decco.test", CHAIN, route=route)}
    assert found.answers.waiting == ("beta.decco.test",)
    seen = Observation(Result.ALERT, "TLS alert internal_error")
    (failed,) = of_space(Verdicts(state=State(failed={f"https {ADDRESS}": seen}))).answers.failed
    assert (failed.endpoint, failed.result, failed.detail) == ("https", "alert", seen.detail)


@pytest.mark.parametrize("listeners", [None, {"spec": {"listeners": [{"name": "http"}]}}])
def test_a_space_without_an_https_listener_has_no_target(listeners: dict[str, Any] | None) -> None:
    verdicts = Verdicts()
    assert of_space(verdicts, listeners).answers == NOTHING_PROBED
    assert verdicts.targets == {}


@pytest.mark.parametrize("addresses", [(), None])
def test_a_space_without_an_edge_is_not_probed(addresses: Any) -> None:
    assert of_space(Verdicts(), addresses=addresses) == NOT_PROBING


def test_the_settings_of_the_prober_have_defaults() -> None:
    assert Settings().probe.interval_seconds == 300
