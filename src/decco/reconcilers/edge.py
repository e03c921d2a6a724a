"""The edge's state and addresses, from the caches."""

from __future__ import annotations

from decco.desired.model import SpaceFacts
from decco.desired.names import SPACE_OBJECT
from decco.desired.space_status import SpaceLive, edge_addresses
from decco.objects import GATEWAYS, LISTENER_SETS, NAMESPACES, SERVICES, Key, Obj, Resource
from decco.reconcilers.caches import Caches
from decco.settings import RoutingBackend


def space_live(caches: Caches, space: SpaceFacts) -> SpaceLive:
    """The live objects of a Space and of the edge in front of it."""

    def live(resource: Resource, key: Key) -> Obj | None:
        store = caches.children.get(resource)
        entry = store.get(key) if store is not None else None
        return entry.obj() if entry is not None and entry.owner_uid == space.uid else None

    shared = caches.settings.routing.parent_gateway is not None
    edges = {resource == SERVICES: entry.obj() for resource, store in caches.edges.items() for entry in store}
    return SpaceLive(
        namespace=live(NAMESPACES, Key("", space.name)),
        listeners=live(LISTENER_SETS if shared else GATEWAYS, Key(space.name, SPACE_OBJECT)),
        gateway=edges.get(False),
        edge_service=edges.get(True),
    )


def addresses_for(caches: Caches, space: SpaceFacts) -> tuple[str, ...] | None:
    """The addresses for the host names of a Space and of its Apps, sorted; None if they are not known now."""
    return edge_addresses(caches.settings, space_live(caches, space)) if _addresses_are_known(caches) else None


def _addresses_are_known(caches: Caches) -> bool:
    """Whether the object whose status has the addresses could be seen, if there is one: while its kind cannot be
    listed, or is not served, it is not known whether the edge has an address.
    """
    settings = caches.settings
    if settings.edge.addresses:
        return True
    if settings.edge.service is not None:
        source = caches.edges.get(SERVICES)
    elif settings.routing.backend is not RoutingBackend.GATEWAY:
        return True
    else:
        stores = caches.edges if settings.routing.parent_gateway is not None else caches.children
        source = stores.get(GATEWAYS)
    return source is not None and not source.unlisted
