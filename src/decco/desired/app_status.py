"""The status of an App: a verdict for each condition that applies to it, and how its endpoints are reached.

The only number is ``replicas``: the desired replicas of the Deployment, not the current ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime

from decco.api.conditions import ConditionType
from decco.api.workload_kinds import WorkloadKind
from decco.desired import names, reasons
from decco.desired.answers import NOTHING_PROBED, Answers, answer_problems
from decco.desired.app import AppDesired
from decco.desired.endpoints import ResolvedEndpoint
from decco.desired.gateway_status import ENDPOINTS_SECONDS, Backends, parent_gateway, route_problem
from decco.desired.job_status import job_verdict
from decco.desired.mesh.meshes import meshes
from decco.desired.model import AppInputs, Child, Problem
from decco.desired.placement_status import leaving, not_placed, published
from decco.desired.runs import JobEnd, JobView, RunRecord, observe, seconds_to_next_run
from decco.desired.stateful_set_status import pods_due, stateful_set_verdict
from decco.desired.status import Outcomes, Satisfied, Verdict, conditions, verdict
from decco.desired.suspension import SUSPENDED_APP, SUSPENDED_ROUTES, not_suspended, suspended_verdict
from decco.desired.workload_status import deployment_verdict, grace_left
from decco.frozen import frozen
from decco.objects import (
    CONFIGMAPS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    JOBS,
    NETWORK_POLICIES,
    SERVICES,
    STATEFUL_SETS,
    Obj,
)
from decco.settings import RoutingBackend

EDGE_PORT = 443
"""Port of the edge for HTTPS and TLS."""

_STOPPED = (reasons.SUSPENDED, reasons.NOT_PLACED, reasons.PROGRESSING)
_OF_THE_WORKLOAD = (
    *(DEPLOYMENTS, STATEFUL_SETS, JOBS, NETWORK_POLICIES, CONFIGMAPS, SERVICES, DISRUPTION_BUDGETS),
    *(kind for mesh in meshes().values() for kind in mesh.kinds),
)


@frozen
class AppLive:
    """The live children whose own status is evaluated."""

    workload: Obj | None = None
    routes: Mapping[tuple[str, str], Obj] = field(default_factory=dict)
    """By kind and name."""
    job: JobView | None = None
    """The App's Job, whether it is still desired or not."""
    ended: JobEnd | None = None
    """The end of the recorded Job, if it was observed before the Job was deleted."""

    @property
    def replicas(self) -> int | None:
        replicas: int | None = (self.workload or {}).get("spec", {}).get("replicas")
        return replicas


def app_status(
    inputs: AppInputs,
    desired: AppDesired,
    outcomes: Outcomes,
    live: AppLive,
    previous: Obj,
    now: datetime,
    dns: Sequence[Problem] | None = None,
    answers: Answers = NOTHING_PROBED,
    *,
    former: bool = False,
) -> Obj:
    """The complete status. ``dns`` has the problems of the App's records; None if it has no records. ``former``:
    routes are in effect as long as an earlier generation of them is.
    """
    run = current_run(inputs, live.job, live.ended, now)
    own_run = run if run is not None and inputs.run_digest and run.run == inputs.run_digest else None
    verdicts = {ConditionType.WORKLOAD_READY: _workload(inputs, desired, outcomes, live, own_run, previous, now)}
    if ConditionType.NETWORK_READY in desired.problems:
        problems = desired.problems[ConditionType.NETWORK_READY]
        verdicts[ConditionType.NETWORK_READY] = verdict(problems, "The declared egresses are permitted")
    if ConditionType.CERTIFICATES_READY in desired.problems:
        problems = desired.problems[ConditionType.CERTIFICATES_READY]
        verdicts[ConditionType.CERTIFICATES_READY] = verdict(problems, "All certificates are there and valid")
    if ConditionType.ROUTES_READY in desired.problems:
        backends = _backends(verdicts[ConditionType.WORKLOAD_READY], live, previous, now)
        routes = list(_route_problems(inputs, desired, outcomes, live, own_run, backends, former=former))
        if not routes:
            # What gateways report comes first: they know more of a refusal than a probe sees.
            routes = list(answer_problems(answers))
        if routes or own_run is None or own_run.end is None:
            verdicts[ConditionType.ROUTES_READY] = verdict(routes, "All routes are in effect")
        stopped = verdicts[ConditionType.WORKLOAD_READY].reason in _STOPPED
        if inputs.spec.suspend and stopped and isinstance(verdicts.get(ConditionType.ROUTES_READY), Satisfied):
            verdicts[ConditionType.ROUTES_READY] = not_placed(inputs.away) if inputs.away else SUSPENDED_ROUTES
    if dns is not None:
        found = published(inputs.place, "All DNS records are there")
        verdicts[ConditionType.DNS_READY] = reasons.combine(dns) or found

    routed = inputs.settings.routing.backend is not RoutingBackend.NONE
    endpoints = [_endpoint_status(endpoint, routed=routed) for endpoint in desired.resolved.endpoints]
    verdicts[ConditionType.READY] = _ready(verdicts)
    status: Obj = {"observedGeneration": inputs.generation}
    status["conditions"] = conditions(verdicts, previous, inputs.generation, now)
    url = next((endpoint["url"] for endpoint in endpoints if "url" in endpoint), None)
    if url is not None:
        status["url"] = url
    if live.replicas is not None and inputs.spec.workload_kind is not WorkloadKind.JOB:
        status["replicas"] = live.replicas
        if inputs.spec.replicas is not None:
            status["selector"] = ",".join(f"{key}={value}" for key, value in names.pod_selector(inputs.name).items())
    if endpoints:
        status["endpoints"] = endpoints
    if run is not None:
        status["job"] = run.status()
    return status


def blocked_app_status(problem: Problem, generation: int, previous: Obj, now: datetime) -> Obj:
    """The status of an App that cannot be reconciled: no Space, no namespace, or an invalid spec.

    Its objects keep running, so its endpoints stay in the status. The conditions of its parts are not evaluated and
    are removed.
    """
    ready = conditions({ConditionType.READY: problem}, previous, generation, now)
    return {**previous, "observedGeneration": generation, "conditions": ready}


def current_run(inputs: AppInputs, job: JobView | None, ended: JobEnd | None, now: datetime) -> RunRecord | None:
    """The record of the App's Job for the new status; see AppLive."""
    digest = inputs.run_digest
    run = observe(digest, inputs.run, job, ended, now, lost=inputs.job_lost)
    if not digest and not seconds_to_next_run(digest, run, inputs.spec.pod, now):
        return None
    return run


def workload_requeue_after(inputs: AppInputs, live: AppLive, status: Obj, now: datetime) -> float | None:
    """Seconds until something is to be reported of a workload that does not change; ``status`` is the new one."""
    if inputs.spec.workload_kind is WorkloadKind.STATEFUL_SET:
        return pods_due(live.workload, status, now) or None
    return grace_left(live.workload, now) or None


def route_requeue_after(status: Obj, now: datetime) -> float | None:
    """Seconds after which routes that wait for the edge need a reconcile without an event, or None.

    Before the workload is ready, its own events trigger the reconcile.
    """
    found = {each["type"]: each for each in status["conditions"]}
    waiting = found.get(ConditionType.ROUTES_READY, {}).get("reason") == reasons.WAITING_FOR_EDGE
    ready = found.get(ConditionType.WORKLOAD_READY, {}).get("status") == "True"
    return (_seconds_to_endpoints(status, now) or None) if waiting and ready else None


def _ready(verdicts: Mapping[ConditionType, Verdict]) -> Verdict:
    problems = [
        Problem(found.reason, f"{condition}: {found.message}")
        for condition, found in verdicts.items()
        if isinstance(found, Problem)
    ]
    workload = verdicts[ConditionType.WORKLOAD_READY]
    if not problems and workload.reason == reasons.SUSPENDED:
        return SUSPENDED_APP
    if not problems and workload.reason == reasons.NOT_PLACED:
        return workload
    return reasons.combine(problems) or Satisfied("Everything is as the spec asks", reasons.READY)


def _workload(
    inputs: AppInputs,
    desired: AppDesired,
    outcomes: Outcomes,
    live: AppLive,
    run: RunRecord | None,
    previous: Obj,
    now: datetime,
) -> Verdict:
    """``run`` is the record of the run of the present pod."""
    own = [child for child in desired.children if child.resource in _OF_THE_WORKLOAD]
    written = [_outcome(child, outcomes) for child in own]
    problem = reasons.combine([*desired.problems[ConditionType.WORKLOAD_READY], *written])
    if problem is not None:  # the live object may be of an earlier spec: what prevents its update comes first
        kind, stops = inputs.spec.workload_kind, inputs.spec.suspend and inputs.away is None
        return not_suspended(problem, kind, inputs.name, live.workload) if stops else problem
    if inputs.place is not None and inputs.place.waits:
        return leaving(inputs.place)
    if inputs.spec.suspend and (run is None or run.end is None):
        found = suspended_verdict(inputs.spec.workload_kind, inputs.name, live.workload)
        return not_placed(inputs.away) if inputs.away and isinstance(found, Satisfied) else found
    match inputs.spec.workload_kind:
        case WorkloadKind.JOB:
            return job_verdict(inputs.name, live.workload, live.job, run, now)
        case WorkloadKind.STATEFUL_SET:
            return stateful_set_verdict(inputs.name, live.workload, previous, now)
        case WorkloadKind.DEPLOYMENT:
            return deployment_verdict(inputs.name, live.workload, now)


def _route_problems(
    inputs: AppInputs,
    desired: AppDesired,
    outcomes: Outcomes,
    live: AppLive,
    run: RunRecord | None,
    backends: Backends,
    *,
    former: bool,
) -> Iterator[Problem]:
    """A Job that has ended has no pods behind its routes, so what gateways report of them is ignored."""
    yield from desired.problems[ConditionType.ROUTES_READY]
    over = run is not None and run.end is not None
    gateway = parent_gateway(inputs.settings.routing, inputs.space.name, inputs.gateway_controller)
    for child in desired.children:
        if child.resource not in _OF_THE_WORKLOAD:
            problem = _outcome(child, outcomes)
            if problem is None and not over:
                problem = route_problem(child, live.routes.get(_address(child)), gateway, backends, former=former)
            if problem is not None:
                yield problem


def _backends(workload: Verdict, live: AppLive, previous: Obj, now: datetime) -> Backends:
    """``workload`` is the verdict of this reconcile, ``previous`` the status before it."""
    if live.replicas == 0:
        return Backends.NONE
    if isinstance(workload, Problem) or _seconds_to_endpoints(previous, now):
        return Backends.STARTING
    return Backends.READY


def _seconds_to_endpoints(status: Obj, now: datetime) -> float:
    """How much longer a gateway may need to observe the pods of a workload that has become ready."""
    for condition in status.get("conditions") or ():
        if condition["type"] == ConditionType.WORKLOAD_READY and condition["status"] == "True":
            age = (now - datetime.fromisoformat(condition["lastTransitionTime"])).total_seconds()
            return max(0.0, ENDPOINTS_SECONDS - age)
    return ENDPOINTS_SECONDS


def _outcome(child: Child, outcomes: Outcomes) -> Problem | None:
    kind, name = _address(child)
    if (kind, name) not in outcomes:
        return Problem(reasons.NOT_WRITTEN, f"{kind} {name} waits for what comes before it")
    return outcomes[kind, name]


def _address(child: Child) -> tuple[str, str]:
    return child.resource.kind, child.obj["metadata"]["name"]


def _endpoint_status(endpoint: ResolvedEndpoint, *, routed: bool) -> Obj:
    """How an endpoint is reached: ``url`` through the edge, ``port`` at its Service."""
    status: Obj = {"name": endpoint.name}
    if endpoint.hostname is not None:
        status["hostname"] = endpoint.hostname
    if routed and endpoint.routed:
        urls = [f"https://{name}{each.path}" for name in endpoint.http_names for each in endpoint.paths]
        status["url"] = next(iter(urls), f"tls://{endpoint.hostname}:{EDGE_PORT}")
        if len(urls) > 1:
            status["urls"] = urls
    status["port"] = endpoint.service_port
    return status
