"""From the edge to an App: the listeners of a Space and the routes of its Apps, in the words of the chosen backend.

``common.py`` has what the backends share; each backend is one module and knows none of the others. Who asks here does
not know which backend is at work.
"""

from __future__ import annotations

from decco.desired.endpoints import ResolvedApp, ResolvedEndpoint
from decco.desired.model import AppInputs, Child, Problem, SpaceInputs
from decco.desired.routing import gateway, ingress
from decco.desired.routing.common import AppRoutes, ServiceTraits
from decco.settings import RoutingBackend


def space_routing(inputs: SpaceInputs) -> list[Child]:
    """The listeners of a Space, and what belongs to them."""
    match inputs.settings.routing.backend:
        case RoutingBackend.GATEWAY:
            return gateway.space_routing(inputs)
        case RoutingBackend.INGRESS:
            return ingress.space_routing(inputs)
        case RoutingBackend.NONE:
            return []


def space_routing_problems(inputs: SpaceInputs) -> tuple[Problem, ...]:
    """Why listeners of a Space are left out, beyond what its claims and its Secrets tell."""
    match inputs.settings.routing.backend:
        case RoutingBackend.GATEWAY:
            return gateway.space_problems(inputs)
        case RoutingBackend.INGRESS:
            return ingress.space_problems(inputs)
        case RoutingBackend.NONE:
            return ()


def app_routing(inputs: AppInputs, resolved: ResolvedApp) -> AppRoutes:
    """The routes of an App's endpoints, in the order in which they must be written."""
    match inputs.settings.routing.backend:
        case RoutingBackend.GATEWAY:
            return gateway.app_routing(inputs, resolved)
        case RoutingBackend.INGRESS:
            return ingress.app_routing(inputs, resolved)
        case RoutingBackend.NONE:
            return AppRoutes()


def service_traits(inputs: AppInputs, endpoint: ResolvedEndpoint) -> ServiceTraits:
    """What the edge needs to see on an endpoint's Service."""
    if inputs.settings.routing.backend is RoutingBackend.INGRESS:
        return ingress.service_traits(inputs, endpoint)
    return ServiceTraits(port_name=endpoint.service_port_name)
