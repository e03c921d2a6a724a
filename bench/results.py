"""Figures of benchmarks: the last line of each, and bench/results.json, from which docs/performance.md is made."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ORDER = (
    "cold",
    "cpu",
    "memory",
    "steady",
    "minimal",
    "flood",
    "latency",
    "restart",
    "linear",
    "rotation",
    "neighbour",
    "coalesce",
    "teardown",
    "dns",
)
"""The benchmarks without pods, as ``make bench`` runs and docs/performance.md shows them."""
FILE = Path(__file__).with_name("results.json")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and range."""
    return {
        "median": round(statistics.median(values), 3),
        "least": round(min(values), 3),
        "most": round(max(values), 3),
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The least of the values that at least this share of them does not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def rotated(names: Sequence[str], turn: int) -> list[str]:
    """The order of contenders in this round."""
    first = turn % len(names)
    return [*names[first:], *names[:first]]


def line(name: str, ratio: float, goal: float, of: Mapping[str, Mapping[str, float]]) -> str:
    """The last line of a benchmark, with the median of each contender."""
    medians = " ".join(f"{who.replace('-', '_')}={each['median']:.2f}" for who, each in of.items())
    return f"{name} ratio={ratio:.2f} goal={goal:.2f} {medians}"


def known(file: Path = FILE) -> dict[str, Any]:
    """All entries so far."""
    entries = json.loads(file.read_text()) if file.exists() else {}
    return {name: entries[name] for name in sorted(entries, key=_place)}


def _place(name: str) -> tuple[int, str]:
    return (ORDER.index(name), name) if name in ORDER else (len(ORDER), name)


def record(
    name: str, ratio: float, goal: float, figures: Mapping[str, Any], file: Path = FILE, *, limits: bool = True
) -> bool:
    """Replaces the entry of the benchmark; the others stay. Returns whether the goal was met.

    ``limits``: whether what the benchmark demands beside the ratio is true.
    """
    met = ratio <= goal and limits
    entries = known(file)
    entries[name] = {
        "ratio": round(ratio, 3),
        "goal": goal,
        "met": met,
        "on": datetime.now(UTC).date().isoformat(),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
        **figures,
    }
    file.write_text(json.dumps(dict(sorted(entries.items())), indent=2) + "\n")
    return met
