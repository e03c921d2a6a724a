"""Egress by declaration on a real API server, with names on a real name server: added, changed and removed.

What the policies permit is evaluated in tests/policies; here is what is written, when, and that nothing else is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from testbed.dns.bind import Bind
from testbed.dns.server import HOST
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, pod, space, tls_secret
from tests.integration.loop import assert_no_defects
from tests.sample import full

ZONE = "egress.test"
MISSING = Bind.missing()
RECORD = "decco.platform9.com/egress-addresses"
NOTE = "decco.platform9.com/egress-policy"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies/{}"
QUIET_SECONDS = 4.0

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"MISSING {MISSING}")


class World:
    """A name server, and a controller that asks it for names every second."""

    def __init__(self, cp: ControlPlane, cluster: Cluster, folder: Path, server: Bind) -> None:
        self.cp, self.cluster, self.folder, self.server = cp, cluster, folder, server
        self.decco = self.start()

    def start(self, **settings: str) -> Decco:
        chosen = {
            "egress__name_servers": json.dumps([f"{HOST}:{self.server.port}"]),
            "egress__refresh_min_seconds": "1",
            "egress__refresh_max_seconds": "2",
            "egress__keep_seconds": "3",
            **settings,
        }
        self.decco = Decco(self.cp, self.folder, **chosen).start()
        return self.decco

    def policy(self, namespace: str, name: str = "decco") -> Obj:
        found: Obj | None = self.cluster.get(POLICIES.format(namespace, name))
        return found or {"metadata": {}, "spec": {"policyTypes": []}}

    def egress(self, namespace: str, name: str = "decco") -> list[Obj] | None:
        """Rules; None if the policy says nothing of egress."""
        spec = self.policy(namespace, name)["spec"]
        return list(spec.get("egress") or ()) if "Egress" in spec["policyTypes"] else None

    def blocks(self, namespace: str, name: str) -> set[tuple[str, int]]:
        """(network, port) that an App's policy permits."""
        return {
            (peer["ipBlock"]["cidr"], port["port"])
            for rule in self.egress(namespace, name) or ()
            for peer in rule.get("to", ())
            if "ipBlock" in peer
            for port in rule["ports"]
        }

    def pods(self, namespace: str, name: str) -> set[tuple[str, str, int]]:
        """(namespace, App, port) that an App's policy permits."""
        return {
            (
                peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"],
                peer["podSelector"]["matchLabels"]["decco.platform9.com/app"],
                port["port"],
            )
            for rule in self.egress(namespace, name) or ()
            for peer in rule.get("to", ())
            if "podSelector" in peer
            for port in rule["ports"]
        }

    def network(self, namespace: str, app: str | None = None) -> Obj:
        found = (
            self.cluster.app_condition(namespace, app, "NetworkReady")
            if app is not None
            else self.cluster.space_condition(namespace, "NetworkReady")
        )
        return found or {}

    def patch_app(self, namespace: str, name: str, **spec: Any) -> None:
        self.cluster.patch(f"{APIS}/namespaces/{namespace}/apps/{name}", {"spec": spec})

    def patch_space(self, name: str, **spec: Any) -> None:
        self.cluster.patch(f"{APIS}/spaces/{name}", {"spec": spec})

    def template(self, namespace: str, name: str) -> Obj:
        found = eventually(lambda: self.cluster.deployment(namespace, name), what=f"Deployment {namespace}/{name}")
        assert found is not None
        template: Obj = found["spec"]["template"]
        return template

    def writes(self, since: int) -> list[tuple[str, str, str]]:
        said = self.cp.audit("decco", since=since)
        return [(each.verb, each.resource, each.name) for each in said if each.writes and each.resource != "events"]


@pytest.fixture(scope="module")
def server() -> Iterator[Bind]:
    with Bind() as server:
        server.create_zone(ZONE)
        yield server


@pytest.fixture(scope="module")
def world(
    control_plane: ControlPlane, cluster: Cluster, server: Bind, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    cluster.create(tls_secret("egress-tls"))
    world = World(control_plane, cluster, tmp_path_factory.mktemp("egress"), server)
    yield world
    assert world.decco.stop() == 0, world.decco.tail()
    assert_no_defects(world.decco)


@pytest.fixture
def name(name: str, world: World) -> Iterator[str]:
    """The Space of a test ends with it: later tests count writes, and addresses of its names may still change."""
    yield name
    world.cluster.delete(f"{APIS}/spaces/{name}")
    eventually(lambda: world.cluster.get(f"/api/v1/namespaces/{name}") is None)


def outward(namespace: str, name: str, *targets: Obj, **more: Any) -> Obj:
    listed = [{"localPort": 7000 + i, **target} for i, target in enumerate(targets)]
    return app(namespace, name, **{"pod": pod(), "endpoints": [], "tlsEgresses": listed, **more})


def declared(world: World, name: str, **spec: Any) -> None:
    world.cluster.make_space(name, tcpCertAndCaSecretName="egress-tls", egressPolicy="Declared", **spec)


def host(world: World, name: str, *addresses: str, ttl: int = 1) -> str:
    full = f"{name}.{ZONE}"
    world.server.put(ZONE, f"{full}.", ttl, "A", *addresses)
    return full


def test_a_new_space_is_closed_from_the_beginning(world: World, name: str) -> None:
    cidr = {"cidr": "203.0.113.0/24", "ports": [{"port": 5432}, {"port": 1000, "endPort": 2000, "protocol": "UDP"}]}
    declared(world, name, egressCidrs=[cidr])
    rules = world.egress(name)
    assert rules is not None
    assert {} not in rules
    assert {"to": [{"podSelector": {}}]} in rules
    assert [rule["ports"] for rule in rules if {"ipBlock": {"cidr": "169.254.20.10/32"}} in rule["to"]] == [
        [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    ]
    assert [rule for rule in rules if {"ipBlock": {"cidr": "203.0.113.0/24"}} in rule["to"]] == [
        {
            "to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}],
            "ports": [{"protocol": "TCP", "port": 5432}, {"protocol": "UDP", "port": 1000, "endPort": 2000}],
        }
    ]
    namespace = world.cluster.get(f"/api/v1/namespaces/{name}")
    assert namespace is not None
    assert namespace["metadata"]["annotations"][NOTE] == "Declared"
    world.patch_space(name, egressCidrs=[{"cidr": "198.51.100.0/24"}])
    eventually(lambda: {"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}]} in (world.egress(name) or ()))
    assert "203.0.113.0" not in json.dumps(world.egress(name))


@full
def test_names_are_followed_on_a_running_app_and_nothing_restarts(world: World, name: str) -> None:
    declared(world, name)
    api, other = host(world, f"{name}-api", "1.1.1.1"), host(world, f"{name}-other", "8.8.8.8")
    world.cluster.create(outward(name, "caller", {"fqdn": api}))
    eventually(lambda: world.blocks(name, "app-caller") == {("1.1.1.1/32", 443)})
    assert world.policy(name, "app-caller")["spec"]["policyTypes"] == ["Egress"]
    eventually(lambda: world.network(name, "caller").get("status") == "True")
    before = world.template(name, "caller")

    host(world, f"{name}-api", "1.1.1.1", "1.0.0.1")  # another address
    eventually(lambda: world.blocks(name, "app-caller") == {("1.1.1.1/32", 443), ("1.0.0.1/32", 443)}, 40)
    assert world.policy(name, "app-caller")["metadata"]["annotations"][RECORD] == f"{api}=1.0.0.1 1.1.1.1"
    host(world, f"{name}-api", "1.0.0.1")  # the first is no longer one
    eventually(lambda: world.blocks(name, "app-caller") == {("1.0.0.1/32", 443)}, 60)
    assert world.template(name, "caller") == before

    world.patch_app(
        name,
        "caller",
        tlsEgresses=[{"localPort": 7000, "fqdn": api}, {"localPort": 7001, "fqdn": other, "targetPort": 8443}],
    )
    eventually(lambda: world.blocks(name, "app-caller") == {("1.0.0.1/32", 443), ("8.8.8.8/32", 8443)})
    world.patch_app(name, "caller", tlsEgresses=[{"localPort": 7001, "fqdn": other, "targetPort": 8443}])
    eventually(lambda: world.blocks(name, "app-caller") == {("8.8.8.8/32", 8443)})
    world.patch_app(name, "caller", tlsEgresses=[])
    eventually(lambda: world.cluster.get(POLICIES.format(name, "app-caller")) is None)
    eventually(lambda: world.network(name, "caller") == {})


def test_the_policy_goes_with_its_app(world: World, name: str) -> None:
    declared(world, name)
    world.cluster.create(outward(name, "caller", {"fqdn": host(world, name, "1.1.1.1")}))
    eventually(lambda: world.blocks(name, "app-caller"))
    world.cluster.delete(f"{APIS}/namespaces/{name}/apps/caller")
    eventually(lambda: world.cluster.get(POLICIES.format(name, "app-caller")) is None, 60)


def test_the_policy_is_written_before_the_pods(world: World, name: str) -> None:
    declared(world, name)
    mark = world.cp.audit_mark()
    world.cluster.create(outward(name, "caller", {"fqdn": host(world, name, "1.1.1.1")}, runAsJob=True))
    eventually(lambda: world.cluster.get(f"/apis/batch/v1/namespaces/{name}/jobs/caller"))
    created = [resource for verb, resource, _ in world.writes(mark) if verb == "create"]
    assert created.index("networkpolicies") < created.index("jobs")


@full
def test_nothing_is_written_in_steady_state_and_over_a_restart_without_dns(world: World, name: str) -> None:
    declared(world, name)
    api, gone = host(world, name, "1.1.1.1", "1.0.0.1"), f"{name}-gone.{ZONE}"
    world.cluster.create(outward(name, "caller", {"fqdn": api}, {"fqdn": gone}))
    eventually(lambda: world.network(name, "caller").get("reason") == "EgressUnresolved")
    world.decco.settle()
    mark = world.cp.audit_mark()
    time.sleep(QUIET_SECONDS)  # several times of refreshMinSeconds
    assert world.writes(mark) == []

    assert world.decco.stop() == 0
    world.start(egress__name_servers=json.dumps([f"{HOST}:9"]))  # nothing answers there
    try:
        time.sleep(QUIET_SECONDS)
        world.decco.settle()
        assert world.blocks(name, "app-caller") == {("1.1.1.1/32", 443), ("1.0.0.1/32", 443)}
        policies = [write for write in world.writes(mark) if write[1] == "networkpolicies"]
        assert policies == []
    finally:
        assert world.decco.stop() == 0
        world.start()
    host(world, name, "8.8.8.8")
    eventually(lambda: ("8.8.8.8/32", 443) in world.blocks(name, "app-caller"), 40)


def test_what_a_name_may_not_open(world: World, name: str) -> None:
    """Its zone belongs to the tenant."""
    declared(world, name)
    bad = host(world, name, "169.254.169.254", "10.0.0.1", "127.0.0.1", "1.1.1.1")
    world.cluster.create(outward(name, "caller", {"fqdn": bad}, {"fqdn": "kubernetes.default.svc"}))
    metadata = "169.254.169.254 is an instance metadata service"
    eventually(lambda: metadata in str(world.network(name, "caller").get("message")))
    assert world.blocks(name, "app-caller") == {("1.1.1.1/32", 443)}
    message = world.network(name, "caller")["message"]
    assert world.network(name, "caller")["reason"] == "EgressRefused"
    assert "kubernetes.default.svc:443 is inside the cluster" in message
    ready = world.cluster.app_condition(name, "caller", "Ready") or {}
    assert ready["status"] == "False"


def test_endpoints_of_other_spaces_are_their_pods_and_ports(world: World, name: str) -> None:
    """In both spellings, only where the target allows the caller, and followed when they change."""
    target, closed = f"{name}-t", f"{name}-c"
    declared(world, name)
    world.cluster.make_space(target, tcpCertAndCaSecretName="egress-tls")
    world.cluster.make_space(closed, tcpCertAndCaSecretName="egress-tls", project="theirs")
    for each in (target, closed):
        endpoints = [{"name": "db", "port": 5432}, {"name": "raw", "port": 6443, "disableTlsTermination": True}]
        world.cluster.create(app(each, "store", pod=pod(5432, 6443), endpoints=endpoints))
    targets = [
        {"endpoint": "db", "spaceName": target},
        {"fqdn": f"raw.{target}.svc"},
        {"endpoint": "db", "spaceName": closed},
        {"fqdn": f"raw.{closed}.svc.cluster.local"},
    ]
    world.cluster.create(outward(name, "caller", *targets))

    def listener() -> int:
        found = world.template(target, "store")["spec"]["initContainers"][0]["ports"]
        return int(found[0]["containerPort"])

    eventually(lambda: world.pods(name, "app-caller") == {(target, "store", listener()), (target, "store", 6443)})
    ports = {port["port"] for rule in world.policy(target, "app-store")["spec"]["ingress"] for port in rule["ports"]}
    assert {listener(), 6443} == ports  # what the callee opens is what the caller may use
    before = world.policy(target, "app-store")

    world.patch_app(target, "store", endpoints=[{"name": "db", "port": 5432}])
    eventually(lambda: world.pods(name, "app-caller") == {(target, "store", listener())})
    world.patch_space(closed, project=None)
    eventually(lambda: {each[0] for each in world.pods(name, "app-caller")} == {target, closed})
    world.patch_space(closed, project="theirs")
    eventually(lambda: {each[0] for each in world.pods(name, "app-caller")} == {target})
    assert before["metadata"]["uid"] == world.policy(target, "app-store")["metadata"]["uid"]
    world.cluster.delete(f"{APIS}/namespaces/{target}/apps/store")
    eventually(lambda: world.pods(name, "app-caller") == set())


@full
def test_switching_on_a_running_space_interrupts_nothing(world: World, name: str) -> None:
    """Seen in the order of the writes: the Space passes everything, then Apps have their rules, then it is closed."""
    world.cluster.make_space(name, tcpCertAndCaSecretName="egress-tls")
    first, second = host(world, f"{name}-1", "1.1.1.1"), host(world, f"{name}-2", "8.8.8.8")
    world.cluster.create(outward(name, "one", {"fqdn": first}))
    world.cluster.create(outward(name, "two", {"fqdn": second}))
    world.cluster.create(app(name, "none", pod=pod(8080), endpoints=[{"name": "web", "port": 8080, "httpPath": "/"}]))
    templates = {each: world.template(name, each) for each in ("one", "two", "none")}
    world.decco.settle()
    assert world.egress(name) is None

    seen = watched(world, name, lambda: world.patch_space(name, egressPolicy="Declared"), "Declared")
    passing, ready, closed = (seen.index(each) for each in ("decco passing", "apps", "decco declared"))
    assert passing < ready < closed
    assert world.blocks(name, "app-one") == {("1.1.1.1/32", 443)}
    assert world.blocks(name, "app-two") == {("8.8.8.8/32", 443)}
    assert world.egress(name, "app-none") is None
    eventually(lambda: world.network(name).get("status") == "True")

    seen = watched(world, name, lambda: world.patch_space(name, egressPolicy="Open"), "Open")
    passing, gone, opened = (seen.index(each) for each in ("decco passing", "no apps", "decco unlimited"))
    assert passing < gone < opened
    namespace = world.cluster.get(f"/api/v1/namespaces/{name}")
    assert namespace is not None
    assert NOTE not in namespace["metadata"]["annotations"]
    assert {each: world.template(name, each) for each in templates} == templates
    world.decco.settle()
    mark = world.cp.audit_mark()
    time.sleep(QUIET_SECONDS / 2)
    assert world.writes(mark) == []


def watched(world: World, name: str, act: Any, end: str) -> list[str]:
    """The states of the policies in the order of the API server's versions, from its watch."""
    path = POLICIES.format(name, "").rstrip("/")
    listed = world.cp.request("GET", path).json()
    apps = {each: world.egress(name, f"app-{each}") is not None for each in ("one", "two")}
    act()
    eventually(lambda: (world.egress(name) is None) if end == "Open" else (world.egress(name) not in (None, [{}])), 60)
    version = listed["metadata"]["resourceVersion"]
    answer = world.cp.request("GET", f"{path}?watch=true&resourceVersion={version}&timeoutSeconds=2")
    seen: list[str] = []
    for line in answer.body.splitlines():
        event = json.loads(line)
        spec, which = event["object"]["spec"], event["object"]["metadata"]["name"]
        limits = event["type"] != "DELETED" and "Egress" in spec["policyTypes"]
        if which == "decco":
            state = "unlimited" if not limits else "passing" if spec["egress"] == [{}] else "declared"
            seen.append(f"decco {state}")
        elif which.removeprefix("app-") in apps:
            apps[which.removeprefix("app-")] = limits
            seen += ["apps"] if all(apps.values()) else [] if any(apps.values()) else ["no apps"]
    return seen


@full
def test_an_app_that_cannot_be_written_does_not_keep_its_space_open(world: World, name: str) -> None:
    world.cluster.make_space(name, tcpCertAndCaSecretName="egress-tls")
    foreign = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "app-caller", "namespace": name},
        "spec": {"podSelector": {"matchLabels": {"none": "such"}}},
    }
    world.cluster.create(foreign)
    world.cluster.create(outward(name, "caller", {"fqdn": host(world, name, "1.1.1.1")}))
    eventually(lambda: world.cluster.app(name, "caller"))
    world.patch_space(name, egressPolicy="Declared")
    eventually(lambda: world.network(name).get("reason") == "EgressPending")
    assert world.egress(name) == [{}]
    assert "(caller)" in world.network(name)["message"]
    eventually(lambda: world.egress(name) not in (None, [{}]), 120)
    eventually(lambda: world.network(name).get("status") == "True")


@full
def test_a_paused_app_keeps_what_it_has(world: World, name: str) -> None:
    declared(world, name)
    api = host(world, name, "1.1.1.1")
    world.cluster.create(outward(name, "caller", {"fqdn": api}))
    eventually(lambda: world.blocks(name, "app-caller") == {("1.1.1.1/32", 443)})
    path = f"{APIS}/namespaces/{name}/apps/caller"
    world.cluster.patch(path, {"metadata": {"annotations": {"decco.platform9.com/paused": "true"}}})
    eventually(lambda: (world.cluster.app_condition(name, "caller", "Paused") or {}).get("status") == "True")
    world.patch_app(name, "caller", tlsEgresses=[])
    time.sleep(1)
    assert world.blocks(name, "app-caller") == {("1.1.1.1/32", 443)}
    world.cluster.patch(path, {"metadata": {"annotations": {"decco.platform9.com/paused": None}}})
    eventually(lambda: world.cluster.get(POLICIES.format(name, "app-caller")) is None)


def test_what_another_writer_opens_is_closed_again(world: World, name: str) -> None:
    declared(world, name)
    world.cluster.create(outward(name, "caller", {"fqdn": host(world, name, "1.1.1.1")}))
    eventually(lambda: world.blocks(name, "app-caller"))
    rules = world.egress(name)
    for changed in ({"policyTypes": ["Ingress"], "egress": None}, {"egress": [{}]}):
        world.cluster.patch(POLICIES.format(name, "decco"), {"spec": changed})
        eventually(lambda: world.egress(name) == rules)
    world.cluster.patch(POLICIES.format(name, "app-caller"), {"spec": {"egress": [{}]}})
    eventually(lambda: world.blocks(name, "app-caller") == {("1.1.1.1/32", 443)})


def test_a_space_without_the_new_fields_says_nothing_of_egress(world: World, name: str) -> None:
    world.cluster.create(space(name))
    eventually(lambda: world.network(name).get("status") == "True")
    world.cluster.create(outward(name, "caller", {"fqdn": f"{name}.{ZONE}"}))
    eventually(lambda: world.cluster.deployment(name, "caller"))
    assert world.policy(name)["spec"]["policyTypes"] == ["Ingress"]
    assert world.cluster.get(POLICIES.format(name, "app-caller")) is None
    assert world.network(name, "caller") == {}
