"""Routing by the Gateway API (gateway.networking.k8s.io, v1.5 and later).

A Space has one set of listeners in its own namespace, a ``ListenerSet`` on the shared Gateway or a ``Gateway`` of its
own, which allows routes from that namespace only. So all routes of a tenant can only use the Space's names.

The HTTPS listener is for exactly the FQDN and the passthrough listener for ``*.<FQDN>``: proxies refuse an HTTPS
listener for ``*.<domain>`` beside them, because one connection would match both. Further ``hostnames`` are passthrough
listeners, because HTTP is served at the FQDN alone.
"""

from __future__ import annotations

from decco.api.formats import MAX_DNS_NAME
from decco.desired import findings, names, reasons
from decco.desired.endpoints import EndpointKind, ResolvedApp, ResolvedEndpoint
from decco.desired.findings import Finding
from decco.desired.model import AppInputs, Child, Claims, Problem, SecretState, SpaceFacts, SpaceInputs, canonical
from decco.desired.routing.common import AppRoutes, may_have_ca, route_meta, routed
from decco.hostnames import in_zone
from decco.objects import CONFIGMAPS, GATEWAY_GROUP, Obj, Resource
from decco.settings import RoutingSettings

HTTP, HTTPS = 80, 443
LISTENER_HTTP, LISTENER_HTTPS, LISTENER_TLS = "http", "https", "tls"
CA_CONFIG_MAP = names.SPACE_OBJECT
"""The ConfigMap with the ``ca.crt`` that verifies a Space's pods: not every gateway reads it from a Secret."""
MAX_LISTENER_NAME = 253

_SAME_NAMESPACE = {"namespaces": {"from": "Same"}}
_THERE_OR_COMING = (SecretState.COPY, SecretState.DELETED, SecretState.LOCAL, SecretState.PENDING)


# -- Space ------------------------------------------------------------------------------------------------------------


def space_routing(inputs: SpaceInputs) -> list[Child]:
    """The ConfigMap with the authority of encryptHttp, the listeners, and the redirect from HTTP to HTTPS."""
    children = _authority(inputs)
    parent = _listeners_kind(inputs)
    listeners = _listeners(inputs)
    if parent is None or not listeners:
        return children
    children.append(_listener_set(inputs, parent, listeners))
    if inputs.served.http_route is not None and inputs.claims.holds(inputs.space.fqdn):
        children.append(_redirect(inputs, inputs.served.http_route))
    return children


def space_problems(inputs: SpaceInputs) -> tuple[Problem, ...]:
    """The kinds that a Space needs and the cluster does not serve."""
    routing = inputs.settings.routing
    needed = {_parent_kind(routing): _listeners_kind(inputs), "HTTPRoute": inputs.served.http_route}
    return tuple(_not_served(kind) for kind, resource in needed.items() if resource is None)


def _listeners_kind(inputs: SpaceInputs) -> Resource | None:
    return inputs.served.listener_set if inputs.settings.routing.parent_gateway else inputs.served.gateway


def _parent_kind(routing: RoutingSettings) -> str:
    return "ListenerSet" if routing.parent_gateway else "Gateway"


def _listeners(inputs: SpaceInputs) -> list[Obj]:
    """The listeners for the names that the Space holds: at most three, and one for each further name."""
    space, claims = inputs.space, inputs.claims
    listeners: list[Obj] = []
    if claims.holds(space.fqdn):
        listeners.append(_listener(LISTENER_HTTP, space.fqdn, HTTP, "HTTP"))
        certificate = space.spec.http_cert_secret_name
        if certificate is not None and _is_there(inputs, certificate):
            tls = {"mode": "Terminate", "certificateRefs": [{"group": "", "kind": "Secret", "name": certificate}]}
            listeners.append(_listener(LISTENER_HTTPS, space.fqdn, HTTPS, "HTTPS", tls))
        wildcard = f"*.{space.fqdn}"
        if len(wildcard) <= MAX_DNS_NAME:  # else any name below the FQDN is too long
            listeners.append(_passthrough(LISTENER_TLS, wildcard))
    listeners += [_passthrough(_listener_for(name), name) for name in _held_hostnames(space, claims)]
    return listeners


def _is_there(inputs: SpaceInputs, secret: str) -> bool:
    """Whether a listener may reference the Secret. The edge validates the content of the Secret."""
    view = inputs.secrets.get(secret)
    return view is not None and view.state in _THERE_OR_COMING


def _held_hostnames(space: SpaceFacts, claims: Claims) -> list[str]:
    """Sorted and without duplicates: listeners must be unique, and the order of the spec has no meaning."""
    wanted = {canonical(name) for name in space.spec.hostnames}
    return sorted(name for name in wanted if claims.holds(name) and not in_zone(name, space.fqdn))


def _listener(name: str, hostname: str, port: int, protocol: str, tls: Obj | None = None) -> Obj:
    listener: Obj = {"name": name, "hostname": hostname, "port": port, "protocol": protocol}
    if tls is not None:
        listener["tls"] = tls
    listener["allowedRoutes"] = _SAME_NAMESPACE
    return listener


def _passthrough(name: str, hostname: str) -> Obj:
    return _listener(name, hostname, HTTPS, "TLS", {"mode": "Passthrough"})


def _listener_for(hostname: str) -> str:
    """The name of the listener of one of the Space's ``hostnames``."""
    name = f"{LISTENER_TLS}-{hostname}"
    return name if len(name) <= MAX_LISTENER_NAME else names.listener_port_name(hostname)


def _listener_set(inputs: SpaceInputs, kind: Resource, listeners: list[Obj]) -> Child:
    routing = inputs.settings.routing
    meta = names.child_meta(names.SPACE_OBJECT, uid=inputs.space.uid, space=inputs.space.name)
    if routing.parent_gateway is None:
        spec: Obj = {"gatewayClassName": routing.gateway_class_name, "listeners": listeners}
    else:
        namespace, _, name = routing.parent_gateway.partition("/")
        parent = {"group": GATEWAY_GROUP, "kind": "Gateway", "name": name, "namespace": namespace}
        spec = {"parentRef": parent, "listeners": listeners}
    return names.child(kind, meta, spec=spec)


def _redirect(inputs: SpaceInputs, kind: Resource) -> Child:
    meta = names.child_meta(names.REDIRECT_ROUTE, uid=inputs.space.uid, space=inputs.space.name)
    redirect = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}
    spec = {
        "parentRefs": [_parent(inputs.settings.routing, LISTENER_HTTP)],
        "hostnames": [inputs.space.fqdn],
        "rules": [{"filters": [redirect]}],
    }
    return names.child(kind, meta, spec=spec)


def _authority(inputs: SpaceInputs) -> list[Child]:
    """The ca.crt of the HTTP Secret, where the edge can read it; certificates only, see ``SecretFacts.ca_pem``."""
    spec = inputs.space.spec
    view = inputs.secrets.get(spec.http_cert_secret_name) if spec.http_cert_secret_name is not None else None
    if not spec.encrypt_http or view is None or view.facts is None or view.facts.ca_pem is None:
        return []
    meta = names.child_meta(CA_CONFIG_MAP, uid=inputs.space.uid, space=inputs.space.name)
    return [names.child(CONFIGMAPS, meta, data={"ca.crt": view.facts.ca_pem})]


# -- App --------------------------------------------------------------------------------------------------------------


def app_routing(inputs: AppInputs, resolved: ResolvedApp) -> AppRoutes:
    """One HTTPRoute or TLSRoute for each endpoint; before an HTTPRoute to pods that speak TLS, its BackendTLSPolicy.

    Without a BackendTLSPolicy the edge would send plain text towards such pods, so both are written or none.
    """
    children: list[Child] = []
    left_out: list[Finding] = []
    served = inputs.served
    for endpoint in routed(resolved):
        if endpoint.kind is EndpointKind.TCP:
            needed = {"TLSRoute": served.tls_route}
        elif endpoint.backend_tls:
            needed = {"HTTPRoute": served.http_route, "BackendTLSPolicy": served.backend_tls_policy}
        else:
            needed = {"HTTPRoute": served.http_route}
        missing = [kind for kind, resource in needed.items() if resource is None]
        if missing:
            problems = [_not_served(kind) for kind in missing]
            left_out += [findings.routes(problem.reason, problem.message) for problem in problems]
            continue
        if endpoint.kind is EndpointKind.TCP and served.tls_route is not None:
            children.append(_tls_route(inputs, served.tls_route, endpoint))
            continue
        if endpoint.backend_tls and served.backend_tls_policy is not None:
            children.append(_backend_tls_policy(inputs, served.backend_tls_policy, endpoint))
        if served.http_route is not None:
            children.append(_http_route(inputs, served.http_route, endpoint))
    return AppRoutes(tuple(children), tuple(dict.fromkeys(left_out)))


def _http_route(inputs: AppInputs, kind: Resource, endpoint: ResolvedEndpoint) -> Child:
    rule: Obj = {"matches": [{"path": {"type": "PathPrefix", "value": endpoint.prefix}}]}
    if endpoint.rewrite is not None:
        path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": endpoint.rewrite}
        rule["filters"] = [{"type": "URLRewrite", "urlRewrite": {"path": path}}]
    rule["backendRefs"] = [_backend(endpoint)]
    spec = {
        "parentRefs": [_parent(inputs.settings.routing, LISTENER_HTTPS)],
        "hostnames": [inputs.space.fqdn],
        "rules": [rule],
    }
    return names.child(kind, route_meta(inputs, endpoint.name), spec=spec)


def _tls_route(inputs: AppInputs, kind: Resource, endpoint: ResolvedEndpoint) -> Child:
    hostname = endpoint.hostname or ""
    listener = LISTENER_TLS if in_zone(hostname, inputs.space.fqdn) else _listener_for(hostname)
    spec = {
        "parentRefs": [_parent(inputs.settings.routing, listener)],
        "hostnames": [hostname],
        "rules": [{"backendRefs": [_backend(endpoint)]}],
    }
    return names.child(kind, route_meta(inputs, endpoint.name), spec=spec)


def _backend_tls_policy(inputs: AppInputs, kind: Resource, endpoint: ResolvedEndpoint) -> Child:
    """The edge speaks TLS to this Service and verifies a certificate for the Space's FQDN (GEP-1897)."""
    validation: Obj = {"hostname": inputs.space.fqdn}
    if may_have_ca(inputs):
        validation["caCertificateRefs"] = [{"group": "", "kind": "ConfigMap", "name": CA_CONFIG_MAP}]
    else:
        validation["wellKnownCACertificates"] = "System"
    target = {"group": "", "kind": "Service", "name": endpoint.name, "sectionName": endpoint.service_port_name}
    spec = {"targetRefs": [target], "validation": validation}
    return names.child(kind, route_meta(inputs, endpoint.name), spec=spec)


def _backend(endpoint: ResolvedEndpoint) -> Obj:
    return {"group": "", "kind": "Service", "name": endpoint.name, "port": endpoint.service_port}


def _parent(routing: RoutingSettings, listener: str) -> Obj:
    return {
        "group": GATEWAY_GROUP,
        "kind": _parent_kind(routing),
        "name": names.SPACE_OBJECT,
        "sectionName": listener,
    }


def _not_served(kind: str) -> Problem:
    message = f"the cluster does not serve {kind} of {GATEWAY_GROUP}; install the Gateway API, v1.5 or later"
    return Problem(reasons.GATEWAY_API_MISSING, message)
