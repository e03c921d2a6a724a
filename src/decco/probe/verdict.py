"""From observations to a verdict: failures are confirmed, flapping is damped, and the next probe gets its time. Pure.

Times are seconds of a monotonic clock.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from enum import Enum, auto

from decco.probe.model import Observation, Result

CONFIRM_SECONDS = 2.0
"""How long a failure must last."""
CONFIRM_CONNECT_SECONDS = 4.0
"""The same for connections: a proxy that restarts is not broken."""
CONFIRM_NEW_RECORD_SECONDS = 60.0
"""The same for a record that was not answered with yet: the servers of a zone follow one another."""
CONFIRMATIONS = 2
"""How many more probes must fail."""
CONFIRMATIONS_OF_SILENCE = 1
"""The same for a probe that has waited in vain for its whole time."""
CONFIRM_PAUSE_SECONDS = 1.0
RETRY_SECONDS = 3.0
"""From the start of a probe of a failed target to that of the next one, while few fail."""
TICK_SECONDS = 0.25
"""Probes in slots start together at multiples of it: a process that wakes up 4 times a second for 60 probes uses two
thirds of the CPU of one that wakes up for each."""
FLAP_WINDOW_SECONDS = 600.0
FREE_FAILURES = 2
"""Failures in the window without a consequence."""
SUCCESSES_PER_FLAP = 2


class Verdict(Enum):
    WAITING = auto()  # nothing was confirmed yet
    ANSWERED = auto()
    FAILED = auto()


@dataclass(slots=True)
class History:
    """What is known of one target."""

    verdict: Verdict = Verdict.WAITING
    failure: Observation | None = None
    """The last one, while the verdict is FAILED."""
    _suspect_since: float | None = None
    _failures: int = 0
    _successes: int = 0
    _flaps: tuple[float, ...] = ()

    def observe(self, observation: Observation, now: float) -> None:
        """Takes the end of a probe."""
        if observation.ok:
            self._succeed()
        else:
            self._fail(observation, now)

    def _succeed(self) -> None:
        self._suspect_since, self._failures = None, 0
        if self.verdict is not Verdict.FAILED:
            self.verdict = Verdict.ANSWERED
            return
        self._successes += 1
        if self._successes > SUCCESSES_PER_FLAP * max(0, len(self._flaps) - FREE_FAILURES):
            self.verdict, self.failure = Verdict.ANSWERED, None

    def _fail(self, observation: Observation, now: float) -> None:
        self._successes = 0
        if self.verdict is Verdict.FAILED:
            self.failure = observation
            return
        if self._suspect_since is None:
            self._suspect_since = now
        self._failures += 1
        needed = CONFIRMATIONS_OF_SILENCE if observation.result is Result.SILENT else CONFIRMATIONS
        if self._failures > needed and now - self._suspect_since >= self._lasts(observation.result):
            if self.verdict is Verdict.ANSWERED:
                recent = (each for each in self._flaps if now - each < FLAP_WINDOW_SECONDS)
                self._flaps = (*recent, now)
            self.verdict, self.failure = Verdict.FAILED, observation

    def _lasts(self, result: Result) -> float:
        if result is Result.RECORD and self.verdict is Verdict.WAITING:
            return CONFIRM_NEW_RECORD_SECONDS
        return CONFIRM_CONNECT_SECONDS if result is Result.CONNECT else CONFIRM_SECONDS

    @property
    def suspect(self) -> bool:
        """Whether a failure is to be confirmed."""
        return self._suspect_since is not None and self.verdict is not Verdict.FAILED

    @property
    def routine(self) -> bool:
        """Whether the next probe may wait for the target's slot."""
        return self.verdict is Verdict.ANSWERED and not self.suspect


def slot(name: str, interval: float, now: float) -> float:
    """The next tick after ``now`` at which the target of this name is due: spread evenly by a hash of the name."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    offset = int.from_bytes(digest, "big") / 2**64 * interval
    rounds = (now - offset) // interval + 1
    return math.ceil((offset + rounds * interval) / TICK_SECONDS) * TICK_SECONDS


def retry_pause(failed: int, per_second: float) -> float:
    """Seconds from one probe of a failed target to the next, if so many failed ones share a quarter of the rate."""
    return max(RETRY_SECONDS, failed / (per_second / 4))
