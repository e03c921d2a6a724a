"""Certificates renewed at their source, in many Spaces at once: only new handshakes are affected.

``E2E=full`` renews twenty Spaces, else three.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e import clients
from tests.e2e.world import Tenant, World, shared_secret
from tests.promises import PATIENCE, promised, timed

SPACES = 20 if os.environ.get("E2E") == "full" else 3
SEEN_SECONDS = 90.0
"""The kubelet brings a changed Secret to a pod within a minute and some seconds; the rest is ours."""
PAUSE_SECONDS = 0.2
"""Of the clients of all Spaces but the first, whose client connects without a pause."""


class Client:
    """Connects again and again, and holds one connection open all the time.

    ``renewed_at`` is when the new certificate was first seen (monotonic seconds); ``failures`` what went wrong.
    """

    def __init__(self, tenant: Tenant, pause: float) -> None:
        self.tenant = tenant
        self.requests = 0
        self.failures: list[str] = []
        self.renewed_at: float | None = None
        self._pause = pause
        self._old = tenant.tcp.serial
        self._ending = threading.Event()

    def run(self) -> None:
        with self.tenant.tls("door", seconds=20) as held:
            while not self._ending.is_set():
                try:
                    self._ask(held)
                except OSError as error:
                    self.failures.append(f"{self.tenant.name}, request {self.requests}: {error!r}")
                if self._pause:
                    self._ending.wait(self._pause)

    def _ask(self, held: clients.ssl.SSLSocket) -> None:
        self.requests += 1
        with self.tenant.tls("door") as connection:
            serial = clients.serial_of(connection)
            assert clients.exchange(connection, b"new") == b"new"
        if serial != self._old and self.renewed_at is None:
            assert serial == self.tenant.tcp.serial, "a certificate that is neither the old one nor the new one"
            self.renewed_at = time.monotonic()
        if clients.exchange(held, b"held") != b"held":
            raise ConnectionResetError("the connection that was held open has ended")

    def end(self) -> None:
        self._ending.set()


@pytest.fixture(scope="module")
def tenants(world: World) -> list[Tenant]:
    """Spaces with one App each."""
    made = [Tenant(world, f"renew{number}") for number in range(SPACES)]
    world.apply(*(each for tenant in made for each in tenant.objects({})))
    for tenant in made:
        tenant.wait_ready()
    world.apply(*(_app(tenant) for tenant in made))
    for tenant in made:
        tenant.wait_app("door", 240)
        tenant.listening("door")
    return made


def _app(tenant: Tenant) -> dict[str, object]:
    return tenant.app("door", ["echo:9000"], endpoints=[{"name": "door", "port": 9000}])


@timed
def test_renewal_is_seen_without_an_interruption(tenants: list[Tenant], world: World) -> None:
    pods = {tenant.name: _state(tenant) for tenant in tenants}
    asking = [Client(tenant, PAUSE_SECONDS if number else 0) for number, tenant in enumerate(tenants)]
    with ThreadPoolExecutor(len(asking)) as pool:
        running = [pool.submit(client.run) for client in asking]
        try:
            time.sleep(2)  # the load runs before and after, not only during the change
            for tenant in tenants:
                tenant.tcp = tenant.authority.leaf(f"*.{tenant.fqdn}")
            started = time.monotonic()
            world.apply(*(shared_secret(f"{tenant.name}-tcp", tenant.tcp, tenant.name) for tenant in tenants))
            while (
                any(client.renewed_at is None for client in asking)
                and time.monotonic() < started + SEEN_SECONDS + PATIENCE
            ):
                time.sleep(0.5)
            time.sleep(2)
        finally:
            for client in asking:
                client.end()
    for done in running:
        done.result()
    took = {client.tenant.name: (client.renewed_at or float("inf")) - started for client in asking}
    failures = [each for client in asking for each in client.failures]
    print(
        f"seen after {min(took.values()):.0f} to {max(took.values()):.0f} s, {sum(c.requests for c in asking)} requests"
    )
    assert not failures, failures[:10]
    assert max(took.values()) < float("inf"), took
    promised("a renewed certificate is shown", max(took.values()), SEEN_SECONDS)
    assert min(client.requests for client in asking) > 10
    assert {tenant.name: _state(tenant) for tenant in tenants} == pods, "a pod was restarted"


def _state(tenant: Tenant) -> dict[str, int]:
    """Each pod with how often its containers were started again."""
    return {
        pod["metadata"]["uid"]: sum(
            each["restartCount"]
            for kind in ("containerStatuses", "initContainerStatuses")
            for each in pod["status"].get(kind, ())
        )
        for pod in tenant.pods("door")
    }
