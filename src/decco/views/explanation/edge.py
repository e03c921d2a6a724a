"""Statements about external access to a name: the listeners of its Space, its routes, and their status."""

from __future__ import annotations

from collections.abc import Iterator

from decco.desired import reasons
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
from decco.desired.model import Child, SpaceFacts
from decco.desired.names import SPACE_OBJECT
from decco.objects import Key
from decco.reconcilers.edge import gateway_controller, space_live
from decco.settings import RoutingBackend
from decco.views.explanation.statements import State, Statement, World


def listeners(world: World, space: SpaceFacts, hostname: str | None) -> Iterator[Statement]:
    """The listeners for a host name, or all listeners."""
    caches = world.snapshot.caches
    backend = caches.settings.routing.backend
    if backend is not RoutingBackend.GATEWAY:
        text = {"ingress": "Ingress: the controller's own", "none": "no routing is set: Services only"}[backend.value]
        yield Statement(State.OK, "listener", text)
        return
    kind = caches.served.get(listeners_kind(caches.settings.routing))
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
    status = {entry.get("name"): entry for entry in status_of(live).get("listeners") or ()}
    fitting = [one for one in live["spec"]["listeners"] if hostname is None or _listens(one["hostname"], hostname)]
    if not fitting:
        yield Statement(State.FAILURE, "listener", f"{kind.kind} {space.name}/{SPACE_OBJECT} has none for {hostname}")
    for listener in fitting:
        what = f"{listener['name']}: {listener['protocol']} {listener['hostname']}:{listener['port']}"
        if (mode := (listener.get("tls") or {}).get("mode")) is not None:
            what += f", {mode}"
        yield _listener(what, current(live, status.get(listener["name"], {})))


def _listener(what: str, conditions: Conditions) -> Statement:
    refusal = next(refusals(conditions), None)
    if refusal is not None:
        text = f"{what}: {refusal['type']} is False, {refusal.get('reason')}: {refusal.get('message')}"
        return Statement(State.FAILURE, "listener", text)
    if not is_true(conditions, PROGRAMMED):
        return Statement(
            State.WARNING, "listener", f"{what}: no gateway controller has answered for it yet: is it running?"
        )
    return Statement(State.OK, "listener", f"{what}: in effect")


def _listens(pattern: str, hostname: str) -> bool:
    """Whether a listener matches this name: "*" matches one or more labels (Gateway API, Hostname)."""
    return hostname.endswith(pattern[1:]) if pattern.startswith("*.") else pattern == hostname


def route(world: World, endpoint: Key, app: Key) -> Iterator[Statement]:
    """Whether the routes of the App for its endpoint are in effect."""
    caches = world.snapshot.caches
    gateway = parent_gateway(caches.settings.routing, endpoint.namespace, gateway_controller(caches))
    about = f"route {endpoint.name}"
    owner = caches.apps.get(app)
    kinds = sorted(caches.routing_kinds, key=lambda kind: kind.kind)
    unreadable = [kind.plural for kind in kinds if not world.snapshot.may_read(kind, endpoint.namespace)]
    found = False
    for kind in kinds:
        store = caches.children.get(kind)
        entry = store.get(endpoint) if store is not None else None
        if entry is None or owner is None or entry.owner_uid != owner.uid or kind.kind == "BackendTLSPolicy":
            continue
        found = True
        obj = entry.obj()
        problem = route_problem(Child(kind, obj), obj, gateway)
        if problem is None:
            yield Statement(State.OK, about, f"{kind.kind} {endpoint} is in effect")
        else:
            state = State.WARNING if problem.reason in reasons.WAITING else State.FAILURE
            yield Statement(state, about, f"{problem.reason}: {problem.message}")
    if not found and unreadable:
        yield Statement(State.UNKNOWN, about, f"you may not read {', '.join(unreadable)} in {endpoint.namespace}")
    elif not found:
        yield Statement(State.FAILURE, about, "there is no route (yet): is the controller running? (decco doctor)")
