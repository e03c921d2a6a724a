"""Rules of Ingresses -> routes: a host name, a prefix of paths and the Service behind them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from decco.api.formats import HOST_PATTERN, HTTP_PATH
from decco.frozen import frozen
from decco.hostnames import canonical
from decco.importing.fields import as_object, as_objects
from decco.importing.namespace.annotations import Behaviour, behaviour_of, is_authenticated, is_canary
from decco.importing.namespace.inventory import Inventory, Part
from decco.importing.namespace.limits import common_clients, limits_of
from decco.objects import Obj
from decco.text import shown

ANY = ""
"""The host name of a rule that names none."""
_REGEX = re.compile(r"[()\[\]{}*+?^$|\\]")
_WHOLE_REST = re.compile(r"(?P<path>/[^()\[\]{}*+?^$|\\]*?)/?(?P<rest>\(/\|\$\)\(\.\*\)|/?\(\.\*\)|/?\.\*)\$?")
"""The forms of a regular expression that are a prefix: /api(/|$)(.*), /api/(.*) and /api/.*"""


@frozen
class Route:
    ingress: Part
    at: str
    host: str
    path: str
    service: str
    port: str | int
    behaviour: Behaviour
    rewrite: str = ""


@dataclass(slots=True)
class Routes:
    http: list[Route] = field(default_factory=list)
    canaries: list[Route] = field(default_factory=list)
    passthrough: list[Route] = field(default_factory=list)
    restricted: list[Route] = field(default_factory=list)
    """Those that are left out, because not everybody might send requests there."""
    secrets: dict[str, str] = field(default_factory=dict)
    """Host name, wildcard or ANY -> Secret, as spec.tls has them."""
    limits: Obj = field(default_factory=dict)
    """Of the Space."""

    @property
    def hosts(self) -> list[str]:
        """Those served by path, in the order of the input."""
        return list(dict.fromkeys(route.host for route in self.http if route.host != ANY))

    def secret_of(self, host: str) -> str:
        wildcard = f"*.{host.partition('.')[2]}"
        return next((self.secrets[name] for name in (host, wildcard, ANY) if name in self.secrets), "")


def routes_of(inventory: Inventory) -> Routes:
    found = Routes()
    seen: dict[tuple[str, str], Route] = {}
    # The annotations of a canary but for its own count for nothing.
    served = [each for each in inventory.ingresses if not is_authenticated(each) and not is_canary(each)]
    permitted = common_clients(served)
    limited: list[Part] = []
    for ingress in inventory.ingresses:
        behaviour = behaviour_of(ingress, permitted)
        if ingress in served and not behaviour.restricted and not behaviour.passthrough:
            limited.append(ingress)
        for _, tls in as_objects(ingress.spec.get("tls")):
            hosts = tls.get("hosts")
            for host in hosts if isinstance(hosts, list) and hosts else (ANY,):
                if isinstance(tls.get("secretName"), str):
                    found.secrets.setdefault(canonical(str(host)), tls["secretName"])
        for route in _of_ingress(ingress, behaviour):
            if behaviour.restricted:
                found.restricted.append(route)
            elif behaviour.canary_weight is not None:
                found.canaries.append(route)
            elif behaviour.passthrough:
                found.passthrough.append(route)
            elif (other := seen.setdefault((route.host, route.path.rstrip("/")), route)) is not route:
                if (other.service, other.port) != (route.service, route.port):
                    ingress.remark(
                        route.at,
                        "path-not-convertible",
                        f"{shown(route.host + route.path)} is also in {other.ingress.imported.source}, and a path "
                        f"leads to "
                        "one endpoint: left out",
                    )
            else:
                found.http.append(route)
    found.limits = limits_of(limited)
    if permitted:
        found.limits["clientCidrs"] = list(permitted)
    for route in found.restricted:
        _remark_if_open(route, found.http)
    return found


def _remark_if_open(route: Route, served: Iterable[Route]) -> None:
    """The longest path that is served counts: without its own, requests go to one above it."""
    for other in served:
        same_host = route.host == other.host or ANY in (route.host, other.host)
        if same_host and f"{route.path.rstrip('/')}/".startswith(f"{other.path.rstrip('/')}/"):
            route.ingress.remark(
                route.at,
                "restricted-path-open",
                f"{shown(route.host + route.path)} is below {shown(other.path)} of {other.ingress.imported.source}, "
                f"whose "
                "container gets its requests from anyone: let that container refuse them before you apply the App",
            )
            return


def _of_ingress(ingress: Part, behaviour: Behaviour) -> Iterator[Route]:
    for number, rule in as_objects(ingress.spec.get("rules")):
        at = f"spec.rules[{number}]"
        host = canonical(str(rule.get("host") or ""))
        if host and not HOST_PATTERN.matches(host):
            ingress.remark(f"{at}.host", "host-unusable", f"{shown(host)} {HOST_PATTERN.message}; left out")
            continue
        for inner, item in as_objects(as_object(rule.get("http")).get("paths")):
            yield from _of_path(ingress, behaviour, f"{at}.http.paths[{inner}]", host, item)
    default = ingress.spec.get("defaultBackend") or ingress.spec.get("backend")
    if isinstance(default, dict):
        ingress.remark(
            "spec.defaultBackend",
            "default-backend",
            'it becomes the path "/" at the names of the Space; other names are not answered',
        )
        yield from _of_path(ingress, behaviour, "spec.defaultBackend", ANY, {"path": "/", "backend": default})


def _of_path(ingress: Part, behaviour: Behaviour, at: str, host: str, item: Obj) -> Iterator[Route]:
    given = item.get("path") or "/"
    backend = as_object(item.get("backend"))
    service = as_object(backend.get("service"))
    name = service.get("name") or backend.get("serviceName")
    number = as_object(service.get("port"))
    port = number.get("number") or number.get("name") or backend.get("servicePort")
    if not isinstance(name, str) or not isinstance(port, str | int):
        ingress.remark(f"{at}.backend", "backend-not-found", "is no Service with a port, so the path is left out")
        return
    if behaviour.passthrough:
        yield Route(ingress, at, host, "/", name, port, behaviour)
        return
    converted = _prefix(ingress, behaviour, at, str(given), str(item.get("pathType") or ""))
    if converted is not None:
        path, rewrite = converted
        yield Route(ingress, at, host, path, name, port, behaviour, rewrite)


def _prefix(ingress: Part, behaviour: Behaviour, at: str, given: str, kind: str) -> tuple[str, str] | None:
    """(prefix, what replaces it or ""), None if the path is left out."""
    path, rest = given, ""
    if behaviour.regex or (kind == "ImplementationSpecific" and _REGEX.search(given)):
        match = _WHOLE_REST.fullmatch(given)
        if match is not None:
            path, rest = match["path"] or "/", "$2" if match["rest"].startswith("(/") else "$1"
            if "(" not in match["rest"]:
                rest = ""
    if not path.startswith("/") or not HTTP_PATH.matches(path):
        ingress.remark(
            f"{at}.path",
            "path-not-convertible",
            f"{shown(given)} is not a path prefix: left out; add httpPath to an endpoint for the prefix that it needs",
        )
        return None
    if kind == "Exact":
        ingress.remark(
            f"{at}.pathType",
            "path-match-changed",
            f"{shown(path)} also serves the paths below it: decco has prefixes only",
        )
    rewrite = _rewrite(ingress, behaviour.rewrite, path, rest)
    return path, rewrite


def _rewrite(ingress: Part, target: str, path: str, rest: str) -> str:
    if not target:
        return ""
    new = target.removesuffix(rest).rstrip("/") or "/" if rest and target.endswith(rest) else target
    if "$" in new or not HTTP_PATH.matches(new):
        ingress.remark(
            "metadata.annotations[nginx.ingress.kubernetes.io/rewrite-target]",
            "path-match-changed",
            f"is not converted for {shown(path)}, because decco replaces a prefix only: set rewritePath, or let the "
            "container serve the path as it is",
        )
        return ""
    if not rest and new != path:
        ingress.remark(
            "metadata.annotations[nginx.ingress.kubernetes.io/rewrite-target]",
            "path-match-changed",
            f"it replaced the whole path of a request below {shown(path)}, and rewritePath replaces this prefix only",
        )
    return new if new.rstrip("/") != path.rstrip("/") else ""
