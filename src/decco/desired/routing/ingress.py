"""Routing by networking.k8s.io/v1 Ingress, for clusters without the Gateway API.

Ingress does not cover TLS passthrough, path rewriting or TLS to the pods, so each controller has its own extensions: a
*dialect* (``haproxy.py``, ``nginx.py``, ``traefik.py``). All these controllers have a router by TLS server name, and
behind it an HTTP proxy for the names that the router does not have. There is one Ingress for each HTTP endpoint (the
FQDN and a path) and one, or the dialect's replacement, for each TCP endpoint (its hostname). A Space needs an object
only if the dialect keeps the options of a host name in one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from decco.desired.endpoints import EndpointKind, ResolvedApp, ResolvedEndpoint
from decco.desired.findings import Finding
from decco.desired.model import AppInputs, Child, Problem, SpaceInputs
from decco.desired.routing.common import AppRoutes, ServiceTraits, routed
from decco.desired.routing.dialect import Annotations, Dialect
from decco.desired.routing.haproxy import Haproxy
from decco.desired.routing.nginx import Nginx
from decco.desired.routing.traefik import Traefik
from decco.objects import INGRESSES
from decco.settings import IngressDialect

DIALECTS: dict[IngressDialect, Dialect] = {
    IngressDialect.HAPROXY: Haproxy(),
    IngressDialect.NGINX: Nginx(),
    IngressDialect.TRAEFIK: Traefik(),
}

_INGRESS_KEYS = tuple(key for dialect in DIALECTS.values() for key in dialect.ingress_annotations)
_SERVICE_KEYS = tuple(key for dialect in DIALECTS.values() for key in dialect.service_annotations)


def space_routing(inputs: SpaceInputs) -> list[Child]:
    """The objects of the dialect for a Space."""
    return DIALECTS[inputs.settings.routing.ingress_dialect].space(inputs)


def space_problems(inputs: SpaceInputs) -> tuple[Problem, ...]:
    """The kinds that a Space needs and the cluster does not serve."""
    return DIALECTS[inputs.settings.routing.ingress_dialect].space_problems(inputs)


def app_routing(inputs: AppInputs, resolved: ResolvedApp) -> AppRoutes:
    """The objects of all routed endpoints, and why some have none."""
    dialect = DIALECTS[inputs.settings.routing.ingress_dialect]
    children: list[Child] = []
    left_out: list[Finding] = []
    for endpoint in routed(resolved):
        make = dialect.tcp if endpoint.kind is EndpointKind.TCP else dialect.http
        made = make(inputs, endpoint)
        if isinstance(made, Finding):
            left_out.append(made)
        else:
            children += map(_without_others, made)
    return AppRoutes(tuple(children), tuple(dict.fromkeys(left_out)))


def service_traits(inputs: AppInputs, endpoint: ResolvedEndpoint) -> ServiceTraits:
    traits = DIALECTS[inputs.settings.routing.ingress_dialect].service_traits(inputs, endpoint)
    return replace(traits, annotations=_only(traits.annotations, _SERVICE_KEYS))


def _without_others(child: Child) -> Child:
    """Adds None for each annotation of any dialect that ``child`` lacks, so that former ones are removed."""
    if child.resource != INGRESSES:
        return child
    meta = child.obj["metadata"]
    annotations = _only(meta.get("annotations") or {}, _INGRESS_KEYS)
    return Child(child.resource, {**child.obj, "metadata": {**meta, "annotations": annotations}})


def _only(wanted: Annotations, keys: Iterable[str]) -> Annotations:
    return {**dict.fromkeys(keys), **wanted}
