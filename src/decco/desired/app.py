"""The children of an App, in the order of writing, and the problems of its spec.

First the policies, those of a mesh before the NetworkPolicy that opens its tunnel, so that a pod is never reachable by
more clients than it should be; then the ConfigMap that pods read and the Services; then the pods; then the routes, so
that the edge does not route to missing pods. The apply layer writes in this order and removes what is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from decco.api.conditions import ConditionType
from decco.desired import names, reasons, topology
from decco.desired.canary import place_canary
from decco.desired.disruption import disruption_budget
from decco.desired.egress import resolve_egresses
from decco.desired.endpoints import ResolvedApp, endpoints_of, resolve
from decco.desired.http_names import certificate_of
from decco.desired.http_routes import named_by
from decco.desired.mesh.meshes import meshes
from decco.desired.mesh_only import is_mesh_only
from decco.desired.model import AppInputs, Child, Problem, SecretState, SecretView
from decco.desired.network import app_policy
from decco.desired.outgoing import outgoing
from decco.desired.pod_secrets import awaited, needed_by_pods, secret_problems
from decco.desired.protocols import clear_text_protocol, service_protocol
from decco.desired.routing import app_routing, service_traits, sharing
from decco.desired.secret_use import CLIENT, NO_USE, SERVER, Use
from decco.desired.secrets import CA_CRT, http_use, problem_of
from decco.desired.sidecar import sidecar
from decco.desired.stateful_set import pods_service
from decco.desired.workload import workload
from decco.frozen import frozen
from decco.objects import CONFIGMAPS, DEPLOYMENTS, JOBS, STATEFUL_SETS, Key, Obj, Resource
from decco.settings import RoutingBackend


@frozen
class AppDesired:
    """Desired children, objects to leave unchanged, and problems to report to the App's owner."""

    children: list[Child]
    keep: frozenset[tuple[Resource, Key]]
    """Objects that are neither written nor removed, because their desired state cannot be derived from the spec."""
    problems: Mapping[ConditionType, tuple[Problem, ...]]
    """For each condition that applies to this App, beside Ready: the deviations from the spec. The rest of the App is
    reconciled without them."""
    resolved: ResolvedApp
    awaited: Problem | None = None
    """A Secret that the pods need and that decco is about to copy: a workload is not created before that."""


def app_children(inputs: AppInputs) -> AppDesired:
    """Everything that follows from an App's spec, its Space and the settings."""
    resolved, unshared = place_canary(inputs, resolve(inputs), sharing(inputs.settings.routing))
    egresses, unresolved = resolve_egresses(inputs, resolved)
    tls, refused = sidecar(inputs, resolved, egresses)
    pods = workload(inputs, tls)
    routes, unrouted = app_routing(inputs, resolved)

    out = outgoing(inputs, {egress.local_port for egress in egresses})
    policy = app_policy(inputs, resolved, out)
    children = meshes()[inputs.mesh.name].app(inputs, resolved) if inputs.mesh.name else []
    children += [policy] if policy is not None else []
    if tls is not None and not isinstance(pods, Problem):
        children.append(tls.config_map)
    children += _services(inputs, resolved)
    governing = pods_service(inputs)
    if isinstance(governing, Child):
        children.append(governing)
    if isinstance(pods, Child):
        budget = disruption_budget(inputs)
        children += [budget, pods] if budget is not None else [pods]
    children += routes

    clash = (pods,) if isinstance(pods, Problem) else ()
    needed = needed_by_pods(inputs, has_sidecar=tls is not None)
    missing = secret_problems(inputs, needed)
    nameless = (governing,) if isinstance(governing, Problem) else ()
    of_pods = (*resolved.problems, *unresolved, *refused, *clash, *nameless, *missing)
    problems = {ConditionType.WORKLOAD_READY: of_pods}
    if out.problems is not None:
        problems[ConditionType.NETWORK_READY] = out.problems
    certificates = certificate_problems(inputs)
    if certificates is not None:
        problems[ConditionType.CERTIFICATES_READY] = certificates
    route_problems = (*resolved.route_problems, *unshared, *unrouted)
    if route_problems or (resolved.routed and inputs.settings.routing.backend is not RoutingBackend.NONE):
        problems[ConditionType.ROUTES_READY] = route_problems
    keep = _workload_objects(inputs) if clash else frozenset()
    return AppDesired(children, keep, problems, resolved, awaited(inputs, needed))


def app_names(resolved: ResolvedApp) -> tuple[str, ...]:
    """The desired DNS names: the host names of endpoints with createDnsRecord that may have their name, sorted."""
    return tuple(sorted({e.hostname for e in resolved.endpoints if e.dns and e.hostname is not None}))


def _workload_objects(inputs: AppInputs) -> frozenset[tuple[Resource, Key]]:
    config = Key(inputs.namespace, names.stunnel_config(inputs.name))
    own = Key(inputs.namespace, inputs.name)
    return frozenset({(CONFIGMAPS, config), (DEPLOYMENTS, own), (STATEFUL_SETS, own), (JOBS, own)})


# -- Services ---------------------------------------------------------------------------------------------------------


def _services(inputs: AppInputs, resolved: ResolvedApp) -> Iterator[Child]:
    """One for each endpoint, and one more where plain text is offered inside the Space."""
    for endpoint in resolved.endpoints:
        traits = service_traits(inputs, endpoint)
        port = {"name": traits.port_name, "port": endpoint.service_port, "targetPort": endpoint.target_port}
        port |= service_protocol(endpoint)
        yield _service(inputs, endpoint.name, port, traits.annotations)
        if endpoint.clear_text_service:
            # Straight to the container. No policy opens that port to the outside: it is for the Space's own pods only.
            port = {"name": "cleartext", "port": endpoint.container_port, "targetPort": endpoint.container_port}
            port |= clear_text_protocol(endpoint)
            yield _service(inputs, names.cleartext_service(endpoint.name), port)


def _service(inputs: AppInputs, name: str, port: Obj, annotations: dict[str, str | None] | None = None) -> Child:
    spec = {
        "type": "ClusterIP",
        "selector": names.pod_selector(inputs.name),
        "ports": [{"protocol": "TCP", **port}],
    }
    return topology.service(inputs, names.app_meta(inputs, name, annotations), spec)


# -- certificates -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Needed:
    """How an App uses a Secret."""

    own: bool = False
    """Whether the App names it itself."""
    verifies: str = ""
    """An endpoint that verifies its clients by the Secret's ca.crt, if any."""
    use: Use = NO_USE


def certificate_problems(inputs: AppInputs) -> tuple[Problem, ...] | None:
    """Problems with the certificates of an App; None if it uses no certificates, () if there are no problems.

    A missing or invalid Secret is only reported: it does not change an object, and running pods keep running.
    """
    needed, problems = _needed_secrets(inputs)
    if not needed and not problems:
        return None
    for name, use in sorted(needed.items()):
        view = inputs.secrets.get(name) or SecretView(name, SecretState.MISSING)
        namespace = inputs.settings.namespace
        problem = problem_of(
            view,
            space=inputs.space.name,
            fqdn=inputs.space.fqdn,
            controller_namespace=namespace,
            now=inputs.now,
            local=use.own,
            use=use.use,
        )
        if problem is not None:
            problems.append(problem)
        elif use.verifies and view.facts is not None and not view.facts.has_ca:
            message = (
                f"Secret {name} has no {CA_CRT}, by which endpoint {use.verifies} is to verify its clients; add it, or "
                "name another Secret"
            )
            problems.append(Problem(reasons.SECRET_INVALID, message))
    return tuple(problems)


def _needed_secrets(inputs: AppInputs) -> tuple[dict[str, _Needed], list[Problem]]:
    """The Secrets that an App's endpoints and egresses need, and where none is named."""
    needed: dict[str, _Needed] = {}
    problems: list[Problem] = []

    def need(
        own: str | None, of_the_space: str | None, how: Use, missing: Problem | None = None, verifies: str = ""
    ) -> None:
        secret = own if own is not None else of_the_space
        if secret is not None:
            use = needed.setdefault(secret, _Needed())
            use.own |= own is not None
            use.verifies = use.verifies or verifies
            use.use |= how
        elif missing is not None:
            problems.append(missing)

    space = inputs.space.spec
    endpoints = [e for e in endpoints_of(inputs.name, inputs.spec) if not e.is_metrics_endpoint]
    http = [endpoint for endpoint in endpoints if endpoint.paths]
    at = {name for endpoint in http for name in named_by(inputs.space, endpoint)}
    if http and space.encrypt_http:
        at.add(inputs.space.fqdn)  # the pods show this certificate, whatever the client's name for them is
    if inputs.spec.canary_of is not None and space.http_cert_secret_name is None and not space.encrypt_http:
        at.discard(inputs.space.fqdn)  # its route is that of the other App, which may be served at further names only
    for secret in sorted({certificate_of(inputs.space, name) or "" for name in at}):
        message = (
            f"Space {inputs.space.name} names no httpCertSecretName, so there is no certificate for "
            f"https://{inputs.space.fqdn}; set it, or serve TCP endpoints only"
        )
        how = http_use(inputs.space, secret, inputs.settings, inputs.gateway_controller)
        need(None, secret or None, how, Problem(reasons.CERTIFICATE_MISSING, message))
    for endpoint in endpoints:
        if not (endpoint.paths or endpoint.disable_tls_termination or is_mesh_only(endpoint, space)):
            message = (
                f"endpoint {endpoint.name} has no certificate and takes no connections: set certAndCaSecretName, "
                "the Space's tcpCertAndCaSecretName, or disableTlsTermination if the container speaks TLS itself"
            )
            verifies = endpoint.name if endpoint.verify_tcp_client_cert or endpoint.allowed_clients else ""
            missing = Problem(reasons.CERTIFICATE_MISSING, message)
            hostname = names.endpoint_hostname(endpoint.name, endpoint.hostname, inputs.space.fqdn)
            how = Use(frozenset({hostname}), frozenset({SERVER}), verifies=bool(verifies))
            need(endpoint.cert_and_ca_secret_name, space.tcp_cert_and_ca_secret_name, how, missing, verifies)
    for egress in inputs.spec.tls_egresses:
        how = Use(purposes=frozenset({CLIENT}), verifies=not egress.disable_server_cert_verification)
        need(egress.cert_and_ca_secret_name, space.tcp_cert_and_ca_secret_name, how)
    return needed, problems
