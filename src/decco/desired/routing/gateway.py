"""Routing by the Gateway API (gateway.networking.k8s.io, v1.5 and later).

A Space has one set of listeners in its own namespace, a ``ListenerSet`` on the shared Gateway or a ``Gateway`` of its
own, which allows routes from that namespace only. So all routes of a tenant can only use the Space's names.

The HTTPS listener is for exactly the FQDN and the passthrough listener for ``*.<FQDN>``: proxies refuse an HTTPS
listener for ``*.<domain>`` beside them, because one connection would match both. Further ``hostnames`` are passthrough
listeners; each of ``httpHostnames`` has an HTTP and an HTTPS listener, as the FQDN has.
"""

from __future__ import annotations

from collections.abc import Iterable

from decco.api.formats import MAX_DNS_NAME
from decco.api.types import AppProtocol
from decco.desired import names, reasons
from decco.desired.answers import NO_ROUTE, PROBE_PATH, probe_host, probe_path_of, probe_rule
from decco.desired.canary import shares_of
from decco.desired.endpoints import EndpointKind, ResolvedApp, ResolvedEndpoint
from decco.desired.gateway_status import listeners_kind
from decco.desired.http_names import entry_of, further_names
from decco.desired.http_routes import ResolvedPath
from decco.desired.model import AppInputs, Child, Problem, SecretState, SpaceFacts, SpaceInputs
from decco.desired.routing import envoy_gateway
from decco.desired.shares import WHOLE
from decco.desired.suspension import RETRY_AFTER
from decco.desired.timeouts import IDLE, REQUEST, request_timeout, unkept
from decco.hostnames import canonical, in_zone
from decco.objects import (
    BACKEND_TLS_POLICIES,
    BACKEND_TRAFFIC_POLICIES,
    CONFIGMAPS,
    GATEWAY_GROUP,
    HTTP_ROUTES,
    TLS_ROUTES,
    Obj,
    Resource,
)
from decco.settings import RoutingSettings

HTTP, HTTPS = 80, 443
LISTENER_HTTP, LISTENER_HTTPS, LISTENER_TLS = "http", "https", "tls"
CA_CONFIG_MAP = names.SPACE_OBJECT
"""The ConfigMap with the ``ca.crt`` that verifies a Space's pods: not every gateway reads it from a Secret."""
MAX_LISTENER_NAME = 253
KEPT_TIMEOUTS = frozenset({REQUEST})
GRPC_REQUEST = "1h"
"""Longest gRPC call: many are streams, which the default of proxies (Envoy: 15 s) would end."""

_SAME_NAMESPACE = {"namespaces": {"from": "Same"}}
_THERE_OR_COMING = (SecretState.COPY, SecretState.DELETED, SecretState.LOCAL, SecretState.PENDING)


# -- Space ------------------------------------------------------------------------------------------------------------


def space_routing(inputs: SpaceInputs) -> list[Child]:
    """The ConfigMap with the authority of encryptHttp, the limits, the listeners, and the redirect to HTTPS."""
    children = _authority(inputs)
    parent, route = inputs.served.get(listeners_kind(inputs.settings.routing)), inputs.served.get(HTTP_ROUTES)
    listeners = _listeners(inputs)
    if parent is not None and listeners:
        children += envoy_gateway.space_policies(inputs, listeners)
        children.append(_listener_set(inputs, parent, listeners))
        http, https = (_names_of(listeners, protocol) for protocol in ("HTTP", "HTTPS"))
        if route is not None and http:
            children.append(_redirect(inputs, route, http))
            if https:
                children.append(_answer(inputs, route, https))
    return children


def space_problems(inputs: SpaceInputs) -> tuple[Problem, ...]:
    """The kinds that a Space needs and the cluster does not serve."""
    needed = (listeners_kind(inputs.settings.routing), HTTP_ROUTES)
    return tuple(_not_served(kind) for kind in needed if kind not in inputs.served)


def _listeners(inputs: SpaceInputs) -> list[Obj]:
    """The listeners for the names that the Space holds: at most three of the FQDN; for each further name one, sorted,
    or two if HTTP is served there.
    """
    space, claims = inputs.space, inputs.claims
    listeners: list[Obj] = []
    if envoy_gateway.is_closed(inputs):
        return listeners
    if claims.holds(space.fqdn):
        listeners += _http_listeners(inputs, space.fqdn, space.spec.http_cert_secret_name)
        wildcard = f"*.{space.fqdn}"
        if len(wildcard) <= MAX_DNS_NAME:  # else any name below the FQDN is too long
            listeners.append(_passthrough(LISTENER_TLS, wildcard))
    further = {name for name in map(canonical, space.spec.hostnames) if claims.holds(name)}
    listeners += [
        _passthrough(_listener_for(LISTENER_TLS, name), name)
        for name in sorted(further)
        if not in_zone(name, space.fqdn)
    ]
    for name, certificate in further_names(space).items():
        if claims.holds(name):
            listeners += _http_listeners(inputs, name, certificate)
    return listeners


def _http_listeners(inputs: SpaceInputs, name: str, certificate: str | None) -> list[Obj]:
    """For the redirect, and for HTTPS unless there is no certificate."""
    space = inputs.space
    listeners = [_listener(_http_listener(space, LISTENER_HTTP, name), name, HTTP, "HTTP")]
    view = inputs.secrets.get(certificate) if certificate is not None else None
    if view is not None and view.state in _THERE_OR_COMING:  # the edge validates the content
        tls = {"mode": "Terminate", "certificateRefs": [{"group": "", "kind": "Secret", "name": certificate}]}
        listeners.append(_listener(_http_listener(space, LISTENER_HTTPS, name), name, HTTPS, "HTTPS", tls))
    return listeners


def _names_of(listeners: list[Obj], protocol: str) -> list[str]:
    return [listener["hostname"] for listener in listeners if listener["protocol"] == protocol]


def _listener(name: str, hostname: str, port: int, protocol: str, tls: Obj | None = None) -> Obj:
    listener: Obj = {"name": name, "hostname": hostname, "port": port, "protocol": protocol}
    if tls is not None:
        listener["tls"] = tls
    listener["allowedRoutes"] = _SAME_NAMESPACE
    return listener


def _passthrough(name: str, hostname: str) -> Obj:
    return _listener(name, hostname, HTTPS, "TLS", {"mode": "Passthrough"})


def _listener_for(kind: str, hostname: str) -> str:
    """The name of the listener of a further name. It may have no asterisk, and those of exact names do not begin so."""
    name = f"any-{kind}-{hostname[2:]}" if hostname.startswith("*.") else f"{kind}-{hostname}"
    if len(name) <= MAX_LISTENER_NAME:
        return name
    short = names.listener_port_name(hostname)
    return short if kind == LISTENER_TLS else f"{kind}-{short}"


def _http_listener(space: SpaceFacts, kind: str, name: str) -> str:
    """The name of the listener that serves a name by HTTP or HTTPS: perhaps that of a wildcard."""
    entry = entry_of(space, name) or name
    return kind if entry == space.fqdn else _listener_for(kind, entry)


def https_listener(space: SpaceFacts, name: str) -> str:
    """The name of the listener with the certificate of a name at which HTTP is served."""
    return _http_listener(space, LISTENER_HTTPS, name)


def certificates_of(listeners: Obj | None) -> dict[str, str]:
    """Host name -> Secret of the HTTPS listeners of a live Gateway or ListenerSet."""
    found = {}
    for each in ((listeners or {}).get("spec") or {}).get("listeners") or ():
        references = (each.get("tls") or {}).get("certificateRefs") or ()
        if each.get("protocol") == "HTTPS" and each.get("hostname") and references:
            found[str(each["hostname"])] = str(references[0].get("name"))
    return found


def _listener_set(inputs: SpaceInputs, kind: Resource, listeners: list[Obj]) -> Child:
    routing = inputs.settings.routing
    if routing.parent_gateway is None:
        spec: Obj = {"gatewayClassName": routing.gateway_class_name, "listeners": listeners}
    else:
        namespace, _, name = routing.parent_gateway.partition("/")
        parent = {"group": GATEWAY_GROUP, "kind": "Gateway", "name": name, "namespace": namespace}
        spec = {"parentRef": parent, "listeners": listeners}
    return names.child(kind, names.space_meta(inputs.space), spec=spec)


def _redirect(inputs: SpaceInputs, kind: Resource, at: list[str]) -> Child:
    redirect = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}
    spec = {
        "parentRefs": _http_parents(inputs, LISTENER_HTTP, at),
        "hostnames": at,
        "rules": [{"filters": [redirect]}],
    }
    return names.child(kind, names.space_meta(inputs.space, names.REDIRECT_ROUTE), spec=spec)


def _answer(inputs: SpaceInputs, kind: Resource, at: list[str]) -> Child:
    """The route that answers probes of routes that are not in effect, so that no App receives them."""
    spec = {
        "parentRefs": _http_parents(inputs, LISTENER_HTTPS, at),
        "hostnames": at,
        "rules": [probe_rule({"type": "PathPrefix", "value": PROBE_PATH}, NO_ROUTE)],
    }
    return names.child(kind, names.space_meta(inputs.space, names.PROBE_ROUTE), spec=spec)


def _authority(inputs: SpaceInputs) -> list[Child]:
    """The ca.crt of the HTTP Secret, where the edge can read it; certificates only, see ``SecretFacts.ca_pem``."""
    spec = inputs.space.spec
    view = inputs.secrets.get(spec.http_cert_secret_name) if spec.http_cert_secret_name is not None else None
    if not spec.encrypt_http or view is None or view.facts is None or view.facts.ca_pem is None:
        return []
    meta = names.space_meta(inputs.space, CA_CONFIG_MAP)
    return [names.child(CONFIGMAPS, meta, data={"ca.crt": view.facts.ca_pem})]


# -- App --------------------------------------------------------------------------------------------------------------


def app_routing(inputs: AppInputs, resolved: ResolvedApp) -> tuple[list[Child], list[Problem]]:
    """One HTTPRoute or TLSRoute for each endpoint; before an HTTPRoute to pods that speak TLS, its BackendTLSPolicy,
    and before one with limits of its own, a policy of Envoy Gateway. The HTTP endpoints of a canary have no HTTPRoute:
    they are in that of the other App.

    Without a BackendTLSPolicy the edge would send plain text towards such pods, so both are written or none.
    """
    children: list[Child] = []
    problems: list[Problem] = []
    canary = inputs.spec.canary_of is not None
    kept = KEPT_TIMEOUTS | {IDLE} if envoy_gateway.keeps_idle(inputs) else KEPT_TIMEOUTS
    for endpoint in resolved.routed:
        specs: dict[Resource, Obj] = {}
        if endpoint.kind is EndpointKind.TCP:
            specs = {TLS_ROUTES: _tls_route(inputs, endpoint)}
        if endpoint.kind is EndpointKind.HTTP and endpoint.backend_tls:
            specs[BACKEND_TLS_POLICIES] = _backend_tls(inputs, endpoint)
        if endpoint.kind is EndpointKind.HTTP and not canary:
            if (policy := envoy_gateway.route_policy(inputs, endpoint)) is not None:
                specs[BACKEND_TRAFFIC_POLICIES] = policy
            specs[HTTP_ROUTES] = _http_route(inputs, endpoint)
            problems += envoy_gateway.route_problems(inputs, endpoint)
        problems += unkept(endpoint, kept, "the gateway")
        missing = [_not_served(kind) for kind in specs if kind not in inputs.served]
        problems += missing
        if not missing:
            children += [
                names.child(inputs.served[kind], names.app_meta(inputs, endpoint.name), spec=spec)
                for kind, spec in specs.items()
            ]
    return children, problems


def _http_route(inputs: AppInputs, endpoint: ResolvedEndpoint) -> Obj:
    """One rule for each path, and the one that answers probes."""
    rules = [_path_rule(inputs, endpoint, path) for path in endpoint.paths]
    answer = probe_host(rules, starting=endpoint.name in inputs.starting)
    probe = probe_rule({"type": "Exact", "value": probe_path_of(endpoint.name)}, answer)
    parents = _http_parents(inputs, LISTENER_HTTPS, endpoint.http_names)
    return {"parentRefs": parents, "hostnames": list(endpoint.http_names), "rules": [*rules, probe]}


def _path_rule(inputs: AppInputs, endpoint: ResolvedEndpoint, path: ResolvedPath) -> Obj:
    rule: Obj = {"matches": [{"path": {"type": "PathPrefix", "value": path.prefix}}]}
    if path.rewrite is not None:
        replaced = {"type": "ReplacePrefixMatch", "replacePrefixMatch": path.rewrite}
        rule["filters"] = [{"type": "URLRewrite", "urlRewrite": {"path": replaced}}]
    if inputs.spec.suspend:
        # Without pods behind it the gateway answers 503 (Gateway API, HTTPBackendRef), with the rule's headers.
        header = {"name": "Retry-After", "value": RETRY_AFTER}
        rule.setdefault("filters", []).append(
            {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [header]}}
        )
    rule["backendRefs"] = _backends(inputs, endpoint, path)
    default = GRPC_REQUEST if endpoint.protocol is AppProtocol.GRPC else None
    if (request := request_timeout(endpoint, inputs.space, default)) is not None:
        rule["timeouts"] = {"request": request}
    return rule


def _tls_route(inputs: AppInputs, endpoint: ResolvedEndpoint) -> Obj:
    hostname = endpoint.hostname or ""
    listener = LISTENER_TLS if in_zone(hostname, inputs.space.fqdn) else _listener_for(LISTENER_TLS, hostname)
    parent = _parent(inputs.settings.routing, listener)
    return {"parentRefs": [parent], "hostnames": [hostname], "rules": [{"backendRefs": [_backend(endpoint)]}]}


def _backend_tls(inputs: AppInputs, endpoint: ResolvedEndpoint) -> Obj:
    """The edge speaks TLS to this Service and verifies a certificate for the Space's FQDN (GEP-1897)."""
    validation: Obj = {"hostname": inputs.space.fqdn}
    if inputs.edge_may_have_ca:
        validation["caCertificateRefs"] = [{"group": "", "kind": "ConfigMap", "name": CA_CONFIG_MAP}]
    else:
        validation["wellKnownCACertificates"] = "System"
    target = {"group": "", "kind": "Service", "name": endpoint.name, "sectionName": endpoint.service_port_name}
    return {"targetRefs": [target], "validation": validation}


def _backends(inputs: AppInputs, endpoint: ResolvedEndpoint, path: ResolvedPath) -> list[Obj]:
    """The endpoint's Service, and those of canaries, with weights of a hundred."""
    shares = shares_of(inputs, endpoint, path)
    if not shares:
        return [_backend(endpoint)]
    rest = WHOLE - sum(share.weight for share in shares)
    others = (_service(one.endpoint.name, one.endpoint.service_port) | {"weight": one.weight} for one in shares)
    return [{**_backend(endpoint), "weight": rest}, *others]


def _backend(endpoint: ResolvedEndpoint) -> Obj:
    return _service(endpoint.name, endpoint.service_port)


def _service(name: str, port: int) -> Obj:
    return {"group": "", "kind": "Service", "name": name, "port": port}


def _parent(routing: RoutingSettings, listener: str) -> Obj:
    kind = listeners_kind(routing).kind
    return {"group": GATEWAY_GROUP, "kind": kind, "name": names.SPACE_OBJECT, "sectionName": listener}


def _http_parents(inputs: SpaceInputs | AppInputs, kind: str, at: Iterable[str]) -> list[Obj]:
    """References to the listeners that serve these names, each once."""
    listeners = dict.fromkeys(_http_listener(inputs.space, kind, name) for name in at)
    return [_parent(inputs.settings.routing, listener) for listener in listeners]


def _not_served(kind: Resource) -> Problem:
    message = f"the cluster does not serve {kind.kind} of {GATEWAY_GROUP}; install the Gateway API, v1.5 or later"
    return Problem(reasons.GATEWAY_API_MISSING, message)
