"""The isolation of a Space: in its Apps' pods, on its namespace, and what is reported where it does not hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from decco.desired.app import app_children
from decco.desired.model import AppInputs
from decco.desired.space import namespace_child
from decco.desired.space_status import SpaceLive, space_status
from decco.objects import DEPLOYMENTS, STATEFUL_SETS, Key
from decco.settings import Settings
from tests.unit.desired.app_cases import NOW, POD, app, pod_of, reasons_of, space_inputs

SETTINGS = Settings.model_validate({"routing": {"backend": "none"}, "isolation": {"sandboxes": ["kata", "gvisor"]}})
NO_SANDBOXES = Settings.model_validate({"routing": {"backend": "none"}})


def with_pod(space: dict[str, Any], settings: Settings = SETTINGS, **pod: Any) -> AppInputs:
    return replace(app({"pod": {**POD, **pod}, "endpoints": []}, space=space), settings=settings)


@pytest.mark.parametrize(
    ("space", "pod", "expected"),
    [
        ({}, {}, (None, None)),
        ({}, {"hostUsers": True, "runtimeClassName": "runc"}, ("runc", True)),
        ({"runtimeClassName": "kata"}, {}, ("kata", None)),
        ({"isolation": "UserNamespace"}, {}, (None, False)),
        ({"isolation": "UserNamespace"}, {"hostUsers": False}, (None, False)),
        ({"isolation": "UserNamespace", "runtimeClassName": "runc"}, {}, ("runc", False)),
        ({"isolation": "UserNamespace", "runtimeClassName": "kata"}, {}, ("kata", None)),
        ({"isolation": "UserNamespace"}, {"hostUsers": True, "runtimeClassName": "gvisor"}, ("gvisor", True)),
        ({"isolation": "Sandboxed"}, {}, ("kata", None)),
        ({"isolation": "Sandboxed", "runtimeClassName": "gvisor"}, {}, ("gvisor", None)),
        ({"isolation": "Sandboxed"}, {"runtimeClassName": "gvisor", "hostUsers": True}, ("gvisor", True)),
        # The API server refuses what is not of the right type.
        ({"isolation": "UserNamespace"}, {"hostUsers": "false"}, (None, "false")),
    ],
)
def test_what_the_pods_of_an_app_get(space: dict[str, Any], pod: dict[str, Any], expected: tuple[Any, Any]) -> None:
    made = pod_of(with_pod(space, **pod))
    assert (made.get("runtimeClassName"), made.get("hostUsers")) == expected


@pytest.mark.parametrize(
    ("space", "settings", "pod", "reason"),
    [
        ({"isolation": "UserNamespace"}, SETTINGS, {"hostUsers": True}, "IsolationTooWeak"),
        ({"isolation": "UserNamespace"}, SETTINGS, {"hostUsers": True, "runtimeClassName": "runc"}, "IsolationTooWeak"),
        ({"isolation": "Sandboxed"}, SETTINGS, {"runtimeClassName": "runc"}, "IsolationTooWeak"),
        ({"isolation": "Sandboxed"}, SETTINGS, {"runtimeClassName": ["kata"]}, "IsolationTooWeak"),
        ({"isolation": "Sandboxed"}, NO_SANDBOXES, {}, "SandboxMissing"),
        ({"isolation": "Sandboxed"}, NO_SANDBOXES, {"runtimeClassName": "kata"}, "SandboxMissing"),
        ({"isolation": "Sandboxed", "runtimeClassName": "runc"}, SETTINGS, {}, "SandboxMissing"),
    ],
)
def test_what_is_weaker_than_the_space_demands_is_reported_and_what_runs_stays(
    space: dict[str, Any], settings: Settings, pod: dict[str, Any], reason: str
) -> None:
    inputs = with_pod(space, settings, **pod)
    assert reasons_of(inputs) == [("WorkloadReady", reason)]
    kept = app_children(inputs).keep
    assert {(DEPLOYMENTS, Key("beta", "web")), (STATEFUL_SETS, Key("beta", "web"))} <= kept


@pytest.mark.parametrize(
    ("space", "settings", "label", "annotation"),
    [
        ({}, SETTINGS, None, None),
        ({"isolation": "UserNamespace"}, SETTINGS, "UserNamespace", "kata,gvisor"),
        ({"isolation": "Sandboxed"}, SETTINGS, "Sandboxed", "kata,gvisor"),
        ({"isolation": "Sandboxed"}, NO_SANDBOXES, "Sandboxed", None),
    ],
)
def test_what_the_policy_reads_from_the_namespace(
    space: dict[str, Any], settings: Settings, label: str | None, annotation: str | None
) -> None:
    inputs = replace(space_inputs(**space), settings=settings)
    noted = replace(inputs, noted=frozenset({"decco.platform9.com/isolation", "decco.platform9.com/sandboxes"}))
    for given, default in ((inputs, "absent"), (noted, None)):
        meta = namespace_child(given).obj["metadata"]
        assert meta["labels"].get("decco.platform9.com/isolation", "absent") == (label or default)
        assert meta["annotations"].get("decco.platform9.com/sandboxes", "absent") == (annotation or default)


@pytest.mark.parametrize(
    ("space", "settings", "words"),
    [
        ({}, NO_SANDBOXES, ""),
        ({"isolation": "Sandboxed"}, SETTINGS, ""),
        ({"isolation": "UserNamespace", "runtimeClassName": "runc"}, NO_SANDBOXES, ""),
        ({"isolation": "Sandboxed"}, NO_SANDBOXES, "isolation.sandboxes is empty"),
        ({"isolation": "Sandboxed", "runtimeClassName": "runc"}, SETTINGS, "choose one of them, or remove it"),
    ],
)
def test_the_space_says_that_no_pod_can_be_created(space: dict[str, Any], settings: Settings, words: str) -> None:
    live = SpaceLive(namespace={"metadata": {"name": "beta"}, "status": {"phase": "Active"}})
    found = space_status(replace(space_inputs(**space), settings=settings), {}, live, {}, NOW)
    (ready,) = (each for each in found["conditions"] if each["type"] == "NamespaceReady")
    assert (ready["reason"] == "SandboxMissing") is bool(words)
    assert words in ready["message"]
