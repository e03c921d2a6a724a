"""All benchmarks in their order: ``make bench``. Each is a program of its own; a failed one does not stop the others.

At the end their last lines are repeated; the exit status is 1 if one of them missed a goal or failed. Sizes are taken
from the environment, as for a single one: ``make bench SPACES=10 APPS=200 REPEATS=1``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable

from bench.results import ORDER
from testbed.progress import say

NAMES = tuple(name for name in ORDER if name not in ("cpu", "memory"))  # both are written by cold


def last_line(output: Iterable[str]) -> str:
    """Repeats the output and returns its last line with content."""
    last = ""
    for line in output:
        print(line, end="", flush=True)
        last = line.strip() or last
    return last


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; without one: all")
    given = parser.parse_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    lines, failed = [], 0
    for name in given.names or NAMES:
        say(f"benchmark {name}")
        with subprocess.Popen([sys.executable, "-m", f"bench.{name}"], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            line = last_line(process.stdout)
        failed |= process.returncode
        lines.append(line if line.startswith(name) else f"{name} failed with status {process.returncode}: {line}")
    print("\n".join(["", *lines]))
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main())
