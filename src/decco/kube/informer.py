"""Keeps one store equal to the API server: the only writer of a store besides decco's own writes.

The informer applies the events of the watch (``watch.py``) to the store. A list is collected completely before it
becomes visible, and then updates the store object by object: other tasks run in between and see a burst of changes. The
first list is not visible in parts, because all tasks wait until it is complete.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from time import monotonic
from typing import Final, Protocol

from decco.kube import watch as w
from decco.kube.entry import Entry
from decco.kube.store import Store
from decco.log import get_logger
from decco.objects import Key, Obj, key_of, uid_of

log = get_logger(__name__)

SLICE_SECONDS: Final = 0.01
"""How long a list may block the event loop at a time: it may have tens of thousands of objects, each with facts to
compute."""


FREEZE_OBJECTS: Final = 1000
"""After so many new objects of lists the existing objects are frozen (gc.freeze); smaller clusters never reach this."""


class Observer(Protocol):
    """What an informer reports about itself."""

    def watch_event(self, resource: str) -> None: ...
    def watch_trouble(self, resource: str, cause: str) -> None: ...
    def cache_objects(self, resource: str, count: int) -> None: ...


Source = Callable[[], AsyncGenerator[w.WatchEvent, None]]


class Informer:
    """Runs one watch into one store."""

    def __init__(self, store: Store, source: Source, observer: Observer | None = None, name: str = "") -> None:
        """``source`` starts the endless stream of watch events for the store's kind."""
        self.store = store
        self.name = name or str(store.resource)
        self.synced = asyncio.Event()
        """Set once the first list is in the store."""
        self.tried = asyncio.Event()
        """Set once the first list is in the store, or a request has failed."""
        self.on_relist: Callable[[], None] = lambda: None
        """Called when a later list is in the store: what is known of unwatched kinds may be of a lost history."""
        store.unlisted = "it is not listed yet"
        self._source = source
        self._listed = 0
        self._observer = observer

    async def run(self) -> None:
        """Follows the watch until cancelled. Raises RuntimeError if the watch ends: the store would become stale
        without notice.
        """
        listing: dict[Key, Entry] = {}
        store, yielder = self.store, Yielder()
        async with aclosing(self._source()) as events:
            async for event in events:
                if self._observer is not None and not isinstance(event, w.Init):  # that is our request, not an answer
                    self._observer.watch_event(self.name)
                match event:
                    case w.Apply(obj=obj):
                        if (entry := self._read(obj)) is not None:
                            store.apply_if_newer(entry, own=False)
                    case w.Delete(obj=obj):
                        store.remove(key_of(obj), uid_of(obj), int(obj["metadata"]["resourceVersion"]))
                    case w.Init():
                        listing = {}
                        store.begin_list()
                    case w.InitApply(obj=obj):
                        # Kept as an entry, not as the decoded object, which takes ten times the memory.
                        if (entry := self._read(obj) or store.get(key_of(obj))) is not None:
                            listing[entry.key] = entry
                            self._count(entry)
                    case w.InitDone(resource_version=version):
                        for _ in store.replace_stepwise(listing, int(version or 0)):
                            await yielder.yield_if_due()
                        listing = {}
                        if self.synced.is_set():
                            self.on_relist()
                        self.synced.set()
                        self.tried.set()
                    case _:
                        continue
                if self._observer is not None:
                    self._observer.cache_objects(self.name, len(store))
                await yielder.yield_if_due()
        raise RuntimeError(f"the watch of {self.name} has ended")

    def failed(self, error: Exception) -> None:
        """A request of the watch has failed, and the next follows."""
        if not self.synced.is_set():
            self.store.unlisted = str(error)
        self.tried.set()

    def _count(self, entry: Entry) -> None:
        """Excludes the objects of large lists from garbage collection: they have no cycles and live long, and a full
        collection of tens of thousands takes 200 ms.
        """
        if entry is self.store.get(entry.key):
            return
        self._listed += 1
        if self._listed % FREEZE_OBJECTS == 0:
            gc.freeze()

    def _read(self, obj: Obj) -> Entry | None:
        """The object's entry, None if it cannot be read: a defect with one object does not hide others, and its cached
        entry stays, for a list and for an event.
        """
        try:
            return self.store.read(obj)
        except Exception:
            log.exception("object cannot be read into the cache", resource=self.name, key=str(key_of(obj)))
            return None


class Yielder:
    """Lets the event loop's other tasks run whenever a long computation has blocked it for SLICE_SECONDS."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._since = clock()

    async def yield_if_due(self) -> None:
        """To be awaited after each step; returns at once most of the time."""
        if self._clock() - self._since < SLICE_SECONDS:
            return
        await asyncio.sleep(0)
        self._since = self._clock()
