"""Grants of host names: which Space has which name. A name is granted once and never taken away.

A Space claims its FQDN with everything below it, each of its ``hostnames`` exactly, and each of its ``httpHostnames``,
exactly or as a wildcard of one label. Two claims overlap if some name is in both. A claim is granted if no grant of
another Space overlaps it and no older Space waits for an overlapping claim that is free (the receiver of a transfer
counts as the oldest); from then on neither age nor name of a Space matters. A grant ends when its Space no longer
claims and no longer serves the name, when Space and namespace are both gone, or by a transfer. Of a Space that is gone
it also ends while finalizers hold the namespace, if nothing there can serve the name (``departed.py``). A transfer
takes effect once. Otherwise an old annotation could take a name back, and two Spaces that list each other would
transfer it in a loop.

The record of the grants is the annotation ``decco.platform9.com/hostnames`` of the Space's namespace, which only the
controller may write, with a copy in the Space's status. A grant that is not recorded yet has no effect, except that no
other Space is granted the name. The index here is the memory of one process: it is built from the Spaces and the
records, and ``acquire`` and ``release`` are its only decisions. Reasons and alternatives:
docs/design/2026-11-29-authority.md.

Claims are indexed by a tree of DNS labels from the root down. What overlaps a claim is on the path to its node, beside
it or under it, so a query costs the number of labels and of overlapping claims, whatever the number of Spaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from decco.desired.grants import Claim, Grant, Record, Transfers, overlap
from decco.desired.model import Claims, SpaceFacts
from decco.frozen import frozen
from decco.hostnames import canonical, in_zone


class ClaimOrder(NamedTuple):
    """Order of the Spaces that wait for a name: the smaller is first."""

    created: str
    """creationTimestamp, RFC 3339 in UTC."""
    uid: str


@frozen
class Claimed:
    """What one Space claims."""

    order: ClaimOrder
    claims: frozenset[Claim]
    transfers: Transfers = field(default_factory=dict)
    """What the Space lists; the permission was checked at admission."""


@frozen
class SpaceClaims:
    """The claims of one Space."""

    granted: frozenset[Claim] = frozenset()
    """In effect."""
    pending: frozenset[Claim] = frozenset()
    """Granted, and not recorded yet."""
    lost: Mapping[Claim, str] = field(default_factory=dict)
    """Claim -> the Space that has it or is before this one."""

    def claims(self) -> Claims:
        """By names, for the desired state: the FQDN stands for all that is below it."""
        lost = {claim.removeprefix("."): holder for claim, holder in self.lost.items()}
        granted, pending = (
            frozenset(claim.removeprefix(".") for claim in claims) for claims in (self.granted, self.pending)
        )
        return Claims(granted, lost, pending)


def claimed(space: SpaceFacts) -> Claimed:
    """What a Space claims. The FQDN covers those of its ``hostnames`` and ``httpHostnames`` that are below it."""
    fqdn = space.fqdn
    listed = (*space.spec.hostnames, *(each.name for each in space.spec.http_hostnames))
    further = {name for name in map(canonical, listed) if not in_zone(name, fqdn)}
    claims = frozenset({f".{fqdn}", *further})
    return Claimed(ClaimOrder(space.created, space.uid), claims, space.transfers)


@dataclass(slots=True)
class _Node:
    """One label. ``claims`` holds (claim, Space) of the claims that end here, granted or claimed."""

    children: dict[str, _Node] = field(default_factory=dict)
    claims: set[tuple[Claim, str]] = field(default_factory=set)

    @property
    def empty(self) -> bool:
        return not (self.children or self.claims)


class GrantIndex:
    """Claims and grants of all Spaces. Not thread-safe; every method is a short computation."""

    def __init__(self) -> None:
        self._root = _Node()
        self._claimed: dict[str, Claimed] = {}
        self._grants: dict[str, dict[Claim, Grant]] = {}
        self._restored: dict[str, Mapping[Claim, Grant]] = {}
        """Space without a record -> the grants that its status lists."""
        self._recorded: set[str] = set()
        """Spaces whose namespace exists."""
        self._transferred: dict[str, Transfers] = {}

    def set_claims(self, space: str, claimed: Claimed | None) -> frozenset[str]:
        """Set what a Space claims; None if it is gone. Returns the other Spaces whose claims have changed."""
        old = self._claimed.get(space)
        if old == claimed:
            return frozenset()
        before = self._claims_of_others(space, claimed.claims if claimed is not None else frozenset())
        if claimed is None:
            self._claimed.pop(space, None)
            self._restored.pop(space, None)
            # Without a Space, only what the namespace records counts.
            self._grants[space] = {claim: each for claim, each in self._of(space).items() if each.recorded}
        else:
            self._claimed[space] = claimed
        self._index(space, old.claims if old is not None else frozenset())
        self._forget(space)
        return self._changed(before)

    def record(self, space: str, record: Record | None) -> frozenset[str]:
        """Set what the namespace of this name records; None if it is gone. Returns the other Spaces whose claims have
        changed.

        While its Space exists, a grant stays without a record: the namespace was deleted or altered by mistake, and is
        written again. A grant that the Space no longer claims and that the record no longer has was released by a
        controller, so it is dropped.
        """
        (self._recorded.add if record is not None else self._recorded.discard)(space)
        if record is not None:
            self._restored.pop(space, None)
        old, moved = self._of(space), self._transferred.get(space, {})
        transferred = record.transferred if record is not None else moved if space in self._claimed else {}
        kept = {
            claim: replace(grant, recorded=False)
            for claim, grant in old.items()
            if space in self._claimed and not grant.released and (record is None or self._claims_name(space, claim))
        }
        found = kept | {
            claim: replace(grant, recorded=True, released=claim in old and old[claim].released)
            for claim, grant in (record.grants if record is not None else {}).items()
        }
        if (found, transferred) == (old, moved):
            return frozenset()
        before = self._claims_of_others(space, found)
        self._grants[space] = found
        self._transferred[space] = transferred
        self._index(space, frozenset(old))
        self._forget(space)
        return self._changed(before)

    def restore(self, space: str, grants: Mapping[Claim, Grant], transfers: Transfers) -> None:
        """Take what the status of a Space lists, which counts only if there is no namespace with a record.

        ``transfers`` is what the Space lists. If it has had names before, they count as done: without the record it is
        unknown whether they took place, and an old transfer must not take a name away.
        """
        if space in self._recorded:
            return
        self._restored[space] = grants
        if grants:
            self._transferred.setdefault(space, transfers)
        self._index(space, frozenset())

    def acquire(self, space: str, now: str, generation: int) -> frozenset[Claim]:
        """Grant the Space what it claims and what is free. Returns what was granted now; it has to be recorded."""
        claimed = self._claimed.get(space)
        if claimed is None:
            return frozenset()
        grants = self._grants[space] = dict(self._of(space))
        self._restored.pop(space, None)
        for claim in claimed.claims & grants.keys():
            if grants[claim].released and self._receiver(space, claim) is None:
                grants[claim] = replace(grants[claim], released=False)  # claimed again before it was released
        new = {claim for claim in claimed.claims - grants.keys() if self._blocker(space, claim) is None}
        for claim in new:
            grants[claim] = Grant(now, generation)
        moved = self._transferred.get(space, {})
        self._transferred[space] = {
            name: holder
            for name, holder in claimed.transfers.items()
            if moved.get(name) == holder
            or any(
                claim in claimed.claims and claim in grants and self._blocker(space, claim) is None
                for claim in (name, f".{name}")
            )
        }
        return frozenset(new)

    def leaving(self, space: str) -> frozenset[Claim]:
        """The grants that the Space no longer claims, or that are being transferred."""
        return frozenset(
            claim
            for claim, grant in self._of(space).items()
            if not grant.released and (not self._claims_name(space, claim) or self._receiver(space, claim) is not None)
        )

    def unclaimed(self, space: str) -> frozenset[Claim]:
        """The recorded grants that the Space no longer claims, and that are not being transferred."""
        return frozenset(
            claim
            for claim in self.leaving(space)
            if self._of(space)[claim].recorded
            and self._receiver(space, claim) is None
            and self._blocker(space, claim) is None
        )

    def release(self, space: str, claims: Iterable[Claim]) -> None:
        """Give up grants that are leaving and that no listener or route of the Space serves. They end, and others may
        be granted them, when the namespace does not record them any more.
        """
        grants = self._of(space)
        released = {claim: replace(grants[claim], released=True) for claim in claims}
        self._grants[space] = {**grants, **released}

    def grants(self, space: str) -> Mapping[Claim, Grant]:
        """The grants of a Space that are to be recorded."""
        return {
            claim: grant
            for claim, grant in self._of(space).items()
            if not grant.released and (grant.recorded or self._blocker(space, claim) is None)
        }

    def transferred(self, space: str) -> Transfers:
        """The transfers to a Space that took place, and that are to be recorded until the Space no longer lists
        them.
        """
        return self._transferred.get(space, {})

    def claims_of(self, space: str) -> SpaceClaims:
        """What the Space has, and to whom it lost the rest. Of a Space that is gone, only the grants that are being
        transferred, as lost: it is reconciled when that changes.
        """
        claimed = self._claimed.get(space)
        if claimed is None:
            moving = {
                claim: self._receiver(space, claim) for claim, each in self._of(space).items() if not each.released
            }
            return SpaceClaims(lost={claim: receiver for claim, receiver in moving.items() if receiver is not None})
        granted, pending, lost = set(), set(), {}
        for claim in sorted(claimed.claims):
            grant = self._of(space).get(claim)
            blocker = self._receiver(space, claim) or self._blocker(space, claim)
            if blocker is not None:
                lost[claim] = blocker
            elif grant is not None and grant.recorded and not grant.released:
                granted.add(claim)
            else:
                pending.add(claim)
        return SpaceClaims(frozenset(granted), frozenset(pending), lost)

    def owner_of(self, name: str) -> str | None:
        """The Space that has been granted this name; None if there is none."""
        for claim, space in self._overlapping(name):
            if claim in self._of(space) and self._blocker(space, claim) is None:
                return space
        return None

    def rivals(self, space: str) -> frozenset[str]:
        """The other Spaces that claim a name of a grant of this one."""
        overlapping = (each for claim in self._of(space) for each in self._overlapping(claim))
        return frozenset(other for theirs, other in overlapping if other != space and self._claims_name(other, theirs))

    def recorded(self, space: str) -> Mapping[Claim, Grant]:
        """Those of ``grants`` that are recorded."""
        return {claim: grant for claim, grant in self.grants(space).items() if grant.recorded}

    def _of(self, space: str) -> dict[Claim, Grant]:
        grants = self._grants.get(space, {})
        return {**self._restored[space], **grants} if space in self._restored else grants

    def _claims_name(self, space: str, claim: Claim) -> bool:
        claimed = self._claimed.get(space)
        return claimed is not None and claim in claimed.claims

    def _blocker(self, space: str, claim: Claim) -> str | None:
        """The Space because of which this one cannot have the claim; None if it has it, or may be granted it.

        Grants of two Spaces overlap if their records were restored from different times: the earlier one counts. One
        that is not recorded yields to one that is: a controller that had granted a name when it lost the leadership
        learns by the record that its successor has granted it to another Space.
        """
        mine = self._of(space).get(claim)
        others = [(theirs, other) for theirs, other in self._overlapping(claim) if other != space]
        holders = [
            (grant.since, other)
            for theirs, other in others
            if (grant := self._of(other).get(theirs)) is not None
            and (mine is None or (not grant.recorded, grant.since, other) < (not mine.recorded, mine.since, space))
        ]
        if holders or mine is not None:
            return min(holders)[1] if holders else None
        receivers = self._receivers([(claim, space), *others])
        first = space not in receivers, self._claimed[space].order
        waiting = [
            (place, other)
            for theirs, other in others
            if self._claims_name(other, theirs)
            and (place := (other not in receivers, self._claimed[other].order)) < first
            and self._gives_up(other, theirs) != space
            and all(third == other or blocking not in self._of(third) for blocking, third in self._overlapping(theirs))
        ]
        return min(waiting)[1] if waiting else None

    def _receiver(self, space: str, claim: Claim) -> str | None:
        """The Space to which this granted claim is being transferred."""
        return self._gives_up(space, claim) if claim in self._of(space) else None

    def _receivers(self, claims: list[tuple[Claim, str]]) -> set[str]:
        """The Spaces to which one of these claims is being transferred. They come before all other claimants when it is
        released: otherwise an older Space would be granted it, perhaps the former holder, which would have to give it
        up again.
        """
        if not any(each in self._claimed and self._claimed[each].transfers for _, each in claims):
            return set()
        found = {self._gives_up(space, claim) for claim, space in claims if self._claims_name(space, claim)}
        return {each for each in found if each is not None}

    def _gives_up(self, space: str, claim: Claim) -> str | None:
        for theirs, other in self._overlapping(claim):
            if other != space and self._claims_name(other, theirs):
                name = theirs.removeprefix(".")
                if space == self._claimed[other].transfers.get(name) != self.transferred(other).get(name):
                    return other
        return None

    def _claims_of_others(self, space: str, further: Iterable[Claim]) -> dict[str, SpaceClaims]:
        """Of the other Spaces whose claims overlap a claim or grant of this one, or one of ``further``."""
        claimed = self._claimed.get(space)
        claims = {*self._of(space), *further, *(claimed.claims if claimed is not None else ())}
        others = {other for claim in claims for _, other in self._overlapping(claim) if other != space}
        return {other: self.claims_of(other) for other in others}

    def _changed(self, before: Mapping[str, SpaceClaims]) -> frozenset[str]:
        return frozenset(space for space, claims in before.items() if self.claims_of(space) != claims)

    def _forget(self, space: str) -> None:
        """Keep nothing of a Space that is gone and whose namespace records nothing."""
        if space not in self._claimed and not self._of(space):
            self._grants.pop(space, None)
            if space not in self._recorded:
                self._transferred.pop(space, None)

    def _index(self, space: str, former: frozenset[Claim]) -> None:
        """Bring the tree up to date for a Space; ``former`` are claims that it may have lost."""
        claimed = self._claimed.get(space)
        now = self._of(space).keys() | (claimed.claims if claimed is not None else frozenset())
        for claim in former - now:
            self._discard(claim, space)
        for claim in now:
            node = self._root
            for label in _labels(claim):
                node = node.children.setdefault(label, _Node())
            node.claims.add((claim, space))

    def _discard(self, claim: Claim, space: str) -> None:
        """Remove a claim, and the nodes that only led to it."""
        path, labels = [self._root], _labels(claim)
        for label in labels:
            if label not in path[-1].children:
                return
            path.append(path[-1].children[label])
        path[-1].claims.discard((claim, space))
        for label, parent, node in zip(labels[::-1], path[-2::-1], path[:0:-1], strict=True):
            if not node.empty:
                return
            del parent.children[label]

    def _overlapping(self, claim: Claim) -> Iterator[tuple[Claim, str]]:
        """(claim, Space) of all claims and grants that overlap this claim, also the Space's own."""
        node = self._root
        path = [node]
        for label in _labels(claim):
            below = node.children.get(label)
            if below is None:
                break
            node = below
            path.append(node)
        found = set().union(*(each.claims for each in path))
        if len(path) == len(_labels(claim)) + 1 and claim[0] in ".*":
            pending = list(node.children.values())
            while pending:
                each = pending.pop()
                found |= each.claims
                if claim[0] == ".":
                    pending += each.children.values()
        yield from sorted(each for each in found if overlap(claim, each[0]))


@lru_cache(maxsize=65_536)
def _labels(claim: Claim) -> tuple[str, ...]:
    """From the root down: "a.example.com" -> ("com", "example", "a")."""
    return tuple(claim.lstrip("*.").split(".")[::-1])
