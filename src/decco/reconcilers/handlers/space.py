"""A Space: itself; its Apps; Apps with an egress into it; Spaces whose host names it claims or frees."""

from __future__ import annotations

from collections.abc import Iterator

from decco.desired.claims import claimed
from decco.desired.grants import parse_status_grants
from decco.desired.model import SpaceFacts
from decco.desired.secrets import named_by_space
from decco.kube.entry import UNKNOWN
from decco.kube.store import Change
from decco.objects import Key
from decco.reconcilers.caches import Caches, Request
from decco.reconcilers.facts import claims_of_broken
from decco.reconcilers.handlers.common import apps_of, remember_owner, space_and_apps, understood, urgency
from decco.reconcilers.report import status_of


def space_changed(caches: Caches, change: Change) -> Iterator[Request]:
    name = change.entry.key.name
    old = caches.claimants.get(name)
    new = understood(change, old, SpaceFacts)
    if new is None and change.new is not None:
        new = claims_of_broken(change.new.obj())
    remember_owner(caches, change)
    if change.new is not None and (change.old is None or change.old.uid != change.new.uid):
        transfers = new.transfers if new is not None else {}
        caches.claims.restore(name, parse_status_grants(status_of(change.new.obj())), transfers)
    if not change.own:
        yield Request(change.entry.key, urgency(change))
    first_reconcile = change.old is not None and change.old.ready == UNKNOWN
    if first_reconcile and new is not None and not caches.namespace_is_ready(new):
        yield from apps_of(caches, name)  # if the namespace is ready, the policy's event has enqueued them already
    # A Space that is being deleted keeps its claims until it is gone: its routes may still exist.
    deleting = change.new is not None and change.new.deleting
    if old == new and not deleting:
        return
    if old != new:
        for other in _claim(caches, old, new) - {name}:
            yield from space_and_apps(caches, other)
    if change.new is None:
        for other in caches.claims.rivals(name):  # they say what is left of it
            yield Request(Key("", other))
    yield from apps_of(caches, name)
    for key in caches.index.callers_of_space(name):
        yield Request(key)


def _claim(caches: Caches, old: SpaceFacts | None, new: SpaceFacts | None) -> frozenset[str]:
    """Registers the Space's new claims; returns the Spaces whose host names may have changed."""
    affected: frozenset[str] = frozenset()
    if old is not None:
        if new is None:
            affected |= caches.claims.set_claims(old.name, None)
        caches.secret_users.remove(Key("", old.name), named_by_space(old.spec))
        del caches.claimants[old.name]
    if new is not None:
        affected |= caches.claims.set_claims(new.name, claimed(new))
        caches.secret_users.add(Key("", new.name), named_by_space(new.spec))
        caches.claimants[new.name] = new
    return affected
