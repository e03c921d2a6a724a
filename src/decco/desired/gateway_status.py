"""What gateway controllers report (Gateway API v1): the conditions on listeners, routes and policies.

A condition counts only if it is about the current generation of its object. On a route or policy, whose status has an
entry for each Gateway and controller, it counts only if it is about the Space's Gateway and was written by the
controller of that Gateway's class, as far as that is known. Listeners have one writer, and its name is not recorded.

Kinds on which no controller writes a status (Ingress, and Traefik's own) are in effect once they are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum, auto

from decco.desired import reasons
from decco.desired.model import Child, Problem
from decco.desired.names import SPACE_OBJECT
from decco.frozen import frozen
from decco.objects import (
    BACKEND_TLS_POLICIES,
    ENVOY_GATEWAY_GROUP,
    GATEWAY_GROUP,
    GATEWAYS,
    LISTENER_SETS,
    Obj,
    Resource,
    key_of,
)
from decco.settings import RoutingSettings
from decco.text import one_line, quote

ACCEPTED, RESOLVED_REFS, PROGRAMMED = "Accepted", "ResolvedRefs", "Programmed"
TYPES = (ACCEPTED, RESOLVED_REFS, PROGRAMMED)
PENDING = "Pending"
"""Reason of an object that the controller has not processed yet (Gateway API, RouteReasonPending)."""
_IN_PROGRESS = frozenset({PENDING, "AddressNotAssigned"})
ENDPOINTS_SECONDS = 10.0
"""How long a gateway may take to observe endpoints after the workload is ready."""

Conditions = Mapping[str, Obj]
"""By type."""


def current(obj: Obj, part: Obj | None = None, *, former: bool = False) -> Conditions:
    """The conditions of ``part`` of the status of ``obj`` (a listener, a parent; None: the object itself), without
    those about an earlier generation; ``former``: with them.
    """
    listed = (status_of(obj) if part is None else part).get("conditions") or ()
    generation = 0 if former else obj["metadata"].get("generation", 0)
    return {str(each.get("type")): each for each in listed if each.get("observedGeneration", generation) >= generation}


def refusals(conditions: Conditions, types: tuple[str, ...] = TYPES) -> Iterator[Obj]:
    """The conditions that are False. Those after the first are only its consequences."""
    return (found for type_ in types if (found := conditions.get(type_, {})).get("status") == "False")


def is_true(conditions: Conditions, *types: str) -> bool:
    return all(conditions.get(type_, {}).get("status") == "True" for type_ in types)


def status_of(obj: Obj | None) -> Obj:
    return (obj or {}).get("status") or {}


def is_programmed(obj: Obj) -> bool:
    """Whether the edge serves the listeners of a Gateway or ListenerSet, perhaps not all of them: until then nothing
    is to answer there.
    """
    found = current(obj).get(PROGRAMMED, {})
    return found.get("status") == "True" or found.get("reason", PENDING) not in _IN_PROGRESS | {"NoResources"}


# -- listeners --------------------------------------------------------------------------------------------------------


def listener_problems(obj: Obj) -> Iterator[Problem]:
    """Problems that the controller reports for a Gateway or ListenerSet, and for each of its listeners."""
    what = f"{obj['kind']} {key_of(obj)}"
    conditions = current(obj)
    own = _listener_problem(what, conditions, (ACCEPTED, PROGRAMMED))
    if own is not None:
        yield own
    elif not is_true(conditions, ACCEPTED, PROGRAMMED):
        yield Problem(reasons.WAITING_FOR_EDGE, f"{what} waits for its gateway controller")
    for listener in sorted(status_of(obj).get("listeners") or (), key=lambda entry: str(entry.get("name"))):
        problem = _listener_problem(f"listener {listener.get('name')} of {what}", current(obj, listener), TYPES)
        if problem is not None:
            yield problem


def _listener_problem(what: str, conditions: Conditions, types: tuple[str, ...]) -> Problem | None:
    refusal = next(refusals(conditions, types), None)
    if refusal is None:
        return None
    type_, cause = refusal["type"], refusal.get("reason") or "no reason given"
    message = f"{what}: {type_} is False, {cause}: {one_line(refusal.get('message'))}"
    if cause in _IN_PROGRESS:
        return Problem(reasons.WAITING_FOR_EDGE, message)
    return Problem(reasons.NOT_PROGRAMMED if type_ == PROGRAMMED else reasons.NOT_ACCEPTED, message)


# -- routes -----------------------------------------------------------------------------------------------------------


class Backends(Enum):
    """State of the pods behind a route."""

    READY = auto()
    STARTING = auto()  # none is ready, or they became so a moment ago
    NONE = auto()  # replicas is 0


@frozen
class ParentGateway:
    """The Gateway of a Space: whose conditions on routes and policies count."""

    parents: tuple[Obj, ...]
    """References to the object with the Space's listeners, and to the shared Gateway that it is attached to, if any."""
    controller: str | None = None
    """controllerName of the Gateway's class; None if it is not known: then every controller counts."""

    def of_parent(self, entry: Obj, reference: Obj, namespace: str) -> bool:
        """Whether an entry of a route's status is about this listener and written by the controller."""
        return _same(entry.get("parentRef") or {}, reference, namespace) and self._wrote(entry)

    def of_ancestor(self, entry: Obj, namespace: str) -> bool:
        """Whether an entry of a policy's status is about the Space's Gateway and written by the controller.

        Controllers are free in the kind of the ancestor (GEP-713), so only other Gateways are excluded.
        """
        reference = {**(entry.get("ancestorRef") or {}), "sectionName": None}
        gateways = {parent["kind"] for parent in self.parents} | {"Gateway"}
        about_us = reference.get("kind", "Gateway") not in gateways or any(
            _same(reference, parent, namespace) for parent in self.parents
        )
        return about_us and self._wrote(entry)

    def _wrote(self, entry: Obj) -> bool:
        return self.controller is None or entry.get("controllerName") == self.controller


def listeners_kind(routing: RoutingSettings) -> Resource:
    return LISTENER_SETS if routing.parent_gateway else GATEWAYS


def parent_gateway(routing: RoutingSettings, space: str, controller: str | None) -> ParentGateway:
    """The Gateway that the settings name, for this Space."""
    own = {"kind": listeners_kind(routing).kind, "name": SPACE_OBJECT, "namespace": space}
    if routing.parent_gateway is None:
        return ParentGateway((own,), controller)
    namespace, _, name = routing.parent_gateway.partition("/")
    return ParentGateway((own, {"kind": "Gateway", "name": name, "namespace": namespace}), controller)


def _same(one: Obj, other: Obj, namespace: str) -> bool:
    """Whether two references from an object in this namespace are to the same parent."""
    defaults = {"group": GATEWAY_GROUP, "kind": "Gateway", "namespace": namespace, "name": None, "sectionName": None}
    return all(one.get(key, default) == other.get(key, default) for key, default in defaults.items())


def route_problem(
    child: Child,
    live: Obj | None,
    gateway: ParentGateway,
    backends: Backends = Backends.READY,
    *,
    former: bool = False,
) -> Problem | None:
    """Why a route or policy is not in effect, or None; ``live`` is None if it is not in the cache (yet). ``former``:
    what the gateway said of an earlier generation counts too.

    A refusal because of missing endpoints repeats WorkloadReady: while no pod is ready, and until a gateway has
    observed a ready pod, it is reported as waiting.
    """
    if child.resource.group == ENVOY_GATEWAY_GROUP:
        return policy_problem(child.obj if live is None else live, gateway, former=former)
    if child.resource.group != GATEWAY_GROUP:
        return None
    kind, name = child.resource.kind, child.obj["metadata"]["name"]
    namespace = child.obj["metadata"]["namespace"]
    policy = child.resource == BACKEND_TLS_POLICIES
    if policy:
        # Gateways that do not support the policy set no status, so only a refusal is a problem.
        entries = status_of(live).get("ancestors") or ()
        mine = [entry for entry in entries if gateway.of_ancestor(entry, namespace)]
    else:
        entries = status_of(live).get("parents") or ()
        references = child.obj["spec"]["parentRefs"]
        of_each = [[entry for entry in entries if gateway.of_parent(entry, each, namespace)] for each in references]
        mine = [entry for found in of_each for entry in found]
        for found in of_each:
            answers = (current(live, entry, former=former) for entry in found) if live is not None else ()
            if not any(ACCEPTED in conditions for conditions in answers):
                return Problem(reasons.WAITING_FOR_EDGE, f"no gateway has answered for {kind} {name} yet")
    reported = [current(live, entry, former=former) for entry in mine] if live is not None else []
    for refusal in (each for conditions in reported for each in refusals(conditions)):
        if refusal.get("reason") == PENDING:
            return Problem(reasons.WAITING_FOR_EDGE, f"the gateway still processes {kind} {name}: {quote(refusal)}")
        if backends is Backends.READY or not _is_about_endpoints(refusal):
            return Problem(reasons.NOT_ACCEPTED, f"the gateway refuses {kind} {name}: {quote(refusal)}")
        if backends is Backends.STARTING:
            return Problem(reasons.WAITING_FOR_EDGE, f"{kind} {name} has no ready pod to send traffic to yet")
    return None


def lacks_endpoints(route: Obj, gateway: ParentGateway) -> bool:
    """Whether a gateway has reported, of whatever generation of the route, that no ready pod is behind it."""
    namespace, references = route["metadata"]["namespace"], route["spec"]["parentRefs"]
    return any(
        _is_about_endpoints(refusal)
        for entry in status_of(route).get("parents") or ()
        if any(gateway.of_parent(entry, each, namespace) for each in references)
        for refusal in refusals(current(route, entry, former=True))
    )


def policy_problem(policy: Obj, gateway: ParentGateway, *, former: bool = False) -> Problem | None:
    """Why a policy of Envoy Gateway is not in effect, or None. Without an answer it may have none."""
    meta, kind = policy["metadata"], policy["kind"]
    entries = status_of(policy).get("ancestors") or ()
    mine = [entry for entry in entries if gateway.of_ancestor(entry, meta["namespace"])]
    reported = [current(policy, entry, former=former) for entry in mine]
    refusal = next((each for conditions in reported for each in refusals(conditions)), None)
    if refusal is not None:
        return Problem(reasons.NOT_ACCEPTED, f"the gateway refuses {kind} {meta['name']}: {quote(refusal)}")
    if not any(ACCEPTED in conditions for conditions in reported):
        return Problem(reasons.WAITING_FOR_EDGE, f"the gateway has not answered for {kind} {meta['name']} yet")
    return None


def _is_about_endpoints(refusal: Obj) -> bool:
    """The Gateway API has no reason for this; Envoy Gateway reports "no ready endpoints" in its own words."""
    return any("endpoint" in str(refusal.get(field) or "").lower() for field in ("reason", "message"))
