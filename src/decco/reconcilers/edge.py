"""Where the edge is, as the caches show it."""

from __future__ import annotations

from decco.desired.model import SpaceFacts
from decco.desired.names import SPACE_OBJECT
from decco.desired.space_status import SpaceLive, edge_addresses
from decco.objects import NAMESPACES, SERVICES, Key, Obj, Resource
from decco.reconcilers.caches import Caches


def space_live(caches: Caches, space: SpaceFacts) -> SpaceLive:
    """What there is of a Space, and of the edge in front of it."""

    def live(resource: Resource | None, key: Key) -> Obj | None:
        entry = caches.children[resource].get(key) if resource in caches.children else None
        return entry.obj() if entry is not None and entry.owner_uid == space.uid else None

    shared = caches.settings.routing.parent_gateway is not None
    listeners = caches.served.listener_set if shared else caches.served.gateway
    edges = {resource == SERVICES: entry.obj() for resource, store in caches.edges.items() for entry in store}
    return SpaceLive(
        namespace=live(NAMESPACES, Key("", space.name)),
        listeners=live(listeners, Key(space.name, SPACE_OBJECT)),
        gateway=edges.get(False),
        edge_service=edges.get(True),
    )


def addresses_for(caches: Caches, space: SpaceFacts) -> tuple[str, ...]:
    """Where the host names of a Space and of its Apps should lead, sorted."""
    return edge_addresses(caches.settings, space_live(caches, space))
