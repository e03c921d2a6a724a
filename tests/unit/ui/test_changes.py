"""Changes are counted in bursts."""

from __future__ import annotations

import asyncio

from decco.ui.changes import Changes


async def test_a_burst_counts_once_and_wakes_all_who_wait() -> None:
    changes = Changes(0.01)
    waiting = [asyncio.create_task(changes.after(0)) for _ in range(3)]
    await asyncio.sleep(0)
    for _ in range(100):
        changes.note()
    assert await asyncio.gather(*waiting) == [1, 1, 1]
    await asyncio.sleep(0.03)
    assert changes.number == 1


async def test_nobody_waits_for_a_change_that_was() -> None:
    changes = Changes(0)
    changes.note()
    assert await changes.after(0) == 1
    assert await changes.after(0) == 1
    changes.note()
    assert await changes.after(1) == 2
