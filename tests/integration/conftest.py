"""One real control plane for the whole session; each test uses names of its own in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from testbed.controlplane import ControlPlane
from testbed.proxy import FaultProxy
from tests.integration.applier_world import served, world
from tests.integration.harness import own_control_plane
from tests.integration.loop import cluster, decco, name

__all__ = ["cluster", "control_plane", "decco", "name", "proxy", "served", "world"]

HERE = Path(__file__).parent


LONG = (
    "daemon_writes",
    "secret_changes",
    "contract_routing",
    "restored_history",
    "apply_repair",
    "idle",
    "daemon_faults",
)
"""Files that take minutes, the longest first: begun last, one of them would run alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder is marked, so that ``-m 'not integration'`` leaves them out; long files come first."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.integration)
    rank = {f"test_{name}": number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A whole control plane with the CRDs of the Gateway API and of decco, and with the namespace ``decco``.

    Requests with ``controller_kubeconfig`` are recorded, see ``ControlPlane.audit``.
    """
    with own_control_plane(restart_manager=True) as cp:
        yield cp


@pytest_asyncio.fixture
async def proxy(control_plane: ControlPlane) -> AsyncIterator[FaultProxy]:
    """A proxy without rules in front of the control plane, for one test."""
    async with FaultProxy(control_plane) as proxy:
        yield proxy
