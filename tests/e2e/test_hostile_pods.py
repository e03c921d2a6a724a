"""Pods of a hostile tenant that would leave their container, read what is not theirs, or reach other Spaces."""

from __future__ import annotations

import pytest

from testbed.api import RequestFailed
from testbed.enforcer import Enforcer
from testbed.found import AssetsMissing
from tests.e2e.conftest import FULL
from tests.e2e.hostile_tenants import apply, hostile, steady
from tests.e2e.world import APPS, Obj, Tenant, World, eventually

full = pytest.mark.skipif(not FULL, reason="in make e2e only, for its length")


@pytest.fixture(scope="module")
def victim(world: World) -> Tenant:
    return steady(world, "steady")


@pytest.fixture(scope="module")
def mallory(world: World, victim: Tenant) -> Tenant:
    return hostile(world, "mallory")


OUTSIDE: dict[str, Obj] = {
    "hostPath": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
    "hostNetwork": {"hostNetwork": True},
    "hostPID": {"hostPID": True},
    "hostIPC": {"hostIPC": True},
    "privileged": {"container": {"securityContext": {"privileged": True}}},
    "capability": {"container": {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}},
    "hostPort": {"container": {"ports": [{"containerPort": 8080, "hostPort": 8080}]}},
    "no seccomp": {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
    "no AppArmor": {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
    "sysctl": {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
    "another account": {"serviceAccountName": "decco-controller"},
}
SAMPLE = ("hostPath", "hostNetwork")


@pytest.mark.parametrize("attack", [pytest.param(each, marks=[] if each in SAMPLE else full) for each in OUTSIDE])
def test_a_pod_that_would_leave_its_container_does_not_start(mallory: Tenant, attack: str) -> None:
    name = f"out-{attack.lower().replace(' ', '-')}"
    apply(mallory.world, mallory.app(name, pod=OUTSIDE[attack], endpoints=[]))

    def refused() -> str:
        conditions = mallory.world.get(APPS, name, mallory.name)["status"]["conditions"]
        [found] = [each for each in conditions if each["type"] == "WorkloadReady"]
        assert found["status"] == "False"
        assert "orbidden" in found["message"] or "violates PodSecurity" in found["message"], found
        return str(found["message"])

    eventually(refused, 60, attack)
    assert mallory.pods(name) == []
    mallory.world.kubectl("delete", APPS, name, "-n", mallory.name)


def test_the_account_of_a_pod_may_do_nothing(mallory: Tenant) -> None:
    account = f"system:serviceaccount:{mallory.name}:default"
    for verb, resource in (
        ("get", "secrets"),
        ("list", "pods"),
        ("create", "pods"),
        ("patch", APPS),
        ("list", "spaces.decco.platform9.com"),
        ("impersonate", "users"),
    ):
        for where in (mallory.name, "steady", "decco"):
            ask = ["auth", "can-i", verb, resource, f"--as={account}", "-n", where]
            with pytest.raises(RequestFailed, match="status 1"):
                mallory.world.kubectl(*ask)


def test_plain_text_ports_of_another_space_are_closed(mallory: Tenant, victim: Tenant) -> None:
    """The ports of the containers themselves, past edge and sidecar: behind TLS, and of a project. One's own answer, so
    the way exists.
    """
    node = mallory.world.cluster.node
    if node is None:
        pytest.skip("policies are enforced on our own node only")
    mallory.run(mallory.app("from", ["http:8080", "echo:9000"], endpoints=[]))
    [own] = eventually(lambda: mallory.pods("from"), 30)

    def answers(pod: Obj, port: int) -> bool:
        address = f"{pod['status']['podIP']}:{port}"
        argv = ["exec", own["metadata"]["name"], "-n", mallory.name, "-c", "echo", "--", "/echo", "ask"]
        try:
            return mallory.world.kubectl(*argv, "--text", "x", "--deadline", "3s", address) != ""
        except RequestFailed:
            return False

    [site], [talk] = victim.pods("site"), victim.pods("talk")
    assert answers(talk, 9000), "without enforcement"
    try:
        enforcer = Enforcer(node.cp.processes, node.cp.kubeconfig, [node.box.addresses.pods], netns=node.box.network)
        with enforcer:
            assert not answers(talk, 9000)
            assert not answers(site, 8080)
            assert answers(own, 9000)
            assert victim.https("/site").status == 200
    except AssetsMissing as error:
        pytest.skip(f"no enforcer: {error}")
