"""docs/reference/metrics.md: every metric of the controller, from decco/metrics.py."""

from __future__ import annotations

from collections.abc import Mapping

from decco.metrics import COUNTERS, GAUGES, HISTOGRAMS, SECONDS

PAGE = "docs/reference/metrics.md"

_HEAD = """# Metrics

<!-- Generated from src/decco/metrics.py by `python -m tools.generate`; change it there. -->

Each replica serves them at `/metrics`; names and labels are part of the interface.
[Monitoring](../operations/monitoring.md) has the questions that they answer, normal values and alerts. Beside them are
those of the process (`process_*`) and of Python's garbage collector (`python_gc_*`).
"""


def outputs() -> dict[str, str]:
    """Path in the checkout -> content."""
    bounds = ", ".join(f"{each:g}" for each in SECONDS)
    parts = [
        _HEAD,
        _section("Counters", COUNTERS, "decco_{}_total"),
        _section("Gauges", GAUGES, "decco_{}"),
        _section("Histograms", HISTOGRAMS, "decco_{}_seconds"),
        f"The upper bounds of all histograms, in seconds: {bounds}.\n",
    ]
    return {PAGE: "\n".join(parts)}


def _section(title: str, metrics: Mapping[str, tuple[str, ...]], name: str) -> str:
    rows = []
    for metric, (text, *labels) in metrics.items():
        meaning = text.replace("<error>", "`<error>`")
        rows.append(f"| `{name.format(metric)}` | {', '.join(f'`{label}`' for label in labels)} | {meaning} |")
    return "\n".join([f"## {title}", "", "| metric | labels | meaning |", "|---|---|---|", *rows, ""])
