"""TLS egress of a pod: the local ports of the sidecar, and the target of each.

The set of local ports depends on the App alone. An egress whose target does not exist keeps its port without a target,
so that a new or deleted endpoint in another Space does not restart the pods of this one: only the sidecar's
configuration changes, which the sidecar reloads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from decco.api.types import Egress
from decco.desired import reasons
from decco.desired.endpoints import ResolvedApp, container_ports, endpoints_of, objects
from decco.desired.model import AppInputs, EgressTarget, Problem
from decco.frozen import frozen
from decco.hostnames import canonical
from decco.objects import Obj


@frozen
class ResolvedEgress:
    """One local port of the sidecar."""

    local_port: int
    target: EgressTarget | None
    """None while the target endpoint does not exist: connections are then closed at once. The host has a trailing dot,
    which excludes the pod's DNS search path, unless the pod's own hosts file has the name."""
    secret: str | None
    """Secret with the client certificate; None: no client certificate is sent."""
    system_ca: bool
    """The server must be signed by an authority of the system's instead of the Secret's ca.crt."""
    verify: bool


def resolve_egresses(
    inputs: AppInputs, resolved: ResolvedApp
) -> tuple[tuple[ResolvedEgress, ...], tuple[Problem, ...]]:
    """The egresses in the order of the spec, and why some have no target or are left out."""
    found: list[ResolvedEgress] = []
    problems: list[Problem] = []
    pod = container_ports(inputs.spec.pod) | {e.port for e in endpoints_of(inputs.name, inputs.spec)}
    taken = set(pod) | {endpoint.tls.port for endpoint in resolved.servers if endpoint.tls is not None}
    for egress in inputs.spec.tls_egresses:
        port = egress.local_port
        if port in taken:
            who = "a container of the pod listens on it" if port in pod else "another listener of the sidecar has it"
            message = f"the egress at local port {port} is left out: {who}; choose another localPort"
            problems.append(Problem(reasons.EGRESS_PORT_CONFLICT, message))
            continue
        taken.add(port)
        target = _target(inputs, egress)
        if target is None:
            where = f"endpoint {egress.endpoint} of Space {egress.space_name or inputs.space.name}"
            message = (
                f"the egress at local port {port} leads nowhere: {where} does not exist, takes no TLS connections, or "
                "is closed to this Space; create it, or correct the egress"
            )
            problems.append(Problem(reasons.EGRESS_TARGET_NOT_FOUND, message))
        secret = egress.cert_and_ca_secret_name or inputs.space.spec.tcp_cert_and_ca_secret_name
        verify = not egress.disable_server_cert_verification
        found.append(ResolvedEgress(port, target, secret, _system_ca(inputs, secret), verify))
    return tuple(found), tuple(problems)


def _target(inputs: AppInputs, egress: Egress) -> EgressTarget | None:
    if egress.fqdn is not None:
        target: EgressTarget | None = EgressTarget(egress.fqdn, egress.target_port, canonical(egress.fqdn))
    elif egress.endpoint is not None:
        target = inputs.targets.get((egress.space_name or inputs.space.name, egress.endpoint))
    else:
        target = None
    return replace(target, host=_absolute(target.host, inputs)) if target is not None else None


def _absolute(host: str, inputs: AppInputs) -> str:
    """The absolute form of a name, to which resolvers do not apply a search path.

    A pod's resolver appends its search path to a name of few dots before it tries the name itself (ndots:5), so
    that ``github.com`` would be Service ``github`` in namespace ``com``. The two short forms that can only mean a
    Service, ``<service>`` in the pod's own namespace and ``<service>.<namespace>.svc``, are completed here instead.
    """
    name = canonical(host)
    if name in _hosts_file(inputs.spec.pod):
        return name  # the hosts file matches only without the trailing dot
    if "." not in name:
        name = f"{name}.{inputs.space.name}.svc"
    if name.endswith(".svc"):
        name = f"{name}.{inputs.settings.services_domain}"
    return f"{name}."


def _hosts_file(pod: Obj) -> frozenset[str]:
    """The names that the kubelet writes into the pod's /etc/hosts."""
    return frozenset({"localhost", *(name for name, _ in host_aliases(pod))})


def host_aliases(pod: Obj) -> Iterator[tuple[str, str]]:
    """(name, address) of the hostAliases of a PodSpec; the address is not validated."""
    for alias in objects(pod.get("hostAliases")):
        listed = alias.get("hostnames")
        for name in listed if isinstance(listed, list) else ():
            if isinstance(name, str):
                yield canonical(name), str(alias.get("ip") or "")


def _system_ca(inputs: AppInputs, secret: str | None) -> bool:
    """A Secret with unknown content is assumed to have a ca.crt: the loss of a Secret must not widen the trust."""
    if secret is None:
        return True
    view = inputs.secrets.get(secret)
    return view is not None and view.facts is not None and view.facts.problem is None and not view.facts.has_ca
