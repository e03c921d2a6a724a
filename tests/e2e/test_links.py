"""Each link between a client and an App is broken on a running App: it is named, and forgotten after the repair.

The faults are real, in the network or the objects of the cluster. For what only a defective proxy does, another program
takes the place of Envoy, in Envoy's own pod. Records are broken in tests/integration/test_answers.py. ``E2E=full``
breaks every link, else a sample of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from decco.probe.model import PROBE_SECONDS
from testbed.images import catalog
from testbed.node.edge import GATEWAY, NAMESPACE
from testbed.node.node import Node
from tests.e2e import clients
from tests.e2e.conftest import FULL, PROBE_INTERVAL
from tests.e2e.faults import PodNetwork
from tests.e2e.world import HTTP_PORT, RESTRICTED, SPACES, Obj, Tenant, World, eventually
from tests.images.pki import Authority
from tests.integration.answering import Edge
from tests.promises import PATIENCE, promised, timed

SECONDS = 5.0
"""From the next probe until the link is named; from the repair until the App is Ready."""
NEXT_PROBE_SECONDS = PROBE_INTERVAL + PROBE_SECONDS
"""Until it has ended."""
POLL_SECONDS = 0.1
EDGE_PORT = "10443"
"""Envoy's own port behind 443."""
TCP_PORT = 9000
FILES = "mkdir -p /tmp/www/application && touch /tmp/www/application/alive && exec httpd -f -p 8080 -h /tmp/www"


@dataclass
class Scene:
    """A Space whose Apps are broken, each once: what failed before has no part in it."""

    tenant: Tenant
    node: Node
    folder: Path

    @property
    def world(self) -> World:
        return self.tenant.world

    def envoy(self) -> tuple[PodNetwork, str]:
        """The network of the edge's pod, and its address."""
        selector = f"gateway.envoyproxy.io/owning-gateway-name={GATEWAY}"
        [pod] = [pod for pod in self.world.list("pods", NAMESPACE, selector) if ready_pod(pod)]
        return PodNetwork(self.node.processes(pod, "envoy")[0]), pod["status"]["podIP"]

    def processes(self, name: str, program: str) -> list[int]:
        [pod] = self.tenant.pods(name)
        return self.node.processes(pod, program)

    def network(self, name: str) -> PodNetwork:
        return PodNetwork(self.processes(name, "echo")[0])

    def conditions(self, name: str) -> dict[str, Obj]:
        path = f"/apis/decco.platform9.com/v1beta2/namespaces/{self.tenant.name}/apps/{name}"
        status = self.node.cp.request("GET", path).json().get("status", {})
        return {each["type"]: each for each in status.get("conditions", ())}


Fault = Callable[[Scene, str], contextlib.AbstractContextManager[None]]


def ready_pod(pod: Obj) -> bool:
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", ())}
    return "deletionTimestamp" not in pod["metadata"] and conditions.get("Ready") == "True"


@contextlib.contextmanager
def impostor(scene: Scene, broken: str = "", *, other: bool = False) -> Iterator[None]:
    """In place of Envoy: answers with the Space's certificate, or with another one."""
    tenant = scene.tenant
    leaf = Authority().leaf(f"*.{tenant.fqdn}") if other else tenant.tcp
    edge = Edge(scene.folder, "", leaf)
    edge.broken = broken
    network, _ = scene.envoy()
    listener = network.listen()
    to = str(listener.getsockname()[1])
    redirect = ["PREROUTING", "-p", "tcp", "--dport", EDGE_PORT, "-j", "REDIRECT", "--to-ports", to]
    with edge.running(listener), network.rule(*redirect, table="nat"):
        yield


def certificate(scene: Scene, _: str) -> contextlib.AbstractContextManager[None]:
    return impostor(scene, other=True)


def chain(scene: Scene, _: str) -> contextlib.AbstractContextManager[None]:
    return impostor(scene, "chain")


def listener(scene: Scene, _: str) -> contextlib.AbstractContextManager[None]:
    return impostor(scene, "closes")


def refused(scene: Scene, _: str) -> contextlib.AbstractContextManager[None]:
    return impostor(scene, "alert")


def address(scene: Scene, _: str) -> contextlib.AbstractContextManager[None]:
    reset = ["-j", "REJECT", "--reject-with", "tcp-reset"]
    return scene.envoy()[0].rule("INPUT", "-p", "tcp", "--dport", EDGE_PORT, *reset)


def policy(scene: Scene, name: str) -> contextlib.AbstractContextManager[None]:
    """What a policy does that does not allow the edge."""
    _, source = scene.envoy()
    return scene.network(name).rule("INPUT", "-s", source, "-j", "DROP")


@contextlib.contextmanager
def port(scene: Scene, name: str) -> Iterator[None]:
    """What an App does that does not listen, at neither of the addresses that the sidecar tries."""
    network = scene.network(name)
    rule = ["INPUT", "-i", "lo", "-p", "tcp", "--dport", str(TCP_PORT), "-j", "REJECT", "--reject-with", "tcp-reset"]
    with network.rule(*rule), network.rule(*rule, tool="ip6tables"):
        yield


@contextlib.contextmanager
def route(scene: Scene, name: str) -> Iterator[None]:
    """A route of somebody else's that has the better match."""
    namespace = scene.tenant.name
    [path] = [
        match["path"]
        for rule in scene.world.get("httproutes", name, namespace)["spec"]["rules"]
        for match in rule["matches"]
        if match["path"]["type"] == "Exact"
    ]
    redirect = {"type": "RequestRedirect", "requestRedirect": {"hostname": "elsewhere.test", "statusCode": 302}}
    spec = {
        "parentRefs": scene.world.get("httproutes", name, namespace)["spec"]["parentRefs"],
        "hostnames": [scene.tenant.fqdn],
        "rules": [{"matches": [{"path": path, "method": "GET"}], "filters": [redirect]}],
    }
    meta = {"name": "better", "namespace": namespace}
    scene.world.apply(
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta, "spec": spec}
    )
    try:
        yield
    finally:
        scene.world.kubectl("delete", "httproute", "better", "-n", namespace)


@contextlib.contextmanager
def service(scene: Scene, name: str) -> Iterator[None]:
    """Deleted, and refused when decco makes it again."""
    namespace, kubectl = scene.tenant.name, scene.world.kubectl

    def quota(hard: Obj | None) -> None:
        kubectl("patch", SPACES, namespace, "--type=merge", "-p", json.dumps({"spec": {"resourceQuota": hard}}))

    quota({"hard": {"services": "0"}})
    eventually(lambda: scene.world.get("resourcequota", "decco", namespace)["status"]["hard"]["services"] == "0")
    kubectl("delete", "service", name, "-n", namespace)
    try:
        yield
    finally:
        quota(None)


@contextlib.contextmanager
def pods(scene: Scene, name: str) -> Iterator[None]:
    """None is ready: the program stands still. Envoy goes on sending to it, having no better one."""
    [pid] = scene.processes(name, "echo")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def application(scene: Scene, name: str) -> Iterator[None]:
    [pid] = scene.processes(name, "busybox") or scene.processes(name, "sh")
    file = Path(f"/proc/{pid}/root/tmp/www/application/alive")
    file.unlink()
    try:
        yield
    finally:
        file.touch()


@dataclass(frozen=True)
class Link:
    fault: Fault
    reason: str
    condition: str = "RoutesReady"
    http: bool = False
    sampled: bool = False

    @property
    def name(self) -> str:
        return self.fault.__name__


LINKS = (
    Link(address, "AddressUnreachable"),
    Link(listener, "ListenerNotAnswering"),
    Link(refused, "RefusedByProxy"),
    Link(certificate, "WrongCertificate", sampled=True),
    Link(chain, "IncompleteChain"),
    Link(route, "RouteNotAnswering", http=True, sampled=True),
    Link(policy, "BackendBlocked"),
    Link(service, "QuotaExceeded", "WorkloadReady"),
    Link(pods, "Unavailable", "WorkloadReady"),
    Link(port, "PortClosed", sampled=True),
    Link(application, "ApplicationError", http=True),
)


@pytest.fixture(scope="module")
def scene(world: World, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    node = world.cluster.node
    if node is None:
        pytest.skip("faults in the network of a pod can be had with the testbed's own node only")
    node.load(catalog.busybox().archive)
    tenant = Tenant(world, "links")
    tenant.authority = Authority().intermediate("between.test")
    tenant.web, tenant.tcp = tenant.authority.leaf(tenant.fqdn), tenant.authority.leaf(f"*.{tenant.fqdn}")
    world.apply(*tenant.objects({}))
    tenant.wait_ready()
    return Scene(tenant, node, tmp_path_factory.mktemp("links"))


@timed
@pytest.mark.parametrize("link", [link for link in LINKS if FULL or link.sampled], ids=lambda link: link.name)
def test_a_broken_link_is_named(scene: Scene, link: Link) -> None:
    name, tenant = link.name, scene.tenant
    tenant.run(app_of(tenant, link))
    eventually(lambda: answers(scene, link), what="an answer")
    named = broken(scene, link)
    eventually(lambda: answers(scene, link), what="an answer again")
    repaired = time.monotonic()
    wait(lambda: scene.conditions(name)["Ready"]["status"] == "True", f"{name}: Ready again")
    ready = time.monotonic() - repaired
    print(f"\n| {name} | {link.reason} | {named:.1f} s | {ready:.1f} s |")
    promised(f"{name}: from the fault to Ready=False", named, NEXT_PROBE_SECONDS + SECONDS)
    promised(f"{name}: from the repair to Ready=True", ready, SECONDS)
    scene.world.kubectl("delete", "apps.decco.platform9.com", name, "-n", tenant.name)


def broken(scene: Scene, link: Link) -> float:
    """Breaks and repairs the link; seconds until it was named."""

    def named() -> bool:
        found = scene.conditions(link.name)
        return found["Ready"]["status"] == "False" and found[link.condition]["reason"] == link.reason

    with link.fault(scene, link.name):
        started = time.monotonic()
        wait(named, f"{link.name}: {link.reason}", lambda: str(scene.conditions(link.name)))
        took = time.monotonic() - started
        ready = scene.conditions(link.name)["Ready"]
        assert link.reason in f"{ready['reason']} {ready['message']}", ready
    return took


def wait(holds: Callable[[], bool], what: str, found: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"{what}; found {found()}"
        time.sleep(POLL_SECONDS)


def app_of(tenant: Tenant, link: Link) -> Obj:
    name = link.name
    if link.fault is application:
        volume = {"name": "tmp", "emptyDir": {}}
        container = {
            "name": "files",
            "image": catalog.busybox().reference,
            "command": ["/bin/sh", "-c", FILES],
            "securityContext": RESTRICTED,
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        }
        endpoint: Obj = {"name": name, "port": HTTP_PORT, "httpPath": f"/{name}", "probePath": "/alive"}
        return tenant.app_of({"containers": [container], "volumes": [volume]}, name, endpoints=[endpoint])
    endpoint = {"name": name, "port": HTTP_PORT, "httpPath": f"/{name}"}
    if not link.http:
        endpoint = {"name": name, "port": TCP_PORT}
    return tenant.app(name, [f"echo:{TCP_PORT}", f"http:{HTTP_PORT}"], endpoints=[endpoint])


def answers(scene: Scene, link: Link) -> bool:
    """Whether a client has what it asks for."""
    tenant, name = scene.tenant, link.name
    if link.fault is route:
        answer = tenant.https(f"/.well-known/decco-probe/{name}")
        return "decco-probe.invalid" in answer.headers.get("location", "")
    if link.http:
        return tenant.https(f"/{name}/alive").status == 200
    with tenant.tls(name) as connection:
        return clients.exchange(connection, b"ping") == b"ping"
