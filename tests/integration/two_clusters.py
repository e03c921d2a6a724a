"""Two clusters with a controller each and one zone of BIND, for the tests of a federation.

The control planes know nothing of each other; what they have in common is the zone and the id of the federation.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.controlplane import ControlPlane
from testbed.dns.bind import Bind
from testbed.dns.server import HOST, KEY_NAME, KEY_SECRET
from tests.integration.by_hand import accept_listeners
from tests.integration.harness import Cluster, Decco, Obj, app, eventually, own_control_plane
from tests.integration.loop import assert_no_defects

ZONE = "federation.test"
EAST, WEST = "192.0.2.1", "192.0.2.2"
SECONDS = 60.0


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

    def apply(self, name: str, **spec: Any) -> None:
        """The same files as in every other cluster."""
        self.cluster.make_space(name, domain=ZONE, **spec)
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


@contextmanager
def two_clusters(control_plane: ControlPlane, folder: Path, **more: str) -> Iterator[World]:
    with own_control_plane() as other, Bind() as server:
        server.create_zone(ZONE)
        provider = {
            "type": "rfc2136",
            "zones": [ZONE],
            "host": HOST,
            "port": server.port,
            "tsigKeyName": KEY_NAME,
            "secretName": f"key-{folder.name}",
            "nameServers": [f"{HOST}:{server.port}"],
        }
        settings = {
            "dns__providers": json.dumps([provider]),
            "dns__retry_base_seconds": "0.2",
            "dns__retry_max_seconds": "0.4",
            "dns__federation__compare_seconds": "1",
            **more,
        }
        key = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"key-{folder.name}", "namespace": "decco"},
            "data": {"secret": base64.b64encode(KEY_SECRET.encode()).decode()},
        }
        members = []
        for id_, address, cp in (("east", EAST, control_plane), ("west", WEST, other)):
            cluster = Cluster(cp)
            cluster.create(key)
            members.append(Member(id_, address, cluster, _made(folder / id_), settings))
            members[-1].start()
        yield World(server, *members)
        for each in members:
            each.stop()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
