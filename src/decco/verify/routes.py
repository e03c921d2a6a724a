"""The kinds of objects that carry routes with the settings of the controller."""

from __future__ import annotations

from decco.desired.routing.dialects import dialects
from decco.objects import HTTP_ROUTES, INGRESSES, TLS_ROUTES, Resource
from decco.settings import RoutingBackend
from decco.verify.world import World


def route_kinds(world: World) -> list[Resource]:
    """Kinds of the objects that decco writes for endpoints; empty if it writes none."""
    routing = world.settings.routing
    match routing.backend:
        case RoutingBackend.GATEWAY:
            return [HTTP_ROUTES, TLS_ROUTES]
        case RoutingBackend.INGRESS:
            return [INGRESSES, *dialects()[routing.ingress_dialect].kinds]
        case _:
            return []
