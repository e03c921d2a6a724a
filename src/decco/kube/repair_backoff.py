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
from decco.kube.bounded_map import BoundedMap
from decco.kube.errors import NotFound
from decco.kube.ownership import other_managers
from decco.objects import Key, Obj, Resource

FREE_REPAIRS = 20
QUIET_SECONDS = 600.0
"""An object without alterations for this long starts again with free repairs."""
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 300.0
LONGEST_OF_ISOLATION = 5.0


@frozen
class OtherWriter:
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

    def __init__(self, resource: Resource, key: Key, other_writer: OtherWriter, seconds: float) -> None:
        what = "deleted" if other_writer.deletes else "altered"
        super().__init__(
            f"{resource.kind} {key} is {what} again and again by {', '.join(other_writer.managers) or 'somebody'}"
        )
        self.managers = other_writer.managers
        self.deletes = other_writer.deletes
        self.seconds = seconds


@dataclass(slots=True)
class _Repairs:
    repairs: int
    last: float
    other_writer: OtherWriter | None = None
    """Determined once in each pause."""


class RepairBackoff:
    """Repairs of objects whose desired state did not change."""

    def __init__(
        self,
        clock: Callable[[], float],
        exists: Callable[[Resource, Key], bool],
        has_short_pauses: Callable[[Resource], bool] = lambda _: False,
    ) -> None:
        """``clock`` in seconds, monotonic. Nothing is kept of objects that do not exist for QUIET_SECONDS.
        ``has_short_pauses``: whether a kind keeps clients out, so that its pauses are short.
        """
        self._clock = clock
        self._exists = exists
        self._has_short_pauses = has_short_pauses
        self._known: BoundedMap[tuple[Resource, Key], _Repairs] = BoundedMap()
        self._written: BoundedMap[tuple[Resource, Key], tuple[str, float]] = BoundedMap()
        """Hash of what was written last, and when. To create the same again is a repair; something else is not."""

    def pause_left(self, resource: Resource, key: Key) -> float:
        """Seconds until the object may be repaired again; 0: now."""
        known = self._known.get((resource, key))
        if known is None or known.repairs < FREE_REPAIRS:
            return 0.0
        longest = LONGEST_OF_ISOLATION if self._has_short_pauses(resource) else LONGEST_PAUSE
        pause = exponential(FIRST_PAUSE, known.repairs - FREE_REPAIRS, longest)
        return max(0.0, known.last + pause - self._clock())

    async def raise_if_paused(
        self, resource: Resource, key: Key, get: Callable[[Resource, Key], Awaitable[Obj]]
    ) -> None:
        """Raises DriftConflict while the object's next repair has to wait. The object is requested once in each pause,
        however often it is altered.
        """
        left = self.pause_left(resource, key)
        if left == 0:
            return
        known = self._known[resource, key]
        if known.other_writer is None:
            try:
                known.other_writer = OtherWriter(other_managers(await get(resource, key)))
            except NotFound:
                known.other_writer = OtherWriter(deletes=True)
        raise DriftConflict(resource, key, known.other_writer, left)

    def is_repeat(self, resource: Resource, key: Key, desired_hash: str) -> bool:
        """Whether decco has written an object with this hash, and has not deleted it since."""
        known = self._written.get((resource, key))
        return known is not None and known[0] == desired_hash

    def wrote(self, resource: Resource, key: Key, desired_hash: str) -> None:
        """decco has written the object, which carries this hash now."""
        now = self._clock()
        self._written[resource, key] = desired_hash, now
        for _ in range(2):  # forgets faster than entries are added
            oldest, (what, at) = next(iter(self._written.items()))
            if now - at <= QUIET_SECONDS:
                break
            if self._exists(*oldest):
                self._written[oldest] = what, now
            else:
                del self._written[oldest]

    def deleted(self, resource: Resource, key: Key) -> None:
        """decco itself deleted the object: creating it again is not a repair."""
        self._written.pop((resource, key), None)

    def repaired(self, resource: Resource, key: Key) -> None:
        now = self._clock()
        known = self._known.get((resource, key))
        recent = known.repairs if known is not None and now - known.last <= QUIET_SECONDS else 0
        self._known[resource, key] = _Repairs(recent + 1, now)
        while now - next(iter(self._known.values())).last > QUIET_SECONDS:
            self._known.popitem(last=False)
