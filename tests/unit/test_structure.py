"""The structure that CONTRIBUTING.md promises and no other check reads."""

from __future__ import annotations

from pathlib import Path

MOST_LINES = 400
SOURCES = Path(__file__).parents[2] / "src"


def test_each_module_has_one_idea() -> None:
    """A module that outgrows this has a second one, which belongs into a module of its own."""
    lengths = {str(file.relative_to(SOURCES)): len(file.read_text().splitlines()) for file in SOURCES.rglob("*.py")}
    assert len(lengths) > 100
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}
