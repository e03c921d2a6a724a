"""The children of an App, in the order of writing.

First the policy, so that a pod is never reachable by more clients than it should be; then the ConfigMap that pods read
and the Services; then the pods; then the routes, so that the edge does not route to missing pods. The apply layer
writes in this order and removes what is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from decco.api.conditions import ConditionType
from decco.desired import names
from decco.desired.certificates import certificate_findings
from decco.desired.endpoints import EndpointKind, ResolvedApp, resolve
from decco.desired.findings import Finding
from decco.desired.model import AppInputs, Child
from decco.desired.network import PolicyPort, app_policy
from decco.desired.routing import app_routing
from decco.desired.services import services
from decco.desired.sidecar import sidecar
from decco.desired.workload import workload
from decco.objects import CONFIGMAPS, DEPLOYMENTS, JOBS, Key, Resource
from decco.settings import RoutingBackend


@dataclass(frozen=True, slots=True)
class AppDesired:
    """Desired children, objects to leave unchanged, and problems to report to the App's owner."""

    children: list[Child]
    keep: frozenset[tuple[Resource, Key]]
    """Objects that are neither written nor removed, because their desired state cannot be derived from the spec."""
    findings: tuple[Finding, ...]
    conditions: frozenset[ConditionType]
    """Conditions that apply to this App, beside Ready."""
    resolved: ResolvedApp


def app_children(inputs: AppInputs) -> AppDesired:
    """Everything that follows from an App's spec, its Space and the settings."""
    resolved = resolve(inputs)
    tls, tls_findings = sidecar(inputs, resolved)
    pods, pod_findings = workload(inputs, tls)
    routes = app_routing(inputs, resolved)
    certificates = certificate_findings(inputs)

    children: list[Child] = []
    policy = app_policy(inputs.space, inputs.name, inputs.uid, inputs.settings, policy_ports(resolved))
    if policy is not None:
        children.append(policy)
    if tls is not None and not pod_findings:
        children.append(tls.config_map)
    children += services(inputs, resolved)
    if pods is not None:
        children.append(pods)
    children += routes.children

    conditions = {ConditionType.WORKLOAD_READY}
    if certificates is not None:
        conditions.add(ConditionType.CERTIFICATES_READY)
    if _has_routes(inputs, resolved):
        conditions.add(ConditionType.ROUTES_READY)
    findings = (*resolved.findings, *tls_findings, *pod_findings, *routes.findings, *(certificates or ()))
    return AppDesired(
        children=children,
        keep=_workload_objects(inputs) if pod_findings else frozenset(),
        findings=findings,
        conditions=frozenset(conditions | {finding.condition for finding in findings}),
        resolved=resolved,
    )


def policy_ports(resolved: ResolvedApp) -> list[PolicyPort]:
    """The ports of the App's pods that the outside may reach: never the plain text port behind a TLS listener."""
    return [
        PolicyPort(endpoint.pod_port, monitoring=endpoint.kind is EndpointKind.METRICS)
        for endpoint in resolved.endpoints
        if endpoint.pod_port is not None
    ]


def _has_routes(inputs: AppInputs, resolved: ResolvedApp) -> bool:
    return inputs.settings.routing.backend is not RoutingBackend.NONE and any(
        endpoint.routed for endpoint in resolved.endpoints
    )


def _workload_objects(inputs: AppInputs) -> frozenset[tuple[Resource, Key]]:
    config = Key(inputs.namespace, names.stunnel_config(inputs.name))
    own = Key(inputs.namespace, inputs.name)
    return frozenset({(CONFIGMAPS, config), (DEPLOYMENTS, own), (JOBS, own)})
