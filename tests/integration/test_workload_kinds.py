"""Deployment, StatefulSet and Job with every field, on the real API server and with Kubernetes' own controllers.

No node runs the pods: a test gives them their phase, and where they are bound to a Node one that is deleted stays until
the test removes it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.by_hand import pods, run_pods
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, controller, eventually, pod
from tests.sample import full

SOON = 60.0
APPS = "/apis/apps/v1"
NODE = "of-workload-kinds"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
CLAIM: Obj = {
    "metadata": {"name": "data", "labels": {"kept": "yes"}},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}},
}

ROLLOUT = {"minReadySeconds": 1, "revisionHistoryLimit": 3}
DEPLOYMENT = {
    **ROLLOUT,
    "progressDeadlineSeconds": 700,
    "paused": False,
    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": "10%"}},
}
STATEFUL_SET = {
    **ROLLOUT,
    "podManagementPolicy": "Parallel",
    "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
    "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"},
    "ordinals": {"start": 3},
    "volumeClaimTemplates": [CLAIM],
}
JOB = {
    "activeDeadlineSeconds": 3600,
    "backoffLimitPerIndex": 2,
    "completionMode": "Indexed",
    "completions": 3,
    "maxFailedIndexes": 1,
    "parallelism": 2,
    "podFailurePolicy": {
        "rules": [
            {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [42]}},
            {"action": "Count", "onPodConditions": [{"type": "DisruptionTarget"}]},
        ]
    },
    "podReplacementPolicy": "Failed",
    "successPolicy": {"rules": [{"succeededIndexes": "0-1", "succeededCount": 1}]},
    "ttlSecondsAfterFinished": 600,
}
METADATA = {"labels": {"team": "a", "app.kubernetes.io/name": "web"}, "annotations": {"example.com/a": "1, 2"}}


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> Cluster:
    control_plane.create("/api/v1/nodes", {"metadata": {"name": NODE}, "status": {}})
    return Cluster(control_plane)


@pytest.fixture
def decco(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Decco]:
    with controller(control_plane, tmp_path) as decco:
        yield decco


@pytest.fixture
def space(cluster: Cluster, decco: Decco, request: pytest.FixtureRequest) -> str:
    del decco
    return cluster.space_of(request, "w")


def make(cluster: Cluster, space: str, name: str = "db", **spec: Any) -> Obj:
    return cluster.create(app(space, name, **{"endpoints": [], "pod": pod(), **spec}))


def change(cluster: Cluster, space: str, name: str = "db", **spec: Any) -> None:
    cluster.patch(f"{APIS}/namespaces/{space}/apps/{name}", {"spec": spec})


def stateful_set(cluster: Cluster, space: str, name: str = "db") -> Obj | None:
    return cluster.get(f"{APPS}/namespaces/{space}/statefulsets/{name}")


def job(cluster: Cluster, space: str, name: str = "db") -> Obj | None:
    return cluster.get(f"/apis/batch/v1/namespaces/{space}/jobs/{name}")


def claims(cluster: Cluster, space: str) -> list[str]:
    return sorted(
        each["metadata"]["name"] for each in cluster.items(f"/api/v1/namespaces/{space}/persistentvolumeclaims")
    )


def ready(cluster: Cluster, space: str, name: str = "db") -> Obj:
    return cluster.app_condition(space, name, "WorkloadReady") or {}


def wait_ready(cluster: Cluster, space: str, name: str = "db") -> None:
    """Runs the pods until the workload is ready: a rollout replaces them one by one."""

    def run() -> bool:
        found = pods(cluster, space, name)
        if not found or not all(cluster.condition(each, "Ready") for each in found):
            run_pods(cluster, space, name)  # not again: a pod that has just become ready is not available yet
        found = cluster.app(space, name) or {}
        observed = (found.get("status") or {}).get("observedGeneration") == found["metadata"]["generation"]
        return observed and ready(cluster, space, name).get("status") == "True"

    eventually(run, SOON, f"{space}/{name} is ready")


def reason(cluster: Cluster, space: str, expected: str, name: str = "db") -> str:
    """Waits for this reason of WorkloadReady; returns the message."""
    eventually(lambda: ready(cluster, space, name).get("reason") == expected, SOON, expected)
    return str(ready(cluster, space, name)["message"])


# -- steady state -----------------------------------------------------------------------------------------------------


def test_every_field_is_passed_on_and_costs_no_write(
    control_plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    """Neither while nothing changes, nor after a restart, nor when each App is touched."""
    name = "w-steady"
    with controller(control_plane, tmp_path) as first:
        cluster.make_space(name)
        make(cluster, name, "web", deployment=DEPLOYMENT, podMetadata=METADATA, initialReplicas=2)
        make(cluster, name, "db", statefulSet=STATEFUL_SET, podMetadata=METADATA, initialReplicas=2)
        make(cluster, name, "run", job=JOB, podMetadata=METADATA)
        make(cluster, name, "bare", statefulSet={})
        make(cluster, name, "later", job={"suspend": True})
        for each in ("web", "db", "bare"):
            wait_ready(cluster, name, each)
        eventually(lambda: not (job(cluster, name, "run") or {"spec": {"suspend": True}})["spec"]["suspend"], SOON)
        reason(cluster, name, "JobSuspended", "later")
        first.settle()
    live = [
        cluster.deployment(name, "web"),
        stateful_set(cluster, name, "db"),
        job(cluster, name, "run"),
    ]
    for found, wanted in zip(live, (DEPLOYMENT, STATEFUL_SET, JOB), strict=True):
        assert found is not None
        assert_within(wanted, found["spec"])
        template = found["spec"]["template"]["metadata"]
        assert METADATA["labels"].items() <= template["labels"].items()
        assert template["annotations"] == METADATA["annotations"]
    with controller(control_plane, tmp_path) as second:
        second.settle()
        mark = control_plane.audit_mark()
        for each in ("web", "db", "run", "bare", "later"):
            path = f"{APIS}/namespaces/{name}/apps/{each}"
            cluster.patch(path, {"metadata": {"annotations": {"touched": "yes"}}})
        second.settle()
        assert [event for event in control_plane.audit("decco", since=mark) if event.verb != "watch"] == []


@full
def test_a_restart_writes_nothing(control_plane: ControlPlane, cluster: Cluster, tmp_path: Path) -> None:
    """What Kubernetes adds to the fields is no alteration, for which a new controller has only the objects."""
    name = "w-restart"
    with controller(control_plane, tmp_path) as first:
        cluster.make_space(name)
        make(cluster, name, "web", deployment=DEPLOYMENT, podMetadata=METADATA)
        make(cluster, name, "db", statefulSet=STATEFUL_SET, podMetadata=METADATA)
        make(cluster, name, "bare", statefulSet={"volumeClaimTemplates": [CLAIM]})
        make(cluster, name, "run", job=JOB, podMetadata=METADATA)
        for each in ("web", "db", "bare"):
            wait_ready(cluster, name, each)
        first.settle()
    mark = control_plane.audit_mark()
    with controller(control_plane, tmp_path) as second:
        second.settle()
    kinds = ("deployments", "statefulsets", "jobs", "services")
    asked = [
        event
        for event in control_plane.audit("decco", since=mark)
        if event.namespace == name and event.verb not in ("list", "watch")
    ]
    assert [event for event in asked if event.writes] == []
    assert [event for event in asked if event.resource in kinds and event.name != "run"] == []


# -- metadata of pods -------------------------------------------------------------------------------------------------


@full
def test_metadata_of_pods_follows_and_leaves_that_of_others(cluster: Cluster, space: str) -> None:
    make(
        cluster, space, podMetadata={"annotations": {"example.com/a": "1", "example.com/b": "1"}, "labels": {"x": "1"}}
    )
    path = f"{APPS}/namespaces/{space}/deployments/db"

    def meta() -> Obj:
        return dict((cluster.get(path) or {"spec": {"template": {"metadata": {}}}})["spec"]["template"]["metadata"])

    eventually(lambda: meta().get("annotations") == {"example.com/a": "1", "example.com/b": "1"}, SOON)
    others = {RESTARTED: "2026-01-01T00:00:00Z", "example.com/theirs": "1"}
    cluster.patch(path, {"spec": {"template": {"metadata": {"annotations": others}}}})
    change(cluster, space, podMetadata={"annotations": {"example.com/a": "2", "example.com/b": None}})
    eventually(lambda: meta()["annotations"] == {"example.com/a": "2", **others}, SOON, "changed and removed")
    alteration = {"annotations": {"example.com/a": "3"}, "labels": {"x": None}}
    cluster.patch(path, {"spec": {"template": {"metadata": alteration}}})
    eventually(lambda: meta()["annotations"] == {"example.com/a": "2", **others}, SOON, "repaired")
    eventually(lambda: meta()["labels"].get("x") == "1", SOON, "the label is repaired")
    change(cluster, space, podMetadata=None)
    eventually(lambda: meta()["annotations"] == others and "x" not in meta()["labels"], SOON, "removed")
    assert "decco.platform9.com/pod-annotations" not in (cluster.get(path) or {})["metadata"]["annotations"]
    # What was decco's once is anybody's now.
    cluster.patch(path, {"spec": {"template": {"metadata": {"annotations": {"example.com/a": "theirs"}}}}})
    change(cluster, space, initialReplicas=2)
    eventually(lambda: (cluster.get(path) or {})["spec"]["replicas"] == 2, SOON)
    assert meta()["annotations"]["example.com/a"] == "theirs"


# -- Deployment -------------------------------------------------------------------------------------------------------


def test_fields_of_a_deployment_change_without_new_pods(cluster: Cluster, space: str) -> None:
    make(cluster, space)
    wait_ready(cluster, space)
    before = pod_uids(cluster, space)

    def spec() -> Obj:
        return dict((cluster.deployment(space, "db") or {})["spec"])

    change(cluster, space, deployment={"minReadySeconds": 3, "strategy": {"type": "Recreate"}})
    eventually(lambda: (spec().get("minReadySeconds"), spec()["strategy"]["type"]) == (3, "Recreate"), SOON)
    cluster.patch(f"{APPS}/namespaces/{space}/deployments/db", {"spec": {"minReadySeconds": 7}})
    eventually(lambda: spec().get("minReadySeconds") == 3, SOON, "repaired")
    change(cluster, space, deployment=None)
    eventually(lambda: "minReadySeconds" not in spec() and spec()["strategy"]["type"] == "RollingUpdate", SOON)
    assert pod_uids(cluster, space) == before


def test_what_kubernetes_refuses_is_reported_and_changes_nothing(cluster: Cluster, space: str) -> None:
    make(cluster, space)
    wait_ready(cluster, space)
    before = cluster.deployment(space, "db")
    change(cluster, space, deployment={"strategy": {"type": "Never"}})
    assert "spec.strategy" in reason(cluster, space, "Invalid")
    assert cluster.deployment(space, "db") == before
    change(cluster, space, deployment={"strategy": {"type": "Recreate"}})
    wait_ready(cluster, space)
    # A StatefulSet that is refused ends no Deployment.
    change(cluster, space, deployment=None, statefulSet={"podManagementPolicy": "Sideways"})
    reason(cluster, space, "Invalid")
    assert pods(cluster, space, "db") != []
    assert stateful_set(cluster, space) is None


@full
def test_a_paused_deployment_says_so(cluster: Cluster, space: str) -> None:
    make(cluster, space, deployment={"paused": True})
    eventually(lambda: "spec.deployment.paused" in str(ready(cluster, space).get("message")), SOON)
    change(cluster, space, deployment={"paused": False})
    wait_ready(cluster, space)


# -- StatefulSet ------------------------------------------------------------------------------------------------------


def test_a_stateful_set_has_claims_names_and_a_status(cluster: Cluster, space: str) -> None:
    make(cluster, space, statefulSet={"volumeClaimTemplates": [CLAIM]}, initialReplicas=2)
    eventually(lambda: pods(cluster, space, "db"), SOON)
    assert "kubectl describe pods" in reason(cluster, space, "Progressing")
    wait_ready(cluster, space)
    assert sorted(each["metadata"]["name"] for each in pods(cluster, space, "db")) == ["db-0", "db-1"]
    assert claims(cluster, space) == ["data-db-0", "data-db-1"]
    service = cluster.service(space, "db-pods") or {}
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)
    assert pods(cluster, space, "db")[0]["spec"]["subdomain"] == "db-pods"
    assert cluster.deployment(space, "db") is None
    assert (cluster.app(space, "db") or {})["status"]["replicas"] == 2

    # The count belongs to whoever scales.
    cluster.patch(f"{APPS}/namespaces/{space}/statefulsets/db", {"spec": {"replicas": 3}})
    wait_ready(cluster, space)
    eventually(lambda: (cluster.app(space, "db") or {})["status"]["replicas"] == 3, SOON)
    change(cluster, space, podMetadata={"labels": {"new": "yes"}})
    wait_ready(cluster, space)
    assert all(each["metadata"]["labels"]["new"] == "yes" for each in pods(cluster, space, "db"))
    assert len(pods(cluster, space, "db")) == 3
    change(cluster, space, initialReplicas=1)
    eventually(lambda: len(pods(cluster, space, "db")) == 1, SOON)

    # A pod that is lost afterwards is no rollout.
    wait_ready(cluster, space)
    path = f"/api/v1/namespaces/{space}/pods/db-0/status"
    lost = {"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "NodeNotReady"}]}}
    cluster.patch(path, lost)
    reason(cluster, space, "Unavailable")
    cluster.delete(f"{APIS}/namespaces/{space}/apps/db")
    eventually(lambda: stateful_set(cluster, space) is None and not pods(cluster, space, "db"), SOON)
    assert claims(cluster, space) == ["data-db-0", "data-db-1", "data-db-2"]


@full
def test_the_deleted_service_of_pod_names_is_repaired(cluster: Cluster, space: str) -> None:
    make(cluster, space, statefulSet={})
    first = eventually(lambda: cluster.service(space, "db-pods"), SOON)
    cluster.delete(f"/api/v1/namespaces/{space}/services/db-pods")
    again = eventually(lambda: cluster.service(space, "db-pods"), SOON)
    assert again["metadata"]["uid"] != first["metadata"]["uid"]
    assert again["spec"]["clusterIP"] == "None"


@full
def test_an_older_endpoint_keeps_the_name_of_the_pods_service(cluster: Cluster, space: str) -> None:
    make(cluster, space, "other", endpoints=[{"name": "db-pods", "port": 80}])
    service = eventually(lambda: cluster.service(space, "db-pods"), SOON)
    time.sleep(1.1)  # the order of Spaces and Apps has the resolution of creationTimestamp
    make(cluster, space, statefulSet={})
    assert "App 'other' has an endpoint of this name" in reason(cluster, space, "EndpointConflict")
    eventually(lambda: pods(cluster, space, "db"), SOON)
    assert (cluster.service(space, "db-pods") or {})["metadata"]["uid"] == service["metadata"]["uid"]
    cluster.delete(f"{APIS}/namespaces/{space}/apps/other")
    eventually(lambda: (cluster.service(space, "db-pods") or service)["spec"]["clusterIP"] == "None", SOON)
    wait_ready(cluster, space)


@full
def test_a_service_of_that_name_becomes_headless_and_back(cluster: Cluster, space: str) -> None:
    endpoint = [{"name": "db-pods", "port": 80}]
    make(cluster, space, endpoints=endpoint)

    def address() -> str:
        return str((cluster.service(space, "db-pods") or {"spec": {"clusterIP": ""}})["spec"]["clusterIP"])

    eventually(lambda: address() not in ("", "None"), SOON)
    change(cluster, space, endpoints=[], statefulSet={})
    eventually(lambda: address() == "None", SOON)
    change(cluster, space, endpoints=endpoint, statefulSet=None)
    eventually(lambda: address() not in ("", "None"), SOON)


@full
def test_fixed_fields_are_reported_and_what_runs_goes_on(cluster: Cluster, space: str) -> None:
    make(cluster, space, statefulSet={"volumeClaimTemplates": [CLAIM]})
    wait_ready(cluster, space)
    before = pod_uids(cluster, space)
    live = stateful_set(cluster, space)
    larger = {**CLAIM, "spec": {**CLAIM["spec"], "resources": {"requests": {"storage": "2Gi"}}}}
    change(cluster, space, statefulSet={"volumeClaimTemplates": [larger]})
    message = reason(cluster, space, "Invalid")
    assert message.startswith(
        f"Kubernetes cannot change volumeClaimTemplates of StatefulSet {space}/db: what runs goes"
    )
    assert "--cascade=orphan" in message
    assert stateful_set(cluster, space) == live
    change(cluster, space, statefulSet={"volumeClaimTemplates": [CLAIM]})
    eventually(lambda: ready(cluster, space).get("status") == "True", SOON)
    change(cluster, space, statefulSet={"volumeClaimTemplates": [CLAIM], "podManagementPolicy": "Parallel"})
    assert "cannot change podManagementPolicy of" in reason(cluster, space, "Invalid")
    assert pod_uids(cluster, space) == before
    # The administrator's way: the pods stay, under a StatefulSet with the new fields.
    path = f"{APPS}/namespaces/{space}/statefulsets/db"
    assert cluster.cp.request("DELETE", path, {"propagationPolicy": "Orphan"}).status == 200
    eventually(lambda: (stateful_set(cluster, space) or live)["spec"]["podManagementPolicy"] == "Parallel", SOON)
    eventually(lambda: ready(cluster, space).get("status") == "True", SOON)
    assert pod_uids(cluster, space) == before
    assert claims(cluster, space) == ["data-db-0"]


# -- change of kind ---------------------------------------------------------------------------------------------------


def test_pods_of_one_kind_end_before_those_of_another_start(cluster: Cluster, space: str) -> None:
    make(cluster, space, statefulSet={"volumeClaimTemplates": [CLAIM]})
    bind(cluster, space)
    wait_ready(cluster, space)
    (old,) = pod_uids(cluster, space)
    change(cluster, space, statefulSet=None)
    message = "Deployment db starts when the pods of the App's former StatefulSet are gone"
    eventually(lambda: ready(cluster, space).get("message") == message, SOON)
    time.sleep(1.5)
    assert [each["metadata"]["uid"] for each in all_pods(cluster, space)] == [old]
    assert cluster.deployment(space, "db") is None
    assert cluster.service(space, "db-pods") is not None, "members that end still find each other"
    end_pods(cluster, space)
    eventually(lambda: cluster.deployment(space, "db"), SOON)
    eventually(lambda: cluster.service(space, "db-pods") is None, SOON)
    assert claims(cluster, space) == ["data-db-0"]

    bind(cluster, space)
    wait_ready(cluster, space)
    (old,) = pod_uids(cluster, space)
    change(cluster, space, statefulSet={"volumeClaimTemplates": [CLAIM]})
    eventually(lambda: "former Deployment" in str(ready(cluster, space).get("message")), SOON)
    time.sleep(1.5)
    assert [each["metadata"]["uid"] for each in all_pods(cluster, space)] == [old]
    end_pods(cluster, space)
    wait_ready(cluster, space)
    assert [each["metadata"]["name"] for each in pods(cluster, space, "db")] == ["db-0"]

    bind(cluster, space)
    (old,) = pod_uids(cluster, space)
    change(cluster, space, statefulSet=None, job={})
    eventually(lambda: "former StatefulSet" in str(ready(cluster, space).get("message")), SOON)
    assert [each["metadata"]["uid"] for each in all_pods(cluster, space)] == [old]
    end_pods(cluster, space)
    eventually(lambda: pods(cluster, space, "db"), SOON)
    assert job(cluster, space) is not None


# -- Job --------------------------------------------------------------------------------------------------------------


@full
def test_fields_of_a_job_follow_and_are_taken_back(cluster: Cluster, space: str) -> None:
    make(cluster, space, job={"ttlSecondsAfterFinished": 900, "activeDeadlineSeconds": 900, "parallelism": 2})
    eventually(lambda: pods(cluster, space, "db"), SOON)
    uid = (job(cluster, space) or {})["metadata"]["uid"]

    def spec() -> Obj:
        return dict((job(cluster, space) or {"spec": {}})["spec"])

    change(cluster, space, job={"ttlSecondsAfterFinished": 800, "activeDeadlineSeconds": None})
    eventually(lambda: spec().get("ttlSecondsAfterFinished") == 800 and "activeDeadlineSeconds" not in spec(), SOON)
    change(cluster, space, job={"parallelism": None, "backoffLimit": 1})
    eventually(lambda: (spec().get("parallelism"), spec().get("backoffLimit")) == (1, 1), SOON)
    change(cluster, space, job={"backoffLimit": None}, jobBackoffLimit=2)
    eventually(lambda: spec().get("backoffLimit") == 2, SOON)
    # Kubernetes does not change these on a Job: they are for the next run.
    change(cluster, space, job={"completionMode": "Indexed", "completions": 2})
    time.sleep(1.5)
    assert spec()["completionMode"] == "NonIndexed"
    assert ready(cluster, space)["reason"] == "JobRunning"
    assert (job(cluster, space) or {})["metadata"]["uid"] == uid
    change(cluster, space, pod=pod(image="registry.example/app:2"))
    eventually(lambda: spec().get("completionMode") == "Indexed" and not spec().get("suspend"), SOON)


@full
def test_a_job_that_its_ttl_cleans_up_is_not_run_again(cluster: Cluster, space: str, decco: Decco) -> None:
    make(cluster, space, job={"ttlSecondsAfterFinished": 0})
    run_pods(cluster, space, "db")
    run_pods(cluster, space, "db", "Succeeded")
    reason(cluster, space, "JobComplete")
    eventually(lambda: job(cluster, space) is None, SOON)
    for spec in ({"ttlSecondsAfterFinished": 5}, {"completions": 2}, None, {}):
        change(cluster, space, runAsJob=True, job=None)
        change(cluster, space, runAsJob=True, job=spec)
        decco.settle()
        assert job(cluster, space) is None, "the same pod is run a second time"
        assert ready(cluster, space)["reason"] == "JobComplete"
    change(cluster, space, pod=pod(image="registry.example/app:2"))
    eventually(lambda: pods(cluster, space, "db"), SOON, "another pod is another run")


def test_a_job_waits_while_it_is_suspended(cluster: Cluster, space: str, decco: Decco) -> None:
    make(cluster, space, job={"suspend": True})
    assert "spec.job.suspend of the App" in reason(cluster, space, "JobSuspended")
    assert pods(cluster, space, "db") == []
    change(cluster, space, job={"suspend": False})
    eventually(lambda: pods(cluster, space, "db"), SOON)
    reason(cluster, space, "JobRunning")
    change(cluster, space, job={"suspend": True})
    reason(cluster, space, "JobSuspended")
    eventually(lambda: pods(cluster, space, "db") == [], SOON)
    # A queue resumes it, and decco leaves it at that.
    path = f"/apis/batch/v1/namespaces/{space}/jobs/db"
    cluster.patch(path, {"spec": {"suspend": False}})
    eventually(lambda: pods(cluster, space, "db"), SOON)
    decco.settle()
    assert (job(cluster, space) or {})["spec"]["suspend"] is False
    change(cluster, space, job={})
    change(cluster, space, job={"suspend": None})
    decco.settle()
    found = job(cluster, space) or {}
    assert found["spec"]["suspend"] is False
    assert "decco.platform9.com/suspend" not in found["metadata"]["annotations"]


# -- words ------------------------------------------------------------------------------------------------------------


def pod_uids(cluster: Cluster, space: str) -> list[str]:
    return sorted(each["metadata"]["uid"] for each in pods(cluster, space, "db"))


def all_pods(cluster: Cluster, space: str) -> list[Obj]:
    return cluster.items(f"/api/v1/namespaces/{space}/pods")


def bind(cluster: Cluster, space: str) -> None:
    """Gives the pods to a Node without a kubelet: one that is deleted stays until ``end_pods``."""
    for each in eventually(lambda: pods(cluster, space, "db"), SOON, "pods"):
        name = each["metadata"]["name"]
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        path = f"/api/v1/namespaces/{space}/pods/{name}/binding"
        assert cluster.cp.request("POST", path, binding).status == 201


def end_pods(cluster: Cluster, space: str) -> None:
    """As the kubelet at the end of a termination."""
    found = all_pods(cluster, space)
    assert found
    for each in found:
        path = f"/api/v1/namespaces/{space}/pods/{each['metadata']['name']}"
        eventually(lambda path=path: "deletionTimestamp" in (cluster.get(path) or {"metadata": {}})["metadata"], SOON)
        cluster.cp.request("DELETE", path, {"gracePeriodSeconds": 0})


def assert_within(wanted: Any, live: Any) -> None:
    """Everything of ``wanted`` is in ``live``, with more beside it; a quantity may have another notation."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            if value is False and key not in live:
                continue  # Kubernetes stores none
            assert key in live, key
            assert_within(value, live[key])
    elif isinstance(wanted, list):
        for one, other in zip(wanted, live, strict=True):
            assert_within(one, other)
    else:
        assert live == wanted or (live, wanted) == ("1Gi", "1024Mi")
