"""Each oracle fails when it should: on requests and states that no controller may leave."""

from __future__ import annotations

import json

import pytest

from testbed.faults import Call
from tests.faults import oracles, state
from tests.faults.addresses import of_call
from tests.faults.plans import Fault, Plan
from tests.faults.station import Sent

TOKEN = "s00001"
PLAN = Plan("app-create", (Fault("lost-reply", "any", 1),))
UID = {"preconditions": {"uid": "u"}}


def sent(method: str, path: str, name: str = "", body: object = None, status: int = 200) -> Sent:
    content = {"metadata": {"name": name}} if name else (body or {})
    call = Call(method, path.replace("SPACE", TOKEN), {}, {}, json.dumps(content).encode(), watch=False)
    return Sent(of_call(call, TOKEN), status, call, 1)


SERVICES = "/api/v1/namespaces/SPACE/services"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/SPACE/networkpolicies"
DEPLOYMENTS = "/apis/apps/v1/namespaces/SPACE/deployments"
STATUS = "/apis/decco.platform9.com/v1beta2/spaces/SPACE/status"


@pytest.mark.parametrize(
    ("requests", "usual", "found"),
    [
        ([sent("POST", SERVICES, "web")], {"POST core:namespaces/PLAN/services/web": 1}, ""),
        ([sent("POST", SERVICES, "web")] * 2, {"POST core:namespaces/PLAN/services/web": 1}, "created 2 times"),
        ([sent("DELETE", f"{SERVICES}/web", body=UID)], {}, "1 deletes instead of 0"),
        ([], {"DELETE core:namespaces/PLAN/services/web": 1}, "0 deletes instead of 1"),
        ([sent("DELETE", f"{SERVICES}/web")], {"DELETE core:namespaces/PLAN/services/web": 1}, "a delete without UID"),
        ([sent("DELETE", f"{SERVICES}/web", status=409)], {}, ""),
        ([sent("POST", "/api/v1/namespaces/other/services", "web")], {}, "a write outside the Space"),
        ([sent("PUT", f"{SERVICES}/web")] * 2, {}, "written 2 times instead of 0"),
        ([sent("PUT", STATUS)] * 5, {"PUT decco:spaces/PLAN/status": 1}, ""),
        ([sent("PUT", STATUS)] * 6, {"PUT decco:spaces/PLAN/status": 1}, "written 6 times"),
        (
            [sent("DELETE", "/apis/decco.platform9.com/v1beta2/spaces/SPACE", body=UID)],
            {"DELETE decco:spaces/PLAN": 1},
            "an object of a person is deleted",
        ),
    ],
)
def test_requests(requests: list[Sent], usual: dict[str, int], found: str) -> None:
    lines = oracles.check(requests, TOKEN, usual, PLAN)
    assert (found in "\n".join(lines)) if found else not lines, lines


def test_a_workload_waits_for_both_policies() -> None:
    of_space, of_app = sent("POST", POLICIES, "decco"), sent("POST", POLICIES, "app-web")
    workload = sent("POST", DEPLOYMENTS, "web")
    assert oracles.Policies([of_space]).check([of_app, workload]) == []
    assert len(oracles.Policies([of_space]).check([workload, of_app])) == 1
    assert len(oracles.Policies([]).check([of_app, workload])) == 1
    gone = sent("DELETE", f"{POLICIES}/decco", body=UID)
    assert len(oracles.Policies([of_space, gone]).check([of_app, workload])) == 1


def test_ends_are_compared() -> None:
    end = {"services PLAN/web": {"spec": {"ports": [1, 2]}}}
    assert state.differences(end, end) == []
    assert state.differences({}, end) == ["missing: services PLAN/web"]
    assert state.differences(end, {}) == ["left over: services PLAN/web"]
    (line,) = state.differences({"services PLAN/web": {"spec": {"ports": [1, 3]}}}, end)
    assert "/spec/ports/1: 3, wanted 2" in line


def test_what_a_server_decides_is_not_compared() -> None:
    meta = {"name": TOKEN, "uid": "1", "resourceVersion": "5", "generation": 2}
    obj = {"metadata": meta, "spec": {"domainName": "x"}, "status": {"observedGeneration": 1}}
    assert state.comparable(obj)["status"] == {"isCurrent": False}
    meta["generation"] = 1
    assert state.comparable(obj) == {
        "metadata": {"name": TOKEN},
        "spec": {"domainName": "x"},
        "status": {"isCurrent": True},
    }
