"""One control plane with nodes in three zones for all tests of this folder, and decco as an operator installs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.cluster import CONTROLLER
from testbed.controlplane import ControlPlane
from testbed.found import AssetsMissing
from testbed.kwok import APISERVER_FLAGS, MANAGER_FLAGS, FakeNodes, provide
from testbed.manifests import decco_folders
from tests.integration.harness import Cluster, Decco, own_control_plane
from tests.integration.loop import assert_no_defects, name

__all__ = ["name"]

ZONES = {"a": 4, "b": 2, "c": 1}
"""Uneven: without a rule most pods would be in the first one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    """Built before any test's time counts by ``make``; without a Go compiler, a line says what is not proven."""
    try:
        provide()
    except AssetsMissing as error:
        pytest.skip(f"MISSING, so nothing is spread over zones: {error}")


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    with own_control_plane(restart_manager=True, apiserver_flags=APISERVER_FLAGS, manager_flags=MANAGER_FLAGS) as cp:
        for folder in decco_folders():
            cp.kubectl("apply", "--server-side", "-f", str(folder))
        yield cp


@pytest.fixture(scope="session")
def nodes(control_plane: ControlPlane) -> Iterator[FakeNodes]:
    with FakeNodes(control_plane, ZONES) as nodes:
        yield nodes


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane, nodes: FakeNodes) -> Cluster:
    del nodes
    return Cluster(control_plane)


@pytest.fixture(scope="session")
def decco(control_plane: ControlPlane, nodes: FakeNodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    del nodes
    folder = tmp_path_factory.mktemp("decco")
    decco = Decco(control_plane, folder, kubeconfig=control_plane.kubeconfig_for(CONTROLLER)).start()
    yield decco
    assert decco.stop() == 0, decco.tail()
    assert_no_defects(decco)
