"""The isolation of a Space on a real node: another runtime handler, user namespaces, and traffic through the sidecar.

``box`` is runc under another name, in place of a sandbox; ``mapped`` a runc with user namespaces, which Debian's lacks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testbed.api import RequestFailed
from testbed.node.config import BOX, MAPPED
from tests.e2e import clients
from tests.e2e.world import APPS, RESTRICTED, Obj, Tenant, World, eventually


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    if world.cluster.node is None:
        pytest.skip("the runtime handlers are those of the testbed's own node")
    for name in (BOX, MAPPED):
        runtime_class = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}}
        world.apply({**runtime_class, "handler": name})
    tenant = world.tenant("isolated")
    tenant.run_web_and_db()
    return tenant


def isolate(tenant: Tenant, **spec: Any) -> Obj:
    """Changes the Space while requests go on, of which none may fail; returns the pod that is there at the end."""
    before = {pod["metadata"]["uid"] for pod in tenant.pods("web")}
    tenant.change(spec)
    answers: list[int] = []

    def replaced() -> list[Obj]:
        answers.append(tenant.https("/web").status)
        found = tenant.pods("web")
        return found if before.isdisjoint(pod["metadata"]["uid"] for pod in found) and len(found) == 1 else []

    [pod] = eventually(replaced, what="other pods")
    tenant.wait_app("web")
    assert set(answers) == {200}, answers
    return pod


def assert_served(tenant: Tenant) -> None:
    assert tenant.https("/web").status == 200
    with tenant.tls("db") as connection:
        assert clients.exchange(connection, b"x" * 1000) == b"x" * 1000


def uid_map(tenant: Tenant, pod: Obj, program: str) -> list[int]:
    """Of a process of the pod: its first user, that user on the machine, how many."""
    node = tenant.world.cluster.node
    assert node is not None
    [pid, *_] = node.processes(pod, program)
    return [int(number) for number in Path(f"/proc/{pid}/uid_map").read_text().split()]


def test_a_sandbox(tenant: Tenant) -> None:
    pod = isolate(tenant, isolation="Sandboxed")
    assert pod["spec"]["runtimeClassName"] == BOX
    assert_served(tenant)
    assert uid_map(tenant, pod, "echo")[1] == 0


def test_user_namespaces(tenant: Tenant) -> None:
    node = tenant.world.get("node", "testbed")
    handlers = {each["name"]: each.get("features") or {} for each in node["status"]["runtimeHandlers"]}
    if not handlers[MAPPED].get("userNamespaces"):
        pytest.skip(f"this kernel or runtime has no user namespaces: {handlers}")
    pod = isolate(tenant, isolation="UserNamespace", runtimeClassName=MAPPED)
    assert pod["spec"]["hostUsers"] is False
    assert_served(tenant)
    for program in ("echo", "stunnel"):
        first, on_the_machine, count = uid_map(tenant, pod, program)
        assert (first, count) == (0, 65536)
        assert on_the_machine >= 65536, "root in the pod is nobody on the machine"


def test_a_weaker_pod_is_refused_and_what_runs_stays(tenant: Tenant) -> None:
    [before] = tenant.pods("web")
    if before["spec"].get("runtimeClassName") != BOX:
        before = isolate(tenant, isolation="Sandboxed")
    world = tenant.world
    container = {"name": "c", "image": "any", "securityContext": RESTRICTED}
    meta = {"name": "weak", "namespace": tenant.name}
    weak = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]}}
    with pytest.raises(RequestFailed, match="DECCO-0680"):
        world.apply(weak)
    patch = ["patch", APPS, "web", "-n", tenant.name, "--type=json", "--patch"]
    change: Obj = {"path": "/spec/pod/runtimeClassName", "value": MAPPED}
    world.kubectl(*patch, json.dumps([{"op": "add", **change}]))

    def reported() -> bool:
        found = world.get(APPS, "web", tenant.name)["status"]["conditions"]
        return any(each["reason"] == "IsolationTooWeak" for each in found if each["type"] == "WorkloadReady")

    eventually(reported, what="IsolationTooWeak")
    assert [each["metadata"]["uid"] for each in tenant.pods("web")] == [before["metadata"]["uid"]]
    assert_served(tenant)
    world.kubectl(*patch, json.dumps([{"op": "remove", "path": change["path"]}]))
    tenant.wait_app("web")


def test_back_to_standard(tenant: Tenant) -> None:
    pod = isolate(tenant)
    assert "runtimeClassName" not in pod["spec"]
    assert_served(tenant)
