"""One attacked cluster for the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.controlplane import ControlPlane
from tests.attacks.world import World

SECONDS = 900
"""The first test builds the cluster, on a machine that may be busy."""
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    with ControlPlane() as cp:
        world = World(cp)
        world.build()
        yield world
