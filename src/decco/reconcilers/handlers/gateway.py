"""The edge (the shared Gateway, the Service of the settings), when it comes, goes, or has another address or class:
every Space; its address: also Apps with DNS records; its class, and the controller of a class: every App.

A Space's own Gateway: when its address changes, the Apps of the Space with DNS records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from decco.kube.entry import Entry
from decco.kube.store import Change
from decco.reconcilers.caches import Caches, Request
from decco.reconcilers.facts import AppFacts
from decco.reconcilers.handlers.common import urgency


def edge_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """The status of a Gateway also counts its routes and ListenerSets, so it changes with each Space."""
    old, new = change.old, change.new
    if old is not None and new is not None and (old.facts, _addresses(old)) == (new.facts, _addresses(new)):
        return
    for entry in caches.spaces:
        yield Request(entry.key, urgency(change))
    yield from _apps_in_dns(caches, change, caches.apps)


def class_changed(caches: Caches, change: Change) -> Iterator[Request]:
    """The class of the shared Gateway, or the controller of a class: every App, because whose conditions on its routes
    count may have changed.
    """
    old, new = (entry.facts if entry is not None else None for entry in (change.old, change.new))
    if old != new:
        yield from (Request(entry.key, urgency(change)) for entry in caches.apps)


def own_gateway_changed(caches: Caches, change: Change) -> Iterator[Request]:
    return _apps_in_dns(caches, change, caches.apps.in_namespace(change.entry.key.namespace))


def _apps_in_dns(caches: Caches, change: Change, apps: Iterable[Entry]) -> Iterator[Request]:
    """Those whose records' addresses changed. A Gateway's status also has other changes."""
    if not caches.settings.dns.providers or _addresses(change.old) == _addresses(change.new):
        return
    for entry in apps:
        if isinstance(entry.facts, AppFacts) and any(endpoint.dns for endpoint in entry.facts.endpoints):
            yield Request(entry.key)


def _addresses(entry: Entry | None) -> object:
    """The addresses in the status of a Gateway or Service."""
    status = (entry.obj().get("status") if entry is not None else None) or {}
    return status.get("addresses"), status.get("loadBalancer")
