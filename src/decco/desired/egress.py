"""TLS out of the pod: which local ports the sidecar offers, and where each leads.

The set of local ports depends on the App alone. An egress whose target does not exist (yet, or any more) keeps its port
and leads nowhere, so that an endpoint that comes or goes in another Space never restarts the pods of this one: only the
sidecar's configuration changes, which it loads while it runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from decco.api.types import Egress
from decco.desired import findings, reasons
from decco.desired.endpoints import ResolvedApp, container_ports, endpoints_of, objects
from decco.desired.findings import Finding
from decco.desired.model import AppInputs, canonical
from decco.objects import Obj


@dataclass(frozen=True, slots=True)
class Target:
    """The other side of an egress."""

    host: str
    """What the sidecar resolves. With a dot at the end, which keeps the pod's DNS search path out of it, unless the
    pod's own hosts file has the name."""
    port: int
    server_name: str
    """What the server's certificate must be for; also the TLS server name that is asked for."""


@dataclass(frozen=True, slots=True)
class ResolvedEgress:
    """One local port of the sidecar."""

    local_port: int
    target: Target | None
    """None while the endpoint it should lead to cannot be found: connections are then closed at once."""
    secret: str | None
    """Secret with the client's certificate; without one the server is told none."""
    system_ca: bool
    """The server must be signed by an authority of the system's instead of the Secret's ca.crt."""
    verify: bool


def resolve_egresses(
    inputs: AppInputs, resolved: ResolvedApp
) -> tuple[tuple[ResolvedEgress, ...], tuple[Finding, ...]]:
    """The egresses in the order of the spec, and why some lead nowhere or are not there."""
    found: list[ResolvedEgress] = []
    told: list[Finding] = []
    pod = container_ports(inputs.spec.pod) | {e.port for e in endpoints_of(inputs.name, inputs.spec)}
    taken = set(pod) | {endpoint.tls.port for endpoint in resolved.servers if endpoint.tls is not None}
    for egress in inputs.spec.tls_egresses:
        port = egress.local_port
        if port in taken:
            who = "a container of the pod listens on it" if port in pod else "another listener of the sidecar has it"
            message = f"the egress at local port {port} is left out: {who}; choose another localPort"
            told.append(findings.workload(reasons.EGRESS_PORT_CONFLICT, message))
            continue
        taken.add(port)
        target = _target(inputs, egress)
        if target is None:
            where = f"endpoint {egress.endpoint} of Space {egress.space_name or inputs.space.name}"
            message = (
                f"the egress at local port {port} leads nowhere: {where} does not exist, or takes no TLS connections; "
                "create it, or correct the egress"
            )
            told.append(findings.workload(reasons.EGRESS_TARGET_NOT_FOUND, message))
        secret = egress.cert_and_ca_secret_name or inputs.space.spec.tcp_cert_and_ca_secret_name
        verify = not egress.disable_server_cert_verification
        found.append(ResolvedEgress(port, target, secret, _system_ca(inputs, secret), verify))
    return tuple(found), tuple(told)


def _target(inputs: AppInputs, egress: Egress) -> Target | None:
    if egress.fqdn is not None:
        return Target(_absolute(egress.fqdn, inputs), egress.target_port, canonical(egress.fqdn))
    if egress.endpoint is None:
        return None
    target = inputs.targets.get((egress.space_name or inputs.space.name, egress.endpoint))
    return Target(_absolute(target.host, inputs), target.port, target.hostname) if target is not None else None


def _absolute(host: str, inputs: AppInputs) -> str:
    """The name in the form that every resolver takes as it stands.

    A pod's resolver completes a name of few dots by its search path before it asks for the name itself (ndots:5), so
    that ``github.com`` would be Service ``github`` in namespace ``com``. The two short forms that can only mean a
    Service, ``<service>`` in the pod's own namespace and ``<service>.<namespace>.svc``, are completed here instead.
    """
    name = canonical(host)
    if name in _hosts_file(inputs.spec.pod):
        return name  # found there as it stands, and only without the dot
    if "." not in name:
        name = f"{name}.{inputs.space.name}.svc"
    if name.endswith(".svc"):
        name = f"{name}.{inputs.settings.services_domain}"
    return f"{name}."


def _hosts_file(pod: Obj) -> frozenset[str]:
    """The names that the kubelet writes into the pod's /etc/hosts because the PodSpec asks for it, and localhost."""
    listed = (alias.get("hostnames") for alias in objects(pod.get("hostAliases")))
    names = (name for names in listed if isinstance(names, list) for name in names if isinstance(name, str))
    return frozenset({"localhost", *(canonical(name) for name in names)})


def _system_ca(inputs: AppInputs, secret: str | None) -> bool:
    """A Secret whose content nobody has seen is taken to have a ca.crt: one that is lost must not widen the trust."""
    if secret is None:
        return True
    view = inputs.secrets.get(secret)
    return view is not None and view.facts is not None and view.facts.problem is None and not view.facts.has_ca
