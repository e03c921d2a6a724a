"""The first interrupt never ends a removal, the second one does; and a closed pipe ends no run."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from decco.verify import session


class Removal:
    """A removal that takes as long as the test wants."""

    def __init__(self) -> None:
        self.going = asyncio.Event()
        self.end = asyncio.Event()
        self.done = False
        self.said: list[str] = []
        self.progress = session.Progress(self.said.append, lambda *_: None)

    async def remove(self) -> list[str]:
        self.going.set()
        await self.end.wait()
        self.done = True
        return ["one"]

    async def run(self, *, interrupted: bool = False) -> list[str]:
        if not interrupted:
            return await session.to_its_end(self.remove(), self.progress)
        try:
            await asyncio.sleep(3600)
        finally:
            left = await session.to_its_end(self.remove(), self.progress)
        return left


async def test_the_first_interrupt_waits_for_the_removal() -> None:
    removal = Removal()
    run = asyncio.create_task(removal.run())
    await removal.going.wait()
    run.cancel()
    await asyncio.sleep(0)
    removal.end.set()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert removal.done
    assert "a second interrupt ends it" in removal.said[0]


async def test_the_second_interrupt_ends_the_removal() -> None:
    removal = Removal()
    run = asyncio.create_task(removal.run())
    await removal.going.wait()
    for _ in range(2):
        run.cancel()
        await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not removal.done


async def test_an_interrupt_of_the_probes_is_the_first_one() -> None:
    removal = Removal()
    run = asyncio.create_task(removal.run(interrupted=True))
    await asyncio.sleep(0)
    run.cancel()
    await removal.going.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert (removal.done, removal.said) == (False, [])


async def test_without_an_interrupt_the_result_is_returned() -> None:
    removal = Removal()
    removal.end.set()
    assert await removal.run() == ["one"]


def test_nobody_reads_the_progress() -> None:
    script = "from decco.cli.commands import verify; verify._say('one'); verify._say('two'); print('end')"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=writer, text=True, check=False, timeout=60
    )
    os.close(writer)
    assert (done.returncode, done.stdout) == (0, "end\n")
