"""A backup is restored into another cluster: names, records and children come back to the Space that had them.

The backup is what ``kubectl get -o yaml`` prints; as backup tools do, it is created again without UIDs, owner
references and creation times. The two control planes know nothing of each other; what they have in common is a zone of
BIND.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from decco.cli import main as cli
from testbed.controlplane import ControlPlane
from testbed.dns.bind import Bind
from testbed.dns.server import HOST, KEY_NAME, KEY_SECRET
from tests.integration.by_hand import accept_listeners
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, own_control_plane, tls_secret
from tests.integration.loop import assert_no_defects
from tests.integration.test_ownership import apps_of, gone, is_whole, recorded, uids, without_server
from tests.sample import full

ZONE = "restored.test"
FORMER, NEW = "192.0.2.1", "192.0.2.2"
SECONDS = 90.0
MISSING = Bind.missing()

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"MISSING {MISSING}")


@dataclass
class Side:
    """A cluster and its controller, which the tests start and stop."""

    address: str
    cluster: Cluster
    folder: Path
    settings: dict[str, str]
    decco: Decco | None = field(default=None)

    def start(self, **settings: str) -> None:
        self.decco = Decco(self.cluster.cp, self.folder, **self.settings | settings).start()

    def stop(self) -> None:
        if self.decco is not None:
            assert self.decco.stop() == 0, self.decco.tail()
            assert_no_defects(self.decco)
        self.decco = None

    def dns(self, obj: Obj | None) -> Obj:
        return self.cluster.condition(obj, "DNSReady") or {}

    def is_published(self, name: str) -> bool:
        objects = (self.cluster.space(name), self.cluster.app(name, "web"))
        return all(self.dns(each).get("status") == "True" for each in objects)

    def accept(self, name: str) -> None:
        """Also after each change of the listeners."""
        eventually(lambda: _accepted(self, name), SECONDS)


def _accepted(side: Side, name: str) -> bool:
    accept_listeners(side.cluster, name, side.address)
    return True


@dataclass
class World:
    server: Bind
    former: Side
    fresh: Side

    def owners(self, name: str) -> frozenset[str]:
        _, values = self.server.read(ZONE).get((f"_decco.{name}", "TXT"), (0, frozenset[str]()))
        return frozenset(value.strip('"') for value in values)

    def addresses(self, name: str) -> frozenset[str]:
        _, values = self.server.read(ZONE).get((name, "A"), (0, frozenset[str]()))
        return values

    def names(self, name: str) -> tuple[str, ...]:
        return f"{name}.{ZONE}", f"web.{name}.{ZONE}", f"shop-{name}.{ZONE}"

    def make(self, name: str) -> None:
        """A Space with a further name, an App that has a record at each, and their Secret."""
        cluster = self.former.cluster
        hostname = f"shop-{name}.{ZONE}"
        secret = f"tls-{name}"
        cluster.create(tls_secret(secret, f"{name}.{ZONE}", share=f"{name}.{ZONE}"))
        limits = {"resourceQuota": {"hard": {"pods": "9"}}, "limitRange": {"limits": [{"type": "Container"}]}}
        cluster.make_space(name, domain=ZONE, hostnames=[hostname], httpCertSecretName=secret, **limits)
        endpoints = [
            {"name": "web", "port": 5432, "disableTlsTermination": True, "createDnsRecord": True},
            {
                "name": "shop",
                "port": 5433,
                "disableTlsTermination": True,
                "createDnsRecord": True,
                "hostname": hostname,
            },
            {"name": "front", "port": 8080, "httpPath": "/"},
        ]
        cluster.create(app(name, "web", endpoints=endpoints))
        cluster.create(app(name, "migrate", endpoints=[], runAsJob=True))
        self.former.accept(name)
        eventually(lambda: self.former.is_published(name), SECONDS)
        for each in self.names(name):
            assert self.addresses(each) == {FORMER}


@dataclass
class Backup:
    """(collection, object) by part. ``statuses`` are of the Space and the Apps, which are stored apart."""

    parts: dict[str, list[tuple[str, Obj]]]
    statuses: list[tuple[str, Obj]]

    def restore(self, cluster: Cluster, order: str) -> None:
        for part in order.split():
            for path, obj in self.parts[part]:
                answer = cluster.cp.request("POST", path, obj)
                assert answer.status in (201, 409), (path, answer.status, answer.body)

    def restore_statuses(self, cluster: Cluster) -> None:
        for path, status in self.statuses:
            cluster.patch(f"{path}/status", {"status": status})


def backup(cluster: Cluster, name: str) -> Backup:
    made, apps = cluster.space(name) or {}, cluster.items(apps_of(name))
    objects = recorded(cluster, name)
    secrets = f"/api/v1/namespaces/decco/secrets/tls-{name}"
    statuses = [(f"{APIS}/spaces/{name}", made["status"])]
    statuses += [(f"{apps_of(name)}/{each['metadata']['name']}", each["status"]) for each in apps]
    parts = {
        "secrets": [(secrets.rpartition("/")[0], without_server(cluster.get(secrets) or {}))],
        "namespace": objects[:1],
        "children": objects[1:],
        "space": [(f"{APIS}/spaces", without_server(made))],
        "apps": [(apps_of(name), without_server(each)) for each in apps],
    }
    return Backup(parts, statuses)


@pytest.fixture(scope="module")
def world(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with own_control_plane() as other, Bind() as server:
        server.create_zone(ZONE)
        provider = {
            "type": "rfc2136",
            "zones": [ZONE],
            "host": HOST,
            "port": server.port,
            "tsigKeyName": KEY_NAME,
            "secretName": "restored-key",
        }
        settings = {
            "dns__providers": json.dumps([provider]),
            "dns__retry_base_seconds": "0.2",
            "dns__retry_max_seconds": "0.4",
        }
        key = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "restored-key", "namespace": "decco"},
            "data": {"secret": base64.b64encode(KEY_SECRET.encode()).decode()},
        }
        sides = []
        for label, address, cp in (("former", FORMER, control_plane), ("fresh", NEW, other)):
            cluster = Cluster(cp)
            cluster.create(key)
            sides.append(Side(address, cluster, tmp_path_factory.mktemp(label), settings))
        yield World(server, *sides)
        for side in sides:
            side.stop()


@pytest.fixture
def stopped(world: World) -> Iterator[World]:
    """Both controllers are down at the begin and the end."""
    yield world
    world.former.stop()
    world.fresh.stop()


@contextmanager
def watching(world: World, *names: str) -> Iterator[set[tuple[str, frozenset[str]]]]:
    """The ownership records of these names in the zone, as far as they were seen meanwhile."""
    seen: set[tuple[str, frozenset[str]]] = set()
    end = threading.Event()

    def look() -> None:
        while not end.wait(0.1):
            seen.update((name, world.owners(name)) for name in names)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()


def uid_of(obj: Obj | None) -> str:
    return str((obj or {})["metadata"]["uid"])


def is_back(world: World, name: str) -> bool:
    """Whether each record leads to the new cluster and is its owner's."""
    cluster = world.fresh.cluster
    space, web = uid_of(cluster.space(name)), uid_of(cluster.app(name, "web"))
    wanted = dict(zip(world.names(name), (space, web, web), strict=True))
    return world.fresh.is_published(name) and all(
        world.owners(each) == {f"v1 default {uid}"} and world.addresses(each) == {NEW} for each, uid in wanted.items()
    )


def command(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str]:
    for setting, value in world.fresh.settings.items():
        monkeypatch.setenv(f"DECCO_{setting.upper()}", value)
    monkeypatch.setenv("KUBECONFIG", str(world.fresh.cluster.cp.controller_kubeconfig))
    status = cli.main(["dns", *words])
    return status, capsys.readouterr().out


@pytest.mark.parametrize(
    ("order", "running", "statuses"),
    [
        pytest.param("secrets namespace children space apps", False, False, id="as-velero"),
        pytest.param("namespace children apps space secrets", False, True, id="stale-status", marks=full),
        pytest.param("space secrets namespace apps children", True, False, id="while-decco-runs", marks=full),
    ],
)
def test_all_comes_back_to_the_space_that_had_it(
    stopped: World,
    name: str,
    order: str,
    running: bool,
    statuses: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world, fresh = stopped, stopped.fresh
    world.former.start()
    world.make(name)
    kept = backup(world.former.cluster, name)
    world.former.stop()  # the cluster is lost
    if running:
        fresh.start(dns__adopt="true")
    kept.restore(fresh.cluster, order)
    if statuses:
        kept.restore_statuses(fresh.cluster)
    restored = uids(fresh.cluster, name)
    if not running:
        fresh.start(dns__adopt="true")
    eventually(lambda: is_whole(fresh.cluster, name), SECONDS)
    fresh.accept(name)
    if order.startswith("space"):
        # decco was faster than the restore, and the new namespace proves nothing: a person says whose the names are.
        status, _ = command(world, monkeypatch, capsys, "release", "--cluster-id", "default", "--yes")
        assert status == 0
    eventually(lambda: is_back(world, name), 2 * SECONDS, "the records lead to the new cluster")
    assert uids(fresh.cluster, name).items() >= restored.items(), "nothing that was restored is deleted or replaced"
    assert fresh.decco is not None
    fresh.decco.settle()
    fresh.stop()
    fresh.start()  # without dns.adopt
    assert fresh.decco is not None
    fresh.decco.settle()
    assert is_back(world, name)
    gone(fresh.cluster, name)
    assert [each for each in world.names(name) if world.owners(each)] == []


def test_beside_the_cluster_that_still_runs_it_is_a_conflict(
    stopped: World, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world, fresh = stopped, stopped.fresh
    world.former.start()
    world.make(name)
    kept = backup(world.former.cluster, name)
    before = {each: world.owners(each) for each in world.names(name)}
    kept.restore(fresh.cluster, "secrets namespace children space apps")
    fresh.start()
    eventually(lambda: is_whole(fresh.cluster, name), SECONDS)
    fresh.accept(name)

    def refused() -> str:
        for each in (fresh.cluster.space(name), fresh.cluster.app(name, "web")):
            found = fresh.dns(each)
            assert found["reason"] == "RecordConflict"
        return str(fresh.dns(fresh.cluster.space(name))["message"])

    text = eventually(refused, SECONDS)
    assert "if the former one still runs, give this one another clusterId" in text
    assert "run decco dns release --cluster-id default" in text
    time.sleep(1)
    assert {each: world.owners(each) for each in world.names(name)} == before, "nothing is taken"
    assert world.former.is_published(name)
    world.former.stop()  # the cluster is given up
    status, out = command(world, monkeypatch, capsys, "release", "--cluster-id", "default")
    assert status == 1
    lines = [line for line in out.splitlines() if name in line]
    assert len(lines) == 3
    assert all(f"A {FORMER} (180 s) -> A {NEW} (180 s)" in line and "update" in line for line in lines)
    assert {each: world.owners(each) for each in world.names(name)} == before, "only shown"
    with watching(world, *world.names(name)) as seen:
        status, _ = command(world, monkeypatch, capsys, "release", "--cluster-id", "default", "--yes")
    assert status == 0
    assert all(len(owners) == 1 for _, owners in seen), "there is one owner at each moment"
    eventually(lambda: is_back(world, name), 2 * SECONDS, "the controller sees it without a restart")
    # The former one comes back after all: it reports the conflict, and nothing changes.
    now = {each: world.owners(each) for each in world.names(name)}
    world.former.start()
    eventually(lambda: world.former.dns(world.former.cluster.space(name))["reason"] == "RecordConflict", SECONDS)
    assert {each: world.owners(each) for each in world.names(name)} == now
    world.former.stop()
    gone(fresh.cluster, name)


@full
def test_nobody_else_takes_a_name_meanwhile(stopped: World, name: str) -> None:
    """Another Space waits for a further name and is restored first; one that is new lists it too. Neither is given the
    record, whatever it says of itself, and the holder gets everything back.
    """
    world, fresh = stopped, stopped.fresh
    world.former.start()
    world.make(name)
    hostname = f"shop-{name}.{ZONE}"
    rival, stranger = f"rival-{name}", f"new-{name}"
    endpoint = {"name": "grab", "port": 1, "disableTlsTermination": True, "createDnsRecord": True, "hostname": hostname}
    world.former.cluster.make_space(rival, domain=ZONE, hostnames=[hostname])
    world.former.cluster.create(app(rival, "web", endpoints=[endpoint]))
    eventually(
        lambda: (world.former.cluster.space_condition(rival, "RoutesReady") or {})["reason"] == "HostnameConflict",
        SECONDS,
    )
    kept = backup(world.former.cluster, name)
    kept.parts["secrets"] += [(f"{APIS}/spaces", without_server(world.former.cluster.space(rival) or {}))]
    rival_objects = recorded(world.former.cluster, rival)
    world.former.stop()
    before = world.owners(hostname)
    with watching(world, hostname) as seen:
        fresh.start(dns__adopt="true")
        for path, obj in [
            *rival_objects[:1],
            (f"{APIS}/spaces", without_server(world.former.cluster.space(rival) or {})),
            (apps_of(rival), without_server(world.former.cluster.app(rival, "web") or {})),
        ]:
            answer = fresh.cluster.cp.request("POST", path, obj)
            assert answer.status in (201, 409), answer.body
        # What a restored Space looks like, as far as an author of Spaces can write it.
        status = {"hostnames": [{"name": hostname, "since": "2020-01-01T00:00:00Z", "generation": 1}]}
        keys = ("restored", "hostnames", "transferred", "fqdn")
        forged = {f"decco.platform9.com/{key}": f"{hostname}@2020-01-01T00:00:00Z/1" for key in keys}
        made = {
            "apiVersion": "decco.platform9.com/v1beta2",
            "kind": "Space",
            "metadata": {"name": stranger, "annotations": forged},
            "spec": {"domainName": ZONE, "hostnames": [hostname]},
            "status": status,
        }
        fresh.cluster.create(made)
        eventually(lambda: fresh.cluster.space_condition(stranger, "NetworkReady"), SECONDS)
        fresh.cluster.create(app(stranger, "web", endpoints=[endpoint]))
        for each in (rival, stranger):
            fresh.accept(each)
        assert fresh.decco is not None
        fresh.decco.settle()
        assert world.owners(hostname) == before
        assert world.addresses(hostname) == {FORMER}
        kept.restore(fresh.cluster, "secrets namespace children space apps")
        eventually(lambda: is_whole(fresh.cluster, name), SECONDS)
        fresh.accept(name)
        eventually(lambda: is_back(world, name), SECONDS)
    owner = f"v1 default {uid_of(fresh.cluster.app(name, 'web'))}"
    assert {owners for _, owners in seen} <= {before, frozenset({owner})}
    for each in (rival, stranger):
        found = fresh.cluster.space_condition(each, "RoutesReady") or {}
        assert found["reason"] == "HostnameConflict"
    for each in (rival, stranger, name):
        gone(fresh.cluster, each)
