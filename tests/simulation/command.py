"""The command line of the simulator.

A schedule is named by its seed and the commit: the same two give the same history, callback by callback.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.simulation import clock, plan, schedule
from tests.simulation import world as w
from tests.simulation.batches import batches, forked
from tests.simulation.plan import Plan
from tests.simulation.schedule import Outcome

SHOWN = 6
"""Findings of a schedule that are printed."""


class Done(NamedTuple):
    """Schedules, those that failed, simulated seconds, requests, callbacks."""

    schedules: int = 0
    failed: int = 0
    seconds: float = 0.0
    requests: int = 0
    callbacks: int = 0

    def plus(self, other: Done) -> Done:
        return Done(*(one + another for one, another in zip(self, other, strict=True)))


def main(argv: list[str]) -> int:
    """Returns the exit status: 1 if a schedule failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first schedule")
    parser.add_argument("-n", type=int, default=1, help="how many schedules, with the seeds that follow")
    parser.add_argument("--trace", action="store_true", help="print every change in etcd and every log line")
    parser.add_argument("--shrink", action="store_true", help="leave out steps of a failing schedule while it fails")
    parser.add_argument("--first-failure", action="store_true", help="end at the first schedule that fails")
    parser.add_argument("--plan", type=Path, help="run the plan of this file instead")
    parser.add_argument("--save", type=Path, help="write the plans of failing schedules into this folder")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args(argv)
    if options.jobs > 1:
        return _in_processes(argv, options.seed, options.n, options.jobs)
    w.configure_log(_print_line if options.trace else None)
    started = clock.real_perf_counter()
    done = Done()
    if options.plan:
        done = _run_all([plan.load(options.plan.read_text())], options)
    else:
        if options.n > 1 and not options.trace:
            schedule.run(plan.make(0))  # imports what is imported late, once for all processes
        for seeds in batches(range(options.seed, options.seed + options.n)):
            done = done.plus(Done(*forked(lambda seeds=seeds: _run_all(map(plan.make, seeds), options))))  # type: ignore[misc]
            if done.failed and options.first_failure:
                return 1
    took = clock.real_perf_counter() - started
    print(
        f"schedules={done.schedules} failed={done.failed} hours={done.seconds / 3600:.2f} requests={done.requests} "
        f"callbacks={done.callbacks} seconds={took:.1f} cpu={_cpu_seconds():.1f}"
    )
    return 1 if done.failed else 0


def _run_all(plans: Iterable[Plan], options: argparse.Namespace) -> Done:
    """Runs the plans, and reports those that fail."""
    done = Done()
    for made in plans:
        if options.trace:
            print("\n".join(map(str, made.steps)))
        outcome = schedule.run(made)
        failed = bool(outcome.found)
        done = done.plus(Done(1, failed, outcome.seconds, outcome.requests, outcome.steps))
        if failed:
            report(outcome)
            if options.save:
                (options.save / f"{made.seed}.json").write_text(made.dumped())
            if options.first_failure:
                break
            if options.shrink:
                report(schedule.run(shrink(made)))
    return done


def first_found(seeds: range) -> tuple[int, str] | None:
    """The first of these schedules that fails, and what was found first."""
    for seed in seeds:
        outcome = schedule.run(plan.make(seed))
        if outcome.found:
            return seed, outcome.found[0]
    return None


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _print_line(line: str) -> None:
    print(f"{clock.CLOCK.now - clock.START:9.3f} {line}")


def report(outcome: Outcome) -> None:
    """Prints a failed schedule: how to replay it, its steps, and what was found."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    print(f"FAILED seed {outcome.plan.seed} at commit {commit.strip()}: make simulate SEED={outcome.plan.seed} TRACE=1")
    print("\n".join(f"  step {step}" for step in outcome.plan.steps))
    print("\n".join(f"  found {each}" for each in outcome.found[:SHOWN]), flush=True)


def _kind(outcome: Outcome) -> str:
    """What was found first, without its times and numbers."""
    return re.sub(r"[0-9.]+", "", outcome.found[0]) if outcome.found else ""


def shrink(failing: Plan) -> Plan:
    """The plan without the steps that the failure does not need, found by leaving out ever smaller parts of it."""
    wanted = _kind(schedule.run(failing))
    count = len(failing.steps) // 2
    while count:
        start = 0
        while start < len(failing.steps):
            smaller = failing.without(start, count)
            if _kind(schedule.run(smaller)) == wanted:
                failing = smaller
            else:
                start += count
        count //= 2
    return failing


def _in_processes(argv: list[str], seed: int, schedules: int, jobs: int) -> int:
    """Shares the schedules out to processes of their own, and adds up what they print."""
    started = clock.real_perf_counter()
    share = -(-schedules // jobs)
    kept = [each for each in argv if each in ("--trace", "--shrink")]
    if "--save" in argv:
        kept += argv[argv.index("--save") :][:2]
    parts = []
    for first in range(seed, seed + schedules, share):
        count = min(share, seed + schedules - first)
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "tests.simulation",
            "--seed",
            str(first),
            "-n",
            str(count),
            *kept,
        ]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        parts.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
    sums: Counter[str] = Counter()
    status = 0
    for part in parts:
        assert part.stdout is not None
        for line in part.stdout:
            if line.startswith("schedules="):
                sums.update({name: float(value) for name, value in (each.split("=") for each in line.split())})  # type: ignore[call-overload]
            else:
                print(line, end="", flush=True)
        status = max(status, part.wait())
    took = clock.real_perf_counter() - started
    print(
        f"schedules={sums['schedules']:.0f} failed={sums['failed']:.0f} hours={sums['hours']:.2f} "
        f"requests={sums['requests']:.0f} callbacks={sums['callbacks']:.0f} seconds={took:.1f} cpu={sums['cpu']:.1f}"
    )
    return status
