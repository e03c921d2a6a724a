"""``make sabotages``: after how many schedules the simulation finds each sabotage of ``sabotages.py``.

What it does not find is tried with the unit tests of its package: where the states of a sabotage are rare, or the model
has no such thing, a test by name does the work. One that nothing finds is a gap in the plans, in the model or in the
oracles. With ``--write`` the table is written to ``docs/design``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import resource
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple

from tests.mutants.judge import failing_test, in_child, own_tests, package_tests
from tests.simulation.altered import first_failure
from tests.simulation.sabotages import SABOTAGES, Sabotage, replaced

DOCUMENT = Path(__file__).parents[2] / "docs" / "design" / "2026-11-30-sabotages.md"
BEGIN, END = "<!-- table -->", "<!-- end of the table -->"
SHARE = 0.95
"""That must be found."""
SECONDS_PER_SCHEDULE = 5
"""A sabotaged controller that takes longer works without end."""
FIRST = 1
_IMPORTED = ("aiohttp", "pydantic", "yaml", "cryptography.x509", "asyncio", "prometheus_client", "greenlet")


class Row(NamedTuple):
    sabotage: Sabotage
    schedules: int | None
    """How many were run to find it; None if none of them did."""
    seconds: float
    """Of CPU, with the start of the controller's modules."""
    how: str
    """What the schedule found, or the test that failed."""

    @property
    def found(self) -> bool:
        return self.schedules is not None or bool(self.how)

    def line(self) -> str:
        engine = str(self.schedules) if self.schedules is not None else "test" if self.how else "survives"
        return f"{engine:>8}  {self.seconds:6.1f} s  {self.sabotage.file:32} {self.sabotage.name}: {self.how[:120]}"


def judged(sabotage: Sabotage, most: int, *, tested: bool = True) -> Row:
    text = replaced(sabotage)
    before = _cpu_seconds()
    found = in_child(
        lambda: "{}|{}".format(*each) if (each := first_failure(sabotage.file, text, FIRST, most)) else None,
        20 + SECONDS_PER_SCHEDULE * most,
    )
    seconds = _cpu_seconds() - before
    if found:
        seed, _, how = found.partition("|")
        return Row(sabotage, int(seed) - FIRST + 1 if seed.isdigit() else most, seconds, how or found)
    if not tested:
        return Row(sabotage, None, seconds, "")
    tests = own_tests(sabotage.file)
    tests += [each for each in package_tests(sabotage.file) if each not in tests]
    return Row(sabotage, None, seconds, failing_test(sabotage.file, text, tests))


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(rows: list[Row], most: int) -> str:
    """In Markdown, with what survives first."""
    by: Callable[[Row], tuple[bool, int]] = lambda row: (row.found, -(row.schedules or most + 1))  # noqa: E731
    simulated = [row for row in rows if row.schedules is not None]
    tested = [row for row in rows if row.schedules is None and row.how]
    seconds = sorted(row.seconds for row in simulated)
    head = (
        f"{len(rows)} sabotages: {len(simulated)} found by at most {most} schedules, {len(tested)} by a unit test, "
        f"{len(rows) - len(simulated) - len(tested)} by nothing. Median {seconds[len(seconds) // 2]:.1f} s of CPU with "
        f"the start of the modules, {sum(seconds):.0f} s together ({date.today().isoformat()}).\n\n"
        "| schedules | sabotage | file | found by |\n|---|---|---|---|\n"
    )
    lines = [
        f"| {row.schedules if row.schedules is not None else ''} | {row.sabotage.name} | `{row.sabotage.file}` "
        f"| {_shown(row)} |\n"
        for row in sorted(rows, key=by)
    ]
    return head + "".join(lines)


def _shown(row: Row) -> str:
    if not row.how:
        return "**nothing**"
    if row.schedules is None:
        return f"`{row.how.rpartition('/')[2].partition('[')[0]}`"
    return row.how.partition(": ")[2][:100].replace("|", "/").replace("<", "(").replace(">", ")") or row.how


def main() -> int:
    """Prints a line for each; the status is 1 if fewer than 95 % are found."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.table", description=__doc__)
    parser.add_argument("-n", type=int, default=100, help="schedules for each")
    parser.add_argument("-k", default="", help="only those whose name contains this")
    parser.add_argument("--from", dest="first", type=int, default=0, help="leave out so many at the beginning")
    parser.add_argument("--sample", type=int, default=0, help="only so many, chosen at random")
    parser.add_argument("--untested", action="store_true", help="do not try the unit tests")
    parser.add_argument("--write", action="store_true", help=f"write the table into {DOCUMENT.name}")
    options = parser.parse_args()
    for name in _IMPORTED:
        importlib.import_module(name)
    chosen = [each for each in SABOTAGES[options.first :] if options.k in each.name]
    if options.sample:
        chosen = random.sample(chosen, options.sample)
    rows = []
    for each in chosen:
        rows.append(judged(each, options.n, tested=not options.untested))
        print(rows[-1].line(), flush=True)
    found = sum(row.found for row in rows)
    print(f"{found} of {len(rows)} found within {options.n} schedules or by a unit test")
    if options.write:
        text = DOCUMENT.read_text()
        begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
        DOCUMENT.write_text(f"{text[:begin]}\n\n{table(rows, options.n)}\n{text[end:]}")
    return 0 if found >= SHARE * len(rows) else 1


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-W", "ignore", "-m", "tests.simulation.table", *sys.argv[1:]])
    sys.exit(main())
