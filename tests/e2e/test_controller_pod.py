"""decco as pods, from exactly manifests/ and the image: two replicas, one leads, the other takes over.

With ``E2E_DECCO=pod``, when the whole suite runs against these pods.
"""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from typing import Any

import pytest

from testbed.api import RequestFailed
from testbed.deployed import NAME, NAMESPACE, metrics, pods, said
from tests.e2e.conftest import AS_POD
from tests.e2e.world import SPACES, Obj, World, eventually, ready
from tests.promises import promised, timed

pytestmark = pytest.mark.skipif(not AS_POD, reason="decco runs outside of the cluster: set E2E_DECCO=pod")

LEASE_SECONDS = 15
"""The default of leaderElection.leaseSeconds, which is what runs."""
MEMORY_BYTES = 128 << 20
"""Of a replica with no Apps; its request is 192 MiB."""
START_SECONDS = 30
LEADER = re.compile(r"^decco_leader (\S+)$", re.MULTILINE)


def replicas(world: World) -> list[Obj]:
    """Both pods, when they are all there are and Ready."""

    def both() -> list[Obj]:
        found = pods(world.cluster)
        assert [condition(pod, "Ready")["status"] for pod in found] == ["True", "True"], said(world.cluster)
        return found

    return eventually(both, what="two replicas Ready")


def condition(pod: Obj, kind: str) -> Obj:
    return next(each for each in pod["status"]["conditions"] if each["type"] == kind)


def leaders(world: World) -> list[str]:
    """Names of the pods that report that they lead."""
    by_pod = metrics(world.cluster)
    return [name for name, text in by_pod.items() if float(LEADER.findall(text)[0]) == 1]


def leader(world: World) -> str:
    """The name of the one that leads; the Lease says the same."""

    def one() -> str:
        [name] = leaders(world)
        holder = world.get("lease", NAME, NAMESPACE)["spec"]["holderIdentity"]
        assert holder.partition("_")[0] == name
        return name

    return eventually(one, LEASE_SECONDS + 5, "one leader, whom the Lease names")


def evict(world: World, pod: str) -> None:
    """As a drain does; raises RequestFailed if a PodDisruptionBudget is against it."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
    world.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(eviction))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@timed
def test_two_are_ready_and_one_leads(world: World) -> None:
    both = replicas(world)
    assert leader(world) in {pod["metadata"]["name"] for pod in both}
    for pod in both:
        [status] = pod["status"]["containerStatuses"]
        assert status["restartCount"] == 0, said(world.cluster)
        started = moment(status["state"]["running"]["startedAt"])
        took = (moment(condition(pod, "Ready")["lastTransitionTime"]) - started).total_seconds()
        lines = map(json.loads, world.kubectl("logs", pod["metadata"]["name"], "-n", NAMESPACE).splitlines())
        [full] = [line["timestamp"] for line in lines if line["event"] == "caches are full"]
        filled = (moment(full) - started).total_seconds()  # Kubernetes' own times are in whole seconds
        print(f"{pod['metadata']['name']}: caches full {filled:.1f} s after its container started")
        promised("a pod of the controller is Ready", took, START_SECONDS)


def test_the_pods_are_those_of_the_manifests(world: World) -> None:
    """Restricted, read-only, without a shell; what the API server admitted under the namespace's level."""
    labels = world.get("namespace", NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in replicas(world):
        [container] = pod["spec"]["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["image"] == world.cluster.controller()
        name = pod["metadata"]["name"]
        with pytest.raises(RequestFailed):
            world.kubectl("exec", name, "-n", NAMESPACE, "--", "/bin/sh", "-c", "true")
        write = "open('/etc/decco/mine', 'w')"
        with pytest.raises(RequestFailed, match="Read-only file system"):
            world.kubectl("exec", name, "-n", NAMESPACE, "--", "/usr/bin/python3.11", "-I", "-c", write)
        # The limits in the kernel, and not only the requested ones.
        script = "print(open('/proc/self/status').read())"
        text = world.kubectl("exec", name, "-n", NAMESPACE, "--", "/usr/bin/python3.11", "-I", "-c", script)
        held = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        assert (held["CapEff"], held["NoNewPrivs"]) == ("0" * 16, "1")
        assert held["Uid"].split() == ["65532"] * 4


def test_metrics_are_served_at_the_service(world: World) -> None:
    """By its name in the cluster, as a Prometheus in a labelled namespace scrapes it: every replica is behind it."""
    slices = world.list("endpointslices", NAMESPACE, f"kubernetes.io/service-name={NAME}")
    behind = {address for each in slices for endpoint in each["endpoints"] for address in endpoint["addresses"]}
    assert behind == {pod["status"]["podIP"] for pod in replicas(world)}
    path = f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}:metrics/proxy/metrics"
    assert "decco_leader" in world.kubectl("get", "--raw", path)


@timed
def test_a_drain_takes_one_at_a_time_and_the_other_leads(world: World) -> None:
    tenant = world.tenant("claimant")
    replicas(world)
    before = leader(world)
    [other] = [pod["metadata"]["name"] for pod in pods(world.cluster) if pod["metadata"]["name"] != before]
    eventually(lambda: world.get("pdb", NAME, NAMESPACE)["status"]["disruptionsAllowed"] == 1, what="one may go")
    began = time.monotonic()
    evict(world, before)
    with pytest.raises(RequestFailed, match="disruption budget"):
        evict(world, other)
    world.kubectl("patch", SPACES, tenant.name, "--type=merge", "-p", json.dumps({"spec": {"podSecurity": "baseline"}}))

    def in_force() -> Any:
        assert ready(world.get(SPACES, tenant.name))
        labels = world.get("namespace", tenant.name)["metadata"]["labels"]
        return labels["pod-security.kubernetes.io/enforce"] == "baseline"

    eventually(in_force, LEASE_SECONDS + 10, "the edit in force")
    took = time.monotonic() - began
    promised("an edit in force after the drain of the leader's pod", took, LEASE_SECONDS + 1)
    assert leader(world) == other, "a pod that was there, and not the new one, takes over"
    replicas(world)


def test_it_is_small_with_nothing_to_do(world: World) -> None:
    node = world.cluster.node
    if node is None:
        pytest.skip("memory can be read on the testbed's own node only")
    for pod in replicas(world):
        [pid] = node.processes(pod, "python3")
        used = node.memory(pid)
        print(f"{pod['metadata']['name']}: {used / 2**20:.0f} MiB (proportional set size)")
        assert used < MEMORY_BYTES
