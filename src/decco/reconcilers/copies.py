"""Reads the copies of shared Secrets: once after the start, and once an hour.

They are also read again after a later list of namespaces, which follows an outage in which etcd may have been restored,
and after a write without an answer: at once, and when it cannot be carried out any more.

Nothing is followed by a watch, because that would need the permission to read the Secrets of all namespaces. A policy
lets only decco write its copies, so what was read or written stays true; the hourly read finds what happened all the
same. It is one list by decco's label in the namespace, which also finds copies that no object requires any more, and
costs one request however many there are. The reads of all Spaces are spread over the hour.

The store keeps facts, digests, resourceVersion and UID of each copy. Its content is dropped at the end of the Space's
reconcile, and read again for a change.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Protocol
from zlib import crc32

from decco.desired.model import SpaceFacts
from decco.kube.entry import Entry, read_entry
from decco.kube.errors import NotFound
from decco.kube.store import Store
from decco.objects import NAMESPACES, SECRETS, Key, Obj, Resource
from decco.reconcilers.caches import Caches
from decco.reconcilers.outcomes import REQUEUE_SECONDS

READ_SECONDS = 3600.0
FIRST_PAUSE_SECONDS = 600.0
"""Shortest pause after the first read."""
UNCONFIRMED_SECONDS = 90.0
"""After which a write without an answer is not carried out any more: an API server ends a request after 60 s."""


class Reader(Protocol):
    """See ``secret_access.SecretAccess``."""

    @property
    def unconfirmed(self) -> set[str]: ...
    async def bind(self, space: SpaceFacts, /) -> None: ...
    async def get(self, resource: Resource, key: Key, /) -> Obj: ...
    async def copies(self, space: str, /, *, bind: bool) -> list[Obj]: ...


@dataclass(slots=True)
class _Read:
    """What is known of one namespace."""

    uids: tuple[str, str]
    """Of the Space and its namespace. Another Space of the name may have the same namespace, after ``kubectl delete
    --cascade=orphan``; the copies have lost their owner reference then, and no reconcile need have seen the moment
    without a Space."""
    due: float | None = None
    """Time of the next read; None before the first one."""
    lists: int = 0
    """Lists of namespaces at the last read."""
    bound: bool = False
    """Whether decco has the permission, because the Space needs it."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Copies:
    """The copies in the namespaces of Spaces; ``clock`` in seconds, monotonic. Without ``reader`` the store has them
    all, as in a snapshot.
    """

    def __init__(self, caches: Caches, reader: Reader | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._caches = caches
        self._reader = reader
        self._clock = clock
        self._reads: dict[str, _Read] = {}
        """By Space."""
        if reader is not None:
            # What an earlier leader session knew: another process may have led since.
            self._store.begin_list()
            self._store.replace_all({}, 0)

    async def read(self, space: SpaceFacts, *, bind: bool = True, hourly: bool = False) -> None:
        """Reads the copies if that was not done yet, or, with ``hourly``, if it is due again. Raises KubeError.

        ``bind``: the Space or one of its Apps names Secrets. Otherwise a missing permission is not obtained: without it
        decco has written none there.
        """
        namespace_uid = self._caches.namespace_uid(space)
        if self._reader is None or namespace_uid is None:
            return
        known = self._reads.get(space.name)
        uids = (space.uid, namespace_uid)
        if known is None or known.uids != uids:
            known = self._reads[space.name] = _Read(uids)
        async with known.lock:  # the Space and its Apps may need the first read at the same moment
            lists = self._caches.children[NAMESPACES].lists
            unconfirmed = hourly and space.name in self._reader.unconfirmed
            is_due = hourly and known.due is not None and (known.due <= self._clock() or lists != known.lists)
            is_due = is_due or (unconfirmed and known.due is not None)
            if known.due is not None and (known.bound or not bind) and not is_due:
                return
            if known.due is not None and not known.bound and bind:
                await self._reader.bind(space)
            found = [read_entry(obj, self._store.shape) for obj in await self._reader.copies(space.name, bind=bind)]
            self._store.replace_namespace(space.name, {each.key: each for each in found}, initial=known.due is None)
            pause = READ_SECONDS if is_due else _first_pause(space)
            known.due = self._clock() + pause if bind or found else inf
            if unconfirmed:
                self._reader.unconfirmed.discard(space.name)
                known.due = self._clock() + UNCONFIRMED_SECONDS
            known.bound = known.bound or bind
            known.lists = lists

    async def begin(self, space: SpaceFacts, *, bind: bool) -> None:
        """The namespace was created just now and has no copies. With ``bind``, decco is about to write the first one.
        Raises KubeError.
        """
        namespace_uid = self._caches.namespace_uid(space)
        if self._reader is None or namespace_uid is None:
            return
        if bind:
            await self._reader.bind(space)
        due = self._clock() + _first_pause(space) if bind else inf
        self._store.replace_namespace(space.name, {}, initial=True)  # those of an earlier namespace of the name
        self._reads[space.name] = _Read((space.uid, namespace_uid), due, self._caches.children[NAMESPACES].lists, bind)

    async def whole(self, entry: Entry) -> Entry | None:
        """The copy with its content; None if it does not exist any more."""
        if not entry.partial or self._reader is None:
            return entry
        return await self._request(self._reader, entry.key)

    async def follow_deletions(self, space: SpaceFacts) -> None:
        """Reads what decco has requested to delete: a finalizer may keep it. Raises KubeError."""
        if self._reader is None:
            return
        known = self._reads.get(space.name)
        for entry in self._store.in_namespace(space.name):
            is_held = entry.deleting and await self._request(self._reader, entry.key) is not None
            if is_held and known is not None and known.due is not None:
                known.due = min(known.due, self._clock() + REQUEUE_SECONDS)

    async def _request(self, reader: Reader, key: Key) -> Entry | None:
        try:
            found = read_entry(await reader.get(SECRETS, key), self._store.shape)
        except NotFound:
            found = None
        self._store.refresh(key, found)
        return found

    def requeue_after(self, space: SpaceFacts) -> float | None:
        """Seconds until the next read; None without any."""
        known = self._reads.get(space.name)
        if known is None or known.due is None or known.due == inf:
            return None
        return max(0.0, known.due - self._clock())

    def drop_content(self, space: str) -> None:
        """The content was compared, and is not needed before the next change."""
        if self._reader is not None:
            self._store.strip(space)

    def forget(self, space: str) -> None:
        """The Space is gone, and what is in its namespace with it."""
        if self._reader is not None and self._reads.pop(space, None) is not None:
            self._store.replace_namespace(space, {}, initial=True)

    @property
    def _store(self) -> Store:
        return self._caches.children[SECRETS]


def _first_pause(space: SpaceFacts) -> float:
    """Spreads the reads of all Spaces evenly over the hour, whenever they were first read."""
    span = READ_SECONDS - FIRST_PAUSE_SECONDS
    return FIRST_PAUSE_SECONDS + span * (crc32(space.uid.encode()) + 1) / 2**32
