"""What is recorded of grants."""

from __future__ import annotations

import pytest

from decco.desired.grants import Grant, covers, restored_names


@pytest.mark.parametrize(
    ("claim", "name", "expected"),
    [
        (".a.x", "a.x", True),
        (".a.x", "c.b.a.x", True),
        (".a.x", "ba.x", False),
        ("a.x", "a.x", True),
        ("a.x", "b.a.x", False),
        ("*.x", "a.x", True),
        ("*.x", "*.x", True),
        ("*.x", "b.a.x", False),
        ("*.x", "x", False),
    ],
)
def test_a_claim_covers_a_name(claim: str, name: str, expected: bool) -> None:
    assert covers(claim, name) is expected


def test_a_restored_wildcard_covers_the_names_one_label_below_it() -> None:
    former = {"*.x": Grant("2026-01-01T00:00:00Z", 1), "b.y": Grant("2026-01-03T00:00:00Z", 1)}
    names = ["a.x", "*.x", "b.a.x", "b.y"]
    assert restored_names(names, former, "2026-01-02T00:00:00Z") == {"a.x", "*.x"}
