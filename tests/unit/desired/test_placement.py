"""Where a Space and its Apps run, and what their children and statuses are in clusters that are not placed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from decco.api.conditions import ConditionType, condition_of
from decco.api.placement import ClusterRole, PlacedCluster, Placement
from decco.desired import reasons
from decco.desired.app import app_children
from decco.desired.app_status import AppLive, app_status
from decco.desired.model import AppInputs
from decco.desired.placement import Placed, place
from decco.desired.placement_status import published
from decco.objects import DEPLOYMENTS, Obj
from tests.unit.desired.app_cases import app, objs
from tests.unit.goldens import check_golden

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACTIVE, STANDBY = ClusterRole.ACTIVE, ClusterRole.STANDBY


def of(*clusters: str) -> Placement:
    """ "east" is Active, "east-" stands by."""
    return Placement(
        clusters=tuple(
            PlacedCluster(id=each.rstrip("-"), role=STANDBY if each.endswith("-") else ACTIVE) for each in clusters
        )
    )


@pytest.mark.parametrize(
    ("space", "own", "role", "where", "by"),
    [
        (("east",), None, ACTIVE, "east", "Space"),
        (("west", "east-"), None, STANDBY, "west, east (Standby)", "Space"),
        (("west",), None, None, "west", "Space"),
        (None, ("east", "north"), ACTIVE, "east, north", "App"),
        (None, ("north",), None, "north", "App"),
        (("east", "west"), ("west",), None, "west", "App"),
        (("east", "west"), ("east-", "west"), STANDBY, "east (Standby), west", "App"),
        (("west", "east-"), ("east",), STANDBY, "east (Standby)", "App"),
        (("west",), ("east", "west"), None, "west", "Space"),
        (("east", "west"), ("north",), None, "no cluster of its Space", "App"),
    ],
)
def test_an_app_narrows_the_placement_of_its_space(
    space: tuple[str, ...] | None, own: tuple[str, ...] | None, role: ClusterRole | None, where: str, by: str
) -> None:
    found = place("east", of(*space) if space else None, of(*own) if own else None)
    assert found is not None
    assert (found.role, found.where, found.by) == (role, where, by)


def test_without_placement_everything_runs_where_it_is_applied() -> None:
    assert place("east", None) is None
    assert place("east", None, None) is None


def here(role: ClusterRole | None, **fields: Any) -> Placed:
    return Placed("east", role, "Space", of("west").clusters, **fields)


def away(**spec: Any) -> AppInputs:
    """As the reconciler makes it where the App has no pods."""
    inputs = app({"endpoints": [{"name": "web", "port": 8080, "httpPath": "/"}], **spec})
    return replace(inputs, spec=inputs.spec.model_copy(update={"suspend": True}), place=here(None))


def status(inputs: AppInputs, live: Obj | None, **more: Any) -> dict[str, tuple[str, str]]:
    desired = app_children(inputs)
    outcomes = {(child.resource.kind, child.obj["metadata"]["name"]): None for child in desired.children}
    found = app_status(inputs, desired, outcomes, AppLive(workload=live), {}, NOW, **more)
    return {each["type"]: (each["status"], each["reason"]) for each in found["conditions"]}


def deployment(replicas: int, pods: int) -> Obj:
    meta = {"name": "web", "generation": 1}
    return {"metadata": meta, "spec": {"replicas": replicas}, "status": {"observedGeneration": 1, "replicas": pods}}


def test_golden_of_a_cluster_that_is_not_placed() -> None:
    check_golden("app/not-placed", objs(app_children(away())))


def test_a_cluster_that_is_not_placed_has_no_pods_and_that_is_well() -> None:
    (workload,) = [c.obj for c in app_children(away()).children if c.resource == DEPLOYMENTS]
    assert workload["spec"]["replicas"] == 0
    found = status(away(), deployment(0, 0))
    assert found["WorkloadReady"] == ("True", reasons.NOT_PLACED)
    found = status(away(), deployment(0, 1))
    assert found["WorkloadReady"] == ("False", reasons.PROGRESSING)


def test_ready_says_where_it_runs() -> None:
    inputs = away(endpoints=[])
    desired = app_children(inputs)
    outcomes = {(child.resource.kind, child.obj["metadata"]["name"]): None for child in desired.children}
    ready = condition_of(
        {"status": app_status(inputs, desired, outcomes, AppLive(workload=deployment(0, 0)), {}, NOW)},
        ConditionType.READY,
    )
    assert (ready["status"], ready["reason"]) == ("True", reasons.NOT_PLACED)
    assert "the placement of the Space does not name this cluster, east, but west" in ready["message"]


def test_while_names_may_lead_to_the_pods_they_run() -> None:
    inputs = replace(app({"endpoints": []}), place=here(None, waits=True))
    (workload,) = [c.obj for c in app_children(inputs).children if c.resource == DEPLOYMENTS]
    assert workload["spec"]["replicas"] == 1
    found = status(inputs, deployment(1, 1))
    assert found["WorkloadReady"] == ("False", reasons.WAITING_FOR_CLUSTER)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, reasons.RECONCILED),
        (here(ACTIVE), reasons.RECONCILED),
        (here(STANDBY), reasons.STANDBY),
        (here(STANDBY, covers=True), reasons.TOOK_OVER),
        (here(None), reasons.NOT_PLACED),
    ],
)
def test_what_is_said_of_records(found: Placed | None, reason: str) -> None:
    assert published(found, "all records are there").reason == reason
