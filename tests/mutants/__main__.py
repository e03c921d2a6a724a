"""``make mutants``: judges a random sample of the mutants of the packages that must not lose anything.

Prints a line for each, and the share caught. Survivors that are listed in ``survivors.toml`` have a reason there.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import random
import sys
import tomllib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tests.mutants.judge import SOURCE, Verdict, failing_test, judge, package_tests
from tests.mutants.mutate import Mutant, mutants

PLACES = ("kube", "reconcilers", "dns/plan.py")
SHARE = 0.85
"""Of the mutants that must be caught; equivalent ones count as not caught."""
SURVIVORS = Path(__file__).parent / "survivors.toml"
_IMPORTED = ("aiohttp.web", "aiohttp", "pydantic", "yaml", "cryptography.x509", "asyncio")
"""What tests import, once for all mutants; nothing of decco."""


def all_mutants(only: str = "") -> list[Mutant]:
    found = []
    for place in PLACES:
        path = SOURCE / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            name = file.relative_to(SOURCE).as_posix()
            if only in name:
                found += mutants(name, file.read_text())
    return found


def reasons() -> dict[tuple[str, str, str], str]:
    """File, line of text and change of each known survivor, and why it survives."""
    listed: list[dict[str, str]] = tomllib.loads(SURVIVORS.read_text()).get("survivor", [])
    return {(each["file"], each["code"], each["change"]): each["reason"] for each in listed}


def key_of(mutant: Mutant) -> tuple[str, str, str]:
    """What identifies a mutant also after other lines of its file have changed."""
    code = (SOURCE / mutant.file).read_text().splitlines()[mutant.line - 1].strip()
    return mutant.file, code, mutant.id.split(": ", 1)[1]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("-n", type=int, default=150, help="mutants, 0 for all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--schedules", type=int, default=20, help="of the simulation, for those that pass the unit tests"
    )
    parser.add_argument("--file", default="", help="only files that contain this, such as kube/watch.py")
    parser.add_argument("--line", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for the verdicts")
    options = parser.parse_args(arguments)
    found = [each for each in all_mutants(options.file) if options.line in (0, each.line)]
    chosen = random.Random(options.seed).sample(found, min(options.n, len(found))) if options.n else found
    print(f"{len(chosen)} of {len(found)} mutants, seed {options.seed}", flush=True)
    for name in _IMPORTED:
        importlib.import_module(name)
    known, verdicts = reasons(), []
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("fork")) as pool:
        files = {each.file.partition("/")[0]: each.file for each in chosen}
        for file in files.values():
            failed = pool.submit(failing_test, file, (SOURCE / file).read_text(), package_tests(file)).result()
            if failed:
                print(f"without a mutant fails: {failed}")
                return 2
        waiting = [pool.submit(judge, each, options.schedules) for each in chosen]
        for each in as_completed(waiting):
            verdict = each.result()
            verdicts.append(verdict)
            reason = known.get(key_of(verdict.mutant), "")
            print(f"{'caught' if verdict.by else 'SURVIVES'}  {verdict.mutant.id}  {verdict.by or reason}", flush=True)
    if options.json:
        options.json.write_text(json.dumps([_plain(each) for each in verdicts], indent=1))
    return summary(verdicts)


def summary(verdicts: list[Verdict]) -> int:
    """Prints the shares; the status is 1 if too few are caught."""
    totals = Counter(each.mutant.file.partition("/")[0] for each in verdicts)
    caught = Counter(each.mutant.file.partition("/")[0] for each in verdicts if each.by)
    for package, total in sorted(totals.items()):
        print(f"{package:12} {caught[package]:4} of {total:4} caught, {caught[package] / total:.0%}")
    by_simulation = sum(each.by.startswith("simulation") for each in verdicts)
    print(f"{caught.total()} of {len(verdicts)} caught, {by_simulation} of them by the simulation only")
    return 0 if caught.total() >= SHARE * len(verdicts) else 1


def _plain(verdict: Verdict) -> dict[str, Any]:
    return {**verdict.mutant._asdict(), "by": verdict.by}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
