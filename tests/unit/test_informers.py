"""Which kinds are followed: the result of discovery, and its effect on informers and stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from decco.health import Health
from decco.informers import VANISHED_SECONDS, Informers
from decco.kube.client import ListPage
from decco.kube.errors import NotServed
from decco.kube.transport import Outages
from decco.metrics import Metrics
from decco.objects import TLS_ROUTES, Resource
from decco.reconcilers.caches import Caches
from decco.reconcilers.event_handlers import EventHandlers
from decco.reconcilers.kinds import KINDS
from decco.settings import Settings
from tests.sample import thorough
from tests.unit.desired.app_cases import SERVED, without

V1 = TLS_ROUTES
ALPHA = replace(V1, version="v1alpha3")
BEFORE = {**SERVED, V1: ALPHA}
WITHOUT = without(V1)
GROUP = f"/apis/{V1.group}"


class Client:
    """An API server without objects. It serves TLSRoute in the versions of ``served``, and all other kinds."""

    def __init__(self) -> None:
        self.served = {"v1alpha3"}
        self.listed = {"v1": asyncio.Event(), "v1alpha3": asyncio.Event()}
        self.discovered = asyncio.Event()
        self.outages = Outages()

    async def list_pages(self, resource: Resource, **_: Any) -> AsyncGenerator[ListPage, None]:
        if resource == V1:
            self.listed[resource.version].set()
            if resource.version not in self.served:
                raise NotServed(404, "", "404 page not found")
        yield ListPage([], "5", remaining=False)

    async def watch_lines(self, resource: Resource, **_: Any) -> AsyncGenerator[bytes, None]:
        await asyncio.Event().wait()
        yield b""

    async def raw(self, path: str) -> Any:
        self.discovered.set()
        raise NotServed(404, "", "404 page not found")


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Client, Informers]]:
    client: Any = Client()
    metrics = Metrics()
    caches = Caches(Settings(), KINDS)
    async with asyncio.TaskGroup() as group:
        informers = Informers(client, metrics, Health(metrics), caches, EventHandlers(caches), group)
        await informers.start(BEFORE)
        yield client, informers
        informers.stop()


def state(informers: Informers) -> tuple[str, str]:
    store = informers.caches.children[V1]
    return store.resource.version, store.unlisted


async def test_another_version_is_followed_into_the_same_store() -> None:
    async with running() as (client, informers):
        store = informers.caches.children[V1]
        client.served = {"v1"}
        assert await informers._take(SERVED, 0.0)
        assert (informers.caches.children[V1] is store, state(informers)) == (True, ("v1", ""))
        assert informers.caches.served[V1].version == "v1"
        assert not await informers._take(SERVED, 1.0), "nothing has changed since"
        await client.listed["v1"].wait()


async def test_a_kind_counts_as_gone_after_a_second_discovery() -> None:
    async with running() as (client, informers):
        client.served = set()
        assert not await informers._take(WITHOUT, 0.0)
        assert not await informers._take(WITHOUT, VANISHED_SECONDS / 2)
        assert state(informers) == ("v1alpha3", "")
        assert await informers._take(WITHOUT, VANISHED_SECONDS)
        assert "no longer serves" in state(informers)[1]
        assert informers._lacking() == ["TLSRoute"]
        assert informers.caches.served[V1] is ALPHA, "routing goes on as if it were served"
        assert not await informers._take(WITHOUT, 3 * VANISHED_SECONDS)
        client.served = {"v1"}
        assert await informers._take(SERVED, 4 * VANISHED_SECONDS)
        assert (state(informers), informers._lacking()) == (("v1", ""), [])
        assert informers.health.failing("live") == informers.health.failing("ready") == {}


async def test_a_kind_that_seems_to_be_gone_for_a_moment_stays() -> None:
    async with running() as (_, informers):
        assert not await informers._take(WITHOUT, 0.0)
        assert not await informers._take(BEFORE, VANISHED_SECONDS)
        assert not await informers._take(WITHOUT, 2 * VANISHED_SECONDS)
        assert state(informers) == ("v1alpha3", "")


@thorough
async def test_a_kind_that_is_not_served_asks_discovery_and_quiet_does_not() -> None:
    async with running() as (client, informers):
        for _ in range(100):
            await asyncio.sleep(0)
        assert not client.discovered.is_set()
        client.served = set()
        await informers._restart(informers._followed[str(V1)], informers._followed[str(V1)].spec)
        await client.discovered.wait()
