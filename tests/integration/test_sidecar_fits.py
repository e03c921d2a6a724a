"""decco's sidecar is admitted by the Space's own quota and limits, whatever they ask of containers.

Kubernetes' own admission judges: the test passes when the pod of an App is there, which needs no node.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.harness import Cluster, Decco, Obj, app, eventually, tls_secret

RESOURCES = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}}
QUOTA = {"limits.cpu": "4", "limits.memory": "4Gi", "requests.cpu": "2", "requests.memory": "2Gi"}
SECRET = "fit-tcp"


@pytest.fixture(autouse=True)
def _ready(decco: Decco, cluster: Cluster) -> None:
    if cluster.get(f"/api/v1/namespaces/decco/secrets/{SECRET}") is None:
        cluster.create(tls_secret(SECRET))


def limits(**item: Any) -> Obj:
    return {"limitRange": {"limits": [{"type": "Container", **item}]}}


CONSTRAINTS: dict[str, Obj] = {
    "quota on limits": {"resourceQuota": {"hard": QUOTA}},
    "quota on the limit of cpu alone": {"resourceQuota": {"hard": {"limits.cpu": "4"}}},
    "quota with a scope": {"resourceQuota": {"hard": QUOTA, "scopes": ["NotTerminating"]}},
    "minimum": limits(min={"memory": "64Mi", "cpu": "50m"}),
    "maximum": limits(max={"memory": "128Mi", "cpu": "300m"}),
    "maximum below the sidecar's limit": limits(
        max={"memory": "128Mi", "cpu": "200m"}, maxLimitRequestRatio={"cpu": "2"}
    ),
    "ratio": limits(maxLimitRequestRatio={"memory": "2", "cpu": "2"}),
    "ratio of the pod": {"limitRange": {"limits": [{"type": "Pod", "maxLimitRequestRatio": {"memory": "2"}}]}},
    "ephemeral storage": limits(
        min={"ephemeral-storage": "8Mi"},
        max={"ephemeral-storage": "1Gi"},
        maxLimitRequestRatio={"ephemeral-storage": "2"},
    ),
    "default limit below the sidecar's request": limits(default={"cpu": "5m"}, defaultRequest={"cpu": "5m"}),
}


def workload(name: str, **pod: Any) -> Obj:
    container = {"name": "db", "image": "example.test/db:1", "ports": [{"containerPort": 5432}], "resources": RESOURCES}
    return app(name, "db", pod={"containers": [container], **pod})


def pods(cluster: Cluster, namespace: str) -> list[Obj]:
    return cluster.items(f"/api/v1/namespaces/{namespace}/pods")


@pytest.mark.parametrize("case", CONSTRAINTS)
def test_the_pod_is_admitted(cluster: Cluster, name: str, case: str) -> None:
    cluster.make_space(name, tcpCertAndCaSecretName=SECRET, **CONSTRAINTS[case])
    condition = cluster.space_condition(name, "NamespaceReady") or {}
    assert condition["status"] == "True", condition
    cluster.create(workload(name))
    [pod] = eventually(lambda: pods(cluster, name), 60, "the pod")
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["decco-tls"]
    assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "128Mi"


def test_a_limit_of_the_whole_pod_allows_the_sidecar(cluster: Cluster, name: str) -> None:
    cluster.make_space(name, tcpCertAndCaSecretName=SECRET)
    container = {"name": "db", "image": "example.test/db:1", "ports": [{"containerPort": 5432}]}
    whole = {"requests": {"memory": "32Mi"}, "limits": {"memory": "64Mi"}}
    cluster.create(app(name, "db", pod={"containers": [container], "resources": whole}))
    eventually(lambda: pods(cluster, name), 60, "the pod")


def test_what_cannot_fit_is_reported_by_the_space_before_there_is_an_app(cluster: Cluster, name: str) -> None:
    cluster.make_space(name, tcpCertAndCaSecretName=SECRET, **limits(max={"memory": "8Mi"}))
    condition = cluster.space_condition(name, "NamespaceReady") or {}
    assert (condition["status"], condition["reason"]) == ("False", "SidecarRefused")
    assert "spec.limitRange of the Space" in condition["message"]


def test_a_namespace_with_a_range_of_user_ids_names_the_setting(cluster: Cluster, name: str) -> None:
    """What OpenShift writes on each namespace after it was created."""
    cluster.make_space(name, tcpCertAndCaSecretName=SECRET)
    ours = {"metadata": {"annotations": {"openshift.io/sa.scc.uid-range": "1000660000/10000"}}}
    cluster.patch(f"/api/v1/namespaces/{name}", ours)
    reported = eventually(
        lambda: (
            found
            if (found := cluster.space_condition(name, "NamespaceReady") or {}).get("reason") == "SidecarRefused"
            else None
        ),
        30,
    )
    assert "sidecar.runAsUser" in reported["message"]


def test_a_quota_that_is_used_up_says_that_the_sidecar_counts(cluster: Cluster, name: str) -> None:
    quota = {"hard": {"limits.memory": "200Mi"}}
    cluster.make_space(name, tcpCertAndCaSecretName=SECRET, resourceQuota=quota)
    cluster.create(workload(name))
    reported = eventually(
        lambda: (
            found
            if (found := cluster.app_condition(name, "db", "WorkloadReady") or {}).get("reason") == "ReplicaFailure"
            else None
        ),
        90,
    )
    assert "spec.resourceQuota of the Space" in reported["message"]
    assert "limits.memory 128Mi" in reported["message"]
