"""Who decides the number of pods, as a table; and the budget that follows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from decco.api.types import AppSpec
from decco.desired.app import app_children
from decco.desired.replicas import LiveReplicas, desired_replicas
from decco.kube.diff import rebuild
from decco.objects import (
    ANNOTATION_FORMER_REPLICAS,
    ANNOTATION_INITIAL_REPLICAS,
    ANNOTATION_REPLICAS,
    DEPLOYMENTS,
    Obj,
)
from decco.reconcilers.kinds import ALL_SERVED, children
from tests.unit.desired.app_cases import POD, app, by_address

SHAPE = children(ALL_SERVED)[DEPLOYMENTS]


def live(replicas: int, initial: str = "1", former: int | None = None) -> LiveReplicas:
    return LiveReplicas(replicas, initial, former)


@pytest.mark.parametrize(
    ("spec", "found", "count", "own", "former"),
    [
        # The number belongs to others once the workload exists: the same object as ever is desired.
        ({}, None, 1, None, None),
        ({}, live(7), 1, None, None),
        ({"initialReplicas": 3}, live(7), 3, None, None),
        # decco's, and repaired.
        ({"replicas": 4}, None, 4, "4", None),
        ({"replicas": 0, "initialReplicas": 3}, live(7, "3"), 0, "0", None),
        # Suspended: the number before is kept in an annotation, or in the App itself.
        ({"suspend": True}, None, 0, "0", "1"),
        ({"suspend": True}, live(7), 0, "0", "7"),
        ({"suspend": True}, live(0, "1", 7), 0, "0", "7"),
        ({"suspend": True, "initialReplicas": 2}, live(0, "1", 7), 0, "0", "2"),
        ({"suspend": True, "replicas": 4}, live(4), 0, "0", None),
        # At its end.
        ({}, live(0, "1", 7), 7, None, None),
        ({"initialReplicas": 2}, live(0, "1", 7), 2, None, None),
        ({"replicas": 4}, live(0), 4, "4", None),
        # The annotation was removed meanwhile.
        ({"suspend": True}, live(7, ""), 0, "0", "7"),
    ],
)
def test_the_number_and_who_decides_it(
    spec: Obj, found: LiveReplicas | None, count: int, own: str | None, former: str | None
) -> None:
    parsed = AppSpec.model_validate({"pod": POD, **spec})
    desired = desired_replicas(parsed, found)
    assert desired.count == count
    assert desired.annotations.get(ANNOTATION_INITIAL_REPLICAS) == str(parsed.initial_replicas)
    assert desired.annotations.get(ANNOTATION_REPLICAS) == own
    assert desired.annotations.get(ANNOTATION_FORMER_REPLICAS) == former


@pytest.mark.parametrize("text", ["", "x", "-1", "1e3", "²", "9" * 5000, str(2**31)])
def test_an_annotation_that_somebody_wrote_is_no_number(text: str) -> None:
    workload = {"metadata": {"annotations": {ANNOTATION_FORMER_REPLICAS: text}}, "spec": {"replicas": 2}}
    assert LiveReplicas.of(workload).former is None


def deployment(spec: Obj, found: Obj | None = None) -> Obj:
    inputs = app(spec)
    if found is not None:
        inputs = replace(inputs, live_replicas=LiveReplicas.of(found))
    return by_address(inputs)["Deployment", "web"]


def written(found: Obj, spec: Obj) -> Obj:
    return rebuild(found, deployment(spec, found), SHAPE)


def scaled(obj: Obj, number: int) -> Obj:
    return {**obj, "spec": {**obj["spec"], "replicas": number}}


def test_a_whole_life() -> None:
    """Each step is what apply writes over what is there; the number between them is somebody else's."""

    def check(obj: Obj, number: int, **annotations: str) -> Obj:
        assert obj["spec"]["replicas"] == number
        notes = obj["metadata"]["annotations"]
        for name in (ANNOTATION_REPLICAS, ANNOTATION_FORMER_REPLICAS):
            assert notes.get(name) == annotations.get(name.rpartition("/")[2].partition("-")[0])
        return obj

    obj = check(deployment({}), 1)
    obj = check(written(scaled(obj, 7), {}), 7)
    obj = check(written(obj, {"suspend": True}), 0, replicas="0", former="7")
    obj = check(written(scaled(obj, 3), {"suspend": True}), 0, replicas="0", former="7")
    obj = check(written(obj, {}), 7)
    obj = check(written(scaled(obj, 2), {}), 2)
    obj = check(written(obj, {"replicas": 5}), 5, replicas="5")
    obj = check(written(scaled(obj, 9), {"replicas": 5}), 5, replicas="5")
    obj = check(written(obj, {"replicas": 5, "suspend": True}), 0, replicas="0")
    obj = check(written(obj, {"replicas": 6, "suspend": True}), 0, replicas="0")
    obj = check(written(obj, {"replicas": 6}), 6, replicas="6")
    obj = check(written(obj, {}), 6)  # the field is gone: the number stays, and is others' again
    check(written(obj, {"initialReplicas": 2}), 2)


def budget(spec: Obj, *, number: int = 1, exists: bool = False) -> Obj | None:
    inputs = replace(app(spec), live_replicas=live(number), has_budget=exists)
    found = [c.obj for c in app_children(inputs).children if c.resource.kind == "PodDisruptionBudget"]
    return found[0]["spec"] if found else None


@pytest.mark.parametrize(
    ("wanted", "number", "exists", "expected"),
    [
        (None, 3, False, None),
        (None, 3, True, None),
        ({}, 1, False, None),
        ({}, 2, False, {"maxUnavailable": 1}),
        ({}, 1, True, {"maxUnavailable": 1}),
        ({"maxUnavailable": "25%"}, 0, True, {"maxUnavailable": "25%"}),
        ({"minAvailable": 1}, 2, False, {"minAvailable": 1}),
        ({"minAvailable": 1}, 1, True, None),
        ({"mode": "None"}, 3, True, None),
    ],
)
def test_the_budget(wanted: Obj | None, number: int, exists: bool, expected: Obj | None) -> None:
    made = budget({"disruptionBudget": wanted}, number=number, exists=exists)
    if expected is None:
        assert made is None
    else:
        selector: dict[str, Any] = {"matchLabels": {"decco.platform9.com/app": "web"}}
        assert made == {**expected, "selector": selector, "unhealthyPodEvictionPolicy": "AlwaysAllow"}


def test_a_job_has_no_budget() -> None:
    assert budget({"runAsJob": True, "disruptionBudget": {}}, number=3) is None
