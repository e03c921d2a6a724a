"""Which kinds are followed, and in which version: from discovery, from the start to the end of the process.

Discovery runs at the start, and again when an answer shows a change: a list or watch of a kind ends with NotServed.
Only a kind that is needed and not served is searched for at intervals.

* A kind that is served in another version: its informer is started again in that version, on the same store. The cache
  stays as it is until the new list is complete, so nothing is missing in between and nothing is written because of it.
* A kind that is no longer served: it counts as gone after a second discovery, because while a CustomResourceDefinition
  is replaced, or several API servers load it one after the other, a kind may seem to be gone. Its store then counts as
  unlisted (nothing of the kind is written or deleted), and routing continues as if the kind were served.
* A kind that is served for the first time, or again: an informer is started, and all keys are enqueued.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass, field
from time import monotonic

from decco.backoff import exponential
from decco.desired.model import Served
from decco.health import Health
from decco.kube import watch
from decco.kube.client import Client
from decco.kube.errors import KubeError, NotServed
from decco.kube.informer import Informer
from decco.log import get_logger
from decco.metrics import Metrics
from decco.objects import NAMESPACES, Resource
from decco.reconcilers.caches import Caches, Kind, Role, Watched
from decco.reconcilers.discover import discover, missing, versions
from decco.reconcilers.event_handlers import EventHandlers

log = get_logger(__name__)

OPTIONAL_SECONDS = 5.0
"""How long the start waits for an optional kind that cannot be listed, after its first failure."""
ANSWER_SECONDS = 15.0
"""How long the start waits for the first answer about such a kind: an API server whose conversion webhook is down
answers 429 with a Retry-After of up to 30 s, and the client waits for it several times before it counts as a
failure."""
DISCOVERY_SECONDS = 30.0
"""Interval of the search for a kind that the cluster does not serve and the routing backend needs."""
REDISCOVERY_SECONDS = 1.0
"""Shortest pause between two discoveries; it doubles up to DISCOVERY_SECONDS while they bring nothing new."""
VANISHED_SECONDS = 10.0
"""A kind that is still not served after so long counts as gone."""


@dataclass(slots=True, eq=False)
class _Followed:
    kind: Kind
    informer: Informer
    spec: watch.WatchSpec
    task: asyncio.Task[None] | None = None
    """None while the cluster does not serve the kind."""

    def not_ready(self) -> str | None:
        """Without an optional kind the process is ready: a restart would not help, and the rest works."""
        informer = self.informer
        if informer.synced.is_set() or (self.kind.optional and informer.tried.is_set()):
            return None
        return f"not listed yet: {informer.store.unlisted}" if informer.store.unlisted else "not listed yet"

    def note(self) -> str | None:
        unlisted = self.informer.store.unlisted
        return f"cannot be listed: {unlisted}" if unlisted else None


@dataclass(slots=True, eq=False)
class Informers:
    """The informers of all kinds. Their tasks belong to ``group``; ``stop`` ends them."""

    client: Client
    metrics: Metrics
    health: Health
    caches: Caches
    event_handlers: EventHandlers
    group: asyncio.TaskGroup
    _followed: dict[str, _Followed] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _missing_since: dict[Resource, float] = field(default_factory=dict)
    """Kinds that discovery no longer finds, and since when."""
    _vanished: set[Resource] = field(default_factory=set)
    """Kinds that count as no longer served; ``caches.served`` still has them."""

    async def start(self, served: Served) -> bool:
        """Follows all kinds; returns True when all caches are full. Does not wait for kinds that the settings do not
        need, and waits only a limited time for optional kinds.
        """
        await self._fill(served)
        self._run(self._follow_discovery(), "discovery")
        return True

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _fill(self, served: Served) -> None:
        """Brings the informers in line with ``served``."""
        needed: list[_Followed] = []
        for watched in self.caches.watches(served):
            if not watched.kind.watched:
                self.metrics.add_child(watched.kind.name)
                self.event_handlers.connect()
                continue
            followed = self._followed.get(watched.kind.name)
            if followed is None:
                followed = self._add(watched)
            elif self._is_current(followed, watched.spec.resource):
                continue
            else:
                await self._restart(followed, watched.spec)
                if watched.store.unlisted == "":
                    continue
            if watched.kind.is_needed(self.caches.settings.routing):
                needed.append(followed)
        for followed in needed:
            if not followed.kind.optional:
                await followed.informer.synced.wait()
        await asyncio.gather(*(self._wait_for(each.informer) for each in needed if each.kind.optional))
        self.caches.served = served

    def _is_current(self, followed: _Followed, kind: Resource) -> bool:
        """Whether the kind is followed in its served version, or not followed because it is not served."""
        return kind in self._vanished or (followed.task is not None and followed.spec.resource.version == kind.version)

    def _add(self, watched: Watched) -> _Followed:
        kind, store, spec = watched
        informer = Informer(store, self._source(kind.name), self.metrics, kind.name)
        if kind.resource == NAMESPACES:
            informer.on_relist = self._copies_are_due
        followed = self._followed[kind.name] = _Followed(kind, informer, spec)
        if kind.is_needed(self.caches.settings.routing):
            self.health.add_check(f"cache {kind.name}", followed.not_ready, kind="ready")
            if kind.optional:
                self.health.add_note(f"cache {kind.name}", followed.note)
        self.metrics.add_resource(kind.name)
        if kind.role is Role.CHILD:
            self.metrics.add_child(kind.name)
        self.event_handlers.connect()
        self._begin(followed)
        return followed

    def _copies_are_due(self) -> None:
        """The copies of Secrets are read again after a later list of namespaces (``reconcilers/copies.py``)."""
        self._run(self.event_handlers.enqueue_store(self.caches.spaces), "reading copies again")

    def _begin(self, followed: _Followed) -> None:
        name = f"informer {followed.informer.name}"
        followed.task = self._run(followed.informer.run(), name)
        self.health.watch_task(name, followed.task)

    async def _end(self, followed: _Followed) -> None:
        if followed.task is None:
            return
        self.health.remove_check(f"informer {followed.informer.name}")
        followed.task.cancel()
        await asyncio.wait({followed.task})
        followed.task = None

    async def _restart(self, followed: _Followed, spec: watch.WatchSpec) -> None:
        """Follows the kind in the version of ``spec`` from now on, into the same store."""
        log.info(
            "the kind is followed in another version" if followed.task else "the kind is served again",
            resource=followed.informer.name,
            version=spec.resource.version,
            before=followed.spec.resource.version,
        )
        await self._end(followed)
        followed.spec = spec
        followed.informer.store.set_api_version(spec.resource)
        if followed.informer.store.unlisted:
            followed.informer.synced.clear()
        self._begin(followed)

    async def _wait_for(self, informer: Informer) -> None:
        """Waits for an optional kind for a while; then the process counts as ready without it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await informer.tried.wait()
            async with asyncio.timeout(OPTIONAL_SECONDS):
                await informer.synced.wait()
        informer.tried.set()
        if not informer.synced.is_set():
            log.warning(
                "work goes on without a kind that cannot be listed: what depends on it waits",
                resource=informer.name,
                error=informer.store.unlisted,
            )
            self._run(self._catch_up(informer), f"catch up {informer.name}")

    async def _catch_up(self, informer: Informer) -> None:
        """Enqueues everything once a kind can be listed that could not be before."""
        await informer.synced.wait()
        log.info("the kind can be listed now", resource=informer.name)
        await self.event_handlers.enqueue_all()

    def _source(self, name: str) -> Callable[[], AsyncGenerator[watch.WatchEvent, None]]:
        def trouble(error: Exception, _pause: float) -> None:
            self.metrics.watch_trouble(name, type(error).__name__)
            self._followed[name].informer.failed(error)
            if isinstance(error, NotServed):
                self.caches.search.set()

        idle = self.caches.settings.controller.watch_idle_seconds
        return lambda: watch.watch(self.client, self._followed[name].spec, idle_seconds=idle, on_trouble=trouble)

    async def _follow_discovery(self) -> None:
        """Repeats discovery when needed; see the module's docstring."""
        logged: list[str] = []
        asked, unchanged = monotonic(), 0
        while True:
            lacking = self._lacking()
            if lacking and lacking != logged:
                log.warning(
                    "the cluster lacks kinds that routing needs",
                    kinds=lacking,
                    backend=self.caches.settings.routing.backend,
                )
            logged = lacking
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._requeue_after(lacking)):
                    await self.caches.search.wait()
            if monotonic() - asked > DISCOVERY_SECONDS:
                unchanged = 0
            pause = exponential(REDISCOVERY_SECONDS, unchanged, DISCOVERY_SECONDS)
            await asyncio.sleep(max(0.0, asked + pause - monotonic()))
            self.caches.search.clear()
            asked = monotonic()
            try:
                found = await discover(self.client, self.caches.settings.routing, self.caches.served, self.caches.kinds)
            except KubeError as error:
                log.warning("discovery failed", error=str(error))
                changed = False
            else:
                changed = await self._take(found, asked)
            unchanged = 0 if changed else unchanged + 1

    def _requeue_after(self, lacking: list[str]) -> float | None:
        """Seconds until discovery is due without a sign of a change; None: not at all."""
        if self._missing_since:
            return VANISHED_SECONDS
        return DISCOVERY_SECONDS if lacking else None

    def _lacking(self) -> list[str]:
        """Needed kinds that are not served, or no longer."""
        served = {kind: kind for kind in self.caches.served.values() if kind not in self._vanished}
        sought = sorted(kind.kind for kind in self.caches.sought)
        return [*missing(served, self.caches.settings.routing, self.caches.kinds), *sought]

    async def _take(self, found: Served, now: float) -> bool:
        """Applies the result of discovery; returns whether anything has changed."""
        known = self.caches.served
        returned = self._vanished & found.keys()
        self._vanished -= returned
        gone = known.keys() - found.keys() - self._vanished
        self._missing_since = {kind: self._missing_since.get(kind, now) for kind in gone}
        lost = {kind for kind, since in self._missing_since.items() if now - since >= VANISHED_SECONDS}
        for kind in lost:
            await self._lose(kind)
        served = {**known, **found}
        if not returned and not lost and versions(served) == versions(known):
            return False
        await self._fill(served)
        await self.event_handlers.enqueue_all()
        return True

    async def _lose(self, kind: Resource) -> None:
        """The cluster no longer serves the kind. Its cached objects stay."""
        del self._missing_since[kind]
        self._vanished.add(kind)
        for followed in self._followed.values():
            if followed.spec.resource == kind:
                await self._end(followed)
                followed.informer.store.unlisted = (
                    "the cluster no longer serves the kind: install its CustomResourceDefinition"
                )
        log.warning("a kind is no longer served: decco's objects of it are left as they are", resource=str(kind))

    def _run(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = self.group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
