"""What does decco write for an App that is changed a hundred times a second?

One settled App gets another image every 10 ms for 10 s. The audit log has what decco wrote, and a watch shows when the
Deployment has the last image.

    coalesce ratio=<writes / one for each 50 ms> goal=1.00 writes=… children=… statuses=… conflicts=… last_ms=…
        (limit: the last state is there 100 ms after its request was answered)
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import Counter

from bench import results
from bench.edits import DEPLOYMENTS, Editor
from bench.load import MANAGED, session, wait_until_quiet
from bench.observer import every, following
from bench.settled import Settled, settled
from testbed.progress import say

GOAL = 1.00
WINDOW_SECONDS = 0.05
MOST_LAST_MS = 100.0
EDITORS = 4
"""Requests in flight, so that the rate holds although each takes longer than the pause between two."""
SPACE, APP = "tenant-0000", "app-000"
_CONFLICT = 409


async def change(here: Settled, rate: float, seconds: float) -> tuple[int, float, float]:
    """(edits, seconds in which they were made, ms from the answer to the last one to its state in the Deployment)."""
    async with session(here.cp) as http:
        editor = Editor(http)
        async with following(http, [DEPLOYMENTS], editor.on_event, MANAGED):
            started = time.monotonic()
            sent, waiting = 0, set[asyncio.Task[None]]()
            async with asyncio.TaskGroup() as group:
                async for number in every(1 / rate, lambda: time.monotonic() - started >= seconds):
                    if len(waiting) < EDITORS:  # a server that cannot keep up does not get a backlog
                        image = f"registry.example/app:{started:.0f}-{number}"
                        waiting.add(task := group.create_task(editor.send(SPACE, APP, image)))
                        task.add_done_callback(waiting.discard)
                        sent += 1
            # All others were answered, so this one is the last.
            last = await editor.edit(SPACE, APP)
            return sent + 1, time.monotonic() - started, 1000 * (last.written - last.answered)


def busiest(times: list[float], window: float = WINDOW_SECONDS) -> int:
    """The most of these times within one window, wherever it begins."""
    times, first, most = sorted(times), 0, 0
    for number, each in enumerate(times):
        while each - times[first] >= window:
            first += 1
        most = max(most, number - first + 1)
    return most


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.coalesce", description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", type=int, default=int(os.environ.get("SPACES", "10")))
    parser.add_argument("--apps", type=int, default=int(os.environ.get("APPS", "100")))
    parser.add_argument("--rate", type=float, default=float(os.environ.get("RATE", "100")))
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("DURATION", "10")))
    parser.add_argument("--repeats", type=int, default=int(os.environ.get("REPEATS", "5")))
    given = parser.parse_args()
    found: dict[str, list[float]] = {}
    with settled(given.spaces, given.apps) as here:
        for _ in range(given.repeats):
            mark, busy = here.cp.audit_mark(), os.getloadavg()[0]
            edits, took, last = asyncio.run(change(here, given.rate, given.seconds))
            wait_until_quiet(here.cp)
            written = [
                event
                for event in here.cp.audit(since=mark, writes=True)
                if event.stage == "ResponseComplete" and event.resource != "events"
            ]
            counts = Counter(
                "conflicts" if each.code == _CONFLICT else "statuses" if each.subresource == "status" else "children"
                for each in written
            )
            values = {
                "edits per second": edits / took,
                "writes": len(written),
                **{name: counts[name] for name in ("children", "statuses", "conflicts")},
                "writes for each edit": len(written) / edits,
                "writes for each 50 ms": len(written) / (took / WINDOW_SECONDS),
                "most writes in 50 ms": busiest([each.received for each in written]),
                "last state, ms": last,
                "load before": busy,
            }
            say(f"{edits} edits in {took:.1f} s: {len(written)} writes, {dict(counts)}, last state {last:.0f} ms")
            for name, value in values.items():
                found.setdefault(name, []).append(value)
    of = {name: results.spread(values) for name, values in found.items()}
    ratio, last = of["writes for each 50 ms"]["median"], of["last state, ms"]["median"]
    sizes = {"spaces": given.spaces, "apps": given.apps, "repeats": given.repeats}
    met = results.record("coalesce", ratio, GOAL, {**sizes, "figures": of}, limits=last <= MOST_LAST_MS)
    counted = " ".join(f"{name}={of[name]['median']:.0f}" for name in ("writes", "children", "statuses", "conflicts"))
    print(f"coalesce ratio={ratio:.2f} goal={GOAL:.2f} {counted} last_ms={last:.0f}")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
