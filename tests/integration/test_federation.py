"""Two clusters with a controller each, one zone: names are shared, withdrawn and released, and nothing else is touched.

The control planes know nothing of each other; what they have in common is a zone of BIND and the id of the federation.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from decco.cli import main as cli
from testbed.controlplane import ControlPlane
from testbed.dns.bind import Bind
from testbed.dns.server import HOST, KEY_NAME, KEY_SECRET
from tests.integration.by_hand import accept_listeners
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, own_control_plane
from tests.integration.loop import assert_no_defects
from tests.sample import full

ZONE = "federation.test"
EAST, WEST = "192.0.2.1", "192.0.2.2"
SECONDS = 60.0
MISSING = Bind.missing()

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"MISSING {MISSING}")


@dataclass
class Member:
    """A cluster of the federation and its controller."""

    id: str
    address: str
    cluster: Cluster
    folder: Path
    settings: dict[str, str]
    decco: Decco = field(init=False)

    def start(self, **settings: str) -> None:
        found = {**self.settings, "cluster_id": self.id, "dns__federation__id": "world", **settings}
        self.decco = Decco(self.cluster.cp, self.folder, **found).start()

    def stop(self) -> None:
        assert self.decco.stop() == 0, self.decco.tail()
        assert_no_defects(self.decco)

    def apply(self, name: str) -> None:
        """The same files as in every other cluster."""
        self.cluster.make_space(name, domain=ZONE)
        accept_listeners(self.cluster, name, self.address)
        endpoint = {"name": "db", "port": 5432, "disableTlsTermination": True, "createDnsRecord": True}
        self.cluster.create(app(name, "db", endpoints=[endpoint]))

    def dns(self, obj: Obj | None) -> Obj:
        return self.cluster.condition(obj, "DNSReady") or {}

    def is_ready(self, name: str) -> bool:
        objects = (self.cluster.space(name), self.cluster.app(name, "db"))
        return all(self.dns(each).get("status") == "True" for each in objects)


@dataclass
class World:
    server: Bind
    east: Member
    west: Member

    def addresses(self, name: str) -> frozenset[str]:
        _, values = self.server.read(ZONE).get((name, "A"), (0, frozenset[str]()))
        return values

    def becomes(self, name: str, *addresses: str) -> None:
        for each in (f"{name}.{ZONE}", f"db.{name}.{ZONE}"):
            eventually(lambda each=each: self.addresses(each) == {*addresses}, SECONDS, f"{each} -> {addresses}")


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
            "secretName": "federation-key",
        }
        settings = {
            "dns__providers": json.dumps([provider]),
            "dns__retry_base_seconds": "0.2",
            "dns__retry_max_seconds": "0.4",
            "dns__federation__compare_seconds": "1",
        }
        key = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "federation-key", "namespace": "decco"},
            "data": {"secret": base64.b64encode(KEY_SECRET.encode()).decode()},
        }
        members = []
        for id_, address, cp in (("east", EAST, control_plane), ("west", WEST, other)):
            cluster = Cluster(cp)
            cluster.create(key)
            members.append(Member(id_, address, cluster, tmp_path_factory.mktemp(id_), settings))
            members[-1].start()
        yield World(server, *members)
        for each in members:
            each.stop()


def test_each_cluster_adds_and_withdraws_its_own(world: World, name: str) -> None:
    world.east.apply(name)
    world.becomes(name, EAST)
    world.west.apply(name)
    world.becomes(name, EAST, WEST)
    for each in (world.east, world.west):
        eventually(lambda each=each: each.is_ready(name), SECONDS)
    world.east.decco.settle()
    mark, log = world.east.cluster.cp.audit_mark(), len(world.server.log)
    world.east.decco.settle(quiet=3.0)
    assert [event for event in world.east.cluster.cp.audit("decco", since=mark) if event.writes] == []
    assert "updat" not in world.server.log[log:], "settled clusters change nothing"
    accept_listeners(world.west.cluster, name, "192.0.2.9")
    world.becomes(name, EAST, "192.0.2.9")
    world.west.cluster.delete(f"{APIS}/spaces/{name}")
    world.becomes(name, EAST)
    world.east.cluster.delete(f"{APIS}/spaces/{name}")
    world.becomes(name)


def test_a_cluster_that_is_not_of_the_federation_is_refused(world: World, name: str) -> None:
    world.east.apply(name)
    world.becomes(name, EAST)
    west = world.west
    west.stop()
    try:
        west.start(dns__federation__id="")
        west.apply(name)
        words = f"{name}.{ZONE} is shared by clusters of the federation world (east)"

        def refused() -> bool:
            condition = west.dns(west.cluster.space(name))
            return condition["reason"] == "RecordConflict" and words in condition["message"]

        eventually(refused, SECONDS)
        world.becomes(name, EAST)
    finally:
        west.stop()
        west.start()
    world.becomes(name, EAST, WEST)


@full
def test_a_cluster_that_is_gone_for_good_is_released(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in (world.east, world.west):
        each.apply(name)
    world.becomes(name, EAST, WEST)
    alone = f"alone-{name}"
    world.west.apply(alone)
    world.becomes(alone, WEST)
    world.west.stop()
    try:
        settings = {**world.east.settings, "cluster_id": "east", "dns__federation__id": "world"}
        for setting, value in settings.items():
            monkeypatch.setenv(f"DECCO_{setting.upper()}", value)
        monkeypatch.setenv("KUBECONFIG", str(world.east.cluster.cp.controller_kubeconfig))

        def release(*words: str) -> tuple[int, str, str]:
            status = cli.main(["dns", "release", *words])
            out, err = capsys.readouterr()
            return status, out, err

        status, _, err = release()
        assert (status, "release needs --cluster-id" in err) == (2, True)
        assert release("--cluster-id", "east")[:2] == (0, "")  # its own, and nothing of it was restored
        status, out, _ = release("--cluster-id", "west")
        assert status == 1
        [line] = [line for line in out.splitlines() if f" {name}.{ZONE} " in line]
        assert f"A {EAST} {WEST} (180 s) -> A {EAST} (180 s)" in line
        world.becomes(name, EAST, WEST)
        status, out, _ = release("--cluster-id", "west", "--yes")
        assert status == 0
        world.becomes(name, EAST)
        world.becomes(alone)
        assert release("--cluster-id", "west")[:2] == (0, "")
    finally:
        world.west.start()
    # It was not gone, and has a state of before: it adds what is its own.
    world.becomes(name, EAST, WEST)
    world.becomes(alone, WEST)
