"""Who decides the number of pods: kubectl scale and a real HorizontalPodAutoscaler on the App or its workload, a
suspension, and the PodDisruptionBudget beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.by_hand import run_pods
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, controller, eventually, pod
from tests.sample import full

SOON = 60.0
SYNC_SECONDS = 90.0
"""An autoscaler looks every 15 seconds."""


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> Cluster:
    return Cluster(control_plane)


@pytest.fixture
def decco(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Decco]:
    with controller(control_plane, tmp_path) as decco:
        yield decco


@pytest.fixture
def space(cluster: Cluster, decco: Decco, request: pytest.FixtureRequest) -> str:
    del decco
    return cluster.space_of(request, "s")


def make(cluster: Cluster, space: str, **spec: Any) -> None:
    cluster.create(app(space, "web", **{"endpoints": [], "pod": pod(), **spec}))
    eventually(lambda: workload(cluster, space), SOON)


def change(cluster: Cluster, space: str, **spec: Any) -> None:
    cluster.patch(f"{APIS}/namespaces/{space}/apps/web", {"spec": spec})


def workload(cluster: Cluster, space: str, kind: str = "deployments") -> Obj | None:
    return cluster.get(f"/apis/apps/v1/namespaces/{space}/{kind}/web")


def count(cluster: Cluster, space: str, kind: str = "deployments") -> int | None:
    found = workload(cluster, space, kind)
    return found["spec"]["replicas"] if found is not None else None


def has(cluster: Cluster, space: str, number: int, kind: str = "deployments") -> None:
    eventually(lambda: count(cluster, space, kind) == number, SOON, f"{number} replicas")


def status(cluster: Cluster, space: str) -> Obj:
    return (cluster.app(space, "web") or {}).get("status") or {}


def reason(cluster: Cluster, space: str, kind: str) -> str:
    return str((cluster.app_condition(space, "web", kind) or {}).get("reason"))


def scale_deployment(cluster: Cluster, space: str, number: int) -> None:
    cluster.cp.kubectl("scale", "deployment/web", f"--replicas={number}", "-n", space)


def autoscaler(space: str, kind: str, least: int) -> Obj:
    """It raises the number to its minimum, for which it needs no metric."""
    group = "apps/v1" if kind == "Deployment" else "decco.platform9.com/v1beta2"
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": space},
        "spec": {
            "scaleTargetRef": {"apiVersion": group, "kind": kind, "name": "web"},
            "minReplicas": least,
            "maxReplicas": 5,
        },
    }


# -- scale ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["deployments", pytest.param("statefulsets", marks=full)])
def test_kubectl_scales_an_app_and_the_same_file_again_changes_nothing(
    cluster: Cluster, decco: Decco, space: str, kind: str
) -> None:
    more: Obj = {"statefulSet": {}} if kind == "statefulsets" else {}
    file = json.dumps(app(space, "web", endpoints=[], pod=pod(), initialReplicas=2, **more))
    cluster.cp.kubectl("apply", "-f", "-", input=file)
    has(cluster, space, 2, kind)
    assert "selector" not in status(cluster, space)
    before = (workload(cluster, space, kind) or {})["spec"]["template"]

    cluster.cp.kubectl("scale", "dapp/web", "--replicas=4", "-n", space)
    has(cluster, space, 4, kind)
    eventually(lambda: status(cluster, space).get("selector") == "decco.platform9.com/app=web", SOON)
    scale = cluster.get(f"{APIS}/namespaces/{space}/apps/web/scale") or {}
    assert scale["spec"]["replicas"] == 4
    assert scale["status"] == {"replicas": 4, "selector": "decco.platform9.com/app=web"}
    assert "unchanged" in cluster.cp.kubectl("apply", "-f", "-", input=file)
    decco.settle()
    assert count(cluster, space, kind) == 4
    assert (workload(cluster, space, kind) or {})["spec"]["template"] == before  # nothing restarts

    cluster.cp.kubectl("scale", "dapp/web", "--replicas=0", "-n", space)
    has(cluster, space, 0, kind)
    cluster.cp.kubectl("scale", "dapp/web", "--current-replicas=0", "--replicas=1", "-n", space)
    has(cluster, space, 1, kind)


def test_a_number_of_the_app_is_kept_and_one_that_is_removed_stays_as_it_was(
    cluster: Cluster, decco: Decco, space: str
) -> None:
    make(cluster, space, replicas=3, initialReplicas=1)
    has(cluster, space, 3)
    scale_deployment(cluster, space, 1)
    has(cluster, space, 3)
    change(cluster, space, replicas=None)
    eventually(lambda: "selector" not in status(cluster, space), SOON)
    decco.settle()
    assert count(cluster, space) == 3
    scale_deployment(cluster, space, 2)
    decco.settle()
    assert count(cluster, space) == 2
    change(cluster, space, initialReplicas=4)
    has(cluster, space, 4)


@pytest.mark.parametrize("target", ["App", "Deployment"])
def test_an_autoscaler_scales_either(cluster: Cluster, decco: Decco, space: str, target: str) -> None:
    """On an App it needs ``replicas`` once: the API server has no scale of an object without the field."""
    file = json.dumps(app(space, "web", endpoints=[], pod=pod()))
    cluster.cp.kubectl("apply", "-f", "-", input=file)
    has(cluster, space, 1)
    if target == "App":
        assert cluster.cp.request("GET", f"{APIS}/namespaces/{space}/apps/web/scale").status == 500
        cluster.cp.kubectl("scale", "dapp/web", "--replicas=1", "-n", space)
    path = f"/apis/autoscaling/v2/namespaces/{space}/horizontalpodautoscalers"
    cluster.cp.create(path, autoscaler(space, target, 3))
    eventually(lambda: count(cluster, space) == 3, SYNC_SECONDS)
    assert "unchanged" in cluster.cp.kubectl("apply", "-f", "-", input=file)
    decco.settle()
    assert count(cluster, space) == 3
    assert (cluster.app(space, "web") or {})["spec"].get("replicas") == (3 if target == "App" else None)
    eventually(lambda: status(cluster, space).get("replicas") == 3, SOON)


def test_a_scaled_app_is_settled(cluster: Cluster, control_plane: ControlPlane, decco: Decco, space: str) -> None:
    make(cluster, space, replicas=2, disruptionBudget={})
    run_pods(cluster, space, "web")
    decco.settle()
    since = len(control_plane.audit("decco-controller", writes=True))
    cluster.patch(f"{APIS}/namespaces/{space}/apps/web", {"metadata": {"labels": {"a": "b"}}})
    decco.settle()
    assert not control_plane.audit("decco-controller", writes=True)[since:]


# -- suspend ----------------------------------------------------------------------------------------------------------


@full
@pytest.mark.parametrize("replicas", [None, 2])
def test_a_suspended_app_has_no_pods_and_then_as_many_as_before(
    cluster: Cluster, decco: Decco, space: str, replicas: int | None
) -> None:
    make(cluster, space, initialReplicas=1, replicas=replicas)
    if replicas is None:
        scale_deployment(cluster, space, 2)
    has(cluster, space, 2)
    run_pods(cluster, space, "web")
    change(cluster, space, suspend=True)
    has(cluster, space, 0)
    eventually(lambda: reason(cluster, space, "Ready") == "Suspended", SOON)
    assert (cluster.app_condition(space, "web", "Ready") or {})["status"] == "True"
    assert status(cluster, space)["replicas"] == 0
    scale_deployment(cluster, space, 1)
    has(cluster, space, 0)
    decco.settle()
    change(cluster, space, suspend=None)
    has(cluster, space, 2)
    # Its pods are new and nobody runs them here.
    eventually(lambda: reason(cluster, space, "Ready") in {"Progressing", "Unavailable"}, SOON)
    decco.settle()
    scale_deployment(cluster, space, 3)
    decco.settle()
    assert count(cluster, space) == (3 if replicas is None else 2)


def test_an_app_that_is_created_suspended_starts_with_its_initial_number(
    cluster: Cluster, decco: Decco, space: str
) -> None:
    make(cluster, space, initialReplicas=2, suspend=True)
    assert count(cluster, space) == 0
    eventually(lambda: reason(cluster, space, "Ready") == "Suspended", SOON)
    change(cluster, space, initialReplicas=3)
    decco.settle()
    assert count(cluster, space) == 0
    change(cluster, space, suspend=False)
    has(cluster, space, 3)


def test_a_suspended_job_goes_on_later_and_runs_once(cluster: Cluster, decco: Decco, space: str) -> None:
    def job() -> Obj:
        return cluster.get(f"/apis/batch/v1/namespaces/{space}/jobs/web") or {}

    cluster.create(app(space, "web", endpoints=[], pod=pod(), runAsJob=True, suspend=True))
    eventually(lambda: reason(cluster, space, "Ready") == "Suspended", SOON)
    assert job()["spec"]["suspend"] is True
    uid = job()["metadata"]["uid"]
    change(cluster, space, suspend=False)
    eventually(lambda: job()["spec"].get("suspend") is False, SOON)
    run_pods(cluster, space, "web")
    change(cluster, space, suspend=True)
    eventually(lambda: job()["spec"].get("suspend") is True, SOON)
    cluster.patch(f"/apis/batch/v1/namespaces/{space}/jobs/web", {"spec": {"suspend": False}})
    eventually(lambda: job()["spec"].get("suspend") is True, SOON)
    change(cluster, space, suspend=False)
    eventually(lambda: job()["spec"].get("suspend") is False, SOON)
    assert job()["metadata"]["uid"] == uid


def test_routes_of_a_suspended_app_stay_and_say_when_to_come_back(cluster: Cluster, decco: Decco, space: str) -> None:
    route = f"/apis/gateway.networking.k8s.io/v1/namespaces/{space}/httproutes/web"
    cluster.create(app(space, "web", pod=pod(80), endpoints=[{"name": "web", "port": 80, "httpPath": "/web"}]))
    before = eventually(lambda: cluster.get(route), SOON)["spec"]
    change(cluster, space, suspend=True)
    filters = eventually(lambda: (cluster.get(route) or {})["spec"]["rules"][0].get("filters"), SOON)
    header = {"name": "Retry-After", "value": "60"}
    assert filters == [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [header]}}]
    assert cluster.service(space, "web") is not None
    change(cluster, space, suspend=False)
    eventually(lambda: (cluster.get(route) or {})["spec"] == before, SOON)


# -- disruption budget ------------------------------------------------------------------------------------------------


def budget(cluster: Cluster, space: str) -> Obj | None:
    return cluster.get(f"/apis/policy/v1/namespaces/{space}/poddisruptionbudgets/web")


def test_a_budget_follows_the_number_of_pods(cluster: Cluster, decco: Decco, space: str) -> None:
    make(cluster, space, initialReplicas=3)
    decco.settle()
    assert budget(cluster, space) is None  # an App that does not use the field has none
    change(cluster, space, disruptionBudget={})
    made = eventually(lambda: budget(cluster, space), SOON)
    assert made["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": {"decco.platform9.com/app": "web"}},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    eventually(lambda: (budget(cluster, space) or {}).get("status", {}).get("expectedPods") == 3, SOON)
    scale_deployment(cluster, space, 1)
    decco.settle()
    kept = budget(cluster, space)
    assert kept is not None  # it permits the eviction of a single pod, so it need not go and come
    assert kept["metadata"]["uid"] == made["metadata"]["uid"]

    change(cluster, space, disruptionBudget={"minAvailable": "50%"})
    eventually(lambda: budget(cluster, space) is None, SOON)
    scale_deployment(cluster, space, 2)
    assert eventually(lambda: budget(cluster, space), SOON)["spec"]["minAvailable"] == "50%"
    change(cluster, space, disruptionBudget={"maxUnavailable": 2, "minAvailable": None})
    eventually(lambda: (budget(cluster, space) or {})["spec"].get("maxUnavailable") == 2, SOON)
    assert "minAvailable" not in (budget(cluster, space) or {})["spec"]
    cluster.delete(f"/apis/policy/v1/namespaces/{space}/poddisruptionbudgets/web")
    eventually(lambda: budget(cluster, space), SOON)
    change(cluster, space, disruptionBudget={"mode": "None", "maxUnavailable": None})
    eventually(lambda: budget(cluster, space) is None, SOON)


def test_a_job_has_no_budget_and_its_count_is_ignored(cluster: Cluster, decco: Decco, space: str) -> None:
    cluster.create(app(space, "web", endpoints=[], pod=pod(), runAsJob=True, replicas=3, disruptionBudget={}))
    eventually(lambda: cluster.get(f"/apis/batch/v1/namespaces/{space}/jobs/web"), SOON)
    decco.settle()
    assert budget(cluster, space) is None
    assert "replicas" not in status(cluster, space)


def test_a_budget_of_another_owner_is_left_alone(cluster: Cluster, decco: Decco, space: str) -> None:
    path = f"/apis/policy/v1/namespaces/{space}/poddisruptionbudgets"
    theirs = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": space},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}},
    }
    cluster.cp.create(path, theirs)
    make(cluster, space, initialReplicas=2, disruptionBudget={})
    eventually(lambda: reason(cluster, space, "WorkloadReady") == "Conflict", SOON)
    assert (budget(cluster, space) or {})["spec"]["selector"] == {"matchLabels": {"a": "b"}}


def test_scale_refuses_a_negative_number(cluster: Cluster, decco: Decco, space: str) -> None:
    make(cluster, space)
    merge = {"Content-Type": "application/merge-patch+json"}
    path = f"{APIS}/namespaces/{space}/apps/web/scale"
    answer = cluster.cp.request("PATCH", path, {"spec": {"replicas": -1}}, headers=merge)
    assert answer.status == 422
    assert "greater than or equal to 0" in answer.json()["message"]
