"""How long to leave a provider, or one of its zones, alone after failures."""

from __future__ import annotations

import asyncio
import random

JITTER = 0.1
"""Part of a pause by which it is shortened at random, so that zones which failed together do not return together."""


class Backoff:
    """Doubles its pause with each failure, up to a limit; failures during a pause count as the same failure."""

    def __init__(self, base: float, limit: float) -> None:
        self._base = base
        self._limit = limit
        self._failures = 0
        self.until = float("-inf")
        """Time of the event loop before which nothing should be tried."""

    def fail(self, at_least: float = 0.0) -> None:
        now = asyncio.get_running_loop().time()
        if now < self.until:
            return
        pause = min(self._limit, self._base * 2**self._failures)
        self._failures = min(self._failures + 1, 32)
        self.until = now + max(at_least, pause * (1 - JITTER * random.random()))  # noqa: S311 (no secret in it)

    def reset(self) -> None:
        self._failures = 0
        self.until = float("-inf")
