"""What the routing backends share."""

from __future__ import annotations

from dataclasses import dataclass, field

from decco.desired import names
from decco.desired.endpoints import ResolvedApp, ResolvedEndpoint
from decco.desired.findings import Finding
from decco.desired.model import AppInputs, Child
from decco.objects import Obj


@dataclass(frozen=True, slots=True)
class AppRoutes:
    """The route objects of an App, and why endpoints have none."""

    children: tuple[Child, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceTraits:
    """What the edge needs on an endpoint's Service; an annotation with the value None must be absent (see Child)."""

    port_name: str
    annotations: dict[str, str | None] = field(default_factory=dict)


def routed(resolved: ResolvedApp) -> list[ResolvedEndpoint]:
    return [endpoint for endpoint in resolved.endpoints if endpoint.routed]


def route_meta(inputs: AppInputs, name: str, annotations: dict[str, str | None] | None = None) -> Obj:
    return names.child_meta(name, uid=inputs.uid, space=inputs.space.name, app=inputs.name, annotations=annotations)


def may_have_ca(inputs: AppInputs) -> bool:
    """Whether the edge verifies pods by the ``ca.crt`` of the Space's HTTP Secret rather than the system's authorities.

    A Secret with unknown content is assumed to have one: the loss of a Secret must not widen the edge's trust.
    """
    name = inputs.space.spec.http_cert_secret_name
    view = inputs.secrets.get(name) if name is not None else None
    return name is not None and (view is None or view.facts is None or view.facts.has_ca)
