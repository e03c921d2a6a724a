"""Every state of a few Spaces and names, explored with the production index; used by test_claims.py and make attacks.

The model is what surrounds the index: the Spaces, the records in their namespaces and statuses, and the names that
their routes serve. One step is one event, or one reconcile that may be cut off before its record is written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from decco.desired.claims import GrantIndex, Seniority, Wanted, overlap
from decco.desired.grants import Claim, Grant, Record

Moved = tuple[tuple[str, str], ...]
"""(host name, former holder) of transfers that took place."""
Records = tuple[tuple[Claim, int], ...]
"""(claim, rank of its time) in the order of claims."""


class SpaceState(NamedTuple):
    """One Space name. Ranks order times; they are made dense, so that equal situations are equal states."""

    age: int | None = None
    """Rank of the creationTimestamp; None: there is no Space."""
    claims: int = 0
    """Index into the choices of this Space."""
    transfer: str = ""
    """The Space that has to give up all that this one may claim."""
    record: Records | None = None
    """Annotation of the namespace; None: there is no namespace."""
    status: Records = ()
    transferred: Moved = ()
    """As the namespace records it."""
    memory: tuple[tuple[Claim, int, bool, bool], ...] = ()
    """Grants in the index: (claim, rank of the time, recorded, released)."""
    moved: Moved = ()
    """As the index knows it."""
    served: tuple[Claim, ...] = ()
    """Claims for which there are routes."""


State = tuple[SpaceState, ...]
Choices = Mapping[str, Sequence[frozenset[Claim]]]


class Broken(AssertionError):
    """An invariant does not hold."""


class Explorer:
    """Breadth-first exploration; ``choices`` maps each Space name to the sets of claims that it may have."""

    def __init__(self, choices: Choices, *, transfers: bool = False) -> None:
        self.names = sorted(choices)
        self.choices = choices
        self.transfers = transfers
        self.transitions = 0

    def explore(self, most: int) -> int:
        """Visit up to ``most`` states; returns how many were visited. Raises Broken with the path to the state."""
        start: State = tuple(SpaceState() for _ in self.names)
        before: dict[State, tuple[State, str] | None] = {start: None}
        queue = deque([start])
        while queue and len(before) < most:
            state = queue.popleft()
            had = self._granted(state)
            for event, new, index in self.steps(state):
                self.transitions += 1
                try:
                    self.check(state, had, event, new, index)
                except AssertionError as error:
                    raise Broken(f"{error}\n{self._path(before, state)}\n{event}: {new}") from None
                if new not in before:
                    before[new] = (state, event)
                    queue.append(new)
        return len(before)

    def _path(self, before: Mapping[State, tuple[State, str] | None], state: State) -> str:
        lines: list[str] = []
        step = before[state]
        while step is not None:
            lines.append(f"{step[1]}: {state}")
            state = step[0]
            step = before[state]
        return "\n".join(reversed(lines))

    def steps(self, state: State) -> Iterator[tuple[str, State, GrantIndex]]:
        for number, name in enumerate(self.names):
            space = state[number]
            if space.age is None:
                for choice in range(len(self.choices[name])):
                    new = space._replace(age=_next(state), claims=choice, status=())
                    yield f"create {name} {choice}", *self._put(state, number, new)
                if space.record is not None:
                    gone = SpaceState()
                    yield f"namespace of {name} gone", *self._put(state, number, gone)
                continue
            for choice in range(len(self.choices[name])):
                if choice != space.claims:
                    yield f"edit {name} {choice}", *self._put(state, number, space._replace(claims=choice))
            if self.transfers:
                for other in ("", *self.names):
                    if other not in (name, space.transfer):
                        new = space._replace(transfer=other)
                        yield f"transfer from {other} to {name}", *self._put(state, number, new)
            left = space._replace(age=None, claims=0, transfer="", status=())
            yield f"delete {name}", *self._put(state, number, left)
            if space.record is not None:
                new = space._replace(record=None, transferred=(), served=())
                yield f"namespace of {name} deleted", *self._put(state, number, new)
            for steps in range(1, 5):
                yield f"reconcile {name}, {steps} steps of 4", *self.reconcile(state, number, steps)
        yield "restart", *self._restarted(state)

    def index(self, state: State) -> GrantIndex:
        """The production index in this state."""
        index = GrantIndex()
        for number, name in enumerate(self.names):
            space = state[number]
            if space.age is not None:
                index.want(name, self._wanted(name, space))
            index._transferred[name] = dict(space.moved)
            index._grants[name] = {
                claim: Grant(f"{since:03}", 1, recorded, released) for claim, since, recorded, released in space.memory
            }
            if space.record is not None:
                index._recorded.add(name)
            index._index(name, frozenset())
        return index

    def reconcile(self, state: State, number: int, steps: int) -> tuple[State, GrantIndex]:
        """As the Space's reconciler does it, cut off after some steps: acquire, record and serve, release and report,
        record again. A status never lists what the record does not.
        """
        index, name, space = self.index(state), self.names[number], state[number]
        index.acquire(name, f"{_next_time(state):03}", 1)
        if steps > 1:
            self._record(index, name)
            space = space._replace(record=self._records(index, name), transferred=_moved(index, name))
            space = space._replace(served=tuple(sorted(index.verdict(name).granted)))
        if steps > 2:
            leaving = index.leaving(name)
            index.release(name, [claim for claim in leaving if not any(overlap(claim, each) for each in space.served)])
            space = space._replace(status=self._records(index, name))
        if steps > 3:
            self._record(index, name)
            space = space._replace(record=self._records(index, name), transferred=_moved(index, name))
        return self._remembered(self._replace(state, number, space), index)

    @staticmethod
    def _records(index: GrantIndex, name: str) -> Records:
        return tuple(sorted((claim, int(grant.since)) for claim, grant in index.grants(name).items()))

    @staticmethod
    def _record(index: GrantIndex, name: str) -> None:
        index.record(name, Record(dict(index.grants(name)), index.transferred(name)))

    def _put(self, state: State, number: int, space: SpaceState) -> tuple[State, GrantIndex]:
        """After an event that the informers bring."""
        index = self.index(state)
        name = self.names[number]
        new = self._replace(state, number, space)
        if space.age is None:
            index.want(name, None)
        else:
            index.want(name, self._wanted(name, space))
        if space.record != state[number].record:
            index.record(name, self._recorded(space))
        return self._remembered(new, index)

    def _restarted(self, state: State) -> tuple[State, GrantIndex]:
        index = GrantIndex()
        for number, name in enumerate(self.names):
            space = state[number]
            if space.age is not None:
                index.want(name, self._wanted(name, space))
                index.restore(name, {c: Grant(f"{since:03}", 1) for c, since in space.status})
            if space.record is not None:
                index.record(name, self._recorded(space))
        return self._remembered(state, index)

    def _remembered(self, state: State, index: GrantIndex) -> tuple[State, GrantIndex]:
        new = self._normal(
            tuple(
                space._replace(
                    moved=_moved(index, name),
                    memory=tuple(
                        sorted((claim, int(g.since), g.recorded, g.released) for claim, g in index._of(name).items())
                    ),
                )
                for name, space in zip(self.names, state, strict=True)
            )
        )
        return new, index

    def _wanted(self, name: str, space: SpaceState) -> Wanted:
        listed = {claim.removeprefix(".") for claims in self.choices[name] for claim in claims}
        transfers = dict.fromkeys(listed, space.transfer) if space.transfer else {}
        return Wanted(Seniority(f"{space.age:03}", name), self.choices[name][space.claims], transfers)

    @staticmethod
    def _recorded(space: SpaceState) -> Record | None:
        if space.record is None:
            return None
        return Record({c: Grant(f"{since:03}", 1) for c, since in space.record}, dict(space.transferred))

    def _moves(self, state: State) -> bool:
        """Whether a transfer may take a name away."""
        return any(
            (claim.removeprefix("."), space.transfer) not in space.moved
            for name, space in zip(self.names, state, strict=True)
            if space.transfer and space.age is not None
            for claim in self.choices[name][space.claims]
        )

    @staticmethod
    def _replace(state: State, number: int, space: SpaceState) -> State:
        return (*state[:number], space, *state[number + 1 :])

    @staticmethod
    def _normal(state: State) -> State:
        """With dense ranks."""
        ages = sorted({space.age for space in state if space.age is not None})
        times = sorted(
            {t for s in state for _, t in (*(s.record or ()), *s.status)} | {t for s in state for _, t, *_ in s.memory}
        )
        age = {old: new for new, old in enumerate(ages)}
        time = {old: new for new, old in enumerate(times)}
        return tuple(
            s._replace(
                age=None if s.age is None else age[s.age],
                record=None if s.record is None else tuple((c, time[t]) for c, t in s.record),
                status=tuple((c, time[t]) for c, t in s.status),
                memory=tuple((c, time[t], *flags) for c, t, *flags in s.memory),
            )
            for s in state
        )

    def _granted(self, state: State) -> list[frozenset[Claim]]:
        index = self.index(state)
        return [index.verdict(name).granted for name in self.names]

    def check(self, old: State, had: Sequence[frozenset[Claim]], event: str, new: State, index: GrantIndex) -> None:
        """Never two holders, never a holder without a grant, never a name taken away."""
        for number, name in enumerate(self.names):
            for claim in new[number].served:
                assert claim in index._of(name), f"{name} serves {claim} without a grant"
                for other in range(number + 1, len(self.names)):
                    for theirs in new[other].served:
                        assert not overlap(claim, theirs), f"{name} serves {claim}, {self.names[other]} {theirs}"
            space = new[number]
            if space.age is None or old[number].age is None or self._moves(old) or self._moves(new):
                continue
            still = had[number] & self.choices[name][space.claims]
            missing = still - index._of(name).keys()
            assert not missing, f"{missing} was taken from {name}"
            if still:
                lost = still & index.verdict(name).lost.keys()
                assert not lost, f"{name} lost {lost}"


def _moved(index: GrantIndex, name: str) -> Moved:
    return tuple(sorted(index.transferred(name).items()))


def _next(state: State) -> int:
    return 1 + max((space.age for space in state if space.age is not None), default=-1)


def _next_time(state: State) -> int:
    times = [t for s in state for _, t in (*(s.record or ()), *s.status)] + [t for s in state for _, t, *_ in s.memory]
    return 1 + max(times, default=-1)
