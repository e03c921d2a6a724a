"""Computes the data of a page when somebody looks at it, once for each state of the cluster.

The answers are kept for the present state only, and at most MOST_ANSWERS of them: the memory does not depend on the
number of tabs, or on how long the page is open. The graph is simulated for all Spaces and Apps, in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import dns.asyncresolver
import orjson

from decco.kube.bounded_map import BoundedMap
from decco.objects import APPS, SPACES, Obj
from decco.ui.cluster import FollowedCluster
from decco.ui.model import Rows, certificates_data, graph_data, space_data
from decco.views.connectivity import connectivity
from decco.views.explanation.explain import hostnames_of
from decco.views.explanation.parts import World
from decco.views.lookup import Answer, look_up
from decco.views.simulation import simulate
from decco.views.snapshot import Snapshot
from decco.views.targets import ExplainTarget

MOST_ANSWERS = 32
MOST_NAMES = 1000
DNS_SECONDS = 30.0
"""How long an answer of DNS is shown before it is looked up again."""
REST = 2.0
"""How long a computation rests, in times of its own duration, before the next one for a changed cluster."""
KEPT_SECONDS = 30.0
"""How long an answer counts although nothing changes: DNS and the days that are left do."""


@dataclass(slots=True, eq=False)
class _Answer:
    """Of the state with this number, begun and ended at these times of the monotonic clock."""

    number: int
    began: float
    task: asyncio.Task[bytes]
    ended: float | None = None

    def done(self, _task: asyncio.Task[bytes]) -> None:
        self.ended = monotonic()

    @property
    def due(self) -> float:
        """When it may be computed again for another state; only of one that has ended."""
        return self.ended + REST * (self.ended - self.began) if self.ended is not None else self.began + KEPT_SECONDS

    def is_due(self, number: int, now: float) -> bool:
        if self.ended is None:
            return False  # it is shared by all who wait for it
        return now >= self.due and (self.number != number or now - self.ended >= KEPT_SECONDS)


class NoSuchSpaceError(Exception):
    """The Space is not among those that the page shows."""


class Pages:
    def __init__(self, cluster: FollowedCluster, resolver: dns.asyncresolver.Resolver | None) -> None:
        self.cluster = cluster
        self._resolver = resolver
        self._rows = Rows()
        self._answers: BoundedMap[tuple[str, str], _Answer] = BoundedMap(MOST_ANSWERS)
        self._reminder: asyncio.TimerHandle | None = None
        self._names: BoundedMap[str, tuple[float, Answer]] = BoundedMap(MOST_NAMES)

    async def overview(self) -> bytes:
        return await self._once("overview", "", self._overview)

    async def space(self, name: str) -> bytes:
        """Raises NoSuchSpaceError and KubeErrors: the simulation reads what is not watched."""
        return await self._once("space", name, lambda: self._space(name))

    async def graph(self) -> bytes:
        return await self._once("graph", "", self._graph)

    async def certificates(self) -> bytes:
        return await self._once("certificates", "", self._certificates)

    async def _once(self, page: str, of: str, compute: Callable[[], Awaitable[Obj]]) -> bytes:
        """The answer for the present state: one computation for all who request it. An answer that took long counts
        twice as long, so that a busy cluster does not keep this machine busy.
        """
        number, now = self.cluster.changes.number, monotonic()
        known = self._answers.get((page, of))
        if known is None or known.is_due(number, now):
            known = self._answers[page, of] = _Answer(number, now, asyncio.create_task(_encoded(compute)))
            known.task.add_done_callback(known.done)
        elif known.number != number:
            self._remind(known.due - now)
        try:
            return await asyncio.shield(known.task)
        except Exception:
            if self._answers.get((page, of)) is known:
                del self._answers[page, of]
            raise

    def _remind(self, seconds: float) -> None:
        """Reports a change when an answer is due that was given although the cluster has changed since."""
        loop = asyncio.get_running_loop()
        if self._reminder is None or self._reminder.cancelled() or self._reminder.when() < loop.time():
            self._reminder = loop.call_later(max(0.0, seconds), self.cluster.changes.note)

    async def _overview(self) -> Obj:
        snapshot = self.cluster.snapshot()
        return self._rows.overview(snapshot, self.cluster.space_names(snapshot))

    async def _space(self, name: str) -> Obj:
        snapshot = self.cluster.snapshot()
        if name not in self.cluster.space_names(snapshot):
            raise NoSuchSpaceError(name)
        now = datetime.now(UTC)
        result = await simulate(
            snapshot,
            now,
            client=self.cluster.client,
            wanted=lambda kind, key: name in (key.namespace, key.name if kind == "Space" else ""),
        )
        names = {each for target in _targets(snapshot, name) for each in hostnames_of(snapshot, result, target)}
        answers = await self._look_up(names)
        return space_data(World(snapshot, result, now, self.cluster.ready_backends(name), answers), name)

    async def _graph(self) -> Obj:
        snapshot = self.cluster.snapshot()
        gaps = snapshot.gaps
        space_names = set(self.cluster.space_names(snapshot))

        def draw() -> Obj:
            snapshot.forget_children()
            graph = connectivity(snapshot, asyncio.run(simulate(snapshot, datetime.now(UTC))))
            return graph_data(graph.only(space_names) if self.cluster.narrow else graph, gaps)

        data = await asyncio.to_thread(draw)
        for kind in (SPACES, APPS):
            if not snapshot.may_read(kind) or kind in snapshot.narrowed:
                data["incomplete"] = True
        return data

    async def _certificates(self) -> Obj:
        snapshot = self.cluster.snapshot()
        return certificates_data(snapshot, self.cluster.space_names(snapshot), datetime.now(UTC))

    async def _look_up(self, names: set[str]) -> Mapping[str, Answer]:
        if self._resolver is None:
            return {}
        now = monotonic()
        due = [name for name in names if (known := self._names.get(name)) is None or now - known[0] > DNS_SECONDS]
        for name, answer in (await look_up(self._resolver, due)).items():
            self._names[name] = now, answer
        return {name: known[1] for name in names if (known := self._names.get(name)) is not None}


def _targets(snapshot: Snapshot, space: str) -> list[ExplainTarget]:
    apps = [ExplainTarget(app=entry.key) for entry in snapshot.caches.apps.in_namespace(space)]
    return [ExplainTarget(space=space), *apps]


async def _encoded(compute: Callable[[], Awaitable[Obj]]) -> bytes:
    return orjson.dumps(await compute())
