"""The whole controller behind watches that fail in every way: no gap, no storm, and few words about it.

No gap: while the fault lasts, objects are created, changed and deleted directly; when it is over, the children are as
if nothing had happened. No storm: requests are counted, and each test says why its bound is what it is. The pauses are
``kube/watch.py``'s: with full jitter, so on average half of 0.2, 0.4, 0.8, ... 30 s (5 s while there is no server to
connect to). ``test_watch.py`` tests one watch in detail; here some twenty follow one API server, and a process that
has work to do.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from testbed.controlplane import ControlPlane
from testbed.faults import OnWatch, html
from testbed.proxy import FaultProxy
from testbed.watchstream import WatchStream
from tests.integration.harness import APIS, Cluster, Decco, app, eventually, soon, tls_secret
from tests.integration.logs import assert_no_secrets, assert_sound, lines, log_lines, repetitions
from tests.sample import full

IDLE_SECONDS = 6.0
"""Silence that makes a watch deaf here; more than the 5 s after which a watch counts as healthy."""
FAULT_SECONDS = float(os.environ.get("FAULT_SECONDS", "4"))
"""How long a fault that repeats goes on."""
AWAY_SECONDS = float(os.environ.get("AWAY_SECONDS", "15"))
"""How long the API server cannot be reached."""


@pytest_asyncio.fixture
async def decco(
    proxy: FaultProxy, control_plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> AsyncIterator[Decco]:
    """A controller of the test's own behind the proxy; whatever was done to it, its log is sound and it ends well."""
    decco = Decco(
        control_plane, tmp_path, kubeconfig=proxy.kubeconfig, controller__watch_idle_seconds=str(IDLE_SECONDS)
    )
    await asyncio.to_thread(decco.start)
    yield decco
    proxy.clear()
    assert await asyncio.to_thread(decco.stop) == 0, decco.tail()
    assert_sound(decco)
    assert_no_secrets(decco, cluster)


class Tenant:
    """A Space with Apps that are changed while decco cannot see it."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    def settle_in(self) -> None:
        """Before the fault."""
        self.cluster.create(tls_secret(self.name))
        self.cluster.make_space(self.name, tcpCertAndCaSecretName=self.name)
        for each in ("changed", "deleted", "robbed"):
            self.cluster.create(app(self.name, each, endpoints=[], initialReplicas=1))
        for each in ("changed", "deleted", "robbed"):
            eventually(lambda each=each: self.cluster.deployment(self.name, each))

    def change(self) -> None:
        """During the fault: an App comes, one is edited, one goes, and a child is stolen."""
        apps = f"{APIS}/namespaces/{self.name}/apps"
        self.cluster.create(app(self.name, "created", endpoints=[]))
        self.cluster.patch(f"{apps}/changed", {"spec": {"initialReplicas": 2}})
        self.cluster.delete(f"{apps}/deleted")
        self.cluster.delete(f"/apis/apps/v1/namespaces/{self.name}/deployments/robbed")

    def followed(self) -> bool:
        """After the fault: all four were noticed."""
        replicas = {
            item["metadata"]["name"]: item["spec"]["replicas"]
            for item in self.cluster.items(f"/apis/apps/v1/namespaces/{self.name}/deployments")
        }
        return replicas == {"created": 1, "changed": 2, "robbed": 1}


@pytest_asyncio.fixture
async def tenant(decco: Decco, cluster: Cluster, name: str) -> Tenant:
    tenant = Tenant(cluster, name)
    await asyncio.to_thread(tenant.settle_in)
    await asyncio.to_thread(decco.settle)
    return tenant


class Counter:
    """Requests that came through the proxy from now on."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._begin = len(proxy.seen)

    @property
    def watches(self) -> int:
        return sum(seen.call.watch for seen in self._proxy.seen[self._begin :])

    @property
    def lists(self) -> int:
        """First pages of whole lists; a GET of one object or of discovery has no limit. Copies of Secrets are not
        watched: they are listed in each Space's namespace, which has no part in these faults.
        """
        return sum(
            not seen.call.watch
            and "limit" in seen.call.query
            and "continue" not in seen.call.query
            and not (seen.call.path.endswith("/secrets") and "managed-by" in seen.call.query.get("labelSelector", ""))
            for seen in self._proxy.seen[self._begin :]
        )


@full
async def test_closed_again_and_again(proxy: FaultProxy, decco: Decco, tenant: Tenant) -> None:
    kinds = len(proxy.watches())
    assert kinds > 10
    counter = Counter(proxy)
    proxy.add(OnWatch(WatchStream.end), watch=True)
    for stream in proxy.watches():
        stream.end()
    await asyncio.to_thread(tenant.change)
    await asyncio.sleep(FAULT_SECONDS)
    # n tries take 0.1 s times 2**n on average, so 4 s see five or six of each kind; twice that is still no storm.
    assert counter.watches <= 12 * kinds, "a storm"
    assert counter.lists == 0, "a closed watch loses nothing"
    proxy.clear()
    await soon(tenant.followed)
    # An event that slips through before the end makes a watch healthy, and its next trouble a new one.
    assert max(repetitions(decco).values()) <= 4, repetitions(decco).most_common(3)


async def test_expired(proxy: FaultProxy, decco: Decco, tenant: Tenant) -> None:
    """410: the events of the watch are lost, so it is listed; once for each kind."""
    streams = proxy.watches()
    for stream in streams:
        stream.silence()
    await asyncio.to_thread(tenant.change)
    counter = Counter(proxy)
    for stream in streams:
        await stream.expire()
    await soon(tenant.followed)
    await soon(lambda: counter.lists == len(streams), what="one list for each kind")
    assert repetitions(decco) == {}, "an expired version is the ordinary course of things"


@full
async def test_expired_again_and_again(proxy: FaultProxy, decco: Decco, tenant: Tenant) -> None:
    kinds = len(proxy.watches())
    counter = Counter(proxy)
    proxy.add(OnWatch(WatchStream.expire), watch=True)
    for stream in proxy.watches():
        await stream.expire()
    await asyncio.to_thread(tenant.change)
    await asyncio.sleep(FAULT_SECONDS)
    # As above, and each watch has a list before it; both count, so half as many.
    assert counter.lists <= 12 * kinds, "a storm"
    assert counter.watches <= 12 * kinds, "a storm"
    proxy.clear()
    await soon(tenant.followed)
    assert max(repetitions(decco).values()) == 1, repetitions(decco).most_common(3)


@full
async def test_silence(proxy: FaultProxy, decco: Decco, tenant: Tenant) -> None:
    """Open, but deaf: behind a firewall that forgot the connection."""
    streams = proxy.watches()
    counter = Counter(proxy)
    for stream in streams:
        stream.silence()
    await asyncio.to_thread(tenant.change)
    await soon(tenant.followed)
    assert counter.lists == 0, "watched from where it was left"
    # One new watch for each kind; a second for those that were silent by themselves for IDLE_SECONDS meanwhile.
    assert counter.watches <= 3 * len(streams)


async def test_broken(proxy: FaultProxy, decco: Decco, cluster: Cluster, name: str) -> None:
    """A line cut in the middle, a line of garbage, a connection reset: watched again from the last version."""
    for fault in (WatchStream.cut, WatchStream.garble, WatchStream.break_off):
        tenant = Tenant(cluster, f"{name}-{fault.__name__.replace('_', '-')}")
        await asyncio.to_thread(tenant.settle_in)
        streams = proxy.watches()
        kinds = len(streams)
        for stream in streams:
            stream.silence()  # what happens now is lost unless the watch begins again where it was
        await asyncio.to_thread(tenant.change)
        counter = Counter(proxy)
        for stream in streams:
            await _do(fault, stream)
        await soon(tenant.followed, what=fault.__name__)
        assert counter.lists == 0
        assert counter.watches <= 2 * kinds
        await soon(lambda kinds=kinds: len(proxy.watches()) == kinds)
    assert max(repetitions(decco).values()) == 1, repetitions(decco).most_common(3)


async def _do(fault: Callable[[WatchStream], Awaitable[None] | None], stream: WatchStream) -> None:
    pending = fault(stream)
    if pending is not None:
        await pending


@full
async def test_a_login_page(proxy: FaultProxy, decco: Decco, tenant: Tenant) -> None:
    """Something in front of the API server answers everything with HTML, and 200."""
    kinds = len(proxy.watches())
    counter = Counter(proxy)
    page = proxy.add(html(200))
    for stream in proxy.watches():
        stream.end()
    await asyncio.to_thread(tenant.change)
    await asyncio.sleep(FAULT_SECONDS)
    assert counter.watches <= 12 * kinds, "a storm"
    beginnings = {line["error"].partition("it begins with: ")[2] for line in lines(decco, "warning")}
    # Of what might be a Secret not even the beginning; "" is of the watches' end before the page.
    assert {each[:15] for each in beginnings} - {""} == {"<!DOCTYPE html>", "(67 bytes, not "}
    proxy.remove(page)
    await soon(tenant.followed)
    assert max(repetitions(decco).values()) == 1, repetitions(decco).most_common(3)


@full
async def test_away(proxy: FaultProxy, decco: Decco, tenant: Tenant) -> None:
    """Connections are refused for 15 s: no gap, no storm, one line for each kind, and ready soon after."""
    kinds = len(proxy.watches())
    failed = 'decco_api_requests_total{code="<error>"'
    before = decco.metric(failed)
    await proxy.stop_listening()
    await asyncio.to_thread(tenant.change)
    await asyncio.sleep(AWAY_SECONDS)
    # Five pauses of 3.1 s together, then 2.5 s each, on average: 10 tries of each kind; twice that is no storm.
    tries = await asyncio.to_thread(decco.metric, failed) - before
    assert kinds <= tries <= 20 * kinds
    assert (await asyncio.to_thread(decco.get, "/healthz")).startswith("ok"), "a restart would not help"
    await proxy.start_listening()
    await soon(tenant.followed)
    warnings = lines(decco, "warning", "error")
    assert len(warnings) <= 2 * kinds, [(line["event"], line.get("resource"), line.get("error")) for line in warnings]
    await soon(
        lambda: len([line for line in log_lines(decco) if line["event"] == "watch works again"]) == kinds,
        30,
        "all is well",
    )


@pytest.mark.parametrize("kill", [pytest.param(False, id="in good order", marks=full), pytest.param(True, id="killed")])
async def test_restart_of_the_api_server(
    control_plane: ControlPlane, cluster: Cluster, tmp_path: Path, name: str, kill: bool
) -> None:
    """The real one, without a proxy in between: what is changed as soon as it is back is followed."""
    decco = await asyncio.to_thread(Decco(control_plane, tmp_path).start)
    try:
        tenant = Tenant(cluster, name)
        await asyncio.to_thread(tenant.settle_in)
        await asyncio.to_thread(decco.settle)
        kinds = decco.get("/readyz?verbose").count("cache ")
        mark = await asyncio.to_thread(control_plane.audit_mark)
        await asyncio.to_thread(control_plane.stop_apiserver, kill=kill)
        began = time.monotonic()
        await asyncio.to_thread(control_plane.start_apiserver)
        away = time.monotonic() - began
        await asyncio.to_thread(tenant.change)
        await soon(tenant.followed)
        asked = [event for event in control_plane.audit("decco", since=mark) if not event.writes]
        # A server that starts refuses some requests (429, 403) until its caches are full: a few tries of each kind.
        assert len(asked) <= (6 + away) * kinds
    finally:
        assert await asyncio.to_thread(decco.stop) == 0
    assert_sound(decco)
    warnings = lines(decco, "warning", "error")
    assert len(warnings) <= 4 * kinds, [(line["event"], line.get("resource"), line.get("error")) for line in warnings]
