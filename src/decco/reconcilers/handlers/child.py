"""A child, of any kind: its owner, by its labels if it has lost its owner reference."""

from __future__ import annotations

from collections.abc import Iterator

from decco.kube.entry import Entry
from decco.kube.store import Change
from decco.kube.workqueue import Priority
from decco.objects import LABEL_APP, LABEL_SPACE, Key, labels_of
from decco.reconcilers.caches import Caches, Request


def child_changed(caches: Caches, change: Change) -> Iterator[Request]:
    if change.own:
        return
    priority = _urgency(change)
    for entry in (change.old, change.new):
        if entry is None:
            continue
        if not entry.owner_uid:
            if entry.labelled_owner is not None:
                yield Request(entry.labelled_owner.key, priority)
        elif (owner := caches.owners.get(entry.owner_uid)) is not None:
            if (owner.namespace or owner.name) == (entry.key.namespace or entry.key.name):
                yield Request(owner, priority)  # elsewhere it is not the owner's: see Store.owned_by
        elif change.new is not None and change.new.deleting and not change.new.key.namespace:
            # The namespace of a Space that is gone: its grants may end.
            yield Request(entry.key, priority)
        elif change.new is None:
            yield from _waiting_claimants(caches, entry)
    if change.new is not None and change.new.deleting and change.new.key.namespace:
        # A finalizer holds it. If its owner is gone, the Space's reconcile takes the host names out of it.
        yield Request(Key("", change.new.key.namespace), priority)


def _waiting_claimants(caches: Caches, gone: Entry) -> Iterator[Request]:
    """A child of a deleted Space or App is gone: a new owner of the same name may be waiting for the child's name, or
    another App that claims the endpoint's name.
    """
    labels = labels_of(gone.obj())
    if LABEL_APP in labels:
        claimant = Key(gone.key.namespace, labels[LABEL_APP])
        yield Request(claimant)
        for other, _ in caches.index.rivals(claimant, f"name:{gone.key.name}"):
            yield Request(other)
    elif LABEL_SPACE in labels:
        yield Request(Key("", labels[LABEL_SPACE]))


def _urgency(change: Change) -> Priority:
    """Repairs are urgent. Changes of a child's status can wait, and more of them often arrive meanwhile."""
    old, new = change.old, change.new
    only_status = old is not None and new is not None and (old.content, old.meta) == (new.content, new.meta)
    return (
        Priority.LIST if change.initial or (only_status and new is not None and not new.deleting) else Priority.CHANGE
    )
