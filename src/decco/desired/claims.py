"""Each host name has one owning Space: the index of claims, and which Spaces a change of one Space affects.

A Space claims its FQDN with everything below it (a subtree), and each of its ``hostnames`` (one exact name). Two claims
overlap if some name is in both: two subtrees if one root is equal to or below the other, an exact name and a subtree if
the name is in it, two exact names if they are equal. Where claims of two Spaces overlap, the older Space has the name
and the claim of the younger is lost, as a whole: a FQDN that is lost loses everything below it, a lost ``hostnames``
entry loses itself only.

The rule compares pairs. An older claim beats a younger one even if it is itself lost to a third: let A be older than B,
and B older than C, and let B overlap both, but A and C not each other. Then B loses to A, and C loses to B although B
does not have the name. If C were granted it, the deletion of A would take a name that is in use from C and give it to
B. With this rule a deletion only gives names to Spaces and never takes one away.

So at most one Space holds a claim that covers a given name: two that cover it overlap, and one of them is lost.

The index finds what overlaps a claim by its name, its ancestors and, for a subtree, an index of all that is below a
name; so a lookup costs the number of labels and of overlapping claims, independent of the number of Spaces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from decco.desired.model import Claims, SpaceFacts
from decco.hostnames import canonical, in_zone

Seniority = tuple[str, str]
"""(creationTimestamp, UID): the smaller is the older."""


@dataclass(frozen=True, slots=True)
class _Holding:
    """The claims of one Space; names are canonical. The FQDN already claims names of ``exact`` that are below it."""

    seniority: Seniority
    fqdn: str
    exact: frozenset[str]


class ClaimIndex:
    """The claims of all Spaces. Not thread-safe; every method is a short computation."""

    def __init__(self) -> None:
        self._holdings: dict[str, _Holding] = {}
        self._subtrees: dict[str, set[str]] = {}
        """Name -> Spaces whose FQDN it is."""
        self._exact: dict[str, set[str]] = {}
        """Name -> Spaces with this very name among their ``hostnames``."""
        self._below: dict[str, set[str]] = {}
        """Name -> Spaces with any claim on it or on a name below it."""

    def add(self, space: SpaceFacts) -> frozenset[str]:
        """Adds or updates a Space; returns the other Spaces whose verdict may have changed."""
        new = _holding(space)
        if self._holdings.get(space.name) == new:
            return frozenset()
        affected = self.remove(space.name)
        self._holdings[space.name] = new
        for index, name in self._entries(new):
            index.setdefault(name, set()).add(space.name)
        return affected | self._younger_neighbours(space.name)

    def remove(self, name: str) -> frozenset[str]:
        """Removes a Space, if it is in the index; returns the other Spaces whose verdict may have changed."""
        if name not in self._holdings:
            return frozenset()
        affected = self._younger_neighbours(name)
        for index, claimed in self._entries(self._holdings.pop(name)):
            spaces = index.get(claimed, set())
            spaces.discard(name)
            if not spaces:
                index.pop(claimed, None)
        return affected

    def verdict(self, name: str) -> Claims:
        """Each lost claim of the Space, with the oldest Space that wins it. Empty if the Space is not in the index."""
        mine = self._holdings.get(name)
        if mine is None:
            return Claims()
        lost: dict[str, str] = {}
        for claim, subtree in _claims_of(mine):
            older = [o for o in self._overlapping(claim, subtree=subtree) if self._seniority(o) < mine.seniority]
            if older:
                lost[claim] = min(older, key=self._seniority)
        return Claims(lost)

    def owner_of(self, hostname: str) -> str | None:
        """The Space that has this name, or None if every claim on it is lost or there is no claim."""
        wanted = canonical(hostname)
        for name in sorted(self._overlapping(wanted, subtree=False), key=self._seniority):
            lost, mine = self.verdict(name).lost, self._holdings[name]
            if in_zone(wanted, mine.fqdn) and mine.fqdn not in lost:
                return name
            if wanted in mine.exact and wanted not in lost:
                return name
        return None

    def _seniority(self, name: str) -> Seniority:
        return self._holdings[name].seniority

    def _younger_neighbours(self, name: str) -> frozenset[str]:
        """Spaces that lose something to this one. An older neighbour's verdict does not depend on a younger Space."""
        mine = self._holdings[name]
        return frozenset(
            other
            for claim, subtree in _claims_of(mine)
            for other in self._overlapping(claim, subtree=subtree)
            if self._seniority(other) > mine.seniority
        )

    def _overlapping(self, name: str, *, subtree: bool) -> set[str]:
        """Spaces (also the one with this claim) with a claim that overlaps this one."""
        found = set(self._below.get(name, ())) if subtree else set(self._exact.get(name, ()))
        for root in _ancestors(name):
            found |= self._subtrees.get(root, set())
        return found

    def _entries(self, holding: _Holding) -> Iterator[tuple[dict[str, set[str]], str]]:
        """Where the indices contain a Space."""
        yield self._subtrees, holding.fqdn
        for name in holding.exact:
            yield self._exact, name
        for name in {holding.fqdn, *holding.exact}:
            for root in _ancestors(name):
                yield self._below, root


def _holding(space: SpaceFacts) -> _Holding:
    exact = frozenset(canonical(hostname) for hostname in space.spec.hostnames)
    return _Holding((space.created, space.uid), canonical(space.fqdn), exact)


def _claims_of(holding: _Holding) -> Iterator[tuple[str, bool]]:
    """(name, whether it is a subtree). A name that is claimed as both is lost as both."""
    yield holding.fqdn, True
    for name in sorted(holding.exact - {holding.fqdn}):
        yield name, False


def _ancestors(name: str) -> Iterator[str]:
    """The name itself and all names above it: "a.example.com", "example.com", "com"."""
    while name:
        yield name
        name = name.partition(".")[2]
