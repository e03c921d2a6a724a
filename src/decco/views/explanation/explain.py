"""Explains the ownership, the access and the problems of a host name, Space or App, as a list of findings.

The findings are derived from what the user may read: the simulation has the desired state, the live objects have the
current state and the status that others (a gateway, a DNS server) report. A part that cannot be read is also a
finding.
"""

from __future__ import annotations

from decco.api.types import Isolation
from decco.desired import reasons
from decco.desired.http_names import certificate_of, entry_of, further_names
from decco.desired.isolation import isolation_text
from decco.desired.limits import CLIENT_CIDRS, limits_of, limits_text
from decco.desired.model import SecretFacts, SpaceFacts
from decco.desired.status import OWN_PAUSE
from decco.desired.topology import topology_text, zones_text
from decco.hostnames import canonical, in_zone
from decco.objects import APPS, SECRETS, SPACES, Key, Obj
from decco.reconcilers.facts import AppFacts, is_paused
from decco.reconcilers.report import status_of
from decco.suggest import did_you_mean
from decco.views.explanation.backends import backends
from decco.views.explanation.mesh import mesh_of, plain_text
from decco.views.explanation.outgoing import egress_of, permitted
from decco.views.explanation.parts import (
    World,
    certificate,
    listeners,
    other_secrets,
    published,
    record,
    route,
    validity,
)
from decco.views.explanation.placement import is_away, place_of, placement
from decco.views.explanation.traffic import answer_of_suspended, is_canary, shares, suspended
from decco.views.findings import Finding, Findings
from decco.views.limits import unkept_limits
from decco.views.simulation import ReconcileResult, SimulationResult
from decco.views.snapshot import Snapshot
from decco.views.targets import ExplainTarget


def hostnames_of(snapshot: Snapshot, result: SimulationResult, target: ExplainTarget) -> list[str]:
    """The names of this target to look up in DNS."""
    if target.hostname is not None:
        return [target.hostname]
    if target.app is not None:
        entry = snapshot.caches.apps.get(target.app)
        reported = status_of(entry.obj()).get("endpoints") or () if entry is not None else ()
        endpoints = endpoints_of(result.of("App", target.app)) or reported
        return sorted({canonical(str(each["hostname"])) for each in endpoints if "hostname" in each})
    space = snapshot.caches.space(target.space or "")
    if space is None:
        return []
    names = {space[1].fqdn, *further_names(space[1])}
    for entry in snapshot.caches.apps.in_namespace(space[1].name):
        reconciled = result.of("App", entry.key)
        names |= set(reconciled.names) if reconciled is not None else set()
    return sorted(names)


def explain(world: World, target: ExplainTarget) -> list[Finding]:
    """The findings about one target, the owner first."""
    if target.app is not None:
        return list(_app(world, target.app))
    if target.space is not None:
        return list(_space(world, target.space))
    return list(_hostname(world, target.hostname or ""))


# -- a host name ------------------------------------------------------------------------------------------------------


def _hostname(world: World, hostname: str) -> Findings:
    caches = world.snapshot.caches
    owner = caches.claims.owner_of(hostname)
    if owner is None:
        where = "" if world.snapshot.may_read(SPACES) else " that you may see"
        text = f"no Space{where} has this name: it would be under <space>.<domainName>, or in the hostnames of a Space"
        yield Finding("owner", text + _similar(world, hostname), "host-name-without-space")
        yield from rivals(world, hostname, None)
        yield from published(world, hostname, None, ())
        return
    found = caches.space(owner)
    assert found is not None
    _, space = found
    entry = entry_of(space, hostname)
    yield ownership(space, hostname)
    yield from rivals(world, hostname, owner)
    serving = [
        (reconciled, endpoint)
        for app in caches.apps.in_namespace(owner)
        if (reconciled := world.result.of("App", app.key)) is not None
        for endpoint in endpoints_of(reconciled)
        if _serves(space, endpoint, hostname)
    ]
    if not serving and not world.snapshot.may_read(APPS, owner):
        yield Finding("endpoint", f"you may not list Apps in namespace {owner}", "apps-hidden")
    elif not serving:
        text = f"no App of Space {owner} has an endpoint at this name: give an endpoint this hostname, or add one"
        yield Finding("endpoint", text + _similar(world, hostname), "host-name-without-endpoint")
    if CLIENT_CIDRS in unkept_limits(world.snapshot.caches, space):
        yield from _limits(world, space)
    else:
        yield from listeners(world, space, hostname)
    if entry is not None:
        yield from certificate(world, space, certificate_of(space, hostname), f"https://{hostname}", hostname)
    for reconciled, endpoint in serving:
        yield from _endpoint(world, space, reconciled, endpoint)
    results = [world.result.of("Space", Key("", owner)), *(reconciled for reconciled, _ in serving)]
    named = {hostname, entry or hostname}
    publishers = [each for each in results if each is not None and not named.isdisjoint(each.names)]
    yield from record(world, hostname, publishers[0] if publishers else None)


def ownership(space: SpaceFacts, hostname: str) -> Finding:
    """By which claim the Space has the name."""
    entry = entry_of(space, hostname)
    claim = f"all names under {space.fqdn}" if in_zone(hostname, space.fqdn) else "it is one of its hostnames"
    if entry is not None and entry != space.fqdn:
        claim = f"it is {'one' if entry == hostname else f'below {entry}, one'} of its httpHostnames"
    return Finding("owner", f"Space {space.name}, since {space.created}: {claim}")


def _serves(space: SpaceFacts, endpoint: Obj, hostname: str) -> bool:
    """Whether an endpoint of a status is reached at this name, or at the wildcard that stands for it."""
    urls = (str(url) for url in endpoint.get("urls") or ())
    reached = {str(endpoint.get("hostname")), *(url.split("/")[2] for url in urls)}
    return hostname in reached or (entry_of(space, hostname) or hostname) in reached


def _similar(world: World, hostname: str) -> str:
    """A hint at the most similar name that a Space claims or an endpoint has."""
    known = {
        endpoint["hostname"]
        for reconciled in world.result.results
        for endpoint in endpoints_of(reconciled)
        if "hostname" in endpoint
    }
    for entry in world.snapshot.caches.spaces:
        if isinstance(entry.facts, SpaceFacts):
            known |= {entry.facts.fqdn, *map(canonical, entry.facts.spec.hostnames), *further_names(entry.facts)}
    return did_you_mean(hostname, sorted(known))


def rivals(world: World, hostname: str, owner: str | None) -> Findings:
    """The other Spaces that claim the name, and the Space that has it."""
    caches = world.snapshot.caches
    for entry in sorted(caches.spaces, key=lambda entry: entry.key):
        space = entry.facts
        if not isinstance(space, SpaceFacts) or space.name == owner:
            continue
        claims = [space.fqdn] if in_zone(hostname, space.fqdn) else []
        claims += [name for name in map(canonical, space.spec.hostnames) if name == hostname]
        further = entry_of(space, hostname)
        claims += [further] if further is not None else []
        lost = caches.claims.claims_of(space.name).claims().lost
        for claim in dict.fromkeys(claims):
            text = f"Space {space.name} claims {claim} too, and it is granted to Space {lost.get(claim, '?')}"
            yield Finding("claim", f"{text}: it gets no route and no record for it", "claim-lost-by-other")


# -- a Space ----------------------------------------------------------------------------------------------------------


def _space(world: World, name: str) -> Findings:
    caches = world.snapshot.caches
    entry = caches.spaces.get(Key("", name))
    assert entry is not None
    space = entry.facts
    if not isinstance(space, SpaceFacts):
        yield Finding("spec", str(space), "spec-invalid")
        return
    lost = caches.claims.claims_of(name).claims().lost
    for claim in dict.fromkeys([space.fqdn, *map(canonical, space.spec.hostnames), *further_names(space)]):
        what = f"{claim} and all names under it" if claim == space.fqdn else claim
        if claim in lost:
            what += f": is granted to Space {lost[claim]}; choose another name, or have that Space removed"
        yield Finding("host name", what, "claim-lost" if claim in lost else "")
    yield from _life(world, "Space", entry.key, entry.obj(), entry.deleting)
    text = "no project: anybody may connect to the declared endpoints"
    if space.spec.project is not None:
        text = f"project {space.spec.project}: only its Spaces and the edge may connect (decco graph {name})"
    yield Finding("isolation", text)
    if space.spec.isolation is not Isolation.STANDARD:
        yield Finding("pods", isolation_text(space.spec, world.snapshot.caches.settings))
    if text := topology_text(space.spec.topology):
        yield Finding("zones", text)
    yield from placement(world, space)
    yield Finding("egress", egress_of(space))
    if mesh := mesh_of(world, space):
        yield Finding("mesh", mesh)
    yield from _limits(world, space)
    if space.fqdn not in lost and CLIENT_CIDRS not in unkept_limits(world.snapshot.caches, space):
        yield from listeners(world, space, None)
    yield from certificate(world, space, space.spec.http_cert_secret_name, f"https://{space.fqdn}", space.fqdn)
    for further, secret in further_names(space).items():
        yield from certificate(world, space, secret, f"https://{further}", further)
    yield from certificate(world, space, space.spec.tcp_cert_and_ca_secret_name, "TCP endpoints", None)
    yield from other_secrets(world, space)
    reconciled = world.result.of("Space", entry.key)
    publisher = reconciled if reconciled is not None and reconciled.names else None
    here = place_of(world, space)
    away = here is not None and here.role is None
    yield from record(world, space.fqdn, publisher, unowned=space.fqdn in lost, away=away)
    for further in further_names(space):
        publishes = publisher is not None and further in publisher.names
        yield from record(world, further, publisher if publishes else None, unowned=further in lost, away=away)
    if not world.snapshot.may_read(APPS, name):
        yield Finding("apps", f"you may not list Apps in namespace {name}", "apps-hidden")
    for app in sorted(caches.apps.in_namespace(name), key=lambda entry: entry.key):
        yield _summary(world, app.key)
    yield from _conditions(reconciled, entry.obj())


def _limits(world: World, space: SpaceFacts) -> Findings:
    """The limits of a Space, and which the edge does not keep."""
    text, unkept = limits_text(limits_of(space)), unkept_limits(world.snapshot.caches, space)
    if text and not unkept:
        yield Finding("limits", text)
    elif CLIENT_CIDRS in unkept:
        text = f"{text}; the edge does not keep {', '.join(unkept)}, so nothing is served: remove clientCidrs"
        yield Finding("limits", text, reasons.ROUTE_NOT_SUPPORTED)
    elif text:
        text = f"{text}; the edge does not keep {', '.join(unkept)}: remove what it does not keep"
        yield Finding("limits", text, reasons.ROUTE_NOT_SUPPORTED)


def _summary(world: World, key: Key) -> Finding:
    reconciled = world.result.of("App", key)
    urls = [str(endpoint.get("url") or endpoint["name"]) for endpoint in endpoints_of(reconciled)]
    text = ", ".join(urls) or "no endpoint"
    if is_away(world, key):
        text += ", not placed in this cluster"
    elif suspended(world, key):
        text += ", suspended"
    facts = world.snapshot.caches.index.facts.get(key)
    if facts is not None and facts.canary_of is not None:
        text += f", a canary of App {facts.canary_of} with weight {facts.weight}"
    problems = [problem.reason for problem in reconciled.problems()] if reconciled is not None else []
    live = world.snapshot.caches.apps.get(key)
    seen = _seen(live.obj()) if live is not None else []
    problems += [c["reason"] for c in seen if c["status"] != "True" and c["reason"] not in reasons.WAITING]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        text += f": {problems[0]}{more} (decco explain {key})"
    return Finding(f"app {key.name}", text, "app-not-ready" if problems else "")


# -- an App -----------------------------------------------------------------------------------------------------------


def _app(world: World, key: Key) -> Findings:
    caches = world.snapshot.caches
    entry = caches.apps.get(key)
    assert entry is not None
    found = caches.space(key.namespace)
    if found is None and not world.snapshot.may_read(SPACES):
        text = f"you may not read Space {key.namespace}; what follows is from the status that decco reported"
        yield Finding("space", text, "space-hidden")
        yield from _from_status(world, entry.obj())
        return
    if found is None:
        text = f"there is no usable Space {key.namespace}, and an App must be in the namespace of a Space: create it"
        yield Finding("space", text, "SpaceNotFound")
        return
    _, space = found
    yield Finding("space", f"{space.name}, {space.fqdn}")
    if not isinstance(entry.facts, AppFacts):
        yield Finding("spec", str(entry.facts), "spec-invalid")
        return
    yield from _life(world, "App", key, entry.obj(), entry.deleting)
    if text := zones_text(space, entry.obj()):
        yield Finding("zones", text)
    if entry.facts.placement is not None or space.spec.placement is not None:
        yield from placement(world, space, key)
    reconciled = world.result.of("App", key)
    for endpoint in endpoints_of(reconciled):
        yield from _endpoint(world, space, reconciled, endpoint)
        hostname = endpoint.get("hostname")
        if reconciled is not None and hostname in reconciled.names:
            yield from record(world, hostname, reconciled)
    if not endpoints_of(reconciled) and reconciled is not None and reconciled.status is not None:
        yield Finding("endpoints", "none")
    yield from shares(world, space, key)
    yield from permitted(world, entry, space)
    yield from plain_text(world, space, key)
    for name in sorted(entry.facts.secrets):
        yield from certificate(world, space, name, "named by this App", None)
    yield from _conditions(reconciled, entry.obj())


def _from_status(world: World, obj: Obj) -> Findings:
    """Without read access to the Space: the status that decco has written, and the objects of the namespace."""
    status, namespace = status_of(obj), obj["metadata"]["namespace"]
    for endpoint in status.get("endpoints") or ():
        about = f"endpoint {endpoint.get('name')}"
        yield Finding(about, str(endpoint.get("url") or f"port {endpoint.get('port')}"))
        yield from backends(world, Key(namespace, str(endpoint.get("name"))), about)
        if "hostname" in endpoint:
            yield from published(world, canonical(str(endpoint["hostname"])), None, ())
    if world.snapshot.may_read(SECRETS, namespace):
        for entry in world.snapshot.caches.children[SECRETS].in_namespace(namespace):
            if isinstance(entry.facts, SecretFacts) and entry.facts.problem is None:
                yield validity(world, f"certificate {entry.key.name}", "copied by decco", entry.facts, None)
    else:
        yield Finding("certificates", f"you may not read the Secrets of namespace {namespace}", "certificates-hidden")
    yield from (condition(each) for each in status.get("conditions") or () if each["type"] != "Ready")


def _endpoint(world: World, space: SpaceFacts, reconciled: ReconcileResult | None, endpoint: Obj) -> Findings:
    name, key = endpoint["name"], reconciled.key if reconciled is not None else Key(space.name, "")
    about = f"endpoint {name}"
    where = (
        ", ".join(endpoint.get("urls") or ())
        or endpoint.get("url")
        or f"{name}.{space.name}.svc:{endpoint['port']}, inside the cluster only"
    )
    yield Finding(about, f"{where}, of App {key}")
    if is_away(world, key):
        yield Finding(about, f"not placed in this cluster, no pods: {answer_of_suspended(world, endpoint.get('url'))}")
    elif suspended(world, key):
        text = f"suspended by spec.suspend, no pods: {answer_of_suspended(world, endpoint.get('url'))}"
        yield Finding(about, text)
    else:
        yield from backends(world, Key(space.name, name), about)
    shared = is_canary(world, key) and str(endpoint.get("url")).startswith("https://")
    if "url" in endpoint and not shared:  # that of a canary is the other App's
        yield from route(world, Key(space.name, name), key)


# -- common parts -----------------------------------------------------------------------------------------------------


def _life(world: World, kind: str, key: Key, obj: Obj, deleting: bool) -> Findings:
    """Whether decco reconciles the object, and has observed its last change."""
    if deleting:
        yield Finding("life", "is being deleted", "object-being-deleted")
    conditions = status_of(obj).get("conditions") or ()
    paused = [each["message"] for each in conditions if each["type"] == "Paused" and each["status"] == "True"]
    if paused or is_paused(obj):
        yield Finding("life", paused[0] if paused else OWN_PAUSE.message, "object-paused")
        return
    seen = status_of(obj).get("observedGeneration")
    if seen is None or seen < obj["metadata"].get("generation", 0):
        text = "decco has not reconciled its last change: is the controller running? (decco doctor)"
        yield Finding("life", text, "object-not-reconciled")
    reconciled = world.result.of(kind, key)
    pending = len(reconciled.writes) if reconciled is not None else 0
    if pending and not world.snapshot.gaps:
        are, them = ("s are", "them") if pending > 1 else (" is", "it")
        text = f"{pending} object{are} not as decco would write {them} (decco diff {key})"
        yield Finding("life", text, "object-differs")


def _conditions(reconciled: ReconcileResult | None, obj: Obj) -> Findings:
    """What keeps the object from being Ready: its conditions as they would be now, and those that the controller's
    probes have found.
    """
    conditions = ((reconciled.status if reconciled is not None else None) or {}).get("conditions") or ()
    yield from map(condition, bad_conditions(reconciled, obj))
    failed = [c for c in conditions if c["status"] == "False"]
    if conditions and not failed and all(c["status"] == "True" for c in _seen(obj)):
        yield Finding("Ready", "everything is as the spec asks")


def bad_conditions(reconciled: ReconcileResult | None, obj: Obj) -> list[Obj]:
    """The conditions that explain why the object is not Ready, and all that probes have reported."""
    conditions = ((reconciled.status if reconciled is not None else None) or {}).get("conditions") or ()
    bad = [c for c in conditions if c["status"] == "False"]
    causes = [c for c in bad if c["type"] != "Ready"] or bad
    return causes + [c for c in _seen(obj) if c["type"] not in {each["type"] for each in bad}]


def _seen(obj: Obj) -> list[Obj]:
    """The conditions in the object's status that come from probes."""
    conditions = status_of(obj).get("conditions") or ()
    return [c for c in conditions if c["reason"] in reasons.SEEN and c["type"] != "Ready"]


def condition(found: Obj) -> Finding:
    text = f"{found['reason']}: {found['message']}"
    return Finding(found["type"], text, found["reason"] if found["status"] != "True" else "")


def endpoints_of(reconciled: ReconcileResult | None) -> list[Obj]:
    """The endpoints in the status that a reconcile would write."""
    return list(((reconciled.status if reconciled is not None else None) or {}).get("endpoints") or ())
