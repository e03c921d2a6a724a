"""What remains of a route or listener that somebody's finalizer holds in deletion: nothing that the edge serves.

Edges serve objects in deletion like all others. So that a host name is not served for its former owner, decco takes
it, and the reference to the edge, out of such an object. Each kind requires some content; the name that stays is
reserved by RFC 2606 and resolves nowhere.
"""

from __future__ import annotations

from collections.abc import Callable

from decco.desired.routing.dialects import dialects
from decco.objects import GATEWAYS, HTTP_ROUTES, INGRESSES, LISTENER_SETS, TLS_ROUTES, Obj, Resource

NO_HOST = "withdrawn.invalid"
NO_CLASS = "withdrawn.decco.platform9.com"
"""A class of no ingress controller. An Ingress must have a rule or a default backend, which would be for all hosts."""


def withdrawn(resource: Resource, live: Obj) -> Obj | None:
    """The object without its host names; None if it has none that the edge would serve."""
    make = _SPECS.get(resource)
    spec = live.get("spec") or {}
    if make is not None:
        reduced: Obj | None = make(spec)
    else:
        found = (dialect.withdrawn(resource, spec) for dialect in dialects().values())
        reduced = next((each for each in found if each is not None), None)
    return None if reduced is None or reduced == spec else {**live, "spec": reduced}


def _ingress(_spec: Obj) -> Obj:
    backend = {"service": {"name": "withdrawn", "port": {"number": 1}}}
    path = {"path": "/", "pathType": "Exact", "backend": backend}
    return {"ingressClassName": NO_CLASS, "rules": [{"host": NO_HOST, "http": {"paths": [path]}}]}


def _route(spec: Obj) -> Obj:
    return {**{name: value for name, value in spec.items() if name != "parentRefs"}, "hostnames": [NO_HOST]}


def _listeners(spec: Obj) -> Obj:
    allowed = {"namespaces": {"from": "Same"}}
    listener = {"name": "withdrawn", "hostname": NO_HOST, "port": 80, "protocol": "HTTP", "allowedRoutes": allowed}
    return {**spec, "listeners": [listener]}


_SPECS: dict[Resource, Callable[[Obj], Obj]] = {
    INGRESSES: _ingress,
    HTTP_ROUTES: _route,
    TLS_ROUTES: _route,
    GATEWAYS: _listeners,
    LISTENER_SETS: _listeners,
}
