"""One cluster for all; ``E2E_BACKEND`` chooses the edge, as for tests/e2e."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from testbed import enforcer, prerequisites
from testbed.cluster import Backend
from testbed.dns.bind import Bind
from testbed.found import AssetsMissing
from tests.verify.rig import Rig
from tests.verify.rig import rig as made

BACKEND = Backend(os.environ.get("E2E_BACKEND", Backend.GATEWAY))


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    if line := prerequisites.reason(*prerequisites.NODE, *prerequisites.BIND):
        pytest.skip(line)
    if line := enforcer.missing() or Bind.missing():
        pytest.skip(line)
    try:
        with made(BACKEND) as running:
            yield running
    except AssetsMissing as error:
        pytest.skip(f"no node: {error}")
