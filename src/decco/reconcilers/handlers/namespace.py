"""A Space's namespace or policy: the Apps that wait for it, and the grants of host names that a namespace records. An
App's policy: its Space, if the policy began or ceased to limit egress.
"""

from __future__ import annotations

from collections.abc import Iterator

from decco.desired.model import EgressPhase
from decco.desired.names import SPACE_OBJECT
from decco.desired.ownership import holders_of
from decco.kube.entry import Entry
from decco.kube.store import Change
from decco.objects import Key
from decco.reconcilers.caches import Caches, Request
from decco.reconcilers.handlers.common import apps_of, space_and_apps


def isolation_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """Apps wait until namespace and policy exist, belong to the Space, and are as desired. The deletion of one needs
    no reconcile of the Apps: the Space repairs it, and running pods continue.
    """
    old, new = change.old, change.new
    if change.entry.key.namespace and change.entry.key.name != SPACE_OBJECT:
        if _phase(old) is not _phase(new):
            yield Request(Key("", change.entry.key.namespace))  # it may be about to limit egress, or to open it
        return
    if new is None:
        return
    same = old is not None and (old.uid, old.owner_uid) == (new.uid, new.owner_uid)
    # A phase of egress counts whoever reports it: decco's own write may come back by the watch first.
    if same and _phase(old) is _phase(new) and not (change.own and old is not None and old.content != new.content):
        return  # neither new nor repaired
    name = new.key.namespace or new.key.name
    found = caches.space(name)
    if found is not None and caches.namespace_is_ready(found[1]):
        yield from apps_of(caches, name)


def _phase(policy: Entry | None) -> EgressPhase:
    return policy.facts if policy is not None and isinstance(policy.facts, EgressPhase) else EgressPhase.UNLIMITED


def _holders(namespace: Entry | None) -> tuple[str, ...] | None:
    """None if it is not in deletion."""
    return holders_of(namespace.obj()) if namespace is not None and namespace.deleting else None


def grants_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """The record of grants: nothing is written for a name before its grant is recorded, and a name is free when it is
    no longer recorded.
    """
    old, new = change.old, change.new
    if new is not None and new.deleting and _holders(old) != _holders(new):
        # They claim what it keeps, and say by what it is held.
        for other in caches.claims.rivals(new.key.name):
            yield Request(Key("", other))
    if old is not None and new is not None and (old.uid, old.facts) == (new.uid, new.facts):
        return
    name = change.entry.key.name
    for other in caches.claims.record(name, new.facts if new is not None else None):
        yield from space_and_apps(caches, other)
    if new is not None:
        yield from apps_of(caches, name)
