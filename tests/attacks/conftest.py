"""The clusters of the session: one that is attacked, and one in which the controller has lived."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.controlplane import ControlPlane
from tests.attacks.life import Life
from tests.attacks.world import World

SECONDS = 2400
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


@pytest.fixture(scope="session")
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """A recorded life of Spaces and Apps, on a cluster of its own; shorter in a sample."""
    whole = any(item.get_closest_marker("full") for item in request.session.items)
    with Life(tmp_path_factory.mktemp("life"), whole=whole) as life:
        life.live()
        yield life


@pytest.fixture(scope="session")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """The same without permissions at first, see ``granting``."""
    with Life(tmp_path_factory.mktemp("poor"), poor=True) as life:
        life.live()
        yield life
