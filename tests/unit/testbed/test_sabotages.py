"""The sabotages that the simulation has to find; whoever changes the code at such a place changes the sabotage too."""

from __future__ import annotations

import pytest

from tests.simulation.sabotages import SABOTAGES, Sabotage, replaced


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda each: each.name)
def test_a_sabotage_still_has_its_place(sabotage: Sabotage) -> None:
    compile(replaced(sabotage), sabotage.file, "exec")
