"""The cache of one kind: many readers, moved forward by its informer and by decco's own writes.

Objects are kept as entries, see ``entry.py``.

Three rules keep the cache right although two sources feed it:

* between two lists an entry only moves to a higher resourceVersion (the API server's are integers that grow, KEP-5504);
* an object whose removal was seen is added again only at a higher resourceVersion (the answer to our own write may
  arrive after the event of the object's deletion; an object that lost the label decco watches by is removed too, and
  may be added again);
* a complete list replaces everything, whatever its version, except what decco wrote after it was requested; nothing
  older than the list counts from then on. After a restore of etcd the versions of a list are lower than those in the
  cache, or they belong to another history that has overtaken them: the list is right in both cases. For the same
  reason an object of a list that has the cached UID and version is compared with the cached one: each history gives a
  version to a change of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Final

from decco.kube.entry import Entry, Shape, has_json, is_same, read_entry, without_data
from decco.objects import Key, Obj, Resource, key_of

_NO_KEYS: dict[Key, None] = {}
TOMBSTONE_SECONDS: Final = 120.0
"""Kept at least so long, and at most twice that while others follow; shorter if more than MOST_TOMBSTONES follow."""
MOST_TOMBSTONES: Final = 4096
"""At least so many of the latest are remembered within that time, and at most twice as many."""


class Tombstones:
    """UID -> the highest resourceVersion at which the object was removed; ``clock`` in seconds, monotonic.

    Kept for as long as older versions of the object may still arrive: as answers to decco's own writes, which have a
    time limit (``Client``: 30 s), or in lists of an API server that is behind the others. Two generations, of which the
    older one is dropped as a whole: so a tombstone needs no time of its own.
    """

    __slots__ = ("_before", "_began", "_clock", "_now")

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._now: dict[str, int] = {}
        self._before: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._now) + len(self._before)

    def version(self, uid: str) -> int:
        """0 for an object that was not removed, or whose tombstone was dropped."""
        return max(self._now.get(uid, 0), self._before.get(uid, 0))

    def record(self, uid: str, version: int) -> None:
        """The object was removed at this version."""
        now = self._clock()
        if now - self._began >= TOMBSTONE_SECONDS or len(self._now) >= MOST_TOMBSTONES:
            self._before = self._now if now - self._began < 2 * TOMBSTONE_SECONDS else {}
            self._now, self._began = {}, now
        self._now[uid] = max(version, self.version(uid))


@dataclass(slots=True)
class Change:
    """One step of a store: ``old`` is None for a new object, ``new`` for one that is gone."""

    old: Entry | None
    new: Entry | None
    own: bool
    """Whether it comes from the answer to decco's own write or read, not from the watch."""
    initial: bool = False
    """Whether it is part of a list, not a single event."""

    @property
    def entry(self) -> Entry:
        entry = self.new or self.old
        assert entry is not None
        return entry

    @property
    def removed(self) -> Entry | None:
        """The object that is gone, also if another one has its name now."""
        return self.old if self.new is None or (self.old is not None and self.old.uid != self.new.uid) else None


Subscriber = Callable[[Change], None]


@contextmanager
def subscribed(subscriber: Subscriber, *stores: Store) -> Iterator[None]:
    """Calls ``subscriber`` after each step of these stores, see ``Store.subscribe``."""
    for store in stores:
        store.subscribe(subscriber)
    try:
        yield
    finally:
        for store in stores:
            store.unsubscribe(subscriber)


@dataclass(slots=True, eq=False)
class Store:
    """All objects of one kind that decco watches."""

    resource: Resource
    shape: Shape = field(default_factory=Shape)
    settled: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    """UID -> (content, meta) digests of the server's result of decco's last write."""
    _entries: dict[Key, Entry] = field(default_factory=dict)
    _by_owner: dict[str, dict[Key, None]] = field(default_factory=dict)
    _by_namespace: dict[str, dict[Key, None]] = field(default_factory=dict)
    _by_label: dict[Any, dict[Key, None]] = field(default_factory=dict)
    _deleting: dict[str, dict[Key, None]] = field(default_factory=dict)
    _gone: Tombstones = field(default_factory=Tombstones)
    _listed: int = 0
    """Version of the last list: what is not newer and not in the list is gone, however late the answer to a write
    arrives."""
    _since_list: set[str] | None = None
    """UIDs that decco wrote or requested to delete since the current list was requested; None: no list is running."""
    lists: int = 0
    """How many complete lists it has taken."""
    unlisted: str = ""
    """Why the store does not show the cluster's objects: not listed yet, and the last error, or the cluster no longer
    serves the kind; "" from a complete list on."""
    _reread: bool = False
    """Whether the next list is in another version of the kind, so that equal versions do not mean equal content."""
    _subscribers: list[Subscriber] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def get(self, key: Key) -> Entry | None:
        return self._entries.get(key)

    def owned_by(self, uid: str, namespace: str) -> list[Entry]:
        """Entries whose controller owner has this UID, in this namespace, or the namespace itself.

        Whoever may write in another namespace may copy an owner reference; such an object is not the owner's.
        """
        keys = self._by_owner.get(uid, _NO_KEYS)
        return [self._entries[key] for key in keys if (key.namespace or key.name) == namespace]

    def labelled_for(self, owner: Any) -> list[Entry]:
        """Entries without controller whose labels and annotations name this owner."""
        return [self._entries[key] for key in self._by_label.get(owner, _NO_KEYS)]

    def labelled_owners(self) -> list[Any]:
        """The owners that entries without controller name."""
        return list(self._by_label)

    def in_namespace(self, namespace: str) -> list[Entry]:
        return [self._entries[key] for key in self._by_namespace.get(namespace, _NO_KEYS)]

    def deleting_in(self, namespace: str) -> list[Entry]:
        """Entries in deletion, as the API server reported them: something holds these objects."""
        return [self._entries[key] for key in self._deleting.get(namespace, _NO_KEYS)]

    def namespaces_deleting(self) -> list[str]:
        return list(self._deleting)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Calls ``subscriber`` after each step, in order; it must not block."""
        self._subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.remove(subscriber)

    def read(self, obj: Obj) -> Entry:
        """The entry that ``obj`` would be; the one in the store if that is the same version, of the same history. Takes
        ``obj`` over. What a list contains is as the API server has it: without decco's own mark of a deletion.
        """
        meta = obj["metadata"]
        old = self._entries.get(key_of(obj))
        known = old is not None and old.uid == meta["uid"] and old.version == int(meta["resourceVersion"])
        if old is None or not known or self._reread:
            return read_entry(obj, self.shape)
        if self._since_list is None:
            return old
        if not has_json(old, obj):
            return read_entry(obj, self.shape)
        deleting = "deletionTimestamp" in meta
        return old if old.deleting == deleting else replace(old, deleting=deleting)

    def put(self, obj: Obj, *, own: bool) -> Entry:
        """Reads the object, applies its entry if it is newer, and returns the entry in any case. Takes ``obj`` over."""
        entry = self.read(obj)
        self.apply_if_newer(entry, own=own)
        return entry

    def apply_if_newer(self, entry: Entry, *, own: bool) -> None:
        """Applies the entry, unless the store has the same or a newer version."""
        if entry.version > self._listed:
            self._apply(entry, own=own, initial=False)

    def remove(self, key: Key, uid: str, version: int) -> None:
        """The object with this UID was removed at this resourceVersion."""
        old = self._entries.get(key)
        if old is not None and old.uid == uid and old.version > version:
            return  # it lost the label that decco watches by, and our own write has put it back since
        self._record_deletion(uid, version)
        if old is not None and old.uid == uid:
            self._delete(old)

    def mark_deleting(self, key: Key, uid: str) -> None:
        """decco has requested the deletion; its event is still to come."""
        entry = self._entries.get(key)
        if entry is not None and entry.uid == uid:
            self._entries[key] = replace(entry, deleting=True)
            if self._since_list is not None:
                self._since_list.add(uid)

    def replace_namespace(self, namespace: str, entries: dict[Key, Entry], *, initial: bool) -> None:
        """Replaces what the store has of one namespace by what was just read there; for kinds without a watch.
        ``initial``: it is the first read.
        """
        for old in self.in_namespace(namespace):
            if old.key not in entries:
                self.refresh(old.key, None, initial=initial)
        for key, entry in entries.items():
            self.refresh(key, entry, initial=initial)

    def refresh(self, key: Key, new: Entry | None, *, initial: bool = False) -> None:
        """Takes what a request for one object has just returned, whatever its version; None: it does not exist."""
        old = self._entries.get(key)
        if old is not None and (new is None or old.uid != new.uid):
            self._record_deletion(old.uid, old.version)
        if new is None:
            if old is not None:
                del self._entries[key]
                self._unindex(old)
                self._notify(Change(old, None, own=True, initial=initial))
        elif old is not None and is_same(old, new):
            self._entries[key] = new
        else:
            self._index_and_notify(old, new, own=True, initial=initial)

    def strip(self, namespace: str) -> None:
        """Drops the confidential content of the namespace's objects."""
        for entry in self.in_namespace(namespace):
            if not entry.partial:
                self._entries[entry.key] = without_data(entry)

    def begin_list(self) -> None:
        """A consistent list is about to be requested: what is known now and not in the list no longer exists."""
        self._since_list = set()

    def set_api_version(self, resource: Resource) -> None:
        """The kind is followed in another version from now on; what is cached stays until the next list is complete,
        which reads each object again: the same resourceVersion may have another content in another version.
        """
        self.resource = resource
        self._reread = True

    def replace_all(self, entries: dict[Key, Entry], list_version: int) -> None:
        """Replaces the store's content by a complete, consistent list, except what decco wrote after it was requested
        (``begin_list``; without that call, except all that is newer than the list).
        """
        for _ in self.replace_stepwise(entries, list_version):
            pass

    def replace_stepwise(self, entries: dict[Key, Entry], list_version: int) -> Iterator[None]:
        """As ``replace_all``, one object at each step, so that the caller can let others run in between."""
        since = self._since_list
        self._listed = list_version
        if since is not None:
            self._gone = Tombstones()  # the list reflects former writes and deletions
        for key in list(self._entries):
            old = self._entries.get(key)
            if old is not None and key not in entries and not self._is_later(old, list_version):
                self._record_deletion(old.uid, list_version)
                self._delete(old)
            yield
        for entry in entries.values():
            old = self._entries.get(entry.key)
            if old is None or not self._is_later(old, list_version):
                if old is None or since is None:
                    self._apply(entry, own=False, initial=True)
                else:
                    self._replace(old, entry)
            yield
        self._since_list = None
        self._reread = False
        self.lists += 1
        self.unlisted = ""

    def _is_later(self, entry: Entry, list_version: int) -> bool:
        """Whether decco wrote this after the list was taken."""
        return entry.version > list_version and (self._since_list is None or entry.uid in self._since_list)

    def _replace(self, old: Entry, new: Entry) -> None:
        """Takes the list's entry, also for a higher version: that is one of a history that a restore has ended."""
        if old.uid == new.uid:
            if self._since_list is not None and new.uid in self._since_list:
                new = replace(new, deleting=new.deleting or old.deleting)
            if self._reread:
                self._resettle(old, new)
        if is_same(old, new, in_another_form=self._reread):
            self._entries[new.key] = new
            return
        if old.uid != new.uid:
            self._record_deletion(old.uid, new.version)
        elif new.version <= old.version:
            self.settled.pop(new.uid, None)
        self._index_and_notify(old, new, initial=True)

    def _resettle(self, old: Entry, new: Entry) -> None:
        """Carries what is known of decco's last write over to another version of the kind. Without a write in between
        the content is the same in another form; otherwise the cause of a difference is not known.
        """
        if self.settled.get(old.uid) != (old.content, old.meta):
            self.settled.pop(old.uid, None)
        elif old.version == new.version:
            self.settled[old.uid] = (new.content, new.meta)
        elif old.content != new.content:
            self.settled.pop(old.uid, None)

    def _apply(self, new: Entry, *, own: bool, initial: bool) -> None:
        old = self._entries.get(new.key)
        if self._gone.version(new.uid) >= new.version or (old is not None and old.version >= new.version):
            return
        if own and self._since_list is not None:
            self._since_list.add(new.uid)
        if old is not None and old.uid != new.uid:
            self._record_deletion(old.uid, new.version)
        elif old is not None and old.deleting and not new.deleting:
            # A deletion cannot be undone; this is what others wrote before ours was carried out.
            new = replace(new, deleting=True)
        self._index_and_notify(old, new, own=own, initial=initial)

    def _index_and_notify(self, old: Entry | None, new: Entry, *, own: bool = False, initial: bool) -> None:
        if old is not None:
            self._unindex(old)
        self._entries[new.key] = new
        for index, name in self._indices(new):
            index.setdefault(name, {})[new.key] = None
        self._notify(Change(old, new, own, initial))

    def _delete(self, old: Entry) -> None:
        del self._entries[old.key]
        self._unindex(old)
        self._notify(Change(old, None, own=False))

    def _unindex(self, entry: Entry) -> None:
        for index, name in self._indices(entry):
            keys = index.get(name, {})
            keys.pop(entry.key, None)
            if not keys:
                index.pop(name, None)

    def _indices(self, entry: Entry) -> Iterator[tuple[dict[Any, dict[Key, None]], Any]]:
        """Each index that has the entry, and the name below which it is there."""
        yield self._by_namespace, entry.key.namespace
        if entry.deleting:
            yield self._deleting, entry.key.namespace
        if entry.owner_uid:
            yield self._by_owner, entry.owner_uid
        if entry.labelled_owner is not None:
            yield self._by_label, entry.labelled_owner

    def _record_deletion(self, uid: str, version: int) -> None:
        self.settled.pop(uid, None)
        self._gone.record(uid, version)

    def _notify(self, change: Change) -> None:
        for subscriber in self._subscribers:
            subscriber(change)
