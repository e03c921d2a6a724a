"""Event loops on virtual time, run one callback at a time, in an order that a seed decides.

Each simulated process has event loops of its own, and the world has one. ``Scheduler.run`` chooses a loop that has
something to do and runs one of its callbacks; if none has, time goes on to the next timer. Between two callbacks
anything may happen: a process is killed, paused, or another one runs.

asyncio runs the callbacks that are ready in the order in which they became ready, and promises nothing. Here each
batch of them is shuffled.

A thread of a process, such as the leader election's with a loop of its own, is a greenlet: it is left where it waits,
and entered again when it has something to do.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import random
from asyncio import events
from collections import deque
from collections.abc import Callable
from typing import Any

import greenlet

from tests.simulation.clock import CLOCK


class Killed(BaseException):
    """Raised in the thread of a process that does not exist any more."""


class ProcessExit(SystemExit):
    """``os._exit`` of a simulated process."""


class _NoSelector:
    """There are no sockets."""

    def select(self, _timeout: float | None = None) -> list[Any]:
        return []

    def close(self) -> None:
        return

    def get_map(self) -> dict[int, Any]:
        return {}


class _Handle(events.Handle):
    """asyncio's, without what debugging needs: a simulation makes thousands of them."""

    __slots__ = ()

    def __init__(
        self, callback: Callable[..., Any], args: Any, loop: Loop, context: contextvars.Context | None
    ) -> None:
        self._context = contextvars.copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = self._args = None  # type: ignore[assignment]


class _Timer(_Handle):
    __slots__ = ("_when",)

    def __init__(
        self, when: float, callback: Callable[..., Any], args: Any, loop: Loop, context: contextvars.Context | None
    ) -> None:
        super().__init__(callback, args, loop, context)
        self._when = when

    def when(self) -> float:
        return self._when


class Loop(asyncio.BaseEventLoop):
    """One event loop of the process ``owner``."""

    def __init__(self, scheduler: Scheduler, owner: Process) -> None:
        super().__init__()
        self._selector = _NoSelector()
        self.scheduler = scheduler
        self.owner = owner
        self.batch: list[asyncio.Handle] = []
        self.ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]
        self.timers: list[tuple[float, int, asyncio.Handle]] = []
        """A heap; the number makes the order of timers of the same moment that of their creation."""
        self._numbers = itertools.count()
        self.thread: Thread | None = None
        self.errors = owner.errors
        self.set_exception_handler(self._failed)
        scheduler.loops.append(self)

    def time(self) -> float:
        return CLOCK.now

    def _process_events(self, _events: Any) -> None:
        return

    def _write_to_self(self) -> None:
        return

    def _failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if self.owner.alive:
            error = context.get("exception")
            self.errors.append(f"{context.get('message')}: {error!r}")

    def add_signal_handler(self, sig: int, callback: Callable[..., Any], *args: Any) -> None:
        self.owner.signals[sig] = lambda: self.call_soon(callback, *args)

    def run_in_executor(self, _executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Runs the function in a simulated thread, so that it may wait for another one."""
        future = self.create_future()

        def work() -> None:
            try:
                result, error = func(*args), None
            except Exception as caught:  # noqa: BLE001 - passed to the caller
                result, error = None, caught

            def deliver() -> None:
                if future.done():
                    return
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)

            self.call_soon_threadsafe(deliver)

        Thread(target=work, owner=self.owner).start()
        return future

    def call_soon(self, callback: Any, *args: Any, context: contextvars.Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        if self._closed:  # type: ignore[attr-defined]
            raise RuntimeError("Event loop is closed")
        handle = _Handle(callback, args, self, context)
        self.ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_at(self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None) -> Any:  # type: ignore[override]
        if self._closed:  # type: ignore[attr-defined]
            raise RuntimeError("Event loop is closed")
        timer = _Timer(when, callback, args, self, context)
        heapq.heappush(self.timers, (when, next(self._numbers), timer))
        return timer

    def call_later(self, delay: float, callback: Any, *args: Any, context: contextvars.Context | None = None) -> Any:  # type: ignore[override]
        return self.call_at(CLOCK.now + delay, callback, *args, context=context)

    def work_at(self) -> float | None:
        """When there is something to do; None if nothing ever will be."""
        if self.batch or self.ready:
            return CLOCK.now
        timers = self.timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    def fill(self) -> None:
        """Takes what is ready now as the next batch, in a random order."""
        timers, batch, now = self.timers, list(self.ready), CLOCK.now
        while timers and timers[0][0] <= now:
            batch.append(heapq.heappop(timers)[2])
        self.ready.clear()
        if len(batch) > 1:
            self.scheduler.random.shuffle(batch)
        self.batch = batch

    def step(self) -> None:
        """Runs one callback, in the present thread."""
        if not self.batch:
            self.fill()
        while self.batch:
            handle = self.batch.pop()
            if not handle._cancelled:
                handle._run()
                return

    def run_forever(self) -> None:
        """Called in a thread of the process: gives each callback its turn."""
        thread = self.scheduler.thread
        if thread is None:
            raise RuntimeError("only a simulated thread runs a loop by itself")
        self._check_closed()  # type: ignore[attr-defined]
        if not self.owner.alive:
            raise Killed
        self.thread = thread
        try:
            while not self._stopping:  # type: ignore[has-type]
                thread.wait_for_turn(self)
                events._set_running_loop(self)
                try:
                    self.step()
                finally:
                    events._set_running_loop(None)
        finally:
            self.thread = None
            self._stopping = False

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        return


class Thread:
    """Stands for ``threading.Thread`` in a simulated process."""

    def __init__(
        self, target: Callable[[], object], name: str = "", daemon: bool = True, owner: Process | None = None
    ) -> None:
        process = owner if owner is not None else current_process()
        self.owner = process
        self.scheduler = process.scheduler
        self.name, self.daemon = name, daemon
        self._target = target
        self.ended = False
        self.waits_for: Loop | None = None
        self.wakes_at: float | None = None
        """When a thread that waits for something else than a loop goes on."""
        self._waits_until: Callable[[], bool] = lambda: True
        self._greenlet = greenlet.greenlet(self._main)

    def start(self) -> None:
        self.wakes_at = CLOCK.now
        self.scheduler.threads.append(self)

    def _main(self) -> None:
        try:
            if self.owner.alive:
                self._target()
        except (Killed, SystemExit):
            pass
        except BaseException as error:  # noqa: BLE001 - a defect in a thread is a finding
            self.owner.errors.append(f"the thread {self.name} ended with {error!r}")
        finally:
            self.ended = True

    def run_turn(self) -> None:
        """Lets the thread run until it waits again; called by the scheduler."""
        self.scheduler.thread = self
        self._greenlet.switch()
        self.scheduler.thread = None
        if self.ended and self in self.scheduler.threads:
            self.scheduler.threads.remove(self)

    def _give_back(self) -> None:
        parent = self._greenlet.parent
        assert parent is not None
        parent.switch()
        if not self.owner.alive:
            raise Killed

    def wait_for_turn(self, loop: Loop) -> None:
        self.waits_for, self.wakes_at = loop, None
        self._give_back()
        self.waits_for = None

    def due(self) -> float | None:
        if self.waits_for is not None:
            return self.waits_for.work_at()
        if self._waits_until():
            return CLOCK.now
        return self.wakes_at

    def join(self, timeout: float | None = None) -> None:
        """Called in another simulated thread: waits until this one has ended."""
        caller = self.scheduler.thread
        if caller is None:
            raise RuntimeError("join blocks the event loop")
        caller.wakes_at = None if timeout is None else CLOCK.now + timeout
        caller._waits_until = lambda: self.ended
        if not self.ended:
            caller._give_back()
        caller._waits_until = lambda: True

    def is_alive(self) -> bool:
        return not self.ended

    def drop(self) -> None:
        """Ends the thread of a process that was killed."""
        for _ in range(1000):
            if self.ended:
                return
            self.run_turn()
        raise RuntimeError(f"the thread {self.name} does not end")


class Process:
    """One simulated operating system process."""

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self.scheduler = scheduler
        self.name = name
        self.alive = True
        self.paused_until = 0.0
        self.alarm_at: float | None = None
        self.status: int | None = None
        self.skew = 0.0
        self.signals: dict[int, Callable[[], object]] = {}
        self.errors: list[str] = []
        self.at_end: list[Callable[[], None]] = []
        self.network: Any = None
        """How it reaches API servers."""
        scheduler.processes.append(self)

    def new_loop(self) -> Loop:
        return Loop(self.scheduler, self)

    def alarm(self, seconds: float) -> None:
        """The kernel's timer: ends the process in so many seconds; 0 cancels it."""
        self.alarm_at = CLOCK.now + seconds if seconds > 0 else None

    def exit(self, status: int) -> None:
        """``os._exit``, called by the process itself."""
        self.kill(status)
        raise ProcessExit(status)

    def kill(self, status: int = -9) -> None:
        """Nothing of the process runs after this."""
        if not self.alive:
            return
        self.alive, self.status = False, status
        scheduler = self.scheduler
        scheduler.loops = [loop for loop in scheduler.loops if loop.owner is not self]
        scheduler.dead.append(self)
        for function in self.at_end:
            function()

    def signal(self, number: int) -> None:
        if self.alive and number in self.signals:
            self.signals[number]()


_current: list[Process | None] = [None]


def current_process() -> Process:
    """The process whose code runs now."""
    process = _current[0]
    assert process is not None
    return process


class Scheduler:
    """Runs all loops and threads of one simulation, deterministically for a seed."""

    def __init__(self, rng: random.Random) -> None:
        self.random = rng
        self.loops: list[Loop] = []
        self.threads: list[Thread] = []
        self.processes: list[Process] = []
        self.dead: list[Process] = []
        self.thread: Thread | None = None
        self.steps = 0
        self.between: Callable[[Process], None] = lambda _process: None
        """Called after each callback of a process: may kill or pause it."""

    def run(self, until: Callable[[], bool], limit: float) -> bool:
        """Runs until the condition holds, or (False) until virtual time ``limit``."""
        while not until():
            if self.dead:
                self._bury()
            choice = self._next(limit)
            if choice is None:
                CLOCK.now = limit
                return until()
            self._run(choice)
        return True

    def _next(self, limit: float) -> Loop | Thread | None:
        """A loop or thread that is due, after time has gone on if none is; None: nothing before ``limit``. A loop in a
        thread is run by that thread.
        """
        while True:
            now, soonest = CLOCK.now, limit
            ready: list[Loop | Thread] = []
            everything: tuple[Loop | Thread, ...] = (*self.loops, *self.threads)
            for each in everything:
                due = self._due(each, now)
                if due is None:
                    continue
                if due <= now:
                    ready.append(each)
                elif due < soonest:
                    soonest = due
            if ready:
                return ready[0] if len(ready) == 1 else ready[int(self.random.random() * len(ready))]
            if soonest >= limit:
                return None
            CLOCK.now = soonest

    @staticmethod
    def _due(each: Loop | Thread, now: float) -> float | None:
        if isinstance(each, Thread):
            due = each.due()
        elif each.thread is not None:
            due = None
        elif each.batch or each.ready:
            due = now
        else:
            due = each.work_at()
        owner = each.owner
        if owner.alarm_at is not None and (due is None or owner.alarm_at < due):
            due = owner.alarm_at
        return due if due is None or owner.paused_until <= due else owner.paused_until

    def _run(self, choice: Loop | Thread) -> None:
        process = choice.owner
        if process.alarm_at is not None and CLOCK.now >= process.alarm_at:
            process.kill(75)
            return
        self.steps += 1
        CLOCK.skew = process.skew
        _current[0] = process
        try:
            if isinstance(choice, Thread):
                choice.run_turn()
            else:
                events._set_running_loop(choice)
                try:
                    choice.step()
                finally:
                    events._set_running_loop(None)
        except ProcessExit:
            pass
        finally:
            _current[0] = None
            CLOCK.skew = 0.0
        if process.alive:
            self.between(process)

    def _bury(self) -> None:
        """Ends the threads of processes that were killed."""
        for process in self.dead:
            _current[0] = process
            for thread in [each for each in self.threads if each.owner is process]:
                thread.drop()
            _current[0] = None
        self.dead.clear()

    def end(self) -> None:
        """Kills all processes: the simulation is over."""
        for process in self.processes:
            process.kill()
        self._bury()
        self.loops.clear()


class Policy(asyncio.DefaultEventLoopPolicy):
    """``asyncio.new_event_loop`` in a simulated process."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return current_process().new_loop()
