"""The exploration of claims, in small; tests/attacks/test_claim_states.py explores a thousand times as many states."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from decco.desired.claims import GrantIndex
from decco.desired.grants import Claim, Record
from tests.unit.desired.claim_model import Scope
from tests.unit.desired.claim_states import Broken, Explorer

SMALL = {
    "a": [frozenset({".a.x"}), frozenset({".a.x", "b.y"})],
    "b": [frozenset({".b.y"}), frozenset({".b.y", "*.x"})],
}
SMALLEST = {"a": SMALL["a"][:1], "b": SMALL["b"]}
BOTH = frozenset({("a", "b"), ("b", "a")})


@pytest.mark.thorough
@pytest.mark.parametrize("transfers", [frozenset(), BOTH], ids=["", "with transfers"])
def test_no_history_of_two_spaces_breaks_a_rule(transfers: frozenset[tuple[str, str]]) -> None:
    visited, _ = Explorer(Scope(SMALL, transfers)).explore(3_000)
    assert visited > 500


@pytest.mark.thorough
def test_the_table_of_the_exploration_is_the_tree_of_the_index() -> None:
    """The same states, in the same order, by the index as it is in production."""
    scope = Scope(SMALL, BOTH, ties=True, permissions=True, backups=True)
    tabulated, by_tree = Explorer(scope), Explorer(scope, tabulated=False)
    assert tabulated.explore(800) == by_tree.explore(800)
    assert tabulated.transitions == by_tree.transitions
    assert tabulated.states == by_tree.states


# What the exploration finds -------------------------------------------------------------------------------------------


def older_wins(index: GrantIndex, space: str, claim: Claim) -> str | None:
    mine = index._claimed[space].order
    return next(
        (
            other
            for theirs, other in index._overlapping(claim)
            if other != space and other in index._claimed and index._claimed[other].order < mine
        ),
        None,
    )


def nobody_is_before(*_: object) -> None:
    """Whoever asks is granted the name."""


def forgets_the_status(*_: object) -> None:
    """After a restart only the records of namespaces count."""


ACQUIRE, RECORD, RELEASE = GrantIndex.acquire, GrantIndex.record, GrantIndex.release


def forgets_transfers(index: GrantIndex, space: str, now: str, generation: int) -> frozenset[Claim]:
    granted = ACQUIRE(index, space, now, generation)
    index._transferred[space] = {}
    return granted


def forgets_with_the_namespace(index: GrantIndex, space: str, record: Record | None) -> frozenset[str]:
    changed = RECORD(index, space, record)
    if record is None:
        index._grants[space] = {}
    return changed


def releases_what_is_served(index: GrantIndex, space: str, _: Iterable[Claim]) -> None:
    RELEASE(index, space, list(index._of(space)))


def transfers_again(index: GrantIndex, space: str, claim: Claim) -> str | None:
    for theirs, other in index._overlapping(claim):
        listed = index._claimed[other].transfers if other != space and index._claims_name(other, theirs) else {}
        if space == listed.get(theirs.removeprefix(".")):
            return other
    return None


def forgets_what_it_released(index: GrantIndex, space: str, claims: Iterable[Claim]) -> None:
    """Free at once, before the namespace ceases to record it."""
    kept = {claim: grant for claim, grant in index._of(space).items() if claim not in set(claims)}
    index._grants[space] = kept
    index._index(space, frozenset(claims))


MUTANTS: dict[Callable[..., Any], str] = {
    older_wins: "_blocker",
    nobody_is_before: "_blocker",
    forgets_the_status: "restore",
    forgets_transfers: "acquire",
    forgets_with_the_namespace: "record",
    releases_what_is_served: "release",
    transfers_again: "_gives_up",
    forgets_what_it_released: "release",
}


@pytest.mark.thorough
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_exploration_finds_an_index_that(mutant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GrantIndex, MUTANTS[mutant], mutant)
    with pytest.raises(Broken):
        Explorer(Scope(SMALLEST, frozenset({("b", "a")}))).explore(8_000)
