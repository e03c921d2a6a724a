"""Event handlers at work: they enqueue the keys that a change in a cache requires.

Which keys depend on which kind is written in ``handlers/``, and ``kinds.py`` connects the two. decco's own writes
enqueue only other objects, never the one that they were made for.

The indices follow the caches all the time. Keys are queued only while this process leads: before and after, the queues
are closed and accept no keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from decco.kube.informer import Yielder
from decco.kube.store import Change, Store
from decco.kube.workqueue import Priority, WorkQueue
from decco.objects import Key
from decco.reconcilers.caches import Caches, Handler, Request


def _closed_queue() -> WorkQueue[Key]:
    queue: WorkQueue[Key] = WorkQueue("nobody", group=str)
    queue.close()
    return queue


@dataclass(slots=True)
class EventHandlers:
    """Connects the caches with the queues of Spaces and of Apps."""

    caches: Caches
    spaces: WorkQueue[Key] = field(default_factory=_closed_queue)
    apps: WorkQueue[Key] = field(default_factory=_closed_queue)
    _connected: set[str] = field(default_factory=set)

    def connect(self) -> None:
        """Subscribes the handlers of each kind to its store, if that is new."""
        for kind in self.caches.kinds:
            store = self.caches.stores.get(kind.name)
            if store is not None and kind.name not in self._connected:
                self._connected.add(kind.name)
                for handler in kind.handlers:
                    store.subscribe(partial(self._handle, handler))

    def _handle(self, handler: Handler, change: Change) -> None:
        self._add(handler(self.caches, change))

    def _add(self, requests: Iterable[Request]) -> None:
        for key, priority in requests:
            self._queue(key).add(key, priority)

    def _queue(self, key: Key) -> WorkQueue[Key]:
        return self.apps if key.namespace else self.spaces

    async def connect_queues(self, spaces: WorkQueue[Key], apps: WorkQueue[Key]) -> None:
        """Sends keys into these queues from now on, first those of all cached objects."""
        self.spaces, self.apps = spaces, apps
        await self.enqueue_all()

    async def enqueue_all(self) -> None:
        """Enqueues all: at the start, or after the rules changed (the cluster serves other kinds)."""
        yielder = Yielder()
        await self.enqueue_store(self.caches.spaces)
        await self.enqueue_store(self.caches.apps)
        for store in self.caches.children.values():
            keys = [owner.key for owner in store.labelled_owners()]
            keys += [Key("", namespace) for namespace in store.namespaces_deleting()]
            for key in keys:
                self._add([Request(key, Priority.LIST)])
                await yielder.yield_if_due()

    async def enqueue_store(self, store: Store) -> None:
        """Enqueues all Spaces, or all Apps."""
        yielder = Yielder()
        for entry in store:
            self._add([Request(entry.key, Priority.LIST)])
            await yielder.yield_if_due()

    def enqueue(self, uid: str, seconds: float = 0.0) -> None:
        """Enqueues the Space or App with this UID after so many seconds."""
        if (key := self.caches.owners.get(uid)) is not None:
            self._queue(key).add_after(key, seconds)
