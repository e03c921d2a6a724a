"""What a dialect of the Ingress backend provides, and what all dialects share: Ingress objects, paths as patterns."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import field

from decco.api.limits import Limits, RateUnit
from decco.desired import names, reasons
from decco.desired.endpoints import ResolvedEndpoint
from decco.desired.http_names import certificate_of
from decco.desired.http_routes import ResolvedPath
from decco.desired.limits import REQUEST_RATE
from decco.desired.model import AppInputs, Child, Problem, SpaceInputs
from decco.desired.names import Annotations
from decco.desired.shares import Sharing
from decco.frozen import frozen
from decco.objects import INGRESSES, Obj, Resource

PREFIX, EXACT, OTHER = "Prefix", "Exact", "ImplementationSpecific"

Paths = Mapping[str, str]
"""Path of an Ingress -> how it is matched."""


@frozen
class ServiceTraits:
    """What the edge needs on an endpoint's Service."""

    port_name: str
    annotations: dict[str, str | None] = field(default_factory=dict)


class Dialect(ABC):
    """One ingress controller's extensions for features that Ingress does not cover."""

    prefix: str
    """Of the names of the controller's annotations."""
    ingress_annotations: tuple[str, ...]
    """Every annotation that this dialect writes on an Ingress, without the prefix; all but those of ``optional``."""
    optional: tuple[str, ...] = ()
    """Those of fields that came later. They are no part of an Ingress that has none of these fields, so that an upgrade
    leaves it as it is; ``reconcilers/kinds.py`` has them removed with the field."""
    service_annotations: tuple[str, ...] = ()
    """Every annotation that this dialect ever writes on a Service, without the prefix."""
    timeouts: frozenset[str] = frozenset()
    """The timeouts of an HTTP endpoint that this dialect writes."""
    limits: frozenset[str] = frozenset()
    """The limits of a Space that this dialect writes (``desired/limits.py``)."""
    rate_units: frozenset[RateUnit] = frozenset()
    """Those of request rates."""
    limits_passthrough: bool = False
    """Whether it limits the clients of TCP endpoints too."""
    sharing: Sharing = Sharing.NONE
    """How it shares traffic with canaries."""
    kinds: tuple[Resource, ...] = ()
    """The kinds of the controller's own CRDs, in the version that is written."""
    crds: str = ""
    """What to install if these kinds are missing."""
    keys: frozenset[str]
    """The kinds of keys with which the controller can serve HTTPS, see ``edge_keys.py``."""
    controller: str
    """``spec.controller`` of the IngressClasses that the controller serves."""

    @abstractmethod
    def http(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Problem:
        """The objects of an HTTP endpoint in the order of writing, or why the controller cannot serve it."""

    @abstractmethod
    def tcp(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> list[Child] | Problem:
        """The same for a TCP endpoint."""

    def service_traits(self, inputs: AppInputs, endpoint: ResolvedEndpoint) -> ServiceTraits:
        return ServiceTraits(endpoint.service_port_name)

    def space(self, inputs: SpaceInputs) -> list[Child]:
        """The objects that all endpoints of a Space share."""
        return []

    def space_problems(self, inputs: SpaceInputs) -> tuple[Problem, ...]:
        """The kinds that a Space needs and the cluster does not serve."""
        return ()

    def withdrawn(self, resource: Resource, spec: Obj) -> Obj | None:
        """The spec of an object of the controller's own kinds that no longer serves a host name; None if the kind has
        none.
        """
        return None

    def kept_limits(self, limits: Limits) -> frozenset[str]:
        """The limits that the controller keeps."""
        rate = limits.request_rate
        return self.limits if rate is None or rate.unit in self.rate_units else self.limits - {REQUEST_RATE}

    def named(self, annotations: Annotations) -> dict[str, str | None]:
        """These annotations under their full names."""
        return {f"{self.prefix}/{name}": value for name, value in annotations.items()}


def unsupported(endpoint: ResolvedEndpoint, why: str) -> Problem:
    return Problem(reasons.ROUTE_NOT_SUPPORTED, f"endpoint {endpoint.name} gets no route: {why}")


def verifying_secret(inputs: AppInputs, endpoint: ResolvedEndpoint, controller: str) -> str | Problem:
    """The Secret by whose ca.crt a controller verifies pods, if it cannot verify them by the system's authorities."""
    secret = inputs.space.spec.http_cert_secret_name
    if secret is not None and inputs.edge_may_have_ca:
        return secret
    return unsupported(
        endpoint, f"{controller} verifies pods by the ca.crt of the Space's httpCertSecretName only; add it there"
    )


# -- Ingress ----------------------------------------------------------------------------------------------------------


def http_ingress(
    inputs: AppInputs,
    name: str,
    hosts: Iterable[str],
    paths: Paths,
    backend: Obj,
    annotations: Annotations,
    *,
    tls: bool = True,
) -> Child:
    """Paths at each of these names, under its certificate."""
    certificates = {host: certificate_of(inputs.space, host) if tls else None for host in hosts}
    return _ingress(inputs, name, certificates, paths, backend, annotations)


def path_ingress_name(inputs: AppInputs, endpoint: ResolvedEndpoint, path: ResolvedPath) -> str:
    """The name of the Ingress of one path, as annotations are for all paths of an Ingress. That of the first is the
    endpoint's.
    """
    if path == endpoint.paths[0]:
        return endpoint.name
    return f"{endpoint.name}.{names.edge_digest(inputs.uid, endpoint.name, path.prefix)}"


def passthrough_ingress(inputs: AppInputs, endpoint: ResolvedEndpoint, backend: Obj, annotations: Annotations) -> Child:
    """A host name whose TLS connections the controller hands to the endpoint as they are."""
    return _ingress(inputs, endpoint.name, {endpoint.hostname or "": None}, {"/": PREFIX}, backend, annotations)


def backend_of(endpoint: ResolvedEndpoint) -> Obj:
    """The endpoint's Service by the number of its port, for controllers whose names cannot collide."""
    return {"service": {"name": endpoint.name, "port": {"number": endpoint.service_port}}}


def named_backend(inputs: AppInputs, endpoint: ResolvedEndpoint) -> Obj:
    """The endpoint's Service by the name of its port, for controllers that join namespace, Service and port."""
    return {"service": {"name": endpoint.name, "port": {"name": unique_port_name(inputs, endpoint)}}}


def unique_port_name(inputs: AppInputs, endpoint: ResolvedEndpoint) -> str:
    return names.edge_port_name(endpoint.service_port_name, inputs.uid, endpoint.name)


def _ingress(
    inputs: AppInputs,
    name: str,
    certificates: Mapping[str, str | None],
    paths: Paths,
    backend: Obj,
    annotations: Annotations,
) -> Child:
    """``certificates``: host name -> Secret, or None."""
    class_name = inputs.settings.routing.ingress_class_name
    spec: Obj = {"ingressClassName": class_name} if class_name is not None else {}
    tls = [{"hosts": [host], "secretName": secret} for host, secret in certificates.items() if secret is not None]
    if tls:
        spec["tls"] = tls
    listed = [{"path": path, "pathType": matched, "backend": backend} for path, matched in paths.items()]
    spec["rules"] = [{"host": host, "http": {"paths": listed}} for host in certificates]
    return names.child(INGRESSES, names.app_meta(inputs, name, annotations), spec=spec)


# -- paths as regular expressions -------------------------------------------------------------------------------------
# For the controllers that rewrite by them, with the same result as the Gateway API's ReplacePrefixMatch: a prefix ends
# at the border of a segment, and what follows it is kept. /web rewritten to /app makes /web /app and /web/x /app/x;
# rewritten to / it makes them / and /x; /webs is another path.

_SPECIAL = re.compile(r"[.+*?^$()\[\]{}|\\]")


def escape(path: str) -> str:
    """The path as a pattern for itself, for PCRE and RE2 alike."""
    return _SPECIAL.sub(lambda found: "\\" + found[0], path)


def rewriting(prefix: str, rewrite: str) -> tuple[str, str]:
    """(pattern, before): the pattern matches the whole path and has one group; the new path is ``before`` and that
    group. Both arguments are paths without a slash at the end, or "/".
    """
    if prefix == "/":
        return "/(.*)", "/" if rewrite == "/" else f"{rewrite}/"
    if rewrite == "/":
        return f"{escape(prefix)}(?:/|$)(.*)", "/"
    return f"{escape(prefix)}(/.*)?$", rewrite


def below(prefix: str) -> str:
    """A pattern for the beginning of every path at or below the prefix."""
    return "/" if prefix == "/" else f"{escape(prefix)}(/|$)"
