"""The delegated calls of SECURITY.md: what decco does for a tenant or operator that they may not do themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[1] / "SECURITY.md"
MOST = 12
_ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
_RESOURCE = re.compile(r"`([a-z/]+)`")


@dataclass(frozen=True, slots=True)
class Delegated:
    """One row: its requests as (verb, resource)."""

    number: int
    call: str
    requests: frozenset[tuple[str, str]]
    guard: str


def delegated() -> list[Delegated]:
    """The table of the page; a cell of requests is "`resource`, `resource`: verb, verb; ..."."""
    found = []
    for number, call, requests, guard in _ROW.findall(PAGE.read_text()):
        pairs = set()
        for part in requests.split(";"):
            resources, _, verbs = part.partition(":")
            pairs |= {(verb.strip(), each) for each in _RESOURCE.findall(resources) for verb in verbs.split(",")}
        found.append(Delegated(int(number), call, frozenset(pairs), guard))
    return found
