"""What an App and its canaries have to know of each other: whether pods of a canary are ready, and whether the route of
the other App has its share.
"""

from __future__ import annotations

from collections.abc import Iterator

from decco.kube.entry import Entry
from decco.kube.store import Change
from decco.objects import Key, Obj
from decco.reconcilers.caches import Caches, Request


def canary_pods_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """A workload of a canary: the App whose route has its share, when its first pod is ready or its last is not."""
    owner = _owner(caches, change)
    facts = caches.index.facts.get(owner) if owner is not None else None
    if facts is None or facts.canary_of is None:
        return
    if _ready(change.old) != _ready(change.new):
        yield Request(Key(change.entry.key.namespace, facts.canary_of))


def shared_route_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """A route of an App, also as decco writes it: its canaries, when other backends are in it."""
    owner = _owner(caches, change)
    if owner is None or not (canaries := caches.index.canaries(owner)):
        return
    if _backends(change.old) != _backends(change.new):
        yield from (Request(key) for key in canaries)


def canary_part_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """What the edge needs to connect to a canary's pods: the App whose route has a share for it, when it comes or
    goes.
    """
    owner = _owner(caches, change)
    facts = caches.index.facts.get(owner) if owner is not None else None
    if facts is not None and facts.canary_of is not None and (change.old is None) != (change.new is None):
        yield Request(Key(change.entry.key.namespace, facts.canary_of))


def is_ready(workload: Obj) -> bool:
    """Whether a pod of a Deployment is ready, of whatever revision."""
    return bool((workload.get("status") or {}).get("readyReplicas"))


def backends_of(route: Obj) -> frozenset[str]:
    """The Services that an HTTPRoute or Ingress sends requests to."""
    found: set[str] = set()
    for rule in (route.get("spec") or {}).get("rules") or ():
        found |= {str(backend.get("name")) for backend in rule.get("backendRefs") or ()}
        for path in (rule.get("http") or {}).get("paths") or ():
            found.add(str(((path.get("backend") or {}).get("service") or {}).get("name")))
    return frozenset(found)


def _owner(caches: Caches, change: Change) -> Key | None:
    return caches.owners.get(change.entry.owner_uid) if change.entry.owner_uid else None


def _ready(entry: Entry | None) -> bool:
    return entry is not None and not entry.deleting and is_ready(entry.obj())


def _backends(entry: Entry | None) -> frozenset[str]:
    return backends_of(entry.obj()) if entry is not None and not entry.deleting else frozenset()
