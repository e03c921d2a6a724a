"""The clock that everything in a simulation reads, in place of the machine's.

``install`` replaces the functions of ``time`` and must run before decco is imported, because its modules bind them by
name. ``datetime.now`` cannot be replaced, so ``datetime_class`` is put into the modules that call it (``seams.py``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any

EPOCH = 1_800_000_000.0
"""Wall-clock time at the start of every simulation."""
START = 10_000.0
"""Monotonic time then: a machine that has been up for some hours."""

real_monotonic = time.monotonic
real_perf_counter = time.perf_counter


class Clock:
    """``now`` in seconds, monotonic; ``skew`` is how far the wall clock of the present process is off."""

    def __init__(self) -> None:
        self.now = START
        self.skew = 0.0

    def wall(self) -> float:
        return EPOCH + self.now - START + self.skew

    def reset(self) -> None:
        self.now, self.skew = START, 0.0


CLOCK = Clock()


def monotonic() -> float:
    return CLOCK.now


def wall() -> float:
    return CLOCK.wall()


def timestamp() -> str:
    """The API server's time, in whole seconds: its clock is not skewed."""
    return _formatted(int(EPOCH + CLOCK.now - START))


@lru_cache(maxsize=1)
def _formatted(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class VirtualDatetime(datetime):
    """``datetime`` whose ``now`` is virtual; results are ordinary datetimes."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.fromtimestamp(CLOCK.wall(), tz)


def install() -> None:
    """Replaces the clocks of ``time`` for this process."""
    replaced: dict[str, Callable[..., Any]] = {
        "monotonic": monotonic,
        "perf_counter": monotonic,
        "time": wall,
        "time_ns": lambda: int(wall() * 1e9),
        "clock_gettime": lambda _clock: CLOCK.now,
    }
    for name, function in replaced.items():
        setattr(time, name, function)
