"""Time limits in tests: how long a test waits for a fact, and where a promised duration is judged.

A test that waits must pass on a busy machine, so a wait ends after PATIENCE and not after the time that a quiet machine
needs. A duration that decco promises (an altered child is repaired within a second) means something only
on a machine that does nothing else: ``make test-times`` sets ``TIMED=1`` and judges it. Everywhere else it is printed.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

PATIENCE: Final = 90.0
"""Seconds until a wait for a fact fails; some thirty times what a quiet machine needs."""
TIMED: Final = os.environ.get("TIMED") == "1"
"""Whether this run has the machine for itself, and judges durations."""
timed = pytest.mark.timed
"""Marks a test that measures a promised duration: ``make test-times`` runs these."""


def promised(what: str, took: float, limit: float) -> None:
    """Prints how long ``what`` took in seconds; fails if that is not below ``limit`` and durations are judged."""
    print(f"{what}: {took:.3f} s of {limit:g} s")
    assert took < limit or not TIMED, f"{what} took {took:.3f} s, {limit:g} s are promised"
