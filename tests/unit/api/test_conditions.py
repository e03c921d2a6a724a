"""Setting a condition: what stays, what changes, what the API server would not take."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from decco.api.conditions import MAX_MESSAGE, MAX_REASON, ConditionType, has_status, set_condition, timestamp
from decco.objects import Obj

THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOW = THEN + timedelta(hours=1)


def ready(status: str = "True", reason: str = "Ready", message: str = "", generation: int = 1) -> list[Obj]:
    return set_condition([], ConditionType.READY, status, reason, message, generation, THEN)


def test_a_new_condition_is_complete() -> None:
    assert ready() == [
        {
            "type": "Ready",
            "status": "True",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-02T03:04:05Z",
            "reason": "Ready",
            "message": "",
        }
    ]


@pytest.mark.parametrize(
    ("status", "reason", "message", "generation", "since"),
    [
        ("True", "Ready", "", 1, THEN),
        ("True", "Other", "text", 2, THEN),
        ("False", "Ready", "", 1, NOW),
        ("Unknown", "Ready", "", 1, NOW),
    ],
)
def test_the_time_changes_with_the_status_only(
    status: str, reason: str, message: str, generation: int, since: datetime
) -> None:
    before = ready()
    kept = copy.deepcopy(before)
    (after,) = set_condition(before, "Ready", status, reason, message, generation, NOW)
    assert after == {
        "type": "Ready",
        "status": status,
        "observedGeneration": generation,
        "lastTransitionTime": timestamp(since),
        "reason": reason,
        "message": message,
    }
    assert before == kept


def test_the_same_again_is_equal() -> None:
    assert set_condition(ready(), "Ready", "True", "Ready", "", 1, NOW) == ready()


def test_others_keep_their_place() -> None:
    conditions: list[Obj] = [{"type": "A", "status": "True"}, *ready(), {"type": "Z"}]
    after = set_condition(conditions, "Ready", "False", "Broken", "", 1, NOW)
    assert [condition["type"] for condition in after] == ["A", "Ready", "Z"]
    assert (after[0], after[2]) == (conditions[0], conditions[2])
    after = set_condition(after, ConditionType.DNS_READY, "True", "Published", "", 1, NOW)
    assert [condition["type"] for condition in after] == ["A", "Ready", "Z", "DNSReady"]


def test_a_condition_without_a_time_gets_one() -> None:
    (after,) = set_condition([{"type": "Ready", "status": "True"}], "Ready", "True", "Ready", "", 1, NOW)
    assert after["lastTransitionTime"] == timestamp(NOW)


@pytest.mark.parametrize("length", [MAX_MESSAGE - 1, MAX_MESSAGE, MAX_MESSAGE + 1, 2 * MAX_MESSAGE])
def test_a_long_message_is_cut(length: int) -> None:
    message = ready(message="ä" * length)[0]["message"]
    assert len(message) == min(length, MAX_MESSAGE)
    assert message.endswith("…") == (length > MAX_MESSAGE)


@pytest.mark.parametrize(
    "reason", ["", "not a reason", "1st", "Trailing:", "Line\n", "Ready\nx", "a" * (MAX_REASON + 1)]
)
def test_a_reason_is_one_word(reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(reason))):
        ready(reason=reason)


def test_a_status_is_one_of_three() -> None:
    with pytest.raises(ValueError, match="true"):
        ready(status="true")


def test_timestamps_are_in_utc() -> None:
    assert timestamp(datetime(2026, 1, 1, 1, 0, 0, 999, tzinfo=timezone(timedelta(hours=2)))) == "2025-12-31T23:00:00Z"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ((ConditionType.READY, "True", None), True),
        ((ConditionType.READY, "True", 3), True),
        ((ConditionType.READY, "True", 2), False),
        ((ConditionType.READY, "False", None), False),
        ((ConditionType.DNS_READY, "True", None), False),
    ],
)
def test_the_status_of_one_condition(question: tuple[ConditionType, str, int | None], expected: bool) -> None:
    type_, status, generation = question
    assert has_status({"status": {"conditions": ready(generation=3)}}, type_, status, generation=generation) is expected


def test_without_a_status_no_condition_has_one() -> None:
    assert not has_status({}, ConditionType.READY)
