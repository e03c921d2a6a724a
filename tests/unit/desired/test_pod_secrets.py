"""Secrets that a pod refers to: found in a PodSpec, reported while they are missing, waited for while they come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from decco.desired.app import app_children
from decco.desired.model import AppInputs, SecretState, SecretView
from decco.desired.pod_secrets import pod_secrets
from decco.settings import Settings
from tests.unit.desired.app_cases import GOOD_SECRETS, POD, app, pod_of, reasons_of, secret

TCP = {"endpoints": [{"name": "db", "port": 5432}]}
PLAIN = {"endpoints": []}


def pulling(*names: str) -> Settings:
    return Settings.model_validate(
        {"routing": {"parentGateway": "edge/shared"}, "sidecar": {"imagePullSecrets": list(names)}}
    )


@pytest.mark.parametrize(
    ("pod", "wanted"),
    [
        ({}, set()),
        ({"imagePullSecrets": [{"name": "a"}, {"name": "b"}]}, {"a", "b"}),
        ({"volumes": [{"name": "v", "secret": {"secretName": "a"}}]}, {"a"}),
        ({"volumes": [{"name": "v", "secret": {"secretName": "a", "optional": True}}]}, set()),
        ({"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "a"}}, {"configMap": {}}]}}]}, {"a"}),
        (
            {"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "a", "key": "k"}}}, {"value": "x"}]}]},
            {"a"},
        ),
        ({"initContainers": [{"envFrom": [{"secretRef": {"name": "a"}}, {"configMapRef": {"name": "c"}}]}]}, {"a"}),
        ({"containers": [{"envFrom": [{"secretRef": {"name": "a", "optional": True}}]}]}, set()),
        # What the API server is about to refuse.
        ({"imagePullSecrets": "a", "volumes": [None, {"secret": "a"}, {"projected": []}]}, set()),
        ({"containers": [{"env": {"a": "b"}, "envFrom": [{"secretRef": ["a"]}, 5]}, "x"]}, set()),
        ({"imagePullSecrets": [{"name": 5}, {}], "volumes": {"secret": {"secretName": "a"}}}, set()),
    ],
)
def test_references(pod: dict[str, Any], wanted: set[str]) -> None:
    assert pod_secrets(pod) == wanted


def referring(
    state: SecretState | None, *, listed: bool = True, facts: dict[str, Any] | None = None, **spec: Any
) -> AppInputs:
    """An App whose pod names the pull Secret ``regcred``, which its Space sees in this state."""
    views = {} if state is None else {"regcred": secret("regcred", state, **(facts or {}))}
    pod = {**POD, "imagePullSecrets": [{"name": "regcred"}]}
    space = {"secrets": ["regcred"] if listed else []}
    return app({"pod": pod, **PLAIN, **spec}, space=space, secrets={**GOOD_SECRETS, **views})


@pytest.mark.parametrize(
    ("given", "reason", "waits"),
    [
        (referring(SecretState.COPY), None, False),
        (referring(SecretState.MISSING), "SecretMissing", False),
        (referring(SecretState.TAKEN), "Conflict", False),
        (referring(SecretState.DELETED), "SecretDeleted", False),
        (referring(SecretState.PENDING), "SecretPending", True),
        # A tenant's own, of which decco knows nothing.
        (referring(None, listed=False), None, False),
        (referring(SecretState.MISSING, listed=False), None, False),
        # Its content is nothing to decco.
        (referring(SecretState.COPY, facts={"problem": object()}), None, False),
    ],
)
def test_what_the_workload_reports_and_waits_for(given: AppInputs, reason: str | None, waits: bool) -> None:
    desired = app_children(given)
    found = [each for condition, each in reasons_of(given) if condition == "WorkloadReady"]
    assert found == ([reason] if reason else [])
    assert (desired.awaited is not None) is waits
    assert any(child.resource.kind == "Deployment" for child in desired.children), "what runs stays"


def test_the_message_says_where_the_secret_has_to_be() -> None:
    [(_, problem)] = [
        (condition, problem)
        for condition, problems in app_children(referring(SecretState.MISSING)).problems.items()
        for problem in problems
    ]
    assert problem.message.startswith("for the pods: no Secret decco/regcred is shared with this Space; create it")


# -- the sidecar's image ----------------------------------------------------------------------------------------------


def with_setting(given: AppInputs, *names: str, state: SecretState = SecretState.COPY) -> AppInputs:
    views = {name: SecretView(name, state) if state is SecretState.PENDING else secret(name, state) for name in names}
    return replace(given, settings=pulling(*names), secrets={**given.secrets, **views})


def test_pods_with_a_sidecar_name_its_pull_secrets_after_their_own_once_each() -> None:
    pod = {**POD, "imagePullSecrets": [{"name": "mine"}, {"name": "regcred"}]}
    given = with_setting(app({"pod": pod, **TCP}), "regcred", "mirror")
    assert pod_of(given)["imagePullSecrets"] == [{"name": "mine"}, {"name": "regcred"}, {"name": "mirror"}]
    assert given.spec.pod["imagePullSecrets"] == pod["imagePullSecrets"]


def test_without_a_setting_or_a_sidecar_the_pod_stays_as_it_is() -> None:
    assert "imagePullSecrets" not in pod_of(app(TCP))
    assert "imagePullSecrets" not in pod_of(with_setting(app(PLAIN), "regcred"))


def test_a_missing_one_is_reported_by_apps_with_a_sidecar_only() -> None:
    missing = with_setting(app(TCP), "regcred", state=SecretState.MISSING)
    assert ("WorkloadReady", "SecretMissing") in reasons_of(missing)
    assert app_children(with_setting(app(TCP), "regcred", state=SecretState.PENDING)).awaited is not None
    assert reasons_of(with_setting(app(PLAIN), "regcred", state=SecretState.MISSING)) == []
