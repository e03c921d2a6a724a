"""Keeps one store equal to the API server: the only writer of a store besides decco's own writes.

The watch (``watch.py``) says what it sees; the informer turns it into steps of the store. A list is gathered whole
before it becomes visible, so no reader ever sees half of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import structlog

from decco.kube import watch as w
from decco.kube.store import Entry, Store
from decco.objects import Key, key_of, uid_of

log = structlog.get_logger(__name__)


class Observer(Protocol):
    """What an informer tells about itself."""

    def watch_event(self, resource: str) -> None: ...
    def watch_trouble(self, resource: str, cause: str) -> None: ...
    def cache_objects(self, resource: str, count: int) -> None: ...


Source = Callable[[], AsyncIterator[w.WatchEvent]]


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
        """Follows the watch until cancelled."""
        listing: dict[Key, Entry] = {}
        store = self.store
        async for event in self._source():
            if self._observer is not None:
                self._observer.watch_event(self.name)
            match event:
                case w.Apply(obj=obj):
                    store.put(obj, own=False)
                case w.Delete(obj=obj):
                    store.remove(key_of(obj), uid_of(obj), int(obj["metadata"]["resourceVersion"]))
                case w.Init():
                    listing = {}
                case w.InitApply(obj=obj):
                    # Kept as an entry, not as the decoded object, which takes ten times the memory.
                    listing[key_of(obj)] = store.read(obj)
                case w.InitDone(resource_version=version):
                    store.swap(listing, int(version or 0))
                    listing = {}
                    self.synced.set()
                case _:
                    continue
            if self._observer is not None:
                self._observer.cache_objects(self.name, len(store))
