"""docs/performance.md says of each benchmark whether its goal was met."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import page, readme, results


def test_rotation_puts_each_contender_first_once() -> None:
    names = ["a", "b", "c"]
    assert [results.rotated(names, turn)[0] for turn in range(4)] == ["a", "b", "c", "a"]
    assert all(sorted(results.rotated(names, turn)) == names for turn in range(4))


@pytest.mark.parametrize(("ratio", "verdict"), [(1.05, ": met."), (1.2, ": not met.")])
def test_a_missed_goal_is_on_the_page(tmp_path: Path, ratio: float, verdict: str) -> None:
    contender = {"version": "1", "in_flight": 32, "requests": {"POST": 7}, "seconds": results.spread([3.0, 1.0, 2.0])}
    file = tmp_path / "results.json"
    results.record("cold", ratio, 1.1, {"apps": 5, "contenders": {"decco": contender}}, file)
    results.record("cold", ratio, 1.1, {"apps": 6, "contenders": {"decco": contender}}, file)
    text = page.page(results.known(file))
    assert verdict in text
    assert "6 apps" in text
    assert "5 apps" not in text
    assert "| decco 1 | 32 | 2.00 (1.00-3.00) |" in text
    assert "| decco | 7 |" in text


def test_the_figures_of_the_readme_are_those_of_the_results() -> None:
    contender = {"seconds": results.spread([3.0, 1.0, 2.0]), "cpu_seconds": results.spread([0.5])}
    contender["settled_mb"] = results.spread([72.633])
    cold = {"apps": 5, "spaces": 2, "contenders": {"kopf": contender, "decco": contender, "another": contender}}
    block = readme.figures({"cold": cold})
    assert "| 5 Apps in 2 Spaces | decco | kopf |" in block
    assert "| memory, MB | 72.6 | 72.6 |" in block
    text = readme.between(f"before\n{readme.START}old\n{readme.END}after\n", block)
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert readme.between(text, block) == text
    assert readme.figures({}) == ""
