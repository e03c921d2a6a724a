"""Traefik v3 with its Ingress and CRD providers, entry points ``web`` and ``websecure``.

HTTP endpoints are Ingresses. TCP endpoints are IngressRouteTCPs, because Traefik's Ingress does not support
passthrough. Rewriting and TLS to the pods are objects of their own, Middleware and ServersTransport.

These measures prevent conflicts with other Apps and Spaces:

* Traefik names the result of an object ``<namespace>-<name>``, and the HTTP service behind an Ingress
  ``<namespace>-<service>-<port>``. Space ``a`` with ``b-c`` and Space ``a-b`` with ``c`` would be one. So Middlewares,
  ServersTransports, TLSOptions and the ports of Services have a digest of their owner's UID in their names. So have
  Ingresses: routers are named ``<namespace>-<ingress>-<host>-<path>``, where the border of each part is lost too.
* It keeps the Secret of an Ingress under ``<namespace>-<secret>`` and loads the first of equal names only, but the one
  of an IngressRouteTCP under ``<namespace>/<secret>``. So a Space's certificate is also in an IngressRouteTCP, without
  routes.
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

from decco.api.formats import MAX_PATH
from decco.desired import names, reasons
from decco.desired.edge_keys import GO_KEYS
from decco.desired.endpoints import EndpointKind, ResolvedEndpoint
from decco.desired.http_names import further_names
from decco.desired.http_routes import ResolvedPath
from decco.desired.model import AppInputs, Child, Problem, Served, SpaceFacts, SpaceInputs
from decco.desired.names import Annotations
from decco.desired.protocols import speaks_http2
from decco.desired.routing.dialect import (
    EXACT,
    PREFIX,
    Dialect,
    Paths,
    ServiceTraits,
    http_ingress,
    named_backend,
    rewriting,
    unique_port_name,
    unsupported,
)
from decco.objects import Obj, Resource

GROUP = "traefik.io"
INGRESS_ROUTE_TCPS = Resource(GROUP, "v1alpha1", "ingressroutetcps", "IngressRouteTCP")
MIDDLEWARES = Resource(GROUP, "v1alpha1", "middlewares", "Middleware")
SERVERS_TRANSPORTS = Resource(GROUP, "v1alpha1", "serverstransports", "ServersTransport")
TLS_OPTIONS = Resource(GROUP, "v1alpha1", "tlsoptions", "TLSOption")

INGRESS_CLASS = "kubernetes.io/ingress.class"
"""Selects the Traefik instance for objects of the CRD provider, which have no ingressClassName before v3.7."""
CERTIFICATE = "decco.certificate"
"""The IngressRouteTCP that loads a Space's certificate; no endpoint has a dot in its name."""
WEB, WEBSECURE = "web", "websecure"
"""The entry points of Traefik's Helm chart, on port 80 and 443."""
FOR_EVER = -1
"""As a terminationDelay: one side may send after the other has closed; Traefik's default of 100 ms truncates that."""


class Traefik(Dialect):
    prefix = "traefik.ingress.kubernetes.io"
    controller = "traefik.io/ingress-controller"
    keys = GO_KEYS
    ingress_annotations = (
        "router.entrypoints",
        "router.middlewares",
        "router.priority",
        "router.tls",
        "router.tls.options",
    )
    service_annotations = ("service.serversscheme", "service.serverstransport")
    kinds = (INGRESS_ROUTE_TCPS, MIDDLEWARES, SERVERS_TRANSPORTS, TLS_OPTIONS)
    crds = "Traefik's CRDs"

    def space(self, inputs: SpaceInputs) -> list[Child]:
        kind, space = inputs.served.get(TLS_OPTIONS), inputs.space
        if kind is None or not any(map(inputs.claims.holds, (space.fqdn, *further_names(space)))):
            return []
        annotations = {INGRESS_CLASS: inputs.settings.routing.ingress_class_name}
        meta = names.space_meta(space, _option(space), annotations)
        children = [names.child(kind, meta, spec={"minVersion": "VersionTLS12", "sniStrict": True})]
        holder = inputs.served.get(INGRESS_ROUTE_TCPS)
        if holder is None:
            return children
        for name, certificate in _certificates(inputs).items():
            spec = {"entryPoints": [WEBSECURE], "routes": [], "tls": {"secretName": certificate}}
            children.append(names.child(holder, names.space_meta(space, name, annotations), spec=spec))
        return children

    def space_problems(self, inputs: SpaceInputs) -> tuple[Problem, ...]:
        missing = _missing(inputs.served, INGRESS_ROUTE_TCPS, TLS_OPTIONS)
        return (missing,) if missing is not None else ()

    def http(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Problem:
        if any("%" in path.prefix for path in endpoint.paths):
            return unsupported(endpoint, "Traefik compares paths after decoding them; choose an httpPath without %")
        if speaks_http2(endpoint) and endpoint.tls is not None:
            return unsupported(
                endpoint,
                "Traefik speaks HTTP/2 by TLS only where the pod negotiates it (ALPN), which the sidecar does not; let "
                "the container speak TLS itself (disableTlsTermination), or use a Space without encryptHttp",
            )
        needed = (MIDDLEWARES, TLS_OPTIONS, *((SERVERS_TRANSPORTS,) if endpoint.backend_tls else ()))
        if missing := _missing(inputs.served, *needed):
            return missing
        children = [_transport(inputs, endpoint)] if endpoint.backend_tls else []
        for path in endpoint.paths:
            secure: dict[str, str | None] = {
                "router.entrypoints": WEBSECURE,
                "router.tls": "true",
                "router.tls.options": _reference(inputs, _option(inputs.space)),
            }
            if path.rewrite is not None:
                rewrite = _name("rewrite", inputs, endpoint, path)
                children.append(_rewrite(inputs, rewrite, path, path.rewrite))
                secure["router.middlewares"] = _reference(inputs, rewrite)
            children += self._ingresses(inputs, endpoint, path, "", secure, tls=True)
        redirect = _name("redirect", inputs, endpoint)
        children.append(
            _object(inputs, MIDDLEWARES, redirect, {"redirectScheme": {"scheme": "https", "permanent": True}})
        )
        # An Ingress must reference a Service, but no request of the redirect reaches it.
        plain = {"router.entrypoints": WEB, "router.middlewares": _reference(inputs, redirect)}
        for path in endpoint.paths:
            children += self._ingresses(inputs, endpoint, path, ".redirect", plain, tls=False)
        return children

    def _ingresses(
        self,
        inputs: AppInputs,
        endpoint: ResolvedEndpoint,
        path: ResolvedPath,
        what: str,
        annotations: Annotations,
        *,
        tls: bool,
    ) -> list[Child]:
        """One for the exact names and one for the wildcards: an Ingress has one priority."""
        found = []
        for wild in (False, True):
            hosts = [name for name in endpoint.http_names if name.startswith("*.") is wild]
            if hosts:
                name = _ingress_name(inputs, endpoint, path, f"{what}.any" if wild else what)
                named = self.named({**annotations, "router.priority": _priority(inputs, path, wild=wild)})
                paths, backend = _paths(path), named_backend(inputs, endpoint)
                found.append(http_ingress(inputs, name, hosts, paths, backend, named, tls=tls))
        return found

    def tcp(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Problem:
        if missing := _missing(inputs.served, INGRESS_ROUTE_TCPS):
            return missing
        service = {"name": endpoint.name, "port": endpoint.service_port, "terminationDelay": FOR_EVER}
        spec = {
            "entryPoints": [WEBSECURE],
            # A host name has no backtick in it: resolve() has checked its form.
            "routes": [{"match": f"HostSNI(`{endpoint.hostname}`)", "services": [service]}],
            "tls": {"passthrough": True},
        }
        return [_object(inputs, INGRESS_ROUTE_TCPS, endpoint.name, spec)]

    def withdrawn(self, resource: Resource, spec: Obj) -> Obj | None:
        return {"routes": []} if resource == INGRESS_ROUTE_TCPS else None

    def service_traits(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> ServiceTraits:
        if endpoint.kind is not EndpointKind.HTTP:
            return ServiceTraits(endpoint.service_port_name)
        if not endpoint.backend_tls:
            scheme: dict[str, str | None] = {"service.serversscheme": "h2c"} if speaks_http2(endpoint) else {}
            return ServiceTraits(unique_port_name(inputs, endpoint), self.named(scheme))
        transport = _reference(inputs, _name("transport", inputs, endpoint))
        annotations = self.named({"service.serversscheme": "https", "service.serverstransport": transport})
        return ServiceTraits(unique_port_name(inputs, endpoint), annotations)


def _certificates(inputs: SpaceInputs) -> dict[str, str]:
    """IngressRouteTCP -> Secret: one for each certificate of a name that the Space holds."""
    space, held = inputs.space, inputs.claims.holds
    own = space.spec.http_cert_secret_name
    found = {CERTIFICATE: own} if own is not None and held(space.fqdn) else {}
    for name, secret in further_names(space).items():
        if secret is not None and held(name) and secret not in found.values():
            found[f"{CERTIFICATE}.{names.edge_digest(space.uid, secret)}"] = secret
    return found


def _paths(path: ResolvedPath) -> Paths:
    return {"/": PREFIX} if path.prefix == "/" else {path.prefix: EXACT, f"{path.prefix}/": PREFIX}


def _priority(inputs: AppInputs, path: ResolvedPath, *, wild: bool) -> str:
    """The priority of Traefik's own rule for all paths below the prefix at the FQDN; at a wildcard, less than that of
    any path at an exact name.
    """
    if wild:
        return str(len(path.prefix) - 2 * MAX_PATH)
    return str(len(f'Host("{inputs.space.fqdn}") && PathPrefix("{path.prefix.rstrip("/")}/")'))


def _rewrite(inputs: AppInputs, name: str, path: ResolvedPath, rewrite: str) -> Child:
    pattern, before = rewriting(path.prefix, rewrite)
    # The braces end the group's number: without them $1 and a digit behind it would be another group.
    regex = {"regex": f"^{pattern}", "replacement": f"{before}${{1}}"}
    return _object(inputs, MIDDLEWARES, name, {"replacePathRegex": regex})


def _transport(inputs: AppInputs, endpoint: ResolvedEndpoint) -> Child:
    """TLS to the pods, which must show a certificate for the Space's FQDN."""
    spec: Obj = {"serverName": inputs.space.fqdn}
    secret = inputs.space.spec.http_cert_secret_name
    if secret is not None and inputs.edge_may_have_ca:
        spec["rootCAs"] = [{"secret": secret}]
    return _object(inputs, SERVERS_TRANSPORTS, _name("transport", inputs, endpoint), spec)


def _object(inputs: AppInputs, kind: Resource, name: str, spec: Obj) -> Child:
    annotations = {INGRESS_CLASS: inputs.settings.routing.ingress_class_name}
    return names.child(inputs.served[kind], names.app_meta(inputs, name, annotations), spec=spec)


def _name(what: str, inputs: AppInputs, endpoint: ResolvedEndpoint, path: ResolvedPath | None = None) -> str:
    return f"{what}-{_digest(inputs, endpoint, path)}"


def _ingress_name(inputs: AppInputs, endpoint: ResolvedEndpoint, path: ResolvedPath, what: str = "") -> str:
    """No endpoint has a dot in its name."""
    return f"{endpoint.name}{what}.{_digest(inputs, endpoint, path)}"


def _digest(inputs: AppInputs, endpoint: ResolvedEndpoint, path: ResolvedPath | None) -> str:
    """Of what belongs to an endpoint, or to one of its paths; that of the first path is the endpoint's."""
    further = () if path is None or path == endpoint.paths[0] else (path.prefix,)
    return names.edge_digest(inputs.uid, endpoint.name, *further)


def _option(space: SpaceFacts) -> str:
    """The name of a Space's TLSOption."""
    return f"space-{names.edge_digest(space.uid)}"


def _reference(inputs: AppInputs, name: str) -> str:
    """An object of the CRD provider, as the other providers name it."""
    return f"{inputs.space.name}-{name}@kubernetescrd"


def _missing(served: Served, *needed: Resource) -> Problem | None:
    """The first of these kinds that the cluster does not serve."""
    kind = next((kind for kind in needed if kind not in served), None)
    if kind is None:
        return None
    message = f"the cluster does not serve {kind.kind} of {GROUP}; install {Traefik.crds}, v3"
    return Problem(reasons.INGRESS_KIND_MISSING, message)


DIALECT = Traefik()
