"""How long does it take until everything is made from nothing, compared with a bare client and with other operators?

Spaces and Apps are in the API server. Each contender is started and writes the very same children and statuses: decco
computes them, the peers (bench/peers) have them from decco's own requests (bench/recipe.py). Every leg has a fresh
control plane, the order of contenders rotates from round to round, and after each leg all objects are compared
(bench/same.py). The best number of requests in flight of each contender is found beforehand, with fewer Apps.

    cpu ratio=<decco / raw> goal=1.50 …                                                   CPU of the program alone
    memory ratio=<decco / controller-runtime> goal=1.00 …                         resident, once it has settled
    cold ratio=<decco / raw> goal=1.10 decco_s=… raw_s=… controller_runtime_s=…          (medians)
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench import results
from bench.contenders import IN_FLIGHT, Contender, decco, peers
from bench.leg import Leg, LegFailed, run
from bench.recipe import record
from testbed.progress import say

GOAL = 1.10
CPU_GOAL = 1.50
MEMORY_GOAL = 1.00
Legs = Mapping[str, Sequence[Leg]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.cold", description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", type=int, default=int(os.environ.get("SPACES", "500")))
    parser.add_argument("--apps", type=int, default=int(os.environ.get("APPS", "10000")))
    parser.add_argument("--repeats", type=int, default=int(os.environ.get("REPEATS", "5")))
    parser.add_argument("--in-flight", default=os.environ.get("IN_FLIGHT", ",".join(map(str, IN_FLIGHT))))
    parser.add_argument("--search-apps", type=int, default=500, help="Apps of the search for the best number in flight")
    parser.add_argument("--only", default="", help="names of contenders with commas between them")
    given = parser.parse_args()
    programs: dict[str, Callable[[int], Contender]] = {"decco": decco}
    for each in peers():
        programs[each.name] = lambda _, peer=each: peer  # type: ignore[misc]
    chosen = [name for name in programs if not given.only or name in given.only.split(",")]
    recipe = record()
    say(f"the recipe: {len(recipe.space)} requests for each Space, {len(recipe.app)} for each App")

    def leg(name: str, in_flight: int, spaces: int, apps: int) -> Leg:
        done = run(programs[name](in_flight), in_flight, spaces, apps, recipe)
        say(
            f"{name}, {apps} Apps, {in_flight} in flight: {done.seconds:.2f} s, CPU {done.cpu:.1f} s (API server "
            f"{done.cpu_apiserver:.1f}, etcd {done.cpu_etcd:.1f}), {done.settled_mb:.0f} MB (peak {done.peak_mb:.0f}), "
            f"{done.bytes_sent / 1e6:.0f} MB sent, {done.bytes_received / 1e6:.0f} MB received, load {done.load:.1f}, "
            f"{done.requests}"
        )
        return done

    try:
        levels = [int(each) for each in given.in_flight.split(",")]
        best = dict.fromkeys(chosen, levels[0])
        if len(levels) > 1:
            spaces = max(1, given.search_apps // 20)
            for name in chosen:
                tried = [leg(name, level, spaces, given.search_apps) for level in levels]
                best[name] = min(tried, key=lambda each: each.seconds).in_flight
        legs: dict[str, list[Leg]] = {name: [] for name in chosen}
        for turn in range(given.repeats):
            for name in results.rotated(chosen, turn):
                legs[name].append(leg(name, best[name], given.spaces, given.apps))
    except LegFailed as error:
        say(str(error))
        return 1
    digests = {leg.digest: leg.contender for each in legs.values() for leg in each}
    if len(digests) > 1:
        say(f"not the same objects at the end: {digests}")
        return 1
    versions = {name: make(1).version for name, make in programs.items()}
    return report(legs, {"spaces": given.spaces, "apps": given.apps, "repeats": given.repeats}, versions)


def report(legs: Legs, sizes: Mapping[str, Any], versions: Mapping[str, str]) -> int:
    def spread(value: Callable[[Leg], float]) -> dict[str, dict[str, float]]:
        return {who: results.spread([value(leg) for leg in each]) for who, each in legs.items()}

    seconds, cpu, settled = (
        spread(lambda leg: leg.seconds),
        spread(lambda leg: leg.cpu),
        spread(lambda leg: leg.settled_mb),
    )
    columns = {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "cpu_apiserver_seconds": spread(lambda leg: leg.cpu_apiserver),
        "cpu_etcd_seconds": spread(lambda leg: leg.cpu_etcd),
        "settled_mb": settled,
        "peak_mb": spread(lambda leg: leg.peak_mb),
        "sent_mb": spread(lambda leg: leg.bytes_sent / 1e6),
        "received_mb": spread(lambda leg: leg.bytes_received / 1e6),
        "load_before": spread(lambda leg: leg.load),
    }
    contenders = {
        who: {
            "version": versions[who],
            "in_flight": each[0].in_flight,
            **{column: values[who] for column, values in columns.items()},
            "requests": each[-1].requests,
        }
        for who, each in legs.items()
    }
    failed = 0
    for entry, of, against, goal in (
        ("cpu", cpu, "raw", CPU_GOAL),
        ("memory", settled, "controller-runtime", MEMORY_GOAL),
        ("cold", seconds, "raw", GOAL),
    ):
        if "decco" not in of or against not in of:
            continue
        ratio = of["decco"]["median"] / of[against]["median"]
        figures = {"contenders": contenders} if entry == "cold" else {"figures": of}
        results.record(entry, ratio, goal, {**sizes, **figures})
        print(results.line(entry, ratio, goal, of))
        failed |= ratio > goal
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
