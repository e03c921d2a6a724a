"""Routing by networking.k8s.io/v1 Ingress, for clusters without the Gateway API.

Ingress does not cover TLS passthrough, path rewriting or TLS to the pods, so each controller has its own extensions: a
*dialect* (``dialects/``). All these controllers have a router by TLS server name, and behind it an HTTP proxy for the
names that the router does not have. There is one Ingress for each HTTP endpoint (the FQDN and a path) and one, or the
dialect's replacement, for each TCP endpoint (its hostname). A Space needs an object only if the dialect keeps the
options of a host name in one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from decco.api.limits import Limits
from decco.desired.endpoints import EndpointKind, ResolvedApp, ResolvedEndpoint
from decco.desired.limits import CLIENT_CIDRS, given, limits_of
from decco.desired.model import AppInputs, Child, EdgeInputs, Problem, SpaceInputs
from decco.desired.routing.dialect import Dialect, ServiceTraits, unsupported
from decco.desired.routing.dialects import dialects
from decco.desired.timeouts import unkept
from decco.objects import INGRESSES


def _dialect(inputs: EdgeInputs) -> Dialect:
    return dialects()[inputs.settings.routing.ingress_dialect]


def space_routing(inputs: SpaceInputs) -> list[Child]:
    return _dialect(inputs).space(inputs)


def space_problems(inputs: SpaceInputs) -> tuple[Problem, ...]:
    return _dialect(inputs).space_problems(inputs)


def unkept_limits(edge: EdgeInputs, limits: Limits) -> dict[str, str]:
    """Name of a limit that is not kept -> why."""
    why = f"the ingress controller {edge.settings.routing.ingress_dialect} has no such limit"
    kept = _dialect(edge).kept_limits(limits)
    return {name: why for name in given(limits) if name not in kept}


def app_routing(inputs: AppInputs, resolved: ResolvedApp) -> tuple[list[Child], list[Problem]]:
    """The objects of all routed endpoints, and why some have none."""
    dialect, name = _dialect(inputs), inputs.settings.routing.ingress_dialect
    children: list[Child] = []
    problems: list[Problem] = []
    for endpoint in resolved.routed:
        if inputs.spec.canary_of is not None and endpoint.kind is EndpointKind.HTTP:
            continue  # its share is in the objects of the other App
        if (closed := _closed(inputs, endpoint)) is not None:
            problems.append(closed)
            continue
        make = dialect.tcp if endpoint.kind is EndpointKind.TCP else dialect.http
        made = make(inputs, endpoint)
        if isinstance(made, Problem):
            problems.append(made)
        else:
            children += map(_without_others, made)
            problems += unkept(endpoint, dialect.timeouts, f"the ingress controller {name}")
    return children, problems


def _closed(inputs: AppInputs, endpoint: ResolvedEndpoint) -> Problem | None:
    """Why an endpoint may be served to nobody: the Space's clientCidrs cannot be kept there."""
    dialect, name = _dialect(inputs), inputs.settings.routing.ingress_dialect
    tcp = endpoint.kind is EndpointKind.TCP
    if not limits_of(inputs.space).client_cidrs:
        return None
    if CLIENT_CIDRS in dialect.limits and (dialect.limits_passthrough or not tcp):
        return None
    why = f"limits.{CLIENT_CIDRS} of Space {inputs.space.name} does not hold for it with the ingress controller {name}"
    instead = "serve it by httpPath, or remove the limit" if CLIENT_CIDRS in dialect.limits else "remove the limit"
    return unsupported(endpoint, f"{why}; {instead}")


def service_traits(inputs: AppInputs, endpoint: ResolvedEndpoint) -> ServiceTraits:
    traits = _dialect(inputs).service_traits(inputs, endpoint)
    return replace(traits, annotations={**_absent(lambda dialect: dialect.service_annotations), **traits.annotations})


def _without_others(child: Child) -> Child:
    """With None for each annotation of any dialect that ``child`` lacks, so that former ones are removed."""
    if child.resource != INGRESSES:
        return child
    meta = child.obj["metadata"]
    annotations = {**_absent(lambda dialect: dialect.ingress_annotations), **meta.get("annotations", {})}
    return Child(child.resource, {**child.obj, "metadata": {**meta, "annotations": annotations}})


def _absent(names: Callable[[Dialect], tuple[str, ...]]) -> dict[str, str | None]:
    """These annotations of all dialects, each to be absent."""
    found: dict[str, str | None] = {}
    for dialect in dialects().values():
        found |= dialect.named(dict.fromkeys(names(dialect)))
    return found
