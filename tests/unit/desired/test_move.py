"""The annotation of a move."""

from __future__ import annotations

import pytest

from decco.desired.move import NO_MOVE, Move, parse_move


@pytest.mark.parametrize(
    "move",
    [
        Move(to="west"),
        Move(source="east"),
        Move(source="eu-1.prod", since="2026-11-30T12:00:00Z"),
    ],
    ids=str,
)
def test_it_is_read_as_it_was_written(move: Move) -> None:
    assert parse_move(move.text()) == move


@pytest.mark.parametrize(
    "text",
    ["", "west", "to", "to ", "to West", "from a b", "to west\nfrom east", "to west since now", f"to {'a' * 64}"],
)
def test_what_is_not_of_that_form_is_no_move(text: str) -> None:
    assert parse_move(text) == NO_MOVE


def test_none_is_no_annotation() -> None:
    assert NO_MOVE.text() == ""
