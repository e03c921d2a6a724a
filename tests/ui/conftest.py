"""A control plane, a controller, the page as operator and as tenant, and one browser for all tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from testbed.controlplane import ControlPlane
from tests.integration.harness import Cluster, Decco, own_control_plane
from tests.integration.test_cli import EDGE
from tests.ui.browser import Tab, browser, tab
from tests.ui.program import Ui, serving, serving_tenant
from tests.ui.world import World, build

SHOTS = Path("build/ui")


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    with own_control_plane(restart_manager=True) as cp:
        cp.install_decco()
        yield cp


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> Cluster:
    return Cluster(control_plane)


@pytest.fixture(scope="session")
def decco(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    with Decco(control_plane, tmp_path_factory.mktemp("decco"), **EDGE) as running:
        yield running


@pytest.fixture(scope="session")
def world(cluster: Cluster, decco: Decco) -> World:
    return build(cluster, "demo")


@pytest.fixture(scope="session")
def operator(control_plane: ControlPlane, world: World) -> Iterator[Ui]:
    with serving(control_plane) as ui:
        yield ui


@pytest.fixture(scope="session")
def tenant(control_plane: ControlPlane, world: World) -> Iterator[Ui]:
    with serving_tenant(control_plane, world.broken) as ui:
        yield ui


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    async with browser() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: tuple[aiohttp.ClientSession, str]) -> AsyncIterator[Tab]:
    """A new tab. The browser must not have refused or reported anything in it."""
    async with tab(*chromium) as made:
        yield made
        await asyncio.sleep(0)
        assert made.problems == []
