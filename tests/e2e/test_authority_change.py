"""The certificate and its authority change together: no request fails, at the edge or between two pods.

As with a self-signed issuer, whose authority is new at each renewal. It takes minutes, so only ``E2E=full`` runs it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from testbed.api import RequestFailed
from tests.e2e import clients
from tests.e2e.world import Tenant, World, eventually, shared_secret
from tests.images.pki import Authority

pytestmark = pytest.mark.skipif(os.environ.get("E2E") != "full", reason="in make e2e only, for its length")

AFTER_SECONDS = 100.0
"""How long requests go on after the new certificate was seen: longer than any kubelet needs for a changed Secret."""
LONGEST_SECONDS = 360.0
EGRESS = 15432


class Asking:
    """Sends requests until it is ended; errors are in ``failures``."""

    def __init__(self, ask: Callable[[], object], pause: float) -> None:
        self._ask, self._pause = ask, pause
        self._ending = threading.Event()
        self.requests = 0
        self.failures: list[str] = []

    def run(self) -> None:
        while not self._ending.wait(self._pause):
            self.requests += 1
            try:
                self._ask()
            except (OSError, AssertionError, RequestFailed) as error:
                self.failures.append(f"request {self.requests}: {error!r}"[:300])

    def end(self) -> None:
        self._ending.set()


@pytest.mark.timeout(900)
def test_no_request_fails_while_the_authority_changes(world: World) -> None:
    before, after = Authority("authority of today"), Authority("authority of tomorrow")
    server, client = Tenant(world, "sealed-a"), Tenant(world, "sealed-b")
    for tenant in (server, client):
        tenant.authority = before
        tenant.web = before.leaf(tenant.fqdn)
        tenant.tcp = before.leaf(tenant.fqdn, f"*.{tenant.fqdn}")
    world.apply(*server.objects({"encryptHttp": True}), *client.objects({}))
    server.wait_ready()
    client.wait_ready()
    endpoints = [{"name": "db", "port": 9000, "verifyTcpClientCert": True}]
    egress = {"localPort": EGRESS, "endpoint": "db", "spaceName": server.name}
    server.run(
        server.app("web", httpUrlPath="/web", initialReplicas=3), server.app("db", ["echo:9000"], endpoints=endpoints)
    )
    client.run(client.app("reader", endpoints=[], tlsEgresses=[egress]))
    server.settled("/web")
    [reader] = client.pods("reader")
    exec_ = ["exec", reader["metadata"]["name"], "-n", client.name, "-c", "echo", "--", "/echo", "ask"]
    shown: set[int] = set()

    def ask_the_edge() -> None:
        answer = clients.https(server.edge, server.fqdn, "/web", before.cert + after.cert)
        assert answer.status == 200, answer
        shown.add(answer.serial)

    def ask_the_database() -> None:
        assert world.kubectl(*exec_, "--text", "select 1", f"localhost:{EGRESS}") == "select 1"

    eventually(lambda: ask_the_database() is None, what="the egress works")
    asking = [Asking(ask_the_edge, 0.05), Asking(ask_the_database, 0.5)]
    new = after.leaf(server.fqdn)
    with ThreadPoolExecutor(len(asking)) as pool:
        running = [pool.submit(each.run) for each in asking]
        try:
            time.sleep(2)
            world.apply(
                shared_secret(f"{server.name}-http", new, server.name),
                *(
                    shared_secret(f"{each.name}-tcp", after.leaf(each.fqdn, f"*.{each.fqdn}"), each.name)
                    for each in (server, client)
                ),
            )
            eventually(lambda: new.serial in shown, LONGEST_SECONDS, "the new certificate at the edge")
            time.sleep(AFTER_SECONDS)
        finally:
            for each in asking:
                each.end()
        for done in running:
            done.result()
    print(f"{asking[0].requests} requests at the edge, {asking[1].requests} between pods")
    assert [each.failures[:5] for each in asking] == [[], []]
    assert min(each.requests for each in asking) > 20
