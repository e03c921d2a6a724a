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
from decco.kube.entry import Entry
from decco.probe.model import Observation, Result, Route, State, Target
from decco.probe.service import Prober
from decco.reconcilers.answers import NOT_PROBING, EdgeAnswers, Found
from decco.reconcilers.caches import Caches
from decco.reconcilers.kinds import KINDS
from decco.settings import Settings
from tests.unit.desired.app_cases import GOOD_SECRETS, SERVED, app, settings, space_inputs

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
    known: bool = False
    forgotten: list[str] = field(default_factory=list)

    def ensure(self, _uid: str, targets: Mapping[str, Target], *, group: str, token: Hashable, assumed: bool) -> State:
        assert group == "beta"
        self.targets, self.token, self.assumed = targets, token, assumed
        return self.state or State(waiting=frozenset(targets))

    def forget(self, uid: str) -> None:
        self.forgotten.append(uid)

    def knows(self, _uid: str) -> bool:
        return self.known

    def unreached(self, _address: str) -> bool:
        return False


def entry(*conditions: dict[str, Any]) -> Entry:
    obj = {"metadata": {"name": "web"}, "status": {"conditions": list(conditions)}}
    return cast("Entry", SimpleNamespace(uid="uid-web", generation=1, obj=lambda: obj))


def ask(
    verdicts: Verdicts,
    *endpoints: dict[str, Any],
    workload: dict[str, Any] | None = None,
    backend: str = "ingress",
    known: Entry | None = None,
    secrets: Any = SECRETS,
) -> Found:
    """What is found for an App with these endpoints; of an Ingress, which needs no accepted route."""
    given = settings(backend=backend, parentGateway=None) if backend == "ingress" else settings()
    inputs = replace(
        app({"endpoints": [{"port": 8080 + n, **each} for n, each in enumerate(endpoints)]}, secrets=secrets),
        settings=given,
    )
    caches = Caches(given, KINDS, SERVED)
    source = EdgeAnswers(cast("Prober", verdicts), caches)
    live = AppLive(workload=workload if workload is not None else READY)
    return source.of_app(known or entry(), inputs, app_children(inputs), live, (ADDRESS,))


DB = {"name": "db", "createDnsRecord": True}


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
    found = ask(verdicts, {"name": "a", "httpPath": "/"}, DB, backend="gateway")
    assert list(verdicts.targets) == [f"db {ADDRESS}"]
    assert found.answers.waiting[0] == "beta.decco.test"
    assert found.requeue_after == 1


def test_nothing_is_probed_before_pods_are_ready_and_all_stays_probed_later() -> None:
    starting = {**READY, "status": {}}
    verdicts = Verdicts()
    found = ask(verdicts, DB, workload=starting)
    assert verdicts.targets == {}
    assert found.answers.waiting == ("db.beta.decco.test",)
    verdicts.known = True
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


@pytest.mark.parametrize(
    ("status", "generation", "assumed"), [("True", 1, True), ("True", 0, False), ("False", 1, False)]
)
def test_what_was_ready_before_a_restart_is_assumed(status: str, generation: int, assumed: bool) -> None:
    verdicts = Verdicts()
    condition = {
        "type": "RoutesReady",
        "status": status,
        "observedGeneration": generation,
        "reason": "Reconciled",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    ask(verdicts, DB, known=entry(condition))
    assert verdicts.assumed is assumed


def test_switched_off_all_is_as_before() -> None:
    verdicts = Verdicts(enabled=False)
    assert ask(verdicts, DB) == NOT_PROBING
    assert verdicts.forgotten == ["uid-web"]


def test_without_pods_nothing_is_to_answer() -> None:
    assert ask(Verdicts(), DB, workload={**READY, "spec": {"replicas": 0}}) == NOT_PROBING


HTTPS = {"spec": {"listeners": [{"name": "http"}, {"name": "https"}]}}


def of_space(verdicts: Verdicts, listeners: dict[str, Any] | None = HTTPS, addresses: Any = (ADDRESS,)) -> Found:
    inputs = space_inputs(httpCertSecretName="http", secrets=SECRETS)
    source = EdgeAnswers(cast("Prober", verdicts), Caches(settings(), KINDS, SERVED))
    return source.of_space(entry(), inputs, listeners, addresses)


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
