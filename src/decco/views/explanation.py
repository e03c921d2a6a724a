"""Who owns a host name, Space or App, how it is reached, and what is missing: a list of short statements.

Everything is worked out from what the user may read: the rehearsal says what the daemon wants, the live objects say
what is there, and what others (a gateway, a DNS server) say of it. A part that cannot be read is a statement too.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from decco.desired import reasons
from decco.desired import secrets as secret_rules
from decco.desired.live_routes import route_problem
from decco.desired.model import Child, SecretFacts, SecretState, SecretView, SpaceFacts, canonical
from decco.desired.names import SPACE_OBJECT
from decco.desired.pausing import OWN_PAUSE
from decco.dns.names import zone_of
from decco.objects import APPS, SECRETS, SERVICES, SPACES, Key, Obj
from decco.reconcilers.edge import space_live
from decco.reconcilers.facts import AppFacts, is_paused
from decco.reconcilers.report import status_of
from decco.reconcilers.shapes import routing_kinds
from decco.settings import RoutingBackend
from decco.views.lookup import Answer
from decco.views.rehearsal import Play, Turn
from decco.views.snapshot import Snapshot
from decco.views.targets import Target

SOON_DAYS = 21
"""A certificate that ends within so many days should have been renewed: most issuers renew a month before."""


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that is so: ``about`` names the part, ``text`` is a sentence, with what to do if something is wrong."""

    state: State
    about: str
    text: str


@dataclass(slots=True)
class World:
    """All that a statement can rest on."""

    snapshot: Snapshot
    play: Play
    now: datetime
    ready_backends: Mapping[Key, tuple[int, int]] | None
    """Service -> its ready endpoints, and all; None if that could not be read."""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """Host name -> what DNS says; names that were not asked for are not in it."""


def hostnames_of(snapshot: Snapshot, play: Play, target: Target) -> list[str]:
    """The names about which DNS can be asked for this target."""
    if target.hostname is not None:
        return [target.hostname]
    if target.app is not None:
        turn = play.turn("App", target.app)
        entry = snapshot.caches.apps.get(target.app)
        told = status_of(entry.obj()).get("endpoints") or () if entry is not None else ()
        return sorted({canonical(str(e["hostname"])) for e in _endpoints(turn) or told if "hostname" in e})
    space = snapshot.caches.space(target.space or "")
    if space is None:
        return []
    names = {space[1].fqdn}
    for entry in snapshot.caches.apps.in_namespace(space[1].name):
        turn = play.turn("App", entry.key)
        names |= set(turn.names) if turn is not None else set()
    return sorted(names)


def known_hostnames(snapshot: Snapshot, play: Play) -> list[str]:
    """Every name that a Space claims by itself, and those of the endpoints that were looked at."""
    found = {endpoint["hostname"] for turn in play.turns for endpoint in _endpoints(turn) if "hostname" in endpoint}
    for entry in snapshot.caches.spaces:
        if isinstance(entry.facts, SpaceFacts):
            found |= {entry.facts.fqdn, *map(canonical, entry.facts.spec.hostnames)}
    return sorted(found)


def explain(world: World, target: Target) -> list[Statement]:
    """The statements about one target, the owner first and what is wrong where it belongs."""
    if target.app is not None:
        return list(_app(world, target.app))
    if target.space is not None:
        return list(_space(world, target.space))
    return list(_hostname(world, target.hostname or ""))


# -- a host name ------------------------------------------------------------------------------------------------------


def _hostname(world: World, hostname: str) -> Iterator[Statement]:
    caches = world.snapshot.caches
    owner = caches.claims.owner_of(hostname)
    if owner is None:
        where = "" if world.snapshot.may_read(SPACES) else " that you may see"
        text = f"no Space{where} has this name: it would be under <space>.<domainName>, or in the hostnames of a Space"
        close = difflib.get_close_matches(hostname, known_hostnames(world.snapshot, world.play), n=1)
        yield Statement(State.FAILURE, "owner", text + (f"; did you mean {close[0]}?" if close else ""))
        yield from _rivals(world, hostname, None)
        yield from _published(world, hostname, None, ())
        return
    found = caches.space(owner)
    assert found is not None
    _, space = found
    claim = f"all names under {space.fqdn}" if _under(hostname, space.fqdn) else "it is one of its hostnames"
    yield Statement(State.OK, "owner", f"Space {owner}, since {space.created}: {claim}")
    yield from _rivals(world, hostname, owner)
    serving = [
        (turn, endpoint)
        for entry in caches.apps.in_namespace(owner)
        if (turn := world.play.turn("App", entry.key)) is not None
        for endpoint in _endpoints(turn)
        if endpoint.get("hostname") == hostname
    ]
    if not serving:
        text = f"no App of Space {owner} has an endpoint at this name: give an endpoint this hostname, or add one"
        close = difflib.get_close_matches(hostname, known_hostnames(world.snapshot, world.play), n=1)
        text += f"; did you mean {close[0]}?" if close and close[0] != hostname else ""
        if not world.snapshot.may_read(APPS, owner):
            yield Statement(State.UNKNOWN, "endpoint", f"you may not list Apps in namespace {owner}")
        else:
            yield Statement(State.FAILURE, "endpoint", text)
    yield from _listeners(world, space, hostname)
    if hostname == space.fqdn:
        yield from _certificate(world, space, space.spec.http_cert_secret_name, f"https://{hostname}", hostname)
    for turn, endpoint in serving:
        yield from _endpoint(world, space, turn, endpoint)
    turns = [world.play.turn("Space", Key("", owner)), *(turn for turn, _ in serving)]
    publisher = next((turn for turn in turns if turn is not None and hostname in turn.names), None)
    yield from _record(world, hostname, publisher)


def _rivals(world: World, hostname: str, owner: str | None) -> Iterator[Statement]:
    """The other Spaces that claim the name, and to whom they lost it."""
    caches = world.snapshot.caches
    for entry in sorted(caches.spaces, key=lambda entry: entry.key):
        space = entry.facts
        if not isinstance(space, SpaceFacts) or space.name == owner:
            continue
        claims = [space.fqdn] if _under(hostname, space.fqdn) else []
        claims += [name for name in map(canonical, space.spec.hostnames) if name == hostname]
        lost = caches.claims.verdict(space.name).lost
        for claim in dict.fromkeys(claims):
            text = f"Space {space.name} claims {claim} too and lost it to the older Space {lost.get(claim, '?')}"
            yield Statement(State.WARNING, "claim", f"{text}: it gets no route and no record for it")


# -- a Space ----------------------------------------------------------------------------------------------------------


def _space(world: World, name: str) -> Iterator[Statement]:
    caches = world.snapshot.caches
    entry = caches.spaces.get(Key("", name))
    assert entry is not None
    space = entry.facts
    if not isinstance(space, SpaceFacts):
        yield Statement(State.FAILURE, "spec", str(space))
        return
    lost = caches.claims.verdict(name).lost
    for claim in dict.fromkeys([space.fqdn, *map(canonical, space.spec.hostnames)]):
        what = f"{claim} and all names under it" if claim == space.fqdn else claim
        if claim in lost:
            text = f"{what}: belongs to the older Space {lost[claim]}; choose another name, or have that Space removed"
            yield Statement(State.FAILURE, "host name", text)
        else:
            yield Statement(State.OK, "host name", what)
    yield from _life(world, "Space", entry.key, entry.obj(), entry.deleting)
    if space.spec.project is None:
        yield Statement(State.OK, "isolation", "no project: anybody may connect to the declared endpoints")
    else:
        text = f"project {space.spec.project}: only its Spaces and the edge may connect (decco graph {name})"
        yield Statement(State.OK, "isolation", text)
    if space.fqdn not in lost:
        yield from _listeners(world, space, None)
    yield from _certificate(world, space, space.spec.http_cert_secret_name, f"https://{space.fqdn}", space.fqdn)
    yield from _certificate(world, space, space.spec.tcp_cert_and_ca_secret_name, "TCP endpoints", None)
    turn = world.play.turn("Space", entry.key)
    yield from _record(world, space.fqdn, turn if turn is not None and turn.names else None, unowned=space.fqdn in lost)
    if not world.snapshot.may_read(APPS, name):
        yield Statement(State.UNKNOWN, "apps", f"you may not list Apps in namespace {name}")
    for app in sorted(caches.apps.in_namespace(name), key=lambda entry: entry.key):
        yield _summary(world, app.key)
    yield from _conditions(turn)


def _summary(world: World, key: Key) -> Statement:
    turn = world.play.turn("App", key)
    urls = ", ".join(str(endpoint.get("url") or endpoint["name"]) for endpoint in _endpoints(turn)) or "no endpoint"
    problems = turn.problems() if turn is not None else []
    if not problems:
        return Statement(State.OK, f"app {key.name}", urls)
    more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    text = f"{urls}: {problems[0].reason}{more} (decco explain {key})"
    return Statement(State.FAILURE, f"app {key.name}", text)


# -- an App -----------------------------------------------------------------------------------------------------------


def _app(world: World, key: Key) -> Iterator[Statement]:
    caches = world.snapshot.caches
    entry = caches.apps.get(key)
    assert entry is not None
    found = caches.space(key.namespace)
    if found is None:
        if not world.snapshot.may_read(SPACES):
            yield Statement(
                State.UNKNOWN, "space", f"you may not read Space {key.namespace}; what follows is decco's own word"
            )
            yield from _told(world, entry.obj())
            return
        text = f"there is no usable Space {key.namespace}, and an App lives in the namespace of a Space: create it"
        yield Statement(State.FAILURE, "space", text)
        return
    _, space = found
    yield Statement(State.OK, "space", f"{space.name}, {space.fqdn}")
    if not isinstance(entry.facts, AppFacts):
        yield Statement(State.FAILURE, "spec", str(entry.facts))
        return
    yield from _life(world, "App", key, entry.obj(), entry.deleting)
    turn = world.play.turn("App", key)
    for endpoint in _endpoints(turn):
        yield from _endpoint(world, space, turn, endpoint)
        hostname = endpoint.get("hostname")
        if turn is not None and hostname in turn.names:
            yield from _record(world, hostname, turn)
    if not _endpoints(turn) and turn is not None and turn.status is not None:
        yield Statement(State.OK, "endpoints", "none")
    for name in sorted(entry.facts.secrets):
        yield from _certificate(world, space, name, "named by this App", None)
    yield from _conditions(turn)


def _told(world: World, obj: Obj) -> Iterator[Statement]:
    """For who may not see the Space: what decco has written into the status, and what is in the namespace."""
    status, namespace = status_of(obj), obj["metadata"]["namespace"]
    for endpoint in status.get("endpoints") or ():
        where, about = endpoint.get("url") or f"port {endpoint.get('port')}", f"endpoint {endpoint.get('name')}"
        yield Statement(State.OK, about, str(where))
        yield from _backends(world, Key(namespace, str(endpoint.get("name"))), about)
        if "hostname" in endpoint:
            yield from _published(world, canonical(str(endpoint["hostname"])), None, ())
    if world.snapshot.may_read(SECRETS, namespace):
        for entry in world.snapshot.caches.children[SECRETS].in_namespace(namespace):
            if isinstance(entry.facts, SecretFacts) and entry.facts.problem is None:
                yield _validity(world, f"certificate {entry.key.name}", "copied by decco", entry.facts, None)
    else:
        yield Statement(State.UNKNOWN, "certificates", f"you may not read the Secrets of namespace {namespace}")
    for condition in status.get("conditions") or ():
        waiting = State.WARNING if condition["reason"] in reasons.WAITING else State.FAILURE
        state = State.OK if condition["status"] == "True" else waiting
        if condition["type"] != "Ready":
            yield Statement(state, condition["type"], f"{condition['reason']}: {condition['message']}")


def _endpoint(world: World, space: SpaceFacts, turn: Turn | None, endpoint: Mapping[str, Any]) -> Iterator[Statement]:
    name, key = endpoint["name"], turn.key if turn is not None else Key(space.name, "")
    about = f"endpoint {name}"
    where = endpoint.get("url") or f"{name}.{space.name}.svc:{endpoint['port']}, inside the cluster only"
    yield Statement(State.OK, about, f"{where}, of App {key}")
    yield from _backends(world, Key(space.name, name), about)
    if "url" in endpoint:
        yield from _route(world, Key(space.name, name), key)


def _backends(world: World, service: Key, about: str) -> Iterator[Statement]:
    store = world.snapshot.caches.children[SERVICES]
    if not world.snapshot.may_read(SERVICES, service.namespace) or world.ready_backends is None:
        yield Statement(State.UNKNOWN, about, f"you may not read Services and EndpointSlices in {service.namespace}")
    elif store.get(service) is None:
        yield Statement(
            State.FAILURE, about, f"Service {service} is not there (yet): is the controller running? (decco doctor)"
        )
    else:
        ready, known = world.ready_backends.get(service, (0, 0))
        if ready:
            yield Statement(State.OK, about, f"Service {service}: {ready} of {known} pods ready")
        else:
            text = f"Service {service}: no pod is ready ({known} known); see `kubectl -n {service.namespace} get pods`"
            yield Statement(State.FAILURE, about, text)


def _route(world: World, endpoint: Key, app: Key) -> Iterator[Statement]:
    caches = world.snapshot.caches
    about = f"route {endpoint.name}"
    owner = caches.apps.get(app)
    kinds = sorted(routing_kinds(caches.served), key=lambda kind: kind.kind)
    unreadable = [kind.plural for kind in kinds if not world.snapshot.may_read(kind, endpoint.namespace)]
    found = False
    for kind in kinds:
        store = caches.children.get(kind)
        entry = store.get(endpoint) if store is not None else None
        if entry is None or owner is None or entry.owner_uid != owner.uid or kind.kind == "BackendTLSPolicy":
            continue
        found = True
        obj = entry.obj()
        problem = route_problem(Child(kind, obj), obj)
        if problem is None:
            yield Statement(State.OK, about, f"{kind.kind} {endpoint} is in effect")
        else:
            state = State.WARNING if problem.reason in reasons.WAITING else State.FAILURE
            yield Statement(state, about, f"{problem.reason}: {problem.message}")
    if not found and unreadable:
        yield Statement(State.UNKNOWN, about, f"you may not read {', '.join(unreadable)} in {endpoint.namespace}")
    elif not found:
        yield Statement(State.FAILURE, about, "there is no route (yet): is the controller running? (decco doctor)")


# -- parts of all three -----------------------------------------------------------------------------------------------


def _life(world: World, kind: str, key: Key, obj: Obj, deleting: bool) -> Iterator[Statement]:
    """Whether decco works on the object, and has seen its last change."""
    if deleting:
        yield Statement(State.WARNING, "life", "is being deleted")
    conditions = status_of(obj).get("conditions") or ()
    paused = [each["message"] for each in conditions if each["type"] == "Paused" and each["status"] == "True"]
    if paused or is_paused(obj):
        yield Statement(State.WARNING, "life", paused[0] if paused else OWN_PAUSE.message)
        return
    seen = status_of(obj).get("observedGeneration")
    if seen is None or seen < obj["metadata"].get("generation", 0):
        text = "decco has not looked at the last change of it: is the controller running? (decco doctor)"
        yield Statement(State.FAILURE, "life", text)
    turn = world.play.turn(kind, key)
    pending = len(turn.writes) if turn is not None else 0
    if pending and not world.snapshot.gaps:
        many = pending > 1
        text = f"{pending} object{'s are' if many else ' is'} not as decco would write {'them' if many else 'it'}"
        text += f" (decco diff {key})"
        yield Statement(State.WARNING, "life", text)


def _conditions(turn: Turn | None) -> Iterator[Statement]:
    """What keeps the object from being Ready, in the words of its conditions, as they would be now."""
    conditions = ((turn.status if turn is not None else None) or {}).get("conditions") or ()
    bad = [c for c in conditions if c["status"] == "False"]
    causes = [c for c in bad if c["type"] != "Ready"] or bad
    for condition in causes:
        state = State.WARNING if condition["reason"] in reasons.WAITING else State.FAILURE
        yield Statement(state, condition["type"], f"{condition['reason']}: {condition['message']}")
    if conditions and not bad:
        yield Statement(State.OK, "Ready", "everything is as the spec asks")


def _listeners(world: World, space: SpaceFacts, hostname: str | None) -> Iterator[Statement]:
    """The listeners for a host name, or all of them."""
    caches = world.snapshot.caches
    backend = caches.settings.routing.backend
    if backend is not RoutingBackend.GATEWAY:
        text = {"ingress": "Ingress: the controller's own", "none": "no routing is set: Services only"}[backend.value]
        yield Statement(State.OK, "listener", text)
        return
    kind = caches.served.listener_set if caches.settings.routing.parent_gateway else caches.served.gateway
    if kind is None:
        text = "the cluster does not serve the Gateway API: install it, v1.5 or later"
        yield Statement(State.FAILURE, "listener", text)
        return
    if not world.snapshot.may_read(kind, space.name):
        yield Statement(State.UNKNOWN, "listener", f"you may not read {kind.plural} in namespace {space.name}")
        return
    live = space_live(caches, space).listeners
    if live is None:
        text = (
            f"{kind.kind} {Key(space.name, SPACE_OBJECT)} is not there (yet): is the controller running? (decco doctor)"
        )
        yield Statement(State.FAILURE, "listener", text)
        return
    status = {entry.get("name"): entry for entry in (live.get("status") or {}).get("listeners") or ()}
    fitting = [one for one in live["spec"]["listeners"] if hostname is None or _listens(one["hostname"], hostname)]
    if not fitting:
        yield Statement(State.FAILURE, "listener", f"{kind.kind} {space.name}/{SPACE_OBJECT} has none for {hostname}")
    for listener in fitting:
        what = f"{listener['name']}: {listener['protocol']} {listener['hostname']}:{listener['port']}"
        if (mode := (listener.get("tls") or {}).get("mode")) is not None:
            what += f", {mode}"
        yield _listener(what, status.get(listener["name"]))


def _listener(what: str, status: Mapping[str, Any] | None) -> Statement:
    conditions = {c.get("type"): c for c in (status or {}).get("conditions") or ()}
    for type_ in ("Accepted", "ResolvedRefs", "Programmed"):
        condition = conditions.get(type_, {})
        if condition.get("status") == "False":
            text = f"{what}: {type_} is False, {condition.get('reason')}: {condition.get('message')}"
            return Statement(State.FAILURE, "listener", text)
    if conditions.get("Programmed", {}).get("status") != "True":
        return Statement(
            State.WARNING, "listener", f"{what}: no gateway controller has answered for it yet: is it running?"
        )
    return Statement(State.OK, "listener", f"{what}: in effect")


def _certificate(
    world: World, space: SpaceFacts, secret: str | None, purpose: str, hostname: str | None
) -> Iterator[Statement]:
    if secret is None:
        return
    home = world.snapshot.caches.settings.namespace
    about = f"certificate {secret}"
    view = world.play.secrets.get(Key(space.name, secret)) or SecretView(secret, SecretState.MISSING)
    own = secret in secret_rules.named_by_space(space.spec)
    if Key(home, secret) in world.play.assumed and view.facts is None:
        where = f"{space.name}, and of {home}" if not world.snapshot.may_read(SECRETS, space.name) else home
        text = f"you may not read the Secrets of {where}: nothing is known of it; a platform operator sees it"
        yield Statement(State.UNKNOWN, about, text)
        return
    problem = secret_rules.problem_of(view, space=space.name, home=home, now=world.now, local=not own)
    if problem is not None:
        state = State.WARNING if problem.reason in reasons.WAITING else State.FAILURE
        yield Statement(state, about, f"{purpose}: {problem.reason}: {problem.message}")
        return
    assert view.facts is not None
    yield _validity(world, about, purpose, view.facts, hostname)


def _validity(world: World, about: str, purpose: str, facts: SecretFacts, hostname: str | None) -> Statement:
    names = ", ".join(facts.dns_names) or "no DNS name"
    text = f"{purpose}: for {names}"
    state = State.OK
    if facts.not_after is not None:
        days = (facts.not_after - world.now).days
        text += f"; until {facts.not_after:%Y-%m-%d}, {days} days"
        if days < SOON_DAYS:
            state, text = State.WARNING, f"{text}: renew it"
    if hostname is not None and not any(_is_for(name.lower(), hostname) for name in facts.dns_names):
        state = State.FAILURE
        text += f"; {hostname} is not among its names, and clients will refuse it: have it made anew with that name"
    return Statement(state, about, text)


def _record(world: World, hostname: str, turn: Turn | None, *, unowned: bool = False) -> Iterator[Statement]:
    """Whether decco publishes the name, where it leads, and what DNS says."""
    settings = world.snapshot.caches.settings
    zones = {zone for provider in settings.dns.providers for zone in provider.zones}
    addresses = turn.addresses if turn is not None else ()
    if turn is None:
        text = "none, since the name is not the Space's" if unowned else "none is asked for (createDnsRecord)"
        yield Statement(State.OK, "record", f"{hostname}: {text}")
    elif not zones:
        to = f" to {', '.join(addresses)}" if addresses else ""
        yield Statement(State.WARNING, "record", f"{hostname}: no DNS provider is set; publish the name{to} yourself")
    elif (zone := zone_of(hostname, zones)) is None:
        text = (
            f"{hostname}: no zone of dns.providers holds it ({', '.join(sorted(zones))}): "
            "add its zone, or choose a name below one of these"
        )
        yield Statement(State.FAILURE, "record", text)
    elif not addresses:
        text = f"{hostname}: the edge has no address to point it to: set edge.addresses, or see the Gateway's status"
        yield Statement(State.FAILURE, "record", text)
    else:
        yield Statement(State.OK, "record", f"{hostname}: wanted in zone {zone}, leading to {', '.join(addresses)}")
    yield from _published(world, hostname, turn, addresses)


def _published(world: World, hostname: str, turn: Turn | None, addresses: Sequence[str]) -> Iterator[Statement]:
    answer = world.answers.get(hostname)
    if answer is None:
        return
    if answer.trouble is not None:
        yield Statement(
            State.UNKNOWN, "DNS", f"{hostname}: no answer, ask another DNS server with --resolver: {answer.trouble}"
        )
        return
    if not answer.values:
        state = State.FAILURE if addresses else State.OK
        yield Statement(state, "DNS", f"{hostname}: nothing is published")
        return
    text = f"{hostname}: {', '.join(answer.values)}"
    state = State.OK
    if addresses and not _same(answer, addresses):
        state, text = State.WARNING, f"{text}, which is not {', '.join(addresses)}: caches may hold it for its TTL"
    owner, settings = answer.owner, world.snapshot.caches.settings
    store = world.snapshot.caches.spaces if turn is not None and turn.kind == "Space" else world.snapshot.caches.apps
    entry = store.get(turn.key) if turn is not None else None
    if owner is None:
        text += "; it carries no mark of decco's"
        state = State.WARNING if turn is not None else state
    elif owner.cluster != settings.cluster_id:
        text += f"; marked by cluster {owner.cluster}"
    elif entry is not None and owner.uid != entry.uid:
        state = State.FAILURE
        text += f"; marked for another object of this cluster, UID {owner.uid}: rename one of the two"
    else:
        text += "; marked as decco's"
    yield Statement(state, "DNS", text)


def _same(answer: Answer, addresses: Sequence[str]) -> bool:
    wanted = {address.lower().rstrip(".") for address in addresses}
    return set(answer.addresses) == wanted or answer.alias in wanted


def _endpoints(turn: Turn | None) -> list[Obj]:
    return list(((turn.status if turn is not None else None) or {}).get("endpoints") or ())


def _under(name: str, root: str) -> bool:
    return name == root or name.endswith(f".{root}")


def _listens(pattern: str, hostname: str) -> bool:
    """Whether a listener is for this name: "*" stands for one label or more (Gateway API, Hostname)."""
    return hostname.endswith(pattern[1:]) if pattern.startswith("*.") else pattern == hostname


def _is_for(pattern: str, hostname: str) -> bool:
    """Whether a certificate is for this name: "*" stands for exactly one label (RFC 9525 section 6.3)."""
    return hostname.partition(".")[2] == pattern[2:] if pattern.startswith("*.") else pattern == hostname
