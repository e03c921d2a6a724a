"""The edge (the shared Gateway, the Service of the settings), when it comes, goes, or has another address or class:
every Space; its address: also the Apps with endpoints; its class, and the controller of a class: every Space and App.

A Space's own Gateway or ListenerSet, when its address or its host names change or it becomes ready, and the Space's
route that answers probes, when the gateway has answered for it: the Apps of the Space with endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from decco.desired.gateway_status import is_programmed, status_of
from decco.desired.model import SpaceFacts
from decco.desired.names import PROBE_ROUTE
from decco.desired.routing.envoy_gateway import POLICIES, is_envoy_gateway
from decco.kube.entry import Entry
from decco.kube.store import Change
from decco.objects import Obj
from decco.reconcilers.caches import Caches, Request
from decco.reconcilers.facts import AppFacts
from decco.reconcilers.handlers.common import space_and_apps, urgency


def edge_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """The status of a Gateway also counts its routes and ListenerSets, so it changes with each Space."""
    old, new = change.old, change.new
    if old is not None and new is not None and (old.facts, _addresses(old)) == (new.facts, _addresses(new)):
        return
    for entry in caches.spaces:
        yield Request(entry.key, urgency(change))
    if _addresses(old) != _addresses(new):
        yield from _served(caches.apps)


def class_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """A class of Envoy Gateway also means that the kinds of its policies may be served since.

    The class of the shared Gateway, or the controller of a class: every App, because whose conditions on its routes
    count may have changed, and every Space, because the controller decides which keys of certificates the edge takes.
    """
    old, new = (entry.facts if entry is not None else None for entry in (change.old, change.new))
    if is_envoy_gateway(new) and not caches.served.keys() >= set(POLICIES):
        caches.search.set()
    if old != new:
        for store in (caches.spaces, caches.apps):
            yield from (Request(entry.key, urgency(change)) for entry in store)


def gateway_policy_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """A policy of the shared Gateway: the Spaces for which decco would replace it, and their Apps."""
    old, new = (entry.facts if entry is not None and not entry.deleting else () for entry in (change.old, change.new))
    if old != new:
        for entry in caches.spaces:
            if isinstance(entry.facts, SpaceFacts) and entry.facts.spec.limits is not None:
                yield from space_and_apps(caches, entry.key.name)


def own_gateway_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """Where the Apps are probed, and whether yet; at which names they are served, since a removed name stays until its
    record is gone. A Gateway's status also has other changes.
    """
    old, new = change.old, change.new
    if (_addresses(old), _programmed(old), _names(old)) != (_addresses(new), _programmed(new), _names(new)):
        yield from _served(caches.apps.in_namespace(change.entry.key.namespace))


def own_route_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """Apps are probed when the Space's route that answers probes is in effect."""
    key = change.entry.key
    if key.name == PROBE_ROUTE and _status(change.old) != _status(change.new):
        yield from _served(caches.apps.in_namespace(key.namespace))


def _served(apps: Iterable[Entry]) -> Iterator[Request]:
    for entry in apps:
        if isinstance(entry.facts, AppFacts) and entry.facts.endpoints:
            yield Request(entry.key)


def _programmed(entry: Entry | None) -> bool:
    return entry is not None and is_programmed(entry.obj())


def _names(entry: Entry | None) -> list[object]:
    """The host names of the listeners."""
    spec = (entry.obj().get("spec") or {}) if entry is not None else {}
    return [listener.get("hostname") for listener in spec.get("listeners") or ()]


def _addresses(entry: Entry | None) -> object:
    """The addresses in the status of a Gateway or Service."""
    status = _status(entry)
    return status.get("addresses"), status.get("loadBalancer")


def _status(entry: Entry | None) -> Obj:
    return status_of(entry.obj() if entry is not None else None)
