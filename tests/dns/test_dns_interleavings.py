"""A sample of `make test-dns-interleavings`: enough to see a mistake that is easy to make."""

from __future__ import annotations

import random

import pytest

from testbed.dns.bind import Bind
from tests.dns.interleavings import run

SAMPLE = 300


@pytest.mark.skipif(bool(Bind.missing()), reason=f"MISSING {Bind.missing()}")
async def test_three_clusters_and_a_stranger_on_one_zone() -> None:
    """The seed is in what is printed when it fails."""
    figures = await run("bind", SAMPLE, random.randrange(10**6))
    assert figures["interleavings"] == SAMPLE
    assert figures["updates"] > SAMPLE / 4
