"""Signs of life when little life is left: an API server that hangs, an event loop that is wedged, a process under load.

A real controller that leads, or is a candidate, on a real API server.
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import os
import signal
import statistics
import threading
import time
import urllib.error
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest

from decco.kube.leader import ABORT_STATUS
from testbed.controlplane import ControlPlane
from testbed.faults import Hold
from testbed.proxy import FaultProxy
from tests.integration.harness import APIS, Cluster, Decco, eventually, http_app, soon, space
from tests.integration.logs import lines
from tests.integration.replicas import FULL, LEASE, SHORT, SHORT_LEASE, SHORT_RENEW, pair
from tests.promises import PATIENCE, promised, timed
from tests.sample import full

LISTED = int(os.environ.get("LEADER_LISTED", "10000"))
RECONCILED = int(os.environ.get("LEADER_RECONCILED", "100"))
"""Objects in a list, and Apps that are reconciled meanwhile; `make test-leader` takes 10,000 and 1,000."""
ANSWER_SECONDS = 0.1


@asynccontextmanager
async def leading(cp: ControlPlane, folder: Path, proxy: FaultProxy, **settings: str) -> AsyncIterator[Decco]:
    """A controller behind the proxy that leads."""
    cp.request("DELETE", LEASE)
    decco = Decco(cp, folder, kubeconfig=proxy.kubeconfig, **{**SHORT, **settings})
    try:
        await asyncio.to_thread(decco.start)
        await soon(lambda: decco.metric("decco_leader") == 1, 10, "leading")
        yield decco
        assert await asyncio.to_thread(decco.stop) == 0
    finally:
        decco.kill()
        cp.request("DELETE", LEASE)


def moment(decco: Decco, event: str) -> float:
    """Unix time of a log line."""
    (line,) = [line for line in lines(decco) if line["event"] == event]
    return datetime.fromisoformat(line["timestamp"]).timestamp()


@timed
async def test_a_hung_api_server(control_plane: ControlPlane, proxy: FaultProxy, tmp_path: Path, name: str) -> None:
    """It swallows everything while reconciles wait for its answers: work ends within the lease, and comes back."""
    cluster = Cluster(control_plane)
    async with leading(control_plane, tmp_path, proxy) as decco:
        began, mark = time.time(), control_plane.audit_mark()
        hung = Hold()
        rule = proxy.add(hung, when=lambda call: not call.watch)
        await asyncio.to_thread(cluster.create, space(name))
        await rule.hit(2)
        await soon(lambda: decco.metric("decco_leader") == 0, what="no longer leading")
        assert decco.get("/healthz").startswith("ok"), "a restart would not help"
        assert decco.get("/readyz").startswith("ok"), "the caches are as they were"
        ended = moment(decco, "leading has ended")
        before = [one for one in await asyncio.to_thread(control_plane.audit, since=mark) if one.resource == "leases"]
        renewed = max((one.received for one in before if one.verb == "update"), default=began)
        promised("the end of work after the last renewal", ended - renewed, SHORT_LEASE)
        proxy.clear()
        hung.release()
        await soon(lambda: decco.metric("decco_leader") == 1, 10, "leading again")
        await soon(lambda: (cluster.space_condition(name, "NetworkReady") or {}).get("status") == "True", 15)


@timed
def test_a_wedged_event_loop(control_plane: ControlPlane, tmp_path: Path) -> None:
    """``/healthz`` still answers and reports it, the process stops leading and ends, and another takes over."""
    silence = 1.5
    with pair(control_plane, tmp_path, **SHORT, controller__loop_silence_seconds=str(silence)) as two:
        first = two.start("decco-a", module="tests.integration.defective")
        eventually(lambda: two.leads("decco-a"), 10)
        two.start("decco-b")
        assert first.get("/healthz").startswith("ok")
        assert first.process is not None
        first.process.send_signal(signal.SIGUSR1)
        wedged = time.monotonic()
        said = eventually(lambda: refusal(first), what="/healthz fails")
        promised("the failure of /healthz after a wedge", time.monotonic() - wedged, silence + 1)
        assert "[-]event-loop failed: no heartbeat for" in said
        assert first.process.wait(PATIENCE) == ABORT_STATUS
        eventually(lambda: two.leads("decco-b"))


def refusal(decco: Decco) -> str:
    """What /healthz says while it fails; "" while all is well."""
    try:
        decco.get("/healthz")
    except urllib.error.HTTPError as error:
        return error.read().decode()
    return ""


@FULL
@pytest.mark.timeout(600)
async def test_renewals_go_on_under_load(
    control_plane: ControlPlane, proxy: FaultProxy, tmp_path: Path, name: str
) -> None:
    """While a long list is decoded, again and again, and a long queue is worked off, the Lease is renewed in time."""
    cluster = Cluster(control_plane)
    await asyncio.to_thread(cluster.create, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    await asyncio.to_thread(fill, cluster, name, LISTED)
    async with leading(control_plane, tmp_path, proxy, controller__watch_idle_seconds="600") as decco:
        await asyncio.to_thread(cluster.make_space, f"{name}-s")
        mark = control_plane.audit_mark()
        apps = asyncio.create_task(asyncio.to_thread(create_apps, cluster, f"{name}-s", RECONCILED))
        relists = 0
        while not apps.done() or relists < 3:
            (stream,) = await proxy.watching("/configmaps$")
            await stream.expire()
            relists += 1
            await proxy.watched_no_more("/configmaps$")
        await apps
        await asyncio.to_thread(decco.settle, 0.7, 120)
        events = await asyncio.to_thread(control_plane.audit, since=mark)
        renewed = sorted(one.received for one in events if one.resource == "leases" and one.verb == "update")
        gaps = [after - before for before, after in itertools.pairwise(renewed)]
        print(
            f"{relists} lists of {LISTED} objects, {RECONCILED} Apps in {renewed[-1] - renewed[0]:.0f} s: "
            f"{len(gaps)} renewals, {statistics.median(gaps):.2f} s apart in the median, {max(gaps):.2f} s at most"
        )
        assert len([one for one in events if one.verb == "list" and one.resource == "configmaps"]) >= relists
        assert max(gaps) < SHORT_RENEW
        assert "leadership lost" not in decco.log.read_text()
    await asyncio.to_thread(cluster.delete, f"{APIS}/spaces/{name}-s")
    await asyncio.to_thread(cluster.delete, f"/api/v1/namespaces/{name}")


def fill(cluster: Cluster, namespace: str, count: int) -> None:
    """ConfigMaps that decco watches and without owner, 1 KB each."""

    def make(number: int) -> None:
        meta = {"name": f"cm-{number}", "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "decco"}}
        cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"text": "x" * 1000}})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(count)))


def create_apps(cluster: Cluster, namespace: str, count: int) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: cluster.create(http_app(namespace, f"app-{number}")), range(count)))


@full
@pytest.mark.timeout(600)
@timed
def test_health_answers_under_load(control_plane: ControlPlane, tmp_path: Path, name: str) -> None:
    """Asked all the time while Apps are made: the kubelet's probes time out after a second, and this needs a tenth."""
    cluster = Cluster(control_plane)
    with Decco(control_plane, tmp_path) as decco:
        cluster.make_space(name)
        ending, times = threading.Event(), list[float]()

        def ask() -> None:
            for path in itertools.cycle(["/healthz", "/readyz"]):
                if ending.wait(0.01):
                    return
                started = time.perf_counter()
                connection = http.client.HTTPConnection("127.0.0.1", decco.port, timeout=PATIENCE)
                connection.request("GET", path)
                answer = connection.getresponse()
                body = answer.read()
                times.append(time.perf_counter() - started)
                connection.close()
                assert (answer.status, body) == (200, b"ok\n")

        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(ask)
            create_apps(cluster, name, RECONCILED)
            decco.settle(seconds=120)
            ending.set()
            asking.result()
        parts = statistics.quantiles(times, n=100)
        print(
            f"{len(times)} answers while {RECONCILED} Apps were made: "
            f"p50 {parts[49] * 1000:.1f} ms, p95 {parts[94] * 1000:.1f} ms, longest {max(times) * 1000:.1f} ms"
        )
        promised("an answer of /healthz (p95)", parts[94], ANSWER_SECONDS)
        cluster.delete(f"{APIS}/spaces/{name}")


@FULL
@timed
async def test_a_dns_call_under_way_ends_with_the_lease(control_plane: ControlPlane, tmp_path: Path, name: str) -> None:
    """A name server that does not answer: a former leader closes the connection, and asks again when it leads again."""
    hung_up = asyncio.Queue[float]()
    asked = asyncio.Queue[float]()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2)
        asked.put_nowait(time.time())
        await reader.read()
        hung_up.put_nowait(time.time())
        writer.close()

    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as server:
        provider = {"type": "rfc2136", "zones": [f"{name}.test"], "host": "127.0.0.1"}
        port = server.sockets[0].getsockname()[1]
        providers = json.dumps([{**provider, "port": port, "timeoutSeconds": 60}])
        async with (
            FaultProxy(control_plane) as proxy,
            leading(control_plane, tmp_path, proxy, dns__providers=providers) as decco,
        ):
            async with asyncio.timeout(PATIENCE):
                await asked.get()
            taken = {"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 2}}
            await asyncio.to_thread(Cluster(control_plane).patch, LEASE, taken)
            lost = time.time()
            async with asyncio.timeout(PATIENCE):
                ended = await hung_up.get()
            promised("the end of a DNS call after the loss of the lease", ended - lost, SHORT_LEASE)
            assert asked.empty(), "no further questions while it does not lead"
            async with asyncio.timeout(PATIENCE):
                await asked.get()
            assert decco.metric("decco_leader") == 1
