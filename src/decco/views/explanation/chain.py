"""The way to each endpoint of a Space as a chain: name, record, edge, listener, certificate, route, Service, pods.

The findings are those of ``explain``, by the same functions, in the order in which a client passes the parts. A
condition of the Space or App goes to the part that it is about, if that has not the same finding already. So the first
part with a failure is where the way ends. Without read access to the Space the chain is from the status of the App.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from decco.api.conditions import ConditionType
from decco.api.parse import parse_app
from decco.desired import reasons
from decco.desired.endpoints import endpoints_of as declared_endpoints
from decco.desired.endpoints import secret_name
from decco.desired.http_names import certificate_of, entry_of
from decco.desired.model import SpaceFacts
from decco.errors import DeccoError
from decco.frozen import frozen
from decco.hostnames import canonical
from decco.kube.entry import Entry
from decco.messages import Severity
from decco.objects import GATEWAYS, SERVICES, SPACES, Key, Obj
from decco.reconcilers.edge import addresses_for
from decco.reconcilers.facts import AppFacts
from decco.reconcilers.report import status_of
from decco.settings import RoutingBackend
from decco.views.explanation.backends import pods, service_problem
from decco.views.explanation.explain import bad_conditions, condition, endpoints_of, ownership, rivals
from decco.views.explanation.parts import World, certificate, listeners, published, record, route
from decco.views.explanation.placement import is_away
from decco.views.explanation.traffic import answer_of_suspended, is_canary, suspended
from decco.views.findings import Finding, Findings
from decco.views.simulation import ReconcileResult


class Part(StrEnum):
    """In the order in which a client passes them."""

    NAME = "name"
    RECORD = "record"
    EDGE = "edge"
    LISTENER = "listener"
    CERTIFICATE = "certificate"
    ROUTE = "route"
    SERVICE = "Service"
    PODS = "pods"


INSIDE = (Part.SERVICE, Part.PODS)
"""The parts of an endpoint that can be reached inside the cluster only."""
_PART_OF_REASON = {
    reasons.HOSTNAME_CONFLICT: Part.NAME,
    reasons.HOSTNAME_NOT_ALLOWED: Part.NAME,
    reasons.GATEWAY_NOT_FOUND: Part.EDGE,
    reasons.GATEWAY_API_MISSING: Part.EDGE,
    reasons.ADDRESS_UNREACHABLE: Part.EDGE,
    reasons.NO_ADDRESS: Part.EDGE,
    reasons.LISTENER_NOT_ANSWERING: Part.LISTENER,
    reasons.REFUSED_BY_PROXY: Part.LISTENER,
    reasons.WRONG_CERTIFICATE: Part.CERTIFICATE,
    reasons.INCOMPLETE_CHAIN: Part.CERTIFICATE,
    reasons.SERVICE_MISSING: Part.SERVICE,
    reasons.NO_READY_POD: Part.PODS,
    reasons.PORT_CLOSED: Part.PODS,
    reasons.APPLICATION_ERROR: Part.PODS,
}
_PART_OF_TYPE = {
    ConditionType.WORKLOAD_READY: Part.PODS,
    ConditionType.CERTIFICATES_READY: Part.CERTIFICATE,
    ConditionType.ROUTES_READY: Part.ROUTE,
    ConditionType.DNS_READY: Part.RECORD,
}
_OF_SPACE = frozenset({ConditionType.ROUTES_READY, ConditionType.DNS_READY})
"""The conditions of a Space that stop all its endpoints; its certificates are not those of each endpoint."""


@dataclass(slots=True)
class Link:
    part: Part
    findings: list[Finding] = field(default_factory=list)

    @property
    def severity(self) -> Severity:
        """The worst of its findings; unknown if nothing is said of it."""
        found = {each.severity for each in self.findings}
        order = (Severity.FAILURE, Severity.WARNING, Severity.UNKNOWN, Severity.OK)
        return next((each for each in order if each in found), Severity.UNKNOWN)


@frozen
class Chain:
    """The way to one endpoint."""

    app: Key
    endpoint: str
    where: str
    """Its URL, or its Service inside the cluster."""
    hostname: str | None
    links: tuple[Link, ...]

    @property
    def broken(self) -> Link | None:
        """The first part that keeps requests from going on."""
        return next((link for link in self.links if link.severity is Severity.FAILURE), None)


def chains(world: World, app: Entry) -> list[Chain]:
    """One for each endpoint of the App, in the order of its spec."""
    found = world.snapshot.caches.space(app.key.namespace)
    space = found[1] if found is not None else None
    reconciled = world.result.of("App", app.key)
    listed = endpoints_of(reconciled) if space is not None else list(status_of(app.obj()).get("endpoints") or ())
    return [_chain(world, space, app, reconciled, endpoint) for endpoint in listed]


def _chain(
    world: World, space: SpaceFacts | None, app: Entry, reconciled: ReconcileResult | None, endpoint: Obj
) -> Chain:
    name, key = str(endpoint.get("name")), Key(app.key.namespace, str(endpoint.get("name")))
    hostname = canonical(str(endpoint["hostname"])) if "hostname" in endpoint else None
    url = endpoint.get("url")
    links = {part: Link(part) for part in (Part if url is not None else INSIDE)}
    links[Part.SERVICE].findings += _service(world, key)
    links[Part.PODS].findings += _pods(world, key, app.key, url)
    if url is not None:
        shared = is_canary(world, app.key) and str(url).startswith("https://")
        links[Part.ROUTE].findings += [_of_primary(key)] if shared else route(world, key, app.key)
        if space is not None:
            _outside(world, space, app, reconciled, name, hostname, links)
        else:
            _hidden(world, key.namespace, hostname, links)
    _add_conditions(links, _conditions(world, space, app, reconciled))
    where = ", ".join(endpoint.get("urls") or ()) or url or f"{name}.{key.namespace}.svc:{endpoint.get('port')}"
    return Chain(app.key, name, str(where), hostname, tuple(links.values()))


def _outside(
    world: World,
    space: SpaceFacts,
    app: Entry,
    reconciled: ReconcileResult | None,
    endpoint: str,
    hostname: str | None,
    links: dict[Part, Link],
) -> None:
    """The parts in front of the route."""
    if hostname is not None:
        links[Part.NAME].findings += [ownership(space, hostname), *rivals(world, hostname, space.name)]
        of_space = world.result.of("Space", Key("", space.name))
        entry = entry_of(space, hostname)
        named = {hostname, entry or hostname}
        publishers = [each for each in (reconciled, of_space) if each is not None and not named.isdisjoint(each.names)]
        links[Part.RECORD].findings += record(world, hostname, publishers[0] if publishers else None)
    links[Part.EDGE].findings += edge(world, space)
    links[Part.LISTENER].findings += listeners(world, space, hostname)
    links[Part.CERTIFICATE].findings += _certificate(world, space, app, endpoint, hostname)


def edge(world: World, space: SpaceFacts) -> Findings:
    """The Gateway or proxy in front of the Space, and its addresses."""
    caches = world.snapshot.caches
    routing, about = caches.settings.routing, "edge"
    if routing.backend is RoutingBackend.NONE:
        yield Finding(about, "no routing is set: Services only")
        return
    what, source = "the Ingress controller", None
    if routing.backend is RoutingBackend.GATEWAY:
        own = f"{space.name}/decco of class {routing.gateway_class_name}"
        what = f"Gateway {routing.parent_gateway or own}"
        source = (GATEWAYS, (routing.parent_gateway or space.name).partition("/")[0])
    if caches.settings.edge.service is not None:
        source = (SERVICES, caches.settings.edge.service.partition("/")[0])
    addresses = addresses_for(caches, space)
    if addresses:
        yield Finding(about, f"{what}: {', '.join(addresses)}")
    elif source is not None and not caches.settings.edge.addresses and not world.snapshot.may_read(*source):
        text = f"you may not read {source[0].plural} in namespace {source[1]}: the edge's addresses are not known"
        yield Finding(about, text, "edge-hidden")
    else:
        text = f"{what} has no address: set edge.addresses, or see the Gateway's status"
        yield Finding(about, text, "no-edge-address")


def _certificate(world: World, space: SpaceFacts, app: Entry, endpoint: str, hostname: str | None) -> Findings:
    """The certificate that a client of this endpoint is shown."""
    try:
        declared = declared_endpoints(app.key.name, parse_app(app.obj()))
    except DeccoError:
        return  # reported as invalid elsewhere
    found = next((each for each in declared if each.name == endpoint), None)
    if found is None:
        return
    if found.disable_tls_termination:
        yield Finding("certificate", "the container of the App ends TLS, with a certificate of its own")
    elif found.paths:
        name = hostname or space.fqdn
        yield from certificate(world, space, certificate_of(space, name), f"https://{name}", name)
    else:
        yield from certificate(world, space, secret_name(found, space), f"endpoint {endpoint}", None)


def _service(world: World, service: Key) -> Iterator[Finding]:
    problem = service_problem(world, service, "Service")
    if problem is not None:
        yield problem
        return
    entry = world.snapshot.caches.children[SERVICES].get(service)
    ports = (entry.obj().get("spec") or {}).get("ports") or () if entry is not None else ()
    listed = ", ".join(f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in ports)
    yield Finding("Service", f"Service {service}, port {listed}")


def _pods(world: World, service: Key, app: Key, url: str | None) -> Iterator[Finding]:
    problem = service_problem(world, service, "pods")
    if is_away(world, app):
        yield Finding("pods", f"not placed in this cluster, no pods: {answer_of_suspended(world, url)}")
    elif suspended(world, app):
        yield Finding("pods", f"suspended by spec.suspend, no pods: {answer_of_suspended(world, url)}")
    elif problem is None:
        yield pods(world, service, "pods")
    elif problem.severity is Severity.UNKNOWN:
        yield problem


def _of_primary(service: Key) -> Finding:
    return Finding(f"route {service.name}", "a canary: its requests come by the route of the App that it is one of")


def _hidden(world: World, space: str, hostname: str | None, links: dict[Part, Link]) -> None:
    """Without the Space only DNS and what is in the App's namespace can be seen."""
    text = f"you may not read Space {space}; what is known is from the status that decco reported"
    if world.snapshot.may_read(SPACES):
        text, name = (
            f"there is no usable Space {space}, and an App must be in the namespace of a Space",
            "SpaceNotFound",
        )
        links[Part.NAME].findings.append(Finding("space", text, name))
        return
    if hostname is not None:
        links[Part.NAME].findings.append(Finding("name", f"{hostname}, by the status that decco reported"))
        links[Part.RECORD].findings += published(world, hostname, None, ())
    for part in (Part.NAME, Part.RECORD, Part.EDGE, Part.LISTENER, Part.CERTIFICATE):
        if not links[part].findings:
            links[part].findings.append(Finding("space", text, "space-hidden"))


# -- conditions -------------------------------------------------------------------------------------------------------


def _conditions(
    world: World, space: SpaceFacts | None, app: Entry, reconciled: ReconcileResult | None
) -> Iterator[Obj]:
    """Of the App, then of its Space as far as they stop all its endpoints."""
    if space is None:
        yield from (each for each in status_of(app.obj()).get("conditions") or () if each["status"] == "False")
        return
    if isinstance(app.facts, AppFacts):
        yield from bad_conditions(reconciled, app.obj())
    entry = world.snapshot.caches.spaces.get(Key("", space.name))
    if entry is not None:
        of_space = bad_conditions(world.result.of("Space", entry.key), entry.obj())
        yield from (each for each in of_space if each["type"] in _OF_SPACE)


def _add_conditions(links: dict[Part, Link], conditions: Iterable[Obj]) -> None:
    for each in conditions:
        part = _PART_OF_REASON.get(each["reason"], _PART_OF_TYPE.get(each["type"]))
        link = links.get(part) if part is not None else None
        if link is None or any(finding.name == each["reason"] for finding in link.findings):
            continue
        link.findings.append(condition(each))
