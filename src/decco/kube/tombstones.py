"""The objects removed from a store, kept for as long as older versions of them may still arrive: as answers to decco's
own writes, which have a time limit (``Client``: 30 s), or in lists of an API server that is behind the others. Both end
within minutes; longer storage would only grow with each deletion.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

KEPT_SECONDS: Final = 120.0
"""Kept at least so long, and at most twice that while others follow; shorter if more than MOST others come."""
MOST: Final = 4096
"""At least so many of the latest are remembered within that time, and at most twice as many."""


class Tombstones:
    """UID -> the highest resourceVersion at which the object was removed; ``clock`` in seconds, monotonic.

    Two generations, of which the older one is dropped as a whole: so a tombstone needs no time of its own.
    """

    __slots__ = ("_before", "_began", "_clock", "_now")

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._now: dict[str, int] = {}
        self._before: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._now) + len(self._before)

    def version(self, uid: str) -> int:
        """0 for an object that was not removed, or whose tombstone was dropped."""
        return max(self._now.get(uid, 0), self._before.get(uid, 0))

    def bury(self, uid: str, version: int) -> None:
        """The object was removed at this version."""
        now = self._clock()
        if now - self._began >= KEPT_SECONDS or len(self._now) >= MOST:
            self._before = self._now if now - self._began < 2 * KEPT_SECONDS else {}
            self._now, self._began = {}, now
        self._now[uid] = max(version, self.version(uid))
