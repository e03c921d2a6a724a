"""What surrounds the index of grants, in a few Spaces and names: the states that ``claim_states`` explores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from decco.desired.claims import Claimed, ClaimOrder, GrantIndex
from decco.desired.grants import Claim, Grant, Record

Records = tuple[tuple[Claim, int], ...]
"""(claim, rank of its time) in the order of claims."""
Memory = tuple[tuple[Claim, int, bool, bool], ...]
"""Grants in the index: (claim, rank of the time, recorded, released)."""
Moved = tuple[tuple[str, str], ...]
"""(host name, former holder) of the transfers that took place, as far as the Space lists them."""


class SpaceState(NamedTuple):
    """One Space name. Ranks order times; they are made dense, so that equal situations are equal states."""

    age: int | None = None
    """Rank of the creationTimestamp; None: there is no Space."""
    claims: int = 0
    """Index into the choices of this Space."""
    transfer: str = ""
    """The Space that has to give up all that this one ever claims, once."""
    record: Records | None = None
    """Annotation of the namespace; None: there is no namespace."""
    transferred: Moved = ()
    """Another annotation of it."""
    status: Records = ()
    memory: Memory = ()
    moved: Moved = ()
    """In the index."""
    served: tuple[Claim, ...] = ()
    """Claims for which there are routes."""
    permitted: bool = True
    """Whether its operator may use the domains, and transfer; checked when somebody writes, as the policies do."""
    backup: tuple[int, Records] | None = None
    """Claims and record in the backup of this Space; None: there is no backup."""

    @property
    def known(self) -> tuple[object, ...]:
        """What the index decides by, and whether there is a namespace."""
        return self.age, self.claims, self.transfer, self.memory, self.moved, self.record is not None

    @property
    def times(self) -> set[int]:
        backup = self.backup[1] if self.backup is not None else ()
        recorded = {time for _, time in (*(self.record or ()), *self.status, *backup)}
        return recorded | {time for _, time, *_ in self.memory}


GONE = SpaceState()
State = tuple[SpaceState, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """``choices`` maps each Space name to the sets of claims that it may have; the rest adds events."""

    choices: Mapping[str, Sequence[frozenset[Claim]]]
    transfers: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    """(receiver, holder)"""
    ties: bool = False
    """Two Spaces may be created in the same second, and two grants made."""
    permissions: bool = False
    """Permissions are taken away and given back."""
    backups: bool = False
    """A Space may be backed up once, and be restored together with its namespace after both were deleted."""


def following(state: State) -> int:
    """The next time."""
    return 1 + max((time for space in state for time in space.times), default=-1)


def normal(state: State) -> State:
    """With dense ranks."""
    age = _ranks({space.age for space in state if space.age is not None})
    time = _ranks({time for space in state for time in space.times})
    return tuple(
        s._replace(
            age=None if s.age is None else age[s.age],
            record=None if s.record is None else tuple((c, time[t]) for c, t in s.record),
            status=tuple((c, time[t]) for c, t in s.status),
            memory=tuple((c, time[t], kept, released) for c, t, kept, released in s.memory),
            backup=None if s.backup is None else (s.backup[0], tuple((c, time[t]) for c, t in s.backup[1])),
        )
        for s in state
    )


def _ranks(values: set[int]) -> dict[int, int]:
    return {old: new for new, old in enumerate(sorted(values))}


# Between the states and the index -------------------------------------------------------------------------------------


@cache
def claimed(name: str, age: int, claims: frozenset[Claim], listed: frozenset[str], transfer: str) -> Claimed:
    return Claimed(ClaimOrder(f"{age:03}", name), claims, dict.fromkeys(listed, transfer) if transfer else {})


@cache
def grants(memory: Memory) -> dict[Claim, Grant]:
    return {claim: Grant(f"{since:03}", 1, recorded, released) for claim, since, recorded, released in memory}


@cache
def recorded(records: Records, transferred: Moved = ()) -> Record:
    return Record({claim: Grant(f"{since:03}", 1) for claim, since in records}, dict(transferred))


def memory(index: GrantIndex, name: str) -> Memory:
    return tuple(sorted((claim, int(g.since), g.recorded, g.released) for claim, g in index._of(name).items()))


def moved(index: GrantIndex, name: str) -> Moved:
    return tuple(sorted(index.transferred(name).items()))


def records(index: GrantIndex, name: str) -> Records:
    return tuple(sorted((claim, int(grant.since)) for claim, grant in index.grants(name).items()))
