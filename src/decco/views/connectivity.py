"""The connectivity graph: allowed connections, from decco's NetworkPolicies, and intended ones, from the egresses.

It does not depend on the rules of ``desired/network.py``: the policies of a simulation are evaluated as a network
plugin would evaluate them, with the labels of the namespaces of the same simulation. So the graph always matches the
policies.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from decco.api.parse import parse_app
from decco.desired.limits import CLIENT_CIDRS, limits_of
from decco.desired.mesh.meshes import meshes
from decco.desired.model import EgressPhase, SpaceFacts
from decco.desired.outgoing import phase_of, service_of
from decco.desired.placement import Placed
from decco.errors import DeccoError
from decco.frozen import frozen
from decco.objects import (
    DEPLOYMENTS,
    JOBS,
    LABEL_MONITORING,
    LABEL_NAMESPACE_NAME,
    NAMESPACES,
    NETWORK_POLICIES,
    SERVICES,
    STATEFUL_SETS,
    Key,
    Obj,
    Resource,
    labels_of,
)
from decco.settings import RoutingBackend
from decco.views.limits import unkept_limits
from decco.views.placements import placed_of, role_name
from decco.views.simulation import ReconcileResult, SimulationResult
from decco.views.snapshot import Snapshot

ANYBODY = "anybody"
MONITORING = "monitoring"
EDGE = "edge"
IN_MESH = "anybody in the mesh"
_NOT_PERMITTED = "the egress of its own Space is limited, and nothing listens there that it may reach"


@frozen
class ServicePort:
    """An endpoint of an App, as the policies expose it."""

    app: str
    endpoint: str
    port: int
    """Of the Service."""
    pod_port: int
    url: str | None = None


@dataclass(slots=True)
class Node:
    """A Space with its service ports and their allowed sources: other Spaces, ANYBODY, MONITORING, "edge ..."."""

    name: str
    fqdn: str
    project: str | None
    ports: list[ServicePort] = field(default_factory=list)
    allowed_from: dict[str, list[ServicePort]] = field(default_factory=dict)
    lets_in: dict[str, list[ServicePort]] = field(default_factory=dict)
    """As ``allowed_from``, without regard to what their own policies permit these sources."""
    mesh: str = ""
    leads_to: list[str] | None = None
    """What all its pods may connect to outside of it; None if that is not limited."""
    clients: list[str] | None = None
    """The networks whose clients the edge serves; None if that is not limited, [] if it serves nobody."""
    placed: Placed | None = None
    """None without a placement."""
    apps_placed: dict[str, Placed] = field(default_factory=dict)
    """Those Apps for which this cluster does something else than for the Space."""


@frozen
class Call:
    """An egress. ``space`` is None for an external host; then ``allowed`` is None."""

    caller: Key
    space: str | None
    target: str
    """Name of the endpoint, or host:port."""
    allowed: bool | None
    why: str = ""


@dataclass(slots=True)
class ConnectivityGraph:
    nodes: list[Node]
    calls: list[Call]

    def only(self, spaces: set[str]) -> ConnectivityGraph:
        """The graph of these Spaces and their direct neighbours."""
        calls = [call for call in self.calls if call.caller.namespace in spaces or call.space in spaces]
        near = spaces | {call.caller.namespace for call in calls} | {call.space for call in calls if call.space}
        return ConnectivityGraph([node for node in self.nodes if node.name in near], calls)


def connectivity(snapshot: Snapshot, result: SimulationResult) -> ConnectivityGraph:
    """Build the graph from a simulation that wrote all objects (``Snapshot.forget_children``)."""
    labels = {
        reconciled.key.name: {**labels_of(obj), LABEL_NAMESPACE_NAME: reconciled.key.name}
        for reconciled in result.results
        for obj in _objects(reconciled, NAMESPACES)
    }
    nodes: dict[str, Node] = {}
    for entry in snapshot.caches.spaces:
        if isinstance(entry.facts, SpaceFacts):
            facts = entry.facts
            mesh = facts.spec.mesh.value if facts.spec.mesh.value in meshes() else ""
            clients = _clients(facts, snapshot)
            of_space, apps = placed_of(facts, snapshot)
            nodes[facts.name] = Node(
                facts.name,
                facts.fqdn,
                facts.spec.project,
                mesh=mesh,
                clients=clients,
                placed=of_space,
                apps_placed=apps,
            )
    outgoing: dict[Key, list[Obj]] = {}
    for reconciled in result.results:
        for policy in _objects(reconciled, NETWORK_POLICIES):
            if phase_of(policy) is not EgressPhase.DECLARED:
                continue
            rules = policy["spec"].get("egress") or []
            outgoing[reconciled.key] = rules
            if reconciled.kind == "Space" and (node := nodes.get(reconciled.key.name)) is not None:
                node.leads_to = list(dict.fromkeys(text for rule in rules for text in _targets(rule)))
    # Sorted: the order of the caches is the order of arrival.
    for reconciled in sorted(result.results, key=lambda reconciled: reconciled.key):
        node = nodes.get(reconciled.key.namespace)
        if reconciled.kind == "App" and node is not None:
            _open(node, reconciled, labels, outgoing)
            if node.mesh:
                _open_in_mesh(node, reconciled, nodes, outgoing)
    ordered = sorted(nodes.values(), key=lambda node: (node.project is None, node.project or "", node.name))
    return ConnectivityGraph(
        ordered,
        sorted(_calls(snapshot, nodes, outgoing), key=lambda call: (call.caller, call.space or "", call.target)),
    )


def _clients(space: SpaceFacts, snapshot: Snapshot) -> list[str] | None:
    cidrs = limits_of(space).client_cidrs
    if not cidrs or snapshot.caches.settings.routing.backend is RoutingBackend.NONE:
        return None
    return [] if CLIENT_CIDRS in unkept_limits(snapshot.caches, space) else sorted(cidrs)


def _open(
    node: Node,
    reconciled: ReconcileResult,
    labels: Mapping[str, Mapping[str, str]],
    outgoing: Mapping[Key, list[Obj]],
) -> None:
    service_ports = sorted(_service_ports(reconciled), key=lambda port: port.endpoint)
    node.ports += service_ports
    for policy in _objects(reconciled, NETWORK_POLICIES):
        for rule in policy["spec"].get("ingress") or ():
            ports = {port["port"] for port in rule.get("ports") or ()} - _tunnels(node.mesh)
            opened = [port for port in service_ports if port.pod_port in ports]
            for who in _sources(rule, labels):
                if who == node.name:
                    continue
                may = [port for port in opened if _may_leave(who, node.name, port, outgoing)]
                for found, ports_ in ((node.lets_in, opened), (node.allowed_from, may)):
                    if ports_:
                        known = found.setdefault(who, [])
                        known += [port for port in ports_ if port not in known]


def _open_in_mesh(
    node: Node, reconciled: ReconcileResult, nodes: Mapping[str, Node], outgoing: Mapping[Key, list[Obj]]
) -> None:
    """What the mesh alone opens, in plain text: the policies of the network do not see it."""
    mesh = meshes()[node.mesh]
    ports = [port for port in _clear_text_ports(reconciled) if port.pod_port not in {p.pod_port for p in node.ports}]
    for policy in _objects(reconciled, *mesh.kinds):
        for who, permitted in mesh.permitted(policy):
            client = nodes.get(who.namespace)
            if who.namespace and (client is None or client.mesh != node.mesh):
                continue
            name = who.namespace or IN_MESH
            for port in ports:
                by_tunnel = replace(port, pod_port=mesh.tunnel_port)
                if port.pod_port in permitted and _may_leave(who.namespace, node.name, by_tunnel, outgoing):
                    text = f"service account {who.account} of {name}" if who.account else name
                    node.allowed_from.setdefault(text, []).append(port)


def _may_leave(source: str, space: str, port: ServicePort, outgoing: Mapping[Key, list[Obj]]) -> bool:
    """Whether a connection to a port of a Space may leave its source, by the source's own policies.

    A permitted network may contain pods unless all its addresses are public; this cannot be checked here.
    """
    if (of_space := outgoing.get(Key("", source))) is None:
        return True
    rules = [*of_space, *(rule for key, each in outgoing.items() if key.namespace == source for rule in each)]
    return any(_may_contain_pods(peer) for rule in of_space for peer in rule.get("to") or ()) or any(
        _namespace(peer) == space and port.pod_port in {each.get("port") for each in rule.get("ports") or ()}
        for rule in rules
        for peer in rule.get("to") or ()
    )


def _may_contain_pods(peer: Obj) -> bool:
    if "ipBlock" not in peer:
        return False
    network = ipaddress.ip_network(peer["ipBlock"]["cidr"])
    return not (network.is_link_local or network.is_global) or network.prefixlen == 0


def _tunnels(mesh: str) -> set[int]:
    """Not ports of the pods, but the way to those that the policies of the mesh list."""
    return {meshes()[mesh].tunnel_port} if mesh else set()


def _sources(rule: Obj, labels: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """The sources that a rule allows; all without ``from`` (networking.k8s.io/v1, NetworkPolicyIngressRule)."""
    if not rule.get("from"):
        yield ANYBODY
        return
    for peer in rule["from"]:
        if "ipBlock" in peer:
            yield f"{EDGE} at {peer['ipBlock']['cidr']}"
            continue
        wanted: dict[str, str] = (peer.get("namespaceSelector") or {}).get("matchLabels") or {}
        if LABEL_NAMESPACE_NAME in wanted:
            yield f"{EDGE} in namespace {wanted[LABEL_NAMESPACE_NAME]}"
        elif LABEL_MONITORING in wanted:
            yield MONITORING
        else:
            yield from (name for name, has in sorted(labels.items()) if wanted.items() <= has.items())


def _service_ports(reconciled: ReconcileResult) -> Iterator[ServicePort]:
    """The ports of the App's Services, each with its pod port."""
    numbers = _port_numbers(reconciled)
    urls = {entry["name"]: entry.get("url") for entry in (reconciled.status or {}).get("endpoints") or ()}
    for service in _objects(reconciled, SERVICES):
        name = service["metadata"]["name"]
        for port in service["spec"].get("ports") or ():
            target = port["targetPort"]
            number = target if isinstance(target, int) else numbers.get(target)
            if number is not None and name in urls:
                yield ServicePort(reconciled.key.name, name, port["port"], number, urls[name])


def _clear_text_ports(reconciled: ReconcileResult) -> Iterator[ServicePort]:
    """The ports of the App's clear text Services; the others have a status."""
    listed = {entry["name"] for entry in (reconciled.status or {}).get("endpoints") or ()}
    for service in _objects(reconciled, SERVICES):
        name = service["metadata"]["name"]
        for port in service["spec"].get("ports") or ():
            if name not in listed and port["name"] == "cleartext":
                yield ServicePort(reconciled.key.name, name, port["port"], port["targetPort"])


def _port_numbers(reconciled: ReconcileResult) -> dict[str, int]:
    """The pod's named ports."""
    found: dict[str, int] = {}
    for workload in _objects(reconciled, DEPLOYMENTS, STATEFUL_SETS, JOBS):
        spec: dict[str, Any] = workload["spec"]["template"]["spec"]
        for kind in ("containers", "initContainers"):
            for container in spec.get(kind) or ():
                ports = container.get("ports") or ()
                found |= {port["name"]: port["containerPort"] for port in ports if "name" in port}
    return found


def _targets(rule: Obj) -> Iterator[str]:
    """What an egress rule of a Space permits; not the Space itself."""
    ports = ", ".join(_port(port) for port in rule.get("ports") or ()) or "every port"
    for peer in rule.get("to") or ():
        if "ipBlock" in peer:
            yield f"{peer['ipBlock']['cidr']} ({ports})"
        elif (namespace := _namespace(peer)) is not None:
            labels = (peer.get("podSelector") or {}).get("matchLabels") or {}
            named = " ".join(f"{label}={value}" for label, value in labels.items())
            yield f"pods {named} of namespace {namespace} ({ports})"


def _port(port: Obj) -> str:
    last = f"-{port['endPort']}" if "endPort" in port else ""
    return f"{port['port']}{last}/{port['protocol']}"


def _namespace(peer: Obj) -> str | None:
    name = ((peer.get("namespaceSelector") or {}).get("matchLabels") or {}).get(LABEL_NAMESPACE_NAME)
    return str(name) if name is not None else None


def _leads_into(rules: list[Obj], space: str) -> bool:
    return any(_namespace(peer) == space for rule in rules for peer in rule.get("to") or ())


def _calls(snapshot: Snapshot, nodes: Mapping[str, Node], outgoing: Mapping[Key, list[Obj]]) -> Iterator[Call]:
    """``outgoing``: the egress rules of Apps and Spaces whose policies have some."""
    for entry in snapshot.caches.apps:
        try:
            spec = parse_app(entry.obj())
        except DeccoError:
            continue  # reported as invalid elsewhere
        for egress in spec.tls_egresses:
            own = entry.key.namespace
            limited = Key("", own) in outgoing
            if egress.endpoint is None:
                where = f"{egress.fqdn}:{egress.target_port}"
                service = service_of(egress.fqdn or "", snapshot.caches.settings)
                closed = limited and service is not None and service[1] != own
                if closed and service is not None and not _leads_into(outgoing.get(entry.key, []), service[1]):
                    yield Call(entry.key, None, where, allowed=False, why=_NOT_PERMITTED)
                else:
                    yield Call(entry.key, None, where, None)
                continue
            space = egress.space_name or own
            call = _call(entry.key, space, egress.endpoint, nodes)
            if call.allowed and limited and space != own and not _leads_into(outgoing.get(entry.key, []), space):
                call = Call(entry.key, space, egress.endpoint, allowed=False, why=_NOT_PERMITTED)
            yield call


def _call(caller: Key, space: str, endpoint: str, nodes: Mapping[str, Node]) -> Call:
    node = nodes.get(space)
    port = next((port for port in node.ports if port.endpoint == endpoint), None) if node is not None else None
    if node is None or port is None:
        why = "no such endpoint"
    elif space == caller.namespace or any(port in node.lets_in.get(who, ()) for who in (caller.namespace, ANYBODY)):
        why = ""
    else:
        why = "the Space lets only its project in"
    return Call(caller, space, endpoint, allowed=not why, why=why)


def _objects(reconciled: ReconcileResult, *resources: Resource) -> Iterator[Obj]:
    for write in reconciled.writes:
        if write.resource in resources and write.after is not None:
            yield write.after


def as_data(graph: ConnectivityGraph) -> Obj:
    """The graph as data, for JSON and YAML; what does not apply has no key."""
    return {
        "spaces": [
            _present(
                name=node.name,
                fqdn=node.fqdn,
                project=node.project,
                mesh=node.mesh or None,
                leads_to=node.leads_to,
                clients=node.clients,
                placement=node.placed.where if node.placed is not None else None,
                here=role_name(node.placed) if node.placed is not None else None,
                apps_placed={app: role_name(placed) for app, placed in node.apps_placed.items()} or None,
                endpoints=[
                    _present(app=port.app, endpoint=port.endpoint, port=port.port, url=port.url) for port in node.ports
                ],
                allowed_from=[
                    {"from": who, "endpoints": [port.endpoint for port in ports]}
                    for who, ports in sorted(node.allowed_from.items())
                ],
            )
            for node in graph.nodes
        ],
        "calls": [
            {
                "from": str(call.caller),
                **_present(space=call.space, to=call.target, allowed=call.allowed, why=call.why or None),
            }
            for call in graph.calls
        ],
    }


def _present(**values: object) -> Obj:
    return {name: value for name, value in values.items() if value is not None}
