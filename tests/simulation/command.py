"""The command line of the simulator."""

from __future__ import annotations

import argparse

from tests.simulation import clock, plan, schedule
from tests.simulation import world as w


def main(argv: list[str]) -> int:
    """Returns the exit status: 1 if a schedule failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-n", type=int, default=1)
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args(argv)
    w.configure_log((lambda line: print(f"{clock.CLOCK.now - clock.START:9.3f} {line}")) if options.trace else None)
    started = clock.real_perf_counter()
    failed, hours = 0, 0.0
    for seed in range(options.seed, options.seed + options.n):
        made = plan.make(seed)
        if options.trace:
            print("\n".join(map(str, made.steps)))
        outcome = schedule.run(made)
        hours += outcome.seconds / 3600
        if outcome.found:
            failed += 1
            print(f"seed {seed} FAILED ({outcome.seconds:.0f} s, {outcome.requests} requests)")
            print("\n".join(f"    {each}" for each in outcome.found[:6]))
    took = clock.real_perf_counter() - started
    print(f"{options.n} schedules, {failed} failed, {hours:.1f} simulated hours in {took:.1f} s")
    return 1 if failed else 0
