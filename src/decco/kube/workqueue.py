"""The queue of keys between informers and workers.

client-go's workqueue in asyncio (https://github.com/kubernetes/client-go, util/workqueue): a key is queued once however
often it is added; a key that is being worked on and is added again is queued again when it is done, never worked on
twice at once. It adds a few things. Keys have a priority, so that a person's edit overtakes the 2,000 objects of the
initial list; every eighth key is the least urgent one, so that low priorities do not starve. Within a priority the
groups (one per Space) are served round-robin, so that a Space with many Apps does not delay others; a group that is
edited without pause loses its priority, and neither one group nor a few of them occupy all workers (a slow webhook,
large objects): the last ones are kept for groups that have none. A key that is added without pause is processed at a
steady pace, so that many edits become few writes. Keys that fail together (a webhook or the API server is down) recover
together: the first success shortens the pauses of the others.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, Protocol, TypeVar

from decco.backoff import exponential
from decco.kube.token_bucket import TokenBuckets

K = TypeVar("K")

_SHARE_OF_LEAST_URGENT = 8
"""Every eighth key is the least urgent there is: a Space that edits its Apps without pause cannot block the repair of
others."""

CONFLICTS_AT_ONCE = 3
"""So many conflicts of a key in a row are retried at once: usually the cache has the other writer's object by then."""
CONFLICT_BASE = 0.05
"""Seconds before the next retry; it doubles with each further conflict in a row."""
CONFLICT_MAX = 5.0
"""Longest pause in seconds, so that two writers that undo each other's work do not load the API server."""
RETRIES_PER_SECOND = 20.0
"""Retries of failing keys, once they are so many that ``retry_max_while_few_fail`` no longer holds."""
RETRY_SPREAD_SECONDS = 20.0
"""Spread of the retries after one key has succeeded again."""
CLOCK_SECONDS = 0.001
"""Added to a pause, because a timer may be early by the resolution of its clock."""
_RETRY_ALL_EVERY = 60.0
_FAILURES_OF_AN_OUTAGE = 3


class Priority(IntEnum):
    """Lower is served first."""

    EDIT = 0  # the object itself was changed
    CHANGE = 1  # something that it depends on was changed
    LIST = 2  # it was listed, at start or after a gap


class Observer(Protocol):
    """What a queue reports about itself; times in seconds."""

    def queue_added(self, name: str, depth: int) -> None: ...
    def queue_taken(self, name: str, depth: int, waited: float) -> None: ...
    def queue_done(self, name: str, worked: float) -> None: ...
    def queue_retried(self, name: str) -> None: ...
    def queue_closed(self, name: str) -> None: ...


class Closed(Exception):
    """The queue gives out no more work."""


@dataclass(slots=True, eq=False)
class _Queued(Generic[K]):
    """Where a key waits; ``since`` is the loop's time at which it was first added."""

    key: K
    priority: Priority
    since: float


class WorkQueue(Generic[K]):
    """Keys to reconcile. Not thread-safe: one event loop."""

    def __init__(
        self,
        name: str,
        *,
        group: Callable[[K], str],
        retry_base: float = 0.25,
        retry_max: float = 300.0,
        retry_max_while_few_fail: float | None = None,
        max_per_group: int | None = None,
        shared: int | None = None,
        urgent_budget: tuple[int, float] | None = None,
        key_budget: tuple[int, float] | None = None,
        observer: Observer | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """``retry_max_while_few_fail`` is the longest pause of retries while so few keys fail that it costs little.

        ``max_per_group`` keys of one group are processed at once. While ``shared`` keys are processed, only groups of
        which none is get another worker: without that, few groups with slow keys let a new key of another one wait for
        the end of theirs. ``urgent_budget`` (so many at once, then one more every so many seconds) are queued with a
        priority before LIST. A key is processed ``key_budget`` times at once, then once every so many seconds. None: no
        limit.
        """
        self.name = name
        self._group = group
        self._max_per_group = max_per_group
        self._shared = shared
        self._urgent: TokenBuckets[tuple[str, Priority]] | None = (
            TokenBuckets(*urgent_budget) if urgent_budget else None
        )
        self._pace: TokenBuckets[K] | None = TokenBuckets(*key_budget) if key_budget else None
        self._paced: dict[K, Priority] = {}
        """Keys that wait for their next token, with the priority that they have then."""
        self._busy: Counter[str] = Counter()
        """Keys of each group that are processed now."""
        self._retry_max_while_few_fail = retry_max if retry_max_while_few_fail is None else retry_max_while_few_fail
        self._retried_all_at = float("-inf")
        self._retry_base = retry_base
        self._retry_max = retry_max
        self._observer = observer
        self._jitter = jitter
        self._levels: list[OrderedDict[str, deque[_Queued[K]]]] = [OrderedDict() for _ in Priority]
        self._queued: dict[K, _Queued[K]] = {}
        self._processing: dict[K, float] = {}
        self._again: dict[K, Priority] = {}
        self._later: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._conflicts: dict[K, int] = {}
        self._getters: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self._served = 0

    def __len__(self) -> int:
        return len(self._queued)

    @property
    def processing(self) -> int:
        return len(self._processing)

    @property
    def waiting(self) -> int:
        """Keys with a timer: retries and requeue_after."""
        return len(self._later)

    def oldest(self) -> float:
        """Seconds for which the longest-queued key has been waiting, 0 if none is."""
        now = asyncio.get_running_loop().time()
        return max((now - entry.since for entry in self._queued.values()), default=0.0)

    def longest_running(self) -> float:
        """Seconds for which the oldest running reconcile has been running, 0 without one."""
        now = asyncio.get_running_loop().time()
        return max((now - since for since in self._processing.values()), default=0.0)

    def add(self, key: K, priority: Priority = Priority.CHANGE) -> None:
        """Queues the key, or lets it overtake if it is queued with less urgency."""
        if self._closed:
            return
        if key in self._processing:
            self._again[key] = min(priority, self._again.get(key, priority))
            return
        queued = self._queued.get(key)
        if queued is not None and queued.priority <= priority:
            return
        if queued is None and (pause := self._seconds_to_token(key)):
            self._paced[key] = min(priority, self._paced.get(key, priority))
            self.add_after(key, pause, priority)
            return
        if not self._may_be_urgent(self._group(key), priority):
            priority = Priority.LIST
            if queued is not None:
                return
        # An overtaken key's old entry stays in the queue and is skipped later.
        entry = _Queued(key, priority, queued.since if queued else asyncio.get_running_loop().time())
        self._queued[key] = entry
        self._levels[priority].setdefault(self._group(key), deque()).append(entry)
        if queued is None:
            if self._observer is not None:
                self._observer.queue_added(self.name, len(self._queued))
            self._notify_getter()

    def _may_be_urgent(self, group: str, priority: Priority) -> bool:
        """Whether the group's budget for this priority has another key; takes it."""
        if self._urgent is None or priority is Priority.LIST:
            return True
        return self._urgent.take((group, priority), asyncio.get_running_loop().time())

    def _seconds_to_token(self, key: K) -> float:
        """Seconds until the key may be processed again, 0 if it may now."""
        if self._pace is None:
            return 0.0
        seconds = self._pace.seconds_to_token(key, asyncio.get_running_loop().time())
        return seconds + CLOCK_SECONDS if seconds else 0.0

    def add_after(self, key: K, seconds: float, priority: Priority = Priority.CHANGE) -> None:
        """Queues the key after ``seconds``; of several such requests the earliest counts."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        pending = self._later.get(key)
        if pending is not None:
            if pending.when() <= due:
                return
            pending.cancel()
        self._later[key] = loop.call_at(due, self._due, key, priority)

    def retry(self, key: K) -> float:
        """Queues a key that failed, later each time (doubling, with jitter); returns the pause in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        return self._retry_after(key, exponential(self._retry_base, failures, self._longest_pause()))

    def retry_conflict(self, key: K) -> float:
        """Queues a key whose write conflicted with another writer; returns the pause in seconds.

        The first 3 conflicts in a row are retried at once, further ones after 0.05 s, doubling, to at most 5 s. They do
        not count as failures.
        """
        conflicts = self._conflicts.get(key, 0)
        self._conflicts[key] = conflicts + 1
        late = conflicts - CONFLICTS_AT_ONCE
        return self._retry_after(key, 0.0 if late < 0 else exponential(CONFLICT_BASE, late, CONFLICT_MAX))

    def _retry_after(self, key: K, seconds: float) -> float:
        pause = seconds * (0.75 + 0.5 * self._jitter())
        if self._observer is not None:
            self._observer.queue_retried(self.name)
        self.add_after(key, pause)
        return pause

    def forget(self, key: K) -> None:
        """The key's failures and conflicts are over."""
        self._conflicts.pop(key, None)
        if self._failures.pop(key, 0) >= _FAILURES_OF_AN_OUTAGE:
            self._retry_all_soon()

    def _longest_pause(self) -> float:
        return min(self._retry_max, max(self._retry_max_while_few_fail, len(self._failures) / RETRIES_PER_SECOND))

    def _retry_all_soon(self) -> None:
        """Retries all failing keys soon, spread over a while: the cause may have ended for all of them."""
        now = asyncio.get_running_loop().time()
        if now - self._retried_all_at < _RETRY_ALL_EVERY or not self._failures:
            return
        self._retried_all_at = now
        spread = min(RETRY_SPREAD_SECONDS, len(self._failures) / 500)
        for key in self._failures:
            if key in self._later:  # its retry; a key that is queued or at work needs none
                self.add_after(key, spread * self._jitter())

    async def get(self) -> K:
        """The next key, which the caller processes and then passes to ``done``. Raises Closed after ``close``."""
        while True:
            if self._closed:
                raise Closed
            key = self._pop()
            if key is not None:
                return key
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if getter.done() and not getter.cancelled():
                    self._notify_getter()  # this getter was notified; notify the next one
                elif getter in self._getters:  # another task may have notified it between the cancellation and here
                    self._getters.remove(getter)
                raise

    def done(self, key: K) -> None:
        """Ends the processing of the key; a key added meanwhile is queued again."""
        started = self._processing.pop(key)
        group = self._group(key)
        self._busy[group] -= 1
        if not self._busy[group]:
            del self._busy[group]
        if self._observer is not None:
            self._observer.queue_done(self.name, asyncio.get_running_loop().time() - started)
        again = self._again.pop(key, None)
        if again is not None:
            self.add(key, again)
        if (self._max_per_group is not None or self._shared is not None) and self._queued:
            self._notify_getter()  # a group that waits may have another worker now

    def close(self) -> None:
        """Neither returns nor accepts keys from now on, and drops the waiting ones; waiting ``get`` calls raise
        Closed.
        """
        self._closed = True
        for handle in self._later.values():
            handle.cancel()
        self._later.clear()
        self._paced.clear()
        self._queued.clear()
        self._again.clear()
        self._failures.clear()
        self._conflicts.clear()
        for level in self._levels:
            level.clear()
        if self._observer is not None:
            self._observer.queue_closed(self.name)
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)

    def _due(self, key: K, priority: Priority) -> None:
        self._later.pop(key, None)
        self.add(key, min(priority, self._paced.pop(key, priority)))

    def _pop(self) -> K | None:
        least_urgent = self._served % _SHARE_OF_LEAST_URGENT == _SHARE_OF_LEAST_URGENT - 1
        for level in reversed(self._levels) if least_urgent else self._levels:
            while (group := self._next_group(level)) is not None:
                entries = level[group]
                entry = entries.popleft()
                if not entries:
                    del level[group]
                if self._queued.get(entry.key) is not entry:
                    continue  # an outdated entry, not served for its group
                if entries:
                    level.move_to_end(group)
                del self._queued[entry.key]
                self._start(entry, group)
                return entry.key
        return None

    def _next_group(self, level: OrderedDict[str, deque[_Queued[K]]]) -> str | None:
        """The group whose turn it is, of those that may have another worker."""
        most = self._max_per_group
        if self._shared is not None and len(self._processing) >= self._shared:
            most = 1
        return next((group for group in level if most is None or self._busy[group] < most), None)

    def _start(self, entry: _Queued[K], group: str) -> None:
        now = asyncio.get_running_loop().time()
        self._served += 1
        self._processing[entry.key] = now
        self._busy[group] += 1
        if self._pace is not None:
            self._pace.take(entry.key, now)
            self._paced.pop(entry.key, None)
        pending = self._later.pop(entry.key, None)
        if pending is not None:
            pending.cancel()
        if self._observer is not None:
            self._observer.queue_taken(self.name, len(self._queued), now - entry.since)

    def _notify_getter(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return
