"""The condition RoutesReady from the status that gateways write on a route.

A condition counts only for its observedGeneration. A refusal because of missing endpoints repeats WorkloadReady: while
no pod is ready, and until a gateway has observed a ready pod, it is reported as waiting. Kinds on which no controller
writes a status (Ingress, and Traefik's own) are ready once they are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto

from decco.desired import reasons
from decco.desired.model import Child, Problem
from decco.desired.quoting import quote
from decco.objects import GATEWAY_GROUP, Obj

BACKEND_TLS_POLICY = "BackendTLSPolicy"
PENDING = "Pending"
"""The reason of a route that the gateway has not reconciled yet (Gateway API, RouteReasonPending)."""
_ANSWERED = ("HTTPRoute", "TLSRoute")
ENDPOINTS_SECONDS = 10.0
"""How long a gateway may take to observe endpoints after the workload is ready."""


class Backends(Enum):
    """State of the pods behind a route."""

    READY = auto()
    STARTING = auto()  # none is ready, or they became so a moment ago
    NONE = auto()  # replicas is 0


def route_problem(child: Child, live: Obj | None, backends: Backends = Backends.READY) -> Problem | None:
    """Why the route is not in effect, or None; ``live`` is None if it is not in the cache (yet)."""
    kind, name = child.resource.kind, child.obj["metadata"]["name"]
    if child.resource.group != GATEWAY_GROUP:
        return None
    if kind == BACKEND_TLS_POLICY:
        return _refusal(kind, name, _policy_answers(live), backends) if live is not None else None
    answers = list(_route_answers(child, live)) if live is not None else []
    if kind in _ANSWERED and not any(answer.get("type") == "Accepted" for answer in answers):
        return Problem(reasons.WAITING_FOR_EDGE, f"no gateway has answered for {kind} {name} yet")
    return _refusal(kind, name, iter(answers), backends)


def _route_answers(child: Child, live: Obj) -> Iterator[Obj]:
    """The conditions that gateways set for the parent of the desired route."""
    wanted = child.obj["spec"]["parentRefs"][0]
    for parent in live.get("status", {}).get("parents") or ():
        ref = parent.get("parentRef", {})
        if all(ref.get(key) == wanted[key] for key in ("kind", "name", "sectionName")):
            yield from _current(parent, live)


def _policy_answers(live: Obj) -> Iterator[Obj]:
    """Gateways that do not support the policy set no status, so only a refusal is a problem."""
    for ancestor in live.get("status", {}).get("ancestors") or ():
        yield from _current(ancestor, live)


def _current(answer: Obj, live: Obj) -> Iterator[Obj]:
    generation = live["metadata"].get("generation", 0)
    for condition in answer.get("conditions") or ():
        if condition.get("observedGeneration", generation) >= generation:
            yield condition


def _refusal(kind: str, name: str, answers: Iterator[Obj], backends: Backends) -> Problem | None:
    for answer in answers:
        if answer.get("type") in ("Accepted", "ResolvedRefs", "Programmed") and answer.get("status") == "False":
            if answer.get("reason") == PENDING:
                return Problem(reasons.WAITING_FOR_EDGE, f"the gateway still processes {kind} {name}: {quote(answer)}")
            if backends is not Backends.READY and _is_about_endpoints(answer):
                if backends is Backends.NONE:
                    continue
                return Problem(reasons.WAITING_FOR_EDGE, f"{kind} {name} has no ready pod to send traffic to yet")
            return Problem(reasons.NOT_ACCEPTED, f"the gateway refuses {kind} {name}: {quote(answer)}")
    return None


def _is_about_endpoints(answer: Obj) -> bool:
    """The Gateway API has no reason for this; Envoy Gateway reports "no ready endpoints" in its own words."""
    return any("endpoint" in str(answer.get(field) or "").lower() for field in ("reason", "message"))
