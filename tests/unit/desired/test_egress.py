from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from decco.desired.egress import ResolvedEgress, resolve_egresses
from decco.desired.endpoints import resolve
from decco.desired.model import AppInputs, EgressTarget, Problem, SecretState
from decco.desired.network import may_connect
from decco.settings import Settings
from tests.unit.desired.app_cases import app, secret, space_facts

TARGETS = {
    ("beta", "db"): EgressTarget("db.beta.svc", 443, "db.beta.decco.test"),
    ("gamma", "db"): EgressTarget("db.gamma.svc", 5432, "sql.example.com"),
}


def egresses(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"endpoints": [], "tlsEgresses": list(items), **more}


def found(inputs: AppInputs) -> tuple[ResolvedEgress, ...]:
    return resolve_egresses(inputs, resolve(inputs))[0]


def problems_of(inputs: AppInputs) -> list[str]:
    return [problem.reason for problem in resolve_egresses(inputs, resolve(inputs))[1]]


@pytest.mark.parametrize(
    ("item", "want"),
    [
        ({"fqdn": "api.example.com"}, EgressTarget("api.example.com.", 443, "api.example.com")),
        ({"fqdn": "api.example.com", "targetPort": 8443}, EgressTarget("api.example.com.", 8443, "api.example.com")),
        ({"endpoint": "db"}, EgressTarget("db.beta.svc.cluster.local.", 443, "db.beta.decco.test")),
        # The port of a target by endpoint is the port of its Service, whatever the egress says.
        (
            {"endpoint": "db", "spaceName": "gamma", "targetPort": 1},
            EgressTarget("db.gamma.svc.cluster.local.", 5432, "sql.example.com"),
        ),
    ],
)
def test_targets(item: dict[str, Any], want: EgressTarget) -> None:
    (egress,) = found(app(egresses({"localPort": 5432, **item}), targets=TARGETS))
    assert egress == ResolvedEgress(5432, want, "tcp", system_ca=False, verify=True)


@pytest.mark.parametrize(
    ("fqdn", "host"),
    [
        ("github.com", "github.com."),
        ("db.gamma", "db.gamma."),  # may be a public name: only the target by endpoint or the whole name is a Service
        ("db", "db.beta.svc.k8s.example."),
        ("db.gamma.svc", "db.gamma.svc.k8s.example."),
        ("db.gamma.svc.k8s.example", "db.gamma.svc.k8s.example."),
        ("localhost", "localhost"),
        ("localhost.com", "localhost.com."),
        ("alias.example.com", "alias.example.com"),
    ],
)
def test_the_name_to_resolve_does_not_depend_on_the_search_path(fqdn: str, host: str) -> None:
    pod = {"containers": [{"name": "c"}], "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["Alias.example.com"]}]}
    inputs = replace(
        app(egresses({"localPort": 5432, "fqdn": fqdn}, pod=pod)),
        settings=Settings.model_validate({"clusterDomain": "k8s.example"}),
    )
    (egress,) = found(inputs)
    assert egress.target == EgressTarget(host, 443, fqdn)


def test_a_target_that_is_not_there_keeps_its_port_and_leads_nowhere() -> None:
    inputs = app(egresses({"localPort": 5432, "endpoint": "gone", "spaceName": "gamma"}), targets=TARGETS)
    (egress,) = found(inputs)
    assert (egress.local_port, egress.target) == (5432, None)
    assert problems_of(inputs) == ["EgressTargetNotFound"]
    assert "endpoint gone of Space gamma" in resolve_egresses(inputs, resolve(inputs))[1][0].message


@pytest.mark.parametrize(
    ("item", "space", "view", "want"),
    [
        ({}, {}, secret("tcp"), ("tcp", False)),
        ({"certAndCaSecretName": "own"}, {}, secret("own"), ("own", False)),
        ({}, {"tcpCertAndCaSecretName": None}, secret("tcp"), (None, True)),
        ({}, {}, secret("tcp", has_ca=False), ("tcp", True)),
        ({}, {}, secret("tcp", SecretState.MISSING), ("tcp", False)),
        ({}, {}, secret("tcp", has_ca=False, problem=Problem("SecretInvalid", "half a key")), ("tcp", False)),
    ],
    ids=[
        "the Space's Secret",
        "its own Secret",
        "no Secret: the system's authorities",
        "a Secret without ca.crt: the system's authorities",
        "a missing Secret does not widen the trust",
        "a broken Secret does not widen the trust",
    ],
)
def test_certificate_and_trust(
    item: dict[str, Any], space: dict[str, Any], view: Any, want: tuple[str | None, bool]
) -> None:
    (egress,) = found(app(egresses({"localPort": 1, "fqdn": "x.test", **item}), space=space, secrets={view.name: view}))
    assert (egress.secret, egress.system_ca) == want


def test_verification_can_be_turned_off() -> None:
    (egress,) = found(app(egresses({"localPort": 1, "fqdn": "x.test", "disableServerCertVerification": True})))
    assert not egress.verify


@pytest.mark.parametrize("pod", [True, False], ids=["a declared port", "an endpoint's port"])
def test_a_port_that_a_container_listens_on_is_left_out(pod: bool) -> None:
    if pod:
        inputs = app(egresses({"localPort": 8080, "fqdn": "x.test"}))
    else:
        inputs = app(
            {
                "pod": {"containers": [{"name": "a"}]},
                "endpoints": [{"name": "e", "port": 9000}],
                "tlsEgresses": [{"localPort": 8080, "fqdn": "x.test"}, {"localPort": 9001, "fqdn": "x.test"}],
            }
        )
        inputs = app(inputs.spec.model_copy(update={"tls_egresses": (_port(inputs, 9000), _port(inputs, 9001))}))
    assert [egress.local_port for egress in found(inputs)] == ([] if pod else [9001])
    assert problems_of(inputs) == ["EgressPortConflict"]


def _port(inputs: AppInputs, port: int) -> Any:
    return inputs.spec.tls_egresses[0].model_copy(update={"local_port": port})


def test_of_two_egresses_at_one_port_the_first_stays() -> None:
    inputs = app(egresses({"localPort": 1, "fqdn": "x.test"}))
    twice = (inputs.spec.tls_egresses[0], inputs.spec.tls_egresses[0].model_copy(update={"fqdn": "y.test"}))
    inputs = app(inputs.spec.model_copy(update={"tls_egresses": twice}))
    assert [egress.target.host for egress in found(inputs) if egress.target] == ["x.test."]
    assert problems_of(inputs) == ["EgressPortConflict"]


@pytest.mark.parametrize(
    ("client", "target", "wanted"),
    [(None, None, True), ("a", None, True), ("a", "a", True), (None, "a", False), ("b", "a", False)],
)
def test_what_a_space_may_learn_of_another_is_what_it_may_reach(
    client: str | None, target: str | None, wanted: bool
) -> None:
    here, there = space_facts(project=client), space_facts("other", project=target)
    assert may_connect(here, there) is wanted
    assert may_connect(there, there)
