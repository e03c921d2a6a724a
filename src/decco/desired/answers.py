"""From what a probe saw, and what the caches contain, to the broken link in front of an endpoint.

A link nearer to the pod is the cause of what is seen farther away, and the caches have those: a missing Service or no
ready pod explains a connection that the edge closes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import NamedTuple

from decco.desired import reasons
from decco.desired.model import Problem
from decco.frozen import frozen
from decco.objects import Obj

PROBE_PATH = "/.well-known/decco-probe"
"""Path at the FQDN that decco's own routes answer, and no App."""
PROBE_DOMAIN = "decco-probe.invalid"
"""Host names below it are the answers of these routes; RFC 6761 keeps .invalid free of real names."""
STARTING_DOMAIN = f"starting.{PROBE_DOMAIN}"
"""Those of routes whose gateway may not know a ready pod yet."""
NO_ROUTE = f"none.{PROBE_DOMAIN}"
"""Answer of the Space's route."""


@frozen
class Answer:
    """What was observed of one endpoint at one address; ``result`` is a value of ``probe.model.Result``."""

    endpoint: str
    server_name: str
    address: str
    result: str
    detail: str = ""
    tcp: bool = False
    """Whether TLS ends in the pod, so that a handshake needs one."""
    service: bool = True
    """Whether its Service exists."""
    ready_pods: bool = True


@frozen
class Answers:
    """What is known of all probed endpoints of an object."""

    failed: tuple[Answer, ...] = ()
    waiting: tuple[str, ...] = ()
    """Host names without an answer yet."""
    unreached: tuple[str, ...] = ()
    """Addresses that cannot be reached from the controller."""
    refusal: str = ""
    """Why the gateway refuses the route that answers probes, if it does."""


NOTHING_PROBED = Answers()


def answer_problems(answers: Answers) -> Iterable[Problem]:
    """The broken links, and what has not answered yet."""
    # Silence has one cause; a closed connection has several, so it comes after that.
    for answer in sorted(answers.failed, key=lambda each: each.tcp and each.result == CLOSED):
        yield _problem(answer)
    for name in sorted(set(answers.waiting)):
        yield Problem(reasons.WAITING_FOR_ANSWER, f"the edge has not answered for {name} yet")


class _Link(NamedTuple):
    """What a result says about the edge, and what to do."""

    reason: str
    text: str


CLOSED = "closed"
_LINKS = {
    "connect": _Link(
        reasons.ADDRESS_UNREACHABLE, "accepts no connection; look at the proxy's pods, or correct edge.addresses"
    ),
    CLOSED: _Link(
        reasons.LISTENER_NOT_ANSWERING, "ends the connection in the TLS handshake; look at the log of the proxy"
    ),
    "alert": _Link(reasons.REFUSED_BY_PROXY, "refuses the TLS handshake; renew the certificate with a common key type"),
    "certificate": _Link(
        reasons.WRONG_CERTIFICATE, "presents another certificate than the Secret has; look at the log of the proxy"
    ),
    "chain": _Link(
        reasons.INCOMPLETE_CHAIN, "sends the certificate without its issuers'; look at the log of the proxy"
    ),
    "not_requested": _Link(
        reasons.CLIENT_CERTIFICATE_NOT_REQUESTED, "requests no client certificate; set the edge to pass TLS through"
    ),
    "route": _Link(
        reasons.ROUTE_NOT_ANSWERING, "answers, but not by the route of this endpoint; look at the log of the proxy"
    ),
    "silent": _Link(
        reasons.BACKEND_BLOCKED,
        "accepts the connection, and nothing behind it answers; look at the NetworkPolicies of the namespace, and set "
        "edge.namespace or edge.cidrs",
    ),
    "port_closed": _Link(
        reasons.PORT_CLOSED, "reaches the sidecar, but the container's port is closed; correct the endpoint's port"
    ),
    "application": _Link(
        reasons.APPLICATION_ERROR, "reaches the App, which answers with an error; correct the App or probePath"
    ),
}
"""By ``probe.model.Result``."""
_CLOSED_PASSING = _Link(
    reasons.LISTENER_NOT_ANSWERING,
    "ends the connection in the TLS handshake: it has no listener or route for the name yet, or gets no connection to "
    "the pods; look at the log of the proxy, the NetworkPolicies of the namespace, and edge.namespace or edge.cidrs",
)
"""Where the edge passes TLS on: it also ends the connection of a client when it gets none itself."""
_NO_SERVICE = _Link(reasons.SERVICE_MISSING, "reaches no pod, because the Service is gone; look at the log of decco")
_NO_POD = _Link(reasons.NO_READY_POD, "reaches no pod, because none is ready; look at WorkloadReady")
_BEHIND = frozenset({CLOSED, "alert", "silent", "port_closed", "application"})
"""Results that a missing pod explains, if TLS ends in the pod or the answer is the App's."""


def _problem(answer: Answer) -> Problem:
    link = _CLOSED_PASSING if answer.tcp and answer.result == CLOSED else _LINKS[answer.result]
    if answer.result in _BEHIND and (answer.tcp or answer.result in {"silent", "application"}):
        if not answer.service:
            link = _NO_SERVICE
        elif not answer.ready_pods:
            link = _NO_POD
    detail = f" ({answer.detail})" if answer.detail else ""
    return Problem(
        link.reason,
        f"endpoint {answer.endpoint}, asked for as {answer.server_name}: "
        f"the edge at {answer.address} {link.text}{detail}",
    )


# -- the routes that answer -------------------------------------------------------------------------------------------


def probe_path_of(endpoint: str) -> str:
    return f"{PROBE_PATH}/{endpoint}"


def probe_host(rules: list[Obj], *, starting: bool = False) -> str:
    """The answer of a route with these rules; ``starting``: see ``AppInputs.starting``."""
    digest = hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()
    return f"{digest[:32]}.{STARTING_DOMAIN if starting else PROBE_DOMAIN}"


def probe_rule(match: Obj, host: str) -> Obj:
    """A rule of an HTTPRoute that answers itself."""
    redirect = {"type": "RequestRedirect", "requestRedirect": {"hostname": host, "statusCode": 302}}
    return {"matches": [{"path": match}], "filters": [redirect]}


def probe_answer(route: Obj) -> tuple[str, str] | None:
    """Path and answer of the rule of an HTTPRoute that answers itself; None if it has none."""
    for rule in reversed(route.get("spec", {}).get("rules") or ()):
        for each in rule.get("filters") or ():
            host = str(each.get("requestRedirect", {}).get("hostname") or "")
            if host.endswith(PROBE_DOMAIN):
                return str(rule["matches"][0]["path"]["value"]), host
    return None
