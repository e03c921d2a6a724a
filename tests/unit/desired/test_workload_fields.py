"""Fields of Deployment, StatefulSet and Job, and metadata of pods, as objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from decco.desired.app import app_children
from decco.desired.model import AppInputs, Child
from decco.desired.names import app_services
from decco.desired.runs import JobView, RunPlan, RunRecord, plan, run_digest
from decco.desired.stateful_set_status import pods_due, stateful_set_verdict
from decco.objects import STATEFUL_SETS, Obj
from tests.unit.desired.app_cases import NOW, POD, app, by_address, reasons_of
from tests.unit.goldens import check_golden

CLAIM = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
METADATA = {"labels": {"team": "a"}, "annotations": {"example.com/b": "2", "example.com/a": "1"}}
STATEFUL = app(
    {
        "initialReplicas": 3,
        "podMetadata": METADATA,
        "statefulSet": {
            "volumeClaimTemplates": [CLAIM],
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
        },
        "endpoints": [{"name": "sql", "port": 3306}],
    },
    name="mysql",
    space={"topology": {"zoneSpread": "Require"}},
)
DEPLOYED = app({"podMetadata": METADATA, "deployment": {"strategy": {"type": "Recreate"}, "minReadySeconds": 5}})
RUN = app({"podMetadata": METADATA, "job": {"completions": 3, "ttlSecondsAfterFinished": 5}, "endpoints": []})


@pytest.mark.parametrize(
    ("name", "inputs"), [("stateful-set", STATEFUL), ("deployment-fields", DEPLOYED), ("job-fields", RUN)]
)
def test_golden(name: str, inputs: AppInputs) -> None:
    check_golden(f"app/{name}", [child.obj for child in app_children(inputs).children])


def test_the_fields_are_copies() -> None:
    made = by_address(STATEFUL)["StatefulSet", "mysql"]
    made["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] = "scrambled"
    assert STATEFUL.spec.stateful_set is not None
    assert STATEFUL.spec.stateful_set["volumeClaimTemplates"] == [CLAIM]


def test_a_claim_may_not_take_the_place_of_a_volume_of_the_sidecar() -> None:
    """Kubernetes puts the volume of a claim in the place of the pod's volume of its name."""
    (secret,) = [
        volume["name"]
        for volume in by_address(app())["Deployment", "web"]["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    ]
    claim = {**CLAIM, "metadata": {"name": secret}}
    inputs = app({"statefulSet": {"volumeClaimTemplates": [claim, {}, {"metadata": {"name": 5}}]}})
    assert reasons_of(inputs) == [("WorkloadReady", "ReservedName")]


def test_an_older_app_with_the_name_of_the_pods_service() -> None:
    inputs = replace(STATEFUL, taken={"name:mysql-pods": "older"})
    assert reasons_of(inputs) == [("WorkloadReady", "EndpointConflict")]
    assert ("Service", "mysql-pods") not in by_address(inputs)
    assert ("StatefulSet", "mysql") in by_address(inputs)
    assert app_services("mysql", STATEFUL.spec, STATEFUL.spec.endpoints or ()) == {"sql", "mysql-pods"}


# -- suspension of a Job ----------------------------------------------------------------------------------------------

DIGEST = run_digest(POD)
RECORD = RunRecord(DIGEST, "u1")


def live(*, suspended: bool, resumed: bool = False, suspend: bool = False) -> JobView:
    return JobView(
        "u1", DIGEST, suspended, resumed, deleting=False, ready=False, start_time="", end=None, suspend=suspend
    )


@pytest.mark.parametrize(
    ("suspend", "job", "expected"),
    [
        (True, None, None),
        (True, live(suspended=True, suspend=True), RunPlan(suspended=True)),
        (True, live(suspended=False, suspend=True), RunPlan()),  # a queue has resumed it
        (True, live(suspended=False, resumed=True), RunPlan(suspended=True, resumed=True)),
        (True, live(suspended=True), RunPlan(suspended=True)),
        (False, live(suspended=True, suspend=True), RunPlan(resumed=True)),
        (False, live(suspended=False, suspend=True), RunPlan(resumed=True)),
        (False, live(suspended=True, resumed=True), RunPlan(suspended=True, resumed=True)),
    ],
)
def test_suspension(suspend: bool, job: JobView | None, expected: RunPlan | None) -> None:
    assert plan(DIGEST, RECORD, job, suspend=suspend) == expected


def test_a_suspended_job_is_created_and_shown_suspended() -> None:
    made = by_address(app({"job": {"suspend": True}, "endpoints": []}))["Job", "web"]
    assert made["spec"]["suspend"] is True
    assert made["metadata"]["annotations"]["decco.platform9.com/suspend"] == "true"
    simulated = replace(app({"job": {"suspend": True}, "endpoints": []}), simulated=True)
    assert by_address(simulated)["Job", "web"]["spec"]["suspend"] is True


# -- status of a StatefulSet ------------------------------------------------------------------------------------------

CREATED = "2026-06-01T11:59:50Z"
READY = {"type": "WorkloadReady", "status": "True", "reason": "Reconciled", "lastTransitionTime": CREATED}
WAITING = {"type": "WorkloadReady", "status": "False", "reason": "Progressing", "lastTransitionTime": CREATED}
LOST = {**WAITING, "reason": "Unavailable"}
FULL = {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}


def stateful(status: dict[str, Any], created: str = CREATED, **spec: Any) -> Obj:
    same = {"currentRevision": "a", "updateRevision": "a", "observedGeneration": 2}
    meta = {"name": "db", "namespace": "acme", "generation": 2, "creationTimestamp": created}
    return {"metadata": meta, "spec": {"replicas": 3, **spec}, "status": {**same, **status}}


def rolling(partition: int) -> dict[str, Any]:
    return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}}


@pytest.mark.parametrize(
    ("found", "previous", "reason"),
    [
        (None, WAITING, "Progressing"),
        (stateful({**FULL, "observedGeneration": 1}), READY, "Progressing"),
        (stateful(FULL), WAITING, "Reconciled"),
        (stateful({}, replicas=0), WAITING, "Reconciled"),
        (stateful({**FULL, "replicas": 2}), READY, "Progressing"),
        (stateful({**FULL, "updatedReplicas": 2}), READY, "Progressing"),
        (stateful({**FULL, "availableReplicas": 2}), WAITING, "Progressing"),
        (stateful({**FULL, "availableReplicas": 2}), READY, "Unavailable"),
        (stateful({**FULL, "availableReplicas": 2}), LOST, "Unavailable"),
        (stateful({**FULL, "updatedReplicas": 2}, **rolling(1)), READY, "Reconciled"),
        (stateful({**FULL, "updatedReplicas": 0}, **rolling(5)), READY, "Reconciled"),
        (stateful({**FULL, "updatedReplicas": 2}, ordinals={"start": 3}, **rolling(4)), READY, "Reconciled"),
        (stateful({**FULL, "updatedReplicas": 2}, ordinals={"start": 3}, **rolling(3)), READY, "Progressing"),
        (stateful({**FULL, "updatedReplicas": 0}, updateStrategy={"type": "OnDelete"}), READY, "Reconciled"),
        (stateful({}), WAITING, "Progressing"),
        (stateful({}, created="2026-06-01T11:59:29Z"), {**WAITING, "status": "True"}, "ReplicaFailure"),
        (stateful({}, created="2026-06-01T11:00:00Z"), WAITING, "Progressing"),
    ],
)
def test_the_verdict_of_a_stateful_set(found: Obj | None, previous: Obj, reason: str) -> None:
    verdict = stateful_set_verdict("db", found, {"conditions": [previous]}, NOW)
    assert verdict.reason == reason


def test_a_stateful_set_without_pods_is_reconciled_when_that_is_reported() -> None:
    assert pods_due(stateful({}), {}, NOW) == 20.0
    assert pods_due(stateful({}, created="2026-06-01T11:00:00Z"), {}, NOW) == 0.0
    assert pods_due(stateful(FULL), {}, NOW) is None
    assert pods_due(stateful({}, replicas=0), {}, NOW) is None
    assert pods_due(None, {}, NOW) is None


def test_it_is_of_the_kind_that_the_cluster_has() -> None:
    (made,) = [child for child in app_children(STATEFUL).children if child.resource == STATEFUL_SETS]
    assert isinstance(made, Child)
    assert (made.obj["apiVersion"], made.obj["kind"]) == ("apps/v1", "StatefulSet")
