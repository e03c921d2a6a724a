"""The status of a Space: one condition per concern, each with its own cause, and Ready for all of them.

An equal state gives an equal status and no write: messages contain no counts and no times of reconciles, lists are
sorted, and a condition keeps its lastTransitionTime.

Ready is True exactly if all other conditions are. There is no Stalled or Reconciling: kstatus takes them as a hint,
and reads Ready=False with a current observedGeneration as "in progress", which is true of all causes here, because
decco retries. The reason states whether a cause ends by itself (``reasons.WAITING``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from decco.api.conditions import SPACE_CONDITIONS, ConditionType, set_condition
from decco.desired import names, reasons
from decco.desired.finalizers import holders_of
from decco.desired.model import Problem, SpaceInputs
from decco.desired.pausing import unpaused
from decco.desired.reserved import reserved_name
from decco.desired.routing import space_routing_problems
from decco.desired.secrets import CA_CRT, problem_of
from decco.desired.sidecar_admission import sidecar_problems
from decco.objects import (
    LIMIT_RANGES,
    NAMESPACES,
    NETWORK_POLICIES,
    RESOURCE_QUOTAS,
    SECRETS,
    Obj,
    key_of,
)
from decco.settings import RoutingBackend, Settings

Outcomes = Mapping[tuple[str, str], Problem | None]
"""(kind, name) of a child -> why it is not in its desired state, or None. Absent: not tried."""

LONGEST_QUOTE = 512
"""Characters of another controller's message that are passed on."""

_OWN_KINDS = frozenset(kind.kind for kind in (NAMESPACES, NETWORK_POLICIES, RESOURCE_QUOTAS, LIMIT_RANGES, SECRETS))
# Reasons of a gateway controller that is not done yet (Gateway API v1, GatewayConditionReason).
_IN_PROGRESS = frozenset({"Pending", "AddressNotAssigned"})


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check in another module; ``problem`` is None if it found none."""

    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class SpaceLive:
    """The live objects, and the status that other controllers wrote on them."""

    namespace: Obj | None = None
    """The namespace of the Space's name, if the Space owns it."""
    listeners: Obj | None = None
    """The Gateway or ListenerSet in it, if the Space owns it."""
    gateway: Obj | None = None
    """The shared Gateway of the setting routing.parentGateway."""
    edge_service: Obj | None = None
    """The Service of the setting edge.service."""
    dns: Checked | None = None
    """None if there is no DNS provider."""


def space_status(inputs: SpaceInputs, outcomes: Outcomes, live: SpaceLive, previous: Obj, now: datetime) -> Obj:
    """The complete status; ``previous`` is the current one, {} if there is none."""
    space = inputs.space
    found: dict[ConditionType, Problem | None] = {
        ConditionType.NAMESPACE_READY: _namespace(inputs, outcomes, live),
        ConditionType.NETWORK_READY: _network(outcomes, live),
    }
    # Copies that only Apps need are part of the Space's condition only if they fail.
    if inputs.secrets or any(_failed(outcomes, {SECRETS.kind})):
        found[ConditionType.CERTIFICATES_READY] = _certificates(inputs, outcomes, now)
    if inputs.claims.lost or inputs.settings.routing.backend is not RoutingBackend.NONE:
        found[ConditionType.ROUTES_READY] = _routes(inputs, outcomes, live)
    if live.dns is not None:
        found[ConditionType.DNS_READY] = live.dns.problem
    found[ConditionType.READY] = _first(found.values())

    known = {condition.get("type"): condition for condition in previous.get("conditions") or ()}
    conditions = [known[type_] for type_ in SPACE_CONDITIONS if type_ in found and type_ in known]
    for type_ in found:
        conditions = _set(conditions, type_, found[type_], space.generation, now, _well(type_, inputs))
    order = {type_: position for position, type_ in enumerate(SPACE_CONDITIONS)}
    status: Obj = {
        "observedGeneration": space.generation,
        "conditions": sorted(conditions, key=lambda condition: order[condition["type"]]),
    }
    if live.namespace is not None:
        status["namespace"] = space.name
    if inputs.claims.holds(space.fqdn):
        status["hostname"] = space.fqdn
    if addresses := edge_addresses(inputs.settings, live):
        status["addresses"] = list(addresses)
    return status


def blocked_space_status(problem: Problem, generation: int, previous: Obj, now: datetime) -> Obj:
    """The status of a Space with an invalid spec: its objects stay, and stay in the status."""
    conditions = _set(unpaused(previous).get("conditions") or (), ConditionType.READY, problem, generation, now)
    return {**previous, "observedGeneration": generation, "conditions": conditions}


def edge_addresses(settings: Settings, live: SpaceLive) -> tuple[str, ...]:
    """Target addresses of the Space's host names, sorted.

    The setting ``edge.addresses`` has precedence over the addresses of ``edge.service``. The addresses of the Gateway
    are used only if neither is set. A Gateway always reports an address, and behind a NAT or a load balancer it is an
    internal one; so the result is empty if the Service has lost its address.
    """
    if settings.edge.addresses:
        found: Iterable[str] = settings.edge.addresses
    elif settings.edge.service is not None:
        found = _load_balancer_addresses(live.edge_service)
    else:
        found = _gateway_addresses(live.gateway if settings.routing.parent_gateway is not None else live.listeners)
    return tuple(sorted(set(found)))


def _gateway_addresses(gateway: Obj | None) -> list[str]:
    return [entry["value"] for entry in _status(gateway).get("addresses") or () if entry.get("value")]


def _load_balancer_addresses(service: Obj | None) -> list[str]:
    entries = (_status(service).get("loadBalancer") or {}).get("ingress") or ()
    return [address for entry in entries if (address := entry.get("ip") or entry.get("hostname"))]


def _set(
    conditions: Iterable[Obj],
    type_: ConditionType,
    problem: Problem | None,
    generation: int,
    now: datetime,
    well: str = "",
) -> list[Obj]:
    if problem is not None:
        return set_condition(conditions, type_, "False", problem.reason, problem.message, generation, now)
    reason = reasons.READY if type_ is ConditionType.READY else reasons.RECONCILED
    return set_condition(conditions, type_, "True", reason, well or _WELL[type_], generation, now)


def _well(type_: ConditionType, inputs: SpaceInputs) -> str:
    """The message of a condition that is True; it names certificates that are not in use yet."""
    waiting = [
        f"; the new certificate of Secret {name} is in force at {moment:%H:%M:%S} UTC, because its {CA_CRT} has changed"
        for name, moment in sorted(inputs.in_force.items())
        if type_ is ConditionType.CERTIFICATES_READY and name in inputs.secrets
    ]
    return "".join([_WELL[type_], *waiting])


_WELL: Mapping[ConditionType, str] = {
    ConditionType.READY: "the Space is ready",
    ConditionType.NAMESPACE_READY: "the namespace is there, with its quota and limits",
    ConditionType.NETWORK_READY: "the namespace is isolated",
    ConditionType.CERTIFICATES_READY: "the Secrets that the Space names are there and usable",
    ConditionType.ROUTES_READY: "the Space has its host names and listeners",
    ConditionType.DNS_READY: "the DNS record of the FQDN is as it should be",
}


def _first(problems: Iterable[Problem | None]) -> Problem | None:
    """The cause that Ready reports: a lost host name, or else the first that needs action, or else the first of all."""
    found = [problem for problem in problems if problem is not None]
    for problem in found:
        if problem.reason == reasons.HOSTNAME_CONFLICT:
            return problem
    acute = [problem for problem in found if problem.reason not in reasons.WAITING]
    return next(iter(acute or found), None)


def _namespace(inputs: SpaceInputs, outcomes: Outcomes, live: SpaceLive) -> Problem | None:
    name = inputs.space.name
    refused = outcomes.get((NAMESPACES.kind, name))
    if refused is not None:
        return refused
    if live.namespace is None:
        return Problem(reasons.NAMESPACE_NOT_READY, f"namespace {name} is not there yet")
    if _is_terminating(live.namespace):
        holders = ", ".join(holders_of(live.namespace))
        held = f" and is held by the finalizers {holders}: remove them, or correct what should" if holders else ""
        message = f"namespace {name} is being deleted{held}; it is created again when it is gone"
        return Problem(reasons.NAMESPACE_TERMINATING, message)
    reserved = reserved_name(name, inputs.settings)
    if reserved is not None:
        return reserved
    refusals = (
        *_failed(outcomes, {RESOURCE_QUOTAS.kind, LIMIT_RANGES.kind}),
        *sidecar_problems(inputs, live.namespace),
    )
    return reasons.combine(refusals)


def _is_terminating(namespace: Obj) -> bool:
    return "deletionTimestamp" in namespace["metadata"] or _status(namespace).get("phase") == "Terminating"


def _network(outcomes: Outcomes, live: SpaceLive) -> Problem | None:
    policy = NETWORK_POLICIES.kind, names.SPACE_OBJECT
    if policy in outcomes:
        return outcomes[policy]
    if live.namespace is not None and _is_terminating(live.namespace):
        message = "the NetworkPolicy that isolates the namespace is deleted with the namespace"
        return Problem(reasons.NAMESPACE_TERMINATING, message)
    reason = reasons.NAMESPACE_NOT_READY if live.namespace is None else reasons.NOT_WRITTEN
    return Problem(reason, "the NetworkPolicy that isolates the namespace is not written yet")


def _certificates(inputs: SpaceInputs, outcomes: Outcomes, now: datetime) -> Problem | None:
    namespace = inputs.settings.namespace

    def problems() -> Iterator[Problem | None]:
        for _, view in sorted(inputs.secrets.items()):
            yield problem_of(view, space=inputs.space.name, controller_namespace=namespace, now=now)
        yield from _failed(outcomes, {SECRETS.kind})

    return reasons.combine(problems())


def _failed(outcomes: Outcomes, kinds: frozenset[str] | set[str]) -> Iterator[Problem]:
    for (kind, _), problem in sorted(outcomes.items(), key=lambda item: item[0]):
        if problem is not None and kind in kinds:
            yield problem


def _routes(inputs: SpaceInputs, outcomes: Outcomes, live: SpaceLive) -> Problem | None:
    lost = [
        Problem(
            reasons.HOSTNAME_CONFLICT,
            f"{name}, or a name above or below it, belongs to the older Space {owner}: give it up in one of the two",
        )
        for name, owner in sorted(inputs.claims.lost.items())
    ]
    if lost:
        return reasons.combine(lost)
    written = reasons.combine(
        (*space_routing_problems(inputs), *_failed(outcomes, {kind for kind, _ in outcomes} - _OWN_KINDS))
    )
    if written is not None or inputs.settings.routing.backend is not RoutingBackend.GATEWAY:
        return written
    parent = inputs.settings.routing.parent_gateway
    if parent is not None and live.gateway is None:
        message = (
            f"there is no Gateway {parent}, which the setting routing.parentGateway names: "
            "create it, or correct the setting"
        )
        return Problem(reasons.GATEWAY_NOT_FOUND, message)
    if live.listeners is None:
        return Problem(reasons.WAITING_FOR_EDGE, "the listeners are not written yet")
    return reasons.combine(_listener_problems(live.listeners))


def _listener_problems(obj: Obj) -> Iterator[Problem | None]:
    """Problems that the gateway controller reports for a Gateway or ListenerSet, and for each of its listeners."""
    what = f"{obj['kind']} {key_of(obj)}"
    generation = obj["metadata"].get("generation", 0)
    status = _status(obj)
    own = _refusal(what, status.get("conditions"), generation, ("Accepted", "Programmed"))
    if own is None and not _all_true(status.get("conditions"), generation, ("Accepted", "Programmed")):
        own = Problem(reasons.WAITING_FOR_EDGE, f"{what} waits for its gateway controller")
    yield own
    for listener in sorted(status.get("listeners") or (), key=lambda entry: str(entry.get("name"))):
        where = f"listener {listener.get('name')} of {what}"
        yield _refusal(where, listener.get("conditions"), generation, ("Accepted", "ResolvedRefs", "Programmed"))


def _refusal(what: str, conditions: Any, generation: int, types: Iterable[str]) -> Problem | None:
    """The first of these conditions that is False. Later ones are only its consequences."""
    current = _current(conditions, generation)
    for type_ in types:
        condition = current.get(type_, {})
        if condition.get("status") != "False":
            continue
        reason = condition.get("reason") or "no reason given"
        message = f"{what}: {type_} is False, {reason}: {_quote(condition.get('message'))}"
        if reason in _IN_PROGRESS:
            return Problem(reasons.WAITING_FOR_EDGE, message)
        return Problem(reasons.NOT_PROGRAMMED if type_ == "Programmed" else reasons.NOT_ACCEPTED, message)
    return None


def _all_true(conditions: Any, generation: int, types: Iterable[str]) -> bool:
    current = _current(conditions, generation)
    return all(current.get(type_, {}).get("status") == "True" for type_ in types)


def _current(conditions: Any, generation: int) -> dict[str, Obj]:
    """Conditions by type, without those that are about an earlier generation of the object."""
    return {
        condition["type"]: condition
        for condition in conditions or ()
        if condition.get("observedGeneration", generation) >= generation
    }


def _quote(message: Any) -> str:
    """Another controller's message on one line, truncated."""
    text = " ".join(str(message or "").split())
    return text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 1] + "…"


def _status(obj: Obj | None) -> Obj:
    return (obj or {}).get("status") or {}
