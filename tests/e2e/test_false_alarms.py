"""No false alarm: Spaces that nobody touches stay Ready, whatever others do, while the edge restarts.

Some Spaces are quiet. Others are created, changed, given bad certificates, and deleted all the time, and halfway the
edge is restarted. A watch sees each status of the quiet ones, so not even a short alarm is missed. An alarm is false if
all requests of clients were answered, in the time that a probe has, when it was raised. In the end one link of a quiet
App is really broken: that the watch must see.

``E2E_CHURN_MINUTES`` is how long it lasts: 5 in ``make e2e``; half an hour is what decco promises.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from decco.probe.model import CONNECT_SECONDS, PROBE_SECONDS
from decco.probe.verdict import CONFIRM_CONNECT_SECONDS, CONFIRMATIONS
from testbed import assets
from testbed.node.edge import GATEWAY, NAMESPACE
from testbed.node.node import Node
from testbed.versions import kubernetes_version
from tests.e2e import clients
from tests.e2e.conftest import BACKEND
from tests.e2e.faults import PodNetwork
from tests.e2e.test_links import ready_pod
from tests.e2e.world import APPS, HTTP_PORT, SPACES, Obj, Tenant, World, eventually, ready, shared_secret
from tests.images.pki import Authority
from tests.sample import full

MINUTES = float(os.environ.get("E2E_CHURN_MINUTES") or 5)
QUIET, CHURNING = 3, 2
"""Spaces; of the churning ones so many at a time."""
POLL_SECONDS, ASK_SECONDS = 0.5, 0.2
BUSY_SECONDS = 300.0
"""Until something of a churning Space must have happened, on however busy a machine."""
TCP_PORT = 9000
LABEL = "quiet"
CONFIRMED_SECONDS = CONFIRM_CONNECT_SECONDS + CONFIRMATIONS * PROBE_SECONDS
"""From the first probe that fails to the alarm, at the longest."""

pytestmark = [
    pytest.mark.timeout(MINUTES * 60 + 1200),
    full,
    pytest.mark.skipif(BACKEND != "gateway", reason="restarts the Envoy of the shared Gateway"),
]


class Watch:
    """Each status of the quiet objects of one kind."""

    def __init__(self, world: World, kind: str) -> None:
        binary = assets.provide(kubernetes_version(), ["kubectl"]).kubernetes["kubectl"]
        self._argv = [str(binary), f"--kubeconfig={world.cluster.kubeconfig}", "get", kind, "-A", "-l", LABEL]
        self._argv += ["--watch", "-o", 'jsonpath={@}{"\\n"}']
        self._ending = False
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seen = 0
        self.alarms: list[tuple[float, str]] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        if self._process is not None:
            self._process.kill()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._ending:  # the API server ends a watch after a while
            with subprocess.Popen(self._argv, stdout=subprocess.PIPE, text=True) as self._process:
                assert self._process.stdout is not None
                for line in self._process.stdout:
                    if line.strip():
                        self._take(json.loads(line))

    def _take(self, obj: Obj) -> None:
        self.seen += 1
        name = f"{obj['kind']} {obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"
        for each in obj["status"]["conditions"]:
            if each["status"] != "True":
                text = f"{time.strftime('%H:%M:%S')} {name} {each['type']}: {each['reason']}: {each['message']}"
                self.alarms.append((time.monotonic(), text))


class Clients:
    """Requests to all quiet Apps, one after the other."""

    def __init__(self, quiet: list[Tenant]) -> None:
        self._quiet = quiet
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.asked = 0
        self.failures: list[tuple[float, str]] = []
        """Also the requests that were answered later than a probe waits."""

    def __enter__(self) -> Clients:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(60)

    def _run(self) -> None:
        for tenant, ask in itertools.cycle(itertools.product(self._quiet, (_ask_web, _ask_line))):
            if self._ending.wait(ASK_SECONDS):
                return
            self.asked += 1
            started = time.monotonic()
            try:
                ask(tenant)
                took = time.monotonic() - started
                wrong = f"answered after {took:.1f} s" if took > CONNECT_SECONDS else ""
            except (OSError, AssertionError) as error:
                wrong = repr(error)
            if wrong:
                text = f"{time.strftime('%H:%M:%S')} {tenant.name} {ask.__name__}: {wrong}"
                self.failures.append((time.monotonic(), text))

    def failed_before(self, when: float) -> bool:
        """Whether a request failed in the seconds in which a failure is confirmed."""
        return any(when - CONFIRMED_SECONDS < each < when + ASK_SECONDS for each, _ in self.failures)


def _ask_web(tenant: Tenant) -> None:
    status = tenant.https("/web").status
    assert status == 200, status


def _ask_line(tenant: Tenant) -> None:
    with tenant.tls("line") as connection:
        assert clients.exchange(connection, b"ping") == b"ping"


class Churn:
    """Spaces that come, change and go. ``done`` counts their steps."""

    def __init__(self, world: World, node: Node) -> None:
        self._world = world
        self._node = node
        self._numbers = itertools.count()
        self._ending = threading.Event()
        self.done: Counter[str] = Counter()
        self.late: list[str] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(CHURNING) as pool:
            futures = [pool.submit(self._work) for _ in range(CHURNING)]
            try:
                yield
            finally:
                self._ending.set()
            for each in futures:
                each.result()

    def _work(self) -> None:
        while not self._ending.is_set():
            self._life(Tenant(self._world, f"churn{next(self._numbers)}"))

    def _life(self, tenant: Tenant) -> None:
        apply, kubectl, pod = self._world.apply, self._world.kubectl, {"terminationGracePeriodSeconds": 1}
        apply(*tenant.objects({}))
        self._wait(tenant, "a Space is made")
        apply(*apps_of(tenant, pod))
        self._wait(tenant, "two Apps are made", "web", "line")
        moved = tenant.app("web", httpUrlPath="/moved", initialReplicas=2, pod=pod)
        apply(moved)
        self._wait(tenant, "a path is moved", "web")
        tenant.web = tenant.authority.leaf(tenant.fqdn)
        apply(shared_secret(f"{tenant.name}-http", tenant.web, tenant.name))
        self.done["a certificate is renewed"] += 1
        kubectl("delete", "pods", "-n", tenant.name, "-l", "decco.platform9.com/app=line", "--wait=false")
        self._wait(tenant, "a pod is deleted", "line")
        apply(shared_secret(f"{tenant.name}-tcp", Authority().leaf("of.another.name.test"), tenant.name))
        self.done["a certificate is of a wrong name"] += 1
        kubectl("delete", APPS, "web", "-n", tenant.name)
        apply(moved)
        self._wait(tenant, "an App is made again", "web")
        kubectl("delete", SPACES, tenant.name, "--wait=false")
        kubectl("delete", "secrets", "-n", "decco", f"{tenant.name}-http", f"{tenant.name}-tcp")
        self.done["a Space is deleted"] += 1

    def _wait(self, tenant: Tenant, step: str, *apps: str) -> None:
        base = "/apis/decco.platform9.com/v1beta2"
        paths = [f"{base}/namespaces/{tenant.name}/apps/{app}" for app in apps] or [f"{base}/spaces/{tenant.name}"]
        deadline = time.monotonic() + BUSY_SECONDS
        while not all(self._is_ready(path) for path in paths):
            if self._ending.is_set():
                return
            if time.monotonic() > deadline:
                self.late.append(f"{tenant.name}: {step}")
                return
            time.sleep(POLL_SECONDS)
        self.done[step] += 1

    def _is_ready(self, path: str) -> bool:
        try:
            return ready(self._node.cp.request("GET", path).json())
        except AssertionError:
            return False


def apps_of(tenant: Tenant, pod: Obj) -> list[Obj]:
    endpoint = {"name": "line", "port": TCP_PORT}
    return [
        tenant.app("web", httpUrlPath="/web", pod=pod),
        tenant.app("line", [f"echo:{TCP_PORT}", f"http:{HTTP_PORT}"], endpoints=[endpoint], pod=pod),
    ]


def labelled(*objects: Obj) -> list[Obj]:
    kinds = ("Space", "App")
    return [
        {**each, "metadata": {**each["metadata"], "labels": {LABEL: "yes"}}} if each["kind"] in kinds else each
        for each in objects
    ]


@pytest.fixture(scope="module")
def quiet(world: World) -> list[Tenant]:
    if world.cluster.node is None:
        pytest.skip("breaks the network of a pod, and asks the API server more often than kubectl can")
    tenants = [Tenant(world, f"quiet{number}") for number in range(QUIET)]
    world.apply(*labelled(*(each for tenant in tenants for each in tenant.objects({}))))
    for tenant in tenants:
        tenant.wait_ready()
        world.apply(*labelled(*apps_of(tenant, {})))
    for tenant in tenants:
        for app in ("web", "line"):
            tenant.wait_app(app)
    return tenants


def test_no_false_alarm_beside_churn_and_a_restart_of_the_edge(quiet: list[Tenant]) -> None:
    world, node = quiet[0].world, quiet[0].world.cluster.node
    assert node is not None
    churn, answering = Churn(world, node), Clients(quiet)
    with Watch(world, APPS) as apps, Watch(world, SPACES) as spaces:
        with answering, churn.running():
            time.sleep(MINUTES * 30)
            restart(world)
            time.sleep(MINUTES * 30)
        alarms = [*apps.alarms, *spaces.alarms]
        print(f"\nload {os.getloadavg()[0]:.1f}; {MINUTES:g} minutes of {dict(churn.done)}; late: {churn.late}")
        print(f"{answering.asked} requests to quiet Apps, failed: {[text for _, text in answering.failures]}")
        print(f"{apps.seen} states of quiet Apps and {spaces.seen} of Spaces were seen; probes: {probes(world)}")
        print(f"alarms, true ones too: {[text for _, text in alarms]}")
        assert [text for when, text in alarms if not answering.failed_before(when)] == []
        assert (apps.seen, spaces.seen) >= (2 * QUIET, QUIET)
        assert min(churn.done[step] for step in ("a Space is deleted", "an App is made again")) > 0, churn.late
        with broken(node, quiet[0]):
            eventually(lambda: any("PortClosed" in text for _, text in apps.alarms), what="the watch sees an alarm")
    quiet[0].wait_app("line")


def restart(world: World) -> None:
    """As an operator does it: another pod takes the place of the edge's."""
    selector = f"gateway.envoyproxy.io/owning-gateway-name={GATEWAY}"
    before = {pod["metadata"]["uid"] for pod in world.list("pods", NAMESPACE, selector)}
    started = time.monotonic()
    world.kubectl("rollout", "restart", "deployment", "-n", NAMESPACE, "-l", selector)

    def replaced() -> bool:
        pods = [pod for pod in world.list("pods", NAMESPACE, selector) if "deletionTimestamp" not in pod["metadata"]]
        return all(ready_pod(pod) and pod["metadata"]["uid"] not in before for pod in pods) and bool(pods)

    eventually(replaced, 2 * BUSY_SECONDS, "another pod of the edge")
    print(f"\n{time.strftime('%H:%M:%S')}: the edge was restarted, in {time.monotonic() - started:.1f} s")


@contextmanager
def broken(node: Node, tenant: Tenant) -> Iterator[None]:
    """The port of the TCP App is closed, at both addresses that the sidecar tries."""
    [pod] = tenant.pods("line")
    network = PodNetwork(node.processes(pod, "echo")[0])
    rule = ["INPUT", "-i", "lo", "-p", "tcp", "--dport", str(TCP_PORT), "-j", "REJECT", "--reject-with", "tcp-reset"]
    with network.rule(*rule), network.rule(*rule, tool="ip6tables"):
        yield


def probes(world: World) -> dict[str, int]:
    """The controller's probes by their result."""
    found = {}
    for line in world.metrics().splitlines():
        name, _, rest = line.partition("{")
        if name == "decco_probe_total" and not line.endswith(" 0.0"):
            result, _, count = rest.partition("} ")
            found[result.partition('"')[2].rstrip('"')] = int(float(count))
    return found
