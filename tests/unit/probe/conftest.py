"""What several tests of this folder need."""

from __future__ import annotations

import pytest

from tests.unit.probe.servers import Pair, make_pair


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("pair"))
