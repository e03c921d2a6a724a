"""The status of a Space: one condition per concern, each with its own cause, and Ready for all of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from decco.api.conditions import ConditionType
from decco.api.egress import EgressPolicy
from decco.desired import names, reasons
from decco.desired.answers import NOTHING_PROBED, Answers, answer_problems
from decco.desired.gateway_status import listener_problems, parent_gateway, policy_problem, status_of
from decco.desired.isolation import sandbox_problem
from decco.desired.mesh.meshes import mesh_kinds, meshes
from decco.desired.mesh_state import MeshPhase
from decco.desired.model import EgressPhase, Problem, SpaceInputs
from decco.desired.ownership import holders_of
from decco.desired.placement_status import not_placed, published
from decco.desired.routing import space_routing_problems
from decco.desired.secrets import CA_CRT, certificates_of, problem_of, space_use
from decco.desired.sidecar_resources import fit
from decco.desired.space import reserved_name
from decco.desired.status import Outcomes, Satisfied, Verdict, amended_status, conditions, verdict
from decco.frozen import frozen
from decco.objects import (
    ANNOTATION_SHARE_WITH,
    ANNOTATION_TRANSFER,
    CERTIFICATES,
    LIMIT_RANGES,
    NAMESPACES,
    NETWORK_POLICIES,
    RESOURCE_QUOTAS,
    SECRETS,
    Obj,
    annotations_of,
)
from decco.settings import RoutingBackend, Settings

ANNOTATION_UID_RANGE = "openshift.io/sa.scc.uid-range"
"""Written by OpenShift on each namespace; its default SecurityContextConstraints allow only these users."""

_TRANSFERRED = f"; its transfer took place before: for another, remove it from {ANNOTATION_TRANSFER} and add it again"
_UID_RANGE = re.compile(r"([0-9]{1,12})/([0-9]{1,12})|([0-9]{1,12})-([0-9]{1,12})")
_SHOWN = 5
"""Apps that a message names."""
_MESH_KINDS = frozenset(kind.kind for kind in mesh_kinds())
_OWN_KINDS = _MESH_KINDS | frozenset(
    kind.kind for kind in (NAMESPACES, NETWORK_POLICIES, RESOURCE_QUOTAS, LIMIT_RANGES, SECRETS, CERTIFICATES)
)


@frozen
class SpaceLive:
    """The live objects, and the status that other controllers wrote on them."""

    namespace: Obj | None = None
    """The namespace of the Space's name, if the Space owns it."""
    listeners: Obj | None = None
    """The Gateway or ListenerSet in it, if the Space owns it."""
    policies: Sequence[Obj] = ()
    """The policies of the edge for it."""
    gateway: Obj | None = None
    """The shared Gateway of the setting routing.parentGateway."""
    edge_service: Obj | None = None
    """The Service of the setting edge.service."""
    dns: Sequence[Problem] | None = None
    """Problems of the Space's records; None if there is no DNS provider."""
    answers: Answers = NOTHING_PROBED
    """What is known of the answers of the Space's own listener."""


def space_status(inputs: SpaceInputs, outcomes: Outcomes, live: SpaceLive, previous: Obj, now: datetime) -> Obj:
    """The complete status; ``previous`` is the current one, {} if there is none."""
    space = inputs.space
    verdicts: dict[ConditionType, Verdict] = {
        ConditionType.NAMESPACE_READY: _namespace(inputs, outcomes, live)
        or Satisfied("the namespace is there, with its quota and limits"),
        ConditionType.NETWORK_READY: _network(inputs, outcomes, live) or Satisfied("the namespace is isolated"),
    }
    if inputs.space.spec.mesh.value in meshes() or inputs.mesh_record is not None:
        mesh = (*_failed(outcomes, _MESH_KINDS), _mesh(inputs))
        verdicts[ConditionType.MESH_READY] = verdict(mesh, f"the Space is in the mesh {inputs.space.spec.mesh.value}")
    verdicts |= _secrets(inputs, outcomes, now)
    if inputs.claims.lost or inputs.settings.routing.backend is not RoutingBackend.NONE:
        routes = _routes(inputs, outcomes, live)
        routes = routes or reasons.combine(answer_problems(live.answers))
        verdicts[ConditionType.ROUTES_READY] = routes or _served(live.answers)
    if live.dns is not None:
        found = published(inputs.place, _records_are_there(inputs))
        verdicts[ConditionType.DNS_READY] = reasons.combine(live.dns) or found
    verdicts[ConditionType.READY] = _ready(verdicts.values())
    if inputs.place is not None and inputs.place.role is None and isinstance(verdicts[ConditionType.READY], Satisfied):
        verdicts[ConditionType.READY] = not_placed(inputs.place)
    status: Obj = {
        "observedGeneration": space.generation,
        "conditions": conditions(verdicts, previous, space.generation, now),
    }
    if live.namespace is not None:
        status["namespace"] = space.name
    if inputs.claims.holds(space.fqdn):
        status["hostname"] = space.fqdn
    if inputs.hostnames:
        status["hostnames"] = list(inputs.hostnames)
    if addresses := edge_addresses(inputs.settings, live):
        status["addresses"] = list(addresses)
    return status


def _records_are_there(inputs: SpaceInputs) -> str:
    if inputs.space.spec.http_hostnames:
        return "the DNS records of the FQDN and of the httpHostnames are as they should be"
    return "the DNS record of the FQDN is as it should be"


def _served(answers: Answers) -> Satisfied:
    if answers.refusal:
        message = (
            f"the Space has its host names and listeners; the routes of its Apps are not probed: {answers.refusal}"
        )
        return Satisfied(message, reasons.NOT_PROBED)
    if not answers.unreached:
        return Satisfied("the Space has its host names and listeners")
    message = (
        f"the Space has its host names and listeners; decco cannot reach the edge at {', '.join(answers.unreached)} "
        "from its own location, so it does not know whether they answer: allow its pod to connect to port 443 there, "
        "or set probe.enabled to false"
    )
    return Satisfied(message, reasons.NOT_PROBED)


def blocked_space_status(problem: Problem, generation: int, previous: Obj, now: datetime) -> Obj:
    """The status of a Space with an invalid spec: its objects stay, and stay in the status."""
    return amended_status({ConditionType.READY: problem}, generation, previous, now)


def edge_addresses(settings: Settings, live: SpaceLive) -> tuple[str, ...]:
    """Target addresses of the Space's host names, sorted.

    The setting ``edge.addresses`` has precedence over the addresses of ``edge.service``. The addresses of the Gateway
    are used only if neither is set. A Gateway always reports an address, and behind a NAT or a load balancer it is an
    internal one; so the result is empty if the Service has lost its address.
    """
    if settings.edge.addresses:
        found: Iterable[str] = settings.edge.addresses
    elif settings.edge.service is not None:
        entries = (status_of(live.edge_service).get("loadBalancer") or {}).get("ingress") or ()
        found = (entry.get("ip") or entry.get("hostname") for entry in entries)
    else:
        gateway = live.gateway if settings.routing.parent_gateway is not None else live.listeners
        found = (entry.get("value") for entry in status_of(gateway).get("addresses") or ())
    return tuple(sorted(set(filter(None, found))))


def _ready(verdicts: Iterable[Verdict]) -> Verdict:
    """The cause that Ready reports: a lost host name, or else the first that needs action, or else the first of all."""
    found = [each for each in verdicts if isinstance(each, Problem)]
    lost = [problem for problem in found if problem.reason == reasons.HOSTNAME_CONFLICT]
    acute = [problem for problem in found if problem.reason not in reasons.WAITING]
    return next(iter(lost or acute or found), Satisfied("the Space is ready", reasons.READY))


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
    limits = _failed(outcomes, {RESOURCE_QUOTAS.kind, LIMIT_RANGES.kind})
    sandbox = sandbox_problem(inputs.space, inputs.settings)
    return reasons.combine((*limits, sandbox, *_sidecar_refusals(inputs, live.namespace)))


def _is_terminating(namespace: Obj) -> bool:
    return "deletionTimestamp" in namespace["metadata"] or status_of(namespace).get("phase") == "Terminating"


def _sidecar_refusals(inputs: SpaceInputs, namespace: Obj) -> Iterator[Problem]:
    """Why the TLS sidecar would be refused in every pod of the Space, found before a pod is created."""
    sidecar = inputs.settings.sidecar
    for message in fit(sidecar.resources, inputs.space.spec).problems:
        yield Problem(reasons.SIDECAR_REFUSED, message)
    allowed = annotations_of(namespace).get(ANNOTATION_UID_RANGE)
    if sidecar.run_as_user is not None and allowed is not None and not _has_user(str(allowed), sidecar.run_as_user):
        message = (
            f"namespace {inputs.space.name} has a range of user ids (annotation {ANNOTATION_UID_RANGE}) without "
            f"{sidecar.run_as_user}, the user of decco's TLS sidecar; set sidecar.runAsUser to null"
        )
        yield Problem(reasons.SIDECAR_REFUSED, message)


def _has_user(text: str, user: int) -> bool:
    """Whether a range, ``<first>/<number>`` or ``<first>-<last>``, has the user; True for any other text."""
    match = _UID_RANGE.fullmatch(text.strip())
    if match is None:
        return True
    first, number, low, high = match.groups()
    if first is not None:
        return int(first) <= user < int(first) + int(number)
    return int(low) <= user <= int(high)


def _network(inputs: SpaceInputs, outcomes: Outcomes, live: SpaceLive) -> Problem | None:
    policy = NETWORK_POLICIES.kind, names.SPACE_OBJECT
    if policy in outcomes:
        return outcomes[policy] or _unknown_edge(inputs) or _egress(inputs)
    if live.namespace is not None and _is_terminating(live.namespace):
        message = "the NetworkPolicy that isolates the namespace is deleted with the namespace"
        return Problem(reasons.NAMESPACE_TERMINATING, message)
    reason = reasons.NAMESPACE_NOT_READY if live.namespace is None else reasons.NOT_WRITTEN
    return Problem(reason, "the NetworkPolicy that isolates the namespace is not written yet")


def _egress(inputs: SpaceInputs) -> Problem | None:
    """Whether a switch of the egress policy is under way."""
    if inputs.egress is not EgressPhase.PASSING:
        return None
    if inputs.space.spec.egress_policy is EgressPolicy.OPEN:
        message = "egress is open; policies of Apps still have rules for it, which are about to be removed"
    else:
        waits = ", ".join(inputs.egress_waits[:_SHOWN]) + (" and others" if len(inputs.egress_waits) > _SHOWN else "")
        message = (
            f"egress is still open, until the policies of its Apps have their targets ({waits}), for a minute at most"
        )
    return Problem(reasons.EGRESS_PENDING, message)


def _mesh(inputs: SpaceInputs) -> Problem | None:
    """Whether the Space has a mesh that the cluster does not serve, or is about to enter or leave one."""
    wanted, record = meshes().get(inputs.space.spec.mesh.value), inputs.mesh_record
    if wanted is not None and not inputs.served.keys() >= set(wanted.kinds):
        kinds = ", ".join(kind.kind for kind in wanted.kinds)
        message = (
            f"the cluster does not serve {kinds} of {wanted.kinds[0].group}, so pods are not protected by the mesh "
            f"{inputs.space.spec.mesh}, which is closed to clients of other namespaces: install {wanted.crds}, or set "
            "mesh to None"
        )
        return Problem(reasons.MESH_MISSING, message)
    if record is None or record.phase is MeshPhase.STRICT:
        return None
    enters = record.mesh == inputs.space.spec.mesh.value
    what = f"the Space {'enters' if enters else 'leaves'} the mesh {record.mesh}; connections without it are permitted"
    if waits := ", ".join(inputs.mesh_waits[:_SHOWN]) if enters else "":
        more = " and others" if len(inputs.mesh_waits) > _SHOWN else ""
        what = f"{what}, and pods enter once the policies of its Apps are there ({waits}{more})"
    return Problem(reasons.MESH_SWITCHING, what)


def _unknown_edge(inputs: SpaceInputs) -> Problem | None:
    """A Space with a project is open to its project and the edge; without a project, to all."""
    settings, project = inputs.settings, inputs.space.spec.project
    if project is None or settings.routing.backend is RoutingBackend.NONE:
        return None
    if settings.edge.namespace is not None or settings.edge.cidrs:
        return None
    message = (
        f"the Space has the project {project}, so its NetworkPolicies allow only that project and the edge, and the "
        "settings do not say where the edge is: set edge.namespace or edge.cidrs"
    )
    return Problem(reasons.EDGE_UNKNOWN, message)


def _secrets(inputs: SpaceInputs, outcomes: Outcomes, now: datetime) -> dict[ConditionType, Verdict]:
    """One condition for certificates and one for other Secrets: who waits for the one need not wait for the other."""
    spec, pull = inputs.space.spec, frozenset(inputs.settings.sidecar.image_pull_secrets)
    others = frozenset(spec.secrets) | (pull & inputs.secrets.keys())
    kinds = {SECRETS.kind, CERTIFICATES.kind}
    failed = {name: problem for (kind, name), problem in outcomes.items() if kind in kinds and problem}
    # Copies that only Apps need are certificates, and part of the Space's condition only if they fail.
    known = inputs.secrets.keys() | failed.keys() | inputs.issuing.keys()
    certificates = certificates_of(spec) | (known - others)
    found: dict[ConditionType, Verdict] = {}
    if certificates & known:
        found[ConditionType.CERTIFICATES_READY] = _usable(inputs, certificates, failed, now)
    if others:
        found[ConditionType.SECRETS_READY] = _usable(inputs, others, failed, now)
    return found


def _usable(inputs: SpaceInputs, names: Collection[str], failed: Mapping[str, Problem], now: datetime) -> Verdict:
    """If all are usable, the message names the certificates that are not in use yet."""
    space, fqdn, namespace = inputs.space.name, inputs.space.fqdn, inputs.settings.namespace
    views = [view for name, view in sorted(inputs.secrets.items()) if name in names]
    problems = [
        inputs.issuing[view.name]
        if view.name in inputs.issuing
        else problem_of(
            view, space=space, fqdn=fqdn, controller_namespace=namespace, now=now, use=space_use(inputs, view.name)
        )
        for view in views
    ]
    waiting = [
        f"; the new certificate of Secret {name} is in force at {moment:%H:%M:%S} UTC, because its {CA_CRT} has changed"
        for name, moment in sorted(inputs.in_force.items())
        if name in inputs.secrets and name in names
    ]
    ambiguous = [
        f"; Warning: Secret {namespace}/{view.name} is shared by the bare name {space}, which a Space of another "
        f"domain may have: its owner should write {fqdn} in {ANNOTATION_SHARE_WITH}"
        for view in views
        if view.by_bare_name
    ]
    lacking = sorted((inputs.issuing.keys() & set(names)) - {view.name for view in views})
    problems += [inputs.issuing[name] for name in lacking]
    message = "".join(["the Secrets that the Space names are there and usable", *waiting, *ambiguous])
    return verdict((*problems, *(problem for name, problem in sorted(failed.items()) if name in names)), message)


def _failed(outcomes: Outcomes, kinds: Collection[str]) -> Iterator[Problem]:
    for (kind, _), problem in sorted(outcomes.items(), key=lambda item: item[0]):
        if problem is not None and kind in kinds:
            yield problem


def _routes(inputs: SpaceInputs, outcomes: Outcomes, live: SpaceLive) -> Problem | None:
    lost = [
        Problem(
            reasons.HOSTNAME_CONFLICT,
            f"{name}, or a name above or below it, is granted to Space {owner}"
            + inputs.departed.get(owner, ": give it up in one of the two")
            + (_TRANSFERRED if name in inputs.transferred else ""),
        )
        for name, owner in sorted(inputs.claims.lost.items())
    ]
    if lost:
        return reasons.combine(lost)
    routing_kinds = {kind for kind, _ in outcomes} - _OWN_KINDS
    written = reasons.combine((*space_routing_problems(inputs), *_failed(outcomes, routing_kinds)))
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
    gateway = parent_gateway(inputs.settings.routing, inputs.space.name, inputs.gateway_controller)
    limits = (policy_problem(policy, gateway) for policy in live.policies)
    return reasons.combine((*listener_problems(live.listeners), *limits))
