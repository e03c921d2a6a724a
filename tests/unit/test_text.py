"""Foreign text in messages: on one line, printable, not too long."""

from __future__ import annotations

import pytest

from decco.text import abbreviated, escape, printable, truncate


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("plain", 10, "plain"),
        ("two\nlines\r\n\tand tab", 40, "two lines and tab"),
        ("esc \x1b[31mred\x1b[0m", 40, "esc [31mred [0m"),
        ("right-to-left \u202e override, zero \u200b width", 60, "right-to-left override, zero width"),
        ("x" * 50, 10, "x" * 9 + "…"),
        ("umlaut ü, 日本", 40, "umlaut ü, 日本"),
        ("nul\x00byte and \x9b C1", 40, "nul byte and C1"),
    ],
)
def test_printable(text: str, limit: int, expected: str) -> None:
    assert printable(text, limit) == expected


@pytest.mark.parametrize(
    ("names", "expected"), [([], ""), (["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c", "d"], "a, b and 2 more")]
)
def test_abbreviated(names: list[str], expected: str) -> None:
    assert abbreviated(names, 2) == expected


@pytest.mark.parametrize(("text", "expected"), [("", ""), ("four", "four"), ("fives", "fiv…")])
def test_truncated_to_the_limit(text: str, expected: str) -> None:
    assert truncate(text, 4) == expected


@pytest.mark.parametrize(("text", "expected"), [("plain ü", "plain ü"), ("a\nb", "a\\nb"), ("\x1b[2J", "\\u001b[2J")])
def test_escaped_as_in_json(text: str, expected: str) -> None:
    assert escape(text) == expected
