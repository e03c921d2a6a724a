"""Fail-over between two clusters of a federation: the real prober, an edge of the test in each, one zone of BIND.

The edges listen on port 443 of loopback addresses, so this needs root or the right to bind it. What a gateway and a
kubelet would report is written by hand.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from testbed.controlplane import ControlPlane
from testbed.dns.bind import Bind
from tests.images.pki import Authority, Leaf
from tests.integration.answering import Edge, may_bind
from tests.integration.by_hand import accept_listeners, answer_route, run_pods
from tests.integration.harness import app, eventually, tls_secret
from tests.integration.two_clusters import ZONE, Member, World, two_clusters
from tests.sample import full

EAST, WEST = "127.77.2.1", "127.77.2.2"
INTERVAL, WITHDRAW, COMPARE = 10.0, 5.0, 1.0
"""Of probes, of the damping, and of readings of the zone, in seconds: each the least of its setting, or near it."""
SECONDS = 90.0
MISSING = Bind.missing()

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"MISSING {MISSING}"),
    pytest.mark.skipif(not may_bind(EAST), reason=f"MISSING the right to bind port 443 of {EAST}"),
]


@pytest.fixture(scope="module")
def world(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    settings = {
        "probe__enabled": "true",
        "probe__interval_seconds": str(INTERVAL),
        "dns__ttl": "2",
        "dns__federation__withdraw_seconds": str(WITHDRAW),
        "dns__federation__compare_seconds": str(COMPARE),
    }
    with two_clusters(control_plane, tmp_path_factory.mktemp("failover"), **settings) as found:
        found.east.address, found.west.address = EAST, WEST
        yield found


def make(member: Member, name: str, leaf: Leaf) -> None:
    """The same Space and App in each cluster; the pods run, and the gateway has taken all."""
    cluster = member.cluster
    data = {key: base64.b64encode(value).decode() for key, value in leaf.secret.items()}
    cluster.create({**tls_secret(f"{name}-tls"), "data": data})
    clusters = [{"id": "east"}, {"id": "west", "role": "Standby"}]
    secrets = {"tcpCertAndCaSecretName": f"{name}-tls", "httpCertSecretName": f"{name}-tls"}
    cluster.make_space(name, domain=ZONE, placement={"clusters": clusters}, **secrets)
    cluster.create(app(name, "db", endpoints=[{"name": "db", "port": 5432, "createDnsRecord": True}]))
    accept_listeners(cluster, name, member.address)
    run_pods(cluster, name, "db")
    answer_route(cluster, name, "httproutes", "decco.probe")
    answer_route(cluster, name, "tlsroutes", "db")


class History:
    """Each reading of the zone while it runs: the addresses of the two names."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._names = world, (f"{name}.{ZONE}", f"db.{name}.{ZONE}")
        self._end = threading.Event()
        self.readings = 0
        self.seen: dict[str, list[frozenset[str]]] = {each: [] for each in self._names}

    def __enter__(self) -> History:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.1):
            self.readings += 1
            for name in self._names:
                found = self._world.addresses(name)
                if self.seen[name][-1:] != [found]:
                    self.seen[name].append(found)


@full
@pytest.mark.timeout(420)
def test_the_names_follow_the_edges_that_answer(world: World, name: str, tmp_path: Path) -> None:
    leaf = Authority().intermediate("between.test").leaf(f"{name}.{ZONE}", f"*.{name}.{ZONE}")
    edges = {}
    for member in (world.east, world.west):
        (tmp_path / member.id).mkdir()
        edges[member.id] = Edge(tmp_path / member.id, member.address, leaf)
        edges[member.id].locations["/.well-known/decco-probe"] = "none.decco-probe.invalid"
    with ExitStack() as stack:
        stack.enter_context(edges["west"].running())
        east = ExitStack()
        east.enter_context(edges["east"].running())
        stack.callback(east.close)
        for member in (world.east, world.west):
            make(member, name, leaf)
        becomes(world, name, EAST)
        for member in (world.east, world.west):
            eventually(lambda member=member: answers(member, name), SECONDS, f"the edge of {member.id} answers")
        with History(world, name) as history:
            east.close()
            over = becomes(world, name, WEST)
            edges["west"].broken = "closes"  # the last addresses stay
            world.west.decco.settle(quiet=INTERVAL + WITHDRAW + 5)
            assert {world.addresses(each) for each in history.seen} == {frozenset({WEST})}
            east.enter_context(edges["east"].running())
            back = becomes(world, name, EAST)
    print(f"\nfail-over: {over:.1f} s to the cluster that stands by, {back:.1f} s back; {history.readings} readings")
    for seen in history.seen.values():
        assert seen[0] == seen[-1] == {EAST}
        assert frozenset({WEST}) in seen
        assert all(seen), "the name never had no address"


def answers(member: Member, name: str) -> bool:
    objects = (member.cluster.space(name), member.cluster.app(name, "db"))
    found = [member.cluster.condition(each, kind) or {} for each in objects for kind in ("RoutesReady", "DNSReady")]
    return all(each.get("status") == "True" for each in found)


def becomes(world: World, name: str, address: str) -> float:
    """Waits until the names lead there alone; the seconds that it took."""
    began = time.monotonic()
    for each in (f"{name}.{ZONE}", f"db.{name}.{ZONE}"):
        eventually(lambda each=each: world.addresses(each) == {address}, SECONDS, f"{each} -> {address}")
    return time.monotonic() - began
