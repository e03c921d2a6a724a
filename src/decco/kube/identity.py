"""Decides whether a live object belongs to the owner of the desired object."""

from __future__ import annotations

from typing import Any, Protocol

from decco.errors import ReconcileError
from decco.kube.diff import hash_of
from decco.kube.entry import Entry
from decco.kube.errors import NotFound
from decco.kube.store import Store
from decco.objects import APPS, SPACES, Key, Obj, Resource, controller_of

_OWNERS = {resource.kind: resource for resource in (SPACES, APPS)}


class Foreign(ReconcileError):
    """An object of the desired name exists and does not belong to this owner; it was not changed."""

    def __init__(self, resource: Resource, key: Key, labelled_owner: Any = None) -> None:
        """``labelled_owner`` is the owner that the object's labels name, if it has no owner reference."""
        super().__init__(f"{resource.kind} {key} exists and was not made by decco for this owner")
        self.resource = resource
        self.key = key
        self.labelled_owner = labelled_owner


def is_ours(store: Store, entry: Entry, desired: Obj) -> bool:
    """Whether decco made this object for the owner that ``desired`` names.

    Without an owner reference the object itself has to prove it, by the digest of this owner's desired object (which
    contains the owner's UID) or by its labels. The memory of this process is not a proof: the answer would change with
    a restart.
    """
    owner = controller_of(desired)
    assert owner is not None, f"{store.resource.kind} {entry.key} has no controller"
    if entry.owner_uid:
        return entry.owner_uid == str(owner["uid"])
    if entry.written == hash_of(desired):
        return True
    labelled = store.shape.labelled_owner
    return entry.labelled_owner is not None and labelled is not None and entry.labelled_owner == labelled(desired)


class Reader(Protocol):
    async def get(self, resource: Resource, key: Key) -> Obj: ...


def restores_owner(live: Obj, desired: Obj) -> bool:
    """Whether a write of ``desired`` would add the reference of the controller, which ``live`` lacks."""
    owner, refs = controller_of(desired) or {}, live["metadata"].get("ownerReferences") or ()
    return all(ref.get("uid") != owner.get("uid") for ref in refs)


async def owner_remains(client: Reader, desired: Obj) -> bool:
    """Whether the controller that ``desired`` names exists and is to stay, see ``remains``. Otherwise a write of
    ``desired`` would give back a reference that an orphaning deletion has removed, and the garbage collector would
    delete the object, a namespace with everything in it, because its owner does not exist.
    """
    owner = controller_of(desired) or {}
    namespace = desired["metadata"]["namespace"] if _OWNERS[owner["kind"]].namespaced else ""
    return await remains(client, Key(namespace, owner["name"]), owner["uid"])


async def remains(client: Reader, key: Key, uid: str) -> bool:
    """Whether the API server has the Space or App with this UID, and it is not being deleted.

    ``kubectl delete --cascade=orphan`` removes the references of the children before the owner itself, and the caches
    of two kinds may show the first and not yet the second. So the owner is read before decco writes or deletes an
    object that lacks its reference, as the controllers of Kubernetes do before they adopt a pod
    (kubernetes/kubernetes#42639).
    """
    try:
        found = await client.get(APPS if key.namespace else SPACES, key)
    except NotFound:
        return False
    return bool(found["metadata"]["uid"] == uid) and "deletionTimestamp" not in found["metadata"]


async def is_there(client: Reader, resource: Resource, key: Key, uid: str) -> bool:
    """Whether an object for which a write got 404 exists all the same.

    Usually it was deleted a moment ago, and the watch reports that. A webhook can refuse with 404 too: then no event
    follows, and a caller that treats the answer as a deletion would never try again.
    """
    try:
        found = await client.get(resource, key)
    except NotFound:
        return False
    return bool(found["metadata"]["uid"] == uid)
