"""A million states of a few Spaces, by the production index: nobody has another's name, and nobody loses one.

Some scopes are explored completely; the large ones up to a number of states, the shortest histories first.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.unit.desired.claim_model import Scope
from tests.unit.desired.claim_states import Explorer

LEAST = 1_000_000
PROCESSES = 2
SECONDS = 3600
"""A limit for a machine that is busy with other things."""


def _sets(*texts: str) -> list[frozenset[str]]:
    return [frozenset(text.split()) for text in texts]


BOTH = frozenset({("a", "b"), ("b", "a")})
ONE = frozenset({("b", "a")})
NAME = {"a": _sets(".a.x"), "b": _sets(".b.y", ".b.y *.x")}
"""A wildcard over another's FQDN, which comes and goes."""
BESIDE = {"a": _sets(".a.x", ".a.x b.y"), "b": _sets(".b.y", ".b.y *.x")}
"""A name at another's FQDN, and a wildcard over it."""
BELOW = {"a": _sets(".x", ".x *.y"), "b": _sets(".b.x", ".b.x b.y", ".b.x c.y")}
"""One FQDN below the other, and a wildcard over single names."""
THREE = {"a": _sets(".a.x"), "b": _sets("b.a.x"), "c": _sets("*.x")}
"""A parent, a name below it, and a wildcard beside it."""
SCOPES: dict[str, tuple[Scope, int]] = {
    "one name": (Scope(NAME, BOTH), 0),
    "one name, permissions": (Scope(NAME, ONE, permissions=True), 0),
    "same second": (Scope(BESIDE, ties=True), 0),
    "transfers": (Scope(BESIDE, BOTH), 200_000),
    "permissions": (Scope(BESIDE, BOTH, permissions=True), 200_000),
    "backups": (Scope(BESIDE, backups=True), 200_000),
    "parents": (Scope(BELOW, BOTH, ties=True), 200_000),
    "three Spaces": (Scope(THREE, ties=True), 200_000),
    "three Spaces, a transfer": (Scope(THREE, ONE, permissions=True), 0),
    "three Spaces, backups": (Scope(THREE, ONE, permissions=True, backups=True), 250_000),
}
"""Name -> the scope and how many states are visited at most; 0 is all."""


def explore(name: str, most: int) -> tuple[str, int, int, bool]:
    """Name, states, transitions, and whether these were all states."""
    explorer = Explorer(SCOPES[name][0])
    visited, whole = explorer.explore(most)
    return name, visited, explorer.transitions, whole


@pytest.mark.full
@pytest.mark.timeout(SECONDS)
def test_no_history_breaks_a_rule() -> None:
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(explore, name, most or LEAST) for name, (_, most) in SCOPES.items()]
        results = [each.result() for each in running]
    for name, visited, transitions, whole in results:
        print(f"{name}: {visited} states{', all' if whole else ''}, {transitions} transitions")
        assert whole or SCOPES[name][1], f"{name}: not all states"
    assert sum(visited for _, visited, _, _ in results) >= LEAST


@pytest.mark.parametrize("name", SCOPES)
def test_short_histories(name: str) -> None:
    explore(name, 300)
