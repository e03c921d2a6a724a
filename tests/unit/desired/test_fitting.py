"""The sidecar under a Space's quota and limits: what changes, what stays, and what cannot fit."""

from __future__ import annotations

from typing import Any

import pytest

from decco.desired.sidecar_resources import fit
from decco.objects import Obj
from decco.quantities import quantity
from decco.settings import SidecarSettings
from tests.unit.desired.app_cases import app, pod_of, space_facts

SETTING = SidecarSettings().resources
"""requests: cpu 10m, memory 16Mi; limits: memory 128Mi."""


def container(**item: Any) -> Obj:
    return {"limits": [{"type": "Container", **item}]}


def pod_range(**item: Any) -> Obj:
    return {"limits": [{"type": "Pod", **item}]}


def fitted(quota: Obj | None = None, limits: Obj | None = None, pod: Obj | None = None) -> Obj:
    found = fit(SETTING, space_facts(resourceQuota=quota, limitRange=limits).spec, pod)
    assert found.problems == ()
    return found.resources


def made(requests: Obj | None = None, limits: Obj | None = None) -> Obj:
    """The setting with other values."""
    return {
        "requests": {**SETTING["requests"], **(requests or {})},
        "limits": {**SETTING["limits"], **(limits or {})},
    }


CHANGED: dict[str, tuple[Obj | None, Obj | None, Obj]] = {
    "quota on limits.cpu": ({"hard": {"limits.cpu": "4"}}, None, made(limits={"cpu": "200m"})),
    "minimum above the request": (None, container(min={"memory": "64Mi"}), made({"memory": "64Mi"})),
    "minimum above the limit": (
        None,
        container(min={"memory": "256Mi"}),
        made({"memory": "256Mi"}, {"memory": "256Mi"}),
    ),
    "maximum below the limit": (None, container(max={"memory": "64Mi"}), made(limits={"memory": "64Mi"})),
    "ratio": (None, container(maxLimitRequestRatio={"memory": "2"}), made({"memory": "67108864"})),
    "ratio of cpu, which has no limit": (
        None,
        container(maxLimitRequestRatio={"cpu": "3"}),
        made({"cpu": "67m"}, {"cpu": "200m"}),
    ),
    "ratio against a default": (
        None,
        container(default={"cpu": "500m"}, maxLimitRequestRatio={"cpu": "10"}),
        made({"cpu": "50m"}),
    ),
    "ratio of the whole pod": (None, pod_range(maxLimitRequestRatio={"memory": "4"}), made({"memory": "33554432"})),
    "default limit below the request": (None, container(default={"cpu": "5m"}), made(limits={"cpu": "10m"})),
    "several items": (
        None,
        {"limits": [*container(min={"memory": "32Mi"})["limits"], *container(min={"memory": "64Mi"})["limits"]]},
        made({"memory": "64Mi"}),
    ),
    "both": (
        {"hard": {"limits.cpu": "4", "limits.memory": "4Gi", "requests.cpu": "2", "requests.memory": "2Gi"}},
        container(min={"memory": "64Mi"}),
        made({"memory": "64Mi"}, {"cpu": "200m"}),
    ),
}


@pytest.mark.parametrize("case", CHANGED)
def test_the_sidecar_fits_the_spaces_own_quota_and_limits(case: str) -> None:
    quota, limits, want = CHANGED[case]
    assert fitted(quota, limits) == want


UNCHANGED: dict[str, tuple[Obj | None, Obj | None]] = {
    "neither": (None, None),
    "quota on requests, which the sidecar has": ({"hard": {"requests.cpu": "2", "memory": "1Gi"}}, None),
    "quota on objects": ({"hard": {"pods": "4", "count/services": "2", "requests.nvidia.com/gpu": "1"}}, None),
    "quota on ephemeral storage, which is optional": ({"hard": {"limits.ephemeral-storage": "1Gi"}}, None),
    "quota that a default satisfies": ({"hard": {"limits.cpu": "4"}}, container(default={"cpu": "100m"})),
    "quota that a maximum satisfies": ({"hard": {"limits.cpu": "4"}}, container(max={"cpu": "1"})),
    "minimum that it has": (None, container(min={"memory": "16Mi", "cpu": "5m"})),
    "minimum and maximum of what it does not state: the LimitRange's defaults": (
        None,
        container(min={"ephemeral-storage": "32Mi"}, max={"ephemeral-storage": "64Mi"}),
    ),
    "maximum that it has": (None, container(max={"memory": "128Mi"})),
    "ratio that it has": (None, container(maxLimitRequestRatio={"memory": "8"})),
    "volumes": (None, {"limits": [{"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}}]}),
    "names that no resource has": (None, container(maxLimitRequestRatio={"x\n- y": "2"}, max={"a" * 999: "1"})),
    "what the API server will refuse": ({"hard": ["limits.cpu"]}, {"limits": "x"}),
}


@pytest.mark.parametrize("case", UNCHANGED)
def test_a_sidecar_that_is_admitted_as_it_is_stays_as_it_is(case: str) -> None:
    assert fitted(*UNCHANGED[case]) == SETTING


@pytest.mark.parametrize(
    ("scope", "pod", "applies"),
    [
        ({"scopes": ["Terminating"]}, {"activeDeadlineSeconds": 5}, True),
        ({"scopes": ["Terminating"]}, {}, False),
        ({"scopes": ["NotTerminating"]}, {}, True),
        ({"scopes": ["NotBestEffort"]}, {}, True),
        ({"scopes": ["PriorityClass"]}, {}, False),
        ({"scopes": ["PriorityClass"]}, {"priorityClassName": "high"}, True),
        ({}, {}, True),
    ],
)
def test_a_quota_counts_where_its_scopes_match_the_pod(scope: Obj, pod: Obj, applies: bool) -> None:
    found = fitted({"hard": {"limits.cpu": "4"}, **scope}, None, {"containers": [], **pod})
    assert found == (made(limits={"cpu": "200m"}) if applies else SETTING)


@pytest.mark.parametrize(
    ("operator", "values", "name", "applies"),
    [
        ("In", ["high"], "high", True),
        ("In", ["high"], "low", False),
        ("In", ["high"], None, False),
        ("NotIn", ["high"], "high", False),
        ("NotIn", ["high"], None, True),
        ("Exists", None, "any", True),
        ("DoesNotExist", None, None, True),
        ("DoesNotExist", None, "any", False),
    ],
)
def test_a_quota_selects_pods_by_priority(
    operator: str, values: list[str] | None, name: str | None, applies: bool
) -> None:
    expression = {"scopeName": "PriorityClass", "operator": operator, "values": values}
    quota = {"hard": {"limits.cpu": "4"}, "scopeSelector": {"matchExpressions": [expression]}}
    found = fitted(quota, None, {"containers": [], "priorityClassName": name})
    assert found == (made(limits={"cpu": "200m"}) if applies else SETTING)


@pytest.mark.parametrize(
    ("quota", "limits", "words"),
    [
        ({"hard": {"limits.memory": "64Mi"}}, None, ("resourceQuota", "limits.memory 64Mi", "128Mi")),
        ({"hard": {"cpu": "1m"}}, None, ("resourceQuota", "requests.cpu 1m", "10m")),
        (None, container(max={"memory": "8Mi"}), ("limitRange", "at most 8Mi of memory", "needs 16Mi")),
        (None, pod_range(max={"memory": "64Mi"}), ("limitRange", "a pod at most 64Mi", "128Mi")),
        (None, container(maxLimitRequestRatio={"example.com/gpu": "1"}), ("limitRange", "example.com/gpu")),
    ],
)
def test_what_cannot_fit_is_a_problem_of_the_space(
    quota: Obj | None, limits: Obj | None, words: tuple[str, ...]
) -> None:
    [problem] = fit(SETTING, space_facts(resourceQuota=quota, limitRange=limits).spec).problems
    assert [word for word in (*words, "of the Space", "sidecar.resources") if word not in problem] == []


def test_the_pod_of_an_app_has_the_fitted_sidecar_and_the_containers_as_they_are() -> None:
    quota, limits, want = CHANGED["both"]
    pod = pod_of(app({}, space={"resourceQuota": quota, "limitRange": limits}))
    assert pod["initContainers"][0]["resources"] == want
    assert "resources" not in pod["containers"][0]


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1", 1), (2, 2), ("500m", 0.5), ("1Ki", 1024), ("1.5Gi", 1610612736), ("2e3", 2000), ("3E", 3e18), ("+1k", 1000)],
)
def test_quantities(text: Any, amount: float) -> None:
    found = quantity(text)
    assert found is not None
    assert float(found.amount) == amount


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1gi", None, True, [], {}, "1e999", "nan", "1" * 99])
def test_what_is_no_quantity(text: Any) -> None:
    assert quantity(text) is None
