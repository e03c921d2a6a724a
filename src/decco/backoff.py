"""Exponential backoff."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator

JITTER = 0.1
"""Maximum fraction by which a pause is shortened at random, so that what failed together is tried again apart."""


def exponential(base: float, failures: int, longest: float) -> float:
    """Seconds of the pause after so many failures before the last one: ``base``, doubled with each, at most
    ``longest``.
    """
    return min(longest, base * 2.0 ** min(failures, 32))


def pauses(base: float, longest: float) -> Iterator[float]:
    """The pauses after one failure, two in a row, and so on without end; see ``exponential``."""
    return (exponential(base, failures, longest) for failures in itertools.count())


class Backoff:
    """Doubles the pause with each failure, up to a limit. A failure during a pause is not counted."""

    def __init__(self, base: float, limit: float) -> None:
        self._base = base
        self._limit = limit
        self._failures = 0
        self.until = float("-inf")
        """Event loop time before which no call should be made."""

    def fail(self, at_least: float = 0.0) -> None:
        now = asyncio.get_running_loop().time()
        if now < self.until:
            return
        pause = exponential(self._base, self._failures, self._limit)
        self._failures += 1
        self.until = now + max(at_least, pause * (1 - JITTER * random.random()))  # noqa: S311 (no secret in it)

    def reset(self) -> None:
        self._failures = 0
        self.until = float("-inf")
