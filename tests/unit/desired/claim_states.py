"""Every state of a few Spaces and names, explored with the production index; used by test_claims.py and make attacks.

The model is what surrounds the index: the Spaces, the records in their namespaces and statuses, and the names that
their routes serve. One step is one event, or one reconcile that may be cut off before its record is written. A restore
of the whole cluster is a restart in an earlier state, so it needs no event of its own; a restore of one Space from a
backup is one.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from typing import NamedTuple

from decco.desired.claims import GrantIndex, Seniority, Wanted, overlap
from decco.desired.grants import Claim, Grant, Record
from tests.unit.desired.tabulated_index import TabulatedIndex, table

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
        """What the index decides by."""
        return self.age, self.claims, self.transfer, self.memory, self.moved, self.served


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


class Broken(AssertionError):
    """An invariant does not hold."""


class Explorer:
    """Breadth-first exploration of a scope; ``tabulated``: by ``TabulatedIndex``."""

    def __init__(self, scope: Scope, *, tabulated: bool = True) -> None:
        self.scope = scope
        self.choices = scope.choices
        self.names = sorted(scope.choices)
        self.transitions = 0
        ever = {name: frozenset[Claim]().union(*each) for name, each in scope.choices.items()}
        self._listed = {name: frozenset(claim.removeprefix(".") for claim in each) for name, each in ever.items()}
        claims = sorted(frozenset[Claim]().union(*ever.values()))
        self._table = table(claims)
        self._tabulated = tabulated
        self._number: dict[SpaceState, int] = {}
        self._spaces: list[SpaceState] = []
        """Each SpaceState once: a state is kept as the tuple of their numbers."""
        self.states: list[tuple[int, ...]] = []
        """In the order in which they were found."""

    def explore(self, most: int) -> tuple[int, bool]:
        """Visit up to ``most`` states, each with all its events; returns how many there were, and whether these are
        all. Raises Broken with the path to the state.
        """
        start: State = tuple(GONE for _ in self.names)
        states = self.states = [self._pack(start)]
        visited = set(states)
        before, events, event_numbers = array("L", [0]), [""], {"": 0}
        by = array("H", [0])
        position, whole = 0, True
        while position < len(states):
            state: State = tuple(self._spaces[each] for each in states[position])
            event, new = "", state
            try:
                had = self._granted(state)
                for event, new, index in self.steps(state):
                    self.transitions += 1
                    self.check(state, had, new, index)
                    packed = self._pack(new)
                    if packed not in visited:
                        if len(states) == most:
                            whole = False
                            continue
                        visited.add(packed)
                        states.append(packed)
                        before.append(position)
                        if event not in event_numbers:
                            event_numbers[event] = len(events)
                            events.append(event)
                        by.append(event_numbers[event])
            except AssertionError as error:
                path = []
                while position:
                    path.append(f"{events[by[position]]}: {tuple(self._spaces[each] for each in states[position])}")
                    position = before[position]
                raise Broken("\n".join([str(error), *reversed(path), f"{event}: {new}"])) from None
            position += 1
        return position, whole

    def _pack(self, state: State) -> tuple[int, ...]:
        numbers = []
        for space in state:
            number = self._number.get(space)
            if number is None:
                number = self._number[space] = len(self._spaces)
                self._spaces.append(space)
            numbers.append(number)
        return tuple(numbers)

    # Events -------------------------------------------------------------------------------------------------------

    def steps(self, state: State) -> Iterator[tuple[str, State, GrantIndex]]:
        base = self.index(state)
        for number, name in enumerate(self.names):
            for event, space in self._events(state, number, name):
                index = self._copy(base, state)
                yield event, *self._put(state, number, space, index)
            if state[number].age is not None:
                yield from self.reconcile(state, number, self._copy(base, state))
        yield "restart", *self._restarted(state)

    def _events(self, state: State, number: int, name: str) -> Iterator[tuple[str, SpaceState]]:
        space = state[number]
        if self.scope.permissions:
            yield f"permission of {name} changes", space._replace(permitted=not space.permitted)
        if self.scope.backups and space.record is not None and space.backup is None:
            yield f"backup of {name}", space._replace(backup=(space.claims, space.record))
        yield from self._without(state, space, name) if space.age is None else self._with(space, name)

    def _without(self, state: State, space: SpaceState, name: str) -> Iterator[tuple[str, SpaceState]]:
        """Events of a name that has no Space."""
        kept = GONE._replace(permitted=space.permitted, backup=space.backup)
        if space.permitted:
            for age in self._ages(state):
                for choice in range(len(self.choices[name])):
                    yield f"create {name} {choice} at {age}", space._replace(age=age, claims=choice, status=())
        if space.record is not None:
            yield f"namespace of {name} gone", kept
        elif space.backup is not None:
            claims, record = space.backup
            yield f"restore of {name}", kept._replace(age=max(self._ages(state)), claims=claims, record=record)

    def _with(self, space: SpaceState, name: str) -> Iterator[tuple[str, SpaceState]]:
        """Events of a Space. What adds a claim, and a deletion, needs the permission."""
        for choice, claims in enumerate(self.choices[name]):
            if choice != space.claims and (space.permitted or claims <= self.choices[name][space.claims]):
                yield f"edit {name} {choice}", space._replace(claims=choice)
        for receiver, other in (*self.scope.transfers, (name, "")):
            if receiver == name and other != space.transfer and (space.permitted or not other):
                yield f"transfer from {other} to {name}", space._replace(transfer=other)
        if space.permitted:
            yield f"delete {name}", space._replace(age=None, claims=0, transfer="", status=())
        if space.record is not None:
            yield f"namespace of {name} deleted", space._replace(record=None, transferred=(), served=())

    def _ages(self, state: State) -> tuple[int, ...]:
        last = max((space.age for space in state if space.age is not None), default=-1)
        return (last, last + 1) if self.scope.ties and last >= 0 else (last + 1,)

    def index(self, state: State) -> GrantIndex:
        """The production index in this state."""
        index = TabulatedIndex(self.names, self._table) if self._tabulated else GrantIndex()
        for number, name in enumerate(self.names):
            space = state[number]
            if space.age is not None:
                index.want(name, self._wanted(name, space))
            index._grants[name] = _grants(space.memory)
            index._transferred[name] = dict(space.moved)
            if space.record is not None:
                index._recorded.add(name)
            index._index(name, frozenset())
        return index

    def _copy(self, base: GrantIndex, state: State) -> GrantIndex:
        return base.copy() if isinstance(base, TabulatedIndex) else self.index(state)

    def _wanted(self, name: str, space: SpaceState) -> Wanted:
        assert space.age is not None
        return _wanted(name, space.age, self.choices[name][space.claims], self._listed[name], space.transfer)

    def reconcile(self, state: State, number: int, index: GrantIndex) -> Iterator[tuple[str, State, GrantIndex]]:
        """As the Space's reconciler does it, cut off after each step: acquire, record and serve, release and report,
        record again. A status never lists what the record does not.
        """
        name, before, following = self.names[number], state[number], _next_time(state)
        for now in self._times(following):
            mine = index if now == following else self._copy(index, state)
            mine.acquire(name, f"{now:03}", 1)
            yield f"reconcile {name}, 1 of 4", self._remembered(state, number, before, mine), mine
            mine.record(name, Record(dict(mine.grants(name)), mine.transferred(name)))
            served = tuple(sorted(mine.verdict(name).granted))
            space = before._replace(record=_records(mine, name), transferred=_moved(mine, name), served=served)
            yield f"reconcile {name}, 2 of 4", self._remembered(state, number, space, mine), mine
            leaving = mine.leaving(name)
            mine.release(name, [claim for claim in leaving if not any(overlap(claim, each) for each in served)])
            space = space._replace(status=_records(mine, name))
            yield f"reconcile {name}, 3 of 4", self._remembered(state, number, space, mine), mine
            mine.record(name, Record(dict(mine.grants(name)), mine.transferred(name)))
            space = space._replace(record=_records(mine, name), transferred=_moved(mine, name))
            yield f"reconcile {name}, 4 of 4", self._remembered(state, number, space, mine), mine

    def _times(self, following: int) -> tuple[int, ...]:
        return (following - 1, following) if self.scope.ties and following else (following,)

    def _put(self, state: State, number: int, space: SpaceState, index: GrantIndex) -> tuple[State, GrantIndex]:
        """After an event that the informers bring."""
        name = self.names[number]
        index.want(name, None if space.age is None else self._wanted(name, space))
        if space.record != state[number].record:
            index.record(name, None if space.record is None else _recorded(space.record, space.transferred))
        return self._remembered(state, number, space, index), index

    def _restarted(self, state: State) -> tuple[State, GrantIndex]:
        index = TabulatedIndex(self.names, self._table) if self._tabulated else GrantIndex()
        for name, space in zip(self.names, state, strict=True):
            if space.age is not None:
                wanted = self._wanted(name, space)
                index.restore(name, _recorded(space.status).grants, wanted.transfers)
                index.want(name, wanted)
            if space.record is not None:
                index.record(name, _recorded(space.record, space.transferred))
        spaces = zip(self.names, state, strict=True)
        return _normal(
            tuple(space._replace(memory=_memory(index, name), moved=_moved(index, name)) for name, space in spaces)
        ), index

    def _remembered(self, state: State, number: int, space: SpaceState, index: GrantIndex) -> State:
        """Every event changes what the index knows of this Space only."""
        name = self.names[number]
        space = space._replace(memory=_memory(index, name), moved=_moved(index, name))
        return _normal((*state[:number], space, *state[number + 1 :]))

    # Invariants ---------------------------------------------------------------------------------------------------

    def _granted(self, state: State) -> list[frozenset[Claim]]:
        """What each Space has been granted. Never two holders, in effect, in what is served, or in the records.

        Two records overlap only after a restore from a backup: then the earlier one counts, and the later Space serves
        the name until its next reconcile.
        """
        index = self.index(state)
        granted = [index.verdict(name).granted for name in self.names]
        held: list[tuple[str, list[Iterable[Claim]]]] = [("granted", [*granted])]
        if not self.scope.backups:
            held.append(("served", [space.served for space in state]))
            held.append(("recorded", [[claim for claim, _ in space.record or ()] for space in state]))
        for what, claims in held:
            for one, other in combinations(claims, 2):
                both = [(mine, theirs) for mine in one for theirs in other if overlap(mine, theirs)]
                assert not both, f"{what} twice: {both}"
        return granted

    def check(self, old: State, had: Sequence[frozenset[Claim]], new: State, index: GrantIndex) -> None:
        """Never a holder without a grant, never a name taken away."""
        if [space.known for space in old] == [space.known for space in new]:
            return
        for number, name in enumerate(self.names):
            space = new[number]
            for claim in space.served:
                assert claim in index._of(name), f"{name} serves {claim} without a grant"
            if space.age is None or old[number].age is None:
                continue
            for claim in had[number] & self.choices[name][space.claims]:
                assert claim in index._of(name), f"{claim} was taken from {name}"
                taker = index._receiver(name, claim)
                if taker is not None:
                    receiver = new[self.names.index(taker)]
                    assert receiver.transfer == name, f"{name} lost {claim} to {taker} without a transfer"
                    assert (taker, name) in self.scope.transfers, f"{taker} must not take {claim} from {name}"
                    taken = [each for each in self.choices[taker][receiver.claims] if overlap(claim, each)]
                    done = all((each.removeprefix("."), name) in receiver.moved for each in taken)
                    assert not done, f"the transfer of {claim} from {name} to {taker} acts twice"
                elif not self.scope.backups:
                    blocker = index._blocker(name, claim)
                    assert blocker is None, f"{name} lost {claim} to {blocker}"


def _next_time(state: State) -> int:
    return 1 + max(_all_times(state), default=-1)


def _all_times(state: State) -> set[int]:
    times = {t for s in state for _, t in (*(s.record or ()), *s.status, *(s.backup[1] if s.backup else ()))}
    return times | {t for s in state for _, t, *_ in s.memory}


def _normal(state: State) -> State:
    """With dense ranks."""
    ages = {space.age for space in state if space.age is not None}
    times = _all_times(state)
    if (not ages or max(ages) == len(ages) - 1) and (not times or max(times) == len(times) - 1):
        return state
    age = {old: new for new, old in enumerate(sorted(ages))}
    time = {old: new for new, old in enumerate(sorted(times))}
    return tuple(
        s._replace(
            age=None if s.age is None else age[s.age],
            record=None if s.record is None else tuple((c, time[t]) for c, t in s.record),
            status=tuple((c, time[t]) for c, t in s.status),
            memory=tuple((c, time[t], *flags) for c, t, *flags in s.memory),
            backup=None if s.backup is None else (s.backup[0], tuple((c, time[t]) for c, t in s.backup[1])),
        )
        for s in state
    )


@cache
def _wanted(name: str, age: int, claims: frozenset[Claim], listed: frozenset[str], transfer: str) -> Wanted:
    return Wanted(Seniority(f"{age:03}", name), claims, dict.fromkeys(listed, transfer) if transfer else {})


@cache
def _grants(memory: Memory) -> dict[Claim, Grant]:
    return {claim: Grant(f"{since:03}", 1, recorded, released) for claim, since, recorded, released in memory}


@cache
def _recorded(records: Records, transferred: Moved = ()) -> Record:
    return Record({claim: Grant(f"{since:03}", 1) for claim, since in records}, dict(transferred))


def _memory(index: GrantIndex, name: str) -> Memory:
    return tuple(sorted((claim, int(g.since), g.recorded, g.released) for claim, g in index._of(name).items()))


def _moved(index: GrantIndex, name: str) -> Moved:
    return tuple(sorted(index.transferred(name).items()))


def _records(index: GrantIndex, name: str) -> Records:
    return tuple(sorted((claim, int(grant.since)) for claim, grant in index.grants(name).items()))
