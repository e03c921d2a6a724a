"""Who may connect to the pods of a Space, as NetworkPolicies.

A NetworkPolicy only allows connections: a pod that a policy selects is closed except for what its policies allow
together. So there are two kinds. The policy of the Space selects all pods and allows only pods of the same namespace;
it closes everything to the outside. The policy of an App selects its pods and opens only the ports of its endpoints, to
their intended clients. No policy has the port behind a TLS listener.

Ports are numbers, not names. The network plugin resolves a port name in each pod, and the listener is the port of an
init container (a native sidecar), which a plugin may ignore. Numbers are stable: see ``names.pod_ports``.
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
"""Set on every namespace by the API server; clients cannot change it."""
HBONE_PORT = 15008
"""Where Istio's ambient mesh delivers the traffic for all ports of a pod."""


@dataclass(frozen=True, slots=True, order=True)
class PolicyPort:
    """A port of a pod that is open to the outside of its Space.

    ``monitoring``: open only to the namespaces that monitor. Otherwise the port is routed: open to the edge and to the
    Spaces that may connect to this one.
    """

    port: int
    protocol: str = "TCP"
    monitoring: bool = False


def space_policy(space: SpaceFacts, namespace_uid: str | None) -> Child:
    """Closes all pods of the Space to clients outside it.

    The namespace is a second owner. When a Space is deleted, Kubernetes removes at once the objects that only the Space
    owns, while pods still terminate. With the second owner the policy stays until the deletion of the namespace, which
    removes pods before all other objects (KEP-5080). ``namespace_uid`` is None if there is no namespace.
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
    """Who may connect to routed ports; None means any client, inside the cluster or outside."""
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
    """Sorted and without duplicates, so that a new order of the endpoints causes no write."""
    wanted = {(port.port, port.protocol) for port in ports}
    if wanted and mesh:
        wanted.add((HBONE_PORT, "TCP"))
    return [{"protocol": protocol, "port": port} for port, protocol in sorted(wanted)]
