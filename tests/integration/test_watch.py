"""A watch on a real API server through everything that can happen to it: no gap, no storm.

Each test writes to the API server directly while a ``Mirror`` follows through the fault proxy. "No gap" means: every
version that was written arrives, once and in order; or, where history was lost, the mirror ends up equal to the
server. "No storm" is a count of requests.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from decco.kube import errors
from decco.kube import watch as w
from decco.kube.client import Client
from decco.kube.config import connect
from decco.objects import CONFIGMAPS, NAMESPACES, Key, Obj, Resource, key_of, uid_of
from testbed.controlplane import ControlPlane
from testbed.faults import OnWatch, refuse
from testbed.proxy import FaultProxy
from testbed.watchstream import WatchStream
from tests.promises import PATIENCE, promised, timed
from tests.sample import full

WAIT = PATIENCE
"""Seconds for things that take milliseconds on a quiet machine."""


class Mirror:
    """What one watch has delivered so far."""

    def __init__(self, client: Client, spec: w.WatchSpec, *, idle_seconds: float, most: float) -> None:
        """``most`` cuts pauses down to so many seconds, for tests that wait for one."""
        self.objects: dict[str, int] = {}
        """Name to resourceVersion, of what exists."""
        self.versions: list[int] = []
        """Of every Apply and Delete, in order."""
        self.lists = 0
        self.bookmarks = 0
        self.troubles: list[Exception] = []
        self.pauses: list[float] = []
        self._changed = asyncio.Condition()

        async def sleep(seconds: float) -> None:
            async with self._changed:  # a pause follows what went wrong, and is where we may wait
                self.pauses.append(seconds)
                self._changed.notify_all()
            await asyncio.sleep(min(seconds, most))

        self._events = w.watch(
            client, spec, idle_seconds=idle_seconds, on_trouble=lambda e, _: self.troubles.append(e), sleep=sleep
        )

    async def run(self) -> None:
        gathered: dict[str, int] = {}
        async with aclosing(self._events):
            async for event in self._events:
                match event:
                    case w.Init():
                        gathered = {}
                    case w.InitApply(obj=obj):
                        gathered[key_of(obj).name] = version_of(obj)
                    case w.InitDone():
                        self.objects = gathered
                        self.lists += 1
                    case w.Apply(obj=obj):
                        self.objects[key_of(obj).name] = version_of(obj)
                        self.versions.append(version_of(obj))
                    case w.Delete(obj=obj):
                        self.objects.pop(key_of(obj).name, None)
                        self.versions.append(version_of(obj))
                    case w.Bookmark():
                        self.bookmarks += 1
                async with self._changed:
                    self._changed.notify_all()

    async def troubled(self, times: int) -> None:
        await self.until(lambda m: len(m.troubles) >= times)

    async def until(self, holds: Callable[[Mirror], bool]) -> None:
        async with asyncio.timeout(WAIT), self._changed:
            await self._changed.wait_for(lambda: holds(self))


def version_of(obj: Obj) -> int:
    return int(obj["metadata"]["resourceVersion"])


@pytest.fixture
async def direct(control_plane: ControlPlane) -> AsyncIterator[Client]:
    async with Client(await connect(str(control_plane.kubeconfig)), user_agent="writer") as client:
        yield client


@pytest.fixture
async def namespace(direct: Client, name: str) -> AsyncIterator[str]:
    made = await direct.create(NAMESPACES, {"metadata": {"name": f"watch-{name}"}})
    await direct.create(CONFIGMAPS, configmap(made["metadata"]["name"], "first"))
    yield made["metadata"]["name"]
    await direct.delete(NAMESPACES, key_of(made), uid=uid_of(made))


@asynccontextmanager
async def following(
    kubeconfig: Any, namespace: str, *, resource: Resource = CONFIGMAPS, idle_seconds: float = 75.0, most: float = 60.0
) -> AsyncIterator[Mirror]:
    """A mirror that runs in the background."""
    async with Client(await connect(str(kubeconfig)), user_agent="decco-test") as client:
        # kube-controller-manager writes a ConfigMap of its own into each namespace, which is ignored.
        fields = "metadata.name!=kube-root-ca.crt" if resource is CONFIGMAPS else ""
        mirror = Mirror(client, w.WatchSpec(resource, namespace, fields=fields), idle_seconds=idle_seconds, most=most)
        task = asyncio.create_task(mirror.run())
        try:
            yield mirror
            assert not task.done(), "a watch is endless"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def configmap(namespace: str, name: str, data: str = "") -> Obj:
    return {"metadata": {"namespace": namespace, "name": name}, "data": {"x": data}}


class Writer:
    """Changes objects, and remembers every version that this made."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self.versions: list[int] = []

    async def write(self, count: int, name: str = "first") -> None:
        for i in range(count):
            patch = {"data": {"x": f"{len(self.versions)}-{i}"}}
            self.versions.append(version_of(await self._client.patch(CONFIGMAPS, Key(self._namespace, name), patch)))

    async def create(self, name: str, data: str = "") -> Obj:
        made = await self._client.create(CONFIGMAPS, configmap(self._namespace, name, data))
        self.versions.append(version_of(made))
        return made

    async def truth(self) -> dict[str, int]:
        pages = self._client.list_pages(CONFIGMAPS, namespace=self._namespace)
        names = {key_of(o).name: version_of(o) async for page in pages for o in page.items}
        names.pop("kube-root-ca.crt", None)
        return names


@pytest.fixture
def writer(direct: Client, namespace: str) -> Writer:
    return Writer(direct, namespace)


async def test_every_event_is_delivered(proxy: FaultProxy, namespace: str, writer: Writer, direct: Client) -> None:
    async with following(proxy.kubeconfig, namespace) as mirror:
        await mirror.until(lambda m: m.lists == 1 and "first" in m.objects)
        made = await writer.create("second")
        await writer.write(3, "second")
        await direct.delete(CONFIGMAPS, key_of(made), uid=uid_of(made))
        await mirror.until(lambda m: len(m.versions) == 5)
    assert mirror.versions[:4] == writer.versions
    assert mirror.versions[4] > writer.versions[-1]  # the version of the deletion
    assert list(mirror.objects) == ["first"]
    assert proxy.count("GET", watch=False) == proxy.count("GET", watch=True) == 1
    await proxy.watched_no_more()  # who leaves closes the connection


FAULTS: dict[str, Callable[[WatchStream], Awaitable[None] | None]] = {
    "ended by the server": WatchStream.end,
    "reset": WatchStream.break_off,
    "cut in the middle of a line": WatchStream.cut,
    "garbled": WatchStream.garble,
}


@pytest.mark.parametrize("fault", list(FAULTS))
async def test_an_interrupted_watch_misses_nothing_and_lists_nothing(
    proxy: FaultProxy, namespace: str, writer: Writer, fault: str
) -> None:
    """Each watch breaks after three events or a few more, while 60 are written, at most four ahead."""
    proxy.add(OnWatch(FAULTS[fault], after=3), watch=True)
    async with following(proxy.kubeconfig, namespace) as mirror:
        await mirror.until(lambda m: m.lists == 1)
        for _ in range(15):
            await writer.write(4)
            await mirror.until(lambda m: len(m.versions) >= len(writer.versions))
    assert mirror.versions == writer.versions
    assert mirror.lists == 1
    assert proxy.count(watch=False) == 1
    assert 8 <= proxy.count(watch=True) <= 21


async def test_the_same_garbage_again_leads_to_a_list(proxy: FaultProxy, namespace: str, writer: Writer) -> None:
    proxy.add(OnWatch(WatchStream.garble), watch=True, times=2)
    async with following(proxy.kubeconfig, namespace) as mirror:
        await mirror.until(lambda m: m.lists == 2)
        await writer.write(3)
        await mirror.until(lambda m: m.versions == writer.versions)
    assert [type(t) for t in mirror.troubles] == [errors.Garbled] * 2


async def test_an_expired_watch_lists_again(proxy: FaultProxy, namespace: str, writer: Writer) -> None:
    async with following(proxy.kubeconfig, namespace) as mirror:
        (stream,) = await proxy.watching()
        stream.silence()
        await writer.write(3)
        await writer.create("second")
        await stream.moved(swallowed=4)
        await stream.expire()
        await mirror.until(lambda m: m.lists == 2)
        assert mirror.objects == await writer.truth()
        await writer.write(2)
        await mirror.until(lambda m: m.versions == writer.versions[-2:])
    assert mirror.troubles == []
    assert proxy.count() == 4


@timed
async def test_a_silent_watch_ends(proxy: FaultProxy, namespace: str, writer: Writer) -> None:
    """A firewall forgot the connection: what was swallowed arrives all the same."""
    async with following(proxy.kubeconfig, namespace, idle_seconds=1.0) as mirror:
        (stream,) = await proxy.watching()
        await writer.write(2)
        await mirror.until(lambda m: len(m.versions) == 2)
        stream.silence()
        await writer.write(5)
        await stream.moved(swallowed=5)
        started = time.monotonic()
        await mirror.until(lambda m: len(m.versions) == 7)
        promised("the end of a silent watch of 1 s", time.monotonic() - started, 5.0)
    assert mirror.versions == writer.versions
    assert mirror.lists == 1
    assert "silent for 1 s" in str(mirror.troubles[0])


async def test_a_server_that_closes_at_once_gets_no_storm(proxy: FaultProxy, namespace: str, writer: Writer) -> None:
    rule = proxy.add(OnWatch(WatchStream.end), watch=True)
    async with following(proxy.kubeconfig, namespace) as mirror:
        await rule.hit(5)
        await asyncio.sleep(3.0)  # the time in which a storm would show
        requests = proxy.count()
        assert requests <= 20, "kubernetes_asyncio makes thousands"
        proxy.clear()
        await writer.write(3)
        await mirror.until(lambda m: m.versions == writer.versions)
    assert mirror.lists == 1


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_a_refused_watch_is_tried_again_from_where_it_was(
    proxy: FaultProxy, namespace: str, writer: Writer, status: int
) -> None:
    async with following(proxy.kubeconfig, namespace, most=0.05) as mirror:
        (stream,) = await proxy.watching()
        await writer.write(2)
        await mirror.until(lambda m: len(m.versions) == 2)
        rule = proxy.add(refuse(status), watch=True)
        stream.end()
        await writer.write(2)
        await rule.hit(6)
        proxy.clear()
        await mirror.until(lambda m: m.versions == writer.versions)
    assert mirror.lists == 1
    assert mirror.pauses[1] <= 0.4


async def test_a_list_that_expires_half_way_starts_over(
    proxy: FaultProxy, namespace: str, writer: Writer, direct: Client
) -> None:
    await asyncio.gather(*(writer.create(f"c{i}") for i in range(100)))
    rule = proxy.add(refuse(410), when=lambda call: "continue" in call.query, times=2)
    async with following(proxy.kubeconfig, namespace) as mirror:
        await rule.hit(2)
        await mirror.until(lambda m: m.lists == 1)
        assert mirror.objects == await writer.truth()
        assert len(mirror.objects) == 101


async def test_objects_of_1_mib(proxy: FaultProxy, namespace: str, writer: Writer) -> None:
    large = "x" * (2**20 - 1000)
    for i in range(3):
        await writer.create(f"listed-{i}", large)
    async with following(proxy.kubeconfig, namespace) as mirror:
        await mirror.until(lambda m: m.lists == 1)
        assert len(mirror.objects) == 4
        for i in range(3):
            await writer.create(f"watched-{i}", large)
        await mirror.until(lambda m: len(m.versions) == 3)
        assert mirror.objects == await writer.truth()


async def test_the_end_that_we_asked_for_is_clean(control_plane: ControlPlane, namespace: str) -> None:
    """What the state machine relies on: a server that ends a watch in time ends it cleanly."""
    async with Client(await connect(str(control_plane.kubeconfig)), user_agent="decco-test") as client:
        version = (await client.get(CONFIGMAPS, Key(namespace, "first")))["metadata"]["resourceVersion"]
        lines = client.watch_lines(
            CONFIGMAPS, namespace=namespace, resource_version=version, timeout_seconds=5, idle_seconds=30
        )
        events = [json.loads(line) async for line in lines]
    assert all(e["type"] in {"ADDED", "BOOKMARK"} for e in events), events


async def test_a_kind_that_appears_later(
    proxy: FaultProxy, control_plane: ControlPlane, direct: Client, name: str
) -> None:
    group = f"{name}.example.com"
    things = Resource(group, "v1", "things", "Thing")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    crd = {
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    crds = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False)
    async with following(proxy.kubeconfig, "", resource=things, most=0.1) as mirror:
        await mirror.troubled(2)
        assert f"does not serve things.{group}: is its CustomResourceDefinition installed?" in str(mirror.troubles[0])
        made = await direct.create(crds, crd)
        await mirror.until(lambda m: m.lists == 1)
        thing = await eventually_created(direct, things)
        await mirror.until(lambda m: "x" in m.objects)
        await direct.delete(crds, key_of(made), uid=uid_of(made))  # takes its objects with it
        await mirror.until(lambda m: not m.objects)
        assert version_of(thing) in mirror.versions or mirror.lists > 1


async def eventually_created(client: Client, resource: Resource) -> Obj:
    """A new kind is served to readers a moment before it is to writers."""
    metadata = {"name": "x", "namespace": "default"}
    async with asyncio.timeout(WAIT):
        while True:
            try:
                thing = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
                return await client.create(resource, thing)
            except errors.NotFound:
                await asyncio.sleep(0.05)


async def test_a_permission_that_comes_later(
    control_plane: ControlPlane, direct: Client, namespace: str, writer: Writer
) -> None:
    user = f"user-{namespace}"
    async with following(control_plane.kubeconfig_for(user), namespace, most=0.1) as mirror:
        await mirror.troubled(2)
        assert f'User "{user}" cannot list resource "configmaps"' in str(mirror.troubles[0])
        await asyncio.to_thread(
            control_plane.kubectl,
            "create",
            "rolebinding",
            "view",
            "-n",
            namespace,
            "--clusterrole=view",
            f"--user={user}",
        )
        await mirror.until(lambda m: m.lists == 1)
        await writer.write(2)
        await mirror.until(lambda m: m.versions == writer.versions)


# The API server itself is stopped. Each of these has a control plane of its own.


@pytest.fixture
def own() -> Any:
    with ControlPlane(audit=False) as cp:
        yield cp


@full
async def test_a_restart_of_the_api_server(own: ControlPlane) -> None:
    """Kill -9 in the middle of writes; then a long absence; then it is back with another memory of the past."""
    async with (
        FaultProxy(own) as proxy,
        Client(await connect(str(own.kubeconfig)), user_agent="writer") as direct,
        following(proxy.kubeconfig, "default") as mirror,
    ):
        writer = Writer(direct, "default")
        await mirror.until(lambda m: m.lists == 1)
        await writer.create("first")
        await writer.write(5)
        await mirror.until(lambda m: m.versions == writer.versions)
        before = proxy.count()
        await asyncio.to_thread(own.stop_apiserver, kill=True)
        await asyncio.sleep(3.0)  # the time in which a storm would show
        assert proxy.count() - before <= 20
        await asyncio.to_thread(own.start_apiserver)
        await writer.write(5)
        await mirror.until(lambda m: m.objects.get("first") == writer.versions[-1])
        assert mirror.objects == await writer.truth()
        assert proxy.count() - before <= 30
        if mirror.lists == 1:
            assert mirror.versions == writer.versions


@full
async def test_history_that_is_compacted_away(own: ControlPlane) -> None:
    """The real 410: while the watcher is cut off, etcd is compacted and the API server starts with an empty cache."""
    async with (
        FaultProxy(own) as proxy,
        Client(await connect(str(own.kubeconfig)), user_agent="writer") as direct,
        following(proxy.kubeconfig, "default", most=0.5) as mirror,
    ):
        writer = Writer(direct, "default")
        doomed = await writer.create("doomed")
        await writer.create("first")
        await mirror.until(lambda m: len(m.objects) == 2)
        await proxy.stop_listening()
        await direct.delete(CONFIGMAPS, key_of(doomed), uid=uid_of(doomed))
        await writer.write(20)
        await asyncio.to_thread(own.stop_apiserver)
        await asyncio.to_thread(compact, own, writer.versions[-1])
        await asyncio.to_thread(own.start_apiserver)
        await writer.write(1)
        await proxy.start_listening()
        await mirror.until(lambda m: m.objects == {"first": writer.versions[-1]})
        assert mirror.lists == 2, "a deletion that history forgot is only found by listing"
        await writer.write(1)
        await mirror.until(lambda m: m.versions[-1:] == writer.versions[-1:])


def compact(own: ControlPlane, revision: int) -> None:
    """Through etcd's JSON gateway."""
    body = json.dumps({"revision": revision, "physical": True}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{own._ports.etcd}/v3/kv/compaction", body)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
