"""Repair backoff for drift conflicts: another writer that undoes each of decco's repairs must not make it write without
end.

A change by hand, or a controller that starts, costs a few repairs, and those come at once. When one object was repaired
FREE_REPAIRS times, each within QUIET_SECONDS of the one before, pauses begin, and they double. During a pause the
object is wrong, so the pauses of what isolates a Space are short.

A repair is any write that brings the object back: a PUT after an alteration, a POST after a deletion. All of them share
one counter, so alternating between the two does not avoid the backoff. The counters are in memory: a restart, or
another leader, begins without them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from decco.backoff import exponential
from decco.errors import ReconcileError
from decco.frozen import frozen
from decco.kube.errors import NotFound
from decco.kube.latest import Latest
from decco.kube.ownership import other_managers
from decco.objects import Key, Obj, Resource

FREE_REPAIRS = 20
QUIET_SECONDS = 600.0
"""An object without alterations for this long starts again with free repairs."""
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 300.0
LONGEST_OF_ISOLATION = 5.0


@frozen
class Opponent:
    """What is known about the other writer."""

    managers: tuple[str, ...] = ()
    """Field managers other than decco that wrote to the object; sorted."""
    deletes: bool = False
    """Whether the object is gone: a deletion leaves no trace in it."""


class DriftConflict(ReconcileError):
    """Another writer alters or deletes the object repeatedly; the next repair is delayed.

    Attributes:
        managers: field managers other than decco that wrote to it, from its managedFields; sorted.
        deletes: whether the object is not there.
        seconds: until the next repair.
    """

    def __init__(self, resource: Resource, key: Key, opponent: Opponent, seconds: float) -> None:
        what = "deleted" if opponent.deletes else "altered"
        super().__init__(
            f"{resource.kind} {key} is {what} again and again by {', '.join(opponent.managers) or 'somebody'}"
        )
        self.managers = opponent.managers
        self.deletes = opponent.deletes
        self.seconds = seconds


@dataclass(slots=True)
class _Repairs:
    repairs: int
    last: float
    opponent: Opponent | None = None
    """Determined once in each pause."""


class RepairBackoff:
    """Repairs of objects whose desired state did not change."""

    def __init__(
        self,
        clock: Callable[[], float],
        exists: Callable[[Resource, Key], bool],
        isolates: Callable[[Resource], bool] = lambda _: False,
    ) -> None:
        """``clock`` in seconds, monotonic. Nothing is kept of objects that do not exist for QUIET_SECONDS.
        ``isolates``: whether a kind keeps clients out, so that its pauses are short.
        """
        self._clock = clock
        self._exists = exists
        self._isolates = isolates
        self._known: Latest[tuple[Resource, Key], _Repairs] = Latest()
        self._made: Latest[tuple[Resource, Key], tuple[str, float]] = Latest()
        """Hash of what was written last, and when. To create the same again is a repair; something else is not."""

    def pause_left(self, resource: Resource, key: Key) -> float:
        """Seconds until the object may be repaired again; 0: now."""
        known = self._known.get((resource, key))
        if known is None or known.repairs < FREE_REPAIRS:
            return 0.0
        longest = LONGEST_OF_ISOLATION if self._isolates(resource) else LONGEST_PAUSE
        pause = exponential(FIRST_PAUSE, known.repairs - FREE_REPAIRS, longest)
        return max(0.0, known.last + pause - self._clock())

    async def brake(self, resource: Resource, key: Key, get: Callable[[Resource, Key], Awaitable[Obj]]) -> None:
        """Raises DriftConflict while the object's next repair has to wait. The object is requested once in each pause,
        however often it is altered.
        """
        left = self.pause_left(resource, key)
        if left == 0:
            return
        known = self._known[resource, key]
        if known.opponent is None:
            try:
                known.opponent = Opponent(other_managers(await get(resource, key)))
            except NotFound:
                known.opponent = Opponent(deletes=True)
        raise DriftConflict(resource, key, known.opponent, left)

    def is_made(self, resource: Resource, key: Key, wanted: str) -> bool:
        """Whether decco has written an object with this hash, and has not deleted it since."""
        known = self._made.get((resource, key))
        return known is not None and known[0] == wanted

    def wrote(self, resource: Resource, key: Key, wanted: str) -> None:
        """decco has written the object, which carries this hash now."""
        now = self._clock()
        self._made[resource, key] = wanted, now
        for _ in range(2):  # forgets faster than entries are added
            oldest, (what, at) = next(iter(self._made.items()))
            if now - at <= QUIET_SECONDS:
                break
            if self._exists(*oldest):
                self._made[oldest] = what, now
            else:
                del self._made[oldest]

    def deleted(self, resource: Resource, key: Key) -> None:
        """decco itself deleted the object: creating it again is not a repair."""
        self._made.pop((resource, key), None)

    def repaired(self, resource: Resource, key: Key) -> None:
        now = self._clock()
        known = self._known.get((resource, key))
        recent = known.repairs if known is not None and now - known.last <= QUIET_SECONDS else 0
        self._known[resource, key] = _Repairs(recent + 1, now)
        while now - next(iter(self._known.values())).last > QUIET_SECONDS:
            self._known.popitem(last=False)
