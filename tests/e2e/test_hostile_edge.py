"""400 hostile Apps and Secrets on one edge, while the traffic and the edits of another Space go on."""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from testbed.node.edge import NAMESPACE
from tests.e2e import clients
from tests.e2e.conftest import FULL
from tests.e2e.hostile_apps import broken_certificate, hostile_objects
from tests.e2e.hostile_tenants import EDITED, apply, hostile, site, steady
from tests.e2e.routes import WatchedRoute, has_path, is_reported
from tests.e2e.world import APPS, SPACES, Tenant, World, eventually
from tests.promises import promised

pytestmark = [
    pytest.mark.timed,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(not FULL, reason="in make e2e only, for its length"),
]

ATTACKERS = 4
HOSTILE_APPS = 400
BATCH = 20
SEED = 13
CONNECTIONS = 8
EDITS = 5
PAUSE_SECONDS = 0.05


class Traffic:
    """Connections of the victim's clients that never end by themselves, and requests one after the other."""

    def __init__(self, victim: Tenant) -> None:
        self._victim = victim
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._talk, args=(i,), daemon=True) for i in range(CONNECTIONS)]
        self._threads.append(threading.Thread(target=self._ask, daemon=True))
        self.lost: list[str] = []
        self.exchanges = [0] * CONNECTIONS
        self.requests = 0

    def __enter__(self) -> Traffic:
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
                    content = f"{number} {self.exchanges[number]}".encode()
                    if clients.exchange(connection, content) != content:
                        raise ConnectionError("another answer")
                    self.exchanges[number] += 1
        except OSError as error:
            self.lost.append(f"connection {number} after {self.exchanges[number]} exchanges: {error!r}")

    def _ask(self) -> None:
        while not self._ending.wait(PAUSE_SECONDS):
            try:
                if (status := self._victim.https("/site").status) != 200:
                    self.lost.append(f"status {status}")
                self.requests += 1
            except OSError as error:
                self.lost.append(f"request: {error!r}")

    def nothing_lost(self) -> None:
        assert self.lost == []
        assert min(self.exchanges) > 0
        assert self.requests > 0


@pytest.fixture(scope="module")
def victim(world: World) -> Tenant:
    return steady(world, "steady-edge")


@pytest.fixture
def attackers(world: World) -> Iterator[list[Tenant]]:
    tenants = [hostile(world, f"hostile{number}") for number in range(ATTACKERS)]
    yield tenants
    for tenant in tenants:
        world.kubectl("delete", SPACES, tenant.name, "--wait=false")


class Edit(NamedTuple):
    """Seconds since kubectl apply began: until it ended, decco had written the route, the edge had reported it, and the
    edge answered.
    """

    applied: float
    written: float
    reported: float
    answered: float

    def __str__(self) -> str:
        return f"{self.applied:.2f}/{self.written:.2f}/{self.reported:.2f}/{self.answered:.2f}"


def edits(victim: Tenant, prefix: str) -> Edit:
    """Medians of some edits."""
    with WatchedRoute(victim.world.cluster, victim.name, EDITED) as route:
        took = [_edit(victim, route, f"/{prefix}{number}") for number in range(EDITS)]
    return Edit(*(statistics.median(each) for each in zip(*took, strict=True)))


def _edit(victim: Tenant, route: WatchedRoute, path: str) -> Edit:
    started = time.monotonic()
    victim.world.apply(site(victim, path))
    applied = time.monotonic() - started
    eventually(lambda: victim.https(path).status == 200, 60, path)
    answered = time.monotonic() - started
    written = eventually(lambda: route.since(started, lambda seen: has_path(seen, path)), 60, f"the route of {path}")
    # The edge serves a route before it reports that, and beside many others it may skip generations.
    reported = route.since(started, lambda seen: has_path(seen, path) and is_reported(seen))
    return Edit(applied, written, math.inf if reported is None else reported, answered)


def test_400_hostile_apps_on_one_edge(victim: Tenant, attackers: list[Tenant]) -> None:
    world, each_has = victim.world, HOSTILE_APPS // ATTACKERS
    with Traffic(victim) as traffic:
        undisturbed = edits(victim, "before")
    traffic.nothing_lost()
    lists = [list(hostile_objects(each, each_has, SEED)) for each in attackers]
    failures: list[BaseException] = []

    def attack() -> None:
        try:
            for begin in range(0, each_has, BATCH):
                for tenant, pairs in zip(attackers, lists, strict=True):
                    apply(world, *(obj for pair in pairs[begin : begin + BATCH] for obj in pair))
                    world.apply(broken_certificate(tenant, begin // BATCH))
        except BaseException as error:  # noqa: BLE001 - reported by the test
            failures.append(error)

    with Traffic(victim) as traffic:
        attacking = threading.Thread(target=attack, daemon=True)
        attacking.start()
        meanwhile = [edits(victim, "meanwhile")]
        while attacking.is_alive():
            meanwhile.append(edits(victim, f"meanwhile{len(meanwhile)}-"))
        after = edits(victim, "after")
    print(
        f"an edit, seconds until applied / written by decco / reported by the edge / answered: {undisturbed}; "
        f"{', '.join(str(each) for each in meanwhile)} meanwhile; {after} after; "
        f"{sum(traffic.exchanges)} exchanges and {traffic.requests} requests, {len(traffic.lost)} lost"
    )
    assert failures == [], "not all hostile objects were accepted"
    accepted = sum(len(world.list(APPS, tenant.name)) for tenant in attackers)
    assert accepted == HOSTILE_APPS
    traffic.nothing_lost()
    written = max(statistics.median(each.written for each in meanwhile), after.written)
    answered = max(statistics.median(each.answered for each in meanwhile), after.answered)
    promised("decco's part of an edit beside 400 hostile Apps", written, 2 * undisturbed.written)
    promised("an edit beside 400 hostile Apps", answered, 2 * undisturbed.answered)

    pods = ["pods", "-n", NAMESPACE, "-l", "gateway.envoyproxy.io/owning-gateway-name=edge"]
    world.kubectl("delete", *pods, "--wait=true", seconds=180)
    eventually(lambda: victim.https("/site").status == 200, 120, "the edge after its restart")
    eventually(lambda: _connects(victim), 60, "the TCP endpoint after the restart")
    with Traffic(victim) as traffic:
        edits(victim, "restarted")
    traffic.nothing_lost()


def _connects(victim: Tenant) -> bool:
    with victim.tls("talk"):
        return True
