"""How pauses grow."""

from __future__ import annotations

import pytest

from decco.backoff import exponential


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 0.5), (1, 1.0), (2, 2.0), (6, 32.0), (7, 60.0), (10_000, 60.0)],
)
def test_a_pause_doubles_with_each_failure_up_to_its_limit(failures: int, seconds: float) -> None:
    assert exponential(0.5, failures, 60.0) == seconds
