"""Writes the figures of README.md from bench/results.json, between two comments.

python -m bench.readme            write them
python -m bench.readme --check    exit status 1, and a line, if they are stale
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bench.results import known

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = "README.md"
START: Final = "<!-- figures: python -m bench.readme -->\n"
END: Final = "<!-- end of figures -->\n"
SHOWN: Final = ("decco", "raw", "controller-runtime", "kopf")
TITLES: Final = {"raw": "bare client"}
ROWS: Final = (
    ("seconds", "seconds until all is there"),
    ("cpu_seconds", "CPU, seconds"),
    ("settled_mb", "memory, MB"),
)


def figures(results: Mapping[str, Any]) -> str:
    """A table of ``cold``, and a line of what costs nothing; "" before there are results."""
    return "\n".join(_lines(results))


def _lines(results: Mapping[str, Any]) -> Iterator[str]:
    cold = results.get("cold")
    if not cold:
        return
    contenders = {who: cold["contenders"][who] for who in SHOWN if who in cold["contenders"]}
    titles = [TITLES.get(who, who) for who in contenders]
    yield f"| {cold['apps']} Apps in {cold['spaces']} Spaces | {' | '.join(titles)} |"
    yield f"|---|{'---|' * len(contenders)}"
    for key, title in ROWS:
        medians = [f"{each[key]['median']:.1f}" for each in contenders.values()]
        yield f"| {title} | {' | '.join(medians)} |"
    if minimal := results.get("minimal"):
        of = minimal["figures"]
        yield (
            f"\n{of['edits']:.0f} edits of one field changed {of['objects that differ']:.0f} objects: decco sent "
            f"{of['writes']:.0f} writes and {of['reads']:.0f} reads."
        )
    yield ""


def between(text: str, block: str) -> str:
    """The page with another block; a page without both comments is an error (ValueError)."""
    head, rest = text.split(START)
    _, tail = rest.split(END)
    return f"{head}{START}\n{block.strip()}\n\n{END}{tail}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.readme", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    path = ROOT / PAGE
    text = path.read_text()
    wanted = between(text, figures(known()))
    if not check:
        path.write_text(wanted)
    elif text != wanted:
        print(f"{PAGE} is stale: run make generate")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
