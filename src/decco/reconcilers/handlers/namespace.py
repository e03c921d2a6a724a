"""A Space's namespace or policy that becomes the Space's own: the Apps that waited for a ready namespace."""

from __future__ import annotations

from collections.abc import Iterator

from decco.desired.names import SPACE_OBJECT
from decco.kube.store import Change
from decco.reconcilers.caches import Caches, Request
from decco.reconcilers.handlers.common import apps_of


def isolation_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """Apps wait until namespace and policy exist, belong to the Space, and are as desired. The deletion of one needs
    no reconcile of the Apps: the Space repairs it, and running pods continue.
    """
    old, new = change.old, change.new
    if new is None:
        return
    same = old is not None and (old.uid, old.owner_uid) == (new.uid, new.owner_uid)
    if same and not (change.own and old is not None and old.content != new.content):
        return  # neither new nor repaired
    if new.key.namespace and new.key.name != SPACE_OBJECT:
        return
    name = new.key.namespace or new.key.name
    found = caches.space(name)
    if found is not None and caches.namespace_is_ready(found[1]):
        yield from apps_of(caches, name)
