"""The resolved endpoints of an App: defaults filled in, names and ports assigned, conflicting parts left out.

All objects of an endpoint (Service, listener of the sidecar, route, opened port, DNS record) are made from its
``ResolvedEndpoint``, so that they agree. Three rules for an endpoint with a problem:

* An endpoint whose name belongs to an older App of the Space gets no objects: the Service of that name is the other's.
* An endpoint that may not have its path or hostname keeps its Service and gets no route and no record.
* A missing or invalid Secret changes nothing here. Only the Secret's *name* decides whether the sidecar listens, so
  that running pods stay as they are; ``app.py`` reports the cause.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from enum import StrEnum

from decco.api.formats import DNS_NAME, HTTP_PATH, MAX_DNS_NAME, OBJECT_NAME
from decco.api.types import AppProtocol, AppSpec, Endpoint, Timeouts
from decco.desired import names, reasons
from decco.desired.http_routes import HttpRoutes, ResolvedPath, resolved_path, without_slash
from decco.desired.mesh_only import is_mesh_only
from decco.desired.model import AppInputs, Problem, SpaceFacts
from decco.errors import TerminalError
from decco.frozen import frozen
from decco.hostnames import canonical, in_zone
from decco.objects import Obj
from decco.text import shown

HTTP_PORT = 80
"""Port of an HTTP endpoint's Service while the edge speaks plain HTTP to the pod."""


class EndpointKind(StrEnum):
    """How an endpoint is reached: by path through the edge, by TLS server name, or by monitoring only."""

    HTTP = "http"
    TCP = "tcp"
    METRICS = "metrics"


@frozen
class TlsServer:
    """A listener of the sidecar; it takes TLS and passes plain bytes on to the container's port."""

    port: int
    """In the pod."""
    port_name: str
    secret: str
    """Name of the Secret with tls.crt and tls.key, and ca.crt if clients are verified."""
    verify_client: bool
    allowed_clients: tuple[str, ...]
    """Names of which the client's certificate must carry one; empty: any certificate that ca.crt has signed."""


@frozen
class ResolvedEndpoint:
    """An endpoint that gets children."""

    name: str
    kind: EndpointKind
    container_port: int
    service_port: int
    service_port_name: str
    target_port: int | str
    """Target port of the Service: the container's port, or the name of the sidecar's."""
    clear_text_service: bool
    verify_client: bool = False
    """Whether only clients with a certificate may connect; also while the sidecar has none of its own."""
    allowed_clients: tuple[str, ...] = ()
    tls: TlsServer | None = None
    backend_tls: bool = False
    """HTTP only: the pod speaks TLS, so the edge must too, and must verify a certificate for the Space's FQDN."""
    hostname: str | None = None
    """None if the endpoint may not have the one of its spec, for metrics, and for the mesh alone. Of an HTTP endpoint,
    the first of ``http_names``."""
    http_names: tuple[str, ...] = ()
    """HTTP only: the names at which all ``paths`` are served, the FQDN first; wildcards among them."""
    paths: tuple[ResolvedPath, ...] = ()
    """HTTP only."""
    probe_path: str | None = None
    """Path at each of ``http_names`` that may be requested to see the App's own answer."""
    routed: bool = False
    dns: bool = False
    protocol: AppProtocol | None = None
    """What the container speaks, without TLS; None: HTTP/1.1 or TCP, by its kind."""
    timeouts: Timeouts | None = None

    @property
    def pod_port(self) -> int | None:
        """The number of the pod's port that the outside may reach; None while nothing serves the endpoint."""
        if isinstance(self.target_port, int):
            return self.target_port
        return self.tls.port if self.tls is not None else None


@frozen
class ResolvedApp:
    """The endpoints of an App in the order of its spec, and why others, or parts of them, are left out."""

    endpoints: tuple[ResolvedEndpoint, ...]
    problems: tuple[Problem, ...] = ()
    """Of the workload: endpoints that are left out."""
    route_problems: tuple[Problem, ...] = ()

    @property
    def servers(self) -> tuple[ResolvedEndpoint, ...]:
        """Those that the sidecar listens for."""
        return tuple(endpoint for endpoint in self.endpoints if endpoint.tls is not None)

    @property
    def routed(self) -> tuple[ResolvedEndpoint, ...]:
        """Those that get a route."""
        return tuple(endpoint for endpoint in self.endpoints if endpoint.routed)


def endpoints_of(app: str, spec: AppSpec) -> tuple[Endpoint, ...]:
    """The endpoints as declared, or the one that the short form stands for: named after the App, on its first port."""
    if spec.endpoints is not None:
        return spec.endpoints
    port = spec.first_port
    if port is None:
        return ()
    return (
        Endpoint(
            name=app,
            port=port,
            http_path=spec.http_url_path,
            verify_tcp_client_cert=bool(spec.verify_tcp_client_cert),
            create_dns_record=bool(spec.create_dns_record),
            cert_and_ca_secret_name=spec.tls_ca_and_cert_secret_name,
        ),
    )


def container_ports(pod: Obj) -> frozenset[int]:
    return frozenset(
        port["containerPort"]
        for kind in ("initContainers", "containers")
        for container in objects(pod.get(kind))
        for port in objects(container.get("ports"))
        if isinstance(port.get("containerPort"), int)
    )


def objects(value: object) -> list[Obj]:
    """The objects in a list of a PodSpec that is not validated yet; other items are left to the API server."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _below(path: str, more: str) -> str:
    prefix = without_slash(path)
    return more if prefix == "/" else prefix + more


def resolve(inputs: AppInputs) -> ResolvedApp:
    """Resolves the endpoints of an App. The order of the spec is kept; of two equal endpoints the first one stays."""
    return _Resolver(inputs).run()


def pod_port_of(app: str, spec: AppSpec, space: SpaceFacts, taken: Collection[str], endpoint: str) -> int | None:
    """The port in the pods of an App where connections to this endpoint arrive; None if nothing listens for it.

    ``taken`` has the identities that older Apps of the Space have, as in ``AppInputs``.
    """
    own = [
        each for each in endpoints_of(app, spec) if OBJECT_NAME.matches(each.name) and f"name:{each.name}" not in taken
    ]
    found = next((each for each in own if each.name == endpoint), None)
    if found is None or found.disable_tls_termination:
        return found.port if found is not None else None
    try:
        return _listener_ports(spec, own, space).get(endpoint)
    except TerminalError:
        return None  # the App itself reports that its pods have no free port


def _listener_ports(spec: AppSpec, endpoints: Iterable[Endpoint], space: SpaceFacts) -> dict[str, int]:
    """Sidecar ports by endpoint. A port depends on the endpoint's name, not on the order of the spec."""
    endpoints = list(endpoints)
    listeners = [endpoint.name for endpoint in endpoints if secret_name(endpoint, space) is not None]
    return names.pod_ports(sorted(listeners), reserved_ports(spec, endpoints))


def reserved_ports(spec: AppSpec, endpoints: Iterable[Endpoint]) -> frozenset[int]:
    """The ports of a pod that its sidecar cannot choose for its listeners."""
    used = container_ports(spec.pod) | {endpoint.port for endpoint in endpoints}
    return used | {egress.local_port for egress in spec.tls_egresses}


def secret_name(endpoint: Endpoint, space: SpaceFacts) -> str | None:
    """Name of the Secret that the sidecar shows for this endpoint; None: no listener."""
    if endpoint.is_metrics_endpoint or endpoint.disable_tls_termination:
        return None
    if endpoint.paths:
        return space.spec.http_cert_secret_name if space.spec.encrypt_http else None
    return endpoint.cert_and_ca_secret_name or space.spec.tcp_cert_and_ca_secret_name


class _Resolver:
    """One pass over the endpoints of one App; its checks report why they are False."""

    def __init__(self, inputs: AppInputs) -> None:
        self._inputs = inputs
        self._space = inputs.space
        self._problems: list[Problem] = []
        self._route_problems: list[Problem] = []
        self._services: set[str] = set()
        self._http_routes = HttpRoutes(inputs, self._holds, self._refuse_route)
        self._hostnames: set[str] = set()

    def run(self) -> ResolvedApp:
        declared = endpoints_of(self._inputs.name, self._inputs.spec)
        own = [endpoint for endpoint in declared if self._has_name(endpoint)]
        ports = _listener_ports(self._inputs.spec, own, self._space)
        resolved = tuple(self._resolve(endpoint, ports.get(endpoint.name)) for endpoint in own)
        return ResolvedApp(resolved, tuple(self._problems), tuple(self._route_problems))

    def _has_name(self, endpoint: Endpoint) -> bool:
        name = endpoint.name
        if not OBJECT_NAME.matches(name):
            message = f"the name of endpoint {shown(name)} {OBJECT_NAME.message}"
            return self._refuse(reasons.INVALID, message)
        holder = self._inputs.taken.get(f"name:{name}")
        if holder is None and name not in self._services:
            self._services.update(names.service_names(endpoint))
            return True
        if holder is not None:
            why = (
                f"endpoint {name} gets no Service and no route: App {holder} has an endpoint of this name and is older"
            )
        else:
            why = (
                f"endpoint {name} is declared twice, or is the clear text Service of another; only the first is served"
            )
        return self._refuse(reasons.ENDPOINT_CONFLICT, f"{why}; rename one of the two")

    def _resolve(self, endpoint: Endpoint, port: int | None) -> ResolvedEndpoint:
        resolved = ResolvedEndpoint(
            name=endpoint.name,
            kind=EndpointKind.METRICS,
            container_port=endpoint.port,
            service_port=endpoint.port,
            service_port_name="metrics",
            target_port=endpoint.port,
            clear_text_service=self._clear_text(endpoint),
            verify_client=endpoint.verify_tcp_client_cert or bool(endpoint.allowed_clients),
            allowed_clients=endpoint.allowed_clients,
            tls=self._server(endpoint, port),
            protocol=endpoint.app_protocol,
            timeouts=endpoint.timeouts,
        )
        if endpoint.is_metrics_endpoint:
            return resolved
        if endpoint.paths:
            return self._http(resolved, endpoint)
        return self._tcp(resolved, endpoint)

    def _http(self, resolved: ResolvedEndpoint, endpoint: Endpoint) -> ResolvedEndpoint:
        at = self._http_routes.names(endpoint)
        paths, at = self._http_routes.free(endpoint, at) if self._has_valid_paths(endpoint) else ((), at)
        first, shown_path = endpoint.paths[0], endpoint.probe_path
        encrypt, own_tls = self._space.spec.encrypt_http, endpoint.disable_tls_termination
        backend_tls = encrypt or own_tls
        return replace(
            resolved,
            kind=EndpointKind.HTTP,
            service_port=endpoint.tls_listen_port if backend_tls else HTTP_PORT,
            service_port_name="https" if backend_tls else "http",
            target_port=names.listener_port_name(endpoint.name) if encrypt and not own_tls else endpoint.port,
            backend_tls=backend_tls,
            hostname=next(iter(at), self._space.fqdn),
            http_names=at,
            paths=paths or tuple(map(resolved_path, endpoint.paths)),
            probe_path=_below(first.path, shown_path)
            if shown_path is not None and self._leads(first.path, paths)
            else None,
            routed=bool(at and paths) and self._edge_speaks_tls(endpoint),
            dns=False,  # the records of these names are the Space's own
        )

    def _tcp(self, resolved: ResolvedEndpoint, endpoint: Endpoint) -> ResolvedEndpoint:
        fqdn = self._space.fqdn
        hostname = canonical(endpoint.hostname) if endpoint.hostname is not None else f"{endpoint.name}.{fqdn}"
        allowed = not is_mesh_only(endpoint, self._space.spec) and self._may_have_hostname(endpoint, hostname)
        return replace(
            resolved,
            kind=EndpointKind.TCP,
            service_port=endpoint.tls_listen_port,
            service_port_name="tls",
            # Without a certificate no pod has this port name: connections are refused and cannot reach plain text.
            target_port=endpoint.port if endpoint.disable_tls_termination else names.listener_port_name(endpoint.name),
            hostname=hostname if allowed else None,
            routed=allowed,
            dns=allowed and endpoint.create_dns_record,
        )

    def _server(self, endpoint: Endpoint, port: int | None) -> TlsServer | None:
        secret = secret_name(endpoint, self._space)
        if secret is None or port is None:
            return None
        return TlsServer(
            port=port,
            port_name=names.listener_port_name(endpoint.name),
            secret=secret,
            verify_client=endpoint.verify_tcp_client_cert or bool(endpoint.allowed_clients),
            allowed_clients=endpoint.allowed_clients,
        )

    def _clear_text(self, endpoint: Endpoint) -> bool:
        service = names.cleartext_service(endpoint.name)
        holder = self._inputs.taken.get(f"name:{service}")
        if not endpoint.create_clear_text_service or holder is None:
            return endpoint.create_clear_text_service
        message = (
            f"endpoint {endpoint.name} gets no clear text Service {service}: App {holder} has an endpoint of this name "
            "and is older; rename one of the two"
        )
        return self._refuse(reasons.ENDPOINT_CONFLICT, message)

    @staticmethod
    def _leads(path: str, served: Iterable[ResolvedPath]) -> bool:
        return any(each.path == path for each in served)

    def _has_valid_paths(self, endpoint: Endpoint) -> bool:
        values = [text for each in endpoint.paths for text in (each.path, each.rewrite_path)]
        for value in (*values, endpoint.probe_path):
            if value is not None and not HTTP_PATH.matches(value):
                message = f"path {shown(value)} of {endpoint.name} {HTTP_PATH.message}"
                return self._refuse_route(reasons.INVALID, message)
        if endpoint.hostname is not None and canonical(endpoint.hostname) != self._space.fqdn:
            message = (
                f"endpoint {endpoint.name} has an httpPath and is served at {self._space.fqdn}; remove its hostname "
                f"{shown(endpoint.hostname)}, which only a TCP endpoint can have"
            )
            self._refuse_route(reasons.HOSTNAME_NOT_ALLOWED, message)  # the path is served all the same
        return True

    def _edge_speaks_tls(self, endpoint: Endpoint) -> bool:
        """Whether the edge can reach an HTTP endpoint whose container speaks TLS itself."""
        if self._space.spec.encrypt_http or not endpoint.disable_tls_termination:
            return True
        message = (
            f"endpoint {endpoint.name} gets no route: its container speaks TLS itself, and the edge speaks plain HTTP "
            "to the pods of a Space without encryptHttp; set encryptHttp, or remove disableTlsTermination"
        )
        return self._refuse_route(reasons.ROUTE_NOT_SUPPORTED, message)

    def _may_have_hostname(self, endpoint: Endpoint, hostname: str) -> bool:
        fqdn = self._space.fqdn
        listed = {canonical(name) for name in self._space.spec.hostnames}
        under = hostname != fqdn and in_zone(hostname, fqdn)
        if len(hostname) > MAX_DNS_NAME:
            message = (
                f"hostname {shown(hostname)} of endpoint {endpoint.name} has more than {MAX_DNS_NAME} characters; "
                "rename the endpoint, or set its hostname"
            )
            return self._refuse_route(reasons.HOSTNAME_NOT_ALLOWED, message)
        if not DNS_NAME.matches(hostname) or not (under or hostname in listed):
            message = (
                f"hostname {shown(hostname)} of endpoint {endpoint.name} is neither a name under {fqdn} nor one of the "
                f"hostnames of Space {self._space.name}; choose another, or have it added to the Space"
            )
            return self._refuse_route(reasons.HOSTNAME_NOT_ALLOWED, message)
        if not self._holds(endpoint, hostname, fqdn if under else hostname):
            return False
        holder = self._inputs.taken.get(f"hostname:{hostname}")
        if holder is not None or hostname in self._hostnames:
            who = f"App {holder} has it and is older" if holder else "another endpoint of this App has it"
            message = f"endpoint {endpoint.name} gets no route for {hostname}: {who}; choose another hostname"
            return self._refuse_route(reasons.HOSTNAME_CONFLICT, message)
        self._hostnames.add(hostname)
        return True

    def _holds(self, endpoint: Endpoint, hostname: str, claim: str) -> bool:
        if self._inputs.claims.holds(claim):
            return True
        owner = self._inputs.claims.lost.get(claim)
        cause = f"Space {owner} has the name; choose another" if owner else "the name is not granted to its Space"
        message = f"endpoint {endpoint.name} gets no route for {hostname}: {cause}"
        return self._refuse_route(reasons.HOSTNAME_CONFLICT, message)

    def _refuse(self, reason: str, message: str) -> bool:
        """False; reports why."""
        self._problems.append(Problem(reason, message))
        return False

    def _refuse_route(self, reason: str, message: str) -> bool:
        self._route_problems.append(Problem(reason, message))
        return False
