"""Parts of the tests: what ``make unit`` leaves to ``make thorough``, and ``make test`` to ``make integration``."""

from __future__ import annotations

from typing import Any, Final

import pytest

thorough: Final = pytest.mark.thorough
"""Marks a unit test that takes a second or more by its nature: it starts programs, or has ten thousand objects."""
full: Final = pytest.mark.full
"""Marks what only ``make integration`` and ``make e2e`` run: the longest tests, and all but one case of those that take
long for each.

What remains for ``make test`` has a test of each feature, each kind of restart and each kind of fault.
"""


def seeds(count: int, sample: int) -> list[Any]:
    """``count`` seeds for ``parametrize``; those after the first ``sample`` are thorough."""
    return [seed if seed < sample else pytest.param(seed, marks=thorough) for seed in range(count)]
