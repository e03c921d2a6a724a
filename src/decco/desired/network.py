"""Who may connect to the pods of a Space, as NetworkPolicies.

Policies of Kubernetes only ever allow: a pod that any policy selects is closed but for what the policies say together.
So there are two kinds. The Space's own selects all pods and lets in only pods of the same namespace; with it,
everything is closed to the outside. Each App's selects its pods and opens the ports of its endpoints, and those alone,
to whom they are for. The port behind a TLS listener is in none of them.

Ports are numbers, not names. A port name is looked up in each pod by the network plugin, and our listener is the port
of an init container (a native sidecar), where a plugin need not look. Numbers are stable: see ``names.pod_ports``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from decco.api.types import Mesh
from decco.desired import names
from decco.desired.model import Child, SpaceFacts
from decco.objects import LABEL_MONITORING, LABEL_PROJECT, NETWORK_POLICIES, Obj
from decco.settings import Settings

LABEL_NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""Set on every namespace by the API server, and writable by nobody."""
HBONE_PORT = 15008
"""Where Istio's ambient mesh delivers the traffic for all ports of a pod."""


@dataclass(frozen=True, slots=True, order=True)
class PolicyPort:
    """A port of a pod that is open to the outside of its Space.

    ``monitoring``: open to the namespaces that monitor and to nobody else. Otherwise the port is routed: open to the
    edge and to the Spaces that may connect to this one.
    """

    port: int
    protocol: str = "TCP"
    monitoring: bool = False


def space_policy(space: SpaceFacts, namespace_uid: str | None) -> Child:
    """Closes all pods of the Space to all but each other.

    The policy belongs to the namespace too. When a Space is deleted, Kubernetes removes at once what only the Space
    owns, but pods take their time to end; with a second owner the policy stays until the namespace's own deletion,
    which removes pods before anything else (KEP-5080). ``namespace_uid`` is None as long as there is no namespace.
    """
    meta = names.child_meta(names.SPACE_OBJECT, uid=space.uid, space=space.name)
    if namespace_uid is not None:
        owner = {"apiVersion": "v1", "kind": "Namespace", "name": space.name, "uid": namespace_uid}
        meta["ownerReferences"] = [*meta["ownerReferences"], owner]
    ingress: list[Obj] = [{"from": [{"podSelector": {}}]}]
    return names.child(NETWORK_POLICIES, meta, spec={"podSelector": {}, "policyTypes": ["Ingress"], "ingress": ingress})


def app_policy(
    space: SpaceFacts, app_name: str, app_uid: str, settings: Settings, ports: Sequence[PolicyPort]
) -> Child | None:
    """Opens the ports of an App's endpoints; None if it has none."""
    if not ports:
        return None
    mesh = space.spec.mesh is Mesh.ISTIO
    ingress: list[Obj] = []
    routed = _ports((port for port in ports if not port.monitoring), mesh=mesh)
    if routed:
        ingress.append(_rule(_peers(space, settings), routed))
    monitored = _ports((port for port in ports if port.monitoring), mesh=mesh)
    if monitored:
        ingress.append(_rule([_namespaces(LABEL_MONITORING, "true")], monitored))
    spec: Obj = {
        "podSelector": {"matchLabels": names.pod_selector(app_name)},
        "policyTypes": ["Ingress"],
        "ingress": ingress,
    }
    meta = names.child_meta(names.app_policy(app_name), uid=app_uid, space=space.name, app=app_name)
    return names.child(NETWORK_POLICIES, meta, spec=spec)


def _peers(space: SpaceFacts, settings: Settings) -> list[Obj] | None:
    """Who may connect to routed ports; None is anybody, inside the cluster or not."""
    if space.spec.project is None:
        return None
    peers = [_namespaces(LABEL_PROJECT, space.spec.project)]
    if settings.edge.namespace is not None:
        peers.append(_namespaces(LABEL_NAMESPACE_NAME, settings.edge.namespace))
    peers += [{"ipBlock": {"cidr": cidr}} for cidr in settings.edge.cidrs]
    return peers


def _rule(peers: list[Obj] | None, ports: list[Obj]) -> Obj:
    return {"ports": ports} if peers is None else {"from": peers, "ports": ports}


def _namespaces(label: str, value: str) -> Obj:
    return {"namespaceSelector": {"matchLabels": {label: value}}}


def _ports(ports: Iterable[PolicyPort], *, mesh: bool) -> list[Obj]:
    """In order of number and each once, so that endpoints may change places without a write."""
    wanted = {(port.port, port.protocol) for port in ports}
    if wanted and mesh:
        wanted.add((HBONE_PORT, "TCP"))
    return [{"protocol": protocol, "port": port} for port, protocol in sorted(wanted)]
