"""The cache of one kind: many readers, moved forward by its informer and by decco's own writes.

An object is kept as compressed JSON without ``managedFields`` and decoded anew for each reader, so no reader can change
what another sees, and 10,000 Deployments cost tens of megabytes instead of hundreds. What a reconcile looks at each
time (owner, generation, digests) is worked out once, on the way in.

Three rules keep the cache right although two sources feed it:

* between two lists an entry only moves to a higher resourceVersion (the API server's are integers that grow, KEP-5504);
* an object that was seen to leave comes back only at a higher resourceVersion (the answer to our own write may
  arrive after the event of the object's deletion; an object that lost the label decco watches by leaves too, and may
  come back);
* a complete list replaces everything, whatever its version, but for what decco wrote after it was requested; nothing
  older than the list counts from then on. After a restore of etcd the versions of a list are lower than those in the
  cache, or they belong to another history that has overtaken them: the list is right in both cases.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from sys import intern
from typing import Any

import orjson

from decco.kube.depth import shallow
from decco.kube.ownership import MISSING, Path, foreign_paths, is_manager, lookup
from decco.kube.tombstones import Tombstones
from decco.objects import ANNOTATION_HASH, Key, Obj, Resource, key_of

_NO_KEYS: dict[Key, None] = {}


@dataclass(frozen=True, slots=True)
class Shape:
    """How a kind is read on the way into its store, and how it may be written (see ``apply.py``).

    ``yields``: paths that belong to others once the object exists, such as a Deployment's replicas: left out of the
    content digest and carried over from the live object at a write. ``until`` names, for some of them, the
    annotation whose change takes the path back. A yielded map keeps the others' keys and gets ours.
    """

    yields: tuple[Path, ...] = ()
    until: tuple[tuple[Path, str], ...] = ()
    mutable: tuple[Path, ...] | None = None
    """If set, a write changes only these paths of the content; the rest of the live object stays, whoever changes it
    (Job)."""
    admitted: tuple[Path, ...] = ()
    """Mutable paths that admission may have set: a write keeps them where decco wants no value, but for one that
    repairs an alteration."""
    replace_if: tuple[Path, ...] = ()
    """A difference here cannot be written in place: the object is deleted and made anew."""
    recreate: bool = False
    """Whether an object that is immutable to a wanted change is deleted and created again: nothing is lost by that."""
    foreground: bool = False
    """Whether decco deletes it in the foreground: it stays until its dependents (pods) are gone."""
    facts: Callable[[Obj], Any] | None = None
    """Works out what others ask of this object often; an exception it raises becomes the facts."""
    labelled_owner: Callable[[Obj], Any] | None = None
    """Works out which owner the labels and annotations of an object without controller name; None: no owner."""
    marked: Callable[[Obj], bool] | None = None
    """If set, an owner reference counts only on an object for which this is true."""
    kept_while_deleting: bool = True
    """Whether the object is still kept as desired while it is being deleted and something holds it."""
    digests: bool = True
    """Whether the kind is one that decco writes, so that alterations must be noticed."""


UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Entry:
    """One object in a store. ``raw`` is its compressed JSON without managedFields; the digests are of decoded parts."""

    key: Key
    uid: str
    version: int
    generation: int
    owner_uid: str
    raw: bytes
    written: str
    """The hash annotation: digest of the desired object that decco wrote last, "" if none."""
    content: bytes
    """Digest of what decco keeps as it wants it, see ``guarded``."""
    meta: bytes
    """Digest of labels, annotations, owner references and finalizers."""
    foreign: tuple[Path, ...]
    """Content paths that other field managers own."""
    deleting: bool
    ready: str
    """Status of the condition Ready; UNKNOWN if there is none."""
    facts: Any
    labelled_owner: Any = None
    """See ``Shape.labelled_owner``; None if the object has a controller."""
    proven: bool = False
    """Of an object with a labelled owner: whether it also has the hash annotation and decco among its field managers,
    so it is no copy that somebody made of one of decco's objects."""

    def obj(self) -> Obj:
        """The object, decoded for this caller alone."""
        decoded: Obj = orjson.loads(zlib.decompress(self.raw))
        return decoded


def digest(value: object) -> bytes:
    """A digest that is equal for equal JSON values, whatever the order of their keys."""
    return blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=12).digest()


def without(content: Obj, paths: tuple[Path, ...]) -> Obj:
    """``content`` less the given paths; copies only the maps on the way."""
    for path in paths:
        content = with_value(content, path, MISSING)
    return content


def with_value(node: Any, path: Path, value: Any) -> Any:
    """``node`` with ``value`` at ``path``, or without the field if it is MISSING; copies only the maps on the way."""
    head, rest = path[0], path[1:]
    if value is MISSING and (not isinstance(node, dict) or head not in node):
        return node
    changed = dict(node) if isinstance(node, dict) else {}
    if rest:
        changed[head] = with_value(changed.get(head), rest, value)
    elif value is MISSING:
        del changed[head]
    else:
        changed[head] = value
    return changed


_NOT_CONTENT = frozenset({"apiVersion", "kind", "metadata", "status"})


def content_of(obj: Obj) -> Obj:
    """What a person would call the body of the object: spec, data, rules, but no metadata and no status."""
    return {name: value for name, value in obj.items() if name not in _NOT_CONTENT}


def guarded(obj: Obj, shape: Shape) -> Obj:
    """The part of the content that decco repairs when others change it: not what the kind yields or cannot change."""
    content = content_of(obj)
    if shape.mutable is not None:
        whole, content = content, {}
        for path in shape.mutable:
            content = with_value(content, path, lookup(whole, path))
    return without(content, shape.yields)


def _ready(obj: Obj) -> str:
    try:
        conditions = (obj.get("status") or {}).get("conditions") or ()
        return next((str(c.get("status", UNKNOWN)) for c in conditions if c.get("type") == "Ready"), UNKNOWN)
    except (AttributeError, TypeError):  # a status of a custom resource can be anything that its schema lets through
        return UNKNOWN


def read_entry(obj: Obj, shape: Shape) -> Entry:
    """Takes over ``obj`` (its managedFields are dropped from it) and works out its entry."""
    managed = obj["metadata"].pop("managedFields", None)
    try:
        text = orjson.dumps(obj)
    except TypeError:  # too deep to be written, and so too deep for any reader
        obj = shallow(obj)
        text = orjson.dumps(obj)
    # Compressed, a child takes 0.6 KB instead of 1.6 (30 µs on the way in, 8 to read). Not kept as it is in any case:
    # orjson's answer holds on to the buffer that it was written into, 12 KB for 1.7 KB of text (orjson 3.13).
    raw = zlib.compress(text, 1)
    meta = obj["metadata"]
    annotations = meta.get("annotations") or {}
    owners = meta.get("ownerReferences") or ()
    # The children of one owner, and the objects of one namespace, share these texts.
    owner_uid = intern(next((owner["uid"] for owner in owners if owner.get("controller")), ""))
    if shape.marked is not None and owner_uid and not shape.marked(obj):
        owner_uid = ""
    labelled_owner = shape.labelled_owner(obj) if shape.labelled_owner is not None and not owner_uid else None
    content = meta_digest = b""
    foreign: tuple[Path, ...] = ()
    if shape.digests:
        content = digest(guarded(obj, shape))
        meta_digest = digest([meta.get("labels"), annotations, owners, meta.get("finalizers")])
        foreign = foreign_paths(managed or [])
    facts = None
    if shape.facts is not None:
        try:
            facts = shape.facts(obj)
        except Exception as error:  # noqa: BLE001 - one undecodable object stops no other; its reconciler reports it
            facts = error
    return Entry(
        key=key_of(obj),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        generation=meta.get("generation", 0),
        owner_uid=owner_uid,
        raw=raw,
        written=annotations.get(ANNOTATION_HASH, ""),
        content=content,
        meta=meta_digest,
        foreign=foreign,
        deleting="deletionTimestamp" in meta,
        ready=_ready(obj),
        facts=facts,
        labelled_owner=labelled_owner,
        proven=labelled_owner is not None and ANNOTATION_HASH in annotations and is_manager(managed or []),
    )


@dataclass(slots=True)
class Change:
    """One step of a store: ``old`` is None for a new object, ``new`` for one that is gone."""

    old: Entry | None
    new: Entry | None
    own: bool
    """Whether decco's own write brought it, rather than the watch."""
    initial: bool = False
    """Whether it is part of a list rather than something that happened just now."""

    @property
    def entry(self) -> Entry:
        entry = self.new or self.old
        assert entry is not None
        return entry


Subscriber = Callable[[Change], None]


@dataclass(slots=True, eq=False)
class Store:
    """All objects of one kind that decco watches."""

    resource: Resource
    shape: Shape = field(default_factory=Shape)
    settled: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    """UID -> (content, meta) digests that are known to be what the server made of decco's last write."""
    _entries: dict[Key, Entry] = field(default_factory=dict)
    _by_owner: dict[str, dict[Key, None]] = field(default_factory=dict)
    _by_namespace: dict[str, dict[Key, None]] = field(default_factory=dict)
    _by_label: dict[Any, dict[Key, None]] = field(default_factory=dict)
    _gone: Tombstones = field(default_factory=Tombstones)
    _listed: int = 0
    """Version of the last list: what is not newer and not in the list is gone, however late the answer to a write."""
    _since_list: set[str] | None = None
    """UIDs that decco wrote or asked to delete since the list under way was requested; None: no list is under way."""
    unlisted: str = ""
    """Why the store does not show what the cluster holds: never listed, and the last error; "" once it was listed."""
    _reread: bool = False
    """Whether the next list is in another version of the kind, so that equal versions do not mean equal content."""
    _subscribers: list[Subscriber] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def get(self, key: Key) -> Entry | None:
        return self._entries.get(key)

    def owned_by(self, uid: str) -> list[Entry]:
        """Entries whose controller owner has this UID."""
        return [self._entries[key] for key in self._by_owner.get(uid, _NO_KEYS)]

    def labelled_for(self, owner: Any) -> list[Entry]:
        """Entries without controller whose labels and annotations name this owner."""
        return [self._entries[key] for key in self._by_label.get(owner, _NO_KEYS)]

    def labelled_owners(self) -> list[Any]:
        """The owners that entries without controller name."""
        return list(self._by_label)

    def in_namespace(self, namespace: str) -> list[Entry]:
        return [self._entries[key] for key in self._by_namespace.get(namespace, _NO_KEYS)]

    def subscribe(self, subscriber: Subscriber) -> None:
        """Calls ``subscriber`` after each step, in order; it must not block."""
        self._subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Calls it no more."""
        self._subscribers.remove(subscriber)

    def read(self, obj: Obj) -> Entry:
        """The entry that ``obj`` would be; the one in the store if that is the same version. Takes ``obj`` over."""
        meta = obj["metadata"]
        old = self._entries.get(key_of(obj))
        known = old is not None and old.uid == meta["uid"] and old.version == int(meta["resourceVersion"])
        if old is not None and known and not self._reread:
            return old
        return read_entry(obj, self.shape)

    def put(self, obj: Obj, *, own: bool) -> Entry:
        """Reads the object and takes its entry, which is returned whether it was news or not. Takes ``obj`` over."""
        entry = self.read(obj)
        self.take(entry, own=own)
        return entry

    def take(self, entry: Entry, *, own: bool) -> None:
        """Moves the object's entry forward, unless the store already knows as much or more."""
        if entry.version > self._listed:
            self._move(entry, own=own, initial=False)

    def remove(self, key: Key, uid: str, version: int) -> None:
        """The object with this UID has left, at this resourceVersion."""
        old = self._entries.get(key)
        if old is not None and old.uid == uid and old.version > version:
            return  # it lost the label that decco watches by, and our own write has put it back since
        self._bury(uid, version)
        if old is not None and old.uid == uid:
            del self._entries[key]
            self._unindex(old)
            self._tell(Change(old, None, own=False))

    def mark_deleting(self, key: Key, uid: str) -> None:
        """decco has asked for the deletion; its event is still to come."""
        entry = self._entries.get(key)
        if entry is not None and entry.uid == uid:
            self._entries[key] = replace(entry, deleting=True)
            if self._since_list is not None:
                self._since_list.add(uid)

    def begin_list(self) -> None:
        """A consistent list is about to be requested: it shows all that is known now, or that is not true any more."""
        self._since_list = set()

    def switch(self, resource: Resource) -> None:
        """The kind is followed in another version from now on. What is cached is read again with the next list, and
        what is known of decco's own writes, which is about content in the former version, is forgotten.
        """
        self.resource = resource
        self.settled.clear()
        self._reread = True

    def swap(self, entries: dict[Key, Entry], list_version: int) -> None:
        """Makes the store what a complete, consistent list says, but for what decco wrote after it was requested
        (``begin_list``; without that, for all that is newer than the list).
        """
        for _ in self.swapping(entries, list_version):
            pass

    def swapping(self, entries: dict[Key, Entry], list_version: int) -> Iterator[None]:
        """As ``swap``, one object at each step, so that the caller can let others run in between."""
        since = self._since_list
        self._listed = list_version
        if since is not None:
            self._gone = Tombstones()  # of former writes and deletions the list knows
        for key, old in list(self._entries.items()):
            if key not in entries and not self._is_later(self._entries.get(key), list_version):
                self._drop(key, old.uid, list_version)
            yield
        for entry in entries.values():
            if not self._is_later(self._entries.get(entry.key), list_version):
                self._replace(entry, forward_only=since is None)
            yield
        self._since_list = None
        self._reread = False
        self.unlisted = ""

    def _is_later(self, entry: Entry | None, list_version: int) -> bool:
        """Whether decco wrote this after the list was taken."""
        if entry is None or entry.version <= list_version:
            return False
        return self._since_list is None or entry.uid in self._since_list

    def _drop(self, key: Key, uid: str, list_version: int) -> None:
        """The list does not have the object."""
        old = self._entries.get(key)
        if old is None or old.uid != uid:
            return
        self._bury(uid, list_version)
        del self._entries[key]
        self._unindex(old)
        self._tell(Change(old, None, own=False))

    def _replace(self, new: Entry, *, forward_only: bool) -> None:
        """Takes the list's entry, also for a higher version: that is one of a history that a restore has ended."""
        old = self._entries.get(new.key)
        if forward_only or old is None:
            self._move(new, own=False, initial=True)
            return
        if old.uid == new.uid and self._since_list is not None and new.uid in self._since_list:
            new = replace(new, deleting=new.deleting or old.deleting)
        if (old.uid, old.version, old.deleting) == (new.uid, new.version, new.deleting):
            self._entries[new.key] = new
            return
        if old.uid != new.uid:
            self._bury(old.uid, new.version)
        elif new.version < old.version:
            self.settled.pop(new.uid, None)
        self._unindex(old)
        self._entries[new.key] = new
        self._index(new)
        self._tell(Change(old, new, own=False, initial=True))

    def _move(self, new: Entry, *, own: bool, initial: bool) -> None:
        old = self._entries.get(new.key)
        if self._gone.version(new.uid) >= new.version or (old is not None and old.version >= new.version):
            return
        if own and self._since_list is not None:
            self._since_list.add(new.uid)
        if old is not None:
            if old.uid != new.uid:
                self._bury(old.uid, new.version)
            elif old.deleting and not new.deleting:
                # Nothing takes a deletion back; this is what others wrote before ours was carried out.
                new = replace(new, deleting=True)
            self._unindex(old)
        self._entries[new.key] = new
        self._index(new)
        self._tell(Change(old, new, own, initial))

    def _index(self, entry: Entry) -> None:
        if entry.owner_uid:
            self._by_owner.setdefault(entry.owner_uid, {})[entry.key] = None
        if entry.labelled_owner is not None:
            self._by_label.setdefault(entry.labelled_owner, {})[entry.key] = None
        self._by_namespace.setdefault(entry.key.namespace, {})[entry.key] = None

    def _unindex(self, entry: Entry) -> None:
        indices: tuple[tuple[dict[Any, dict[Key, None]], Any], ...] = (
            (self._by_owner, entry.owner_uid),
            (self._by_label, entry.labelled_owner),
            (self._by_namespace, entry.key.namespace),
        )
        for index, name in indices:
            keys = index.get(name)
            if keys is not None:
                keys.pop(entry.key, None)
                if not keys:
                    del index[name]

    def _bury(self, uid: str, version: int) -> None:
        self.settled.pop(uid, None)
        self._gone.bury(uid, version)

    def _tell(self, change: Change) -> None:
        for subscriber in self._subscribers:
            subscriber(change)
