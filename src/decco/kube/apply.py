"""Making one object what it should be, with at most one write, and with none if it is so already.

A create is a POST and a change is a PUT with the resourceVersion it was worked out from: on a real API server both
cost less than half of a server-side apply, and a no-op apply costs as much as a change. What a PUT must keep (labels
and annotations that others added, finalizers, what the kind yields) is taken from the cached live object.

When is a write needed?

1. The digest of the desired object differs from the one that decco wrote as an annotation: decco wants something
   else now.
2. The live content differs from what the server made of our last write: somebody altered it. Within one life of the
   process that is an exact comparison of digests (``Store.settled``). After a restart there is none, so the live
   object is looked at: a content path owned by another field manager (``ownership.py``) or one of our own fields
   gone.
3. Labels, annotations or owner references that decco wants are not there, or one that it wants gone is.

Identity is the owner's UID. An object of the wanted name that another owner controls is never written to, nor one
that nobody controls, unless the object itself proves that it is decco's: see ``_is_ours``.

An object that is being deleted and held by a finalizer is kept as desired until it is gone, if its shape says so:
what it isolates or routes is in effect as long as it exists.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from decco.errors import ReconcileError
from decco.kube.errors import AlreadyExists, Invalid, KubeError, NotFound
from decco.kube.fights import Fights
from decco.kube.ownership import MISSING, Path, lookup, other_managers
from decco.kube.store import Entry, Shape, Store, content_of, digest, guarded, read_entry, with_value
from decco.objects import ANNOTATION_HASH, Key, Obj, Resource, annotations_of, controller_of, key_of

# Fields that the API server keeps although they are false or 0: their absence is an alteration. Any other False, 0, ""
# or empty list that the live object lacks was left out by the server, which stores no zero values.
_KEPT_WHEN_ZERO = frozenset(
    {
        "allowPrivilegeEscalation",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "fsGroup",
        "hostUsers",
        "optional",
        "privileged",
        "readOnlyRootFilesystem",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "setHostnameAsFQDN",
        "shareProcessNamespace",
        "tolerationSeconds",
    }
)
# Maps with keys of the user's own: these the server keeps as they are, also with empty values.
_MAPS_OF_TEXT = frozenset({"annotations", "binaryData", "data", "labels", "matchLabels", "nodeSelector"})

_REMEMBERED_FOREIGN = 4096
_ABSENT = object()


class Foreign(ReconcileError):
    """An object of the wanted name exists and is not ours; it was not touched."""

    def __init__(self, resource: Resource, key: Key, labelled_owner: Any = None) -> None:
        """``labelled_owner`` is the owner that the object's labels name, if it has no owner reference."""
        super().__init__(f"{resource.kind} {key} exists and was not made by decco for this owner")
        self.resource = resource
        self.key = key
        self.labelled_owner = labelled_owner


class Contested(ReconcileError):
    """Somebody alters the object again and again; it is left as it is for now.

    Attributes:
        managers: field managers other than decco that wrote to it, as the object says; sorted.
        seconds: until the next repair.
    """

    def __init__(self, resource: Resource, key: Key, managers: tuple[str, ...], seconds: float) -> None:
        super().__init__(f"{resource.kind} {key} is altered again and again by {', '.join(managers) or 'somebody'}")
        self.managers = managers
        self.seconds = seconds


class Result(StrEnum):
    """What came of applying one object."""

    UNCHANGED = "unchanged"
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    WAITING = "waiting"  # the old object is still being deleted; its last event starts the next turn


@dataclass(frozen=True, slots=True)
class Applied:
    """The result, and the live object's entry where there is one."""

    result: Result
    entry: Entry | None
    repaired: bool = False
    """Whether nothing new was wanted: somebody else had changed what decco wrote."""


class Writer(Protocol):
    """The part of the client that writes."""

    async def get(self, resource: Resource, key: Key) -> Obj: ...
    async def create(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj: ...
    async def check(self, resource: Resource, obj: Obj) -> None: ...
    async def replace(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj: ...
    async def delete(self, resource: Resource, key: Key, *, uid: str) -> None: ...


class Applier:
    """Applies and prunes the objects that one owner controls."""

    def __init__(
        self, client: Writer, stores: Mapping[Resource, Store], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._stores = stores
        self._fights = Fights(clock)
        self._foreign: OrderedDict[tuple[Resource, Key], None] = OrderedDict()

    async def ensure(self, resource: Resource, desired: Obj) -> Applied:
        """Makes the object exist as desired.

        ``desired`` carries a controller owner reference with a UID; labels and annotations whose value is None must
        be absent. Raises Foreign, Contested, or what the client raises.
        """
        store = self._stores[resource]
        entry = store.get(key_of(desired))
        if entry is None:
            return await self._create(store, desired)
        if not _is_ours(store, entry, desired):
            raise Foreign(resource, entry.key, entry.labelled_owner)
        return await self._update(store, entry, desired)

    def changes(self, resource: Resource, desired: Obj) -> bool:
        """Whether decco's own object of this name is there, and decco wants something else now than it wrote last."""
        entry = self._stores[resource].get(key_of(desired))
        return (
            entry is not None and entry.written != hash_of(desired) and _is_ours(self._stores[resource], entry, desired)
        )

    def is_as_written(self, resource: Resource, desired: Obj) -> bool:
        """Whether decco's own object of this name is there, and decco wants what it wrote last."""
        entry = self._stores[resource].get(key_of(desired))
        return (
            entry is not None and entry.written == hash_of(desired) and _is_ours(self._stores[resource], entry, desired)
        )

    async def check(self, resource: Resource, desired: Obj) -> None:
        """Raises what the API server would say of this content; changes nothing."""
        await self._client.check(resource, to_wire(desired))

    def is_foreign(self, resource: Resource, key: Key) -> bool:
        """Whether somebody else's object had this name when decco wanted to write its own."""
        return (resource, key) in self._foreign

    async def prune(self, owner_uid: str, keep: Collection[tuple[Resource, Key]], labelled_owner: object = None) -> int:
        """Deletes what this owner controls and no longer wants; returns how many were asked to go.

        Also deletes what has lost its owner reference, if its labels name ``labelled_owner`` and it is proven to be
        decco's. One that cannot be deleted does not keep the others: the first error is raised when all have been
        asked.
        """
        asked = 0
        errors: list[KubeError] = []
        for store in list(self._stores.values()):  # a copy: the cluster may begin to serve another kind meanwhile
            orphans = [entry for entry in store.labelled_for(labelled_owner) if entry.proven]
            for entry in (*store.owned_by(owner_uid), *orphans):
                if (store.resource, entry.key) in keep or entry.deleting:
                    continue
                try:
                    await self.delete(store, entry)
                except KubeError as error:
                    errors.append(error)
                else:
                    asked += 1
        if errors:
            raise errors[0]
        return asked

    def left_over(
        self, owner_uid: str, keep: Collection[tuple[Resource, Key]], labelled_owner: object
    ) -> list[tuple[Resource, Entry]]:
        """What is no longer wanted and what ``prune`` cannot remove: held in deletion, or not proven to be decco's."""
        found: list[tuple[Resource, Entry]] = []
        for store in self._stores.values():
            labelled = store.labelled_for(labelled_owner)
            entries = [entry for entry in (*store.owned_by(owner_uid), *labelled) if entry.deleting]
            entries += [entry for entry in labelled if not entry.proven and not entry.deleting]
            found += [(store.resource, entry) for entry in entries if (store.resource, entry.key) not in keep]
        return found

    async def _brake(self, resource: Resource, key: Key) -> None:
        """Raises Contested while the object's next repair has to wait."""
        left = self._fights.pause_left(resource, key)
        if left == 0:
            return

        async def ask() -> tuple[str, ...]:
            return other_managers(await self._client.get(resource, key))

        raise Contested(resource, key, await self._fights.others(resource, key, ask), left)

    async def delete(self, store: Store, entry: Entry) -> None:
        await self._client.delete(store.resource, entry.key, uid=entry.uid)
        store.mark_deleting(entry.key, entry.uid)

    async def _create(self, store: Store, desired: Obj) -> Applied:
        resource, key = store.resource, key_of(desired)
        if (resource, key) not in self._foreign:
            try:
                made = await self._client.create(resource, to_wire(desired), strict=True)
            except AlreadyExists:
                # Not in the cache: foreign, or ours without the label that decco watches by. A look tells.
                pass
            else:
                return Applied(Result.CREATED, _settle(store, store.read(made)))
        try:
            live = await self._client.get(resource, key)
        except NotFound:
            if self._foreign.pop((resource, key), _ABSENT) is _ABSENT:
                return Applied(Result.WAITING, None)  # it came and went between the two requests
            return await self._create(store, desired)
        entry = read_entry(live, store.shape)
        if not _is_ours(store, entry, desired):
            self._foreign[resource, key] = None
            if len(self._foreign) > _REMEMBERED_FOREIGN:
                self._foreign.popitem(last=False)
            raise Foreign(resource, key, entry.labelled_owner)
        self._foreign.pop((resource, key), None)
        applied = await self._update(store, entry, desired)
        if applied.result in (Result.WAITING, Result.DELETED):
            return Applied(Result.WAITING, None)  # the watch does not see it, so nobody will tell when it is gone
        return applied

    async def _update(self, store: Store, entry: Entry, desired: Obj) -> Applied:
        unchanged = Result.WAITING if entry.deleting else Result.UNCHANGED
        shape = store.shape
        if entry.deleting and not (shape.kept_while_deleting and _is_held(entry)):
            return Applied(Result.WAITING, entry)
        wanted = hash_of(desired)
        known = store.settled.get(entry.uid)
        if entry.written == wanted and known == (entry.content, entry.meta):
            return Applied(unchanged, entry)
        live = entry.obj()
        if entry.written != wanted and _must_be_replaced(live, desired, shape):
            if entry.deleting:
                return Applied(Result.WAITING, entry)
            # What runs is not taken away for something that the server would refuse.
            await self._client.check(store.resource, to_wire(desired))
            await self.delete(store, entry)
            return Applied(Result.DELETED, entry)
        body = rebuild(live, desired, shape)
        if _same_meta(live, body):
            intact = known[0] == entry.content if known else not altered(live, desired, entry.foreign, shape)
            if intact:
                return Applied(unchanged, _settle(store, entry))
        is_repair = entry.written == wanted  # decco wants what it wanted
        if is_repair:
            await self._brake(store.resource, entry.key)
        try:
            updated = await self._client.replace(store.resource, body, strict=True)
        except NotFound:
            return Applied(Result.WAITING, entry)  # deleted a moment ago; that event starts the next turn
        except Invalid:
            if entry.deleting:
                return Applied(Result.WAITING, entry)  # it cannot be changed so; the next one is created as desired
            raise
        if is_repair:
            self._fights.repaired(store.resource, entry.key)
        return Applied(Result.UPDATED, _settle(store, store.read(updated)), repaired=is_repair)


def _settle(store: Store, made: Entry) -> Entry | None:
    """Remembers ``made`` as what the server made of our last write; returns what the store has now.

    That may be newer (a controller has already reacted to the write) or nothing (the object is gone again).
    """
    store.take(made, own=True)
    entry = store.get(made.key)
    if entry is not None and entry.uid == made.uid:
        store.settled[made.uid] = (made.content, made.meta)
    return entry


def _is_held(entry: Entry) -> bool:
    """Whether the API server said that the object is being deleted; else only decco's own request says so."""
    return "deletionTimestamp" in entry.obj()["metadata"]


def _is_ours(store: Store, entry: Entry, desired: Obj) -> bool:
    """Whether decco made this object for the owner that ``desired`` names.

    Without an owner reference the object itself has to prove it, by the digest of what this very owner wants (which
    holds the owner's UID) or by its labels. What this process remembers proves nothing: it would be another answer
    after a restart.
    """
    owner = controller_of(desired)
    assert owner is not None, f"{store.resource.kind} {entry.key} has no controller"
    if entry.owner_uid:
        return entry.owner_uid == str(owner["uid"])
    if entry.written == hash_of(desired):
        return True
    labelled = store.shape.labelled_owner
    return entry.labelled_owner is not None and labelled is not None and entry.labelled_owner == labelled(desired)


def _must_be_replaced(live: Obj, desired: Obj, shape: Shape) -> bool:
    """Whether decco wants another value than the live one where none can be written."""
    wanted = ((path, lookup(desired, path)) for path in shape.replace_if)
    return any(value is not MISSING and value != lookup(live, path) for path, value in wanted)


def hash_of(desired: Obj) -> str:
    """The digest that decco writes as an annotation: what it wants, and for which owner (by UID)."""
    owner = controller_of(desired) or {}
    labels = desired["metadata"].get("labels")
    return digest([content_of(desired), labels, annotations_of(desired), owner.get("uid")]).hex()


def to_wire(desired: Obj) -> Obj:
    """The object as it is sent: no None among labels and annotations, the hash added."""
    meta = dict(desired["metadata"])
    meta["labels"] = _present(meta.get("labels"))
    meta["annotations"] = {**_present(meta.get("annotations")), ANNOTATION_HASH: hash_of(desired)}
    return {**desired, "metadata": meta}


def _present(values: Obj | None) -> Obj:
    return {name: value for name, value in (values or {}).items() if value is not None}


def rebuild(live: Obj, desired: Obj, shape: Shape) -> Obj:
    """The whole object to PUT: decco's content, and everything else as it is."""
    meta = live["metadata"]
    wire = to_wire(desired)["metadata"]
    new_meta = {
        **{name: meta[name] for name in ("name", "namespace", "uid", "resourceVersion", "finalizers") if name in meta},
        "labels": _overlay(meta.get("labels"), desired["metadata"].get("labels"), wire["labels"]),
        "annotations": _overlay(meta.get("annotations"), desired["metadata"].get("annotations"), wire["annotations"]),
        "ownerReferences": _owners(meta.get("ownerReferences") or [], wire.get("ownerReferences") or []),
    }
    head = {"apiVersion": desired["apiVersion"], "kind": desired["kind"], "metadata": new_meta}
    if shape.mutable is not None:
        body = content_of(live)
        for path in shape.mutable:
            body = with_value(body, path, lookup(desired, path))
        return {**head, **body}
    body = content_of(desired)
    taken_back = _taken_back(live, desired, shape)
    for path in shape.yields:
        theirs = lookup(live, path)
        if path in taken_back or theirs is MISSING:
            continue
        ours = lookup(desired, path)
        both = isinstance(theirs, dict) and isinstance(ours, dict)
        body = with_value(body, path, {**theirs, **ours} if both else theirs)
    return {**head, **body}


def _taken_back(live: Obj, desired: Obj, shape: Shape) -> set[Path]:
    """Yielded paths that decco writes this time: it wants another value of their annotation than it wrote before.

    An annotation that is gone, or was changed by others while decco still wants the same, says nothing of that kind.
    """
    before, now = annotations_of(live), annotations_of(desired)
    if before.get(ANNOTATION_HASH) == hash_of(desired):
        return set()
    return {path for path, name in shape.until if name in before and before[name] != now.get(name)}


def _overlay(live: Obj | None, desired: Obj | None, present: Obj) -> Obj:
    """``live`` with ours on top, and without the keys that we want gone."""
    gone = {name for name, value in (desired or {}).items() if value is None}
    return {**{name: value for name, value in (live or {}).items() if name not in gone}, **present}


def _owners(live: list[Obj], desired: list[Obj]) -> list[Obj]:
    ours = {owner["uid"] for owner in desired}
    return [*(owner for owner in live if owner["uid"] not in ours), *desired]


def _same_meta(live: Obj, body: Obj) -> bool:
    """Whether the PUT would leave labels, annotations (the hash among them) and owners as they are."""
    old, new = live["metadata"], body["metadata"]
    return (
        (old.get("labels") or {}) == new["labels"]
        and (old.get("annotations") or {}) == new["annotations"]
        and sorted(map(digest, old.get("ownerReferences") or [])) == sorted(map(digest, new["ownerReferences"]))
    )


def altered(live: Obj, desired: Obj, foreign: tuple[Path, ...], shape: Shape) -> bool:
    """Whether somebody else changed the content since decco wrote it, seen from the live object alone.

    Values are not compared where decco is the only writer: the server normalizes some (``cpu: 0.5`` becomes
    ``500m``).
    """
    ours, theirs = guarded(desired, shape), guarded(live, shape)
    for path in foreign:
        value = lookup(theirs, path)
        if value is not MISSING and value != lookup(ours, path):
            return True
    return not _covers(theirs, ours)


def _covers(live: Any, desired: Any, name: str = "") -> bool:
    """Whether all that decco wrote in the field ``name`` is still there, and lists in their order (values aside)."""
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(
            _covers(live[inner], value, inner) if inner in live else _left_out_by_server(name, inner, value)
            for inner, value in desired.items()
        )
    if isinstance(desired, list):
        return isinstance(live, list) and len(live) == len(desired) and all(map(_covers, live, desired))
    return name != "name" or live == desired


def _left_out_by_server(within: str, name: str, value: Any) -> bool:
    return not value and within not in _MAPS_OF_TEXT and not (value == 0 and name in _KEPT_WHEN_ZERO)
