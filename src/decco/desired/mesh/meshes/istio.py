"""Istio in ambient mode: PeerAuthentication and AuthorizationPolicy, as ztunnel enforces them (layer 4).

Read from Istio 1.32 (``istio.io/api``, ``pilot/pkg/serviceregistry/ambient``) and ztunnel (``src/rbac.rs``): DENY is
first, and a connection is permitted if an ALLOW matches, or if the pod has none. ``namespaces`` are of identities,
whatever the service account; ``notPrincipals: ["*"]`` matches connections without identity, which did not come by the
mesh. A PeerAuthentication without ``mtls`` has that of its namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from decco.desired import names
from decco.desired.endpoints import ResolvedApp
from decco.desired.mesh.interface import Identity, Mesh, open_ports, plain_ports
from decco.desired.mesh_state import MeshPhase
from decco.desired.model import AppInputs, Child, SpaceInputs
from decco.desired.solvers import SOLVER_LABELS, SOLVER_POLICY, SOLVER_PORT, solver_policy
from decco.objects import Obj, Resource

GROUP = "security.istio.io"
AUTHORIZATION_POLICIES = Resource(GROUP, "v1", "authorizationpolicies", "AuthorizationPolicy")
PEER_AUTHENTICATIONS = Resource(GROUP, "v1", "peerauthentications", "PeerAuthentication")

_WITHOUT_IDENTITY: Obj = {"source": {"notPrincipals": ["*"]}}


class Istio(Mesh):
    # In the order of writing: policies that allow less come before what permits connections without the mesh.
    kinds = (AUTHORIZATION_POLICIES, PEER_AUTHENTICATIONS)
    crds = "the CRDs of Istio (istio-base)"
    label = ("istio.io/dataplane-mode", "ambient")
    tunnel_port = 15008
    probes = ("169.254.7.127/32", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128")

    def is_member(self, labels: Mapping[str, str]) -> bool:
        return labels.get(self.label[0]) == self.label[1]

    def is_own_edge(self, gateway_controller: str | None) -> bool:
        return gateway_controller is not None and gateway_controller.startswith("istio.io/")

    def space(self, inputs: SpaceInputs) -> list[Child]:
        space, strict = inputs.space, inputs.mesh.phase is MeshPhase.STRICT
        rules: list[Obj] = [{"from": [_namespaces([space.name])]}]
        if not strict:
            rules.append({"from": [_WITHOUT_IDENTITY]})  # the NetworkPolicies limit these
        meta = names.space_meta(space)
        mode = {"mode": "STRICT" if strict else "PERMISSIVE"}
        allow_solvers, plain_solvers = _solvers(inputs)
        return [
            names.child(inputs.served[AUTHORIZATION_POLICIES], meta, spec={"action": "ALLOW", "rules": rules}),
            *allow_solvers,
            names.child(inputs.served[PEER_AUTHENTICATIONS], meta, spec={"mtls": mode}),
            *plain_solvers,
        ]

    def permitted(self, policy: Obj) -> Iterator[tuple[Identity, frozenset[int]]]:
        for rule in policy["spec"].get("rules") or ():
            operations = [each["operation"] for each in rule.get("to") or ()]
            ports = frozenset(int(port) for each in operations for port in each["ports"])
            for source in (each["source"] for each in rule.get("from") or ()):
                for namespace in source.get("namespaces") or ():
                    yield Identity(namespace), ports
                for principal in source.get("principals") or ():
                    parts = principal.split("/")
                    yield (Identity(parts[2], parts[4]) if len(parts) > 4 else Identity()), ports

    def app(self, inputs: AppInputs, resolved: ResolvedApp) -> list[Child]:
        mesh, project = inputs.mesh, inputs.space.spec.project
        routed = open_ports(resolved, monitoring=False, tunnel=self.tunnel_port)
        monitored = open_ports(resolved, monitoring=True, tunnel=self.tunnel_port)
        rules: list[Obj] = []
        without_mesh: set[int] = set()
        if routed and project is None:
            rules.append({"to": _to(routed)})
            without_mesh.update(routed)
        elif routed:
            cidrs = [{"source": {"ipBlocks": list(inputs.settings.edge.cidrs)}}] if inputs.settings.edge.cidrs else []
            clients = [*_sources(mesh.clients, mesh.clients_outside), *cidrs]
            rules += [{"from": clients, "to": _to(routed)}] if clients else []
            without_mesh.update(routed if cidrs or mesh.clients_outside else ())
        if monitored and mesh.monitors:
            rules.append({"from": _sources(mesh.monitors, mesh.monitors_outside), "to": _to(monitored)})
            without_mesh.update(monitored if mesh.monitors_outside else ())
        rules += _plain(inputs, resolved, self.tunnel_port)
        if not rules:
            return []
        meta = names.app_meta(inputs, names.app_policy(inputs.name))
        pods = {"selector": {"matchLabels": names.pod_selector(inputs.name)}}
        allow = names.child(
            inputs.served[AUTHORIZATION_POLICIES], meta, spec={**pods, "action": "ALLOW", "rules": rules}
        )
        if not without_mesh:
            return [allow]
        ports = {str(port): {"mode": "PERMISSIVE"} for port in sorted(without_mesh)}
        plain = names.child(inputs.served[PEER_AUTHENTICATIONS], meta, spec={**pods, "portLevelMtls": ports})
        return [allow, plain]


def _solvers(inputs: SpaceInputs) -> tuple[list[Child], list[Child]]:
    """For the pods that answer a certificate authority: to whom the NetworkPolicy opens them, and without the mesh
    where that is not in it.
    """
    space, mesh, edge = inputs.space, inputs.mesh, inputs.settings.edge
    if not solver_policy(space, edge):
        return [], []
    rule: Obj = {"to": _to([SOLVER_PORT])}
    cidrs = [{"source": {"ipBlocks": list(edge.cidrs)}}] if edge.cidrs else []
    known = [*_sources(mesh.clients, mesh.clients_outside), *cidrs]
    if known:
        rule = {"from": known, **rule}
    meta = names.space_meta(space, SOLVER_POLICY)
    pods = {"selector": {"matchLabels": SOLVER_LABELS}}
    spec = {**pods, "action": "ALLOW", "rules": [rule]}
    allow = names.child(inputs.served[AUTHORIZATION_POLICIES], meta, spec=spec)
    if known and not cidrs and not mesh.clients_outside:
        return [allow], []
    plain = {**pods, "portLevelMtls": {str(SOLVER_PORT): {"mode": "PERMISSIVE"}}}
    return [allow], [names.child(inputs.served[PEER_AUTHENTICATIONS], meta, spec=plain)]


def _plain(inputs: AppInputs, resolved: ResolvedApp, tunnel: int) -> Iterator[Obj]:
    """Plain text for clients with an identity: without one, connections to these ports are refused."""
    mesh, edge = inputs.mesh, inputs.settings.edge.namespace
    ports = plain_ports(resolved, tunnel=tunnel)
    if common := [each.port for each in ports if not each.allowed_clients]:
        spaces = [name for name in mesh.clients if name != edge]
        if inputs.space.spec.project is None:
            yield {"from": [{"source": {"principals": ["*"]}}], "to": _to(common)}
        elif spaces:
            yield {"from": [_namespaces(spaces)], "to": _to(common)}
    for each in ports:
        accounts = [account for account in mesh.accounts if account.client in each.allowed_clients]
        if accounts:
            # Whatever the trust domain, as for namespaces.
            principals = sorted(f"*/ns/{account.namespace}/sa/{account.name}" for account in accounts)
            yield {"from": [{"source": {"principals": principals}}], "to": _to([each.port])}


def _namespaces(listed: Iterable[str]) -> Obj:
    return {"source": {"namespaces": sorted(listed)}}


def _sources(listed: Iterable[str], outside: Iterable[str]) -> list[Obj]:
    """The clients in these namespaces. A namespace that enters or leaves is listed both ways."""
    found = [_namespaces(listed)] if listed else []
    return [*found, _WITHOUT_IDENTITY] if outside else found


def _to(ports: Iterable[int]) -> list[Obj]:
    return [{"operation": {"ports": [str(port) for port in ports]}}]


MESH = Istio()
