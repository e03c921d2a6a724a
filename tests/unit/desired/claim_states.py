"""Every state of a few Spaces and names, explored with the production index; used by test_claims.py and make attacks.

One step is one event, or one reconcile that may be cut off before its record is written. A restore of the whole cluster
is a restart in an earlier state, so it needs no event of its own; a restore of one Space from a backup is one.

What the index decides depends on less than the whole state: on what it knows. So the outcomes of the steps are kept for
each situation of the index, and a state in a known situation costs microseconds. A state is a tuple of numbers, one for
each ``SpaceState``.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import combinations
from sys import intern
from typing import Any

from decco.desired.claims import Claimed, GrantIndex
from decco.desired.grants import Claim, Record, overlap
from tests.unit.desired.claim_model import (
    GONE,
    Scope,
    SpaceState,
    State,
    claimed,
    following,
    grants,
    memory,
    moved,
    normal,
    recorded,
    records,
)
from tests.unit.desired.tabulated_index import TabulatedIndex, table

Packed = tuple[int, ...]
Fields = dict[str, Any]
"""Of one ``SpaceState``, with their new values."""
Change = tuple[tuple[str, Any], ...]
"""The same."""
NOTHING: Fields = {name: value for name, value in GONE._asdict().items() if name not in {"permitted", "backup"}}
"""The change to neither a Space nor a namespace."""


class Broken(AssertionError):
    """An invariant does not hold."""


class Numbers(dict[Hashable, int]):
    """Each value has a number; ``by_number`` has the values."""

    def __init__(self) -> None:
        super().__init__()
        self.by_number: list[Any] = []

    def __missing__(self, value: Hashable) -> int:
        number = self[value] = len(self)
        self.by_number.append(value)
        return number


class Explorer:
    """Breadth-first exploration of a scope; ``tabulated``: by ``TabulatedIndex``."""

    def __init__(self, scope: Scope, *, tabulated: bool = True) -> None:
        self.scope = scope
        self.choices = scope.choices
        self.names = sorted(scope.choices)
        self.transitions = 0
        self.states: list[Packed] = []
        """In the order in which they were found."""
        ever = {name: frozenset[Claim]().union(*each) for name, each in scope.choices.items()}
        self._listed = {name: frozenset(claim.removeprefix(".") for claim in each) for name, each in ever.items()}
        claims = sorted(frozenset[Claim]().union(*ever.values()))
        self._table = table(claims)
        self._tabulated = tabulated
        self._spaces: list[SpaceState] = []
        self._number: dict[SpaceState, int] = {}
        # Of each number: what the index knows, what else the events depend on, what is held, and bits of the ranks.
        self._known: list[int] = []
        self._own: list[int] = []
        self._held: list[int] = []
        self._ages: list[int] = []
        self._times: list[int] = []
        self._knowns, self._owns, self._helds = Numbers(), Numbers(), Numbers()
        self._situations, self._changes = Numbers(), Numbers()
        # What was found out already.
        self._granted: dict[int, list[frozenset[Claim]]] = {}
        self._outcomes: dict[tuple[int, int, int, int], list[tuple[str, int]]] = {}
        self._after: dict[tuple[int, int], int] = {}
        self._restarts: dict[int, int] = {}
        self._sound: set[Hashable] = set()

    def explore(self, most: int) -> tuple[int, bool]:
        """Visit up to ``most`` states, each with all its events; returns how many there were, and whether these are
        all. Raises Broken with the path to the state.
        """
        start = tuple(self._pack(GONE) for _ in self.names)
        states = self.states = [start]
        visited = {start}
        before, events, event_numbers = array("L", [0]), [""], {"": 0}
        by = array("H", [0])
        position, whole = 0, True
        while position < len(states):
            try:
                for event, new in self.steps(states[position]):
                    self.transitions += 1
                    if new not in visited:
                        if len(states) == most:
                            whole = False
                            continue
                        visited.add(new)
                        states.append(new)
                        before.append(position)
                        if event not in event_numbers:
                            event_numbers[event] = len(events)
                            events.append(event)
                        by.append(event_numbers[event])
            except AssertionError as error:
                path = []
                while position:
                    path.append(f"{events[by[position]]}: {self.state(states[position])}")
                    position = before[position]
                raise Broken("\n".join([*reversed(path), str(error)])) from None
            position += 1
        return position, whole

    def state(self, packed: Packed) -> State:
        return tuple(self._spaces[each] for each in packed)

    def _pack(self, space: SpaceState) -> int:
        number = self._number.get(space)
        if number is None:
            held = {claim for claim, *_ in space.memory}
            assert held.issuperset(space.served), f"served without a grant: {space}"
            number = self._number[space] = len(self._spaces)
            self._spaces.append(space)
            self._known.append(self._knowns[space.known])
            kept = space.record if self.scope.backups and space.backup is None else None
            self._own.append(self._owns[space.permitted, space.backup, kept])
            self._held.append(self._helds[held_by(space)])
            self._ages.append(0 if space.age is None else 1 << space.age)
            self._times.append(sum(1 << time for time in space.times))
        return number

    def _dense(self, packed: Packed) -> Packed:
        ages = times = 0
        for each in packed:
            ages |= self._ages[each]
            times |= self._times[each]
        if ages & (ages + 1) or times & (times + 1):
            return tuple(map(self._pack, normal(self.state(packed))))
        return packed

    # Steps --------------------------------------------------------------------------------------------------------

    def steps(self, packed: Packed) -> Iterator[tuple[str, Packed]]:
        """Each event with the state that follows."""
        situation = self._situations[tuple([self._known[each] for each in packed])]
        self._check_state(packed, situation)
        times = 0
        for each in packed:
            times |= self._times[each]
        for number, each in enumerate(packed):
            key = situation, number, self._own[each], times
            outcomes = self._outcomes.get(key)
            if outcomes is None:
                found = self._find(self.state(packed), number, self._granted[situation])
                outcomes = self._outcomes[key] = [(intern(event), self._changes[change]) for event, change in found]
            for event, change_number in outcomes:
                after = self._after.get((each, change_number))
                if after is None:
                    change = dict(self._changes.by_number[change_number])
                    after = self._after[each, change_number] = self._pack(self._spaces[each]._replace(**change))
                yield event, self._dense((*packed[:number], after, *packed[number + 1 :]))
        yield "restart", self._restarted(packed, situation)

    def _find(self, state: State, number: int, had: Sequence[frozenset[Claim]]) -> Iterator[tuple[str, Change]]:
        """What may happen to one Space, as the production index decides it. A change depends on what the index knows
        and on nothing else of this state.
        """
        name = self.names[number]
        for event, changed, index in self._found(state, number):
            known = {"memory": memory(index, name), "moved": moved(index, name)}
            change = tuple((changed | known).items())
            new = (*state[:number], state[number]._replace(**dict(change)), *state[number + 1 :])
            try:
                self._check_step(state, had, new, index)
            except AssertionError as error:
                raise AssertionError(f"{event}: {new}\n{error}") from None
            yield event, change

    def _found(self, state: State, number: int) -> Iterator[tuple[str, Fields, GrantIndex]]:
        base = self.index(state)
        for event, changed in self._events(state, number):
            index = self._copy(base, state)
            self._put(state, number, changed, index)
            yield event, changed, index
        if state[number].age is not None:
            yield from self._reconcile(state, number, self._copy(base, state))
        elif state[number].record is not None:
            yield from self._free(state, number, base)

    def _events(self, state: State, number: int) -> Iterator[tuple[str, Fields]]:
        name, space = self.names[number], state[number]
        if self.scope.permissions:
            yield f"permission of {name} changes", {"permitted": not space.permitted}
        if self.scope.backups and space.record is not None and space.backup is None:
            yield f"backup of {name}", {"backup": (space.claims, space.record)}
        yield from self._without(state, space, name) if space.age is None else self._with(space, name)

    def _without(self, state: State, space: SpaceState, name: str) -> Iterator[tuple[str, Fields]]:
        """Events of a name that has no Space."""
        if space.permitted:
            for age in self._next_ages(state):
                for choice in range(len(self.choices[name])):
                    yield f"create {name} {choice} at {age}", {"age": age, "claims": choice, "status": ()}
        if space.record is not None:
            yield f"namespace of {name} gone", NOTHING
        elif space.backup is not None:
            claims, record = space.backup
            age = max(self._next_ages(state))
            yield f"restore of {name}", {**NOTHING, "age": age, "claims": claims, "record": record}

    def _with(self, space: SpaceState, name: str) -> Iterator[tuple[str, Fields]]:
        """Events of a Space. What adds a claim, and a deletion, needs the permission."""
        for choice, claims in enumerate(self.choices[name]):
            if choice != space.claims and (space.permitted or claims <= self.choices[name][space.claims]):
                yield f"edit {name} {choice}", {"claims": choice}
        for receiver, other in (*self.scope.transfers, (name, "")):
            if receiver == name and other != space.transfer and (space.permitted or not other):
                yield f"transfer from {other} to {name}", {"transfer": other}
        if space.permitted:
            yield f"delete {name}", {"age": None, "claims": 0, "transfer": "", "status": ()}
        if space.record is not None:
            yield f"namespace of {name} deleted", {"record": None, "transferred": (), "served": ()}

    def _next_ages(self, state: State) -> tuple[int, ...]:
        last = max((space.age for space in state if space.age is not None), default=-1)
        return (last, last + 1) if self.scope.ties and last >= 0 else (last + 1,)

    def index(self, state: State) -> GrantIndex:
        """The production index in this state."""
        index = self._empty()
        for name, space in zip(self.names, state, strict=True):
            if space.age is not None:
                index.set_claims(name, self._claimed(name, space))
            index._grants[name] = grants(space.memory)
            index._transferred[name] = dict(space.moved)
            if space.record is not None:
                index._recorded.add(name)
            index._index(name, frozenset())
        return index

    def _empty(self) -> GrantIndex:
        return TabulatedIndex(self.names, self._table) if self._tabulated else GrantIndex()

    def _copy(self, base: GrantIndex, state: State) -> GrantIndex:
        return base.copy() if isinstance(base, TabulatedIndex) else self.index(state)

    def _claimed(self, name: str, space: SpaceState) -> Claimed:
        assert space.age is not None
        return claimed(name, space.age, self.choices[name][space.claims], self._listed[name], space.transfer)

    def _put(self, state: State, number: int, changed: Fields, index: GrantIndex) -> None:
        """An event that the informers bring."""
        name, space = self.names[number], state[number]._replace(**changed)
        index.set_claims(name, None if space.age is None else self._claimed(name, space))
        if space.record != state[number].record:
            index.record(name, None if space.record is None else recorded(space.record, space.transferred))

    def _reconcile(self, state: State, number: int, index: GrantIndex) -> Iterator[tuple[str, Fields, GrantIndex]]:
        """As the Space's reconciler does it, cut off after each step: acquire, record and serve, release and report,
        record again. A status never lists what the record does not.
        """
        name, next_time = self.names[number], following(state)
        event = f"reconcile {name}"
        for now in (next_time - 1, next_time) if self.scope.ties and next_time else (next_time,):
            mine = index if now == next_time else self._copy(index, state)

            def record(mine: GrantIndex = mine) -> Fields:
                mine.record(name, Record(dict(mine.grants(name)), mine.transferred(name)))
                return {"record": records(mine, name), "transferred": moved(mine, name)}

            mine.acquire(name, f"{now:03}", 1)
            yield f"{event}, 1 of 4", {}, mine
            changed = record()
            served = tuple(sorted(mine.claims_of(name).granted))
            self._check_transfers(state[number].transfer, served, changed["transferred"])
            changed |= {"served": served}
            yield f"{event}, 2 of 4", changed, mine
            leaving = mine.leaving(name)
            mine.release(name, [claim for claim in leaving if not any(overlap(claim, each) for each in served)])
            changed |= {"status": records(mine, name)}
            yield f"{event}, 3 of 4", changed, mine
            changed |= record()
            yield f"{event}, 4 of 4", changed, mine

    def _free(self, state: State, number: int, base: GrantIndex) -> Iterator[tuple[str, Fields, GrantIndex]]:
        """Grants end although finalizers hold the namespace of a Space that is gone: those that are being transferred,
        or all. Cut off after each step: the routes are withdrawn, release, record.
        """
        name = self.names[number]
        for which in ("moving", "all"):
            mine = self._copy(base, state)
            yield f"{which} names of {name} freed, 1 of 3", {"served": ()}, mine
            moving = mine.claims_of(name).lost.keys()
            mine.release(name, mine.leaving(name) & moving if which == "moving" else mine.leaving(name))
            yield f"{which} names of {name} freed, 2 of 3", {"served": ()}, mine
            record = Record(dict(mine.grants(name)), mine.transferred(name))
            mine.record(name, record)
            changed = {"record": records(mine, name), "transferred": moved(mine, name), "served": ()}
            yield f"{which} names of {name} freed, 3 of 3", changed, mine

    def _restarted(self, packed: Packed, situation: int) -> Packed:
        """A new process; what the index knows of a Space comes from this Space alone."""
        after = []
        for name, each in zip(self.names, packed, strict=True):
            if each not in self._restarts:
                index, space = self._empty(), self._spaces[each]
                if space.age is not None:
                    claimed = self._claimed(name, space)
                    index.restore(name, recorded(space.status).grants, claimed.transfers)
                    index.set_claims(name, claimed)
                if space.record is not None:
                    index.record(name, recorded(space.record, space.transferred))
                self._restarts[each] = self._pack(space._replace(memory=memory(index, name), moved=moved(index, name)))
            after.append(self._restarts[each])
        key = situation, tuple([self._known[each] for each in after])
        if key not in self._sound:
            new = self.state(tuple(after))
            self._check_step(self.state(packed), self._granted[situation], new, self.index(new))
            self._sound.add(key)
        return self._dense(tuple(after))

    # Invariants ---------------------------------------------------------------------------------------------------

    def _check_state(self, packed: Packed, situation: int) -> None:
        """Never two holders, in effect, in what is served, in the records, or in the statuses.

        Two records overlap only after a restore from a backup: then the earlier one counts, and the later Space serves
        the name until its next reconcile.
        """
        if situation not in self._granted:
            index = self.index(self.state(packed))
            self._granted[situation] = [index.claims_of(name).granted for name in self.names]
            _apart("granted", self._granted[situation])
        key = tuple([self._held[each] for each in packed])
        if not self.scope.backups and key not in self._sound:
            for what, claims in zip(HELD, zip(*map(held_by, self.state(packed)), strict=True), strict=True):
                _apart(what, claims)
            self._sound.add(key)

    def _check_transfers(self, holder: str, served: Sequence[Claim], done: Sequence[tuple[str, str]]) -> None:
        """A transfer that took place is recorded, so it takes place once."""
        for claim in served if holder else ():
            assert (claim.removeprefix("."), holder) in done, f"the transfer of {claim} from {holder} is not recorded"

    def _check_step(self, old: State, had: Sequence[frozenset[Claim]], new: State, index: GrantIndex) -> None:
        """Never a holder without a grant, never a name taken away."""
        if [space.known for space in old] == [space.known for space in new]:
            return
        for number, name in enumerate(self.names):
            space = new[number]
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


HELD = ("served", "recorded", "reported")


def held_by(space: SpaceState) -> tuple[Sequence[Claim], ...]:
    """Claims, as ``HELD`` names them."""
    return space.served, tuple(claim for claim, _ in space.record or ()), tuple(claim for claim, _ in space.status)


def _apart(what: str, held: Sequence[Iterable[Claim]]) -> None:
    for one, other in combinations(held, 2):
        both = [(mine, theirs) for mine in one for theirs in other if overlap(mine, theirs)]
        assert not both, f"{what} twice: {both}"
