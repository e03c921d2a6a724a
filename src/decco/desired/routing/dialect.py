"""The interface of an Ingress dialect, and the Ingress objects that all dialects share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from decco.desired import findings, names, reasons
from decco.desired.endpoints import ResolvedEndpoint
from decco.desired.findings import Finding
from decco.desired.model import AppInputs, Child, Problem, SpaceInputs
from decco.desired.routing.common import ServiceTraits, route_meta
from decco.objects import INGRESSES, Obj, Resource

PREFIX, EXACT, OTHER = "Prefix", "Exact", "ImplementationSpecific"

Annotations = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class IngressPath:
    """A path of an Ingress and how it is matched."""

    path: str
    path_type: str = PREFIX


class Dialect(Protocol):
    """One ingress controller's extensions for features that Ingress does not cover.

    ``http`` and ``tcp`` give the objects of one endpoint, in the order in which they must be written, or why the
    controller cannot serve it. ``space`` gives those that all endpoints of a Space share.
    """

    @property
    def kinds(self) -> tuple[Resource, ...]:
        """The kinds of the controller's own CRDs, in the version that is written."""
        ...

    @property
    def ingress_annotations(self) -> tuple[str, ...]:
        """Every annotation that this dialect ever writes on an Ingress."""
        ...

    @property
    def service_annotations(self) -> tuple[str, ...]:
        """Every annotation that this dialect ever writes on a Service."""
        ...

    def space(self, inputs: SpaceInputs) -> list[Child]: ...

    def space_problems(self, inputs: SpaceInputs) -> tuple[Problem, ...]: ...

    def http(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Finding: ...

    def tcp(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Finding: ...

    def service_traits(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> ServiceTraits: ...


class IngressOnly:
    """Base of a dialect that has no kinds of its own, and so no object for a Space."""

    kinds: tuple[Resource, ...] = ()

    def space(self, inputs: SpaceInputs) -> list[Child]:
        return []

    def space_problems(self, inputs: SpaceInputs) -> tuple[Problem, ...]:
        return ()


def http_ingress(
    inputs: AppInputs,
    name: str,
    paths: Sequence[IngressPath],
    backend: Obj,
    annotations: Annotations,
    *,
    tls: bool = True,
) -> Child:
    """Paths at the Space's FQDN, under its certificate."""
    spec: Obj = _class(inputs)
    secret = inputs.space.spec.http_cert_secret_name
    if tls and secret is not None:
        spec["tls"] = [{"hosts": [inputs.space.fqdn], "secretName": secret}]
    spec["rules"] = [_rule(inputs.space.fqdn, paths, backend)]
    return names.child(INGRESSES, route_meta(inputs, name, annotations), spec=spec)


def passthrough_ingress(inputs: AppInputs, endpoint: ResolvedEndpoint, annotations: Annotations) -> Child:
    """A host name whose TLS connections the controller hands to the endpoint as they are."""
    spec = _class(inputs)
    spec["rules"] = [_rule(endpoint.hostname or "", [IngressPath("/")], backend_of(endpoint))]
    return names.child(INGRESSES, route_meta(inputs, endpoint.name, annotations), spec=spec)


def backend_of(endpoint: ResolvedEndpoint) -> Obj:
    return {"service": {"name": endpoint.name, "port": {"number": endpoint.service_port}}}


def unsupported(endpoint: ResolvedEndpoint, why: str) -> Finding:
    return findings.routes(reasons.ROUTE_NOT_SUPPORTED, f"endpoint {endpoint.name} gets no route: {why}")


def _class(inputs: AppInputs) -> Obj:
    name = inputs.settings.routing.ingress_class_name
    return {} if name is None else {"ingressClassName": name}


def _rule(host: str, paths: Sequence[IngressPath], backend: Obj) -> Obj:
    listed = [{"path": path.path, "pathType": path.path_type, "backend": backend} for path in paths]
    return {"host": host, "http": {"paths": listed}}
