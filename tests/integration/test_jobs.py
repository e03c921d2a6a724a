"""Work that runs once: one run for each value of an App's ``pod``, whoever cleans up and whenever decco ends.

The pods are bound to a Node without a kubelet: they are in the phase that a test gives them, and one that is deleted
stays until the test removes it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from testbed.faults import LoseReply, refuse
from testbed.proxy import FaultProxy
from tests.integration.by_hand import condition
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, controller, eventually, pod
from tests.sample import full

SOON = 60.0
"""Much more than anything here takes; a loaded machine is slow."""
QUIET = 1.5
"""For what must not happen: several reconciles long."""
NODE = "without-kubelet"
BATCH = "/apis/batch/v1"
JSON_MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> Cluster:
    control_plane.create("/api/v1/nodes", {"metadata": {"name": NODE}, "status": {}})
    return Cluster(control_plane)


@pytest.fixture
def decco(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Decco]:
    with controller(control_plane, tmp_path) as decco:
        yield decco


@pytest.fixture
def name(cluster: Cluster, decco: Decco, request: pytest.FixtureRequest) -> str:
    """A Space for the test."""
    del decco
    return cluster.space_of(request, "j")


class Work:
    """An App that runs once, and its pods."""

    def __init__(self, cluster: Cluster, space: str, **spec: Any) -> None:
        self.cluster, self.space = cluster, space
        self.path = f"{APIS}/namespaces/{space}/apps/migrate"
        cluster.create(app(space, "migrate", **{"runAsJob": True, "endpoints": [], "pod": pod(), **spec}))

    def change(self, **spec: Any) -> None:
        self.cluster.patch(self.path, {"spec": spec})

    def job(self) -> Obj | None:
        return self.cluster.get(f"{BATCH}/namespaces/{self.space}/jobs/migrate")

    def deployment(self) -> Obj | None:
        return self.cluster.deployment(self.space, "migrate")

    def pods(self) -> list[Obj]:
        return self.cluster.items(f"/api/v1/namespaces/{self.space}/pods")

    def images(self) -> list[str]:
        return sorted(each["spec"]["containers"][0]["image"] for each in self.pods())

    def record(self) -> Obj:
        return dict(((self.cluster.get(self.path) or {}).get("status") or {}).get("job") or {})

    def workload_ready(self) -> Obj:
        return self.cluster.app_condition(self.space, "migrate", "WorkloadReady") or {}

    def run(self, phase: str = "Running", seconds: float = SOON) -> Obj:
        """The first pod that is not being deleted reaches this phase on the Node; returns it."""
        found = eventually(
            lambda: [each for each in self.pods() if "deletionTimestamp" not in each["metadata"]], seconds, "a pod"
        )[0]
        name = found["metadata"]["name"]
        path = f"/api/v1/namespaces/{self.space}/pods/{name}"
        if "nodeName" not in found["spec"]:
            binding = {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": name},
                "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
            }
            assert self.cluster.cp.request("POST", f"{path}/binding", binding).status == 201
        ready = [{"type": "Ready", "status": "True"}] if phase == "Running" else []
        status = {"status": {"phase": phase, "conditions": ready}}
        assert self.cluster.cp.request("PATCH", f"{path}/status", status, headers=JSON_MERGE).status == 200
        return found

    @staticmethod
    def run_of(job: Obj) -> str:
        return str(job["metadata"]["annotations"]["decco.platform9.com/run"])

    def end_pods(self) -> None:
        """As the kubelet at the end of a termination."""
        for each in self.pods():
            if "deletionTimestamp" in each["metadata"]:
                path = f"/api/v1/namespaces/{self.space}/pods/{each['metadata']['name']}"
                self.cluster.cp.request("DELETE", path, {"gracePeriodSeconds": 0})

    def delete_job(self, propagation: str = "Background") -> None:
        self.cluster.cp.request(
            "DELETE", f"{BATCH}/namespaces/{self.space}/jobs/migrate", {"propagationPolicy": propagation}
        )

    def finish(self, phase: str = "Succeeded", reason: str = "JobComplete") -> None:
        self.run()
        self.run(phase)
        eventually(lambda: self.workload_ready().get("reason") == reason, SOON, f"the run ends with {reason}")

    def assert_not_run_again(self) -> None:
        end = time.monotonic() + QUIET
        while time.monotonic() < end:
            assert self.job() is None, "the same pod is run a second time"
            time.sleep(0.05)


def test_a_finished_job_that_is_cleaned_up_is_not_run_again(
    control_plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    with controller(control_plane, tmp_path):
        cluster.make_space("job-clean")
        work = Work(cluster, "job-clean")
        work.finish()
        before = cluster.get(work.path)
        work.delete_job()
        eventually(lambda: work.job() is None, SOON)
        work.assert_not_run_again()
        assert cluster.get(work.path) == before, "no change is reported"
    with controller(control_plane, tmp_path):
        work.assert_not_run_again()
        assert work.workload_ready()["reason"] == "JobComplete"
        assert cluster.app_condition("job-clean", "migrate", "Ready")["status"] == "True"  # type: ignore[index]
        work.change(pod=pod(image="registry.example/app:2"))
        work.finish()
        assert work.images()[-1:] == ["registry.example/app:2"]


@full
def test_a_job_that_is_cleaned_up_while_decco_is_down_is_not_run_again(
    control_plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    with controller(control_plane, tmp_path):
        cluster.make_space("job-down")
        work = Work(cluster, "job-down")
        work.run()
        eventually(work.record, SOON)
    work.run("Succeeded")
    eventually(lambda: "completionTime" in ((work.job() or {}).get("status") or {}), SOON)
    work.delete_job()
    with controller(control_plane, tmp_path):
        eventually(lambda: work.workload_ready().get("reason") == "JobDeleted", SOON)
        work.assert_not_run_again()
        assert "change the pod" in work.workload_ready()["message"]


async def test_a_job_does_not_run_before_its_run_is_recorded(
    proxy: FaultProxy, control_plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    """decco is killed between the two writes, whichever of them it got through with."""
    first = Decco(control_plane, tmp_path, kubeconfig=proxy.kubeconfig)
    await asyncio.to_thread(first.start)
    try:
        await asyncio.to_thread(cluster.make_space, "job-crash")
        unwritable = proxy.add(refuse(500), method="PUT", path="/apps/migrate/status")
        work = await asyncio.to_thread(Work, cluster, "job-crash")
        await unwritable.hit(2)
        created = await asyncio.to_thread(work.job)
        assert created is not None
        assert created["spec"]["suspend"] is True
        assert await asyncio.to_thread(work.pods) == []
        proxy.clear()
        resumed = proxy.add(LoseReply(), method="PUT", path="/jobs/migrate")
        await asyncio.wait_for(resumed.hit(), SOON)
    finally:
        await asyncio.to_thread(first.kill)
    uid = created["metadata"]["uid"]
    assert await asyncio.to_thread(work.record) == {"run": work.run_of(created), "uid": uid}

    def goes_on() -> None:
        with controller(control_plane, tmp_path):
            work.finish()
            job = work.job()
            assert job is not None
            assert job["metadata"]["uid"] == uid, "another Job for the same pod"
            assert len(work.pods()) == 1

    await asyncio.to_thread(goes_on)


def test_a_job_that_a_queue_suspends_stays_suspended(control_plane: ControlPlane, cluster: Cluster, name: str) -> None:
    """As Kueue does it: after decco has resumed the Job; the queue resumes it too."""
    work = Work(cluster, name)
    work.run()
    job = f"{BATCH}/namespaces/{name}/jobs/migrate"
    cluster.patch(job, {"spec": {"suspend": True}})
    eventually(lambda: work.workload_ready().get("reason") == "JobSuspended", SOON)
    cluster.patch(work.path, {"metadata": {"annotations": {"example.org/touched": "1"}}})
    mark = control_plane.audit_mark()
    time.sleep(QUIET)
    assert (work.job() or {})["spec"]["suspend"] is True
    assert [e.uri for e in control_plane.audit("decco", since=mark) if e.writes and "/jobs/" in e.uri] == []
    cluster.patch(job, {"spec": {"suspend": False}})
    work.end_pods()
    work.finish()


@full
def test_a_policy_that_cleans_up_at_once_leads_to_one_run(cluster: Cluster, name: str) -> None:
    """The TTL controller removes the Job right after its end; a cluster's policy gave it the TTL."""
    expression = "Object{spec: Object.spec{ttlSecondsAfterFinished: 0}}"
    group, version = "/apis/admissionregistration.k8s.io", "v1"
    if cluster.cp.request("GET", f"{group}/{version}/mutatingadmissionpolicies").status == 404:
        pytest.skip("this Kubernetes has no MutatingAdmissionPolicy v1")
    policy = {
        "metadata": {"name": "clean-jobs"},
        "spec": {
            "reinvocationPolicy": "Never",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
                "resourceRules": [
                    {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}
                ],
            },
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}],
        },
    }
    cluster.cp.create(f"{group}/{version}/mutatingadmissionpolicies", policy)
    binding = {"metadata": {"name": "clean-jobs"}, "spec": {"policyName": "clean-jobs"}}
    cluster.cp.create(f"{group}/{version}/mutatingadmissionpolicybindings", binding)

    def is_in_force() -> bool:
        probe = {"metadata": {"name": "probe", "namespace": name}, "spec": {"suspend": True, "template": TEMPLATE}}
        made = cluster.cp.request("POST", f"{BATCH}/namespaces/{name}/jobs?dryRun=All", probe).json()
        return "ttlSecondsAfterFinished" in made.get("spec", {})

    eventually(is_in_force, SOON)
    work = Work(cluster, name)
    work.finish()
    eventually(lambda: work.job() is None, SOON, "the TTL controller removes it: decco has left the policy's TTL alone")
    work.assert_not_run_again()
    assert work.workload_ready()["reason"] == "JobComplete"
    assert work.record()["outcome"] == "Complete"


TEMPLATE = {"spec": {**pod(), "restartPolicy": "Never"}}


@full
def test_a_job_that_failed_and_is_cleaned_up_stays_failed(cluster: Cluster, name: str) -> None:
    work = Work(cluster, name, jobBackoffLimit=0)
    work.finish("Failed", "JobFailed")
    message = work.workload_ready()["message"]
    assert "backoff limit" in message
    work.delete_job()
    eventually(lambda: work.job() is None, SOON)
    work.assert_not_run_again()
    assert work.workload_ready()["message"] == message


@pytest.mark.parametrize("propagation", ["Background", "Foreground", "Orphan"])
def test_a_job_that_somebody_deletes_while_it_runs_is_not_run_beside_its_pods(
    cluster: Cluster, name: str, propagation: str
) -> None:
    work = Work(cluster, name)
    work.run()
    eventually(work.record, SOON)
    work.delete_job(propagation)
    if propagation == "Foreground":
        eventually(lambda: "deletionTimestamp" in (work.job() or {"metadata": {}})["metadata"], SOON)
        time.sleep(QUIET)
        assert len(work.pods()) == 1
        work.end_pods()
    eventually(lambda: work.workload_ready().get("reason") == "JobDeleted", SOON)
    work.assert_not_run_again()


@pytest.mark.parametrize(
    "patch",
    [{"labels": {"app.kubernetes.io/managed-by": None}}, {"ownerReferences": None}],
    ids=["label", "owner"],
)
def test_a_running_job_that_loses_what_marks_it_goes_on(cluster: Cluster, name: str, patch: Obj) -> None:
    work = Work(cluster, name)
    work.run()
    eventually(work.record, SOON)
    uid = work.job()["metadata"]["uid"]  # type: ignore[index]
    path = f"{BATCH}/namespaces/{name}/jobs/migrate"
    cluster.patch(path, {"metadata": patch})

    def is_repaired() -> bool:
        meta = (work.job() or {})["metadata"]
        return bool(meta.get("ownerReferences")) and "app.kubernetes.io/managed-by" in meta["labels"]

    eventually(is_repaired, SOON)
    work.run("Succeeded")
    eventually(lambda: work.workload_ready().get("reason") == "JobComplete", SOON)
    assert work.record()["uid"] == uid


def test_the_next_run_starts_when_the_last_pod_of_the_former_one_is_gone(cluster: Cluster, name: str) -> None:
    work = Work(cluster, name, pod=pod(image="registry.example/app:1"))
    first = work.run()
    work.change(pod=pod(image="registry.example/app:2"))
    eventually(lambda: "deletionTimestamp" in (work.job() or {"metadata": {}})["metadata"], SOON)
    end = time.monotonic() + QUIET
    while time.monotonic() < end:
        assert work.images() == ["registry.example/app:1"], "two runs at once"
        time.sleep(0.05)
    assert work.workload_ready()["reason"] == "Progressing"
    assert "former run" in work.workload_ready()["message"]
    eventually(lambda: all("deletionTimestamp" in each["metadata"] for each in work.pods()), SOON)
    work.end_pods()
    second = work.run()
    assert work.images() == ["registry.example/app:2"]
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


def test_a_pod_that_is_changed_back_before_its_successor_ran_is_run_after_its_own_pods(
    cluster: Cluster, name: str
) -> None:
    """decco itself has ended the first run: it counts as not done."""
    work = Work(cluster, name, pod=pod(image="registry.example/app:1"))
    work.run()
    work.change(pod=pod(image="registry.example/app:2"))
    eventually(lambda: not work.record(), SOON, "the record of the run that was cut short goes")
    work.change(pod=pod(image="registry.example/app:1"))
    eventually(lambda: all("deletionTimestamp" in each["metadata"] for each in work.pods()), SOON)
    work.end_pods()
    work.finish()
    assert work.images() == ["registry.example/app:1"]


async def test_a_pod_that_is_changed_back_while_no_status_can_be_written_is_run(
    proxy: FaultProxy, control_plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    """decco has deleted the Job for the other pod, and could not write that its run does not count."""
    first, second = pod(image="registry.example/app:1"), pod(image="registry.example/app:2")

    def back_and_forth(work: Work) -> None:
        work.change(pod=second)
        eventually(lambda: "deletionTimestamp" in (work.job() or {}).get("metadata", {}), SOON, "the Job is deleted")
        assert work.record(), "the record could be changed after all"
        work.change(pod=first)

    decco = Decco(control_plane, tmp_path, kubeconfig=proxy.kubeconfig)
    await asyncio.to_thread(decco.start)
    try:
        await asyncio.to_thread(cluster.make_space, "job-back")
        work = await asyncio.to_thread(Work, cluster, "job-back", pod=first)
        await asyncio.to_thread(work.run)
        unwritable = proxy.add(refuse(409), method="PUT", path="/apps/migrate/status")
        await asyncio.to_thread(back_and_forth, work)
        await unwritable.hit(2)
        proxy.clear()
        await asyncio.to_thread(work.end_pods)
        await asyncio.to_thread(work.finish)
        assert await asyncio.to_thread(work.images) == ["registry.example/app:1"]
    finally:
        await asyncio.to_thread(decco.kill)


def test_a_pod_that_the_server_refuses_costs_no_run(cluster: Cluster, name: str) -> None:
    work = Work(cluster, name)
    work.finish()
    work.delete_job()
    good = pod()
    work.change(pod=pod(restartPolicy="Sometimes"))
    eventually(lambda: work.workload_ready().get("reason") == "Invalid", SOON)
    cluster.patch(work.path, [{"op": "replace", "path": "/spec/pod", "value": good}], kind="json")
    eventually(lambda: work.workload_ready().get("reason") == "JobComplete", SOON)
    work.assert_not_run_again()


def test_a_deployment_and_a_job_of_one_app_never_run_side_by_side(cluster: Cluster, name: str) -> None:
    work = Work(cluster, name, pod=pod(restartPolicy="Never"))
    work.run()
    for is_job in (False, True):
        cluster.patch(
            work.path,
            {"spec": {"runAsJob": is_job, "pod": {"restartPolicy": "Never" if is_job else "Always"}}},
        )
        eventually(lambda: work.workload_ready().get("reason") == "Progressing", SOON)
        eventually(lambda: all("deletionTimestamp" in each["metadata"] for each in work.pods()), SOON)
        end = time.monotonic() + QUIET
        while time.monotonic() < end:
            assert len(work.pods()) == 1
            assert (work.deployment() is None) != (work.job() is None)
            time.sleep(0.05)
        assert "former" in work.workload_ready()["message"]
        work.end_pods()
        eventually(lambda is_job=is_job: work.job() if is_job else work.deployment(), SOON)  # type: ignore[misc]
        work.run()
    assert len(work.pods()) == 1


def test_a_deployment_is_not_taken_away_for_a_job_that_the_server_refuses(cluster: Cluster, name: str) -> None:
    work = Work(cluster, name, runAsJob=False)
    work.run()
    work.change(runAsJob=True, pod={"restartPolicy": "Always"})
    eventually(lambda: work.workload_ready().get("reason") == "Invalid", SOON)
    time.sleep(QUIET)
    assert work.deployment()
    assert "deletionTimestamp" not in work.deployment()["metadata"]  # type: ignore[index]
    assert work.job() is None


@full
def test_a_job_whose_pod_does_not_become_ready_says_so_within_a_minute(cluster: Cluster, name: str) -> None:
    work = Work(cluster, name)
    created = time.monotonic()
    eventually(lambda: work.workload_ready().get("reason") == "JobStalled", 120)
    assert time.monotonic() - created > 30, "an image takes its time"
    assert "kubectl describe pods" in work.workload_ready()["message"]
    work.run()
    eventually(lambda: work.workload_ready().get("reason") == "JobRunning", SOON)


def test_a_finished_job_is_ready_whatever_the_gateway_says_of_its_routes(cluster: Cluster, name: str) -> None:
    work = Work(cluster, name, endpoints=[{"name": "door", "port": 8080, "httpPath": "/door"}])
    path = f"/apis/gateway.networking.k8s.io/v1/namespaces/{name}/httproutes/door"
    route = eventually(lambda: cluster.get(path), SOON)
    refused = condition("ResolvedRefs", "False", "NoReadyEndpoints", message="no ready endpoints")
    parents = [
        {
            "parentRef": route["spec"]["parentRefs"][0],
            "controllerName": "example.net/gateway",
            "conditions": [condition("Accepted"), refused],
        }
    ]
    cluster.patch(f"{path}/status", {"status": {"parents": parents}})
    eventually(
        lambda: (cluster.app_condition(name, "migrate", "RoutesReady") or {}).get("reason") == "WaitingForEdge", SOON
    )
    work.finish()
    eventually(lambda: cluster.app_condition(name, "migrate", "RoutesReady") is None, SOON)
    certificates = cluster.app_condition(name, "migrate", "CertificatesReady") or {}
    ready = cluster.app_condition(name, "migrate", "Ready") or {}
    assert (ready["status"] == "True") == (certificates.get("status", "True") == "True")
    events = cluster.items(f"/apis/events.k8s.io/v1/namespaces/{name}/events")
    assert not [each for each in events if each["type"] == "Warning" and each["reason"] == "NotAccepted"]
