"""Which kinds of other projects this cluster serves, and which of them the routing backend requires."""

from __future__ import annotations

from dataclasses import fields, replace

from decco.desired.model import Served
from decco.kube import discovery
from decco.kube.client import Client
from decco.kube.errors import ApiError, Garbled
from decco.log import get_logger
from decco.objects import GATEWAY_GROUP, INGRESSES, Resource
from decco.settings import IngressDialect, RoutingBackend, RoutingSettings

log = get_logger(__name__)

TRAEFIK_GROUP = "traefik.io"


async def discover(client: Client, routing: RoutingSettings, known: Served | None = None) -> Served:
    """Requests discovery; kinds that are not needed now are included, so that their old children can be removed. A
    group that is not needed and whose discovery fails is taken from ``known``.
    """
    gateway = await _group(client, GATEWAY_GROUP, routing, known)
    traefik = await _group(client, TRAEFIK_GROUP, routing, known)
    return Served(
        gateway=gateway.get("Gateway"),
        listener_set=gateway.get("ListenerSet"),
        http_route=gateway.get("HTTPRoute"),
        tls_route=gateway.get("TLSRoute"),
        backend_tls_policy=gateway.get("BackendTLSPolicy"),
        ingress_route_tcp=traefik.get("IngressRouteTCP"),
        middleware=traefik.get("Middleware"),
        servers_transport=traefik.get("ServersTransport"),
        tls_option=traefik.get("TLSOption"),
    )


async def _group(client: Client, group: str, routing: RoutingSettings, known: Served | None) -> dict[str, Resource]:
    try:
        return await discovery.served(client, group)
    except (ApiError, Garbled) as error:
        if group in _needed_groups(routing):
            raise
        log.warning("a group that the settings do not need cannot be discovered", group=group, error=str(error))
        return {kind.kind: kind for kind in kinds_of(known or Served()) if kind.group == group}


def kinds_of(served: Served) -> list[Resource]:
    """The kinds that are served."""
    return [kind for each in fields(served) if (kind := getattr(served, each.name)) is not None]


def versions(served: Served) -> dict[Resource, str]:
    """The version of each kind, which is ignored when kinds are compared."""
    return {kind: kind.version for kind in kinds_of(served)}


def keeping(found: Served, known: Served) -> Served:
    """``found``, with those kinds of ``known`` that it lacks."""
    lacking = {each.name: getattr(known, each.name) for each in fields(found) if getattr(found, each.name) is None}
    return replace(found, **lacking)


def _needed_groups(routing: RoutingSettings) -> frozenset[str]:
    if routing.backend is RoutingBackend.GATEWAY:
        return frozenset({GATEWAY_GROUP})
    if routing.backend is RoutingBackend.INGRESS and routing.ingress_dialect is IngressDialect.TRAEFIK:
        return frozenset({TRAEFIK_GROUP})
    return frozenset()


OPTIONAL_GROUPS = frozenset({GATEWAY_GROUP, TRAEFIK_GROUP})


def is_optional(resource: Resource) -> bool:
    """Whether decco can work without the kind: only what depends on it waits."""
    return resource.group in OPTIONAL_GROUPS or resource == INGRESSES


def is_needed(resource: Resource, routing: RoutingSettings) -> bool:
    """Whether the settings need the kind. A kind that they do not need is followed to remove the objects of former
    settings.
    """
    if not is_optional(resource):
        return True
    if routing.backend is RoutingBackend.GATEWAY:
        listeners = {"ListenerSet", "Gateway"} if routing.parent_gateway else {"Gateway"}
        return resource.group == GATEWAY_GROUP and resource.kind in listeners | {
            "HTTPRoute",
            "TLSRoute",
            "BackendTLSPolicy",
        }
    if routing.backend is RoutingBackend.INGRESS:
        return resource == INGRESSES or (
            resource.group == TRAEFIK_GROUP and routing.ingress_dialect is IngressDialect.TRAEFIK
        )
    return False


def missing(served: Served, routing: RoutingSettings) -> list[str]:
    """Kinds that the routing backend needs and the cluster does not serve."""
    if routing.backend is RoutingBackend.GATEWAY:
        listeners = "ListenerSet" if routing.parent_gateway else "Gateway"
        needed = {
            listeners: served.listener_set if routing.parent_gateway else served.gateway,
            "HTTPRoute": served.http_route,
            "TLSRoute": served.tls_route,
            "BackendTLSPolicy": served.backend_tls_policy,
        }
    elif routing.backend is RoutingBackend.INGRESS and routing.ingress_dialect is IngressDialect.TRAEFIK:
        needed = {
            "IngressRouteTCP": served.ingress_route_tcp,
            "Middleware": served.middleware,
            "ServersTransport": served.servers_transport,
            "TLSOption": served.tls_option,
        }
    else:
        needed = {}
    return sorted(kind for kind, resource in needed.items() if resource is None)
