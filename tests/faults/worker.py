"""One process that runs plans, several at the same time: a line of JSON in for each, a line of JSON out.

The first line in is the control plane; then ``["record", scenario]`` or ``["plan", id]``. References are read from the
folder of the control plane, where the recording process puts them.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.faults import seams
from tests.faults.access import Access
from tests.faults.instance import Loop
from tests.faults.plans import Plan
from tests.faults.record import record
from tests.faults.run import Reference, Runner
from tests.soak.world import Administrator

PARALLEL = int(os.environ.get("FAULTS_PARALLEL", "4"))
"""Plans at the same time in one process: most of the time each waits."""

RECORDINGS = 2
"""Of them; each has two controllers."""


def reference_file(folder: Path, scenario: str) -> Path:
    return folder / f"reference-{scenario}.json"


async def _one(runner: Runner, access: Access, order: list[str], recording: asyncio.Semaphore) -> dict[str, Any]:
    what, name = order
    if what == "record":
        async with recording:
            reference, found = await record(runner, name)
        reference_file(access.folder, name).write_text(reference.dumps())
        return {"record": name, "found": found}
    plan = Plan.parse(name)
    reference = Reference.loads(reference_file(access.folder, plan.scenario).read_text())
    outcome = await runner.run(plan, reference)
    answer: dict[str, Any] = {"plan": name, "found": outcome.found, "reached": outcome.reached}
    answer["seconds"] = round(outcome.seconds, 2)
    if outcome.found or "FAULTS_TRACE" in os.environ:
        answer["trace"] = outcome.trace
    return answer


async def _serve(access: Access, prefix: str) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    recording = asyncio.Semaphore(RECORDINGS)
    orders: asyncio.Queue[list[str] | None] = asyncio.Queue(PARALLEL)

    async def work(runner: Runner) -> None:
        while (order := await orders.get()) is not None:
            try:
                answer = await _one(runner, access, order, recording)
            except Exception:  # noqa: BLE001 - one plan must not end the others
                answer = {order[0]: order[1], "found": [traceback.format_exc()]}
            if loop.stray:
                answer["found"] = [*answer["found"], *loop.stray]
                loop.stray.clear()
            print(json.dumps(answer), flush=True)
            gc.collect(1)

    async with Administrator(access) as admin:
        runner = Runner(access, admin, prefix)
        workers = [asyncio.create_task(work(runner)) for _ in range(PARALLEL)]
        while line := await asyncio.to_thread(sys.stdin.readline):
            await orders.put(json.loads(line))
        for _ in workers:
            await orders.put(None)
        await asyncio.gather(*workers)


def main() -> None:
    seams.install()
    access = Access.loads(sys.stdin.readline())
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(_serve(access, sys.argv[1]))


if __name__ == "__main__":
    main()
