"""The reasons are an interface, and their reference page is made from the source: this keeps both whole."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from decco.api.conditions import ConditionType
from decco.desired import reasons, reasons_doc
from decco.desired.model import Problem


def documented() -> dict[str, tuple[str, str]]:
    """Constant -> (value, the text under it)."""
    found: dict[str, tuple[str, str]] = {}
    body = ast.parse(inspect.getsource(reasons)).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)):
            continue
        if not isinstance(node.value.value, str):
            continue
        text = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            text = str(following.value.value)
        [target] = node.targets
        assert isinstance(target, ast.Name)
        found[target.id] = (node.value.value, text)
    return found


REASONS = documented()


@pytest.mark.parametrize("constant", REASONS)
def test_each_reason_is_camel_case_and_has_a_description(constant: str) -> None:
    value, text = REASONS[constant]
    assert re.fullmatch(r"([A-Z][a-z]+|API|DNS)+", value)
    assert value.upper() == constant.replace("_", "")
    assert text.endswith(".")


def test_the_reference_page_is_of_today() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "conditions.md"
    assert page.read_text() == reasons_doc.page(), (
        "run `python -m decco.desired.reasons_doc > docs/reference/conditions.md`"
    )


def test_the_reference_page_has_all() -> None:
    page = reasons_doc.page()
    assert all(f"| `{value}` | {' '.join(text.split())} |" in page for value, text in REASONS.values())
    assert all(f"| `{condition}` |" in page for condition in ConditionType)


def test_no_reason_is_there_twice() -> None:
    values = [value for value, _ in REASONS.values()]
    assert len(values) == len(set(values)) >= 40


def test_waiting_holds_reasons_only() -> None:
    assert {value for value, _ in REASONS.values()} >= reasons.WAITING
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
