"""What the page of ``decco ui`` follows, in this process: rights that come and go, and an API server that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from decco.kube import watch
from decco.kube.client import Client
from decco.kube.config import connect
from decco.objects import APPS, NETWORK_POLICIES, SERVICES, SPACES, Key
from decco.settings import Settings
from decco.ui import cluster as followed_cluster
from decco.ui import followed
from decco.ui.cluster import FollowedCluster
from testbed.controlplane import ControlPlane
from testbed.proxy import FaultProxy
from tests.integration.harness import Cluster, Decco, http_app
from tests.promises import PATIENCE


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "FORBIDDEN_SECONDS", 0.5)
    monkeypatch.setattr(followed, "SINGLE_SECONDS", 0.2)
    monkeypatch.setattr(watch, "WATCH_SECONDS", (2, 3))
    monkeypatch.setattr(followed_cluster, "PROBE_SECONDS", 0.2)


@asynccontextmanager
async def follows(kubeconfig: Path, *namespaces: str, narrow: bool = False) -> AsyncIterator[FollowedCluster]:
    async with Client(await connect(str(kubeconfig)), user_agent="decco-test", in_flight=16) as client:
        cluster = FollowedCluster(client, Settings(), namespaces, narrow=narrow)
        async with cluster.followed():
            yield cluster
            assert not cluster.failed.done()


async def until(found: FollowedCluster, fact: Callable[[], bool]) -> None:
    """Each change is counted, so nothing is missed between two of them."""
    async with asyncio.timeout(PATIENCE):
        while not fact():
            await found.changes.after(found.changes.number)


def bind(cp: ControlPlane, name: str, namespace: str, role: str) -> None:
    cp.kubectl("create", "rolebinding", name, "-n", namespace, f"--clusterrole={role}", f"--user={name}")


async def test_rights_that_come_and_go(control_plane: ControlPlane, cluster: Cluster, decco: Decco, name: str) -> None:
    user = f"user-{name}"
    await asyncio.to_thread(control_plane.kubectl, "apply", "-f", "manifests/rbac/people.yaml")
    await asyncio.to_thread(cluster.make_space, name)
    await asyncio.to_thread(cluster.create, http_app(name, "web", "/"))
    async with follows(control_plane.kubeconfig_for(user), name) as found:

        def may_read() -> bool:
            snapshot = found.snapshot()
            return snapshot.may_read(APPS, name) and snapshot.may_read(SERVICES, name)

        assert not may_read()
        assert found.space_names(found.snapshot()) == [name]
        assert found.trouble == ""  # a missing permission is no lost connection
        await asyncio.to_thread(bind, control_plane, user, name, "decco-tenant-view")
        await until(found, may_read)
        await until(found, lambda: len(found.snapshot().caches.apps) == 1)
        assert not found.snapshot().may_read(SPACES)
        await until(found, lambda: found.ready_backends(name) is not None)  # each kind is tried by itself
        number = found.changes.number
        await asyncio.to_thread(control_plane.kubectl, "delete", "rolebinding", user, "-n", name)
        await until(found, lambda: not may_read())
        # What may not be read is not kept, of any kind.
        await until(found, lambda: len(found.snapshot().caches.apps) == 0)
        assert found.changes.number > number
        await until(found, lambda: found.ready_backends(name) is None)


async def test_a_space_that_may_be_read_by_its_name(
    control_plane: ControlPlane, cluster: Cluster, decco: Decco, name: str
) -> None:
    """get for one name, without list and watch, which RBAC cannot narrow to it without a field selector."""
    user = f"user-{name}"
    await asyncio.to_thread(cluster.make_space, name, project="p1")
    await asyncio.to_thread(cluster.make_space, f"{name}-other")
    words = ("--verb=get", "--resource=spaces.decco.platform9.com", f"--resource-name={name}")
    await asyncio.to_thread(control_plane.kubectl, "create", "clusterrole", user, *words)
    await asyncio.to_thread(
        control_plane.kubectl, "create", "clusterrolebinding", user, f"--clusterrole={user}", f"--user={user}"
    )
    async with follows(control_plane.kubeconfig_for(user), name) as found:
        await until(found, lambda: found.snapshot().caches.space(name) is not None)
        snapshot = found.snapshot()
        assert snapshot.may_read(SPACES)
        assert SPACES in snapshot.narrowed
        assert [entry.key.name for entry in snapshot.caches.spaces] == [name]
        assert found.space_names(snapshot) == [name]
        await asyncio.to_thread(control_plane.kubectl, "delete", "space", name, "--wait=false")
        await until(found, lambda: found.snapshot().caches.spaces.get(Key("", name)) is None)


async def test_one_namespace_of_many_by_choice(
    control_plane: ControlPlane, cluster: Cluster, decco: Decco, name: str
) -> None:
    """The administrator names one: no children of others are followed, and they are not shown."""
    await asyncio.to_thread(cluster.make_space, name)
    await asyncio.to_thread(cluster.make_space, f"{name}-other")
    async with follows(control_plane.kubeconfig, name, narrow=True) as found:
        snapshot = found.snapshot()
        assert found.space_names(snapshot) == [name]
        assert {entry.key.namespace for entry in snapshot.caches.children[NETWORK_POLICIES]} == {name}
        assert snapshot.gaps == []


async def test_an_api_server_that_is_away(proxy: FaultProxy, cluster: Cluster, decco: Decco, name: str) -> None:
    await asyncio.to_thread(cluster.make_space, name)
    async with follows(proxy.kubeconfig) as found:
        assert found.snapshot().caches.space(name) is not None
        assert found.trouble == ""
        await proxy.stop_listening()
        await until(found, lambda: found.trouble != "")
        assert found.snapshot().caches.space(name) is not None  # what was read stays
        await proxy.start_listening()
        await until(found, lambda: found.trouble == "")
        await asyncio.to_thread(cluster.make_space, f"{name}-new")
        await until(found, lambda: found.snapshot().caches.space(f"{name}-new") is not None)
