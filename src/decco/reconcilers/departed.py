"""Spaces that are gone or going while their namespaces are not, as far as the caches show it."""

from __future__ import annotations

from collections.abc import Iterable

from decco.desired.departed import departed_text, is_inert
from decco.kube.entry import Entry
from decco.objects import NAMESPACES, Key
from decco.reconcilers.caches import Caches
from decco.reconcilers.records import has_finalizer


def departed(caches: Caches, names: Iterable[str]) -> dict[str, str]:
    """What is left of those of these Spaces that are gone or going."""
    found = {}
    for name in names:
        space, namespace = caches.spaces.get(Key("", name)), caches.children[NAMESPACES].get(Key("", name))
        if namespace is not None and (space is None or space.deleting):
            found[name] = departed_text(name, namespace.obj())
    return found


def serves_nothing(caches: Caches, namespace: Entry) -> bool:
    """Whether nothing in a namespace in deletion leads traffic to it; an App there may still have records."""
    apps = caches.apps.in_namespace(namespace.key.name)
    recorded = any(has_finalizer(each.obj()) for each in apps)
    return not recorded and is_inert(namespace.obj())
