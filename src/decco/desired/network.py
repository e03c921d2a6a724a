"""Who may connect to the pods of a Space, as NetworkPolicies. Where these may connect to is in ``outgoing.py``.

A NetworkPolicy only allows connections: a pod that a policy selects is closed except for what its policies allow
together. So there are two kinds. The policy of the Space selects all pods and allows only pods of the same namespace;
it closes everything to the outside. The policy of an App selects its pods and opens only the ports of its endpoints, to
their intended clients. No policy has the port behind a TLS listener.

In a mesh the plug-in sees the tunnel and not the ports in it. Its port is opened to the clients of an App while
policies of the mesh say which ports they may reach (``mesh/``); other clients connect to the ports themselves.

Ports are numbers, not names. The network plugin resolves a port name in each pod, and the listener is the port of an
init container (a native sidecar), which a plugin may ignore. Numbers are stable: see ``names.pod_ports``.
"""

from __future__ import annotations

from decco.desired import names
from decco.desired.endpoints import ResolvedApp
from decco.desired.mesh.interface import open_ports, plain_ports
from decco.desired.mesh.meshes import meshes
from decco.desired.mesh_state import NO_MESH, MeshView
from decco.desired.model import AppInputs, Child, EgressPhase, SpaceFacts
from decco.desired.outgoing import Outgoing, record_annotation, space_rules
from decco.desired.peers import block, edge_peers, namespaces
from decco.objects import LABEL_MONITORING, LABEL_PROJECT, NETWORK_POLICIES, Obj
from decco.settings import EdgeSettings, Settings


def space_policy(
    space: SpaceFacts,
    namespace_uid: str | None,
    phase: EgressPhase = EgressPhase.UNLIMITED,
    settings: Settings | None = None,
    mesh: MeshView = NO_MESH,
) -> Child:
    """Closes all pods of the Space to clients outside it, and limits where they connect to. A mesh sends the probes of
    the kubelet from addresses of its own.

    The namespace is a second owner. When a Space is deleted, Kubernetes removes at once the objects that only the Space
    owns, while pods still terminate. With the second owner the policy stays until the deletion of the namespace, which
    removes pods before all other objects (KEP-5080). ``namespace_uid`` is None if there is no namespace.
    """
    meta = names.space_meta(space)
    if namespace_uid is not None:
        owner = {"apiVersion": "v1", "kind": "Namespace", "name": space.name, "uid": namespace_uid}
        meta["ownerReferences"] = [*meta["ownerReferences"], owner]
    ingress: list[Obj] = [{"from": [{"podSelector": {}}]}]
    if mesh.name:
        ingress.append({"from": [block(probe) for probe in meshes()[mesh.name].probes]})
    spec: Obj = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": ingress}
    if phase is not EgressPhase.UNLIMITED:
        spec["policyTypes"] = ["Ingress", "Egress"]
        spec["egress"] = space_rules(space, phase, settings or Settings())
    return names.child(NETWORK_POLICIES, meta, spec=spec)


def app_policy(inputs: AppInputs, resolved: ResolvedApp, out: Outgoing | None = None) -> Child | None:
    """Opens the ports of an App's endpoints, and the targets of its egresses; None if it has neither.

    Ports for metrics are open to the namespaces that monitor, all others to the edge and to the Spaces that may connect
    to this one.
    """
    ingress: list[Obj] = []
    if routed := _ports(inputs, resolved, monitoring=False):
        peers = peers_of(inputs.space, inputs.settings.edge)
        ingress.append({"from": peers, "ports": routed} if peers is not None else {"ports": routed})
    if monitored := _ports(inputs, resolved, monitoring=True):
        ingress.append({"from": [namespaces(LABEL_MONITORING, "true")], "ports": monitored})
    out = out if out is not None else Outgoing()
    if not ingress and out.rules is None:
        return None
    spec: Obj = {"podSelector": {"matchLabels": names.pod_selector(inputs.name)}, "policyTypes": []}
    if ingress:
        spec |= {"policyTypes": ["Ingress"], "ingress": ingress}
    if out.rules is not None:
        spec["policyTypes"] += ["Egress"]  # without rules it closes the pods to all that the Space's policy leaves out
    if out.rules:
        spec["egress"] = out.rules
    meta = names.app_meta(inputs, names.app_policy(inputs.name), record_annotation(out, inputs) or None)
    return names.child(NETWORK_POLICIES, meta, spec=spec)


def may_connect(client: SpaceFacts, target: SpaceFacts) -> bool:
    """Whether the policies of ``target`` let the pods of ``client`` in. Otherwise nothing of ``target`` is shown there:
    an endpoint that is closed and one that does not exist look the same.
    """
    return client.name == target.name or target.spec.project in (None, client.spec.project)


def peers_of(space: SpaceFacts, edge: EdgeSettings) -> list[Obj] | None:
    """Who may connect to routed ports; None means any client, inside the cluster or outside."""
    if space.spec.project is None:
        return None
    return [namespaces(LABEL_PROJECT, space.spec.project), *edge_peers(edge)]


def _ports(inputs: AppInputs, resolved: ResolvedApp, *, monitoring: bool) -> list[Obj]:
    """The tunnel leads to all ports, so it is open only beside others, or for those that the mesh alone opens, and once
    the mesh restricts it.
    """
    tunnel = meshes()[inputs.mesh.name].tunnel_port if inputs.mesh.name else None
    ports = open_ports(resolved, monitoring=monitoring, tunnel=tunnel)
    if tunnel is not None and inputs.mesh.has_policies:
        plain = not monitoring and bool(plain_ports(resolved, tunnel=tunnel))
        ports += [tunnel] if ports or plain else []
    return [{"protocol": "TCP", "port": port} for port in ports]
