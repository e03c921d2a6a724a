"""docs/performance.md says of each benchmark whether its goal was met."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import page, plots, readme, results
from bench.__main__ import NAMES, last_line
from bench.results import ORDER


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


def test_a_limit_beside_the_ratio_counts_as_well(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    assert not results.record("flood", 1.0, 2.0, {"figures": {"flood, p99, ms": 70}}, file, limits=False)
    assert ": not met." in page.page(results.known(file))
    assert results.record("flood", 2.0, 2.0, {"figures": {"flood, p99, ms": 50}}, file)
    assert ": met." in page.page(results.known(file))


def test_the_page_has_the_order_of_the_benchmarks(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    for name in ("teardown", "cold", "flood"):
        results.record(name, 1.0, 1.0, {}, file)
    assert list(results.known(file)) == ["cold", "flood", "teardown"]


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(each) for each in range(1, 101)]
    assert [results.percentile(values, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert results.percentile([7.0], 0.99) == 7.0


def test_every_benchmark_of_make_bench_exists_and_is_explained() -> None:
    for name in NAMES:
        assert (Path(page.__file__).with_name(f"{name}.py")).exists()
    assert {*ORDER} - {"dns"} <= page.EXPLAINED.keys(), "dns writes no results"


def test_pictures_are_readable_in_both_schemes_and_say_in_words_what_they_show(tmp_path: Path) -> None:
    seconds = {"decco": [3.0, 1.0, 2.0], "raw <1>": [1.0, 1.0, 1.5]}
    contenders = {
        who: {"version": "1", "in_flight": 32, "requests": {}, "seconds": results.spread(values)}
        for who, values in seconds.items()
    }
    file = tmp_path / "results.json"
    results.record("cold", 8.8, 1.1, {"contenders": contenders}, file)
    found = plots.outputs(results.known(file))
    assert {Path(name).name for name in found} == {"goals.svg", "cold-seconds.svg"}
    for text in found.values():
        root = ET.fromstring(text)
        assert "prefers-color-scheme: dark" in text
        assert root.get("role") == "img"
    chart = ET.fromstring(found[f"{plots.FOLDER}/cold-seconds.svg"])
    words = [each.text for each in chart.iter("{http://www.w3.org/2000/svg}text")]
    assert words == ["Seconds, cold", "decco", "2", "raw <1>", "1"]
    bars = [each for each in chart.iter("{http://www.w3.org/2000/svg}rect") if each.get("class") in ("met", "other")]
    first, second = (float(bar.get("width", "")) for bar in bars)
    assert first == pytest.approx(2 * second, abs=0.11)
    (goal,) = ET.fromstring(found[f"{plots.FOLDER}/goals.svg"]).iter("{http://www.w3.org/2000/svg}line")
    missed = next(each for each in found[f"{plots.FOLDER}/goals.svg"].splitlines() if 'class="missed"' in each)
    assert float(goal.get("x1", "")) < 720
    assert "8" in found[f"{plots.FOLDER}/goals.svg"].partition("<title>")[2]
    assert 'width="440.0"' in missed, "what is longer than four goals is cut off"
    assert "![Seconds in cold: decco 2, raw <1> 1](assets/performance/cold-seconds.svg)" in page.page(
        results.known(file)
    )


def test_the_last_line_of_a_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert last_line(["a\n", "cold ratio=1\n", "\n"]) == "cold ratio=1"
    assert capsys.readouterr().out == "a\ncold ratio=1\n\n"
