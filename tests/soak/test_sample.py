"""A sample of ``make soak``: a minute of a platform's day, so that the program stays true.

It is too short for what leaks once in a hundred reconciles, and memory has a coarser bound here, since it has no time
to find its size; tasks, files, sockets and cached objects have to be exactly as at first.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.day import Plan, soak


@pytest.mark.timeout(600)
async def test_a_sample_of_a_day_leaves_nothing(tmp_path: Path) -> None:
    plan = Plan(reconciles=2000, hours=2, spaces=4, apps=5, seed=7, memory=0.1, restarts=1)
    story = await soak(plan, tmp_path, print)
    assert story.complaints == []
    assert story.checkpoints[-1].reconciles >= plan.reconciles
    assert {"rob", "edit_app", "recreate_app", "recreate_space", "break_watch"} <= story.happened.keys()
