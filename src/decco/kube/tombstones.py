"""Which objects have left a store, remembered for as long as older news of them may still arrive.

Such news are the answers to decco's own writes, which their time limit ends (``Client``: 30 s), and lists of an API
server that is behind the others. Both are over within minutes, and what is remembered longer is only memory that grows
with each deletion.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

KEPT_SECONDS: Final = 120.0
"""At least so long, and at most twice that while others follow; unless MOST others came."""
MOST: Final = 4096
"""At least so many of the latest are remembered within that time, and at most twice as many."""


class Tombstones:
    """UID -> the highest resourceVersion at which the object was seen to leave; ``clock`` in seconds, monotonic.

    Two generations, of which the older one is dropped as a whole: so a tombstone needs no moment of its own.
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
        """0 for an object that was not seen to leave, or that is forgotten."""
        return max(self._now.get(uid, 0), self._before.get(uid, 0))

    def bury(self, uid: str, version: int) -> None:
        """The object has left at this version."""
        now = self._clock()
        if now - self._began >= KEPT_SECONDS or len(self._now) >= MOST:
            self._before = self._now if now - self._began < 2 * KEPT_SECONDS else {}
            self._now, self._began = {}, now
        self._now[uid] = max(version, self.version(uid))
