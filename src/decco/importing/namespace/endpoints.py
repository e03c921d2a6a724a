"""The routes to an App -> its endpoints.

An endpoint is served at each of its host names by each of its paths, and a port has one endpoint; an Ingress can have
other paths for each host.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from decco.api.types import DEFAULT_TLS_PORT, MAX_HTTP_PATHS
from decco.desired.endpoints import HTTP_PORT
from decco.importing.namespace.backends import Backend
from decco.importing.namespace.routes import ANY, Route
from decco.importing.namespace.services import is_headless, only_port
from decco.objects import Obj
from decco.text import shown

Routed = tuple[Route, Backend]


@dataclass(slots=True)
class Names:
    """Names of endpoints and Services of one Space, which share one namespace."""

    services: frozenset[str]
    taken: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    """Services whose place the Service of an endpoint takes."""

    def choose(self, backend: Backend, port: int) -> str:
        """The Service's own name if the endpoint's Service, with this port, is the same to clients, and else a new
        one beside it.
        """
        service = backend.service
        one = only_port(service)
        same = one is not None and one.get("port") == port and not is_headless(service)
        same = same and service.spec.get("type", "ClusterIP") == "ClusterIP" and service.name not in self.taken
        if same:
            self.replaced.add(service.name)
        name = service.name if same else self._beside(f"{service.name[:54]}-edge")
        self.taken.add(name)
        return name

    def _beside(self, wanted: str) -> str:
        numbered = (f"{wanted}-{number}" for number in range(2, 1000))
        return next(name for name in (wanted, *numbered) if name not in self.taken | self.services)


def http_endpoint(group: list[Routed], others: list[Routed], names: Names, served: Iterable[str]) -> Obj | None:
    """The endpoint of all routes to one port. ``served`` are the host names that the Space has; ``others`` the routes
    to other ports, with which its paths must not collide. None if others have its paths at all names.
    """
    route, backend = group[0]
    hosts, paths = _product([each for each, _ in group], [each for each, _ in others])
    if ANY in hosts:
        # A rule for a host goes before one without.
        named = {other.host for other, _ in others for path in paths if _is_at(other, ANY, path)} - {ANY}
        hosts = [name for name in served if name not in named] if named else [*served]
        if not hosts:
            route.ingress.remark(route.at, "default-backend", "all names of the Space have this path already: left out")
            return None
    made: Obj = {"name": names.choose(backend, HTTP_PORT), "port": backend.port}
    made |= _paths(route, paths)
    if set(hosts) != set(served):
        made["httpHostnames"] = hosts
    protocol = next((each.behaviour.protocol for each, _ in group if each.behaviour.protocol), None)
    if protocol:
        made["appProtocol"] = protocol
    if timeout := max(each.behaviour.idle_timeout for each, _ in group):
        made["timeouts"] = {"idle": _duration(timeout)}
    return made


def canary_endpoint(group: list[Routed], primary: Obj, names: Names) -> Obj:
    """The endpoint that shares the routes of the ``primary`` endpoint."""
    route, backend = group[0]
    made: Obj = {"name": names.choose(backend, HTTP_PORT), "port": backend.port}
    made |= _paths(route, {each.path: "" for each, _ in group})
    return made | ({"appProtocol": primary["appProtocol"]} if "appProtocol" in primary else {})


def passthrough_endpoint(route: Route, backend: Backend, names: Names, default_hostname: str) -> Obj:
    port = backend.service_port
    made: Obj = {"name": names.choose(backend, port), "port": backend.port, "disableTlsTermination": True}
    if port != DEFAULT_TLS_PORT:
        made["tlsListenPort"] = port
    if route.host != f"{made['name']}.{default_hostname}":
        made["hostname"] = route.host
    return made


def _duration(seconds: int) -> str:
    """Numbers of a duration have up to five digits."""
    if seconds < 100_000:
        return f"{seconds}s"
    hours, rest = divmod(seconds, 3600)
    return f"{hours}h{rest}s" if rest else f"{hours}h"


def _paths(route: Route, paths: dict[str, str]) -> Obj:
    if len(paths) > MAX_HTTP_PATHS:
        route.ingress.remark(
            route.at,
            "path-not-convertible",
            f"an endpoint has at most {MAX_HTTP_PATHS} paths, and {len(paths)} lead to this port: left out are "
            f"{', '.join(shown(path) for path in list(paths)[MAX_HTTP_PATHS:])}",
        )
    kept = list(paths.items())[:MAX_HTTP_PATHS]
    if len(kept) == 1:
        [(path, rewrite)] = kept
        return {"httpPath": path, **({"rewritePath": rewrite} if rewrite else {})}
    return {"httpPaths": [{"path": path, **({"rewritePath": rewrite} if rewrite else {})} for path, rewrite in kept]}


def _product(group: list[Route], others: list[Route]) -> tuple[list[str], dict[str, str]]:
    """Host names and paths (-> rewrite) that together are the routes, with a remark if they are more or fewer."""
    by_host: dict[str, dict[str, str]] = {}
    for route in group:
        by_host.setdefault(route.host, {})[route.path] = route.rewrite
    first = group[0]
    same = [host for host, paths in by_host.items() if paths == by_host[first.host]]
    if len(same) == len(by_host):
        return same, by_host[first.host]
    union = {path: rewrite for paths in by_host.values() for path, rewrite in paths.items()}
    hosts = [ANY] if ANY in by_host else list(by_host)
    further = [(host, path) for host in hosts for path in union if path not in by_host.get(host, {})]
    collides = any(_is_at(other, host, path) for other in others for host, path in further)
    differs = any(union[path] != rewrite for paths in by_host.values() for path, rewrite in paths.items())
    if not collides and not differs:
        first.ingress.remark(
            first.at,
            "paths-of-hosts-merged",
            f"all paths to this port become paths at all its host names: {', '.join(map(shown, union))}",
        )
        return hosts, union
    for route in group:
        if route.host not in same:
            route.ingress.remark(
                route.at,
                "path-not-convertible",
                f"{shown(route.host + route.path)} is left out: a port has one endpoint, with the same paths at all "
                f"its host "
                f"names, and {shown(first.host)} has other ones; let the container serve a port for each",
            )
    return same, by_host[first.host]


def _is_at(route: Route, host: str, path: str) -> bool:
    return route.path.rstrip("/") == path.rstrip("/") and (route.host == host or ANY in (route.host, host))
