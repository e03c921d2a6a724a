"""DNS records on a real name server: made, followed, withdrawn before what they lead to, and foreign ones stay.

Every test stands on a Space of its own in one zone of BIND. The controller is this module's own, because the settings
of DNS are the whole point; tests that end it start it again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from decco.cli import main as cli
from testbed.controlplane import ControlPlane
from testbed.dns.bind import Bind
from testbed.dns.server import HOST, KEY_NAME, KEY_SECRET
from tests.integration.by_hand import GATEWAY, accept_listeners
from tests.integration.harness import APIS, GROUP, Cluster, Decco, Obj, app, eventually
from tests.integration.loop import assert_no_defects
from tests.sample import full

ZONE = "records.test"
FINALIZER = f"{GROUP}/dns"
GONE_SECONDS = 60.0  # a young control plane takes half a minute to accept the new kinds as owners
MISSING = Bind.missing()

SHARED = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "shared"},
    "spec": {
        "gatewayClassName": "any",
        "allowedListeners": {"namespaces": {"from": "All"}},
        "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
    },
}

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"MISSING {MISSING}")


class World:
    """A name server, a controller that publishes there, and what tests ask of the two."""

    def __init__(self, cp: ControlPlane, cluster: Cluster, folder: Path, server: Bind) -> None:
        self.cp, self.cluster, self.folder, self.server = cp, cluster, folder, server
        self.decco = self.start()

    def start(self, **settings: str) -> Decco:
        provider = {
            "type": "rfc2136",
            "zones": [ZONE],
            "host": HOST,
            "port": self.server.port,
            "tsigKeyName": KEY_NAME,
            "secretName": "dns-key",
            "timeoutSeconds": 2,
        }
        self.settings = {
            "dns__providers": json.dumps([provider]),
            "dns__retry_base_seconds": "0.2",
            "dns__retry_max_seconds": "0.4",
            "dns__no_address_grace_seconds": "1",
            **settings,
        }
        self.decco = Decco(self.cp, self.folder, **self.settings).start()
        return self.decco

    def stop(self) -> None:
        assert self.decco.stop() == 0, self.decco.tail()
        assert_no_defects(self.decco)

    def records(self, space: str) -> dict[str, frozenset[str]]:
        """What the zone holds at and below a Space's FQDN, without decco's ownership records: "name TYPE" -> values."""
        fqdn = f"{space}.{ZONE}"
        return {
            f"{name} {rtype}": values
            for (name, rtype), (_, values) in self.server.read(ZONE).items()
            if (name == fqdn or name.endswith(f".{fqdn}")) and rtype != "TXT"
        }

    def wait_for(self, space: str, **wanted: str) -> None:
        """``wanted``: label below the FQDN ("at" for itself) -> address."""
        fqdn = f"{space}.{ZONE}"
        expected = {
            f"{fqdn if label == 'at' else f'{label}.{fqdn}'} A": frozenset({value}) for label, value in wanted.items()
        }
        eventually(lambda: self.records(space) == expected, 15, f"{expected} of {self.records(space)}")

    def full(self, name: str, address: str = "192.0.2.1") -> None:
        """A Space with an App that wants a record, at an edge with this address, all published."""
        self.cluster.make_space(name, domain=ZONE)
        accept_listeners(self.cluster, name, address)
        self.cluster.create(db(name))
        self.wait_for(name, at=address, db=address)
        for get in (lambda: self.cluster.space(name), lambda: self.cluster.app(name, "db")):
            eventually(lambda get=get: says(self.cluster, get(), "True"), 10)


def db(namespace: str) -> Obj:
    endpoint = {"name": "db", "port": 5432, "disableTlsTermination": True, "createDnsRecord": True}
    return app(namespace, "db", endpoints=[endpoint])


def says(cluster: Cluster, obj: Obj | None, status: str, reason: str = "") -> bool:
    found = cluster.condition(obj, "DNSReady") or {}
    return found.get("status") == status and (not reason or found.get("reason") == reason)


def held(obj: Obj | None) -> bool:
    return FINALIZER in ((obj or {}).get("metadata") or {}).get("finalizers", ())


@pytest.fixture(scope="module")
def world(control_plane: ControlPlane, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    key = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "dns-key", "namespace": "decco"},
        "data": {"secret": base64.b64encode(KEY_SECRET.encode()).decode()},
    }
    if cluster.get("/api/v1/namespaces/decco/secrets/dns-key") is None:
        cluster.create(key)
    with Bind() as server:
        server.create_zone(ZONE)
        world = World(control_plane, cluster, tmp_path_factory.mktemp("dns"), server)
        yield world
        world.stop()


def test_names_are_published_and_follow_the_edge(world: World, cluster: Cluster, name: str) -> None:
    world.full(name)
    assert held(cluster.space(name))
    assert held(cluster.app(name, "db"))
    accept_listeners(cluster, name, "192.0.2.9")
    world.wait_for(name, at="192.0.2.9", db="192.0.2.9")
    eventually(lambda: says(cluster, cluster.app(name, "db"), "True"), 10)
    assert (cluster.space(name) or {})["status"]["addresses"] == ["192.0.2.9"]


def test_an_app_without_a_record_is_left_alone(world: World, cluster: Cluster, name: str) -> None:
    world.full(name)
    cluster.create(app(name, "web", httpUrlPath="/web"))
    eventually(lambda: cluster.app_condition(name, "web", "Ready"), 10)
    world.decco.settle()
    assert not held(cluster.app(name, "web"))
    assert cluster.app_condition(name, "web", "DNSReady") is None


def test_a_name_that_is_no_longer_wanted_is_withdrawn(world: World, cluster: Cluster, name: str) -> None:
    world.full(name)
    endpoint = {"name": "db", "port": 5432, "disableTlsTermination": True}
    cluster.patch(f"{APIS}/namespaces/{name}/apps/db", {"spec": {"endpoints": [endpoint]}})
    world.wait_for(name, at="192.0.2.1")
    eventually(lambda: not held(cluster.app(name, "db")), 10, "the finalizer goes with the last record")
    eventually(lambda: cluster.app_condition(name, "db", "DNSReady") is None, 10)


def test_what_a_name_leads_to_stays_until_its_record_is_gone(world: World, cluster: Cluster, name: str) -> None:
    world.full(name)
    route = f"{GATEWAY}/namespaces/{name}/tlsroutes/db"
    assert cluster.get(route) is not None
    world.server.stop()
    try:
        endpoint = {"name": "other", "port": 5432, "disableTlsTermination": True}
        cluster.patch(f"{APIS}/namespaces/{name}/apps/db", {"spec": {"endpoints": [endpoint]}})
        eventually(lambda: cluster.get(f"{GATEWAY}/namespaces/{name}/tlsroutes/other"), 20)
        eventually(lambda: says(cluster, cluster.app(name, "db"), "False", "ProviderUnreachable"), 20)
        assert cluster.get(route) is not None
        assert cluster.service(name, "db") is not None
    finally:
        world.server.start()
    world.wait_for(name, at="192.0.2.1")
    eventually(lambda: cluster.get(route) is None and cluster.service(name, "db") is None, 10)


def test_deletion_takes_the_record_first(world: World, cluster: Cluster, name: str) -> None:
    world.full(name)
    cluster.delete(f"{APIS}/namespaces/{name}/apps/db")
    eventually(lambda: cluster.app(name, "db") is None, GONE_SECONDS)
    world.wait_for(name, at="192.0.2.1")
    cluster.create(db(name))
    world.wait_for(name, at="192.0.2.1", db="192.0.2.1")
    cluster.delete(f"{APIS}/spaces/{name}")
    eventually(lambda: cluster.space(name) is None, GONE_SECONDS)
    assert world.records(name) == {}
    eventually(lambda: cluster.get(f"/api/v1/namespaces/{name}") is None, GONE_SECONDS)


@full
def test_a_namespace_deleted_by_hand_hangs_nowhere(world: World, cluster: Cluster, name: str) -> None:
    world.full(name)
    old = (cluster.get(f"/api/v1/namespaces/{name}") or {})["metadata"]["uid"]
    cluster.delete(f"/api/v1/namespaces/{name}")

    def is_new() -> bool:
        namespace = cluster.get(f"/api/v1/namespaces/{name}") or {"metadata": {"uid": old}}
        return bool(namespace["metadata"]["uid"] != old)

    eventually(is_new, GONE_SECONDS + 15)
    eventually(lambda: f"db.{name}.{ZONE} A" not in world.records(name), 10)


def test_an_unreachable_server_keeps_the_object_and_what_runs(world: World, cluster: Cluster, name: str) -> None:
    world.full(name)
    world.server.stop()
    try:
        cluster.delete(f"{APIS}/namespaces/{name}/apps/db")
        eventually(lambda: says(cluster, cluster.app(name, "db"), "False", "ProviderUnreachable"), 20)
        assert cluster.app_condition(name, "db", "Ready")["reason"] == "ProviderUnreachable"  # type: ignore[index]
        assert cluster.deployment(name, "db") is not None
    finally:
        world.server.start()
    eventually(lambda: cluster.app(name, "db") is None, GONE_SECONDS)
    world.wait_for(name, at="192.0.2.1")


def test_abandoned_records_stay_and_the_objects_go(world: World, cluster: Cluster, name: str) -> None:
    world.full(name)
    world.server.stop()
    try:
        cluster.delete(f"{APIS}/spaces/{name}")
        eventually(lambda: says(cluster, cluster.space(name), "False", "ProviderUnreachable"), 20)
        eventually(lambda: says(cluster, cluster.app(name, "db"), "False", "ProviderUnreachable"), 20)
        assert cluster.deployment(name, "db") is not None
        cluster.patch(f"{APIS}/spaces/{name}", {"metadata": {"annotations": {f"{GROUP}/abandon-dns": "true"}}})
        eventually(lambda: cluster.space(name) is None and cluster.app(name, "db") is None, GONE_SECONDS)
    finally:
        world.server.start()
    world.decco.settle()
    assert world.records(name).keys() == {f"{name}.{ZONE} A", f"db.{name}.{ZONE} A"}


@pytest.mark.parametrize("how", ["abandon-dns", "no finalizer"])
def test_names_that_an_app_left_are_free_for_the_next_one(world: World, cluster: Cluster, name: str, how: str) -> None:
    world.full(name)
    path = f"{APIS}/namespaces/{name}/apps/db"
    if how == "abandon-dns":
        cluster.patch(path, {"metadata": {"annotations": {f"{GROUP}/abandon-dns": "true"}}})
        cluster.delete(path)
    else:
        world.server.stop()
        cluster.delete(path)
        cluster.patch(path, {"metadata": {"finalizers": None}})
    eventually(lambda: cluster.app(name, "db") is None, GONE_SECONDS)
    if how == "no finalizer":
        world.server.start()
        eventually(lambda: f"db.{name}.{ZONE} A" not in world.records(name), 30)
    endpoint = {"name": "db", "port": 5432, "createDnsRecord": True, "disableTlsTermination": True}
    cluster.create(app(name, "next", endpoints=[endpoint]))
    eventually(lambda: says(cluster, cluster.app(name, "next"), "True", "Reconciled"), 30)
    assert f"db.{name}.{ZONE} A" in world.records(name)


def test_a_foreign_record_is_reported_and_not_touched(world: World, cluster: Cluster, name: str) -> None:
    fqdn = f"{name}.{ZONE}"
    world.server.put(ZONE, f"{fqdn}.", 300, "A", "198.51.100.7")
    # The zone was read before: decco finds out at its own change.
    cluster.make_space(name, domain=ZONE)
    accept_listeners(cluster, name, "192.0.2.1")
    eventually(lambda: says(cluster, cluster.space(name), "False", "RecordConflict"), 15)
    assert fqdn in cluster.space_condition(name, "DNSReady")["message"]  # type: ignore[index]
    cluster.delete(f"{APIS}/spaces/{name}")
    eventually(lambda: cluster.space(name) is None, GONE_SECONDS)
    assert world.records(name) == {f"{fqdn} A": frozenset({"198.51.100.7"})}


def test_without_an_address_records_stay_for_the_grace_time(world: World, cluster: Cluster, name: str) -> None:
    world.full(name)
    accept_listeners(cluster, name)
    eventually(lambda: says(cluster, cluster.space(name), "False", "NoAddress"), 10)
    eventually(lambda: world.records(name) == {}, 10, "withdrawn after the grace time")
    eventually(lambda: not held(cluster.space(name)) and not held(cluster.app(name, "db")), 10)
    assert says(cluster, cluster.app(name, "db"), "False", "NoAddress")
    accept_listeners(cluster, name, "192.0.2.2")
    world.wait_for(name, at="192.0.2.2", db="192.0.2.2")


@full
def test_within_the_grace_time_records_stay_and_the_object_says_so(world: World, cluster: Cluster, name: str) -> None:
    world.full(name)
    world.stop()
    decco = world.start(dns__no_address_grace_seconds="600")
    try:
        decco.settle()
        accept_listeners(cluster, name)
        for get in (lambda: cluster.space(name), lambda: cluster.app(name, "db")):
            eventually(lambda get=get: says(cluster, get(), "False", "NoAddress"), 10)
        decco.settle()
        assert world.records(name).keys() == {f"{name}.{ZONE} A", f"db.{name}.{ZONE} A"}
        assert held(cluster.space(name))
        assert held(cluster.app(name, "db"))
        assert decco.metric('decco_dns_calls_total{operation="apply"') == 0
        accept_listeners(cluster, name, "192.0.2.1")
        eventually(lambda: says(cluster, cluster.app(name, "db"), "True"), 10)
        assert decco.metric('decco_dns_calls_total{operation="apply"') == 0, "the same address again costs nothing"
    finally:
        world.stop()
        world.start()


def test_the_address_of_a_shared_gateway_is_followed(world: World, cluster: Cluster, name: str) -> None:
    """Names of all Spaces move with the one Gateway's address, and outlast its loss for the grace time."""
    if cluster.get("/api/v1/namespaces/dns-edge") is None:
        cluster.cp.create("/api/v1/namespaces", {"metadata": {"name": "dns-edge"}})
    cluster.cp.create(f"{GATEWAY}/namespaces/dns-edge/gateways", SHARED)
    world.stop()
    world.start(routing__parent_gateway="dns-edge/shared")
    try:
        accept_listeners(cluster, "dns-edge", "192.0.2.1", name="shared")
        cluster.make_space(name, domain=ZONE)
        accept_listeners(cluster, name, plural="listenersets")
        cluster.create(db(name))
        world.wait_for(name, at="192.0.2.1", db="192.0.2.1")
        accept_listeners(cluster, "dns-edge", "192.0.2.8", name="shared")
        world.wait_for(name, at="192.0.2.8", db="192.0.2.8")
        accept_listeners(cluster, "dns-edge", name="shared")
        eventually(lambda: says(cluster, cluster.space(name), "False", "NoAddress"), 10)
        eventually(lambda: world.records(name) == {}, 10, "withdrawn after the grace time")
    finally:
        world.stop()
        cluster.delete(f"{GATEWAY}/namespaces/dns-edge/gateways/shared")
        world.start()


def test_no_zone_for_the_name(world: World, cluster: Cluster, name: str) -> None:
    cluster.make_space(name, domain="elsewhere.test")
    accept_listeners(cluster, name, "192.0.2.1")
    eventually(lambda: says(cluster, cluster.space(name), "False", "ZoneNotFound"), 10)
    assert not held(cluster.space(name))


@full
def test_a_restart_changes_nothing(world: World, cluster: Cluster, name: str) -> None:
    world.full(name)
    world.decco.settle()
    world.stop()
    before = [cluster.space(name), cluster.app(name, "db")]
    zone = world.server.read(ZONE)
    decco = world.start()
    eventually(lambda: decco.metric('decco_dns_calls_total{operation="records"'), 10)
    decco.settle(quiet=1.0)
    assert decco.metric('decco_dns_calls_total{operation="apply"') == 0
    assert [cluster.space(name), cluster.app(name, "db")] == before
    assert world.server.read(ZONE) == zone


def test_the_address_of_the_edges_service_is_followed(world: World, cluster: Cluster, name: str) -> None:
    edge = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "dns-edge", "namespace": "decco"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 443}], "allocateLoadBalancerNodePorts": False},
    }
    cluster.create(edge)

    def move(address: str) -> None:
        status = {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}
        cluster.patch("/api/v1/namespaces/decco/services/dns-edge/status", status)

    move("203.0.113.1")
    world.stop()
    world.start(edge__service="decco/dns-edge")
    try:
        cluster.make_space(name, domain=ZONE)
        accept_listeners(cluster, name)  # the Gateway reports none: where the Service has none, the Gateway's would do
        cluster.create(db(name))
        world.wait_for(name, at="203.0.113.1", db="203.0.113.1")
        move("203.0.113.2")
        world.wait_for(name, at="203.0.113.2", db="203.0.113.2")
        cluster.patch("/api/v1/namespaces/decco/services/dns-edge/status", {"status": {"loadBalancer": None}})
        eventually(lambda: says(cluster, cluster.space(name), "False", "NoAddress"), 10)
        eventually(lambda: world.records(name) == {}, 10, "withdrawn after the grace time")
    finally:
        world.stop()
        world.start()


def test_a_paused_space_keeps_its_records_and_still_goes(world: World, cluster: Cluster, name: str) -> None:
    world.full(name)
    cluster.patch(f"{APIS}/spaces/{name}", {"metadata": {"annotations": {f"{GROUP}/paused": "true"}}})
    eventually(lambda: cluster.app_condition(name, "db", "Paused"), 10)
    accept_listeners(cluster, name, "192.0.2.9")
    world.decco.settle()
    world.wait_for(name, at="192.0.2.1", db="192.0.2.1")
    cluster.delete(f"{APIS}/namespaces/{name}/apps/db")
    eventually(lambda: cluster.app(name, "db") is None, GONE_SECONDS)
    world.wait_for(name, at="192.0.2.1")
    cluster.delete(f"{APIS}/spaces/{name}")
    eventually(lambda: cluster.space(name) is None, GONE_SECONDS)
    assert world.records(name) == {}


def test_what_is_too_large_keeps_its_records_and_leaves_none_behind(world: World, cluster: Cluster, name: str) -> None:
    """Also after a restart, when nothing is known of its spec. Otherwise that would be abandon-dns for everybody."""
    world.full(name)
    container = {"name": "main", "image": "registry.example/app:1", "args": ["v" * 1_320_000]}
    cluster.patch(f"{APIS}/namespaces/{name}/apps/db", {"spec": {"pod": {"containers": [container]}}})
    hard = {f"count/x{i}.{'v' * 200}.example": "1" for i in range(6000)}
    cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"resourceQuota": {"hard": hard}}})
    eventually(lambda: (cluster.space_condition(name, "Ready") or {}).get("reason") == "Invalid", 20)
    world.stop()
    world.start()
    world.decco.settle()
    world.wait_for(name, at="192.0.2.1", db="192.0.2.1")
    cluster.delete(f"{APIS}/namespaces/{name}/apps/db")
    eventually(lambda: cluster.app(name, "db") is None, GONE_SECONDS)
    world.wait_for(name, at="192.0.2.1")
    cluster.delete(f"{APIS}/spaces/{name}")
    eventually(lambda: cluster.space(name) is None, GONE_SECONDS)
    assert world.records(name) == {}


@full
def test_deleted_while_decco_was_down(world: World, cluster: Cluster, name: str) -> None:
    world.full(name)
    world.stop()
    cluster.delete(f"{APIS}/spaces/{name}")
    assert cluster.space(name) is not None
    world.start()
    eventually(lambda: cluster.space(name) is None, GONE_SECONDS)
    assert world.records(name) == {}


@full
def test_providers_that_are_gone_from_the_settings_hold_nothing(world: World, cluster: Cluster, name: str) -> None:
    world.full(name)
    world.stop()
    decco = world.start(dns__providers="[]")
    try:
        eventually(lambda: not held(cluster.space(name)) and not held(cluster.app(name, "db")), 15)
        eventually(lambda: cluster.space_condition(name, "DNSReady") is None, 10)
        assert "dns providers are no longer set" in decco.log.read_text()
        decco.settle()
        for obj in [*cluster.items(f"{APIS}/spaces"), *cluster.items(f"{APIS}/apps")]:
            assert not held(obj), obj["metadata"]["name"]
    finally:
        world.stop()
        world.start()
    world.wait_for(name, at="192.0.2.1", db="192.0.2.1")
    eventually(lambda: held(cluster.space(name)) and held(cluster.app(name, "db")), 10, "taken up again")


@full
def test_dns_plan_reports_what_would_change_and_changes_nothing(
    world: World,
    cluster: Cluster,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world.full(name)
    world.stop()
    try:
        fqdn = f"{name}.{ZONE}"
        world.server.put(ZONE, f"db.{fqdn}.", 180, "A", "203.0.113.9")  # changed, beside decco's ownership record
        world.server.put(ZONE, f"taken.{fqdn}.", 300, "MX", "10 mail.example.")
        for label in ("new", "taken"):
            endpoint = {"name": label, "port": 5432, "disableTlsTermination": True, "createDnsRecord": True}
            cluster.create(app(name, label, endpoints=[endpoint]))
        for setting, value in world.settings.items():
            monkeypatch.setenv(f"DECCO_{setting.upper()}", value)
        monkeypatch.setenv("KUBECONFIG", str(world.cp.controller_kubeconfig))
        audit, said = world.cp.audit_mark(), len(world.server.log)
        before = world.server.read(ZONE)

        def plan(output: str) -> str:
            assert cli.main(["dns", "plan", "-o", output]) == 1
            return capsys.readouterr().out

        found = json.loads(plan("json"))
        changes = {each["name"]: each for each in found["changes"] if fqdn in each["name"]}
        assert {(n, c["action"], c["for"]) for n, c in changes.items()} == {
            (f"db.{fqdn}", "update", f"App {name}/db"),
            (f"new.{fqdn}", "create", f"App {name}/new"),
        }
        assert changes[f"db.{fqdn}"]["before"] == [{"type": "A", "ttl": 180, "values": ["203.0.113.9"]}]
        assert changes[f"new.{fqdn}"]["after"] == [{"type": "A", "ttl": 180, "values": ["192.0.2.1"]}]
        (problem,) = [each for each in found["problems"] if fqdn in each["name"]]
        assert (problem["name"], problem["reason"]) == (f"taken.{fqdn}", "RecordConflict")
        (line,) = [line for line in plan("table").splitlines() if f"db.{fqdn}" in line]
        assert "A 203.0.113.9 (180 s) -> A 192.0.2.1 (180 s)" in line
        assert world.server.read(ZONE) == before
        assert "updat" not in world.server.log[said:]
        assert [event for event in world.cp.audit("decco", since=audit) if event.writes] == []
    finally:
        world.start()
    healed = {f"{label}.{fqdn} A": frozenset({"192.0.2.1"}) for label in ("db", "new")}
    eventually(lambda: healed.items() <= world.records(name).items(), 15)


def test_a_renewed_key_in_the_secret_takes_effect_without_a_restart(world: World, cluster: Cluster, name: str) -> None:
    world.full(name)
    renewed = base64.b64encode(b"another secret of at least 32 octets").decode()

    def change(secret: str) -> None:
        world.server.change_key(secret)
        data = {"data": {"secret": base64.b64encode(secret.encode()).decode()}}
        cluster.patch("/api/v1/namespaces/decco/secrets/dns-key", data)

    change(renewed)
    try:
        accept_listeners(cluster, name, "192.0.2.9")
        world.wait_for(name, at="192.0.2.9", db="192.0.2.9")
        assert "dns credentials renewed" in world.decco.log.read_text()
    finally:
        change(KEY_SECRET)
    accept_listeners(cluster, name, "192.0.2.1")
    world.wait_for(name, at="192.0.2.1", db="192.0.2.1")
