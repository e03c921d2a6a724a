"""What the configured edge can do with certificates."""

from __future__ import annotations

from decco.desired.edge_keys import ENVOY_KEYS, GO_KEYS, OPENSSL_KEYS
from decco.desired.routing.dialects import dialects
from decco.settings import RoutingBackend, RoutingSettings

_OF_GATEWAYS = {"traefik.io/gateway-controller": GO_KEYS, "gateway.nginx.org/nginx-gateway-controller": OPENSSL_KEYS}
"""By the controllerName of the GatewayClass. The others are mostly Envoy, whose keys all accept."""


def edge_keys(routing: RoutingSettings, gateway_controller: str | None = None) -> frozenset[str]:
    """The kinds of keys with which the edge can serve HTTPS."""
    match routing.backend:
        case RoutingBackend.GATEWAY:
            return _OF_GATEWAYS.get(gateway_controller or "", ENVOY_KEYS)
        case RoutingBackend.INGRESS:
            return dialects()[routing.ingress_dialect].keys
        case RoutingBackend.NONE:
            return OPENSSL_KEYS
