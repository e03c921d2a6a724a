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

Identity is the owner's UID. An object of the wanted name that another owner controls is never written to.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from decco.errors import ReconcileError
from decco.kube.errors import AlreadyExists, NotFound
from decco.kube.ownership import MISSING, Path, lookup
from decco.kube.store import Entry, Shape, Store, content_of, digest, without
from decco.objects import ANNOTATION_HASH, Key, Obj, Resource, annotations_of, controller_of, key_of, uid_of

# Fields that the API server keeps although they are false: their removal is an alteration. Any other False, 0, "" or
# empty list that is missing from the live object was dropped by the server, which does not store zero values.
_KEPT_WHEN_FALSE = frozenset(
    {
        "allowPrivilegeEscalation",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "hostUsers",
        "optional",
        "privileged",
        "readOnlyRootFilesystem",
        "runAsNonRoot",
        "setHostnameAsFQDN",
        "shareProcessNamespace",
    }
)


class Foreign(ReconcileError):
    """An object of the wanted name exists and is not ours; it was not touched."""

    def __init__(self, resource: Resource, key: Key) -> None:
        super().__init__(f"{resource.kind} {key} exists and was not made by decco for this owner")
        self.resource = resource
        self.key = key


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


class Writer(Protocol):
    """The part of the client that writes."""

    async def get(self, resource: Resource, key: Key) -> Obj: ...
    async def create(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj: ...
    async def replace(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj: ...
    async def delete(self, resource: Resource, key: Key, *, uid: str) -> None: ...


class Applier:
    """Applies and prunes the objects that one owner controls."""

    def __init__(self, client: Writer, stores: Mapping[Resource, Store]) -> None:
        self._client = client
        self._stores = stores
        self._foreign: dict[tuple[Resource, Key], None] = {}

    async def ensure(self, resource: Resource, desired: Obj) -> Applied:
        """Makes the object exist as desired.

        ``desired`` carries a controller owner reference with a UID; labels and annotations whose value is None must
        be absent. Raises Foreign, or what the client raises.
        """
        store = self._stores[resource]
        key = key_of(desired)
        owner = controller_of(desired)
        assert owner is not None, f"{resource.kind} {key} has no controller"
        entry = store.get(key)
        if entry is None:
            return await self._create(store, key, owner["uid"], desired)
        self._foreign.pop((resource, key), None)
        if entry.owner_uid != owner["uid"]:
            raise Foreign(resource, key)
        return await self._update(store, entry, desired)

    async def prune(self, owner_uid: str, keep: Collection[tuple[Resource, Key]]) -> int:
        """Deletes what this owner controls and no longer wants; returns how many were asked to go."""
        asked = 0
        for resource, store in self._stores.items():
            for entry in store.owned_by(owner_uid):
                if (resource, entry.key) not in keep and not entry.deleting:
                    await self.delete(store, entry)
                    asked += 1
        return asked

    async def delete(self, store: Store, entry: Entry) -> None:
        await self._client.delete(store.resource, entry.key, uid=entry.uid)
        store.mark_deleting(entry.key, entry.uid)

    async def _create(self, store: Store, key: Key, owner_uid: str, desired: Obj) -> Applied:
        resource = store.resource
        if (resource, key) not in self._foreign:
            try:
                made = await self._client.create(resource, _wire(desired), strict=True)
            except AlreadyExists:
                # Not in the cache: foreign, or ours without the label that decco watches by. A look tells.
                pass
            else:
                return self._settle(store, made, Result.CREATED)
        try:
            live = await self._client.get(resource, key)
        except NotFound:
            # It went between the two requests. The next turn creates it.
            self._foreign.pop((resource, key), None)
            return Applied(Result.WAITING, None)
        controller = controller_of(live)
        if controller is None or controller["uid"] != owner_uid:
            self._foreign[resource, key] = None
            raise Foreign(resource, key)
        self._foreign.pop((resource, key), None)
        if "deletionTimestamp" in live["metadata"]:
            return Applied(Result.WAITING, None)
        updated = await self._client.replace(resource, rebuild(live, desired, store.shape), strict=True)
        return self._settle(store, updated, Result.UPDATED)

    async def _update(self, store: Store, entry: Entry, desired: Obj) -> Applied:
        if entry.deleting:
            return Applied(Result.WAITING, entry)
        wanted = hash_of(desired)
        known = store.settled.get(entry.uid)
        if entry.written == wanted and known == (entry.content, entry.meta):
            return Applied(Result.UNCHANGED, entry)
        live = entry.obj()
        shape = store.shape
        if any(lookup(live, path) != lookup(desired, path) for path in shape.replace_if):
            await self.delete(store, entry)
            return Applied(Result.DELETED, entry)
        body = rebuild(live, desired, shape)
        if entry.written == wanted and _same_meta(live, body):
            intact = known[0] == entry.content if known else not altered(live, desired, entry.foreign, shape)
            if intact or (shape.mutable is not None and content_of(body) == content_of(live)):
                store.settled[entry.uid] = (entry.content, entry.meta)
                return Applied(Result.UNCHANGED, entry)
        updated = await self._client.replace(store.resource, body, strict=True)
        return self._settle(store, updated, Result.UPDATED)

    def _settle(self, store: Store, answer: Obj, result: Result) -> Applied:
        uid, key = uid_of(answer), key_of(answer)
        store.put(answer, own=True)
        entry = store.get(key)
        if entry is not None and entry.uid == uid and entry.version == int(answer["metadata"]["resourceVersion"]):
            store.settled[uid] = (entry.content, entry.meta)
        return Applied(result, entry)


def hash_of(desired: Obj) -> str:
    """The digest that decco writes as an annotation, so that a later version knows what this one wanted."""
    return digest([content_of(desired), desired["metadata"].get("labels"), annotations_of(desired)]).hex()


def _wire(desired: Obj) -> Obj:
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
    wire = _wire(desired)["metadata"]
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
            body = _set(body, path, lookup(desired, path))
        return {**head, **body}
    body = copy.deepcopy(content_of(desired))
    taken_back = {
        path
        for path, annotation in shape.until
        if annotations_of(live).get(annotation) != annotations_of(desired).get(annotation)
    }
    for path in shape.yields:
        theirs = lookup(live, path)
        if path in taken_back or theirs is MISSING:
            continue
        ours = lookup(desired, path)
        body = _set(body, path, {**theirs, **ours} if isinstance(theirs, dict) and isinstance(ours, dict) else theirs)
    return {**head, **body}


def _overlay(live: Obj | None, desired: Obj | None, present: Obj) -> Obj:
    """``live`` with ours on top, and without the keys that we want gone."""
    gone = {name for name, value in (desired or {}).items() if value is None}
    return {**{name: value for name, value in (live or {}).items() if name not in gone}, **present}


def _owners(live: list[Obj], desired: list[Obj]) -> list[Obj]:
    ours = {owner["uid"] for owner in desired}
    # Only one owner may say controller: true, and it is ours.
    others = [{**owner, "controller": False} if owner.get("controller") else owner for owner in live]
    return [*(owner for owner in others if owner["uid"] not in ours), *desired]


def _set(node: Any, path: Path, value: Any) -> Any:
    """A copy of ``node`` with ``value`` at ``path``; MISSING takes the field away."""
    head, rest = path[0], path[1:]
    changed = dict(node) if isinstance(node, dict) else {}
    if rest:
        if value is MISSING and head not in changed:
            return changed
        changed[head] = _set(changed.get(head), rest, value)
    elif value is MISSING:
        changed.pop(head, None)
    else:
        changed[head] = value
    return changed


def _same_meta(live: Obj, body: Obj) -> bool:
    """Whether the PUT would leave labels, annotations and owners as they are."""
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
    ours, theirs = without(content_of(desired), shape.yields), without(content_of(live), shape.yields)
    for path in foreign:
        value = lookup(theirs, path)
        if value is not MISSING and value != lookup(ours, path):
            return True
    return not _covers(theirs, ours)


def _covers(live: Any, desired: Any) -> bool:
    """Whether all that decco wrote is still there (values aside)."""
    if isinstance(desired, dict):
        if not isinstance(live, dict):
            return False
        return all(
            _covers(live[name], value) if name in live else _dropped_by_server(name, value)
            for name, value in desired.items()
        )
    if isinstance(desired, list):
        return isinstance(live, list) and len(live) == len(desired) and all(map(_covers, live, desired))
    return True


def _dropped_by_server(name: str, value: Any) -> bool:
    return not value and not (value is False and name in _KEPT_WHEN_FALSE)
