"""The production index with another way to find overlapping claims, for millions of states of a few claims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from decco.desired.claims import GrantIndex
from decco.desired.grants import Claim, overlap


def table(claims: Sequence[Claim]) -> dict[Claim, list[Claim]]:
    """Each claim with those that overlap it, in their order."""
    return {one: [other for other in claims if overlap(one, other)] for one in claims}


class TabulatedIndex(GrantIndex):
    """The production index with a table in place of the tree of labels, which would have to be built for each state.

    It notifies nobody: in the model any Space may be reconciled at any time.
    """

    def __init__(self, names: Sequence[str], table: Mapping[Claim, Sequence[Claim]]) -> None:
        super().__init__()
        self._names, self._table = names, table

    def copy(self) -> TabulatedIndex:
        new = TabulatedIndex(self._names, self._table)
        # The index replaces the values of these, and changes none in place but those that it has just made.
        new._claimed, new._grants = self._claimed.copy(), self._grants.copy()
        new._restored, new._recorded = self._restored.copy(), self._recorded.copy()
        new._transferred = self._transferred.copy()
        return new

    def _index(self, space: str, former: frozenset[Claim]) -> None:
        pass

    def _claims_of_others(self, space: str, further: Iterable[Claim]) -> dict[str, object]:  # type: ignore[override]
        return {}

    def _overlapping(self, claim: Claim) -> Iterator[tuple[Claim, str]]:
        claimed, grants = self._claimed, self._grants
        restored = self._restored
        for theirs in self._table[claim]:
            for name in self._names:
                if (
                    (name in claimed and theirs in claimed[name].claims)
                    or (name in grants and theirs in grants[name])
                    or (name in restored and theirs in restored[name])
                ):
                    yield theirs, name
