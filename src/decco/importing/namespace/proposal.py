"""A Space and Apps for each namespace of the input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from decco.api.formats import DNS_LABEL, DNS_NAME, OBJECT_NAME, SUBDOMAIN
from decco.api.parse import parse_app, parse_space
from decco.api.reserved_names import is_reserved
from decco.api.types import MAX_HTTP_HOSTNAMES
from decco.errors import ConfigError
from decco.hostnames import in_zone
from decco.importing.fields import Remarks, Source
from decco.importing.namespace.backends import backend_of
from decco.importing.namespace.endpoints import (
    Names,
    Routed,
    canary_endpoint,
    http_endpoint,
    passthrough_endpoint,
)
from decco.importing.namespace.inventory import Inventory, Part, inventories
from decco.importing.namespace.routes import ANY, Route, Routes, routes_of
from decco.importing.namespace.scaling import add_autoscaler, add_budget
from decco.importing.namespace.services import keep_service, remark_on_service
from decco.importing.namespace.workloads import convert_workload
from decco.importing.result import Imported, Result, judge
from decco.importing.space import remark_on_secret
from decco.objects import ANNOTATION_IMPORTED, API_VERSION, Obj
from decco.text import shown


def propose(
    given: Iterable[tuple[Source, Obj]],
    *,
    space: str | None = None,
    domain: str | None = None,
    namespace: str | None = None,
) -> Result:
    """``space`` is the name of the Space, by default that of the namespace; ``domain`` its domain, by default what is
    behind the Space's name in a host name; ``namespace`` that of objects that name none.

    Raises ConfigError if ``space`` is to be the name of several.
    """
    found, others = inventories(given, namespace or "")
    if space is not None and len(found) > 1:
        raise ConfigError(
            f"the input has objects of {len(found)} namespaces, and --space is the name of one Space: pass the "
            f"objects of "
            "one namespace, or leave --space out"
        )
    if space is None and "" in found:
        raise ConfigError(
            "some objects name no namespace, whose name the Space would get: give the Space's name with --space, or "
            "the "
            "namespace with --namespace"
        )
    result = Result(others=others)
    for old, inventory in found.items():
        _Proposal(inventory, old, space or old, domain).add_to(result)
    return result


@dataclass(slots=True)
class _Proposal:
    inventory: Inventory
    old: str
    name: str
    domain: str | None

    def add_to(self, result: Result) -> None:
        inventory = self.inventory
        parts = inventory.parts
        routes = routes_of(inventory)
        space = self._space(routes, parts)
        for workload in inventory.workloads:
            workload.imported.obj = convert_workload(workload, self.name, self.old)
        names = Names(frozenset(inventory.services))
        if space.obj is not None:
            self._endpoints(routes, space, names)
        for name, service in inventory.services.items():
            if service.imported.remarks.failed:
                continue
            if name not in names.replaced:
                keep_service(service, inventory, self.name)
            remark_on_service(service, replaced=name in names.replaced)
        for budget in inventory.budgets:
            add_budget(budget, inventory)
        for autoscaler in inventory.autoscalers:
            add_autoscaler(autoscaler, inventory, self.name)
        judge(space, parse_space)
        for workload in inventory.workloads:
            if not (SUBDOMAIN.matches(workload.name) and len(workload.name) <= DNS_LABEL.max_length):
                workload.remark("metadata.name", "name-invalid", f"{SUBDOMAIN.message}, of at most 63 characters")
            judge(workload.imported, parse_app)
        result.spaces.append(space)
        result.apps += [workload.imported for workload in inventory.workloads]
        for part in parts:
            if part not in inventory.workloads:
                part.imported.merged = not part.imported.remarks.failed
                result.others.append(part.imported)

    # -- the Space ----------------------------------------------------------------------------------------------------

    def _space(self, routes: Routes, parts: list[Part]) -> Imported:
        file = parts[0].imported.source.file
        made = Imported(Source.of_namespace(file, self.old), Remarks())
        remarks = made.remarks
        meta: Obj = {"name": self.name}
        if self.old:
            meta["annotations"] = {ANNOTATION_IMPORTED: f"Namespace {self.old}"}
        if not OBJECT_NAME.matches(self.name):
            remarks.add("metadata.name", "name-invalid", f"{OBJECT_NAME.message}; give another with --space")
        elif is_reserved(self.name):
            remarks.add(
                "metadata.name",
                "name-invalid",
                "is a top-level domain, a word of cluster DNS, or a system namespace's name: give another with --space",
            )
        if self.name == self.old:
            remarks.add(
                "metadata.name",
                "namespace-exists",
                f"decco takes over no namespace: in the cluster that has namespace {self.old} give the Space another "
                f"name "
                "with --space",
            )
        domain = self.domain or self._guessed_domain(routes, remarks)
        made.obj = {"apiVersion": API_VERSION, "kind": "Space", "metadata": meta, "spec": {"domainName": domain}}
        if routes.limits:
            made.obj["spec"]["limits"] = routes.limits
        if domain:
            self._hosts(made, routes)
        return made

    def _guessed_domain(self, routes: Routes, remarks: Remarks) -> str:
        """The FQDN <name>.<domain> is one of the host names, if none is below it: those would be the TCP endpoints'."""
        for host in routes.hosts:
            label, _, rest = host.partition(".")
            below = any(in_zone(other.removeprefix("*."), host) for other in routes.hosts if other != host)
            if label == self.name and DNS_NAME.matches(rest) and not below:
                remarks.add("domainName", "domain-derived", f"the FQDN is {host}, which the Ingresses have")
                return rest
        remarks.add(
            "domainName",
            "domain-missing",
            f"no host of an Ingress is {self.name}.<domain> without others below it: give the domain with --domain; "
            f"the "
            "FQDN is in addition to the hosts of the Ingresses",
        )
        return ""

    def _hosts(self, made: Imported, routes: Routes) -> None:
        """Host names and certificates; routes at names that the Space cannot have are left out."""
        assert made.obj is not None
        spec, fqdn = made.obj["spec"], self._fqdn(made.obj)
        routes.http = [route for route in routes.http if _is_usable(route, fqdn)]
        listed = [host for host in routes.hosts if host != fqdn]
        for host in listed[MAX_HTTP_HOSTNAMES:]:
            for route in routes.http:
                if route.host == host:
                    route.ingress.remark(
                        route.at,
                        "host-unusable",
                        f"{host} is left out: a Space has at most {MAX_HTTP_HOSTNAMES} httpHostnames; use another "
                        f"Space",
                    )
        routes.http = [route for route in routes.http if route.host not in listed[MAX_HTTP_HOSTNAMES:]]
        if any(route.host in (fqdn, ANY) for route in routes.http):
            spec["httpCertSecretName"] = self._secret(made, routes, fqdn, "httpCertSecretName", fqdn)
        further = [
            {"name": host, "certSecretName": self._secret(made, routes, host, f"httpHostnames[{at}]", fqdn)}
            for at, host in enumerate(listed[:MAX_HTTP_HOSTNAMES])
        ]
        if further:
            spec["httpHostnames"] = further

    def _secret(self, made: Imported, routes: Routes, host: str, field: str, fqdn: str) -> str:
        secret = routes.secret_of(host)
        if not secret or not SUBDOMAIN.matches(secret):
            secret = f"{host.replace('*', 'wildcard').replace('.', '-')[:240]}-tls"
            made.remarks.add(
                f"spec.{field}",
                "certificate-to-be-chosen",
                f"no Ingress has a certificate for {host}, and decco serves HTTPS: {secret} is a proposal",
            )
        remark_on_secret(made.remarks, f"spec.{field}", secret, fqdn)
        return secret

    def _fqdn(self, space: Obj) -> str:
        return f"{self.name}.{space['spec']['domainName']}"

    # -- endpoints ----------------------------------------------------------------------------------------------------

    def _endpoints(self, routes: Routes, space: Imported, names: Names) -> None:
        assert space.obj is not None
        spec, fqdn = space.obj["spec"], self._fqdn(space.obj)
        served = [fqdn] if "httpCertSecretName" in spec else []
        served += [each["name"] for each in spec.get("httpHostnames") or ()]
        if fqdn not in served:
            served.append(fqdn)  # so that an endpoint that does not have it lists its names
        routed = self._backends(routes.http)
        groups: dict[tuple[str, int], list[Routed]] = {}
        for route, backend in routed:
            groups.setdefault((backend.workload.name, backend.port), []).append((route, backend))
        by_route: dict[tuple[str, str], tuple[Part, Obj]] = {}
        for group in groups.values():
            others = [each for each in routed if each not in group]
            endpoint = http_endpoint(group, others, names, served)
            workload = group[0][1].workload
            if endpoint is None:
                continue
            _append(workload, endpoint)
            by_route |= {(route.host, route.path.rstrip("/")): (workload, endpoint) for route, _ in group}
        self._canaries(routes, by_route, names)
        for route, backend in self._backends(routes.passthrough):
            reason = _refused_passthrough(route, backend.workload, backend.port, spec, fqdn)
            if reason:
                route.ingress.remark(f"{route.at.partition('.http')[0]}.host", "host-unusable", f"{reason}; left out")
                continue
            _append(backend.workload, passthrough_endpoint(route, backend, names, fqdn))
            if not in_zone(route.host, fqdn) and route.host not in spec.get("hostnames", ()):
                spec.setdefault("hostnames", []).append(route.host)
                above = fqdn if spec["domainName"] else "the Space's FQDN"
                text = f"{route.host} is not below {above}, so it was added to the Space's hostnames"
                route.ingress.remark(route.at, "hostname-added-to-space", text)

    def _backends(self, routes: Iterable[Route]) -> list[Routed]:
        found = []
        for route in routes:
            backend = backend_of(self.inventory, route.service, route.port)
            if isinstance(backend, str):
                route.ingress.remark(route.at, "backend-not-found", f"{backend}: the path is left out")
            else:
                found.append((route, backend))
        return found

    def _canaries(self, routes: Routes, primaries: dict[tuple[str, str], tuple[Part, Obj]], names: Names) -> None:
        groups: dict[tuple[str, int], list[Routed]] = {}
        for route, backend in self._backends(routes.canaries):
            primary = primaries.get((route.host, route.path.rstrip("/")))
            app = backend.workload.imported.obj
            reason = ""
            if primary is None:
                reason = "no other Ingress has this host and path"
            elif primary[0] is backend.workload:
                reason = "both lead to the same App"
            elif app is not None and app["spec"].get("canaryOf", primary[0].name) != primary[0].name:
                reason = "the App is a canary of another App already"
            elif any(workload is backend.workload for workload, _ in primaries.values()):
                reason = "the App has paths of its own too"
            if reason or primary is None or app is None:
                route.ingress.remark(route.at, "canary-not-convertible", f"{reason}: left out")
                continue
            app["spec"] |= {"canaryOf": primary[0].name, "weight": route.behaviour.canary_weight}
            if any(key[0] != route.host and found == primary for key, found in primaries.items()):
                text = "the canary takes its share at all host names of the endpoint whose route it shares"
                route.ingress.remark(route.at, "paths-of-hosts-merged", text)
            groups.setdefault((backend.workload.name, backend.port), []).append((route, backend))
        for group in groups.values():
            route, backend = group[0]
            _, endpoint = primaries[route.host, route.path.rstrip("/")]
            _append(backend.workload, canary_endpoint(group, endpoint, names))


def _append(workload: Part, endpoint: Obj) -> None:
    if workload.imported.obj is not None:
        workload.imported.obj["spec"]["endpoints"].append(endpoint)


def _is_usable(route: Route, fqdn: str) -> bool:
    if route.host in (ANY, fqdn) or not in_zone(route.host.removeprefix("*."), fqdn):
        return True
    route.ingress.remark(
        route.at,
        "host-unusable",
        f"{route.host} is left out: below the FQDN {fqdn} TCP endpoints are reached; give another --space or --domain",
    )
    return False


def _refused_passthrough(route: Route, workload: Part, port: int, spec: Obj, fqdn: str) -> str:
    """Why a host name cannot be passed through, "" if it can."""
    if not DNS_NAME.matches(route.host):
        return f"{shown(route.host)} {DNS_NAME.message}"
    if route.host == fqdn or any(route.host == each["name"] for each in spec.get("httpHostnames") or ()):
        return f"{route.host} is served by path, and a name is served either by path or by TLS passthrough"
    endpoints = (workload.imported.obj or {"spec": {"endpoints": []}})["spec"]["endpoints"]
    if any(endpoint["port"] == port for endpoint in endpoints):
        return f"{workload.name} has an endpoint on port {port} already, and an endpoint has one hostname"
    return ""
