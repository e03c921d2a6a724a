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

The index is a tree of DNS labels from the root down. What overlaps a claim is on the path to its node or, for a
subtree, under that node; so a lookup costs the number of labels and of overlapping claims, independent of the number of
Spaces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from decco.desired.model import Claims, SpaceFacts, canonical
from decco.hostnames import in_zone

Seniority = tuple[str, str]
"""(creationTimestamp, UID): the smaller is the older."""


@dataclass(frozen=True, slots=True)
class _Holding:
    """The claims of one Space; names are canonical. The FQDN already claims names of ``exact`` that are below it."""

    seniority: Seniority
    fqdn: str
    exact: frozenset[str]


@dataclass(slots=True)
class _Node:
    """One label: the Spaces that claim this very name, as a subtree or exactly."""

    children: dict[str, _Node] = field(default_factory=dict)
    subtree: set[str] = field(default_factory=set)
    exact: set[str] = field(default_factory=set)

    @property
    def empty(self) -> bool:
        return not (self.children or self.subtree or self.exact)


class ClaimIndex:
    """The claims of all Spaces. Not thread-safe; every method is a short computation."""

    def __init__(self) -> None:
        self._root = _Node()
        self._holdings: dict[str, _Holding] = {}

    def add(self, space: SpaceFacts) -> frozenset[str]:
        """Adds or updates a Space; returns the other Spaces whose verdict may have changed."""
        new = _holding(space)
        if self._holdings.get(space.name) == new:
            return frozenset()
        affected = self.remove(space.name)
        self._holdings[space.name] = new
        self._insert(new.fqdn).subtree.add(space.name)
        for name in new.exact:
            self._insert(name).exact.add(space.name)
        return affected | self._younger_neighbours(space.name)

    def remove(self, name: str) -> frozenset[str]:
        """Removes a Space, if it is in the index; returns the other Spaces whose verdict may have changed."""
        old = self._holdings.get(name)
        if old is None:
            return frozenset()
        affected = self._younger_neighbours(name)
        self._discard(old.fqdn, name, subtree=True)
        for exact in old.exact:
            self._discard(exact, name, subtree=False)
        del self._holdings[name]
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
        for name in sorted(set(self._overlapping(wanted, subtree=False)), key=self._seniority):
            lost = self.verdict(name).lost
            mine = self._holdings[name]
            if (in_zone(wanted, mine.fqdn) and mine.fqdn not in lost) or (wanted in mine.exact and wanted not in lost):
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

    def _overlapping(self, name: str, *, subtree: bool) -> Iterator[str]:
        """Spaces (also the one with this claim, and some more than once) with a claim that overlaps this one."""
        node = self._root
        for label in _labels(name):
            yield from node.subtree
            below = node.children.get(label)
            if below is None:
                return
            node = below
        yield from node.subtree
        yield from node.exact
        if subtree:
            pending = list(node.children.values())
            while pending:
                node = pending.pop()
                yield from node.subtree
                yield from node.exact
                pending += node.children.values()

    def _insert(self, name: str) -> _Node:
        node = self._root
        for label in _labels(name):
            node = node.children.setdefault(label, _Node())
        return node

    def _discard(self, name: str, space: str, *, subtree: bool) -> None:
        """Removes a claim, and the nodes that only led to it."""
        path = [self._root]
        labels = _labels(name)
        for label in labels:
            path.append(path[-1].children[label])
        (path[-1].subtree if subtree else path[-1].exact).discard(space)
        for label, parent, node in zip(reversed(labels), reversed(path[:-1]), reversed(path[1:]), strict=True):
            if not node.empty:
                return
            del parent.children[label]


def _holding(space: SpaceFacts) -> _Holding:
    exact = frozenset(canonical(hostname) for hostname in space.spec.hostnames)
    return _Holding((space.created, space.uid), canonical(space.fqdn), exact)


def _claims_of(holding: _Holding) -> Iterator[tuple[str, bool]]:
    """(name, whether it is a subtree). A name that is claimed as both is lost as both."""
    yield holding.fqdn, True
    for name in sorted(holding.exact - {holding.fqdn}):
        yield name, False


def _labels(name: str) -> list[str]:
    """From the root down: "a.example.com" -> ["com", "example", "a"]."""
    return name.split(".")[::-1]
