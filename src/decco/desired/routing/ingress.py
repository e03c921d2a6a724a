"""Routing by networking.k8s.io/v1 Ingress, for clusters without the Gateway API.

Ingress has no words for TLS passthrough, path rewriting or TLS to the pods, so each controller has its own: a *dialect*
(``haproxy.py``, ``nginx.py``, ``traefik.py``). All of them do inside what the talk drew: a router by server name comes
first, and an HTTP proxy takes what it does not know. There is one Ingress for each HTTP endpoint (the FQDN and a path)
and one, or what the dialect has in its place, for each TCP endpoint (its hostname). A Space needs no object of its own
but where the dialect keeps what belongs to a host name in one.
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
    """What the dialect keeps in one object for a Space."""
    return DIALECTS[inputs.settings.routing.ingress_dialect].space(inputs)


def space_problems(inputs: SpaceInputs) -> tuple[Problem, ...]:
    """The kinds that a Space needs and the cluster does not serve."""
    return DIALECTS[inputs.settings.routing.ingress_dialect].space_problems(inputs)


def app_routing(inputs: AppInputs, resolved: ResolvedApp) -> AppRoutes:
    """The objects of all routed endpoints, and why some have none."""
    dialect = DIALECTS[inputs.settings.routing.ingress_dialect]
    children: list[Child] = []
    told: list[Finding] = []
    for endpoint in routed(resolved):
        make = dialect.tcp if endpoint.kind is EndpointKind.TCP else dialect.http
        made = make(inputs, endpoint)
        if isinstance(made, Finding):
            told.append(made)
        else:
            children += map(_without_others, made)
    return AppRoutes(tuple(children), tuple(dict.fromkeys(told)))


def service_traits(inputs: AppInputs, endpoint: ResolvedEndpoint) -> ServiceTraits:
    traits = DIALECTS[inputs.settings.routing.ingress_dialect].service_traits(inputs, endpoint)
    return replace(traits, annotations=_only(traits.annotations, _SERVICE_KEYS))


def _without_others(child: Child) -> Child:
    """An Ingress on which nothing is left of what decco wrote in other circumstances, or in another dialect."""
    if child.resource != INGRESSES:
        return child
    meta = child.obj["metadata"]
    annotations = _only(meta.get("annotations") or {}, _INGRESS_KEYS)
    return Child(child.resource, {**child.obj, "metadata": {**meta, "annotations": annotations}})


def _only(wanted: Annotations, keys: Iterable[str]) -> Annotations:
    return {**dict.fromkeys(keys), **wanted}
