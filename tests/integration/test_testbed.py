"""The testbed itself: a control plane that behaves as a real one, ends with us, and a proxy whose faults are seen."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from testbed.api import RequestFailed
from testbed.audit import AuditEvent
from testbed.controlplane import ControlPlane
from testbed.faults import CutReply, Delay, Drop, Hold, LoseReply, OnWatch, html, refuse
from testbed.proxy import FaultProxy
from testbed.request_counts import RequestKey
from testbed.watchstream import Fault, WatchStream
from tests.promises import PATIENCE
from tests.sample import full

ROOT = Path(__file__).parents[2]
NAMESPACES = "/api/v1/namespaces"


def holds(ask: Callable[[], bool]) -> bool:
    """Whether ``ask`` becomes true; waits for it."""
    deadline = time.monotonic() + PATIENCE
    while not ask():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    """A new namespace for one test."""
    made = control_plane.create(NAMESPACES, {"metadata": {"generateName": "testbed-"}})
    return str(made["metadata"]["name"])


# The control plane


def test_it_is_the_version_that_was_asked_for(control_plane: ControlPlane) -> None:
    assert control_plane.request("GET", "/version").json()["gitVersion"] == f"v{control_plane.version}"
    assert f"Server Version: v{control_plane.version}" in control_plane.kubectl("version")


def test_controllers_run(control_plane: ControlPlane, namespace: str) -> None:
    """A Deployment gets its Pods, and its deletion takes them along: what envtest cannot do."""
    path = f"{NAMESPACES}/{namespace}/pods"
    control_plane.kubectl("create", "deployment", "web", "--image=registry.example/web:1", "-n", namespace)
    assert holds(lambda: len(control_plane.request("GET", path).json()["items"]) == 1)
    control_plane.kubectl("delete", "deployment", "web", "-n", namespace, "--wait=false")
    assert holds(lambda: control_plane.request("GET", path).json()["items"] == [])


@full
def test_a_namespace_is_emptied_and_goes(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.create(f"{NAMESPACES}/{namespace}/configmaps", {"metadata": {"name": "left"}})
    control_plane.request("DELETE", f"{NAMESPACES}/{namespace}")
    assert holds(lambda: control_plane.request("GET", f"{NAMESPACES}/{namespace}").status == 404)


@pytest.mark.parametrize("kind", ["gateways", "listenersets", "httproutes", "tlsroutes", "backendtlspolicies"])
def test_the_gateway_api_is_served_as_v1(control_plane: ControlPlane, kind: str) -> None:
    assert control_plane.request("GET", f"/apis/gateway.networking.k8s.io/v1/{kind}").status == 200


def test_rights_can_be_given_to_any_user_and_group(control_plane: ControlPlane, namespace: str) -> None:
    kubeconfig = control_plane.kubeconfig_for("alice", ["devs"])
    assert control_plane.kubeconfig_for("alice", ["devs"]) == kubeconfig
    assert control_plane.kubeconfig_for("alice") != kubeconfig

    def list_as_alice() -> subprocess.CompletedProcess[str]:
        kubectl = control_plane.binaries.kubernetes["kubectl"]
        argv = [str(kubectl), f"--kubeconfig={kubeconfig}", "get", "configmaps", "-n", namespace, "-o", "name"]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    refused = list_as_alice()
    assert refused.returncode == 1
    assert 'User "alice" cannot list resource "configmaps"' in refused.stderr
    control_plane.kubectl("create", "rolebinding", "devs", "--clusterrole=view", "--group=devs", "-n", namespace)
    assert holds(lambda: "kube-root-ca.crt" in list_as_alice().stdout)


def test_the_token_is_an_administrators(control_plane: ControlPlane) -> None:
    kubectl = [str(control_plane.binaries.kubernetes["kubectl"]), "--kubeconfig=/dev/null"]
    where = [f"--server={control_plane.url}", f"--certificate-authority={control_plane.ca_file}"]
    who = [f"--token={control_plane.admin_token}", "auth", "whoami", "-o", "json"]
    said = subprocess.run([*kubectl, *where, *who], capture_output=True, text=True, check=True).stdout
    assert "system:masters" in json.loads(said)["status"]["userInfo"]["groups"]


def test_kubectl_that_fails_says_why(control_plane: ControlPlane) -> None:
    with pytest.raises(RequestFailed, match=r'namespaces "nobody" not found'):
        control_plane.kubectl("get", "namespace", "nobody")


def test_requests_are_counted(control_plane: ControlPlane, namespace: str) -> None:
    """By Secrets, which no controller makes here."""
    key = RequestKey("POST", "secrets", "", "201")
    before = control_plane.write_counts()[key]
    for number in range(7):
        control_plane.create(f"{NAMESPACES}/{namespace}/secrets", {"metadata": {"name": f"c{number}"}})
    assert control_plane.write_counts()[key] - before == 7
    assert "LIST" in {key.verb for key in control_plane.request_counts()}
    assert "LIST" not in {key.verb for key in control_plane.write_counts()}


async def test_requests_of_decco_are_recorded_apart_from_all_others(
    control_plane: ControlPlane, proxy: FaultProxy, namespace: str
) -> None:
    path = f"{NAMESPACES}/{namespace}/configmaps"
    mark = control_plane.audit_mark()
    headers = {"User-Agent": "decco/test"}
    async with aiohttp.ClientSession(proxy.url, headers=headers) as session:
        for number in range(3):
            await session.post(path, json={"metadata": {"name": f"c{number}"}})
            control_plane.create(path, {"metadata": {"name": f"admin{number}"}})
        await session.post(path, json={"metadata": {"name": "c0"}}, headers={"User-Agent": "other"})
        await session.get(path)
        await session.delete(f"{path}/c1")
    uri = f"{path}/c1"
    expected = AuditEvent(
        "delete", "configmaps", "", namespace, "c1", 200, "ResponseComplete", "decco", "decco/test", uri
    )
    events = control_plane.audit("decco", since=mark)
    assert [(event.verb, event.code) for event in events] == [("create", 201)] * 3 + [("list", 200), ("delete", 200)]
    assert events[-1] == expected
    assert control_plane.audit("decco", since=mark, writes=True) == [*events[:3], expected]
    assert [event.code for event in control_plane.audit("other", since=mark)] == [409]
    assert len(control_plane.audit(since=mark)) == len(events) + 1


@full
@pytest.mark.parametrize("kill", [False, True], ids=["orderly", "killed"])
def test_the_api_server_restarts_with_its_data(control_plane: ControlPlane, namespace: str, kill: bool) -> None:
    path = f"{NAMESPACES}/{namespace}/configmaps"
    made = control_plane.create(path, {"metadata": {"name": "kept"}, "data": {"a": "b"}})
    control_plane.stop_apiserver(kill=kill)
    try:
        with pytest.raises(OSError, match="refused"):
            control_plane.request("GET", path)
    finally:
        control_plane.start_apiserver()
    assert control_plane.request("GET", f"{path}/kept").json() == made


@full
def test_killed_it_leaves_no_process_and_no_file() -> None:
    """SIGKILL for `python -m testbed up` while all of its programs run."""
    argv = [sys.executable, "-m", "testbed", "up"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as testbed:
        assert testbed.stdout is not None
        said = next(line for line in testbed.stdout if line.startswith("export KUBECONFIG="))
        folder = Path(said.strip().removeprefix("export KUBECONFIG=")).parent
        programs = _programs_of(folder)
        testbed.kill()
    assert sorted(programs.values()) == ["etcd", "kube-apiserver", "kube-controller"]
    assert holds(lambda: _programs_of(folder) == {}), _programs_of(folder)
    assert holds(lambda: not folder.exists())


def _programs_of(folder: Path) -> dict[int, str]:
    """Processes that have the folder in their command line, but for the watchdog: process number -> name."""
    found = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if str(folder) in (process / "cmdline").read_text():
                    found[int(process.name)] = (process / "comm").read_text().strip()
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


# The proxy: each fault from the client's side, and the result in the API server


class Client:
    """A client of the proxy that works on the Secrets of one namespace, where no controller interferes."""

    def __init__(self, session: aiohttp.ClientSession, namespace: str) -> None:
        self.session = session
        self.path = f"{NAMESPACES}/{namespace}/secrets"

    async def create(self, name: str) -> tuple[int, str, bytes]:
        """Status, Retry-After and body."""
        async with self.session.post(self.path, json={"metadata": {"name": name}}) as answer:
            return answer.status, answer.headers.get("Retry-After", ""), await answer.read()

    async def names(self) -> set[str]:
        async with self.session.get(self.path) as answer:
            return {item["metadata"]["name"] for item in (await answer.json())["items"]}

    async def version(self) -> str:
        async with self.session.get(self.path) as answer:
            return str((await answer.json())["metadata"]["resourceVersion"])

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[aiohttp.ClientResponse]:
        params = {"watch": "true", "resourceVersion": await self.version(), "allowWatchBookmarks": "true"}
        async with self.session.get(self.path, params=params) as answer:
            assert answer.status == 200
            yield answer


@pytest.fixture
async def client(proxy: FaultProxy, namespace: str) -> AsyncIterator[Client]:
    # A client of its own connections: one that a fault broke must not be taken for the next request.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(proxy.url, connector=connector) as session:
        yield Client(session, namespace)


async def event(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    return dict(json.loads(await asyncio.wait_for(answer.content.readline(), PATIENCE)))


async def test_without_rules_everything_passes(client: Client, proxy: FaultProxy) -> None:
    assert (await client.create("a"))[0] == 201
    assert await client.names() == {"a"}
    assert [(seen.call.method, seen.status, seen.forwarded, seen.fault) for seen in proxy.seen] == [
        ("POST", 201, True, ""),
        ("GET", 200, True, ""),
    ]


async def test_its_kubeconfig_works_and_needs_no_credentials(proxy: FaultProxy, control_plane: ControlPlane) -> None:
    kubectl = control_plane.binaries.kubernetes["kubectl"]
    process = await asyncio.create_subprocess_exec(
        kubectl, f"--kubeconfig={proxy.kubeconfig}", "auth", "whoami", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert b"decco" in said
    assert proxy.count("POST", "selfsubjectreviews") == 1


async def test_a_body_of_a_megabyte_and_a_half_passes(client: Client) -> None:
    body = json.dumps({"metadata": {"name": "big"}, "data": {"x": "A" * 1_500_000}}).encode()
    headers = {"Content-Type": "application/json"}
    async with client.session.post(client.path, data=io.BytesIO(body), headers=headers) as answer:
        # 1 MiB is the limit of a Secret; the API server enforces it.
        assert answer.status == 422
        assert "Too long" in await answer.text()


@pytest.mark.parametrize("status", [401, 403, 404, 409, 410, 422, 429, 500, 503])
async def test_a_refusal(client: Client, proxy: FaultProxy, status: int) -> None:
    proxy.add(refuse(status, "not now", retry_after=3), method="POST", path="/secrets$", times=1)
    got, retry_after, body = await client.create("a")
    assert (got, retry_after) == (status, "3")
    assert json.loads(body)["code"] == status
    assert await client.names() == set()
    assert (await client.create("a"))[0] == 201


async def test_html_instead_of_an_answer(client: Client, proxy: FaultProxy) -> None:
    proxy.add(html(), method="POST", times=1)
    status, _, body = await client.create("a")
    assert status == 200
    assert body.startswith(b"<!DOCTYPE html>")
    assert await client.names() == set()


async def test_a_dropped_request_never_arrives(client: Client, proxy: FaultProxy) -> None:
    proxy.add(Drop(), method="POST")
    with pytest.raises(aiohttp.ClientOSError, match="reset"):
        await client.create("a")
    assert await client.names() == set()


async def test_a_lost_reply_was_a_success_all_the_same(client: Client, proxy: FaultProxy) -> None:
    proxy.add(LoseReply(), method="POST", times=1)
    with pytest.raises(aiohttp.ClientOSError, match="reset"):
        await client.create("a")
    assert await client.names() == {"a"}
    assert (await client.create("a"))[0] == 409


async def test_a_cut_reply_is_not_whole(client: Client, proxy: FaultProxy) -> None:
    proxy.add(CutReply(0.3), method="GET", watch=False, times=1)
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.names()


async def test_a_delayed_request_takes_longer(client: Client, proxy: FaultProxy) -> None:
    proxy.add(Delay(0.3), method="POST")
    started = time.monotonic()
    assert (await client.create("a"))[0] == 201
    assert time.monotonic() - started >= 0.3


async def test_a_held_request_waits_until_it_is_released(client: Client, proxy: FaultProxy) -> None:
    hold = Hold()
    rule = proxy.add(hold, method="POST", when=lambda call: call.json()["metadata"]["name"] == "a")
    creating = asyncio.create_task(client.create("a"))
    await asyncio.wait_for(rule.hit(), PATIENCE)
    assert (await client.create("b"))[0] == 201
    assert await client.names() == {"b"}
    assert not creating.done()
    hold.release()
    assert (await creating)[0] == 201


async def test_a_rule_that_was_taken_back_holds_no_more(client: Client, proxy: FaultProxy) -> None:
    rule = proxy.add(refuse(503))
    other = proxy.add(refuse(500))
    assert (await client.create("a"))[0] == 503
    proxy.remove(rule)
    assert (await client.create("a"))[0] == 500
    proxy.clear()
    assert (await client.create("a"))[0] == 201
    assert (rule.hits, other.hits) == (1, 1)


async def test_gone_and_back_on_the_same_port(client: Client, proxy: FaultProxy) -> None:
    async with client.watch() as watch:
        await proxy.stop_listening()
        with pytest.raises(aiohttp.ClientConnectorError, match="Connect call failed"):
            await client.names()
        with pytest.raises(aiohttp.ClientPayloadError):
            await watch.read()
    await proxy.start_listening()
    assert await client.names() == set()


@full
async def test_an_api_server_that_went_away_resets_the_watch(
    client: Client, proxy: FaultProxy, control_plane: ControlPlane
) -> None:
    async with client.watch() as watch:
        await asyncio.to_thread(control_plane.stop_apiserver, kill=True)
        try:
            with pytest.raises(aiohttp.ClientPayloadError):
                await asyncio.wait_for(watch.read(), PATIENCE)
            with pytest.raises(aiohttp.ClientOSError, match="reset"):
                await client.names()
        finally:
            await asyncio.to_thread(control_plane.start_apiserver)
    assert await client.names() == set()


async def test_a_watch_passes_event_by_event(client: Client, proxy: FaultProxy) -> None:
    async with client.watch() as watch:
        for name in ("a", "b"):
            await client.create(name)
            assert (await event(watch))["object"]["metadata"]["name"] == name
        [stream] = await proxy.watching("/secrets$")
        assert stream.passed == 2
        assert stream.query["allowWatchBookmarks"] == "true"
    assert proxy.count(watch=True) == 1


async def test_a_silent_watch_stays_open_and_loses_events(client: Client, proxy: FaultProxy) -> None:
    async with client.watch() as watch:
        [stream] = await proxy.watching()
        stream.silence()
        await client.create("lost")
        await asyncio.wait_for(stream.moved(swallowed=1), PATIENCE)
        assert not watch.content.is_eof()
        stream.speak()
        await client.create("seen")
        assert (await event(watch))["object"]["metadata"]["name"] == "seen"


async def test_held_bookmarks_are_swallowed_and_events_are_not(client: Client, proxy: FaultProxy) -> None:
    proxy.add(OnWatch(WatchStream.hold_bookmarks), watch=True)
    # A streaming list is the one occasion at which the API server sends a bookmark at once.
    params = {"watch": "true", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan",
              "allowWatchBookmarks": "true"}  # fmt: skip
    await client.create("old")
    async with client.session.get(client.path, params=params) as watch:
        [stream] = await proxy.watching()
        assert (await event(watch))["object"]["metadata"]["name"] == "old"
        await asyncio.wait_for(stream.moved(swallowed=1), PATIENCE)
        await client.create("a")
        assert (await event(watch))["object"]["metadata"]["name"] == "a"


async def test_a_client_that_takes_compressed_answers_gets_its_watch_line_by_line(
    client: Client, proxy: FaultProxy
) -> None:
    await client.create("old")
    headers = {"Accept-Encoding": "gzip"}
    params = {"watch": "true", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan",
              "allowWatchBookmarks": "true"}  # fmt: skip
    async with client.session.get(client.path, params=params, headers=headers) as watch:
        assert [(await event(watch))["type"] for _ in range(2)] == ["ADDED", "BOOKMARK"]


async def test_an_expired_watch_says_410_and_ends(client: Client, proxy: FaultProxy) -> None:
    proxy.add(OnWatch(WatchStream.expire, after=1), watch=True, times=1)
    async with client.watch() as watch:
        await client.create("a")
        assert (await event(watch))["type"] == "ADDED"
        expired = await event(watch)
        assert (expired["type"], expired["object"]["code"], expired["object"]["reason"]) == ("ERROR", 410, "Expired")
        assert await watch.read() == b""


async def test_a_garbled_line_is_between_two_good_ones(client: Client, proxy: FaultProxy) -> None:
    proxy.add(OnWatch(WatchStream.garble, after=1), watch=True)
    async with client.watch() as watch:
        await client.create("a")
        await client.create("b")
        await event(watch)
        with pytest.raises(ValueError, match="utf-8"):
            await event(watch)
        assert (await event(watch))["object"]["metadata"]["name"] == "b"


@pytest.mark.parametrize(
    ("fault", "rest", "clean"),
    [(WatchStream.end, b"", True), (WatchStream.cut, b'{"type":"MODIFIED"', True), (WatchStream.break_off, b"", False)],
    ids=["ended", "cut", "broken"],
)
async def test_a_watch_ends(client: Client, proxy: FaultProxy, fault: Fault, rest: bytes, clean: bool) -> None:
    async with client.watch() as watch:
        await client.create("a")
        await event(watch)
        [stream] = await proxy.watching()
        pending = fault(stream)
        if pending is not None:
            await pending
        if clean:
            left = await asyncio.wait_for(watch.read(), PATIENCE)
            assert left.startswith(rest)
            assert not left.endswith(b"\n")
        else:
            with pytest.raises(aiohttp.ClientPayloadError):
                await asyncio.wait_for(watch.read(), PATIENCE)


async def test_a_client_that_leaves_takes_its_watch_with_it(client: Client, proxy: FaultProxy) -> None:
    async with client.watch():
        assert len(await proxy.watching()) == 1
    await asyncio.wait_for(proxy.watched_no_more(), PATIENCE)


async def test_it_ends_with_requests_under_way_and_leaves_no_task(control_plane: ControlPlane) -> None:
    before = asyncio.all_tasks()
    async with aiohttp.ClientSession() as session:
        async with FaultProxy(control_plane) as proxy:
            rule = proxy.add(Hold(), path="/nodes")
            watching = await session.get(f"{proxy.url}{NAMESPACES}?watch=1")
            held = asyncio.create_task(session.get(f"{proxy.url}/api/v1/nodes"))
            await rule.hit()
            assert len(await proxy.watching()) == 1
        watching.close()
        with pytest.raises(aiohttp.ClientError):
            await held
    assert asyncio.all_tasks() == before
