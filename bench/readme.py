"""The figures of README.md, from bench/results.json, between two comments; ``bench.page`` writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

PAGE: Final = "README.md"
START: Final = "<!-- figures: python -m bench.page -->\n"
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
