"""What does decco do when there is nothing to do, and when objects are touched without a change of their content?

Everything is settled. decco is watched for a while; then Apps get a label of another client's, which changes no child.

    steady ratio=<CPU of one core / goal> goal=1.00 core_percent=… writes=… reads=… touches=… touch_us=…
        (limits: 0.3 % of a core, no write, no read, also for the touches)
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

from bench import results
from bench.leg import cpu_seconds, memory_mb
from bench.load import APIS, SEEDING, session, wait_until_quiet
from bench.settled import READS, Settled, settled

MOST_OF_A_CORE = 0.003
GOAL = 1.00


async def touch(here: Settled, times: int) -> None:
    """Sets a label of Apps to another value each time."""
    gate = asyncio.Semaphore(SEEDING)
    names = [(app["metadata"]["namespace"], app["metadata"]["name"]) for app in here.load.apps]
    headers = {"Content-Type": "application/merge-patch+json"}
    async with session(here.cp) as http:

        async def one(number: int) -> None:
            space, name = names[number % len(names)]
            async with (
                gate,
                http.patch(
                    f"{APIS}/namespaces/{space}/apps/{name}",
                    json={"metadata": {"labels": {"touched": str(number)}}},
                    headers=headers,
                ) as answer,
            ):
                answer.raise_for_status()

        await asyncio.gather(*(one(number) for number in range(times)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.steady", description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", type=int, default=int(os.environ.get("SPACES", "500")))
    parser.add_argument("--apps", type=int, default=int(os.environ.get("APPS", "10000")))
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("DURATION", "600")))
    parser.add_argument("--touches", type=int, default=int(os.environ.get("TOUCHES", "10000")))
    given = parser.parse_args()
    busy = os.getloadavg()[0]
    with settled(given.spaces, given.apps) as here:
        mark, cpu, started = here.cp.audit_mark(), cpu_seconds(here.pid), time.monotonic()
        time.sleep(given.seconds)
        share = (cpu_seconds(here.pid) - cpu) / (time.monotonic() - started)
        idle = here.requests(mark)
        cpu = cpu_seconds(here.pid)
        asyncio.run(touch(here, given.touches))
        wait_until_quiet(here.cp)
        each = (cpu_seconds(here.pid) - cpu) / given.touches * 1e6
        requests = here.requests(mark)
        resident = memory_mb(here.pid, "VmRSS")
    reads = sum(count for (verb, _), count in requests.items() if verb in READS)
    writes = requests.total() - reads
    ratio = share / MOST_OF_A_CORE
    figures = {
        "seconds observed": given.seconds,
        "percent of a core": round(share * 100, 4),
        "requests while idle": idle.total(),
        "touches": given.touches,
        "microseconds of CPU for each touch": round(each, 1),
        "writes": writes,
        "reads": reads,
        "resident MB": round(resident, 1),
        "load before": round(busy, 2),
    }
    results.record("steady", ratio, GOAL, {"spaces": given.spaces, "apps": given.apps, "figures": figures})
    print(
        f"steady ratio={ratio:.2f} goal={GOAL:.2f} core_percent={share * 100:.3f} writes={writes} reads={reads} "
        f"touches={given.touches} touch_us={each:.0f}"
    )
    return int(ratio > GOAL or requests.total() > 0)


if __name__ == "__main__":
    sys.exit(main())
