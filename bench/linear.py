"""Does ten times the Apps cost ten times as much, and does the event loop stay responsive?

decco makes everything from nothing, as in ``cold``: once with so many Spaces and Apps, once with ten times as many, on
fresh control planes. In the larger ones the longest callback of the event loop is recorded, from the start of the
process to its end; then bench/loop.py measures the same for caches with many shared Secrets, without an API server.

    linear ratio=<(time of 10 N / time of N) / 10, or memory, the worse> goal=1.05 time=… memory=… blocked_ms=…
        caches_ms=…         (limit: 100 ms)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench import results
from bench.contenders import Contender, decco
from bench.leg import Leg, run
from bench.loop import MOST_MS, measure
from bench.recipe import record
from bench.settled import IN_FLIGHT
from testbed.progress import say

GOAL = 1.05
FACTOR = 10


def timed(file: Path) -> Contender:
    """decco, which leaves its longest callback in the file."""
    contender = decco(IN_FLIGHT)
    program = contender.argv.index("decco.cli.controller")
    return replace(
        contender, argv=(*contender.argv[:program], "bench.timed_controller", str(file), *contender.argv[program + 1 :])
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.linear", description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", type=int, default=int(os.environ.get("SPACES", "125")), help="of the smaller run")
    parser.add_argument("--apps", type=int, default=int(os.environ.get("APPS", "2500")), help="of the smaller run")
    parser.add_argument("--secrets", type=int, default=int(os.environ.get("SECRETS", "4000")), help="of the caches")
    parser.add_argument("--cached", type=int, default=int(os.environ.get("CACHED", "16000")), help="Apps of the caches")
    parser.add_argument("--repeats", type=int, default=int(os.environ.get("REPEATS", "5")))
    given = parser.parse_args()
    recipe = record()
    legs: dict[int, list[Leg]] = {1: [], FACTOR: []}
    blocked: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "longest"
        for turn in range(given.repeats):
            for name in results.rotated([str(each) for each in legs], turn):
                factor = int(name)
                legs[factor].append(
                    done := run(timed(file), IN_FLIGHT, given.spaces * factor, given.apps * factor, recipe)
                )
                longest = json.loads(file.read_text())
                if factor != 1:
                    blocked.append(longest["ms"])
                say(
                    f"{given.apps * factor} Apps: {done.seconds:.1f} s, {done.settled_mb:.0f} MB, longest callback "
                    f"{longest['ms']:.0f} ms CPU: {longest['what'][:300]}"
                )
    caches = asyncio.run(measure(max(1, given.cached * 5 // 32), given.cached, given.secrets))
    seconds = {factor: results.spread([leg.seconds for leg in each]) for factor, each in legs.items()}
    memory = {factor: results.spread([leg.settled_mb for leg in each]) for factor, each in legs.items()}
    time_ratio, memory_ratio = (each[FACTOR]["median"] / each[1]["median"] / FACTOR for each in (seconds, memory))
    more = (memory[FACTOR]["median"] - memory[1]["median"]) / (given.apps * (FACTOR - 1)) * 1000
    ratio, longest_ms = max(time_ratio, memory_ratio), max([*blocked, *caches.values()])
    figures = {
        **{f"seconds, {given.apps * factor} Apps": each for factor, each in seconds.items()},
        **{f"MB, {given.apps * factor} Apps": each for factor, each in memory.items()},
        "MB for each 1,000 Apps more": round(more, 2),
        "ratio of times": round(time_ratio, 3),
        "ratio of memory": round(memory_ratio, 3),
        "longest callback, ms of CPU": results.spread(blocked),
        **{f"longest gap, caches, {part}, ms of CPU": round(value, 1) for part, value in caches.items()},
        "Apps in the caches": given.cached,
        "shared Secrets in the caches": given.secrets,
        "load before": results.spread([leg.load for each in legs.values() for leg in each]),
    }
    sizes = {"spaces": given.spaces, "apps": given.apps, "repeats": given.repeats}
    met = results.record("linear", ratio, GOAL, {**sizes, "figures": figures}, limits=longest_ms <= MOST_MS)
    print(
        f"linear ratio={ratio:.2f} goal={GOAL:.2f} time={time_ratio:.2f} memory={memory_ratio:.2f} "
        f"blocked_ms={max(blocked):.0f} caches_ms={max(caches.values()):.0f}"
    )
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
