from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from decco.api.types import AppSpec
from decco.desired.app import app_children
from decco.desired.model import AppInputs
from decco.desired.runs import JobView, RunRecord, run_digest
from decco.objects import CONFIGMAPS, DEPLOYMENTS, JOBS, STATEFUL_SETS, Key, Obj
from tests.unit.desired.app_cases import POD, addresses, app, by_address, pod_of, reasons_of

LIVE = JobView(
    uid="u1", run=run_digest(POD), suspended=True, resumed=False, deleting=False, ready=False, start_time="", end=None
)
"""The Job of an App with the usual pod, as it is right after its creation."""
EGRESS = {"localPort": 80, "fqdn": "x.test"}
ZONE = "topology.kubernetes.io/zone"


def deployment(inputs: AppInputs) -> Obj:
    return by_address(inputs)["Deployment", "web"]


def job(inputs: AppInputs) -> Obj:
    return by_address(inputs)["Job", "web"]


def with_pod(**fields: Any) -> dict[str, Any]:
    return {"pod": {**POD, **fields}}


def test_the_users_pod_is_handed_on_as_it_is_and_never_changed() -> None:
    pod = {
        **POD,
        "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["x"]}],
        "initContainers": [{"name": "init", "image": "x"}],
        "volumes": [{"name": "data", "emptyDir": {}}],
        "securityContext": {"fsGroup": 5, "sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]},
        "topologySpreadConstraints": [{"topologyKey": "kubernetes.io/hostname", "maxSkew": 1}],
        "somethingNew": {"of": ["tomorrow"]},
    }
    spec = {"pod": pod, "tlsEgresses": [{"localPort": 80, "fqdn": "x.test"}]}
    inputs = app(spec, space={"topology": {"zoneSpread": "Require"}, "runtimeClassName": "kata"})
    before = copy.deepcopy(inputs.spec.pod)
    made = pod_of(inputs)
    assert inputs.spec.pod == before == pod

    # A change of the output must not change the input.
    _scramble(made)
    assert inputs.spec.pod == before

    added = pod_of(inputs)
    assert added["containers"] == pod["containers"]
    assert added["somethingNew"] == pod["somethingNew"]
    assert [c["name"] for c in added["initContainers"]] == ["decco-tls", "init"]
    assert added["volumes"][0] == {"name": "data", "emptyDir": {}}
    assert [s["name"] for s in added["securityContext"]["sysctls"]] == [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_unprivileged_port_start",
    ]
    assert added["securityContext"]["fsGroup"] == 5
    assert [c["topologyKey"] for c in added["topologySpreadConstraints"]] == ["kubernetes.io/hostname", ZONE]


def test_on_the_hosts_network_the_node_decides_who_may_have_low_ports() -> None:
    """The server refuses a pod that sets a sysctl of the host's network."""
    spec = {"tlsEgresses": [{"localPort": 80, "fqdn": "x.test"}]}
    assert "sysctls" in pod_of(app(spec))["securityContext"]
    assert "securityContext" not in pod_of(app({**spec, "pod": {**POD, "hostNetwork": True}}))


def _scramble(value: Any) -> None:
    if isinstance(value, dict):
        for item in value.values():
            _scramble(item)
        value["scrambled"] = True
    elif isinstance(value, list):
        for item in value:
            _scramble(item)
        value.append("scrambled")


def test_a_deployment() -> None:
    made = deployment(app({"initialReplicas": 3}))
    assert made["spec"]["replicas"] == 3
    assert made["metadata"]["annotations"] == {"decco.platform9.com/initial-replicas": "3"}
    assert made["spec"]["selector"] == {"matchLabels": {"decco.platform9.com/app": "web"}}
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert made["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert labels == {
        "app.kubernetes.io/managed-by": "decco",
        "decco.platform9.com/space": "beta",
        "decco.platform9.com/app": "web",
    }
    assert sorted(made["spec"]) == ["replicas", "selector", "template"]


def test_no_replicas_is_a_number_too() -> None:
    assert deployment(app({"initialReplicas": 0}))["spec"]["replicas"] == 0


# -- Job --------------------------------------------------------------------------------------------------------------


def test_a_job() -> None:
    recorded = replace(app({"runAsJob": True, "jobBackoffLimit": 2}), job=LIVE, run=RunRecord(LIVE.run, LIVE.uid))
    made = job(recorded)
    assert made["spec"]["backoffLimit"] == 2
    assert sorted(made["spec"]) == ["backoffLimit", "template"]
    assert "Deployment/web" not in addresses(app({"runAsJob": True}))
    assert "backoffLimit" not in job(app({"runAsJob": True}))["spec"]


def test_a_job_is_suspended_until_its_run_is_recorded() -> None:
    inputs = app({"runAsJob": True})
    assert job(inputs)["spec"]["suspend"] is True
    assert job(replace(inputs, job=LIVE))["spec"]["suspend"] is True
    assert "suspend" not in job(replace(inputs, job=replace(LIVE, suspended=False)))["spec"], "of an earlier version"
    assert "suspend" not in job(replace(inputs, simulated=True))["spec"], "shown as it will run"


def test_a_job_is_resumed_once() -> None:
    recorded = replace(app({"runAsJob": True}), job=LIVE, run=RunRecord(LIVE.run, LIVE.uid))
    resumed = job(recorded)
    assert resumed["metadata"]["annotations"]["decco.platform9.com/resumed"] == "true"
    assert "suspend" not in resumed["spec"]
    again = job(replace(recorded, job=replace(LIVE, resumed=True)))
    assert again["spec"]["suspend"] is True, "a queue, or a person, decides from now on"
    assert job(replace(recorded, job=replace(LIVE, resumed=True, suspended=False))) == resumed
    former = job(replace(recorded, job=replace(LIVE, suspended=False)))
    assert "decco.platform9.com/resumed" not in former["metadata"]["annotations"], "a Job of an earlier version"


def test_a_run_that_is_recorded_and_whose_job_is_gone_gets_no_other_job() -> None:
    over = replace(app({"runAsJob": True, "tlsEgresses": [EGRESS]}), run=RunRecord(LIVE.run, LIVE.uid))
    assert [each for each in addresses(over) if each.startswith(("Job", "Deployment"))] == []
    assert "ConfigMap/web-stunnel" in addresses(over), "pods of a deleted Job may still read it"
    assert reasons_of(over) == []
    assert app_children(over).keep == frozenset()


@pytest.mark.parametrize(
    ("written", "made"), [(None, "Never"), ("OnFailure", "OnFailure"), ("Never", "Never"), ("Always", "Always")]
)
def test_the_restart_policy_of_a_job_is_filled_in_only_if_absent(written: str | None, made: str) -> None:
    pod = POD if written is None else {**POD, "restartPolicy": written}
    assert pod_of(app({"runAsJob": True, "pod": pod}))["restartPolicy"] == made
    assert "restartPolicy" not in pod_of(app())


def _run(inputs: AppInputs) -> str:
    return str(job(inputs)["metadata"]["annotations"]["decco.platform9.com/run"])


def test_a_job_runs_again_for_another_pod_and_for_nothing_else() -> None:
    once = _run(app({"runAsJob": True}))
    assert len(once) == 32
    turned = {"containers": [dict(reversed(POD["containers"][0].items()))]}
    same = [
        app({"runAsJob": True, "pod": turned}),
        app({"runAsJob": True, "jobBackoffLimit": 9}),
        app({"runAsJob": True, "endpoints": [{"name": "x", "port": 9}]}),
        app({"runAsJob": True}, space={"runtimeClassName": "kata"}),
    ]
    assert {_run(inputs) for inputs in same} == {once}
    other = {"containers": [{**POD["containers"][0], "image": "example.test/app:2"}]}
    assert _run(app({"runAsJob": True, "pod": other})) != once


def test_the_digest_of_a_pod_distinguishes_types() -> None:
    assert len({run_digest({"a": value}) for value in (1, "1", True, None, [1], {"1": 1}, 1.5)}) == 7
    assert run_digest({"a": "\ud800"}) != run_digest({"a": "\ud801"})


# -- what the Space adds ----------------------------------------------------------------------------------------------


def test_the_spaces_runtime_class_is_a_default() -> None:
    assert pod_of(app(space={"runtimeClassName": "kata"}))["runtimeClassName"] == "kata"
    assert (
        pod_of(app(with_pod(runtimeClassName=None), space={"runtimeClassName": "kata"}))["runtimeClassName"] == "kata"
    )
    own = app(with_pod(runtimeClassName="gvisor"), space={"runtimeClassName": "kata"})
    assert pod_of(own)["runtimeClassName"] == "gvisor"
    assert "runtimeClassName" not in pod_of(app())


@pytest.mark.parametrize(
    ("spread", "unsatisfiable"), [("Off", None), ("Prefer", "ScheduleAnyway"), ("Require", "DoNotSchedule")]
)
def test_zone_spread(spread: str, unsatisfiable: str | None) -> None:
    space = {"topology": {"zoneSpread": spread}}
    want = {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": unsatisfiable,
        "labelSelector": {"matchLabels": {"decco.platform9.com/app": "web"}},
    }
    got = pod_of(app(space=space)).get("topologySpreadConstraints")
    assert got == (None if unsatisfiable is None else [{**want, "matchLabelKeys": ["pod-template-hash"]}])
    got = pod_of(app({"runAsJob": True}, space=space)).get("topologySpreadConstraints")
    assert got == (None if unsatisfiable is None else [want])


def test_the_users_own_rule_for_zones_stands() -> None:
    own = [{"topologyKey": ZONE, "maxSkew": 3, "whenUnsatisfiable": "ScheduleAnyway"}]
    inputs = app(with_pod(topologySpreadConstraints=own), space={"topology": {"zoneSpread": "Require"}})
    assert pod_of(inputs)["topologySpreadConstraints"] == own


# -- names that the sidecar needs -------------------------------------------------------------------------------------

SECRET_VOLUME = pod_of(app())["volumes"][1]["name"]

CLASHES: dict[str, dict[str, Any]] = {
    "container": {"containers": [{**POD["containers"][0], "name": "decco-tls"}]},
    "init container": {**POD, "initContainers": [{"name": "decco-tls", "image": "x"}]},
    "config volume": {**POD, "volumes": [{"name": "decco-tls-config", "emptyDir": {}}]},
    "Secret's volume": {**POD, "volumes": [{"name": SECRET_VOLUME, "emptyDir": {}}]},
}


@pytest.mark.parametrize("case", CLASHES)
def test_a_name_of_the_sidecar_is_reported_and_what_runs_is_kept(case: str) -> None:
    inputs = app({"pod": CLASHES[case]})
    assert reasons_of(inputs) == [("WorkloadReady", "ReservedName")]
    desired = app_children(inputs)
    kinds = {child.resource for child in desired.children}
    assert not kinds & {DEPLOYMENTS, STATEFUL_SETS, JOBS, CONFIGMAPS}
    assert desired.keep == {
        (DEPLOYMENTS, Key("beta", "web")),
        (STATEFUL_SETS, Key("beta", "web")),
        (JOBS, Key("beta", "web")),
        (CONFIGMAPS, Key("beta", "web-stunnel")),
    }


def test_without_a_sidecar_no_name_is_reserved() -> None:
    inputs = app({"pod": CLASHES["container"], "endpoints": []})
    assert reasons_of(inputs) == []
    assert pod_of(inputs) == CLASHES["container"]
    assert app_children(inputs).keep == frozenset()


@pytest.mark.parametrize(
    "pod",
    [
        {**POD, "volumes": "text"},
        {**POD, "initContainers": {"name": "x"}},
        {**POD, "topologySpreadConstraints": 5},
        {**POD, "securityContext": "text"},
        {**POD, "securityContext": {"sysctls": "text"}},
        {**POD, "volumes": None, "initContainers": None, "securityContext": None},
        {**POD, "containers": [*POD["containers"], "text", None, {"name": None, "ports": 5}]},
    ],
)
def test_a_pod_that_is_none_is_left_for_the_api_server_to_refuse(pod: dict[str, Any]) -> None:
    spec = AppSpec.model_construct(pod=pod, tls_egresses=app({"tlsEgresses": _LOW}).spec.tls_egresses)
    made = pod_of(app(spec, space={"topology": {"zoneSpread": "Prefer"}}))
    assert made["initContainers"][0]["name"] == "decco-tls"
    for key in ("volumes", "initContainers", "topologySpreadConstraints"):
        wrong = pod.get(key)
        if wrong is not None:
            assert wrong in made[key]


_LOW = [{"localPort": 80, "fqdn": "x.test"}]
