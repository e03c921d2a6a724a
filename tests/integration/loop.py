"""Fixtures of the tests that run the whole loop: a shared controller for most, one of its own for those that end it.

A plain module, imported by ``conftest.py`` beside it, so that these tests' helpers are in one place.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.harness import Cluster, Decco


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> Cluster:
    return Cluster(control_plane)


@pytest.fixture(scope="module")
def decco(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    """The real controller, running while one module's tests do; its SIGTERM is part of the test."""
    decco = Decco(control_plane, tmp_path_factory.mktemp("decco")).start()
    yield decco
    assert decco.stop() == 0, decco.tail()
    assert_no_defects(decco)


def assert_no_defects(decco: Decco) -> None:
    text = decco.log.read_text(errors="replace")
    assert "hit a defect" not in text, text[-4000:]
    assert "Traceback" not in text, text[-4000:]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of the test's own for its Space, a DNS label."""
    words = request.node.name.removeprefix("test_").split("[")[0].replace("_", "-")[:40].strip("-").lower()
    return f"{words}-{zlib.crc32(request.node.nodeid.encode()) % 100_000}"
