"""Which kinds of other projects this cluster serves, and which of them the routing backend cannot do without."""

from __future__ import annotations

from decco.desired.model import Served
from decco.kube import discovery
from decco.kube.client import Client
from decco.objects import GATEWAY_GROUP, INGRESSES, Resource
from decco.settings import IngressDialect, RoutingBackend, RoutingSettings

TRAEFIK_GROUP = "traefik.io"


async def discover(client: Client) -> Served:
    """Asks the API server; kinds that are not needed now are included, so that their old children can be removed."""
    gateway = await discovery.served(client, GATEWAY_GROUP)
    traefik = await discovery.served(client, TRAEFIK_GROUP)
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


OPTIONAL_GROUPS = frozenset({GATEWAY_GROUP, TRAEFIK_GROUP})


def is_optional(resource: Resource) -> bool:
    """Whether decco can work without the kind: what depends on it waits, and nothing else."""
    return resource.group in OPTIONAL_GROUPS or resource == INGRESSES


def is_needed(resource: Resource, routing: RoutingSettings) -> bool:
    """Whether the settings need the kind. One that they do not need is followed to remove what former settings left."""
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
