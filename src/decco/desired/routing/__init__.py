"""Routing from the edge to an App: the listeners of a Space and the routes of its Apps, for the configured backend.

Each backend is one module and does not import the others. Callers of this package do not depend on the backend.
"""

from __future__ import annotations

from decco.api.limits import Limits
from decco.desired.endpoints import ResolvedApp, ResolvedEndpoint
from decco.desired.limits import limits_of, unkept_limit
from decco.desired.model import AppInputs, Child, EdgeInputs, Problem, SpaceInputs
from decco.desired.routing import envoy_gateway, gateway, ingress
from decco.desired.routing.dialect import ServiceTraits
from decco.desired.routing.dialects import dialects
from decco.desired.shares import Sharing
from decco.settings import RoutingBackend, RoutingSettings


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
    """Why listeners of a Space are left out, beyond problems with its claims and its Secrets."""
    match inputs.settings.routing.backend:
        case RoutingBackend.GATEWAY:
            problems = gateway.space_problems(inputs)
        case RoutingBackend.INGRESS:
            problems = ingress.space_problems(inputs)
        case RoutingBackend.NONE:
            return ()
    unkept = unkept_limits(inputs, limits_of(inputs.space))
    return (*problems, *(unkept_limit(name, why) for name, why in unkept.items()))


def unkept_limits(edge: EdgeInputs, limits: Limits) -> dict[str, str]:
    """Name of a limit that the edge does not keep -> why. Conditions, doctor and explain all have it from here."""
    match edge.settings.routing.backend:
        case RoutingBackend.GATEWAY:
            return envoy_gateway.unkept_limits(edge, limits)
        case RoutingBackend.INGRESS:
            return ingress.unkept_limits(edge, limits)
        case RoutingBackend.NONE:
            return {}


def app_routing(inputs: AppInputs, resolved: ResolvedApp) -> tuple[list[Child], tuple[Problem, ...]]:
    """The routes of an App's endpoints, in the order in which they must be written, and why endpoints have none."""
    match inputs.settings.routing.backend:
        case RoutingBackend.GATEWAY:
            children, problems = gateway.app_routing(inputs, resolved)
        case RoutingBackend.INGRESS:
            children, problems = ingress.app_routing(inputs, resolved)
        case RoutingBackend.NONE:
            return [], ()
    return children, tuple(dict.fromkeys(problems))


def sharing(routing: RoutingSettings) -> Sharing:
    """How the edge shares traffic between an App and its canaries."""
    match routing.backend:
        case RoutingBackend.GATEWAY:
            return Sharing.BY_PATH
        case RoutingBackend.INGRESS:
            return dialects()[routing.ingress_dialect].sharing
        case RoutingBackend.NONE:
            return Sharing.NONE


def service_traits(inputs: AppInputs, endpoint: ResolvedEndpoint) -> ServiceTraits:
    """The port name and annotations that the edge needs on an endpoint's Service."""
    if inputs.settings.routing.backend is RoutingBackend.INGRESS:
        return ingress.service_traits(inputs, endpoint)
    return ServiceTraits(endpoint.service_port_name)
