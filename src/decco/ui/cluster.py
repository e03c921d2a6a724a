"""The part of the cluster that the page shows: one set of watches for all tabs, and snapshots of what they have.

A snapshot is that of ``decco explain``, filled from the watches instead of from lists, so all views and the simulation
work on it. A simulation changes the caches of its snapshot; each view gets a new one, which shares the entries.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from decco.desired.model import Served
from decco.kube.client import Client
from decco.kube.entry import Shape
from decco.kube.errors import KubeError, NotFound, NotServed
from decco.kube.watch import WatchSpec
from decco.objects import APPS, ENDPOINT_SLICES, GATEWAY_CLASSES, MANAGED_SELECTOR, SPACES, Key
from decco.reconcilers.caches import Role
from decco.reconcilers.discover import discover
from decco.settings import Settings
from decco.ui.changes import Changes
from decco.ui.followed import Followed
from decco.views.explanation.parts import counted, endpoints_in
from decco.views.snapshot import Snapshot, empty_caches, not_installed

FIRST_SECONDS = 15.0
"""How long the first lists may take before the page is served with what has arrived."""
PROBE_SECONDS = 3.0
"""Interval of requests that show when the API server answers again."""
MOST_NAMESPACES = 20
"""Each namespace that is followed by itself costs a watch of each kind."""


class FollowedCluster:
    """What the user may read, kept up to date by watches."""

    def __init__(self, client: Client, settings: Settings, namespaces: Collection[str], *, narrow: bool) -> None:
        """``namespaces``: where to look if the user may not read the whole cluster, or, with ``narrow``, only."""
        self.client = client
        self.settings = settings
        self.namespaces = tuple(sorted(namespaces))
        self.narrow = narrow
        self.changes = Changes()
        self.failed: asyncio.Future[None]
        """Has the exception that ended a watch."""
        self._tasks: list[asyncio.Task[None]] = []
        self._served: Served = {}
        self._followed: dict[str, Followed] = {}
        self._slices = Followed(
            client,
            # A Service's slices have its labels.
            WatchSpec(ENDPOINT_SLICES, labels=MANAGED_SELECTOR),
            Shape(facts=endpoints_in, digests=False),
            self.changes.note,
        )

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Follows the cluster until left; begins when the first lists are there or have failed. Raises KubeError if the
        API server cannot be reached, and ConfigError if it does not serve Spaces and Apps.
        """
        self.failed = asyncio.get_running_loop().create_future()
        self._served = await discover(self.client, self.settings.routing)
        for kind, store, spec in empty_caches(self.settings, self._served).watches(self._served):
            self._followed[kind.name] = Followed(self.client, spec, store.shape, self.changes.note)
        try:
            for each in self._all():
                narrow = self.narrow and each.resource not in (SPACES, APPS)
                self._start(each.run(self.namespaces, narrow=narrow))
            await self._first_lists()
            self._start(self._probe())
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self.failed.cancel()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self.failed.done():
            self.failed.set_exception(error)

    async def _first_lists(self) -> None:
        owners = [followed for followed in self._all() if followed.resource in (SPACES, APPS)]
        await self._unless_failed(owners)
        for scope in (scope for each in owners for scope in each.scopes):
            if isinstance(scope.trouble, NotFound | NotServed):
                raise not_installed() from scope.trouble
            if scope.trouble is not None and not scope.forbidden:
                raise scope.trouble
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                await self._unless_failed(list(self._all()))
        except TimeoutError:
            return  # what has not answered is shown as unreadable until it does

    async def _unless_failed(self, kinds: list[Followed]) -> None:
        answered = asyncio.gather(*(each.answered() for each in kinds))
        try:
            both: set[asyncio.Future[Any]] = {answered, self.failed}
            await asyncio.wait(both, return_when="FIRST_COMPLETED")
            if self.failed.done():
                self.failed.result()
        finally:
            answered.cancel()

    @property
    def trouble(self) -> str:
        """Why what is shown may be old; "" if all watches stand."""
        lost = next((scope for each in self._all() for scope in each.lost()), None)
        return str(lost.trouble) if lost is not None else ""

    def snapshot(self) -> Snapshot:
        """The present state, for one view."""
        caches = empty_caches(self.settings, self._served)
        snapshot = Snapshot(caches, offline=False)
        for kind, store, _ in caches.watches(self._served):
            followed = self._followed[kind.name]
            store.replace_all({entry.key: entry for entry in followed.entries()}, 0)
            if followed.narrowed and kind.role is Role.OWNER:
                snapshot.narrowed.add(followed.resource)
        space_names = self.space_names(snapshot)
        for followed in self._all():
            snapshot.unreadable |= {(followed.resource, where) for where in self._hidden(followed, space_names)}
        return snapshot

    def space_names(self, snapshot: Snapshot) -> list[str]:
        """The Spaces to show, by the names of their namespaces: with their Apps, or what can be seen of them."""
        if self.narrow:
            return list(self.namespaces)
        caches = snapshot.caches
        seen = {entry.key.name for entry in caches.spaces} | {entry.key.namespace for entry in caches.apps}
        may_list = snapshot.may_read(SPACES) and SPACES not in snapshot.narrowed
        return sorted(seen if may_list else seen | set(self.namespaces))

    def ready_backends(self, namespace: str) -> Mapping[Key, tuple[int, int]] | None:
        """As ``parts.ready_backends``."""
        if any(where in ("", namespace) for where in self._hidden(self._slices, [namespace])):
            return None
        facts = (entry.facts for entry in self._slices.entries() if entry.key.namespace == namespace)
        return counted(each for each in facts if not isinstance(each, Exception))

    def _all(self) -> Iterator[Followed]:
        yield from self._followed.values()
        yield self._slices

    def _hidden(self, followed: Followed, space_names: Collection[str]) -> Iterator[str]:
        """The namespaces in which a kind cannot be read, "" for all."""
        if followed.resource == GATEWAY_CLASSES:
            return  # nothing is missed: without them the conditions of every gateway controller count
        unread = [scope for scope in followed.scopes if scope.forbidden or not scope.store.lists]
        if followed.narrowed and followed.resource.namespaced:
            yield from {*space_names, *self.namespaces} - {scope.spec.namespace for scope in followed.scopes}
        yield from (scope.spec.namespace for scope in unread if not (scope.single and not scope.forbidden))

    async def _probe(self) -> None:
        """While a connection is lost, finds out when the API server answers again: a watch may be silent for long."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            lost = [scope for each in self._all() for scope in each.lost()]
            if not lost:
                continue
            try:
                await self.client.raw("/version")
            except KubeError:
                continue
            for scope in lost:
                scope.received()
