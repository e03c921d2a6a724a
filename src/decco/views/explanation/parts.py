"""The parts of an explanation: a certificate, the listeners and routes at the edge, and the DNS record of a name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from decco.desired import secrets as secret_rules
from decco.desired.gateway_status import (
    PROGRAMMED,
    Conditions,
    current,
    is_true,
    listeners_kind,
    parent_gateway,
    refusals,
    route_problem,
    status_of,
)
from decco.desired.issued import CertificateView
from decco.desired.model import Child, Problem, SecretFacts, SecretState, SecretView, SpaceFacts
from decco.desired.names import SPACE_OBJECT
from decco.desired.secret_use import ANY_CONTENT, Use, covers
from decco.hostnames import zone_of
from decco.kube.client import Client
from decco.kube.errors import Forbidden
from decco.objects import CERTIFICATES, ENDPOINT_SLICES, ENVOY_GATEWAY_GROUP, SECRETS, Key, Obj, labels_of
from decco.reconcilers.edge import gateway_controller, space_live
from decco.settings import RoutingBackend
from decco.views.findings import LISTS_SOON, SOON_DAYS, Finding, Findings
from decco.views.lookup import Answer
from decco.views.simulation import ReconcileResult, SimulationResult
from decco.views.snapshot import Snapshot

_NO_ROUTING = {
    RoutingBackend.INGRESS: "Ingress: the controller's own",
    RoutingBackend.NONE: "no routing is set: Services only",
}


@dataclass(slots=True)
class World:
    snapshot: Snapshot
    result: SimulationResult
    now: datetime
    ready_backends: Mapping[Key, tuple[int, int]] | None
    """Service -> numbers of its ready and of all endpoints; None if they could not be read."""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """Host name -> answer of DNS, only for names that were looked up."""


async def ready_backends(client: Client, namespace: str) -> Mapping[Key, tuple[int, int]] | None:
    """Service -> numbers of its ready and of all endpoints; None if the user may not read them."""
    try:
        pages = client.list_pages(ENDPOINT_SLICES, namespace=namespace)
        return counted([endpoints_in(obj) async for page in pages for obj in page.items])
    except Forbidden:
        return None


def endpoints_in(obj: Obj) -> tuple[Key, int, int]:
    """The Service of an EndpointSlice, and the numbers of ready and of all endpoints in it."""
    service = Key(obj["metadata"]["namespace"], str(labels_of(obj).get("kubernetes.io/service-name")))
    endpoints = obj.get("endpoints") or ()
    # Unknown counts as ready (EndpointConditions of discovery.k8s.io/v1).
    ready = [each for each in endpoints if (each.get("conditions") or {}).get("ready") is not False]
    return service, len(ready), len(endpoints)


def counted(slices: Iterable[tuple[Key, int, int]]) -> Mapping[Key, tuple[int, int]]:
    """The sums of each Service over its slices."""
    found: dict[Key, tuple[int, int]] = {}
    for service, ready, known in slices:
        before = found.get(service, (0, 0))
        found[service] = (before[0] + ready, before[1] + known)
    return found


# -- certificates -----------------------------------------------------------------------------------------------------


def certificate(world: World, space: SpaceFacts, secret: str | None, purpose: str, hostname: str | None) -> Findings:
    """Whether the Secret is usable for ``purpose``; ``hostname`` is the name that it must be valid for, if any."""
    if secret is None:
        return
    about = f"certificate {secret}"
    view = world.result.secrets.get(Key(space.name, secret)) or SecretView(secret, SecretState.MISSING)
    if (hidden := _hidden(world, space, secret, view, about)) is not None:
        yield hidden
        return
    local = secret not in secret_rules.named_by_space(space.spec)
    problem = _problem(world, space, view, Use(verifies=hostname is None), local=local)
    if problem is not None:
        yield Finding(about, f"{purpose}: {problem.reason}: {problem.message}", problem.reason)
        return
    assert view.facts is not None
    yield validity(world, about, purpose, view.facts, hostname)
    if secret in space.issued:
        yield _issuance(world, space, secret, about)


def _issuance(world: World, space: SpaceFacts, secret: str, about: str) -> Finding:
    """What cert-manager reports of the Certificate behind an issued Secret that is in use."""
    caches, key = world.snapshot.caches, Key(space.name, secret)
    issuer = f"{space.issuer.kind} {space.issuer.name}" if space.issuer is not None else "?"
    if not world.snapshot.may_read(CERTIFICATES, space.name):
        return Finding(about, f"you may not read certificates.{CERTIFICATES.group} in {space.name}", "issuance-hidden")
    store = caches.children.get(CERTIFICATES)
    entry = store.get(key) if store is not None else None
    view = entry.facts if entry is not None else None
    if not isinstance(view, CertificateView) or view == CertificateView(0, ready=False):
        # One that the simulation has just written looks like one that nobody has answered.
        text = f"cert-manager reports nothing of Certificate {key} of {issuer}, so nobody renews it: is it there?"
        return Finding(about, f"{text} (decco doctor)", "issuance-missing")
    if view.failure:
        text = (
            f"{issuer} has not renewed it: {view.failure}; see `kubectl -n {space.name} describe certificate {secret}`"
        )
        return Finding(about, text, "renewal-failed")
    waits = f", which is being renewed: {view.waits}" if not view.ready and view.waits else ""
    return Finding(about, f"issued by {issuer} as Certificate {key}, revision {view.revision}{waits}")


def _hidden(world: World, space: SpaceFacts, secret: str, view: SecretView, about: str) -> Finding | None:
    """The finding for a Secret that the user may not read, and of which nothing is known."""
    where = world.snapshot.caches.settings.namespace
    if Key(where, secret) not in world.result.assumed or view.facts is not None:
        return None
    if not world.snapshot.may_read(SECRETS, space.name):
        where = f"{space.name}, and of {where}"
    text = f"you may not read the Secrets of {where}: nothing is known of it; a platform operator sees it"
    return Finding(about, text, "certificate-hidden")


def _problem(world: World, space: SpaceFacts, view: SecretView, use: Use, *, local: bool = False) -> Problem | None:
    """Why a Secret of the Space is not usable now."""
    return secret_rules.problem_of(
        view,
        space=space.name,
        fqdn=space.fqdn,
        controller_namespace=world.snapshot.caches.settings.namespace,
        now=world.now,
        local=local,
        use=use,
    )


def other_secrets(world: World, space: SpaceFacts) -> Findings:
    """The Secrets that the Space lists, and the pull Secrets of its sidecars."""
    settings = world.snapshot.caches.settings
    pull = [name for name in settings.sidecar.image_pull_secrets if Key(space.name, name) in world.result.secrets]
    for name in sorted({*space.spec.secrets, *pull}):
        about = f"secret {name}"
        view = world.result.secrets.get(Key(space.name, name)) or SecretView(name, SecretState.MISSING)
        if (hidden := _hidden(world, space, name, view, about)) is not None:
            yield hidden
            continue
        problem = _problem(world, space, view, ANY_CONTENT)
        purpose = "for the sidecar's image" if name in pull else "for the Space's pods"
        if problem is not None:
            yield Finding(about, f"{purpose}: {problem.reason}: {problem.message}", problem.reason)
        else:
            kind = view.facts.type if view.facts is not None else ""
            yield Finding(about, f"{purpose}: copied from {settings.namespace}, type {kind or 'Opaque'}")


def validity(world: World, about: str, purpose: str, facts: SecretFacts, hostname: str | None) -> Finding:
    """The names and the expiry of a usable certificate."""
    names = facts.dns_names or ()
    text, name = f"{purpose}: for {', '.join(names) or 'no DNS name'}", ""
    if facts.not_after is not None:
        days = (facts.not_after - world.now).days
        text += f"; until {facts.not_after:%Y-%m-%d}, {days} days"
        if days < SOON_DAYS:
            text, name = f"{text}: renew it", "certificate-ends-soon"
    if facts.lists_from is not None:
        until = f", until {facts.lists_until:%Y-%m-%d %H:%M} UTC" if facts.lists_until is not None else ""
        text += f"; with lists of revoked certificates{until}"
        if facts.lists_until is not None and facts.lists_until - world.now < LISTS_SOON:
            text, name = f"{text}: issue new ones, or all peers will be refused", "lists-end-soon"
    if hostname is not None and not covers(names, hostname):
        text += f"; {hostname} is not among its names, and clients will refuse it: have it issued again with that name"
        name = "certificate-for-other-names"
    return Finding(about, text, name)


# -- the edge ---------------------------------------------------------------------------------------------------------


def listeners(world: World, space: SpaceFacts, hostname: str | None) -> Findings:
    caches, about = world.snapshot.caches, "listener"
    routing = caches.settings.routing
    if routing.backend in _NO_ROUTING:
        yield Finding(about, _NO_ROUTING[routing.backend])
        return
    kind = caches.served.get(listeners_kind(routing))
    if kind is None:
        text = "the cluster does not serve the Gateway API: install it, v1.5 or later"
        yield Finding(about, text, "gateway-api-missing")
        return
    if not world.snapshot.may_read(kind, space.name):
        yield Finding(about, f"you may not read {kind.plural} in namespace {space.name}", "listeners-hidden")
        return
    live = space_live(caches, space).listeners
    key = Key(space.name, SPACE_OBJECT)
    if live is None:
        text = f"{kind.kind} {key} is not there (yet): is the controller running? (decco doctor)"
        yield Finding(about, text, "listeners-missing")
        return
    status = {entry.get("name"): entry for entry in status_of(live).get("listeners") or ()}
    fitting = [one for one in live["spec"]["listeners"] if hostname is None or _listens(one["hostname"], hostname)]
    if not fitting:
        yield Finding(about, f"{kind.kind} {key} has none for {hostname}", "listener-missing")
    for listener in fitting:
        what = f"{listener['name']}: {listener['protocol']} {listener['hostname']}:{listener['port']}"
        if (mode := (listener.get("tls") or {}).get("mode")) is not None:
            what += f", {mode}"
        yield _listener(what, current(live, status.get(listener["name"], {})))


def _listener(what: str, conditions: Conditions) -> Finding:
    refusal = next(refusals(conditions), None)
    if refusal is not None:
        text = f"{what}: {refusal['type']} is False, {refusal.get('reason')}: {refusal.get('message')}"
        return Finding("listener", text, "listener-refused")
    if not is_true(conditions, PROGRAMMED):
        text = f"{what}: no gateway controller has answered for it yet: is it running?"
        return Finding("listener", text, "listener-unanswered")
    return Finding("listener", f"{what}: in effect")


def _listens(pattern: str, hostname: str) -> bool:
    """Whether a listener matches this name: "*" matches one or more labels (Gateway API, Hostname)."""
    return hostname.endswith(pattern[1:]) if pattern.startswith("*.") else pattern == hostname


def route(world: World, endpoint: Key, app: Key) -> Findings:
    caches = world.snapshot.caches
    gateway = parent_gateway(caches.settings.routing, endpoint.namespace, gateway_controller(caches))
    about = f"route {endpoint.name}"
    owner = caches.apps.get(app)
    kinds = sorted(caches.routing_kinds, key=lambda kind: kind.kind)
    unreadable = [kind.plural for kind in kinds if not world.snapshot.may_read(kind, endpoint.namespace)]
    found = False
    for kind in kinds:
        store = caches.children.get(kind)
        if store is None or owner is None or kind.kind == "BackendTLSPolicy":
            continue
        for entry in sorted(store.owned_by(owner.uid, endpoint.namespace), key=lambda entry: entry.key):
            if not _is_of(entry.key.name, endpoint.name):
                continue
            found = found or kind.group != ENVOY_GATEWAY_GROUP
            obj = entry.obj()
            problem = route_problem(Child(kind, obj), obj, gateway)
            if problem is None:
                yield Finding(about, f"{kind.kind} {entry.key} is in effect")
            else:
                yield Finding(about, f"{problem.reason}: {problem.message}", problem.reason)
    if not found and unreadable:
        yield Finding(about, f"you may not read {', '.join(unreadable)} in {endpoint.namespace}", "routes-hidden")
    elif not found:
        yield Finding(about, "there is no route (yet): is the controller running? (decco doctor)", "route-missing")


def _is_of(name: str, endpoint: str) -> bool:
    """Whether an object of an App is of this endpoint. Ingresses of further paths have a part after a dot, which no
    name of an endpoint has.
    """
    return name.partition(".")[0] == endpoint


# -- DNS --------------------------------------------------------------------------------------------------------------


def record(
    world: World, hostname: str, reconciled: ReconcileResult | None, *, unowned: bool = False, away: bool = False
) -> Findings:
    """Whether decco publishes the name, its targets, and the answer of DNS."""
    settings = world.snapshot.caches.settings
    zones = {zone for provider in settings.dns.providers for zone in provider.zones}
    addresses = reconciled.addresses if reconciled is not None else ()
    name = ""
    if reconciled is None and away:
        text = "none here, since the Space is not placed in this cluster"
    elif reconciled is None:
        text = "none, since the name is not the Space's" if unowned else "none is asked for (createDnsRecord)"
    elif not zones:
        to = f" to {', '.join(addresses)}" if addresses else ""
        text, name = f"no DNS provider is set; publish the name{to} yourself", "no-dns-provider"
    elif (zone := zone_of(hostname, zones)) is None:
        text = f"no zone of dns.providers holds it ({', '.join(sorted(zones))}): "
        text, name = f"{text}add its zone, or choose a name below one of these", "no-zone"
    elif not addresses:
        text = "the edge has no address to point it to: set edge.addresses, or see the Gateway's status"
        name = "no-edge-address"
    else:
        text = f"wanted in zone {zone}, leading to {', '.join(addresses)}"
    yield Finding("record", f"{hostname}: {text}", name)
    yield from published(world, hostname, reconciled, addresses)


def published(world: World, hostname: str, publisher: ReconcileResult | None, addresses: Sequence[str]) -> Findings:
    """The answer of DNS for the name and its ownership record; nothing if DNS was not queried."""
    answer = world.answers.get(hostname)
    if answer is None:
        return
    if answer.trouble is not None:
        text, name = f"no answer, ask another DNS server with --resolver: {answer.trouble}", "dns-silent"
    elif not answer.values:
        text, name = "nothing is published", "dns-nothing-published" if addresses else ""
    else:
        text, name = _answer(world, answer, publisher, addresses)
    yield Finding("DNS", f"{hostname}: {text}", name)


def _answer(
    world: World, answer: Answer, reconciled: ReconcileResult | None, addresses: Sequence[str]
) -> tuple[str, str]:
    """(text, name of the finding) for an answer with records."""
    if answer.members:
        return _shared(world, answer, addresses)
    text, name = ", ".join(answer.values), ""
    if addresses and not _same(answer, addresses):
        text += f", which is not {', '.join(addresses)}: caches may hold it for its TTL"
        name = "dns-other-address"
    owner, caches = answer.owner, world.snapshot.caches
    store = caches.spaces if reconciled is not None and reconciled.kind == "Space" else caches.apps
    entry = store.get(reconciled.key) if reconciled is not None else None
    if owner is None:
        text += "; it has no ownership record of decco"
        name = name or ("dns-without-owner" if reconciled is not None else "")
    elif owner.cluster != caches.settings.cluster_id:
        text += f"; marked by cluster {owner.cluster}"
    elif entry is not None and owner.uid != entry.uid:
        text += f"; marked for another object of this cluster, UID {owner.uid}: rename one of the two"
        name = "dns-other-owner"
    else:
        text += "; marked as decco's"
    return text, name


def _shared(world: World, answer: Answer, addresses: Sequence[str]) -> tuple[str, str]:
    """(text, name of the finding) for a name that clusters of a federation share."""
    here = world.snapshot.caches.settings.cluster_id
    parts = (f"{each.cluster} {' and '.join(each.values) or 'stands by'}" for each in answer.members)
    text = f"{', '.join(answer.values)}; shared in the federation {answer.members[0].federation}: {', '.join(parts)}"
    mine = next((each for each in answer.members if each.cluster == here), None)
    if addresses and mine is None:
        return f"{text}; this cluster, {here}, has not added {', '.join(addresses)}", "dns-other-address"
    if mine is not None and mine.values and not {*addresses} <= {*answer.addresses}:
        return f"{text}; {', '.join(addresses)} is missing: caches may hold it for its TTL", "dns-other-address"
    return text, ""


def _same(answer: Answer, addresses: Sequence[str]) -> bool:
    wanted = {address.lower().rstrip(".") for address in addresses}
    return set(answer.addresses) == wanted or answer.alias in wanted
