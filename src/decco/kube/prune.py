"""Removes what an owner no longer desires, and takes out of effect what a finalizer keeps.

A deletion has the UID as a precondition, so it never removes another object of the name. What cannot be removed is
reported: the deletion is blocked, or nothing proves that decco made the object.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from decco.kube.entry import Entry
from decco.kube.errors import KubeError, NotFound
from decco.kube.identity import is_there, remains
from decco.kube.repair_backoff import RepairBackoff
from decco.kube.store import Store
from decco.objects import Key, Obj, Resource

_WITHDRAWN = "withdrawn"
"""In place of the hash of a desired object."""


class Remover(Protocol):
    """The part of the client that removes."""

    async def get(self, resource: Resource, key: Key) -> Obj: ...
    async def replace(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj: ...
    async def delete(self, resource: Resource, key: Key, *, uid: str, propagation: str = ...) -> None: ...


class Pruner:
    """Removes objects of all kinds that decco writes."""

    def __init__(self, client: Remover, stores: Mapping[Resource, Store], repair_backoff: RepairBackoff) -> None:
        self._client = client
        self._stores = stores
        self._repair_backoff = repair_backoff

    async def prune(
        self, owner_uid: str, owner: Key, keep: Collection[tuple[Resource, Key]], labelled_owner: object = None
    ) -> int:
        """Deletes the objects that this owner controls in its namespace and that are no longer desired; returns the
        number of DELETE requests.

        Also deletes what has lost its owner reference, if its labels name ``labelled_owner``, it is proven to be
        decco's, and the owner exists: otherwise somebody has deleted the owner and keeps its children. A failed
        deletion does not stop the others: the first error is raised after the last request.
        """
        requested = 0
        errors: list[KubeError] = []
        unwanted = self._unwanted(owner_uid, owner.namespace or owner.name, keep, labelled_owner)
        if any(not entry.owner_uid for _, entry in unwanted):
            remain = False
            try:
                remain = await remains(self._client, owner, owner_uid)
            except KubeError as error:
                errors.append(error)
            unwanted = [each for each in unwanted if each[1].owner_uid or remain]
        for store, entry in unwanted:
            try:
                await self.delete(store, entry)
            except KubeError as error:
                errors.append(error)
            else:
                requested += 1
        if errors:
            raise errors[0]
        return requested

    def _unwanted(
        self, owner_uid: str, namespace: str, keep: Collection[tuple[Resource, Key]], labelled_owner: object
    ) -> list[tuple[Store, Entry]]:
        """What ``prune`` deletes if the owner exists."""
        found: list[tuple[Store, Entry]] = []
        for store in self._stores.values():
            if store.unlisted:
                continue  # the kind's objects are not known, or the cluster no longer serves the kind
            orphans = [entry for entry in store.labelled_for(labelled_owner) if entry.proven]
            entries = (*store.owned_by(owner_uid, namespace), *orphans)
            found += [(store, each) for each in entries if (store.resource, each.key) not in keep and not each.deleting]
        return found

    def left_over(
        self, owner_uid: str, namespace: str, keep: Collection[tuple[Resource, Key]], labelled_owner: object
    ) -> list[tuple[Resource, Entry]]:
        """Objects that are no longer desired and that ``prune`` cannot remove: deletion is blocked, or nothing proves
        that decco made them.
        """
        found: list[tuple[Resource, Entry]] = []
        for store in self._stores.values():
            labelled = store.labelled_for(labelled_owner)
            entries = [entry for entry in (*store.owned_by(owner_uid, namespace), *labelled) if entry.deleting]
            entries += [entry for entry in labelled if not entry.proven and not entry.deleting]
            found += [(store.resource, entry) for entry in entries if (store.resource, entry.key) not in keep]
        return found

    async def withdraw(self, resource: Resource, entry: Entry, reduce: Callable[[Resource, Obj], Obj | None]) -> bool:
        """Writes the reduced form of an object that is no longer desired and held in deletion; returns whether there
        was something to write. Raises DriftConflict, or what the client raises.
        """
        store = self._stores[resource]
        try:
            body = reduce(resource, await self._live(store, entry))
        except NotFound:
            return False
        if body is None:
            return False
        again = self._repair_backoff.is_repeat(resource, entry.key, _WITHDRAWN)
        if again:
            await self._repair_backoff.raise_if_paused(resource, entry.key, self._client.get)
        try:
            store.put(await self._client.replace(store.resource, body, strict=True), own=True)
        except NotFound:
            if await is_there(self._client, resource, entry.key, entry.uid):
                raise
            return False
        self._repair_backoff.wrote(resource, entry.key, _WITHDRAWN)
        if again:
            self._repair_backoff.repaired(resource, entry.key)
        return True

    async def delete(self, store: Store, entry: Entry) -> None:
        propagation = "Foreground" if store.shape.foreground else "Background"
        await self._client.delete(store.resource, entry.key, uid=entry.uid, propagation=propagation)
        store.mark_deleting(entry.key, entry.uid)
        self._repair_backoff.deleted(store.resource, entry.key)

    async def _live(self, store: Store, entry: Entry) -> Obj:
        """The whole object; requested if the store has only a part of it."""
        if not entry.partial:
            return entry.obj()
        live = await self._client.get(store.resource, entry.key)
        if live["metadata"]["uid"] != entry.uid:
            raise NotFound(404, "NotFound", "another object of this name")
        live["metadata"].pop("managedFields", None)
        return live
