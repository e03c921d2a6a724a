"""Hostile tenants on a real node and edge: pods that would leave their container, Apps that would break the edge."""

from __future__ import annotations

import base64
import json
import statistics
import threading
import time
from collections.abc import Iterator

import pytest

from testbed.api import RequestFailed
from testbed.enforcer import Enforcer
from testbed.found import AssetsMissing
from testbed.node.edge import NAMESPACE
from tests.e2e import clients
from tests.e2e.conftest import FULL
from tests.e2e.hostile import objects
from tests.e2e.world import APPS, Obj, Tenant, World, eventually, shared_secret
from tests.promises import promised

pytestmark = [pytest.mark.full, pytest.mark.skipif(not FULL, reason="in make e2e only, for its length")]

APPS_IN_ALL = 400
SPACES = 4
BATCH = 20
SEED = 13
CONNECTIONS = 8
EDITS = 5
PAUSE_SECONDS = 0.05
TENANT = "mallory"


@pytest.fixture(scope="module")
def victim(world: World) -> Tenant:
    tenant = world.tenant("steady")
    tenant.run(
        tenant.app("site", endpoints=[{"name": "site", "port": 8080, "httpPath": "/site"}]),
        tenant.app("talk", ["echo:9000"], endpoints=[{"name": "talk", "port": 9000}]),
    )
    tenant.settled("/site")
    tenant.listening("talk")
    return tenant


@pytest.fixture(scope="module")
def mallory(world: World, victim: Tenant) -> Tenant:
    return made(world, "mallory")


def made(world: World, name: str) -> Tenant:
    """A Space with Pod Security level baseline, and decco-tenant-edit and edit in it for one user."""
    tenant = world.tenant(name, podSecurity="baseline")
    for role in ("decco-tenant-edit", "edit"):
        binding = ["create", "rolebinding", f"{TENANT}-{role}", f"--clusterrole={role}", f"--user={TENANT}"]
        world.kubectl(*binding, f"--namespace={name}")
    return tenant


def apply(world: World, *items: Obj) -> None:
    """As the tenant, so what is applied is admissible for it."""
    whole = {"apiVersion": "v1", "kind": "List", "items": list(items)}
    world.kubectl("apply", "--server-side", f"--as={TENANT}", "-f", "-", input=json.dumps(whole))


# Pods -------------------------------------------------------------------------------------------------------------

OUTSIDE: dict[str, Obj] = {
    "hostPath": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
    "hostNetwork": {"hostNetwork": True},
    "hostPID": {"hostPID": True},
    "hostIPC": {"hostIPC": True},
    "privileged": {"container": {"securityContext": {"privileged": True}}},
    "capability": {"container": {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}},
    "hostPort": {"container": {"ports": [{"containerPort": 8080, "hostPort": 8080}]}},
    "unmasked proc": {"hostUsers": False, "container": {"securityContext": {"procMount": "Unmasked"}}},
    "sysctl": {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
    "another account": {"serviceAccountName": "decco-controller"},
}


@pytest.mark.parametrize("attack", OUTSIDE)
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
    """The ports of the containers themselves, past edge and sidecar. One's own answer, so the way exists."""
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


def test_the_edge_is_no_deputy_for_another_space(mallory: Tenant, victim: Tenant) -> None:
    """A route of one's own host name to another Space's Service: by ExternalName, by namespace, by endpoints."""
    world = mallory.world
    [site] = victim.pods("site")
    host = f"site.{victim.name}.svc.cluster.local"
    external: Obj = service(
        mallory, "external", {"type": "ExternalName", "externalName": host, "ports": [{"port": 8080}]}
    )
    manual: Obj = service(mallory, "manual", {"ports": [{"name": "http", "port": 8080}]})
    slices: Obj = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "manual",
            "namespace": mallory.name,
            "labels": {"kubernetes.io/service-name": "manual"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [site["status"]["podIP"]]}],
        "ports": [{"name": "http", "port": 8080}],
    }
    for obj in (external, route(mallory, "foreign", {"name": "site", "namespace": victim.name}), slices):
        with pytest.raises(RequestFailed, match=r"DECCO-\d{4}|forbidden"):
            apply(world, obj)
    # As if they were there from before the policies.
    world.apply(external, manual, slices)
    for path, target in (("external", {"name": "external"}), ("across", {"name": "site", "namespace": victim.name})):
        world.apply(route(mallory, path, target))
        eventually(lambda path=path: mallory.https(f"/{path}").status >= 500, 30, f"no answer for {path}")  # type: ignore[misc]
    world.kubectl("delete", "httproutes", "external", "across", "-n", mallory.name)
    world.kubectl("delete", "services", "external", "manual", "-n", mallory.name)


def service(tenant: Tenant, name: str, spec: Obj) -> Obj:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": tenant.name}, "spec": spec}


def route(tenant: Tenant, path: str, backend: Obj) -> Obj:
    """As decco's own, at the listener of the Space."""
    [own, *_] = tenant.world.list("httproutes", tenant.name) or [None]
    parents = (
        own["spec"]["parentRefs"]
        if own
        else [{"name": "decco", "kind": "ListenerSet", "group": "gateway.networking.k8s.io"}]
    )
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": f"/{path}"}}],
        "backendRefs": [{**backend, "port": 8080}],
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": path, "namespace": tenant.name},
        "spec": {"parentRefs": parents, "hostnames": [tenant.fqdn], "rules": [rule]},
    }


# The shared edge --------------------------------------------------------------------------------------------------


class Steady:
    """Connections of the victim's clients that never end by themselves, and requests one after the other."""

    def __init__(self, victim: Tenant) -> None:
        self._victim = victim
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._talk, args=(i,), daemon=True) for i in range(CONNECTIONS)]
        self._threads.append(threading.Thread(target=self._ask, daemon=True))
        self.lost: list[str] = []
        self.exchanges = 0

    def __enter__(self) -> Steady:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(30)

    def _talk(self, number: int) -> None:
        try:
            with self._victim.tls("talk") as connection:
                while not self._ending.wait(PAUSE_SECONDS):
                    content = f"{number} {self.exchanges}".encode()
                    if clients.exchange(connection, content) != content:
                        raise ConnectionError("another answer")
                    self.exchanges += 1
        except OSError as error:
            self.lost.append(f"connection {number} after {self.exchanges} exchanges of all: {error!r}")

    def _ask(self) -> None:
        while not self._ending.wait(PAUSE_SECONDS):
            try:
                if (status := self._victim.https("/site").status) != 200:
                    self.lost.append(f"status {status}")
            except OSError as error:
                self.lost.append(f"request: {error!r}")


def edits(victim: Tenant, prefix: str) -> float:
    """Median of the seconds from an edit of a path to its effect."""
    took = []
    for i in range(EDITS):
        path = f"/{prefix}{i}"
        both = [{"name": "site", "port": 8080, "httpPath": "/site"}, {"name": "more", "port": 8080, "httpPath": path}]
        victim.world.apply(victim.app("site", endpoints=both))
        started = time.monotonic()
        eventually(lambda path=path: victim.https(path).status == 200, 60, path)  # type: ignore[misc]
        took.append(time.monotonic() - started)
    return statistics.median(took)


@pytest.fixture
def attackers(world: World) -> Iterator[list[Tenant]]:
    tenants = [made(world, f"hostile{i}") for i in range(SPACES)]
    yield tenants
    for tenant in tenants:
        world.kubectl("delete", "spaces.decco.platform9.com", tenant.name, "--wait=false")


def test_400_hostile_apps_on_the_edge_of_another_space(victim: Tenant, attackers: list[Tenant]) -> None:
    world = victim.world
    with Steady(victim) as steady:
        undisturbed = edits(victim, "before")
    assert steady.lost == []
    batches = [list(objects(each, APPS_IN_ALL // SPACES, SEED)) for each in attackers]
    done: list[float] = []

    def attack() -> None:
        for begin in range(0, APPS_IN_ALL // SPACES, BATCH):
            for tenant, all_objects in zip(attackers, batches, strict=True):
                apply(world, *(obj for pair in all_objects[begin : begin + BATCH] for obj in pair))
                world.apply(broken(tenant, begin))
        done.append(time.monotonic())

    with Steady(victim) as steady:
        attacking = threading.Thread(target=attack, daemon=True)
        attacking.start()
        meanwhile = edits(victim, "meanwhile")
        attacking.join(1200)
        assert done, "not all hostile objects were accepted"
        after = edits(victim, "after")
    print(f"edits: {undisturbed:.2f} s, {meanwhile:.2f} s meanwhile, {after:.2f} s after; {steady.exchanges} exchanges")
    assert steady.exchanges > CONNECTIONS * EDITS
    assert steady.lost == []
    promised("an edit beside 400 hostile Apps", max(meanwhile, after), 2 * undisturbed)

    pods = ["pods", "-n", NAMESPACE, "-l", "gateway.envoyproxy.io/owning-gateway-name=edge"]
    world.kubectl("delete", *pods, "--wait=true", seconds=180)
    eventually(lambda: victim.https("/site").status == 200, 120, "the edge after its restart")
    victim.listening("talk")
    with Steady(victim) as steady:
        edits(victim, "restarted")
    assert steady.lost == []


def broken(tenant: Tenant, number: int) -> Obj:
    """The certificate of a hostile Space: noise, and now and then a good one."""
    secret = shared_secret(f"{tenant.name}-http", tenant.web, tenant.name)
    if number % (2 * BATCH):
        secret["data"] |= {"tls.crt": base64.b64encode(f"noise {number}".encode()).decode()}
    return secret
