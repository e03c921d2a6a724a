"""The picture that decco is explained with, on real pods with their sidecars: who reaches whom, with an enforcer."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed import enforcer
from testbed.cluster import Cluster
from testbed.enforcer import Enforcer
from testbed.found import AssetsMissing
from tests.e2e.world import Tenant, World, eventually
from tests.policies import picture
from tests.policies.picture import Connection
from tests.policies.rig import PEER, Attempt, connect
from tests.policies.world import World as Observed
from tests.policies.world import read

LONG_TIMEOUT, CURT = 20.0, 1.5
EDGE = "edge-system/proxy"
"""How the picture calls the edge; here it is a pod of Envoy Gateway's."""
NOT_HERE = {"edge host"}
"""The edge of the testbed has pods."""


class Raw:
    """Lists objects with kubectl, for readers that ask an API server."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def items(self, path: str) -> list[dict[str, Any]]:
        return list(json.loads(self._cluster.kubectl("get", "--raw", path))["items"])


@pytest.fixture(scope="module")
def asked() -> list[Connection]:
    return [each for each in picture.CONNECTIONS if each.source not in NOT_HERE]


@pytest.fixture(scope="module")
def observed(world: World, cluster: Cluster) -> Observed:
    """The picture's Spaces, their pods running."""
    if cluster.node is None or (why := enforcer.missing()):
        pytest.skip("needs the testbed's own node" if cluster.node is None else f"no enforcer: {why}")
    tenants = [world.tenant(space, **spec) for space, spec in picture.SPACES.items()]
    for tenant in tenants:
        tenant.run(*(_app(tenant, name, spec) for name, spec in picture.APPS[tenant.name].items()))
    stranger = Tenant(world, "foreign").app("tool", [f"http:{picture.UNDECLARED_PORT}"])["spec"]["pod"]
    world.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "foreign"}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tool", "namespace": "foreign"}, "spec": stranger},
    )
    eventually(lambda: world.get("pod", "tool", "foreign")["status"]["phase"] == "Running", what="foreign/tool")
    wanted = [f"{space}/{name}" for space, apps in picture.APPS.items() for name in apps]
    return read(Raw(cluster), [*wanted, "foreign/tool"])  # type: ignore[arg-type]


def _app(tenant: Tenant, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    by_path = "httpPath" in spec["endpoints"][0]
    listen = [f"{'http' if by_path else 'hello'}:{picture.PLAIN_PORTS[name]}", f"hello:{picture.UNDECLARED_PORT}"]
    return tenant.app(name, listen, endpoints=spec["endpoints"])


@pytest.fixture(scope="module")
def sockets(
    cluster: Cluster, observed: Observed, asked: list[Connection], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Path]]:
    """A program in the network of each client's pod that connects when asked to; the world is this machine."""
    node = cluster.node
    assert node is not None
    folder = tmp_path_factory.mktemp("clients")
    found: dict[str, Path] = {}
    with contextlib.ExitStack() as stack:
        for number, source in enumerate(dict.fromkeys(each.source for each in asked)):
            enter: list[str] = []
            if source == EDGE:
                pods = Raw(cluster).items(f"/api/v1/namespaces/{cluster.edge_namespace}/pods")
                pids = [pid for pod in pods for pid in node.processes(pod, "envoy")]
                enter = ["nsenter", f"--net=/proc/{pids[0]}/ns/net"]
            elif source != "world":
                enter = ["nsenter", f"--net=/proc/{node.processes(observed.pods[source], 'echo')[0]}/ns/net"]
            found[source] = folder / f"{number}.sock"
            argv = [*enter, sys.executable, "-I", str(PEER), str(found[source]), source]
            process = node.cp.processes.start(f"client-{number}", argv)
            stack.callback(node.cp.processes.stop, process)
            process.wait_until(found[source].exists, 20)
        yield found


def test_who_reaches_whom(
    cluster: Cluster, observed: Observed, asked: list[Connection], sockets: dict[str, Path]
) -> None:
    def attempt(each: Connection, patience: float) -> Attempt:
        port = observed.port(each.to, each.port)
        assert port is not None, each
        return Attempt(each.source, observed.pods[each.to]["status"]["podIP"], port, patience)

    node = cluster.node
    assert node is not None
    free = connect(sockets, [attempt(each, LONG_TIMEOUT) for each in asked])
    assert None not in free, [each for each, answer in zip(asked, free, strict=True) if answer is None]
    try:
        running = Enforcer(node.cp.processes, node.cp.kubeconfig, [node.box.addresses.pods], netns=node.box.network)
        with running:
            answers = connect(sockets, [attempt(each, LONG_TIMEOUT if each.allowed else CURT) for each in asked])
    except AssetsMissing as error:
        pytest.skip(f"no enforcer: {error}")
    wrong = [
        picture.describe(each, observed.port, answer is not None)
        for each, answer in zip(asked, answers, strict=True)
        if (answer is not None) != each.allowed
    ]
    assert not wrong, f"{len(wrong)} of {len(asked)} connections differ:\n" + "\n".join(wrong)
