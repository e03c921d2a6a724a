"""The status of an App.

A message is constant while its cause lasts: it has no counters, times or names of pods. So the status of a stable App
is not written again, and each Event reports a change. The only number is ``replicas``: the desired replicas of the
Deployment, not the current ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from decco.api.conditions import APP_CONDITIONS, ConditionType, set_condition
from decco.desired import reasons
from decco.desired.app import AppDesired
from decco.desired.endpoints import EndpointKind, ResolvedEndpoint
from decco.desired.live_job import job_state
from decco.desired.live_routes import ENDPOINTS_SECONDS, Backends, route_problem
from decco.desired.live_workload import workload_state
from decco.desired.model import AppInputs, Child, Problem
from decco.desired.runs import JobEnd, JobView, RunRecord, observe, run_digest, seconds_to_next_run
from decco.objects import CONFIGMAPS, DEPLOYMENTS, JOBS, NETWORK_POLICIES, SERVICES, Obj
from decco.settings import RoutingBackend

EDGE_PORT = 443
"""Port of the edge for HTTPS and TLS."""

Outcomes = Mapping[tuple[str, str], Problem | None]
"""(kind, name) of a child -> why it is not in its desired state, or None. Absent: not tried."""

_WORKLOADS = (DEPLOYMENTS, JOBS)
_OF_THE_WORKLOAD = (*_WORKLOADS, NETWORK_POLICIES, CONFIGMAPS, SERVICES)
_KEPT_WHILE_BLOCKED = ("url", "replicas", "endpoints", "job")

_ALL_WELL = {
    ConditionType.CERTIFICATES_READY: "All certificates are there and valid",
    ConditionType.ROUTES_READY: "All routes are in effect",
    ConditionType.DNS_READY: "All DNS records are there",
}


@dataclass(frozen=True, slots=True)
class AppLive:
    """The live children whose own status is evaluated."""

    workload: Obj | None = None
    routes: Mapping[tuple[str, str], Obj] = field(default_factory=dict)
    """By kind and name."""
    job: JobView | None = None
    """The App's Job, whether it is still desired or not."""
    ended: JobEnd | None = None
    """The end of the recorded Job, if it was observed before the Job was deleted."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """A condition's content."""

    good: bool
    reason: str
    message: str


def app_status(
    inputs: AppInputs,
    desired: AppDesired,
    outcomes: Outcomes,
    live: AppLive,
    previous: Obj,
    now: datetime,
    dns: Sequence[Problem] | None = None,
) -> Obj:
    """The complete status. ``dns`` has the problems of the App's records; None if it has no records."""
    run = current_run(inputs, live, now)
    verdicts: dict[ConditionType, _Verdict] = {}
    for condition in APP_CONDITIONS[1:]:
        if condition in desired.conditions:
            backends = _backends(verdicts.get(ConditionType.WORKLOAD_READY), live, previous, now)
            verdict = _verdict(condition, inputs, desired, outcomes, live, run, backends, now)
            if verdict is not None:
                verdicts[condition] = verdict
    if dns is not None:
        problem = reasons.combine(dns)
        verdicts[ConditionType.DNS_READY] = _verdict_of(problem, _ALL_WELL[ConditionType.DNS_READY])

    routed = inputs.settings.routing.backend is not RoutingBackend.NONE
    endpoints = [_endpoint_status(endpoint, routed=routed) for endpoint in desired.resolved.endpoints]
    status: Obj = {"observedGeneration": inputs.generation}
    status["conditions"] = _conditions(verdicts, previous, inputs.generation, now)
    url = next((endpoint["url"] for endpoint in endpoints if "url" in endpoint), None)
    if url is not None:
        status["url"] = url
    replicas = (live.workload or {}).get("spec", {}).get("replicas")
    if replicas is not None and not inputs.spec.run_as_job:
        status["replicas"] = replicas
    if endpoints:
        status["endpoints"] = endpoints
    if run is not None:
        status["job"] = run.status()
    return status


def current_run(inputs: AppInputs, live: AppLive, now: datetime) -> RunRecord | None:
    """The record of the App's Job for the new status."""
    digest = run_digest(inputs.spec.pod) if inputs.spec.run_as_job else ""
    run = observe(digest, inputs.run, live.job, live.ended, now, lost=inputs.job_lost)
    if not digest and not seconds_to_next_run(digest, run, inputs.spec.pod, now):
        return None
    return run


def blocked_app_status(problem: Problem, generation: int, previous: Obj, now: datetime) -> Obj:
    """The status of an App that cannot be reconciled: no Space, no namespace, or an invalid spec.

    Its objects keep running, so its endpoints stay in the status. The conditions of its parts are not evaluated and
    are removed.
    """
    verdict = _Verdict(False, problem.reason, problem.message)
    return {
        "observedGeneration": generation,
        "conditions": [_condition(ConditionType.READY, verdict, previous, generation, now)],
        **{key: previous[key] for key in _KEPT_WHILE_BLOCKED if key in previous},
    }


def _verdict(
    condition: ConditionType,
    inputs: AppInputs,
    desired: AppDesired,
    outcomes: Outcomes,
    live: AppLive,
    run: RunRecord | None,
    backends: Backends,
    now: datetime,
) -> _Verdict | None:
    """None for a condition that does not apply."""
    if run is not None and (not inputs.spec.run_as_job or run.run != run_digest(inputs.spec.pod)):
        run = None  # of another pod
    over = run is not None and run.end is not None
    problems = [finding.problem for finding in desired.findings if finding.condition is condition]
    if condition is ConditionType.ROUTES_READY:
        for child in desired.children:
            if child.resource not in _OF_THE_WORKLOAD:
                # A Job that has ended has no pods behind its routes, so their status is ignored.
                problems += _route_problems(child, outcomes, live if not over else None, backends)
        if over and not problems:
            return None
    if condition is not ConditionType.WORKLOAD_READY:
        return _verdict_of(reasons.combine(problems), _ALL_WELL[condition])

    own = [child for child in desired.children if child.resource in _OF_THE_WORKLOAD]
    problems += [problem for child in own if (problem := _outcome(child, outcomes)) is not None]
    pods = next((child for child in own if child.resource in _WORKLOADS), None)
    if not problems and inputs.spec.run_as_job:
        job = job_state(inputs.name, live.workload, live.job, run, now)
        return _Verdict(job.ready, job.reason, job.message)
    if problems or pods is None:
        # The live object may be of an earlier spec: what prevents its update comes first.
        return _verdict_of(reasons.combine(problems), "")
    state = workload_state(pods, live.workload, now)
    return _Verdict(state.ready, state.reason, state.message)


def _verdict_of(problem: Problem | None, well: str) -> _Verdict:
    if problem is None:
        return _Verdict(True, reasons.RECONCILED, well)
    return _Verdict(False, problem.reason, problem.message)


def _backends(workload: _Verdict | None, live: AppLive, previous: Obj, now: datetime) -> Backends:
    """``workload`` is the verdict of this reconcile, ``previous`` the status before it."""
    if (live.workload or {}).get("spec", {}).get("replicas") == 0:
        return Backends.NONE
    if workload is None or not workload.good:
        return Backends.STARTING
    return Backends.STARTING if _seconds_to_endpoints(previous, now) else Backends.READY


def route_requeue_after(status: Obj, now: datetime) -> float | None:
    """Seconds after which routes that wait for the edge need a reconcile without an event, or None.

    Before the workload is ready, its own events trigger the reconcile.
    """
    found = {each["type"]: each for each in status["conditions"]}
    waiting = found.get(ConditionType.ROUTES_READY, {}).get("reason") == reasons.WAITING_FOR_EDGE
    ready = found.get(ConditionType.WORKLOAD_READY, {}).get("status") == "True"
    return (_seconds_to_endpoints(status, now) or None) if waiting and ready else None


def _seconds_to_endpoints(status: Obj, now: datetime) -> float:
    """How much longer a gateway may need to observe the pods of a workload that has become ready."""
    for condition in status.get("conditions") or ():
        if condition["type"] == ConditionType.WORKLOAD_READY and condition["status"] == "True":
            age = (now - datetime.fromisoformat(condition["lastTransitionTime"])).total_seconds()
            return max(0.0, ENDPOINTS_SECONDS - age)
    return ENDPOINTS_SECONDS


def _route_problems(child: Child, outcomes: Outcomes, live: AppLive | None, backends: Backends) -> Iterator[Problem]:
    problem = _outcome(child, outcomes)
    if problem is None and live is not None:
        problem = route_problem(child, live.routes.get(_address(child)), backends)
    if problem is not None:
        yield problem


def _outcome(child: Child, outcomes: Outcomes) -> Problem | None:
    kind, name = _address(child)
    if (kind, name) not in outcomes:
        return Problem(reasons.NOT_WRITTEN, f"{kind} {name} waits for what comes before it")
    return outcomes[kind, name]


def _address(child: Child) -> tuple[str, str]:
    return child.resource.kind, child.obj["metadata"]["name"]


def _conditions(verdicts: Mapping[ConditionType, _Verdict], previous: Obj, generation: int, now: datetime) -> list[Obj]:
    """Ready first, then the others in their order; a condition that does not apply is absent."""
    bad = [(condition, verdict) for condition, verdict in verdicts.items() if not verdict.good]
    problem = reasons.combine(Problem(v.reason, f"{condition}: {v.message}") for condition, v in bad)
    if problem is None:
        ready = _Verdict(True, reasons.READY, "Everything is as the spec asks")
    else:
        ready = _Verdict(False, problem.reason, problem.message)
    every = {ConditionType.READY: ready, **verdicts}
    return [
        _condition(condition, every[condition], previous, generation, now)
        for condition in APP_CONDITIONS
        if condition in every
    ]


def _condition(condition: ConditionType, verdict: _Verdict, previous: Obj, generation: int, now: datetime) -> Obj:
    before = [old for old in previous.get("conditions") or () if old.get("type") == condition]
    status = "True" if verdict.good else "False"
    return set_condition(before, condition, status, verdict.reason, verdict.message, generation, now)[0]


def _endpoint_status(endpoint: ResolvedEndpoint, *, routed: bool) -> Obj:
    """How an endpoint is reached: ``url`` through the edge, ``port`` at its Service."""
    status: Obj = {"name": endpoint.name}
    if endpoint.hostname is not None:
        status["hostname"] = endpoint.hostname
    if routed and endpoint.routed:
        http = endpoint.kind is EndpointKind.HTTP
        status["url"] = (
            f"https://{endpoint.hostname}{endpoint.path}" if http else f"tls://{endpoint.hostname}:{EDGE_PORT}"
        )
    status["port"] = endpoint.service_port
    return status
