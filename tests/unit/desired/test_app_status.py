from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from decco.api.conditions import RunOutcome
from decco.desired.app import AppDesired, app_children
from decco.desired.app_status import AppLive, app_status, blocked_app_status, route_requeue_after
from decco.desired.model import AppInputs, Problem, SecretState
from decco.desired.runs import JobEnd, RunRecord, job_view, run_digest
from decco.desired.workload_status import deployment_verdict, grace_left
from decco.objects import ANNOTATION_RESUMED, ANNOTATION_RUN, Obj
from tests.unit.desired.app_cases import FQDN, GOOD_SECRETS, NOW, app, secret

HTTP = app({"httpUrlPath": "/web"})
TCP = app({}, name="db")
JOB = app({"runAsJob": True, "endpoints": []})
BARE = app({"endpoints": []})
LATER = NOW + timedelta(hours=1)


def children_of(inputs: AppInputs) -> dict[tuple[str, str], Obj]:
    found = {(child.resource.kind, child.obj["metadata"]["name"]): child.obj for child in app_children(inputs).children}
    return copy.deepcopy(found)


def written(inputs: AppInputs, **problems: Problem | None) -> dict[tuple[str, str], Problem | None]:
    """Every child of the App written; ``problems`` by kind."""
    return {address: problems.get(address[0]) for address in children_of(inputs)}


def rolled_out(obj: Obj) -> Obj:
    conditions = [
        {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
    ]
    obj["metadata"]["generation"] = 2
    obj["status"] = {"observedGeneration": 2, "conditions": conditions}
    return obj


def accepted(obj: Obj, **statuses: str) -> Obj:
    given = {"Accepted": "True", "ResolvedRefs": "True", **statuses}
    conditions = [
        {"type": type_, "status": status, "reason": "Some", "message": f"why\n {type_}", "observedGeneration": 7}
        for type_, status in given.items()
    ]
    obj["metadata"]["generation"] = 7
    obj["status"] = {
        "parents": [
            {"parentRef": {"kind": "Gateway", "name": "other", "sectionName": "tls"}, "conditions": []},
            {"parentRef": obj["spec"]["parentRefs"][0], "controllerName": "x", "conditions": conditions},
        ]
    }
    return obj


def settled(inputs: AppInputs) -> AppLive:
    workload = None
    routes = {}
    for (kind, name), obj in children_of(inputs).items():
        if kind == "Deployment":
            workload = rolled_out(obj)
        elif kind in ("HTTPRoute", "TLSRoute"):
            routes[kind, name] = accepted(obj)
    return AppLive(workload, routes)


def status_of(
    inputs: AppInputs,
    live: AppLive | None = None,
    outcomes: dict[tuple[str, str], Problem | None] | None = None,
    previous: Obj | None = None,
    now: Any = NOW,
    **more: Any,
) -> Obj:
    return app_status(
        inputs,
        app_children(inputs),
        written(inputs) if outcomes is None else outcomes,
        settled(inputs) if live is None else live,
        previous or {},
        now,
        **more,
    )


def conditions(status: Obj) -> dict[str, tuple[str, str]]:
    return {condition["type"]: (condition["status"], condition["reason"]) for condition in status["conditions"]}


WELL = ("True", "Reconciled")
READY = ("True", "Ready")


# -- the whole --------------------------------------------------------------------------------------------------------


def test_a_settled_http_app() -> None:
    assert status_of(HTTP) == {
        "observedGeneration": 5,
        "conditions": [
            {
                "type": type_,
                "status": "True",
                "observedGeneration": 5,
                "lastTransitionTime": "2026-06-01T12:00:00Z",
                "reason": reason,
                "message": message,
            }
            for type_, reason, message in (
                ("Ready", "Ready", "Everything is as the spec asks"),
                ("WorkloadReady", "Reconciled", "Deployment web is rolled out and available"),
                ("CertificatesReady", "Reconciled", "All certificates are there and valid"),
                ("RoutesReady", "Reconciled", "All routes are in effect"),
            )
        ],
        "url": f"https://{FQDN}/web",
        "replicas": 1,
        "endpoints": [{"name": "web", "hostname": FQDN, "url": f"https://{FQDN}/web", "port": 80}],
    }


@pytest.mark.parametrize(
    ("endpoint", "want"),
    [
        ({}, {"hostname": f"e.{FQDN}", "url": f"tls://e.{FQDN}:443", "port": 443}),
        ({"tlsListenPort": 8443}, {"hostname": f"e.{FQDN}", "url": f"tls://e.{FQDN}:443", "port": 8443}),
        ({"httpPath": "/"}, {"hostname": FQDN, "url": f"https://{FQDN}/", "port": 80}),
        ({"httpPath": "/a/"}, {"hostname": FQDN, "url": f"https://{FQDN}/a/", "port": 80}),
        ({"isMetricsEndpoint": True}, {"port": 9}),
        ({"hostname": "not.mine.test"}, {"port": 443}),
    ],
)
def test_how_an_endpoint_is_reached(endpoint: dict[str, Any], want: dict[str, Any]) -> None:
    inputs = app({"endpoints": [{"name": "e", "port": 9, **endpoint}]})
    status = status_of(inputs)
    assert status["endpoints"] == [{"name": "e", **want}]
    assert status.get("url") == want.get("url")


def test_without_a_routing_backend_no_url_is_published() -> None:
    inputs = app({"httpUrlPath": "/web"}, routing={"backend": "none"})
    status = status_of(inputs)
    assert status["endpoints"] == [{"name": "web", "hostname": FQDN, "port": 80}]
    assert "url" not in status
    assert conditions(status) == {"Ready": READY, "WorkloadReady": WELL, "CertificatesReady": WELL}


def test_a_settled_app_is_never_written_again() -> None:
    first = status_of(HTTP)
    assert status_of(HTTP, previous=first, now=LATER) == first


def test_a_change_moves_its_own_transition_time_only() -> None:
    first = status_of(HTTP)
    lost = replace(HTTP, secrets={"http": secret("http", SecretState.MISSING)})
    second = status_of(lost, previous=first, now=LATER)
    times = {condition["type"]: condition["lastTransitionTime"] for condition in second["conditions"]}
    assert times == {
        "Ready": "2026-06-01T13:00:00Z",
        "WorkloadReady": "2026-06-01T12:00:00Z",
        "CertificatesReady": "2026-06-01T13:00:00Z",
        "RoutesReady": "2026-06-01T12:00:00Z",
    }
    assert conditions(second)["Ready"] == ("False", "SecretMissing")


def test_a_condition_that_does_not_apply_any_more_goes() -> None:
    first = status_of(HTTP)
    assert conditions(status_of(BARE, previous=first)) == {"Ready": READY, "WorkloadReady": WELL}


def test_dns_is_reported_only_if_there_is_something_to_report() -> None:
    assert "DNSReady" not in conditions(status_of(TCP))
    assert conditions(status_of(TCP, dns=[]))["DNSReady"] == WELL
    reported = conditions(status_of(TCP, dns=[Problem("ZoneNotFound", "no zone")]))
    assert (reported["DNSReady"], reported["Ready"]) == (("False", "ZoneNotFound"), ("False", "ZoneNotFound"))


def test_ready_names_the_condition_that_is_not() -> None:
    status = status_of(HTTP, outcomes=written(HTTP, Service=Problem("Conflict", "Service web is foreign")))
    ready = status["conditions"][0]
    assert (ready["status"], ready["reason"]) == ("False", "Conflict")
    assert ready["message"] == "WorkloadReady: Service web is foreign"


# -- WorkloadReady ----------------------------------------------------------------------------------------------------


def deployment(generation: int = 2, observed: int = 2, **conditions: tuple[str, str]) -> Obj:
    given = {"Available": ("True", "x"), "Progressing": ("True", "NewReplicaSetAvailable"), **conditions}
    return {
        "metadata": {"name": "web", "generation": generation},
        "spec": {"replicas": 3},
        "status": {
            "observedGeneration": observed,
            "replicas": 4,
            "conditions": [{"type": t, "status": s, "reason": r, "message": "m"} for t, (s, r) in given.items() if s],
        },
    }


DEADLINE = ("False", "ProgressDeadlineExceeded")


@pytest.mark.parametrize(
    ("live", "want"),
    [
        (None, ("False", "Progressing")),
        ({"metadata": {"name": "web", "generation": 1}, "spec": {}}, ("False", "Progressing")),
        (deployment(), WELL),
        (deployment(generation=3), ("False", "Progressing")),
        (deployment(Progressing=("True", "ReplicaSetUpdated")), ("False", "Progressing")),
        (deployment(Progressing=("", "")), ("False", "Progressing")),
        (deployment(Available=("False", "x")), ("False", "Unavailable")),
        (deployment(Available=("", "")), ("False", "Unavailable")),
        (deployment(Progressing=DEADLINE), ("False", "ProgressDeadlineExceeded")),
        (deployment(Progressing=DEADLINE, generation=3), ("False", "Progressing")),
        (deployment(ReplicaFailure=("True", "FailedCreate")), ("False", "ReplicaFailure")),
        (deployment(ReplicaFailure=("False", "x")), WELL),
    ],
    ids=[
        "not there yet",
        "no status yet",
        "rolled out",
        "a new spec that was not reconciled",
        "being rolled out",
        "no word of progress",
        "too few pods",
        "no word of availability",
        "stuck",
        "was stuck, has a new spec",
        "pods refused",
        "pods were refused",
    ],
)
def test_deployments(live: Obj | None, want: tuple[str, str]) -> None:
    assert conditions(status_of(BARE, AppLive(live)))["WorkloadReady"] == want


def test_replicas_are_what_the_deployment_asks_for() -> None:
    """Not what it has for a moment of a rollout: that would be a write for each pod that starts."""
    assert status_of(BARE, AppLive(deployment()))["replicas"] == 3
    assert "replicas" not in status_of(BARE, AppLive())
    assert "replicas" not in status_of(JOB, AppLive({"metadata": {"name": "web"}, "spec": {"replicas": 3}}))


def test_refused_pods_are_reported_without_their_names() -> None:
    def message(pod: str) -> str:
        live = deployment(ReplicaFailure=("True", "FailedCreate"))
        live["status"]["conditions"][-1]["message"] = f'pods "{pod}" is forbidden: exceeded quota: decco'
        return deployment_verdict("web", live, NOW).message

    one, other = message("web-74b9d4f7c9-q2x5z"), message("web-74b9d4f7c9-k8mmt")
    reported = 'Deployment web cannot create pods: pods "web-…" is forbidden: exceeded quota: decco'
    assert one == other == f"{reported}; change the pod, or what refuses it"


RUN = run_digest(JOB.spec.pod)
META = {
    "name": "web",
    "namespace": "acme",
    "uid": "u1",
    "annotations": {ANNOTATION_RUN: RUN, ANNOTATION_RESUMED: "true"},
}
RECORDED = replace(JOB, run=RunRecord(RUN, "u1"))


def job_live(live: Obj | None, **more: Any) -> AppLive:
    return AppLive(live, job=job_view(live) if live is not None else None, **more)


def job(suspend: bool = False, started: bool = True, **conditions: tuple[str, str]) -> Obj:
    return {
        "metadata": META,
        "spec": {"suspend": suspend},
        "status": {
            **({"startTime": "2026-06-01T12:00:00Z", "active": 1} if started else {}),
            "conditions": [{"type": t, "status": s, "reason": r, "message": "m"} for t, (s, r) in conditions.items()],
        },
    }


@pytest.mark.parametrize(
    ("live", "want"),
    [
        (None, ("False", "Progressing")),
        (job(started=False), ("False", "JobRunning")),
        (job(), ("False", "JobRunning")),
        (job(SuccessCriteriaMet=("True", "x")), ("False", "JobRunning")),
        (job(suspend=True, started=False), ("False", "JobSuspended")),
        (job(Complete=("True", "x")), ("True", "JobComplete")),
        (job(Failed=("True", "BackoffLimitExceeded")), ("False", "JobFailed")),
        (job(suspend=True, Complete=("True", "x")), ("True", "JobComplete")),
    ],
)
def test_jobs(live: Obj | None, want: tuple[str, str]) -> None:
    inputs = RECORDED if live is not None else JOB
    assert conditions(status_of(inputs, job_live(live)))["WorkloadReady"] == want


@pytest.mark.parametrize(
    ("counts", "age", "want", "left"),
    [
        ({}, 5, "JobRunning", 25.0),
        ({}, 31, "ReplicaFailure", 0.0),
        ({"active": 1}, 31, "JobRunning", 0.0),
        ({"failed": 1}, 31, "JobRunning", 0.0),
        ({"succeeded": 1}, 31, "JobRunning", 0.0),
        ({"terminating": 1}, 31, "JobRunning", 0.0),
    ],
)
def test_a_job_whose_pods_cannot_be_created(counts: dict[str, int], age: int, want: str, left: float) -> None:
    started = NOW - timedelta(seconds=age)
    live = {
        "metadata": META,
        "spec": {},
        "status": {"startTime": started.strftime("%Y-%m-%dT%H:%M:%SZ"), **counts},
    }
    reported = {each["type"]: each for each in status_of(RECORDED, job_live(live))["conditions"]}["WorkloadReady"]
    assert reported["reason"] == want
    assert grace_left(live, NOW) == left
    assert ("kubectl describe job web --namespace acme" in reported["message"]) == (want == "ReplicaFailure")


def running(age: float, **status: Any) -> Obj:
    """The status of a Job that was resumed ``age`` seconds ago."""
    live = job()
    start = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    resumed = [{"type": "Suspended", "status": "False", "reason": "JobResumed"}]
    return {**live, "status": {"startTime": start, "conditions": resumed, **status}}


@pytest.mark.parametrize(
    ("status", "age", "reason", "words"),
    [
        ({"active": 1, "ready": 0}, 5, "JobRunning", "has not finished yet"),
        ({"active": 1, "ready": 0}, 46, "JobStalled", "does not become ready"),
        ({"active": 1, "ready": 1}, 46, "JobRunning", "has not finished yet"),
        ({"active": 1}, 46, "JobRunning", "has not finished yet"),
        ({"failed": 1}, 5, "JobRunning", "a pod of it failed"),
        ({"active": 1, "ready": 1, "failed": 2}, 46, "JobRunning", "a pod of it failed"),
        ({}, 31, "ReplicaFailure", "has started and has no pod"),
    ],
    ids=["young", "no pod is ready", "ready", "an API server that counts no ready pods", "retry", "retries", "no pod"],
)
def test_a_job_that_cannot_start_says_why(status: dict[str, int], age: float, reason: str, words: str) -> None:
    reported = {each["type"]: each for each in status_of(RECORDED, job_live(running(age, **status)))["conditions"]}
    assert reported["WorkloadReady"]["reason"] == reason
    assert words in reported["WorkloadReady"]["message"]


def test_the_end_of_a_long_job_is_not_taken_for_one_that_cannot_start() -> None:
    """While its sidecar ends, a pod is not ready any more and still active."""
    seen = status_of(RECORDED, job_live(running(50, active=1, ready=1)))
    assert seen["job"] == {"run": RUN, "uid": "u1", "started": True}
    ending = replace(JOB, run=RunRecord(RUN, "u1", started=True))
    assert conditions(status_of(ending, job_live(running(300, active=1, ready=0))))["WorkloadReady"][1] == "JobRunning"


def test_a_new_job_is_recorded_before_it_runs() -> None:
    new = job(suspend=True, started=False)
    new["metadata"] = {**META, "annotations": {ANNOTATION_RUN: RUN}}
    status = status_of(JOB, job_live(new))
    assert status["job"] == {"run": RUN, "uid": "u1"}
    assert conditions(status)["WorkloadReady"] == ("False", "Progressing")


def test_a_finished_job_that_is_gone_keeps_its_verdict() -> None:
    done = JobEnd(RunOutcome.COMPLETE, "2026-06-01T12:00:00Z", "")
    over = replace(JOB, run=RunRecord(RUN, "u1", end=done))
    status = status_of(over, AppLive())
    assert conditions(status) == {"Ready": READY, "WorkloadReady": ("True", "JobComplete")}
    assert status["job"] == {"run": RUN, "uid": "u1", "outcome": "Complete", "completionTime": "2026-06-01T12:00:00Z"}
    assert status_of(RECORDED, AppLive(ended=done)) == status, "removed before its end was recorded"
    failed = replace(over, run=RunRecord(RUN, "u1", end=replace(done, outcome=RunOutcome.FAILED, message="no more")))
    reported = status_of(failed, AppLive())
    assert conditions(reported)["WorkloadReady"] == ("False", "JobFailed")
    assert "Job web failed: no more" in reported["conditions"][1]["message"]
    assert blocked_app_status(Problem("Invalid", "x"), 1, reported, NOW)["job"] == reported["job"]


def test_a_job_that_was_not_seen_to_finish_says_how_to_run_it_again() -> None:
    status = status_of(replace(RECORDED, job_lost=True), AppLive())
    assert conditions(status)["WorkloadReady"] == ("False", "JobDeleted")
    assert "change the pod" in status["conditions"][1]["message"]
    assert status["job"]["outcome"] == "Deleted"


def test_a_running_job_that_somebody_deletes_is_not_said_to_come_back() -> None:
    live = running(5, active=1, ready=1)
    reported = status_of(RECORDED, AppLive(live, job=replace(job_view(live), deleting=True)))["conditions"][1]
    assert reported["reason"] == "JobRunning"
    assert "not run a second time" in reported["message"]


def test_the_end_of_the_former_run_is_not_that_of_the_new_one() -> None:
    """Its Job is complete and being deleted; a status of the new generation must not report that."""
    former = job(Complete=("True", "x"))
    changed = replace(RECORDED, spec=app({"runAsJob": True, "pod": {"containers": [{"name": "other"}]}}).spec)
    status = status_of(changed, AppLive(former, job=replace(job_view(former), deleting=True)))
    assert conditions(status)["WorkloadReady"] == ("False", "Progressing")


@pytest.mark.parametrize("ended", ["Complete", "Failed"])
def test_routes_of_a_finished_job_do_not_count(ended: str) -> None:
    inputs = app({"runAsJob": True, "httpUrlPath": "/web"})
    inputs = replace(inputs, run=RunRecord(run_digest(inputs.spec.pod), "u1"))
    route = accepted(children_of(inputs)["HTTPRoute", "web"], Accepted="False")
    live = job(**{ended: ("True", "x")})
    live["metadata"] = {**META, "annotations": {ANNOTATION_RUN: run_digest(inputs.spec.pod)}}
    status = status_of(inputs, job_live(live, routes={("HTTPRoute", "web"): route}))
    assert "RoutesReady" not in conditions(status)
    assert conditions(status)["Ready"][0] == ("True" if ended == "Complete" else "False")
    refused = status_of(inputs, job_live(live), written(inputs, HTTPRoute=Problem("Conflict", "foreign")))
    assert conditions(refused)["RoutesReady"] == ("False", "Conflict"), "what the spec caused is reported"


def without_endpoints(obj: Obj) -> Obj:
    accepted(obj, ResolvedRefs="False")["status"]["parents"][1]["conditions"][1]["message"] = "no ready endpoints"
    return obj


def test_a_route_without_ready_endpoints_waits_while_the_pods_start() -> None:
    starting = replace(routed(TCP, without_endpoints), workload=deployment(Progressing=("True", "ReplicaSetUpdated")))
    status = status_of(TCP, starting)
    assert conditions(status)["RoutesReady"] == ("False", "WaitingForEdge")
    assert route_requeue_after(status, LATER) is None, "the Deployment's own events are enough"
    ready = status_of(TCP, routed(TCP, without_endpoints), previous=status, now=LATER)
    assert conditions(ready)["RoutesReady"] == ("False", "WaitingForEdge"), "the gateway has not received them yet"
    assert route_requeue_after(ready, LATER + timedelta(seconds=4)) == 6.0
    late = status_of(TCP, routed(TCP, without_endpoints), previous=ready, now=LATER + timedelta(seconds=11))
    assert conditions(late)["RoutesReady"] == ("False", "NotAccepted")
    assert route_requeue_after(late, LATER) is None


def test_a_route_without_endpoints_is_fine_where_none_are_wanted() -> None:
    scaled = routed(TCP, without_endpoints)
    assert scaled.workload is not None
    scaled.workload["spec"]["replicas"] = 0
    assert conditions(status_of(TCP, scaled))["RoutesReady"] == WELL


@pytest.mark.parametrize("kind", ["NetworkPolicy", "ConfigMap", "Service", "Deployment"])
def test_a_refused_child_of_the_workload_comes_before_what_the_old_one_says(kind: str) -> None:
    status = status_of(TCP, outcomes=written(TCP, **{kind: Problem("Invalid", "no")}))
    assert conditions(status) == {
        "Ready": ("False", "Invalid"),
        "WorkloadReady": ("False", "Invalid"),
        "CertificatesReady": WELL,
        "RoutesReady": WELL,
    }


def test_a_child_that_was_not_tried_is_reported() -> None:
    outcomes = {address: problem for address, problem in written(TCP).items() if address[0] != "Deployment"}
    assert conditions(status_of(TCP, outcomes=outcomes))["WorkloadReady"] == ("False", "NotWritten")


def test_findings_are_reported_in_their_conditions() -> None:
    inputs = app({"endpoints": [{"name": "a", "port": 1}, {"name": "b", "port": 2, "hostname": "x.test"}]})
    reported = conditions(status_of(inputs))
    assert reported["RoutesReady"] == ("False", "HostnameNotAllowed")
    assert reported["WorkloadReady"] == WELL
    clash = app({"pod": {"containers": [{"name": "decco-tls", "ports": [{"containerPort": 1}]}]}})
    assert conditions(status_of(clash, live=AppLive(deployment())))["WorkloadReady"] == ("False", "ReservedName")


# -- CertificatesReady ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "want"),
    [
        (secret("tcp"), WELL),
        (secret("tcp", not_after=LATER), WELL),
        (secret("tcp", not_after=NOW - timedelta(seconds=1)), ("False", "CertificateExpired")),
        (secret("tcp", problem=Problem("SecretInvalid", "half a key")), ("False", "SecretInvalid")),
        (secret("tcp", SecretState.MISSING), ("False", "SecretMissing")),
        (secret("tcp", SecretState.PENDING), ("False", "SecretPending")),
    ],
)
def test_certificates(view: Any, want: tuple[str, str]) -> None:
    inputs = replace(TCP, secrets={**GOOD_SECRETS, "tcp": view})
    assert conditions(status_of(inputs))["CertificatesReady"] == want


# -- RoutesReady ------------------------------------------------------------------------------------------------------


def routed(inputs: AppInputs, change: Any) -> AppLive:
    live = settled(inputs)
    (address, obj), *_ = live.routes.items()
    return replace(live, routes={address: change(copy.deepcopy(obj))})


def _without_status(obj: Obj) -> Obj:
    del obj["status"]
    return obj


def _older(obj: Obj) -> Obj:
    obj["metadata"]["generation"] = 8
    return obj


def _other_parent(obj: Obj) -> Obj:
    del obj["status"]["parents"][1]
    return obj


def _pending(obj: Obj) -> Obj:
    condition = accepted(obj, Accepted="False")["status"]["parents"][1]["conditions"][0]
    condition["reason"] = "Pending"
    return obj


@pytest.mark.parametrize("inputs", [HTTP, TCP], ids=["HTTPRoute", "TLSRoute"])
@pytest.mark.parametrize(
    ("change", "want"),
    [
        (lambda obj: obj, WELL),
        (_without_status, ("False", "WaitingForEdge")),
        (_older, ("False", "WaitingForEdge")),
        (_other_parent, ("False", "WaitingForEdge")),
        (_pending, ("False", "WaitingForEdge")),
        (lambda obj: accepted(obj, Accepted="False"), ("False", "NotAccepted")),
        (lambda obj: accepted(obj, ResolvedRefs="False"), ("False", "NotAccepted")),
        (lambda obj: accepted(obj, Programmed="False"), ("False", "NotAccepted")),
        (lambda obj: accepted(obj, Programmed="Unknown"), WELL),
    ],
    ids=[
        "in effect",
        "no answer",
        "an answer about an older generation",
        "another parent's answer",
        "not read yet",
        "refused",
        "unresolved",
        "not programmed",
        "unknown",
    ],
)
def test_routes(inputs: AppInputs, change: Any, want: tuple[str, str]) -> None:
    assert conditions(status_of(inputs, routed(inputs, change)))["RoutesReady"] == want


def test_routes_that_a_new_version_writes_again_are_in_effect_as_their_former_ones_are() -> None:
    live = routed(HTTP, _older)
    assert conditions(status_of(HTTP, live, former=True))["RoutesReady"] == WELL
    refused = routed(HTTP, lambda obj: _older(accepted(obj, Accepted="False")))
    assert conditions(status_of(HTTP, refused, former=True))["RoutesReady"] == ("False", "NotAccepted")
    nothing = routed(HTTP, _without_status)
    assert conditions(status_of(HTTP, nothing, former=True))["RoutesReady"] == ("False", "WaitingForEdge")


@pytest.mark.parametrize(
    "changed", [{"kind": "Gateway"}, {"name": "other"}, {"sectionName": "other"}], ids=["kind", "name", "listener"]
)
def test_an_answer_for_another_listener_is_none(changed: dict[str, str]) -> None:
    def other(obj: Obj) -> Obj:
        obj["status"]["parents"][1]["parentRef"] |= changed
        return obj

    assert conditions(status_of(HTTP, routed(HTTP, other)))["RoutesReady"] == ("False", "WaitingForEdge")


def test_a_refusal_is_quoted_on_one_line() -> None:
    status = status_of(HTTP, routed(HTTP, lambda obj: accepted(obj, Accepted="False")))
    message = next(c["message"] for c in status["conditions"] if c["type"] == "RoutesReady")
    assert message == "the gateway refuses HTTPRoute web: why Accepted"


def test_a_route_that_could_not_be_written_is_reported() -> None:
    status = status_of(TCP, outcomes=written(TCP, TLSRoute=Problem("Conflict", "foreign")))
    assert conditions(status)["RoutesReady"] == ("False", "Conflict")
    assert conditions(status)["WorkloadReady"] == WELL


@pytest.mark.parametrize(
    ("ancestors", "want"),
    [
        (None, WELL),
        ([{"conditions": [{"type": "Accepted", "status": "True"}]}], WELL),
        ([{"conditions": [{"type": "Accepted", "status": "False", "reason": "Invalid"}]}], ("False", "NotAccepted")),
        ([{"conditions": [{"type": "ResolvedRefs", "status": "False"}]}], ("False", "NotAccepted")),
    ],
)
def test_a_refused_backend_tls_policy_is_reported(ancestors: Any, want: tuple[str, str]) -> None:
    inputs = app({"httpUrlPath": "/web"}, space={"encryptHttp": True})
    live = settled(inputs)
    policy = children_of(inputs)["BackendTLSPolicy", "web"]
    if ancestors is not None:
        shared = {"kind": "Gateway", "name": "shared", "namespace": "edge"}
        policy["status"] = {"ancestors": [{"ancestorRef": shared, **each} for each in ancestors]}
    live = replace(live, routes={**live.routes, ("BackendTLSPolicy", "web"): policy})
    assert conditions(status_of(inputs, live))["RoutesReady"] == want


@pytest.mark.parametrize("dialect", ["haproxy", "nginx", "traefik"])
def test_an_ingress_is_in_effect_once_it_is_written(dialect: str) -> None:
    spec = {"endpoints": [{"name": "a", "port": 1, "httpPath": "/a"}, {"name": "b", "port": 2}]}
    inputs = app(spec, routing={"backend": "ingress", "ingressDialect": dialect})
    assert conditions(status_of(inputs))["RoutesReady"] == WELL
    refused = status_of(inputs, outcomes=written(inputs, Ingress=Problem("Invalid", "no")))
    assert conditions(refused)["RoutesReady"] == ("False", "Invalid")


# -- blocked ----------------------------------------------------------------------------------------------------------


def test_an_app_without_a_space_says_so_and_keeps_what_it_knew() -> None:
    before = status_of(HTTP)
    status = blocked_app_status(Problem("SpaceNotFound", "There is no Space"), 6, before, LATER)
    assert conditions(status) == {"Ready": ("False", "SpaceNotFound")}
    assert status["observedGeneration"] == 6
    assert status["conditions"][0]["lastTransitionTime"] == "2026-06-01T13:00:00Z"
    assert {key: status[key] for key in ("url", "replicas", "endpoints")} == {
        key: before[key] for key in ("url", "replicas", "endpoints")
    }
    assert blocked_app_status(Problem("SpaceNotFound", "There is no Space"), 6, status, LATER + timedelta(1)) == status
    assert blocked_app_status(Problem("Invalid", "x"), 1, {}, NOW).keys() == {"observedGeneration", "conditions"}


def test_what_is_given_is_never_changed() -> None:
    desired: AppDesired = app_children(HTTP)
    live, previous = settled(HTTP), status_of(HTTP)
    copies = copy.deepcopy((desired.children, live, previous))
    app_status(HTTP, desired, written(HTTP), live, previous, LATER)
    assert (desired.children, live, previous) == copies


@pytest.mark.parametrize("stopped", [False, True])
def test_a_refused_workload_is_not_reported_as_suspended(stopped: bool) -> None:
    """One write has the refused change and the end of the pods, so the pods run on, and the status says it."""
    inputs = app({"httpUrlPath": "/web", "suspend": True})
    live = rolled_out(children_of(app({"httpUrlPath": "/web"}))["Deployment", "web"])
    live["spec"]["replicas"] = 0 if stopped else 2
    route = accepted(children_of(inputs)["HTTPRoute", "web"])
    outcomes = written(inputs, Deployment=Problem("Invalid", "the API server refuses it"))
    found = AppLive(workload=live, routes={("HTTPRoute", "web"): route})
    status = app_status(inputs, app_children(inputs), outcomes, found, {}, NOW)
    conditions = {each["type"]: each for each in status["conditions"]}
    message = conditions["WorkloadReady"]["message"]
    assert message.endswith("the pods run on") is not stopped
    assert conditions["RoutesReady"]["reason"] != "Suspended"
