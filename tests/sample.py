"""Random histories: ``make unit`` runs a sample of them, ``make thorough`` at all the others."""

from __future__ import annotations

from typing import Any, Final

import pytest

thorough: Final = pytest.mark.thorough
"""Marks a unit test that takes a second or more by its nature: it starts programs, or has ten thousand objects."""


def seeds(count: int, sample: int) -> list[Any]:
    """``count`` seeds for ``parametrize``; those after the first ``sample`` are thorough."""
    return [seed if seed < sample else pytest.param(seed, marks=thorough) for seed in range(count)]
