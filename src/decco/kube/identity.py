"""Whose a live object is: decco's for the owner that the desired one names, or somebody else's."""

from __future__ import annotations

from typing import Any

from decco.errors import ReconcileError
from decco.kube.diff import hash_of
from decco.kube.entry import Entry
from decco.kube.store import Store
from decco.objects import Key, Obj, Resource, controller_of


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
