"""Brings one object to its desired state with at most one write, and without a write if it is in that state.

A create is a POST and a change is a PUT with the resourceVersion it was worked out from: on a real API server both cost
less than half of a server-side apply, and a no-op apply costs as much as a change. What a PUT must keep (labels and
annotations that others added, finalizers, unmanaged fields) is taken from the cached live object.

When is a write needed?

1. The digest of the desired object differs from the one that decco wrote as an annotation: the desired state changed.
2. The live content differs from what the server stored for decco's last write: another writer altered it. Within one
   process that is an exact comparison of digests (``Store.settled``). After a restart there are no digests, so the live
   object is compared with the desired one: a content path is owned by another field manager (``ownership.py``), a field
   is missing or has another value, or there is one that the server does not add (``server_values.py``). Such a
   difference can also come from the cluster's admission; a dry run of the same write distinguishes the two.
3. Desired labels, annotations or owner references are missing, or one that must be absent is present.

A missing object is created. If decco has written the same before, that is a repair as well, and repeated repairs of one
object are delayed by growing pauses (``repair_backoff.py``).

Identity is the owner's UID. An object of the desired name that has another controller is never written. One without a
controller is written only if the object itself proves that decco made it: see ``identity.py``.

An object that is being deleted and has a finalizer is kept as desired until it is gone, if its shape requires it: what
it isolates or routes is in effect as long as it exists.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Protocol

from decco.frozen import frozen
from decco.kube.bounded_map import BoundedMap
from decco.kube.diff import altered, as_created, hash_of, must_be_replaced, rebuild, same_meta, to_wire
from decco.kube.entry import Entry, managed_content, read_entry
from decco.kube.errors import AlreadyExists, ApiError, BadRequest, Invalid, NotFound, NotListed
from decco.kube.identity import Foreign, is_ours, owner_remains, restores_owner
from decco.kube.prune import Pruner, Remover
from decco.kube.repair_backoff import RepairBackoff
from decco.kube.store import Store
from decco.log import get_logger
from decco.objects import ANNOTATION_HASH, Key, Obj, Resource, key_of

log = get_logger(__name__)


class Result(StrEnum):
    UNCHANGED = "unchanged"
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    WAITING = "waiting"  # the old object is still being deleted; its last event starts the next reconcile


@frozen
class Applied:
    """The result, and the live object's entry where there is one."""

    result: Result
    entry: Entry | None
    repaired: bool = False
    """Whether the desired state was unchanged: another writer had changed or deleted what decco wrote."""


class Writer(Remover, Protocol):
    """The part of the client that writes."""

    async def create(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj: ...
    async def check(self, resource: Resource, obj: Obj) -> None: ...
    async def preview(self, resource: Resource, obj: Obj) -> Obj: ...


class Applier:
    """Applies the objects that one owner controls; its ``pruner`` removes them."""

    def __init__(
        self, client: Writer, stores: Mapping[Resource, Store], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._stores = stores
        self._repair_backoff = RepairBackoff(clock, self._is_cached, self._has_short_pauses)
        self.pruner = Pruner(client, stores, self._repair_backoff)
        self._foreign: BoundedMap[tuple[Resource, Key], bool] = BoundedMap()
        self._unmarked: BoundedMap[str, str] = BoundedMap()
        """UID -> hash of what was written last, of objects that admission does not leave the annotation."""

    async def ensure(self, resource: Resource, desired: Obj) -> Applied:
        """Makes the object exist as desired.

        ``desired`` carries a controller owner reference with a UID; labels and annotations whose value is None must
        be absent. It is written in the version of its kind that the store follows now. Raises Foreign, DriftConflict,
        or what the client raises.
        """
        store = self._stores[resource]
        desired = {**desired, "apiVersion": store.resource.api_version}
        if store.unlisted:
            raise NotListed(f"{resource.kind} objects cannot be listed ({store.unlisted})")
        entry = store.get(key_of(desired))
        if entry is None:
            return await self._create(store, desired)
        if not is_ours(store, entry, desired):
            raise Foreign(resource, entry.key, entry.labelled_owner)
        return await self._update(store, entry, desired)

    def changes(self, resource: Resource, desired: Obj) -> bool:
        """Whether decco's own object of this name exists and the desired state differs from the last write."""
        entry = self._own(resource, desired)
        return entry is not None and entry.written != hash_of(desired)

    def state(self, resource: Resource, key: Key) -> tuple[str, bytes, bytes, bool] | None:
        """The state of the live object that a write depends on: another state may get another answer. None if it is
        missing.
        """
        entry = self._stores[resource].get(key)
        return None if entry is None else (entry.uid, entry.content, entry.meta, entry.deleting)

    async def read_live(self, resource: Resource, key: Key) -> Obj | None:
        """The object as it is in the cluster, also if the cache does not have it; None if it does not exist."""
        try:
            return await self._client.get(resource, key)
        except NotFound:
            return None

    def is_as_written(self, resource: Resource, desired: Obj) -> bool:
        """Whether decco's own object of this name exists and the desired state equals the last write."""
        entry = self._own(resource, desired)
        return entry is not None and entry.written == hash_of(desired)

    def _own(self, resource: Resource, desired: Obj) -> Entry | None:
        store = self._stores[resource]
        entry = store.get(key_of(desired))
        return entry if entry is not None and is_ours(store, entry, desired) else None

    async def check(self, resource: Resource, desired: Obj) -> None:
        """Raises the error that the API server would return for this content; changes nothing."""
        await self._client.check(resource, to_wire(desired))

    def _is_cached(self, resource: Resource, key: Key) -> bool:
        store = self._stores.get(resource)
        return store is not None and store.get(key) is not None

    def _has_short_pauses(self, resource: Resource) -> bool:
        store = self._stores.get(resource)
        return store is not None and store.shape.short_repair_backoff

    def is_foreign(self, resource: Resource, key: Key) -> bool:
        """Whether another owner's object had this name when decco tried to write its own."""
        return (resource, key) in self._foreign

    async def _create(self, store: Store, desired: Obj) -> Applied:
        resource, key, desired_hash = store.resource, key_of(desired), hash_of(desired)
        again = self._repair_backoff.is_repeat(resource, key, desired_hash)
        if again:
            await self._repair_backoff.raise_if_paused(resource, key, self._client.get)
        if (resource, key) not in self._foreign:
            try:
                made = await self._client.create(resource, to_wire(desired), strict=True)
            except AlreadyExists:
                pass  # not in the cache: foreign, or ours without the label that decco watches by; a GET distinguishes
            else:
                if again:
                    self._repair_backoff.repaired(resource, key)
                return Applied(Result.CREATED, self._settle(store, store.read(made), desired_hash), repaired=again)
        try:
            live = await self._client.get(resource, key)
        except NotFound:
            if self._foreign.pop((resource, key), False):
                return await self._create(store, desired)
            return Applied(Result.WAITING, None)  # it was created and deleted between the two requests
        entry = read_entry(live, store.shape)
        if not is_ours(store, entry, desired):
            self._foreign[resource, key] = True
            raise Foreign(resource, key, entry.labelled_owner)
        self._foreign.pop((resource, key), False)
        if not store.shape.watched:
            # Its deletion may be remembered at a later version, if etcd was restored since.
            store.refresh(key, entry)
        applied = await self._update(store, entry, desired, live)
        if applied.result in (Result.WAITING, Result.DELETED):
            return Applied(Result.WAITING, None)  # the watch does not select it, so no event reports its deletion
        return applied

    async def _update(self, store: Store, entry: Entry, desired: Obj, live: Obj | None = None) -> Applied:
        """``live`` is the whole object where it was just requested; of a partial entry it is requested if needed."""
        unchanged = Result.WAITING if entry.deleting else Result.UNCHANGED
        shape = store.shape
        if entry.deleting and not (shape.kept_while_deleting and _is_held(entry)):
            return Applied(Result.WAITING, entry)
        desired_hash = hash_of(desired)
        known = store.settled.get(entry.uid)
        if known == (entry.content, entry.meta) and desired_hash in (entry.written, self._unmarked.get(entry.uid)):
            return Applied(unchanged, entry)
        if live is None:
            if entry.partial:
                return await self._read_again(store, entry, desired)
            live = entry.obj()
        if entry.written != desired_hash and must_be_replaced(live, desired, shape):
            return await self._replace(store, entry, desired)
        body = rebuild(live, desired, shape)
        intact = known[0] == entry.content if known else not altered(live, desired, entry.foreign, shape)
        if intact and same_meta(live, body):
            return Applied(unchanged, self._settle(store, entry, desired_hash))
        is_repair = entry.written == desired_hash  # the desired state is unchanged
        if is_repair:
            await self._repair_backoff.raise_if_paused(store.resource, entry.key, self._client.get)
        unsure = known is None and entry.written in (desired_hash, "")
        applied = await self._write(store, entry, desired, live, body, by_admission=unsure)
        if not is_repair or applied.result in (Result.WAITING, Result.UNCHANGED):
            return applied
        self._repair_backoff.repaired(store.resource, entry.key)
        return replace(applied, repaired=True)

    async def _write(
        self, store: Store, entry: Entry, desired: Obj, live: Obj, body: Obj, *, by_admission: bool
    ) -> Applied:
        """PUTs ``body``, or replaces the object where the server refuses the change.

        ``by_admission``: the difference may come from admission, which a dry run shows.
        """
        desired_hash = hash_of(desired)
        try:
            if by_admission and await self._is_admitted_as(store, live, body):
                return Applied(Result.UNCHANGED, self._settle(store, entry, desired_hash))
            if restores_owner(live, desired) and not await owner_remains(self._client, desired):
                return Applied(Result.WAITING, entry)  # the event of the owner's deletion starts the next reconcile
            updated = await self._client.replace(store.resource, body, strict=True)
        except NotFound as error:
            return await self._not_found(store, entry, desired, error)
        except Invalid as error:
            if not (entry.deleting or (store.shape.recreate and error.immutable)):
                raise
            return await self._replace(store, entry, desired)
        return Applied(Result.UPDATED, self._settle(store, store.read(updated), desired_hash))

    async def _not_found(self, store: Store, entry: Entry, desired: Obj, error: NotFound) -> Applied:
        """A write got 404. A webhook can refuse with it too: then the object is still there, and no event follows."""
        try:
            found = read_entry(await self._client.get(store.resource, entry.key), store.shape)
        except NotFound:
            return await self._gone(store, entry, desired)
        if found.uid == entry.uid:
            raise error
        if not store.shape.watched:
            store.refresh(entry.key, found)
        return Applied(Result.WAITING, entry)  # another object has its name since: a change that starts a reconcile

    async def _gone(self, store: Store, entry: Entry, desired: Obj) -> Applied:
        """The object was deleted a moment ago, which a watch will report."""
        if store.shape.watched:
            return Applied(Result.WAITING, entry)  # that event starts the next reconcile
        store.refresh(entry.key, None)
        return await self._create(store, desired)

    async def _read_again(self, store: Store, entry: Entry, desired: Obj) -> Applied:
        """Updates an object of which the store has only a part."""
        try:
            live = await self._client.get(store.resource, entry.key)
        except NotFound:
            return await self._gone(store, entry, desired)
        found = read_entry(live, store.shape)
        if not store.shape.watched:
            store.refresh(entry.key, found)
        if not is_ours(store, found, desired):
            raise Foreign(store.resource, found.key, found.labelled_owner)
        return await self._update(store, found, desired, live)

    async def _is_admitted_as(self, store: Store, live: Obj, body: Obj) -> bool:
        """Whether the write of ``body`` would leave ``live`` as it is: the difference then comes from admission.

        At most one check for each object and process. The answer cannot be forged, and the object stores nothing for
        it. A policy may apply to creations only, so the creation is tried as well, under another name; not for a
        namespace, whose name says which Space it is of: decco's own policy would report a stolen token.
        """
        try:
            if _same(live, await self._client.preview(store.resource, body), store):
                return True
        except BadRequest as error:
            if error.no_dry_run:
                return False
            raise
        if not store.resource.namespaced:
            return False
        try:
            made = await self._client.preview(store.resource, as_created(body, store.shape))
        except ApiError:
            return False  # refused under another name: not a statement about this object
        return _same(live, made, store)

    async def _replace(self, store: Store, entry: Entry, desired: Obj) -> Applied:
        """Deletes the object and creates it again; if the deletion stops pods, the creation waits for the deletion's
        event.
        """
        if entry.deleting:
            return Applied(Result.WAITING, entry)  # the next one is created as desired
        # Running pods are not deleted for an object that the server would refuse.
        await self._client.check(store.resource, to_wire(desired))
        if not entry.owner_uid and not await owner_remains(self._client, desired):
            return Applied(Result.WAITING, entry)  # as in ``_write``
        await self.pruner.delete(store, entry)
        if not store.shape.recreate:
            return Applied(Result.DELETED, entry)
        try:
            made = await self._client.create(store.resource, to_wire(desired), strict=True)
        except AlreadyExists:
            return Applied(Result.DELETED, entry)  # a finalizer keeps the old one
        return Applied(Result.UPDATED, self._settle(store, store.read(made), hash_of(desired)))

    def _settle(self, store: Store, made: Entry, desired_hash: str) -> Entry | None:
        """Stores ``made`` as the server's result of decco's last write; returns the store's current entry.

        That may be newer (a controller has already reacted to the write) or nothing (the object is gone again).
        """
        store.apply_if_newer(made, own=True)
        self._repair_backoff.wrote(store.resource, made.key, desired_hash)
        entry = store.get(made.key)
        if entry is not None and entry.uid == made.uid:
            store.settled[made.uid] = (made.content, made.meta)
            if made.written != desired_hash:
                self._remember_unmarked(store, made, desired_hash)
        return entry

    def _remember_unmarked(self, store: Store, made: Entry, desired_hash: str) -> None:
        """Admission removed or changed the hash; without this the object would be written in each reconcile."""
        if made.uid not in self._unmarked:
            log.warning(
                "an admission policy or webhook changes the annotation that records decco's last write: exempt it",
                kind=store.resource.kind,
                key=str(made.key),
                annotation=ANNOTATION_HASH,
            )
        self._unmarked[made.uid] = desired_hash


def _same(live: Obj, answer: Obj, store: Store) -> bool:
    """Whether the two have the same labels, annotations, owners and content; unmanaged fields are left out."""
    return same_meta(live, answer) and managed_content(live, store.shape) == managed_content(answer, store.shape)


def _is_held(entry: Entry) -> bool:
    """Whether the API server reported the deletion, as opposed to decco's own request alone."""
    return "deletionTimestamp" in entry.obj()["metadata"]
