"""Cached rejections: what the API server refused, and the time of each retry.

A rejection is kept while the write's key is the same: the desired object, its owner, and the live object. It also ends
when the rule that refused it changes. decco is not allowed to watch the policies, quotas and webhooks of the cluster,
so each rejected object is tried again after a while. That is one request for each, and one policy may refuse thousands,
so the pause grows with their number: at most RETRIES_PER_SECOND for one rule, TOTAL_PER_SECOND for all. With so many,
retries are frequent, and the first one with another answer shows that the rule has changed: then all that the rule
refused are tried within SPREAD_SECONDS.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from decco.frozen import frozen
from decco.objects import Key, Resource
from decco.reconcilers.outcomes import Refusal

RETRY_SECONDS: Final = 30.0
"""Pause before the next try of what a rule of the cluster refuses, while few are refused."""
REFUSAL_SECONDS: Final = 600.0
"""The same where no rule is known: the API server's own validation, which gives the same answer to the same object."""
RETRIES_PER_SECOND: Final = 20.0
TOTAL_PER_SECOND: Final = 200.0
SPREAD_SECONDS: Final = 20.0
RELEASES_PER_SECOND: Final = 500.0
MIN_RETRY_SECONDS: Final = 2.0
"""Limits the requests for a live object that another writer changes all the time."""
_FORGET_SECONDS: Final = 120.0
"""After its time is over, a rejection waits so long for its retry; then the object is no longer desired."""

ObjectRef = tuple[Resource, Key]
Enqueue = Callable[[str, float], None]
"""Enqueues the object with this UID after so many seconds."""


@frozen
class WriteKey:
    """Identifies a write: equal keys are refused or accepted alike while the cluster's rules are unchanged."""

    desired_hash: str
    """Hash of the desired object, the owner's UID included."""
    owner: str
    live: object
    """State of the live object, None if it does not exist."""


@dataclass(slots=True)
class _Rejection:
    write_key: WriteKey
    refusal: Refusal
    rule: str
    refused_at: float
    until: float
    cached: bool
    """False while so few are refused that each reconcile may send the request."""


class Rejections:
    """``clock`` in seconds, monotonic; ``jitter`` from 0 to 1."""

    def __init__(
        self, clock: Callable[[], float], enqueue: Enqueue | None = None, jitter: Callable[[], float] = random.random
    ) -> None:
        self._clock = clock
        self._enqueue = enqueue
        self._jitter = jitter
        self._known: dict[ObjectRef, _Rejection] = {}
        self._by_rule: dict[str, dict[ObjectRef, None]] = {}
        self._released: dict[str, float] = {}
        self._swept = clock()

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, ref: ObjectRef) -> bool:
        return ref in self._known

    def cached(self, ref: ObjectRef, write_key: WriteKey) -> Refusal | None:
        """The cached refusal of this write; None if a request is needed."""
        known = self._known.get(ref)
        if known is None or not known.cached:
            return None
        now = self._clock()
        known_key = known.write_key
        if known_key == write_key:
            left = known.until - now
        elif (known_key.desired_hash, known_key.owner) == (write_key.desired_hash, write_key.owner):
            left = min(known.until, known.refused_at + MIN_RETRY_SECONDS) - now
        else:
            left = 0.0
        return replace(known.refusal, requeue_after=left) if left > 0 else None

    def refused(self, ref: ObjectRef, write_key: WriteKey, refusal: Refusal, rule: str) -> Refusal:
        """The request was refused by ``rule`` ("" if that is not known); returns the refusal with the time of the
        retry.

        ``refusal.requeue_after`` is set for what may end at any time: while few are refused, each reconcile sends the
        request.
        """
        before = self._drop(ref)
        if before is not None and before.rule != rule and before.write_key == write_key:
            self._release(before.rule)
        now = self._clock()
        self._sweep(now)
        members = self._by_rule.setdefault(rule, {})
        members[ref] = None
        shortest = refusal.requeue_after or (RETRY_SECONDS if rule else REFUSAL_SECONDS)
        pause = self._pause(shortest, len(members))
        cached = refusal.requeue_after is None or pause != shortest
        self._known[ref] = _Rejection(write_key, refusal, rule, now, now + pause, cached)
        return replace(refusal, requeue_after=pause)

    def rebind(self, ref: ObjectRef, write_key: WriteKey) -> None:
        """The rejection is not about the state of the live object, which has been written since."""
        known = self._known.get(ref)
        if known is not None and (known.write_key.desired_hash, known.write_key.owner) == (
            write_key.desired_hash,
            write_key.owner,
        ):
            known.write_key = write_key

    def passed(self, ref: ObjectRef, write_key: WriteKey) -> None:
        """The request was not refused."""
        before = self._drop(ref)
        if before is not None and before.write_key == write_key:
            self._release(before.rule)

    def _pause(self, shortest: float, members: int) -> float:
        longer = max(members / RETRIES_PER_SECOND, len(self._known) / TOTAL_PER_SECOND)
        if longer <= shortest:
            return shortest
        # Spreads the retries of those that were refused together: a frequent retry shows a change early.
        return longer * (0.5 + self._jitter())

    def _release(self, rule: str) -> None:
        """The rule has changed: all that it refused is tried again soon."""
        members = self._by_rule.get(rule)
        now = self._clock()
        if not rule or not members or self._released.get(rule, -SPREAD_SECONDS) + SPREAD_SECONDS > now:
            return
        self._released[rule] = now
        spread = min(SPREAD_SECONDS, len(members) / RELEASES_PER_SECOND)
        for ref in members:
            known = self._known[ref]
            known.until = min(known.until, now)
            if self._enqueue is not None:
                self._enqueue(known.write_key.owner, spread * self._jitter())

    def _drop(self, ref: ObjectRef) -> _Rejection | None:
        if (known := self._known.pop(ref, None)) is not None:
            members = self._by_rule[known.rule]
            del members[ref]
            if not members:
                del self._by_rule[known.rule]
                self._released.pop(known.rule, None)
        return known

    def _sweep(self, now: float) -> None:
        """Drops what is no longer requested."""
        if now - self._swept < _FORGET_SECONDS:
            return
        self._swept = now
        for ref in [ref for ref, known in self._known.items() if known.until + _FORGET_SECONDS <= now]:
            self._drop(ref)
