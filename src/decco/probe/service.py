"""The public interface of this package: owners declare their targets and read what is known of them.

A reconciler calls ``ensure`` in each reconcile with all targets of its object, and reads the state; when the state
changes later, the callback of ``subscribe`` enqueues the object. ``run`` sends the probes: those after a change
first, then those of failures, then those of each target's slot in the interval, never more than the rate.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import time
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from decco.log import get_logger
from decco.probe.attempts import Attempts
from decco.probe.model import AnyTarget, Observation, Record, Result, State, Target, renewed
from decco.probe.reach import DETECT_SECONDS, Reachability
from decco.probe.verdict import CONFIRM_PAUSE_SECONDS, History, Verdict, retry_pause, slot

log = get_logger(__name__)

IN_FLIGHT = 100
"""Probes at once: as many as end within PROBE_SECONDS at a usual rate of failures."""
GRAIN_SECONDS = 0.001
"""Shortest wait for what is due, so that the clock advances."""
BURST = 0.1
"""Share of a second's probes that may start at once."""

_CHANGE, _FAILURE, _ROUTINE = range(3)
"""Priorities of probes that are due."""

WHOLE_PER_SECOND = 4.0
"""Whole probes of settled targets, if there are more of them. The others are short ones, which cost a fifth."""
MOST_SHORT = 7
"""Short probes of a target in a row, records excepted."""

NOT_REACHED = frozenset({Result.CONNECT, Result.CLOSED})
"""Results that do not count at an address with no other result so far. An edge that expects the PROXY protocol closes
connections that bypass its load balancer, and connections from inside the cluster do."""

RENEWAL_SECONDS = 150.0
"""How long a renewed certificate may take to its servers: the kubelet brings a Secret to a pod within some 90 s."""

MAX_SHARED = 1_000
"""States that owners have in common."""

Probe = Callable[[AnyTarget, bool], Awaitable[Observation]]
"""The second argument is whether a short probe suffices: the target answered the last one, and nothing has changed."""


class ProbeSettings(Protocol):
    """Read before each probe, so that changes are in force at once."""

    @property
    def enabled(self) -> bool: ...
    @property
    def interval_seconds(self) -> float: ...
    @property
    def max_per_second(self) -> int: ...


class Observer(Protocol):
    """Metrics."""

    def probed(self, result: str) -> None: ...
    def first_answer(self, seconds: float) -> None: ...


@dataclass(slots=True, eq=False)
class _Probed:
    """A target of an owner."""

    uid: str
    name: str
    target: AnyTarget
    changed: float
    """When the target was declared."""
    history: History = field(default_factory=History)
    due: float = 0.0
    priority: int = _CHANGE
    routine_probes: int = 0
    """Counts the probes in its slots: one in so many is whole."""
    running: bool = False
    again: bool = False
    """Whether the object changed while a probe was running."""
    renewed_until: float = 0.0
    """Until when the certificate from before counts."""
    dropped: bool = False
    assumed: bool = False
    """Whether it counts as answered although nothing is known yet: it did before this process started."""


@dataclass(slots=True)
class _Owner:
    group: str = ""
    probed: dict[str, _Probed] = field(default_factory=dict)
    token: Hashable = None
    shown: State | None = None


class Prober:
    """All targets. One event loop; ``run`` works until it is cancelled."""

    def __init__(
        self,
        settings: Callable[[], ProbeSettings],
        observer: Observer,
        *,
        probe: Probe | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._probe = probe if probe is not None else Attempts()
        self._clock = clock
        self._owners: dict[str, _Owner] = {}
        self._callbacks: list[Callable[[str], None]] = []
        self._reach = Reachability()
        self._probed_at: dict[str, float] = {}
        """Address that is not reached -> when one of its targets was probed last."""
        self._count = 0
        """Of targets."""
        self._heap: list[tuple[float, int, int, _Probed]] = []
        self._due: list[tuple[int, int, _Probed]] = []
        self._numbers = itertools.count()
        self._free_at = -math.inf
        """When the rate allows the next probe."""
        self._failed = 0
        self._all_answered: dict[frozenset[str], State] = {}
        """The usual state by its targets, once for all owners that have equal names for them."""
        self._event = asyncio.Event()

    @property
    def enabled(self) -> bool:
        return self._settings().enabled

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """Calls ``callback(uid)`` whenever the state of that owner has changed."""
        self._callbacks.append(callback)

    def ensure(
        self,
        uid: str,
        targets: Mapping[str, AnyTarget],
        *,
        group: str = "",
        token: Hashable = None,
        assumed: bool = False,
    ) -> State:
        """Sets all targets of an owner, and returns the state; ``group`` is for ``counts``.

        An equal target keeps its verdict, and so does one whose certificate was renewed. Another ``token`` than before
        has all targets probed at once. ``assumed``: what is new to this process counts as answered until it is probed
        in its slot.
        """
        now, owner = self._clock(), self._owners.setdefault(uid, _Owner())
        first = owner.shown is None
        for name in owner.probed.keys() - targets.keys():
            self._drop(owner.probed.pop(name))
        poked = owner.token != token and not first
        owner.token, owner.group = token, group
        for name, target in targets.items():
            known = owner.probed.get(name)
            if known is not None and known.target == target:
                known.again |= poked and known.running
                if poked and not known.running:
                    self._plan(known, now, _CHANGE)
                continue
            owner.probed[name] = new = self._new(uid, name, target, known)
            new.assumed |= assumed and first
            if target.may_be_other_view:
                self._reach.assume_unreached(target.address, now)
            if new.assumed and not new.renewed_until:
                self._plan(new, slot(f"{uid}/{name}", self._settings().interval_seconds, now), _ROUTINE)
            else:
                self._plan(new, now, _CHANGE)
        owner.shown = self._state(owner)
        return owner.shown

    def _new(self, uid: str, name: str, target: AnyTarget, known: _Probed | None) -> _Probed:
        """A target, perhaps in place of another. If only its certificate was renewed, it keeps what is known."""
        self._count += 1
        now, routine_probes = self._clock(), hash((uid, name)) % (MOST_SHORT + 1)
        new = _Probed(uid, name, target, now, routine_probes=routine_probes)
        if known is None:
            return new
        self._drop(known)
        good = known.assumed or known.history.verdict is Verdict.ANSWERED
        if good and (renewal := renewed(known.target, target)) is not None:
            new.target = renewal
            new.history, new.assumed, new.renewed_until = known.history, known.assumed, now + RENEWAL_SECONDS
        return new

    def state(self, uid: str) -> State:
        """What is known of an owner's targets; an unknown owner has none."""
        owner = self._owners.get(uid)
        return self._state(owner) if owner is not None else State()

    def forget(self, uid: str) -> None:
        """Ends the probes of an owner."""
        owner = self._owners.pop(uid, None)
        for probed in owner.probed.values() if owner is not None else ():
            self._drop(probed)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Group -> targets that answer, and that do not; without those of which nothing is known, or in no group."""
        found: dict[str, list[int]] = {}
        for owner in self._owners.values():
            for probed in owner.probed.values() if owner.group else ():
                verdict = probed.history.verdict
                if verdict is not Verdict.WAITING and not self._reach.unreached(probed.target.address):
                    found.setdefault(owner.group, [0, 0])[verdict is Verdict.FAILED] += 1
        return {group: (answering, failed) for group, (answering, failed) in found.items()}

    def declared(self, uid: str) -> Collection[str]:
        """The names of the owner's targets."""
        owner = self._owners.get(uid)
        return owner.probed.keys() if owner is not None else ()

    def unreached(self, address: str) -> bool:
        """Whether this address cannot be reached from here."""
        return self._reach.unreached(address)

    def settings_changed(self) -> None:
        """Has the new settings taken for all targets."""
        for owner in self._owners.values():
            for probed in owner.probed.values():
                self._plan_next(probed)

    # -- the queue ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Sends probes until cancelled."""
        slots = asyncio.Semaphore(IN_FLIGHT)
        async with asyncio.TaskGroup() as group:
            while True:
                probed = await self._next()
                await slots.acquire()
                task = group.create_task(self._run(probed), name="probe")
                task.add_done_callback(lambda _: slots.release())
                # With the burst no second has more probes than the rate.
                spacing = 1 / (self._settings().max_per_second * (1 - BURST))
                self._free_at = max(self._free_at, self._clock() - BURST) + spacing

    async def _next(self) -> _Probed:
        """The next target to be probed, when it is due."""
        while True:
            now = self._clock()
            while self._heap and self._heap[0][0] <= now:
                due, number, priority, probed = heapq.heappop(self._heap)
                if due == probed.due and not probed.dropped:
                    heapq.heappush(self._due, (priority, number, probed))
            if self._due and now < self._free_at:
                await asyncio.sleep(self._free_at - now + BURST / 4)  # then for several probes
                continue
            while self._due:
                _, _, probed = heapq.heappop(self._due)
                if not probed.dropped and not probed.running and probed.due <= now and self._may_probe(probed):
                    probed.running = True
                    return probed
            self._event.clear()
            seconds = max(self._heap[0][0] - now, GRAIN_SECONDS) if self._heap else None
            try:
                async with asyncio.timeout(seconds):
                    await self._event.wait()
            except TimeoutError:
                pass

    def _may_probe(self, probed: _Probed) -> bool:
        if not self._settings().enabled:
            return False
        if not self._reach.unreached(probed.target.address):
            return True
        # One target of the address is probed in each interval, and now and then a changed one.
        address, now = probed.target.address, self._clock()
        pause = DETECT_SECONDS if probed.priority == _CHANGE else self._settings().interval_seconds - GRAIN_SECONDS
        if now - self._probed_at.get(address, -math.inf) < pause:
            self._plan_next(probed)
            return False
        self._probed_at[address] = now
        return True

    def _suffices_short(self, probed: _Probed) -> bool:
        if not probed.history.routine or probed.priority != _ROUTINE or probed.renewed_until:
            return False
        probed.routine_probes += 1
        one_of = math.ceil(self._count / self._settings().interval_seconds / WHOLE_PER_SECOND)
        if isinstance(probed.target, Record):
            return one_of > 1  # short ones ask one server after the other, so they see the same
        return probed.routine_probes % min(one_of, MOST_SHORT + 1) != 0

    async def _run(self, probed: _Probed) -> None:
        started = self._clock()
        if 0 < probed.renewed_until <= started and isinstance(probed.target, Target):
            probed.target, probed.renewed_until = replace(probed.target, former=()), 0.0
        short = self._suffices_short(probed)
        # What a server does is an observation; anything else is a defect and ends the leader session.
        observation = await self._probe(probed.target, short)
        probed.running = False
        self._observer.probed(observation.result)
        address, now = probed.target.address, self._clock()
        # Servers that have never answered with a published record may be those of another view of the zone.
        other_view = observation.result is Result.RECORD and probed.target.may_be_other_view
        changed = self._reach.observe(address, now, reached=observation.result not in NOT_REACHED and not other_view)
        if not self._reach.unreached(address) or observation.result is Result.CLOSED:
            self._probed_at.pop(address, None)  # another target there may be answered
        if not probed.dropped:
            self._observe(probed, observation, started, says_something=not self._reach.undecided(address))
        if changed:
            log.info("reachability of the edge has changed", address=address, reached=not self.unreached(address))
            self._probe_address_again(address)

    def _observe(self, probed: _Probed, observation: Observation, started: float, *, says_something: bool) -> None:
        now, history, before = self._clock(), probed.history, probed.history.verdict
        if observation.ok and says_something and history.routine and not probed.assumed:
            self._plan_next(probed, started)  # the usual end, which changes nothing
            return
        # Nothing at the address has ever answered: a failure to connect says nothing about one target.
        if says_something:
            history.observe(observation, now)
            probed.assumed = probed.assumed and history.verdict is Verdict.WAITING
        self._failed += (history.verdict is Verdict.FAILED) - (before is Verdict.FAILED)
        if before is Verdict.WAITING and history.verdict is Verdict.ANSWERED:
            self._observer.first_answer(now - probed.changed)
        self._plan_next(probed, started)
        self._notify(probed.uid)

    def _probe_address_again(self, address: str) -> None:
        """All targets of this address are due, now that it is known whether it can be reached."""
        for uid, owner in list(self._owners.items()):
            mine = [probed for probed in owner.probed.values() if probed.target.address == address]
            for probed in mine:
                if not probed.running:
                    self._plan(probed, self._clock(), _FAILURE)
            if mine or not owner.probed:  # an owner without targets may report the address as well
                self._notify(uid, always=not mine)

    def _plan_next(self, probed: _Probed, started: float = -math.inf) -> None:
        """``started``: when the last probe began."""
        now, settings, history = self._clock(), self._settings(), probed.history
        if probed.again:
            probed.again, due, priority = False, now, _CHANGE
        elif history.routine or self._reach.unreached(probed.target.address):
            due, priority = slot(f"{probed.uid}/{probed.name}", settings.interval_seconds, now), _ROUTINE
        elif history.verdict is Verdict.FAILED:
            due = max(now, started + retry_pause(self._failed, settings.max_per_second))
            priority = _FAILURE
        elif probed.assumed and not history.suspect:
            due, priority = slot(f"{probed.uid}/{probed.name}", settings.interval_seconds, now), _ROUTINE
        else:
            due, priority = now + CONFIRM_PAUSE_SECONDS, _FAILURE
        self._plan(probed, min(due, probed.renewed_until or due), priority)

    def _plan(self, probed: _Probed, due: float, priority: int) -> None:
        probed.due, probed.priority = due, priority
        heapq.heappush(self._heap, (due, next(self._numbers), priority, probed))
        if self._heap[0][3] is probed:
            self._event.set()  # it is due before what is waited for

    def _drop(self, probed: _Probed) -> None:
        probed.dropped = True
        self._count -= 1
        self._failed -= probed.history.verdict is Verdict.FAILED

    # -- states -------------------------------------------------------------------------------------------------------

    def _state(self, owner: _Owner) -> State:
        failed: dict[str, Observation] = {}
        answered, waiting, unreached = set(), set(), set()
        for name, probed in owner.probed.items():
            history = probed.history
            if self._reach.unreached(probed.target.address):
                unreached.add(name)
            elif history.verdict is Verdict.FAILED and history.failure is not None:
                failed[name] = history.failure
            elif history.verdict is Verdict.ANSWERED or probed.assumed:
                answered.add(name)
            else:
                waiting.add(name)
        if not failed and not waiting and not unreached:
            if len(self._all_answered) > MAX_SHARED:
                self._all_answered.clear()
            return self._all_answered.setdefault(frozenset(answered), State(answered=frozenset(answered)))
        return State(failed, frozenset(answered), frozenset(waiting), frozenset(unreached))

    def _notify(self, uid: str, *, always: bool = False) -> None:
        owner = self._owners.get(uid)
        if owner is None:
            return
        state = self._state(owner)
        if always or owner.shown != state:
            owner.shown = state
            for callback in self._callbacks:
                callback(uid)
