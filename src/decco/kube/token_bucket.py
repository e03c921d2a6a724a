"""Token buckets: how much of something one tenant or object may use before it waits, so that others need not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from decco.kube.bounded_map import BoundedMap

K = TypeVar("K")


@dataclass(slots=True)
class TokenBucket:
    """``burst`` tokens at once, then one more every ``seconds``; times in seconds, of any clock that only grows."""

    burst: int
    seconds: float
    filled: float
    tokens: float = -1.0
    """At ``filled``; negative: a full bucket."""

    def __post_init__(self) -> None:
        if self.tokens < 0:
            self.tokens = self.burst

    def full_again(self, now: float) -> bool:
        """Whether the bucket is full for certain."""
        return now - self.filled >= self.burst * self.seconds

    def seconds_to_token(self, now: float) -> float:
        """Seconds until ``take`` succeeds, 0 if it does now."""
        return max(0.0, 1.0 - self._fill(now)) * self.seconds

    def _fill(self, now: float) -> float:
        self.tokens = min(self.burst, self.tokens + (now - self.filled) / self.seconds)
        self.filled = now
        return self.tokens

    def take(self, now: float) -> bool:
        if self._fill(now) < 1.0:
            return False
        self.tokens -= 1.0
        return True


class TokenBuckets(BoundedMap[K, TokenBucket]):
    """A bucket for each key, with the same ``burst`` and ``seconds``; those that are full again are dropped."""

    def __init__(self, burst: int, seconds: float, max_entries: int = 4096) -> None:
        super().__init__(max_entries)
        self._burst = burst
        self._seconds = seconds

    def seconds_to_token(self, key: K, now: float) -> float:
        budget = self.get(key)
        return budget.seconds_to_token(now) if budget is not None else 0.0

    def take(self, key: K, now: float) -> bool:
        budget = self[key] = self.get(key) or TokenBucket(self._burst, self._seconds, now)
        taken = budget.take(now)
        while next(iter(self.values())).full_again(now):
            self.popitem(last=False)
        return taken
