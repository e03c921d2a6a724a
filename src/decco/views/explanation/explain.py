"""Explains the ownership, the access and the problems of a host name, Space or App, as a list of short statements.

The statements are derived from what the user may read: the simulation has the desired state, the live objects have the
current state and the status that others (a gateway, a DNS server) report. A part that cannot be read is also a
statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from decco.desired import reasons
from decco.desired.model import SecretFacts, SpaceFacts, canonical
from decco.desired.status import OWN_PAUSE
from decco.hostnames import in_zone
from decco.objects import APPS, SECRETS, SERVICES, SPACES, Key, Obj
from decco.reconcilers.facts import AppFacts, is_paused
from decco.reconcilers.report import status_of
from decco.suggest import did_you_mean
from decco.views.explanation.certificates import certificate, validity
from decco.views.explanation.dns import published, record
from decco.views.explanation.edge import listeners, route
from decco.views.explanation.statements import State, Statement, World, endpoints_of
from decco.views.simulation import ReconcileResult, SimulationResult
from decco.views.snapshot import Snapshot
from decco.views.targets import Target


def hostnames_of(snapshot: Snapshot, result: SimulationResult, target: Target) -> list[str]:
    """The names of this target to look up in DNS."""
    if target.hostname is not None:
        return [target.hostname]
    if target.app is not None:
        reconciled = result.of("App", target.app)
        entry = snapshot.caches.apps.get(target.app)
        reported = status_of(entry.obj()).get("endpoints") or () if entry is not None else ()
        return sorted({canonical(str(e["hostname"])) for e in endpoints_of(reconciled) or reported if "hostname" in e})
    space = snapshot.caches.space(target.space or "")
    if space is None:
        return []
    names = {space[1].fqdn}
    for entry in snapshot.caches.apps.in_namespace(space[1].name):
        reconciled = result.of("App", entry.key)
        names |= set(reconciled.names) if reconciled is not None else set()
    return sorted(names)


def known_hostnames(snapshot: Snapshot, result: SimulationResult) -> list[str]:
    """Every name that a Space claims, and those of the endpoints in the simulation."""
    found = {
        endpoint["hostname"]
        for reconciled in result.results
        for endpoint in endpoints_of(reconciled)
        if "hostname" in endpoint
    }
    for entry in snapshot.caches.spaces:
        if isinstance(entry.facts, SpaceFacts):
            found |= {entry.facts.fqdn, *map(canonical, entry.facts.spec.hostnames)}
    return sorted(found)


def explain(world: World, target: Target) -> list[Statement]:
    """The statements about one target, the owner first."""
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
        text += did_you_mean(hostname, known_hostnames(world.snapshot, world.result))
        yield Statement(State.FAILURE, "owner", text)
        yield from _rivals(world, hostname, None)
        yield from published(world, hostname, None, ())
        return
    found = caches.space(owner)
    assert found is not None
    _, space = found
    claim = f"all names under {space.fqdn}" if in_zone(hostname, space.fqdn) else "it is one of its hostnames"
    yield Statement(State.OK, "owner", f"Space {owner}, since {space.created}: {claim}")
    yield from _rivals(world, hostname, owner)
    serving = [
        (reconciled, endpoint)
        for entry in caches.apps.in_namespace(owner)
        if (reconciled := world.result.of("App", entry.key)) is not None
        for endpoint in endpoints_of(reconciled)
        if endpoint.get("hostname") == hostname
    ]
    if not serving:
        text = f"no App of Space {owner} has an endpoint at this name: give an endpoint this hostname, or add one"
        text += did_you_mean(hostname, known_hostnames(world.snapshot, world.result))
        if not world.snapshot.may_read(APPS, owner):
            yield Statement(State.UNKNOWN, "endpoint", f"you may not list Apps in namespace {owner}")
        else:
            yield Statement(State.FAILURE, "endpoint", text)
    yield from listeners(world, space, hostname)
    if hostname == space.fqdn:
        yield from certificate(world, space, space.spec.http_cert_secret_name, f"https://{hostname}", hostname)
    for reconciled, endpoint in serving:
        yield from _endpoint(world, space, reconciled, endpoint)
    results = [world.result.of("Space", Key("", owner)), *(reconciled for reconciled, _ in serving)]
    publisher = next(
        (reconciled for reconciled in results if reconciled is not None and hostname in reconciled.names), None
    )
    yield from record(world, hostname, publisher)


def _rivals(world: World, hostname: str, owner: str | None) -> Iterator[Statement]:
    """The other Spaces that claim the name, and the Space that has it."""
    caches = world.snapshot.caches
    for entry in sorted(caches.spaces, key=lambda entry: entry.key):
        space = entry.facts
        if not isinstance(space, SpaceFacts) or space.name == owner:
            continue
        claims = [space.fqdn] if in_zone(hostname, space.fqdn) else []
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
        yield from listeners(world, space, None)
    yield from certificate(world, space, space.spec.http_cert_secret_name, f"https://{space.fqdn}", space.fqdn)
    yield from certificate(world, space, space.spec.tcp_cert_and_ca_secret_name, "TCP endpoints", None)
    reconciled = world.result.of("Space", entry.key)
    yield from record(
        world,
        space.fqdn,
        reconciled if reconciled is not None and reconciled.names else None,
        unowned=space.fqdn in lost,
    )
    if not world.snapshot.may_read(APPS, name):
        yield Statement(State.UNKNOWN, "apps", f"you may not list Apps in namespace {name}")
    for app in sorted(caches.apps.in_namespace(name), key=lambda entry: entry.key):
        yield _summary(world, app.key)
    yield from _conditions(reconciled)


def _summary(world: World, key: Key) -> Statement:
    reconciled = world.result.of("App", key)
    urls = (
        ", ".join(str(endpoint.get("url") or endpoint["name"]) for endpoint in endpoints_of(reconciled))
        or "no endpoint"
    )
    problems = reconciled.problems() if reconciled is not None else []
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
                State.UNKNOWN,
                "space",
                f"you may not read Space {key.namespace}; what follows is from the status that decco reported",
            )
            yield from _from_status(world, entry.obj())
            return
        text = f"there is no usable Space {key.namespace}, and an App must be in the namespace of a Space: create it"
        yield Statement(State.FAILURE, "space", text)
        return
    _, space = found
    yield Statement(State.OK, "space", f"{space.name}, {space.fqdn}")
    if not isinstance(entry.facts, AppFacts):
        yield Statement(State.FAILURE, "spec", str(entry.facts))
        return
    yield from _life(world, "App", key, entry.obj(), entry.deleting)
    reconciled = world.result.of("App", key)
    for endpoint in endpoints_of(reconciled):
        yield from _endpoint(world, space, reconciled, endpoint)
        hostname = endpoint.get("hostname")
        if reconciled is not None and hostname in reconciled.names:
            yield from record(world, hostname, reconciled)
    if not endpoints_of(reconciled) and reconciled is not None and reconciled.status is not None:
        yield Statement(State.OK, "endpoints", "none")
    for name in sorted(entry.facts.secrets):
        yield from certificate(world, space, name, "named by this App", None)
    yield from _conditions(reconciled)


def _from_status(world: World, obj: Obj) -> Iterator[Statement]:
    """Without read access to the Space: the status that decco has written, and the objects of the namespace."""
    status, namespace = status_of(obj), obj["metadata"]["namespace"]
    for endpoint in status.get("endpoints") or ():
        where, about = endpoint.get("url") or f"port {endpoint.get('port')}", f"endpoint {endpoint.get('name')}"
        yield Statement(State.OK, about, str(where))
        yield from _backends(world, Key(namespace, str(endpoint.get("name"))), about)
        if "hostname" in endpoint:
            yield from published(world, canonical(str(endpoint["hostname"])), None, ())
    if world.snapshot.may_read(SECRETS, namespace):
        for entry in world.snapshot.caches.children[SECRETS].in_namespace(namespace):
            if isinstance(entry.facts, SecretFacts) and entry.facts.problem is None:
                yield validity(world, f"certificate {entry.key.name}", "copied by decco", entry.facts, None)
    else:
        yield Statement(State.UNKNOWN, "certificates", f"you may not read the Secrets of namespace {namespace}")
    for condition in status.get("conditions") or ():
        waiting = State.WARNING if condition["reason"] in reasons.WAITING else State.FAILURE
        state = State.OK if condition["status"] == "True" else waiting
        if condition["type"] != "Ready":
            yield Statement(state, condition["type"], f"{condition['reason']}: {condition['message']}")


def _endpoint(
    world: World, space: SpaceFacts, reconciled: ReconcileResult | None, endpoint: Mapping[str, Any]
) -> Iterator[Statement]:
    name, key = endpoint["name"], reconciled.key if reconciled is not None else Key(space.name, "")
    about = f"endpoint {name}"
    where = endpoint.get("url") or f"{name}.{space.name}.svc:{endpoint['port']}, inside the cluster only"
    yield Statement(State.OK, about, f"{where}, of App {key}")
    yield from _backends(world, Key(space.name, name), about)
    if "url" in endpoint:
        yield from route(world, Key(space.name, name), key)


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


# -- common parts -----------------------------------------------------------------------------------------------------


def _life(world: World, kind: str, key: Key, obj: Obj, deleting: bool) -> Iterator[Statement]:
    """Whether decco reconciles the object, and has observed its last change."""
    if deleting:
        yield Statement(State.WARNING, "life", "is being deleted")
    conditions = status_of(obj).get("conditions") or ()
    paused = [each["message"] for each in conditions if each["type"] == "Paused" and each["status"] == "True"]
    if paused or is_paused(obj):
        yield Statement(State.WARNING, "life", paused[0] if paused else OWN_PAUSE.message)
        return
    seen = status_of(obj).get("observedGeneration")
    if seen is None or seen < obj["metadata"].get("generation", 0):
        text = "decco has not reconciled its last change: is the controller running? (decco doctor)"
        yield Statement(State.FAILURE, "life", text)
    reconciled = world.result.of(kind, key)
    pending = len(reconciled.writes) if reconciled is not None else 0
    if pending and not world.snapshot.gaps:
        many = pending > 1
        text = f"{pending} object{'s are' if many else ' is'} not as decco would write {'them' if many else 'it'}"
        text += f" (decco diff {key})"
        yield Statement(State.WARNING, "life", text)


def _conditions(reconciled: ReconcileResult | None) -> Iterator[Statement]:
    """What keeps the object from being Ready, from its conditions as they would be now."""
    conditions = ((reconciled.status if reconciled is not None else None) or {}).get("conditions") or ()
    bad = [c for c in conditions if c["status"] == "False"]
    causes = [c for c in bad if c["type"] != "Ready"] or bad
    for condition in causes:
        state = State.WARNING if condition["reason"] in reasons.WAITING else State.FAILURE
        yield Statement(state, condition["type"], f"{condition['reason']}: {condition['message']}")
    if conditions and not bad:
        yield Statement(State.OK, "Ready", "everything is as the spec asks")
