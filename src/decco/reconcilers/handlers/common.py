"""What several handlers use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from decco.desired.model import SpaceFacts
from decco.kube.store import Change
from decco.kube.workqueue import Priority
from decco.objects import Key
from decco.reconcilers.caches import Caches, Request
from decco.reconcilers.facts import AppFacts

F = TypeVar("F", SpaceFacts, AppFacts)


def urgency(change: Change) -> Priority:
    """Of the object itself: a person waits for an edit."""
    if change.initial:
        return Priority.LIST
    old, new = change.old, change.new
    if old is None or new is None or old.generation != new.generation or old.deleting != new.deleting:
        return Priority.EDIT
    return Priority.CHANGE


def understood(change: Change, known: F | None, kind: type[F]) -> F | None:
    """The facts after this change. An object that can no longer be understood keeps its former ones: its names are in
    use.
    """
    entry = change.new
    if entry is None:
        return None
    if isinstance(entry.facts, kind):
        return entry.facts
    return known if known is not None and known.uid == entry.uid else None


def remember_owner(caches: Caches, change: Change) -> None:
    """Keeps the key of a Space or App by its UID."""
    if change.removed is not None:
        caches.owners.pop(change.removed.uid, None)
    if change.new is not None:
        caches.owners[change.new.uid] = change.new.key


def apps_of(caches: Caches, namespace: str) -> Iterator[Request]:
    return (Request(entry.key) for entry in caches.apps.in_namespace(namespace))


def space_and_apps(caches: Caches, name: str) -> Iterator[Request]:
    yield Request(Key("", name))
    yield from apps_of(caches, name)
