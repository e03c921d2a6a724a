"""Keeps one store equal to the API server: the only writer of a store besides decco's own writes.

The watch (``watch.py``) says what it sees; the informer turns it into steps of the store. A list is gathered whole
before it becomes visible, so no reader ever sees half of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

import structlog

from decco.kube import watch as w
from decco.kube.store import Entry, Store
from decco.objects import Key, Obj, key_of, uid_of

log = structlog.get_logger(__name__)


class Observer(Protocol):
    """What an informer tells about itself."""

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
        self._source = source
        self._observer = observer

    async def run(self) -> None:
        """Follows the watch until cancelled. Raises RuntimeError if it ends: the store would grow old in silence."""
        listing: dict[Key, Entry] = {}
        store = self.store
        async with aclosing(self._source()) as events:
            async for event in events:
                if self._observer is not None:
                    self._observer.watch_event(self.name)
                match event:
                    case w.Apply(obj=obj):
                        if (entry := self._read(obj)) is not None:
                            store.take(entry, own=False)
                    case w.Delete(obj=obj):
                        store.remove(key_of(obj), uid_of(obj), int(obj["metadata"]["resourceVersion"]))
                    case w.Init():
                        listing = {}
                    case w.InitApply(obj=obj):
                        # Kept as an entry, not as the decoded object, which takes ten times the memory.
                        if (entry := self._read(obj)) is not None:
                            listing[entry.key] = entry
                    case w.InitDone(resource_version=version):
                        store.swap(listing, int(version or 0))
                        listing = {}
                        self.synced.set()
                    case _:
                        continue
                if self._observer is not None:
                    self._observer.cache_objects(self.name, len(store))
        raise RuntimeError(f"the watch of {self.name} has ended")

    def _read(self, obj: Obj) -> Entry | None:
        """The object's entry, None if it has none: one object that meets a defect of ours hides no other."""
        try:
            return self.store.read(obj)
        except Exception:
            log.exception("object cannot be read into the cache", resource=self.name, key=str(key_of(obj)))
            return None
