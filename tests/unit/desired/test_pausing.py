"""A paused object reports that; the rest of its status stays as it was at the last reconcile."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from decco.api.conditions import set_condition
from decco.desired import reasons
from decco.desired.pausing import OWN_PAUSE, pause_of_space, paused_status, unpaused
from decco.objects import Obj

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)
BEFORE: Obj = {
    "observedGeneration": 3,
    "conditions": set_condition([], "Ready", "False", reasons.PROGRESSING, "rolling", 3, NOW),
    "url": "https://x.example.net/",
}


def conditions_of(status: Obj) -> dict[str, Any]:
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


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


def test_unpaused_is_what_was_before() -> None:
    assert unpaused(paused_status(OWN_PAUSE, 3, BEFORE, LATER)) == BEFORE
    assert unpaused({}) == {}
