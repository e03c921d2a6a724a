"""One kind that the page follows: in the whole cluster, or in those namespaces that the user may read.

An informer fills a store for each scope. If the user may not list the kind in the whole cluster, it is followed in the
namespaces of the command line or of the kubeconfig's context instead. What is refused there too is requested again
after FORBIDDEN_SECONDS, because rights may be granted while the page is open. What was readable before is dropped when
a list is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial

from decco.kube.client import Client
from decco.kube.entry import Entry, Shape
from decco.kube.errors import Forbidden, KubeError, NotFound, NotServed, ServerError, Unreachable
from decco.kube.informer import Informer
from decco.kube.store import Store
from decco.kube.watch import WatchSpec, watch
from decco.objects import Key, Resource

FORBIDDEN_SECONDS = 60.0
SINGLE_SECONDS = 10.0
"""Interval of the requests for a single object that the user may get but not list."""
IDLE_SECONDS = 75.0
"""Longest silence of a watch: the API server sends a bookmark each minute."""


class _RefusedError(Exception):
    """The API server refuses the list or the watch; the next list is requested after a while."""


class Scope:
    """The objects of a kind in one namespace, or in all; of a kind without namespaces, one object or all."""

    def __init__(self, spec: WatchSpec, shape: Shape, changed: Callable[[], None], single: str = "") -> None:
        self.spec = spec
        self.single = single
        """Name of the only object, of a kind without namespaces."""
        self.forbidden = False
        self.trouble: Exception | None = None
        """Why there is no list yet, or why the watch does not go on."""
        self.answered = asyncio.Event()
        """Set once there is a list, or a request has failed."""
        self._shape = shape
        self._changed = changed
        self.empty()

    def empty(self) -> None:
        """Drops all objects."""
        self.store = Store(self.spec.resource, self._shape)
        self.store.subscribe(lambda _change: self._changed())

    def received(self) -> None:
        """The API server has answered with objects."""
        if self.trouble is not None or self.forbidden:
            self.trouble, self.forbidden = None, False
            self._changed()

    def failed(self, error: Exception) -> None:
        self.trouble = error
        self.answered.set()
        self._changed()

    def refused(self, error: Exception) -> None:
        """The list is refused: what was readable before is readable no more."""
        self.forbidden = isinstance(error, Forbidden)
        self.empty()
        self.failed(error)


class Followed:
    """The scopes of one kind."""

    def __init__(self, client: Client, spec: WatchSpec, shape: Shape, changed: Callable[[], None]) -> None:
        self.spec = spec
        self.scopes: list[Scope] = []
        self.narrowed = False
        """Whether the kind is not followed in the whole cluster."""
        self._client = client
        self._shape = shape
        self._changed = changed
        self._begun = asyncio.Event()

    @property
    def resource(self) -> Resource:
        return self.spec.resource

    def entries(self) -> Iterator[Entry]:
        for scope in self.scopes:
            yield from scope.store

    def lost(self) -> Iterator[Scope]:
        """The scopes whose connection is lost; a missing permission is not a lost connection."""
        return (each for each in self.scopes if isinstance(each.trouble, Unreachable | ServerError))

    async def answered(self) -> None:
        """Waits until each scope has a list or an error."""
        await self._begun.wait()
        for scope in self.scopes:
            await scope.answered.wait()

    async def run(self, namespaces: Collection[str], *, narrow: bool) -> None:
        """Follows the kind until cancelled. ``narrow``: only in ``namespaces``, without trying the whole cluster."""
        spec = self.spec
        by_name = bool(namespaces) and not spec.namespace and not spec.fields
        if by_name and ((narrow and spec.resource.namespaced) or await self._is_forbidden()):
            self.narrowed = True
            scopes = [self._narrow(name) for name in sorted(namespaces)]
        else:
            scopes = [Scope(spec, self._shape, self._changed)]
        self.scopes += scopes
        self._begun.set()
        async with asyncio.TaskGroup() as group:
            for scope in scopes:
                group.create_task(self._single(scope) if scope.single else self._follow(scope))

    def _narrow(self, name: str) -> Scope:
        if self.spec.resource.namespaced:
            return Scope(replace(self.spec, namespace=name), self._shape, self._changed)
        return Scope(self.spec, self._shape, self._changed, single=name)

    async def _is_forbidden(self) -> bool:
        """Whether the user may not list the kind in the whole cluster. Other errors are for the watch that follows."""
        spec = self.spec
        try:
            async for _ in self._client.list_pages(spec.resource, labels=spec.labels, limit=1):
                break
        except Forbidden:
            return True
        except KubeError:
            return False
        return False

    async def _follow(self, scope: Scope) -> None:
        """Lists and watches; lists again after a while what is refused."""
        refusals: list[Exception] = []

        def failed(error: Exception, _pause: float) -> None:
            if isinstance(error, Forbidden | NotFound | NotServed):
                refusals.append(error)
            else:
                scope.failed(error)

        async def pause(seconds: float) -> None:
            if refusals:
                raise _RefusedError
            await asyncio.sleep(seconds)

        source = partial(watch, self._client, scope.spec, idle_seconds=IDLE_SECONDS, on_trouble=failed, sleep=pause)
        while True:
            before = scope.store.lists
            try:
                await Informer(scope.store, source, _ScopeObserver(scope)).run()
            except _RefusedError:
                refusal = refusals.pop()
                if scope.store.lists == before:
                    scope.refused(refusal)
                    await asyncio.sleep(FORBIDDEN_SECONDS)
                else:  # only the watch is refused, or the permission has just ended, which the next list shows
                    await asyncio.sleep(SINGLE_SECONDS)

    async def _single(self, scope: Scope) -> None:
        """One object, by a request each SINGLE_SECONDS: a permission for one name seldom contains list and watch."""
        key = Key("", scope.single)
        while True:
            try:
                obj = await self._client.get(self.resource, key)
                scope.store.refresh(key, scope.store.read(obj))
                scope.received()
            except NotFound:
                scope.store.refresh(key, None)
                scope.received()
            except (Forbidden, NotServed) as error:
                if not scope.forbidden:
                    scope.refused(error)
            except KubeError as error:
                scope.failed(error)
            scope.answered.set()
            await asyncio.sleep(FORBIDDEN_SECONDS if scope.forbidden else SINGLE_SECONDS)


class _ScopeObserver:
    """The observer of an informer."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def watch_event(self, _resource: str) -> None:
        self._scope.received()

    def watch_trouble(self, _resource: str, _cause: str) -> None:
        """``on_trouble`` of the watch has the error itself."""

    def cache_objects(self, _resource: str, _count: int) -> None:
        if self._scope.store.lists:
            self._scope.answered.set()
