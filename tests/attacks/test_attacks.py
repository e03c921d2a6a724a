"""Every row of the tables, on a real API server with roles and policies in force, under the row's own identity."""

from __future__ import annotations

import pytest

from tests.attacks.attempts import Attempt
from tests.attacks.table_spaces import SPACE_ATTEMPTS
from tests.attacks.world import World

TABLES = {"spaces": SPACE_ATTEMPTS}


@pytest.mark.parametrize("table", TABLES)
def test_table(world: World, table: str) -> None:
    wrong = []
    for attempt in TABLES[table]:
        got = world.verdict(attempt)
        if got != attempt.expect:
            wrong.append(f"{attempt.id}: {got or 'allowed'}")
    assert not wrong, "\n".join([f"{len(wrong)} of {len(TABLES[table])}", *wrong])
