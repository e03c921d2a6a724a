"""The public interface of this package: owners declare the names that they need, and read what is known of them.

A name is asked for when its answer is old, within the limits of the settings, with at most MAX_AT_ONCE questions at
once. Failures keep the last addresses. An address that answers no longer have is kept for a while, because who asked
earlier still uses it. Owners are called at once when a name has its first addresses, and otherwise after a pause, so
that names whose answers change all the time cause few writes.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from decco.backoff import exponential
from decco.log import get_logger
from decco.resolver.model import Known, LookupResult

log = get_logger(__name__)

MAX_AT_ONCE = 32
MAX_AT_ONCE_OF_A_GROUP = 8
"""A Space whose names have servers that do not answer leaves the other questions to the others."""
MAX_NAMES_OF_A_GROUP = 256
MAX_ADDRESSES = 24
"""Of a name; of more, those that answers had last."""
FAILURES = 3
"""In a row, before a name with addresses has an error."""
PAUSE_SECONDS = 10.0
"""Between two calls of an owner."""
TOO_MANY = f"its Space has more than {MAX_NAMES_OF_A_GROUP} names"

Query = Callable[[str], Awaitable[LookupResult]]


class LateQuery:
    """Asks as ``query.Query``, which is imported with the first question because of dnspython."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = servers
        self._query: Query | None = None

    async def __call__(self, name: str) -> LookupResult:
        if self._query is None:
            from decco.resolver.query import Query as Real

            self._query = Real(self._servers)
        return await self._query(name)


class ResolverSettings(Protocol):
    """Seconds."""

    @property
    def refresh_min_seconds(self) -> float: ...
    @property
    def refresh_max_seconds(self) -> float: ...
    @property
    def keep_seconds(self) -> float: ...


@dataclass(slots=True, eq=False)
class _Name:
    text: str
    owners: set[str] = field(default_factory=set)
    seen: dict[str, float] = field(default_factory=dict)
    """Address -> when an answer had it last."""
    known: Known = field(default_factory=lambda: Known(pending=True))
    failures: int = 0
    error: str = ""


@dataclass(slots=True)
class _Owner:
    group: str
    names: dict[str, _Name] = field(default_factory=dict)
    called: float = float("-inf")
    waiting: bool = False


class Resolver:
    """All names. One event loop; ``run`` works until it is cancelled."""

    def __init__(
        self,
        settings: Callable[[], ResolverSettings],
        query: Query,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._query = query
        self._clock = clock
        self._names: dict[str, _Name] = {}
        self._owners: dict[str, _Owner] = {}
        self._groups: dict[str, dict[str, int]] = {}
        """Group -> name -> number of its owners there."""
        self._callbacks: list[Callable[[str], None]] = []
        self._due: list[tuple[float, int, _Name]] = []
        self._asking: Counter[str] = Counter()
        """Group -> questions that are being asked for it."""
        self._waiting: dict[str, list[_Name]] = {}
        """Group -> names that are due, and that it may not ask for yet."""
        self._calls: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()
        self._event = asyncio.Event()

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """Calls ``callback(uid)`` when the names of that owner have other addresses, or other errors."""
        self._callbacks.append(callback)

    def ensure(
        self, uid: str, names: Collection[str], *, group: str, former: Mapping[str, Collection[str]]
    ) -> dict[str, Known]:
        """Sets all names of an owner, and returns what is known of them. ``former``: the addresses that were known
        before this process, for names that are new to it.
        """
        if not names and uid not in self._owners:
            return {}
        owner = self._owners.setdefault(uid, _Owner(group))
        for text in owner.names.keys() - names:
            self._drop(uid, owner, text)
        found: dict[str, Known] = {}
        for text in sorted(names):
            name = owner.names.get(text) or self._add(uid, owner, text, former.get(text, ()))
            found[text] = name.known if name is not None else Known(tuple(sorted(former.get(text, ()))), TOO_MANY)
        if not owner.names:
            self._owners.pop(uid)
        return found

    def forget(self, uid: str) -> None:
        """Ends the interest of an owner."""
        owner = self._owners.pop(uid, None)
        if owner is not None:
            for text in list(owner.names):
                self._drop(uid, owner, text)

    def _add(self, uid: str, owner: _Owner, text: str, former: Collection[str]) -> _Name | None:
        group = self._groups.setdefault(owner.group, {})
        if text not in group and len(group) >= MAX_NAMES_OF_A_GROUP:
            return None
        group[text] = group.get(text, 0) + 1
        name = self._names.get(text)
        if name is None:
            name = self._names[text] = _Name(text)
            self._plan(name, self._clock())
        if name.known.pending:
            for address in former:
                name.seen.setdefault(address, self._clock())
            self._publish(name, pending=True)
        name.owners.add(uid)
        owner.names[text] = name
        return name

    def _drop(self, uid: str, owner: _Owner, text: str) -> None:
        name = owner.names.pop(text)
        name.owners.discard(uid)
        if not name.owners:
            self._names.pop(text, None)
        group = self._groups[owner.group]
        group[text] -= 1
        if not group[text]:
            del group[text]
        if not group:
            del self._groups[owner.group]

    # -- asking -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Asks for names when they are due, and calls owners."""
        running: set[asyncio.Task[None]] = set()
        try:
            while True:
                self._event.clear()
                now = self._clock()
                while self._due and self._due[0][0] <= now and len(running) < MAX_AT_ONCE:
                    _, _, name = heapq.heappop(self._due)
                    if self._names.get(name.text) is not name:
                        continue
                    group = self._owners[next(iter(name.owners))].group
                    if self._asking[group] >= MAX_AT_ONCE_OF_A_GROUP:
                        self._waiting.setdefault(group, []).append(name)
                        continue
                    self._asking[group] += 1
                    task = asyncio.create_task(self._ask(name), name=f"resolve-{name.text}")
                    running.add(task)
                    task.add_done_callback(partial(self._done, running, group))
                self._call_due(now)
                full = len(running) >= MAX_AT_ONCE
                moments = [each[0][0] for each in (self._calls, () if full else self._due) if each]
                try:
                    async with asyncio.timeout(max(0.001, min(moments) - self._clock()) if moments else None):
                        await self._event.wait()
                except TimeoutError:
                    continue
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _done(self, running: set[asyncio.Task[None]], group: str, task: asyncio.Task[None]) -> None:
        running.discard(task)
        self._asking[group] -= 1
        if not self._asking[group]:
            del self._asking[group]
        # All of them, in their order: some may not be needed any more.
        for name in self._waiting.pop(group, ()):
            self._plan(name, self._clock())
        self._event.set()  # another name may be due

    async def _ask(self, name: _Name) -> None:
        try:
            found = await self._query(name.text)
        except Exception as error:  # noqa: BLE001 - one name must not stop the others
            log.warning("resolving a name failed unexpectedly", name=name.text, error=repr(error))
            found = LookupResult(error=type(error).__name__, partial=True)
        if self._names.get(name.text) is name:
            self._take(name, found)

    def _take(self, name: _Name, found: LookupResult) -> None:
        """Takes in an answer, and plans the next question."""
        now, settings = self._clock(), self._settings()
        name.failures = 0 if found.addresses else name.failures + 1
        name.error = found.error
        for address in found.addresses:
            name.seen.pop(address, None)
            name.seen[address] = now  # the latest last
        if found.addresses and not found.partial:
            old = [address for address, seen in name.seen.items() if now - seen > settings.keep_seconds]
            for address in old:
                del name.seen[address]
        while len(name.seen) > MAX_ADDRESSES:
            del name.seen[next(iter(name.seen))]
        least, most = settings.refresh_min_seconds, settings.refresh_max_seconds
        ttl = found.ttl if found.ttl is not None else exponential(least, name.failures - 1, most)
        self._plan(name, now + min(max(ttl, least), most))
        before = name.known
        self._publish(name, pending=False)
        if name.known != before:
            for uid in name.owners:
                self._call(uid, now, at_once=not before.addresses or before.pending)

    @staticmethod
    def _publish(name: _Name, *, pending: bool) -> None:
        error = name.error if not name.seen or name.failures >= FAILURES else ""
        name.known = Known(tuple(sorted(name.seen)), "" if pending else error, pending)

    def _plan(self, name: _Name, when: float) -> None:
        heapq.heappush(self._due, (when, next(self._numbers), name))
        self._event.set()

    # -- calling owners -----------------------------------------------------------------------------------------------

    def _call(self, uid: str, now: float, *, at_once: bool) -> None:
        owner = self._owners.get(uid)
        if owner is None or (owner.waiting and not at_once):
            return
        owner.waiting = True
        when = now if at_once else max(now, owner.called + PAUSE_SECONDS)
        heapq.heappush(self._calls, (when, next(self._numbers), uid))
        self._event.set()

    def _call_due(self, now: float) -> None:
        while self._calls and self._calls[0][0] <= now:
            _, _, uid = heapq.heappop(self._calls)
            owner = self._owners.get(uid)
            if owner is not None and owner.waiting:
                owner.waiting, owner.called = False, now
                for callback in self._callbacks:
                    callback(uid)
