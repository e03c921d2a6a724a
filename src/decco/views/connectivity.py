"""The connectivity graph: allowed connections, from decco's NetworkPolicies, and intended ones, from the egresses.

It does not depend on the rules of ``desired/network.py``: the policies of a simulation are evaluated as a network
plugin would evaluate them, with the labels of the namespaces of the same simulation. So the graph always matches the
policies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from decco.api.parse import parse_app
from decco.desired.model import SpaceFacts
from decco.desired.network import HBONE_PORT, LABEL_NAMESPACE_NAME
from decco.errors import DeccoError
from decco.objects import (
    DEPLOYMENTS,
    JOBS,
    LABEL_MONITORING,
    NAMESPACES,
    NETWORK_POLICIES,
    SERVICES,
    STATEFUL_SETS,
    Key,
    Obj,
    Resource,
    labels_of,
)
from decco.views.simulation import ReconcileResult, SimulationResult
from decco.views.snapshot import Snapshot

ANYBODY = "anybody"
MONITORING = "monitoring"
EDGE = "edge"


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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
            nodes[facts.name] = Node(facts.name, facts.fqdn, facts.spec.project)
    # Sorted: the order of the caches is the order of arrival.
    for reconciled in sorted(result.results, key=lambda reconciled: reconciled.key):
        node = nodes.get(reconciled.key.namespace)
        if reconciled.kind == "App" and node is not None:
            _open(node, reconciled, labels)
    ordered = sorted(nodes.values(), key=lambda node: (node.project is None, node.project or "", node.name))
    return ConnectivityGraph(
        ordered, sorted(_calls(snapshot, nodes), key=lambda call: (call.caller, call.space or "", call.target))
    )


def _open(node: Node, reconciled: ReconcileResult, labels: Mapping[str, Mapping[str, str]]) -> None:
    service_ports = sorted(_service_ports(reconciled), key=lambda port: port.endpoint)
    node.ports += service_ports
    for policy in _objects(reconciled, NETWORK_POLICIES):
        for rule in policy["spec"].get("ingress") or ():
            ports = {port["port"] for port in rule.get("ports") or ()} - {HBONE_PORT}
            opened = [port for port in service_ports if port.pod_port in ports]
            for who in _sources(rule, labels):
                if who != node.name and opened:
                    known = node.allowed_from.setdefault(who, [])
                    known += [port for port in opened if port not in known]


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


def _calls(snapshot: Snapshot, nodes: Mapping[str, Node]) -> Iterator[Call]:
    for entry in snapshot.caches.apps:
        try:
            spec = parse_app(entry.obj())
        except DeccoError:
            continue  # reported as invalid elsewhere
        for egress in spec.tls_egresses:
            if egress.endpoint is None:
                yield Call(entry.key, None, f"{egress.fqdn}:{egress.target_port}", None)
                continue
            space = egress.space_name or entry.key.namespace
            yield _call(entry.key, space, egress.endpoint, nodes)


def _call(caller: Key, space: str, endpoint: str, nodes: Mapping[str, Node]) -> Call:
    node = nodes.get(space)
    port = next((port for port in node.ports if port.endpoint == endpoint), None) if node is not None else None
    if node is None or port is None:
        why = "no such endpoint"
    elif space == caller.namespace or any(
        port in node.allowed_from.get(who, ()) for who in (caller.namespace, ANYBODY)
    ):
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
