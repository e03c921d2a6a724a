"""The command line: records the scenarios, enumerates the plans, has them run by some processes, and reports."""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from math import inf
from pathlib import Path
from typing import Any

from testbed.controlplane import ControlPlane
from tests.faults import environment, front
from tests.faults.access import Access
from tests.faults.plans import Plan, enumerate_plans, sample
from tests.faults.run import Reference
from tests.faults.scenarios import ALL
from tests.faults.worker import reference_file

Answer = dict[str, Any]
ENVIRONMENT = "environment:"
"""Begins the ids of the plans of ``environment.py``."""
SHOWN = 25
"""Failures that are printed whole."""
AHEAD = 12
"""Orders that a process has in hand."""


def main(argv: list[str]) -> int:
    """Returns the exit status: 1 if a plan failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--plan", action="append", default=[], help="run these plans only")
    parser.add_argument("--scenario", action="append", default=[], help="plans of these scenarios only")
    parser.add_argument("--kind", action="append", default=[], help="plans with these kinds of faults only")
    parser.add_argument("--sample", type=int, default=0, help="so many plans, evenly of all kinds")
    parser.add_argument("--times", type=int, default=1, help="each plan so often")
    parser.add_argument("--seed", type=int, default=1, help="of the pairs")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--minutes", type=float, default=inf, help="no more plans are begun after these")
    parser.add_argument("--list", action="store_true", help="print the ids of the plans, run none")
    options = parser.parse_args(argv)
    began = time.monotonic()
    around = [each.removeprefix(ENVIRONMENT) for each in options.plan if each.startswith(ENVIRONMENT)]
    given = [Plan.parse(each) for each in options.plan if not each.startswith(ENVIRONMENT)]
    if not (options.plan or options.scenario or options.kind or options.sample or options.list):
        around = list(environment.PLANS)
    if around and options.plan and not given and not options.sample:
        return _environment(around)
    chosen = options.scenario or ([] if given else list(ALL))
    names = list(dict.fromkeys([*chosen, *(plan.scenario for plan in given)]))
    if unknown := [each for each in names if each not in ALL]:
        parser.error(f"{unknown[0]!r} is no scenario: {', '.join(ALL)}")
    with ControlPlane(audit=False) as cp:
        cp.install_gateway_api()
        cp.install_decco_crds()
        cp.restart_manager()
        access = Access.to(cp, front.start(cp))
        with Processes(access, options.jobs) as processes:
            status = 0
            for answer in _answers(processes, [["record", name] for name in names]):
                if not answer["found"]:
                    print(f"recorded {answer['record']}, {time.monotonic() - began:.0f} s", flush=True)
                else:
                    status = 1
                    names.remove(answer["record"])  # its plans cannot be judged
                    print(f"FAILED without a fault: {answer['record']}")
                    print("\n".join(f"  {each}" for each in answer["found"]), flush=True)
            plans = [plan for plan in given if plan.scenario in names] * options.times
            if options.sample or not given:
                plans += _plans(access, names, options)
            if options.list:
                print("\n".join(map(str, plans)))
                return status
            print(
                f"{len(names)} scenarios recorded in {time.monotonic() - began:.0f} s, {len(plans)} plans", flush=True
            )
            answers = _answers(processes, [["plan", str(plan)] for plan in plans], began + 60 * options.minutes)
            status = max(status, _report(answers, time.monotonic()))
    return max(status, _environment(around) if around else 0)


def _environment(names: list[str]) -> int:
    """Runs these plans, one after the other, each with a control plane of its own."""
    began = time.monotonic()
    failed = 0
    for name in names:
        if name not in environment.PLANS:
            print(f"{ENVIRONMENT}{name} is no plan: {', '.join(environment.PLANS)}")
            return 2
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="decco-faults-") as folder:
            try:
                environment.run(name, Path(folder))
            except Exception:  # noqa: BLE001 - one plan must not end the others
                failed += 1
                print(f"FAILED make faults PLAN={ENVIRONMENT}{name}\n{traceback.format_exc()}", flush=True)
            else:
                print(f"{ENVIRONMENT}{name} holds, {time.monotonic() - start:.0f} s", flush=True)
    print(f"environment_plans={len(names)} divergences={failed} seconds={time.monotonic() - began:.0f}")
    return 1 if failed else 0


def _plans(access: Access, names: list[str], options: argparse.Namespace) -> list[Plan]:
    found: list[Plan] = []
    for name in [each for each in names if each in options.scenario or not options.scenario]:
        reference = Reference.loads(reference_file(access.folder, name).read_text())
        found += enumerate_plans(name, reference.counts, options.seed)
    if options.kind:
        found = [plan for plan in found if plan.kind in options.kind]
    if options.sample:
        found = sample(found, options.sample)
    return found * options.times


class Processes:
    """Some processes that run plans; ``lines`` has what they answer, with the number of each."""

    def __init__(self, access: Access, jobs: int) -> None:
        self.started: list[subprocess.Popen[str]] = []
        self.lines: queue.Queue[tuple[int, str]] = queue.Queue()
        for number in range(jobs):
            command = [sys.executable, "-W", "ignore", "-m", "tests.faults.worker", "stuvwxyz"[number]]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.started.append(process)
            assert process.stdin is not None
            print(access.dumps(), file=process.stdin, flush=True)
            threading.Thread(target=self._read, args=(process, number), daemon=True).start()

    def _read(self, process: subprocess.Popen[str], number: int) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.put((number, line))
        self.lines.put((number, ""))

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.started:
            process.kill()
            process.wait()


def _answers(processes: Processes, orders: list[list[str]], until: float = inf) -> Iterator[Answer]:
    """Has each order carried out by the process that has fewest in hand; none is given after ``until``."""
    in_hand = [0] * len(processes.started)
    left = list(reversed(orders))

    def give(number: int) -> None:
        stdin = processes.started[number].stdin
        assert stdin is not None
        while left and in_hand[number] < AHEAD and time.monotonic() < until:
            print(json.dumps(left.pop()), file=stdin, flush=True)
            in_hand[number] += 1

    for number in range(len(processes.started)):
        give(number)
    while any(in_hand):
        number, line = processes.lines.get()
        if not line:
            raise RuntimeError(f"a process ended with status {processes.started[number].wait()}")
        in_hand[number] -= 1
        give(number)
        yield json.loads(line)


def _report(answers: Iterable[Answer], began: float) -> int:
    by_kind: Counter[str] = Counter()
    by_scenario: Counter[str] = Counter()
    missed: list[str] = []
    failed: list[Answer] = []
    for answer in answers:
        plan = Plan.parse(answer["plan"])
        by_kind[plan.kind] += 1
        by_scenario[plan.scenario] += 1
        if not answer.get("reached", True):
            missed.append(answer["plan"])
        if "trace" in answer and not answer["found"]:
            print("\n".join(f"    {each}" for each in answer["trace"]), flush=True)
        if answer["found"]:
            failed.append(answer)
            if len(failed) <= SHOWN:
                print(f"FAILED make faults PLAN='{answer['plan']}'")
                print("\n".join(f"  {each}" for each in answer["found"][:8]), flush=True)
                if "FAULTS_TRACE" in os.environ:
                    print("\n".join(f"    {each}" for each in answer.get("trace", ())), flush=True)
    took = time.monotonic() - began
    for title, counts in (("scenario", by_scenario), ("fault", by_kind)):
        print(f"plans by {title}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    if missed:
        print(f"{len(missed)} faults did not strike, because another order of events came first: {missed[:3]}")
    total = sum(by_kind.values())
    print(f"plans={total} divergences={len(failed)} not_struck={len(missed)} seconds={took:.0f}")
    return 1 if failed else 0
