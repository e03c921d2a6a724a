"""The measurements at the checkpoints, as a table, and whether the controller kept what it should have released."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

WARM_UP = 0.1
"""Share of all reconciles after which memory has to be flat: pools and allocators have found their size by then."""
CENSUS_SLACK = (1.1, 50)
"""A container may have so many times the items of the census after a third of the time, and so many more: what the last
moments left. Names and labels that can occur have occurred by then."""
CENSUS_OF_OBJECTS = {"RepairBackoff._written", "Recorder._budgets"}
"""What has an entry for each object that was written since the start, or that had Events until the next Event of any
object: at most as many as are cached.
"""
CENSUS_OF_ENTRIES = {"Key", "TokenBucket"}
"""What these entries consist of."""
CENSUS_OF_SERIES = {f"prometheus_client.metrics.{kind}" for kind in ("Counter", "Gauge", "Histogram")}
"""One for each combination of labels that has occurred. How many values a label has is judged by itself, so there are
at most as many as combinations; a rare error of a rare request adds one after days.
"""
CENSUS_WINDOW = {"Tombstones._now": 500, "Tombstones._before": 500}
"""What the deletions of its last window leave in a container until the next deletion; a day has thousands of them."""


@dataclass(frozen=True)
class Checkpoint:
    """All counts; memory in KiB. Taken while nothing was to be done and the same objects existed as at the first.

    Attributes:
        open: open files by kind, as ``socket to 127.0.0.1:53``, ``pipe``, ``anon_inode:[eventpoll]``, or a path.
        series: samples of all metrics.
        labels: metric and label, as ``decco_objects{kind}`` -> how many values it has.
        census: see ``tests.soak.controller``; empty where none was taken.
    """

    reconciles: int
    rss: int
    pss: int
    threads: int
    tasks: int
    open: Mapping[str, int]
    queued: int
    cached: Mapping[str, int]
    ready: Mapping[str, int]
    series: int
    labels: Mapping[str, int]
    census: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    """What may grow: ``memory`` by a share, ``threads`` since the first checkpoint, and a metric's label ``values``
    since a third of the time.
    """

    memory: float
    threads: int
    values: int


def growth(checkpoints: Sequence[Checkpoint]) -> tuple[float, float]:
    """Medians of RSS in KiB in the first and last third of what follows the warm-up."""
    begin = checkpoints[0].reconciles
    warm = begin + WARM_UP * (checkpoints[-1].reconciles - begin)
    after = [each.rss for each in checkpoints if each.reconciles >= warm]
    third = max(1, len(after) // 3)
    return statistics.median(after[:third]), statistics.median(after[-third:])


def complaints(checkpoints: Sequence[Checkpoint], limits: Limits) -> Iterator[str]:
    """A message for each leftover; empty if there is none."""
    first, last = checkpoints[0], checkpoints[-1]
    early, late = growth(checkpoints)
    if late > early * (1 + limits.memory):
        yield (
            f"memory grew by {late / early - 1:.1%}, from {early / 1024:.1f} to {late / 1024:.1f} MB: "
            f"at most {limits.memory:.0%} is flat"
        )
    for number, each in enumerate(checkpoints[1:], 1):
        for what, now, then in (
            ("tasks", each.tasks, first.tasks),
            ("open files", _more(each.open, first.open), {}),
            ("cached objects", dict(each.cached), dict(first.cached)),
            ("objects by Ready", dict(each.ready), dict(first.ready)),
            ("queued keys", each.queued, 0),
        ):
            if what == "open files" and now:
                yield f"checkpoint {number}: more open files: {now}"
            elif now != then:
                yield f"checkpoint {number}: {what} {_differs(now, then)}"
        if each.threads > first.threads + limits.threads:
            yield f"checkpoint {number}: {each.threads} threads, {first.threads} at first"
    settled = checkpoints[max(1, len(checkpoints) // 3)].labels
    for label, values in sorted(last.labels.items()):
        if values > settled.get(label, 0) + limits.values:
            yield f"{label} has {values} values, {settled.get(label, 0)} after a third: are they without end?"
    taken = [each.census for each in checkpoints if each.census]
    yield from _census(taken, sum(last.cached.values()), _combinations(last.labels))


def _combinations(labels: Mapping[str, int]) -> int:
    """How many series the values of all labels can form."""
    values: dict[str, int] = {}
    for label, count in labels.items():
        metric = label.partition("{")[0]
        values[metric] = values.get(metric, 1) * count
    return sum(values.values())


def _census(taken: Sequence[Mapping[str, int]], objects: int, series: int) -> Iterator[str]:
    if not taken:
        return
    before, after = taken[0], taken[-1]
    entries = sum(max(0, after.get(name, 0) - before.get(name, 0)) for name in CENSUS_OF_OBJECTS)
    for name, now in sorted(after.items()):
        then = before.get(name, 0)
        limit = then * CENSUS_SLACK[0] + CENSUS_WINDOW.get(name, CENSUS_SLACK[1])
        if name in CENSUS_OF_OBJECTS:
            limit = max(limit, objects)
        elif name in CENSUS_OF_SERIES:
            limit = max(limit, series)
        elif name in CENSUS_OF_ENTRIES:
            limit += entries
        if now > limit:
            yield f"{name}: {then} after a third, {now} at last"


def _more(now: Mapping[str, int], then: Mapping[str, int]) -> dict[str, int]:
    """Kinds of which more are open, and how many more; fewer are not left over."""
    return {kind: count - then.get(kind, 0) for kind, count in now.items() if count > then.get(kind, 0)}


def _differs(now: object, then: object) -> str:
    if isinstance(now, Mapping) and isinstance(then, Mapping):
        names = sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))
        return ", ".join(f"{name}: {then.get(name, 0)} at first, {now.get(name, 0)} now" for name in names)
    return f"{then} at first, {now} now"


def table(checkpoints: Sequence[Checkpoint]) -> Iterator[str]:
    """One line a checkpoint."""
    yield "  hour reconciles  rss MB  pss MB tasks threads sockets other queued cached series"
    for number, each in enumerate(checkpoints):
        sockets = sum(count for kind, count in each.open.items() if kind.startswith("socket"))
        yield (
            f"{number:6d} {each.reconciles:10d} {each.rss / 1024:7.1f} {each.pss / 1024:7.1f} {each.tasks:5d} "
            f"{each.threads:7d} {sockets:7d} {sum(each.open.values()) - sockets:5d} "
            f"{each.queued:6d} {sum(each.cached.values()):6d} {each.series:6d}"
        )
