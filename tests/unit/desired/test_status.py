"""What Spaces and Apps have in common: the conditions of verdicts, the status of paused objects and of those that only
wait for the removal of their records.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from decco.api.conditions import ConditionType, set_condition
from decco.desired import reasons
from decco.desired.model import Problem
from decco.desired.status import (
    OWN_PAUSE,
    Satisfied,
    amended_status,
    conditions,
    pause_of_space,
    paused_status,
    verdict,
    withdrawal_status,
)
from decco.objects import Obj

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)
BEFORE: Obj = {
    "observedGeneration": 3,
    "conditions": set_condition([], "Ready", "False", reasons.PROGRESSING, "rolling", 3, NOW),
    "url": "https://x.example.net/",
}
BROKEN = Problem(reasons.INVALID, "no")


def conditions_of(status: Obj) -> dict[str, Any]:
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


def test_the_order_is_fixed_and_only_what_applies_stays() -> None:
    previous = {"conditions": [{"type": "Paused"}, {"type": "Other"}, *BEFORE["conditions"]]}
    found = conditions({ConditionType.DNS_READY: BROKEN, ConditionType.READY: Satisfied("fine")}, previous, 4, LATER)
    assert conditions_of({"conditions": found}) == {"Ready": ("True", "Reconciled"), "DNSReady": ("False", "Invalid")}
    assert [each["type"] for each in found] == ["Ready", "DNSReady"]
    assert {each["observedGeneration"] for each in found} == {4}


def test_an_equal_verdict_keeps_its_time() -> None:
    first = conditions({ConditionType.READY: BROKEN}, {}, 1, NOW)
    assert conditions({ConditionType.READY: BROKEN}, {"conditions": first}, 1, LATER) == first


def test_a_verdict_is_the_problems_or_the_message() -> None:
    assert verdict([None], "fine") == Satisfied("fine")
    assert verdict([None, BROKEN], "fine") == BROKEN


# -- paused -----------------------------------------------------------------------------------------------------------


def test_the_others_stay_as_they_were() -> None:
    status = paused_status(OWN_PAUSE, 4, BEFORE, LATER)
    assert conditions_of(status) == {"Ready": ("False", "Progressing"), "Paused": ("True", "Paused")}
    assert status["conditions"][0] == BEFORE["conditions"][0]
    assert (status["observedGeneration"], status["url"]) == (3, BEFORE["url"]), "the new spec is not in effect"
    assert status["conditions"][1]["observedGeneration"] == 4


def test_a_second_reconcile_reports_nothing_new() -> None:
    status = paused_status(OWN_PAUSE, 4, BEFORE, NOW)
    assert paused_status(OWN_PAUSE, 4, status, LATER) == status


def test_an_object_that_was_never_reconciled_reports_that() -> None:
    status = paused_status(pause_of_space("acme"), 1, {}, NOW)
    assert conditions_of(status) == {"Ready": ("Unknown", "Paused"), "Paused": ("True", "Paused")}
    assert "observedGeneration" not in status
    assert "Space acme" in status["conditions"][1]["message"]


def test_an_object_that_is_reconciled_again_is_not_paused() -> None:
    paused = paused_status(OWN_PAUSE, 3, BEFORE, LATER)
    assert amended_status({}, 3, paused, LATER) == BEFORE
    assert conditions_of(amended_status({ConditionType.READY: BROKEN}, 3, {}, NOW)) == {"Ready": ("False", "Invalid")}


# -- until the records are removed ------------------------------------------------------------------------------------


def test_what_waits_for_its_records_says_why_and_keeps_the_rest() -> None:
    problem = Problem(reasons.PROVIDER_UNREACHABLE, "no answer from ns1")
    network = {
        "type": "NetworkReady",
        "status": "True",
        "reason": "Reconciled",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    previous = {"observedGeneration": 1, "hostname": "acme.example.com", "conditions": [network]}
    status = withdrawal_status([problem], 2, previous, NOW)
    by_type = {c["type"]: (c["status"], c["reason"], c["message"]) for c in status["conditions"]}
    assert list(by_type) == ["Ready", "NetworkReady", "DNSReady"]
    assert by_type["Ready"] == by_type["DNSReady"] == ("False", "ProviderUnreachable", "no answer from ns1")
    assert (status["hostname"], status["observedGeneration"]) == ("acme.example.com", 2)
    assert withdrawal_status([problem], 2, status, NOW) == status
