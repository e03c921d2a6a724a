"""The edge's state and addresses, from the caches."""

from __future__ import annotations

from decco.desired.model import SpaceFacts
from decco.desired.names import LIMITS_POLICY, SPACE_OBJECT
from decco.desired.routing.envoy_gateway import POLICIES
from decco.desired.space_status import SpaceLive, edge_addresses
from decco.kube.entry import Entry
from decco.objects import (
    GATEWAY_CLASSES,
    GATEWAYS,
    LISTENER_SETS,
    NAMESPACES,
    SERVICES,
    Key,
    Obj,
    Resource,
)
from decco.reconcilers.caches import Caches
from decco.settings import RoutingBackend


def space_live(caches: Caches, space: SpaceFacts) -> SpaceLive:

    def live(resource: Resource, key: Key) -> Obj | None:
        store = caches.children.get(resource)
        entry = store.get(key) if store is not None else None
        return entry.obj() if entry is not None and entry.owner_uid == space.uid else None

    shared = caches.settings.routing.parent_gateway is not None

    def edge(resource: Resource) -> Obj | None:
        entry = _only(caches, resource)
        return entry.obj() if entry is not None else None

    return SpaceLive(
        namespace=live(NAMESPACES, Key("", space.name)),
        listeners=live(LISTENER_SETS if shared else GATEWAYS, Key(space.name, SPACE_OBJECT)),
        gateway=edge(GATEWAYS),
        edge_service=edge(SERVICES),
        policies=tuple(obj for kind in POLICIES if (obj := live(kind, Key(space.name, LIMITS_POLICY))) is not None),
    )


def addresses_for(caches: Caches, space: SpaceFacts) -> tuple[str, ...] | None:
    """The addresses for the host names of a Space and of its Apps, sorted; None if they are not known now."""
    return edge_addresses(caches.settings, space_live(caches, space)) if _addresses_are_known(caches) else None


def gateway_controller(caches: Caches) -> str | None:
    """controllerName of the class of the Gateway that the settings name; None if it is not known."""
    name: object = caches.settings.routing.gateway_class_name
    if caches.settings.routing.parent_gateway is not None:
        gateway = _only(caches, GATEWAYS)
        name = gateway.facts if gateway is not None else None
    classes = caches.edges.get(GATEWAY_CLASSES)
    found = classes.get(Key("", name)) if classes is not None and isinstance(name, str) else None
    return found.facts if found is not None and isinstance(found.facts, str) else None


def gateway_policies(caches: Caches) -> dict[Resource, str]:
    """The policies (namespace/name) of the whole shared Gateway; of several of a kind the first by name."""
    _, _, gateway = (caches.settings.routing.parent_gateway or "").partition("/")
    found = (
        (kind, str(entry.key))
        for kind in POLICIES
        for entry in caches.edges.get(kind, ())
        if not entry.deleting and (entry.facts is None or gateway in entry.facts)
    )
    return dict(sorted(found, key=lambda item: item[1], reverse=True))


def _only(caches: Caches, resource: Resource) -> Entry | None:
    """The object of the edge of this kind, of which at most one is watched."""
    return next(iter(caches.edges.get(resource, ())), None)


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
