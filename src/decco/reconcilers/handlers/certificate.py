"""A Certificate of a Space, when another was issued, or an attempt failed: the Space and its Apps."""

from __future__ import annotations

from collections.abc import Iterator

from decco.kube.store import Change
from decco.reconcilers.caches import Caches, Request
from decco.reconcilers.handlers.common import space_and_apps


def certificate_changed(caches: Caches, change: Change) -> Iterator[Request]:
    old, new = (entry.facts if entry is not None else None for entry in (change.old, change.new))
    if old != new and not change.initial:
        yield from space_and_apps(caches, change.entry.key.namespace)
