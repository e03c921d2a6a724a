"""The dialect ``traefik``: Traefik v3 with its Ingress and CRD providers, entry points ``web`` and ``websecure``.

HTTP endpoints are Ingresses. TCP endpoints are IngressRouteTCPs, because Traefik's Ingress does not support
passthrough. Rewriting and TLS to the pods are objects of their own, Middleware and ServersTransport.

These measures prevent conflicts with other Apps and Spaces:

* Traefik names the result of an object ``<namespace>-<name>``, and the HTTP service behind an Ingress
  ``<namespace>-<service>-<port>``. Space ``a`` with ``b-c`` and Space ``a-b`` with ``c`` would be one. So Middlewares,
  ServersTransports, TLSOptions and the ports of Services have a digest of Space and endpoint in their names.
* Traefik's prefix is one of characters: ``/web`` would take ``/webs`` of another App. So a path is written twice,
  exactly and with a slash behind it, which means segments whatever the controller's setting ``strictPrefixMatching``
  is.
* Of two rules that match, Traefik takes the one with more characters, and "exactly ``/web``" has fewer than "all below
  ``/``" of another App. So each route sets its priority: the length that its rule would have as a prefix. Longer
  prefixes still go first, and so do more precise routes of others (the answers to ACME's HTTP-01 challenges).
* A Space has one TLSOption. With it Traefik refuses a handshake if the Space's certificate is missing, instead of
  presenting its own. Traefik also answers 421 if the handshake has one Space's name and the request has another's,
  which it detects by comparing the TLSOptions of the two.
"""

from __future__ import annotations

import hashlib

from decco.desired import findings, names, reasons
from decco.desired.endpoints import EndpointKind, ResolvedEndpoint
from decco.desired.findings import Finding
from decco.desired.model import AppInputs, Child, Problem, SpaceInputs
from decco.desired.routing.common import ServiceTraits, may_have_ca, route_meta
from decco.desired.routing.dialect import EXACT, Annotations, IngressPath, http_ingress, unsupported
from decco.desired.routing.rewriting import rewriting
from decco.objects import Obj, Resource

_OWN = "traefik.ingress.kubernetes.io"
ENTRY_POINTS = f"{_OWN}/router.entrypoints"
ROUTER_MIDDLEWARES = f"{_OWN}/router.middlewares"
PRIORITY = f"{_OWN}/router.priority"
ROUTER_TLS = f"{_OWN}/router.tls"
ROUTER_TLS_OPTIONS = f"{_OWN}/router.tls.options"
SERVERS_SCHEME = f"{_OWN}/service.serversscheme"
SERVERS_TRANSPORT = f"{_OWN}/service.serverstransport"
INGRESS_CLASS = "kubernetes.io/ingress.class"
"""Selects the Traefik instance for objects of the CRD provider, which have no ingressClassName before v3.7."""
WEB, WEBSECURE = "web", "websecure"
"""The entry points of Traefik's Helm chart, on port 80 and 443."""
FOR_EVER = -1
"""As a terminationDelay: one side may send after the other has closed; Traefik's default of 100 ms truncates that."""

GROUP = "traefik.io"
INGRESS_ROUTE_TCPS = Resource(GROUP, "v1alpha1", "ingressroutetcps", "IngressRouteTCP")
MIDDLEWARES = Resource(GROUP, "v1alpha1", "middlewares", "Middleware")
SERVERS_TRANSPORTS = Resource(GROUP, "v1alpha1", "serverstransports", "ServersTransport")
TLS_OPTIONS = Resource(GROUP, "v1alpha1", "tlsoptions", "TLSOption")


class Traefik:
    """See ``Dialect``."""

    kinds = (INGRESS_ROUTE_TCPS, MIDDLEWARES, SERVERS_TRANSPORTS, TLS_OPTIONS)
    ingress_annotations = (ENTRY_POINTS, ROUTER_MIDDLEWARES, PRIORITY, ROUTER_TLS, ROUTER_TLS_OPTIONS)
    service_annotations = (SERVERS_SCHEME, SERVERS_TRANSPORT)

    def space(self, inputs: SpaceInputs) -> list[Child]:
        kind, space = inputs.served.get(TLS_OPTIONS), inputs.space
        if kind is None or not inputs.claims.holds(space.fqdn):
            return []
        annotations = {INGRESS_CLASS: inputs.settings.routing.ingress_class_name}
        meta = names.child_meta(_option(space.name), uid=space.uid, space=space.name, annotations=annotations)
        return [names.child(kind, meta, spec={"minVersion": "VersionTLS12", "sniStrict": True})]

    def space_problems(self, inputs: SpaceInputs) -> tuple[Problem, ...]:
        return () if TLS_OPTIONS in inputs.served else (_not_served(TLS_OPTIONS),)

    def http(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Finding:
        middleware, transport = inputs.served.get(MIDDLEWARES), inputs.served.get(SERVERS_TRANSPORTS)
        if "%" in endpoint.prefix:
            return unsupported(endpoint, "Traefik compares paths after decoding them; choose an httpPath without %")
        if middleware is None:
            return _missing(MIDDLEWARES)
        if TLS_OPTIONS not in inputs.served:
            return _missing(TLS_OPTIONS)
        children: list[Child] = []
        annotations: Annotations = {
            ENTRY_POINTS: WEBSECURE,
            PRIORITY: _priority(inputs, endpoint),
            ROUTER_TLS: "true",
            ROUTER_TLS_OPTIONS: _reference(inputs, _option(inputs.space.name)),
        }
        if endpoint.backend_tls:
            if transport is None:
                return _missing(SERVERS_TRANSPORTS)
            children.append(_transport(inputs, transport, endpoint))
        if endpoint.rewrite is not None:
            children.append(_rewrite(inputs, middleware, endpoint, endpoint.rewrite))
            annotations[ROUTER_MIDDLEWARES] = _reference(inputs, _name("rewrite", inputs, endpoint))
        children += [
            http_ingress(inputs, endpoint.name, _paths(endpoint), _backend(inputs, endpoint), annotations),
            *_redirect(inputs, middleware, endpoint),
        ]
        return children

    def tcp(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Finding:
        kind = inputs.served.get(INGRESS_ROUTE_TCPS)
        if kind is None:
            return _missing(INGRESS_ROUTE_TCPS)
        service = {"name": endpoint.name, "port": endpoint.service_port, "terminationDelay": FOR_EVER}
        spec = {
            "entryPoints": [WEBSECURE],
            # A host name has no backtick in it: resolve() has checked its form.
            "routes": [{"match": f"HostSNI(`{endpoint.hostname}`)", "services": [service]}],
            "tls": {"passthrough": True},
        }
        annotations = {INGRESS_CLASS: inputs.settings.routing.ingress_class_name}
        return [names.child(kind, route_meta(inputs, endpoint.name, annotations), spec=spec)]

    def service_traits(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> ServiceTraits:
        if endpoint.kind is not EndpointKind.HTTP:
            return ServiceTraits(endpoint.service_port_name)
        if not endpoint.backend_tls:
            return ServiceTraits(_port_name(inputs, endpoint))
        transport = _reference(inputs, _name("transport", inputs, endpoint))
        annotations: Annotations = {SERVERS_SCHEME: "https", SERVERS_TRANSPORT: transport}
        return ServiceTraits(_port_name(inputs, endpoint), annotations)


def _paths(endpoint: ResolvedEndpoint) -> list[IngressPath]:
    if endpoint.prefix == "/":
        return [IngressPath("/")]
    return [IngressPath(endpoint.prefix, EXACT), IngressPath(f"{endpoint.prefix}/")]


def _priority(inputs: AppInputs, endpoint: ResolvedEndpoint) -> str:
    """The priority of Traefik's own rule for all paths below the prefix."""
    return str(len(f'Host("{inputs.space.fqdn}") && PathPrefix("{endpoint.prefix.rstrip("/")}/")'))


def _backend(inputs: AppInputs, endpoint: ResolvedEndpoint) -> Obj:
    return {"service": {"name": endpoint.name, "port": {"name": _port_name(inputs, endpoint)}}}


def _rewrite(inputs: AppInputs, kind: Resource, endpoint: ResolvedEndpoint, rewrite: str) -> Child:
    found = rewriting(endpoint.prefix, rewrite)
    # The braces end the group's number: without them $1 and a digit behind it would be another group.
    regex = {"regex": f"^{found.pattern}", "replacement": f"{found.before}${{1}}"}
    return _object(inputs, kind, _name("rewrite", inputs, endpoint), {"replacePathRegex": regex})


def _redirect(inputs: AppInputs, kind: Resource, endpoint: ResolvedEndpoint) -> list[Child]:
    """From http:// to https://; an Ingress must reference a Service, but no request reaches it."""
    name = _name("redirect", inputs, endpoint)
    middleware = _object(inputs, kind, name, {"redirectScheme": {"scheme": "https", "permanent": True}})
    annotations: Annotations = {
        ENTRY_POINTS: WEB,
        ROUTER_MIDDLEWARES: _reference(inputs, name),
        PRIORITY: _priority(inputs, endpoint),
    }
    ingress = http_ingress(
        inputs,
        f"{endpoint.name}.redirect",  # no endpoint has a dot in its name
        _paths(endpoint),
        _backend(inputs, endpoint),
        annotations,
        tls=False,
    )
    return [middleware, ingress]


def _transport(inputs: AppInputs, kind: Resource, endpoint: ResolvedEndpoint) -> Child:
    """TLS to the pods, which must show a certificate for the Space's FQDN."""
    spec: Obj = {"serverName": inputs.space.fqdn}
    secret = inputs.space.spec.http_cert_secret_name
    if secret is not None and may_have_ca(inputs):
        spec["rootCAs"] = [{"secret": secret}]
    return _object(inputs, kind, _name("transport", inputs, endpoint), spec)


def _object(inputs: AppInputs, kind: Resource, name: str, spec: Obj) -> Child:
    annotations = {INGRESS_CLASS: inputs.settings.routing.ingress_class_name}
    return names.child(kind, route_meta(inputs, name, annotations), spec=spec)


def _name(what: str, inputs: AppInputs, endpoint: ResolvedEndpoint) -> str:
    return f"{what}-{_digest(inputs, endpoint)[:16]}"


def _option(space: str) -> str:
    """The name of a Space's TLSOption."""
    return f"space-{hashlib.sha256(space.encode()).hexdigest()[:16]}"


def _port_name(inputs: AppInputs, endpoint: ResolvedEndpoint) -> str:
    """At most 15 characters, as a port's name must be."""
    return f"{endpoint.service_port_name}-{_digest(inputs, endpoint)[:9]}"


def _digest(inputs: AppInputs, endpoint: ResolvedEndpoint) -> str:
    return hashlib.sha256(f"{inputs.space.name}/{endpoint.name}".encode()).hexdigest()


def _reference(inputs: AppInputs, name: str) -> str:
    """An object of the CRD provider, as the other providers name it."""
    return f"{inputs.space.name}-{name}@kubernetescrd"


def _missing(kind: Resource) -> Finding:
    problem = _not_served(kind)
    return findings.routes(problem.reason, problem.message)


def _not_served(kind: Resource) -> Problem:
    message = f"the cluster does not serve {kind.kind} of {GROUP}; install Traefik's CRDs, v3"
    return Problem(reasons.INGRESS_KIND_MISSING, message)
