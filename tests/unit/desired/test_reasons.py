"""The reasons are an interface; tests/unit/messages compares them with the catalogue."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from decco.desired import reasons
from decco.desired.model import Problem

REASONS = {name: value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}


@pytest.mark.parametrize("constant", REASONS)
def test_each_reason_is_camel_case(constant: str) -> None:
    value = REASONS[constant]
    assert re.fullmatch(r"([A-Z][a-z]+|API|CRL|DNS)+", value)
    assert value.upper() == constant.replace("_", "")


def test_no_reason_is_there_twice() -> None:
    values = list(REASONS.values())
    assert len(values) == len(set(values)) >= 40


def test_waiting_holds_reasons_only() -> None:
    assert set(REASONS.values()) >= reasons.WAITING
    assert reasons.CONFLICT not in reasons.WAITING


WAIT = Problem(reasons.PROGRESSING, "pods start")
BAD = Problem(reasons.SECRET_MISSING, "no Secret a")
WORSE = Problem(reasons.INVALID, "the API server refuses it")


@pytest.mark.parametrize(
    ("problems", "expected"),
    [
        ([], None),
        ([None, None], None),
        ([None, WAIT], WAIT),
        ([WAIT, BAD], BAD),
        ([WAIT, BAD, WORSE], Problem(BAD.reason, "no Secret a; the API server refuses it")),
        ([BAD, BAD], BAD),
    ],
)
def test_combine(problems: list[Problem | None], expected: Problem | None) -> None:
    assert reasons.combine(problems) == expected


def test_combine_limits_the_length_of_the_message() -> None:
    combined = reasons.combine(Problem(reasons.INVALID, f"m{number}") for number in range(7))
    assert combined == Problem(reasons.INVALID, "m0; m1; m2; m3; m4; and 2 more")


def test_the_health_script_for_argo_cd_waits_for_the_same_reasons() -> None:
    """tests/packaging runs the script itself."""
    script = (Path(__file__).parents[3] / "manifests" / "gitops" / "argocd-cm.yaml").read_text()
    (table,) = re.findall(r"local waiting = \{(.*?)\}", script, re.DOTALL)
    assert set(re.findall(r"(\w+) = true", table)) == reasons.WAITING - {reasons.JOB_SUSPENDED}
