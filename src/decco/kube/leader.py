"""Leader election by a Lease: one of several processes works, never two at once.

The protocol is client-go's (``tools/leaderelection``), so both can share one Lease: its holder renews it; others take
it over once they have seen it unchanged for its duration, or released. They follow it by a watch, so a released Lease
has a new holder in milliseconds. All times are measured on the local clock (``clock.boot_time``); the times written in
the Lease are for information only.

Four rules ensure that never two work at once:

* The holder counts from the moment before it sent its last successful write, the others from when they saw it: later.
* ``Leader.run`` cancels the work ``times.renew`` after that moment **and waits for its end**, which has until
  ``times.lease``. Work that has not ended by then ends the process, as in client-go: there is no other way to be sure.
* The renewals have a thread, an event loop and connections of their own, so that a busy event loop does not lose the
  leadership. But a process whose event loop is dead must not lead forever: without its heartbeat the thread stops.
* A process that was stopped does not notice it. So each write checks the ``Fence``, which expires by itself.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from decco.kube.client import Client
from decco.kube.clock import boot_time as now
from decco.kube.fence import Fence
from decco.kube.lease import RELEASE_SECONDS, Lease, Outcome, Times
from decco.log import get_logger
from decco.objects import Key

log = get_logger(__name__)

ABORT_STATUS: Final = 70
"""Exit status of a process whose work did not stop in time (EX_SOFTWARE of sysexits.h)."""
BEAT_SECONDS: Final = 0.5
JOIN_SECONDS: Final = 0.25
"""How long the thread may take to end after the Lease was released."""

ClientFactory = Callable[[], Awaitable[AbstractAsyncContextManager[Client]]]
"""Makes a client; called and used in the renewal thread only."""


@dataclass
class Leader:
    """One candidate for the Lease ``key``."""

    connect: ClientFactory
    key: Key
    identity: str
    """Unique among the candidates: the pod's name and something random."""
    times: Times = field(default_factory=Times)
    fence: Fence = field(default_factory=Fence)
    """Open while this process may write."""
    on_change: Callable[[bool], None] = lambda _: None
    """Called in the caller's event loop with True when leading begins and False when it has ended."""
    abort: Callable[[], None] = lambda: os._exit(ABORT_STATUS)
    """Must not return; tests replace it."""

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait until this process leads, then run ``work``; repeated after each loss of leadership.

        Returns when ``work`` returns, and raises what it raises. At the end, also by cancellation, the Lease is
        released, so that another candidate need not wait. ``work`` is cancelled when leadership is lost, and must then
        end soon.
        """
        election = _Election(self, asyncio.get_running_loop())
        thread = threading.Thread(target=election.main, name="leader-election", daemon=True)
        thread.start()
        beat = asyncio.create_task(election.send_heartbeats())
        try:
            while await self._session(election, work):
                pass
        finally:
            beat.cancel()
            election.stop()
            await asyncio.shield(asyncio.to_thread(thread.join, RELEASE_SECONDS + JOIN_SECONDS))
            self.fence.settle()

    async def _session(self, election: _Election, work: Callable[[], Awaitable[None]]) -> bool:
        """Runs one leader session; False if the work has ended by itself."""
        await election.acquired()
        log.info("leading", lease=str(self.key), identity=self.identity)
        self.on_change(True)
        task = asyncio.ensure_future(work())
        lost = asyncio.ensure_future(election.lost())
        try:
            await asyncio.wait({task, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                log.warning("leadership lost, stopping work", lease=str(self.key))
                task.cancel()
                await asyncio.wait({task})
                if task.cancelled():
                    return True
            await task
            return False
        finally:
            lost.cancel()
            task.cancel()
            await asyncio.wait({task, lost})
            self.on_change(False)
            log.info("leading has ended", lease=str(self.key))
            election.work_has_ended()


class _Election:
    """The part that runs in the thread, and the calls from the caller's event loop (the main loop)."""

    def __init__(self, leader: Leader, main_loop: asyncio.AbstractEventLoop) -> None:
        self._leader = leader
        self._times = leader.times
        self._fence = leader.fence
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._error: Exception | None = None
        self._beat = monotonic()
        """Not measured on the lease's clock: an event loop that was suspended with the machine is not dead."""
        self._main_loop = main_loop
        self._acquired = asyncio.Event()
        self._lost = asyncio.Event()

    # Called in the main loop

    async def acquired(self) -> None:
        """Wait until this process leads; raises the error that has ended the thread."""
        if self._error is None:
            await self._acquired.wait()
        if self._error is not None:
            raise self._error

    async def lost(self) -> None:
        """Wait until it no longer leads."""
        await self._lost.wait()

    async def send_heartbeats(self) -> None:
        """Send the event loop's heartbeats."""
        while True:
            self._beat = monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    def work_has_ended(self) -> None:
        self._acquired.clear()
        self._lost.clear()
        self._call(self._ended.set)

    def stop(self) -> None:
        """End the thread; the Lease is released. No work may be running."""
        self._call(self._stopping.set)

    def _call(self, function: Callable[[], object]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    # In the thread

    def main(self) -> None:
        """The thread's main function."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._main())
            except Exception as error:  # noqa: BLE001 - passed to the main loop, which raises it
                self._fence.close()
                self._error = error
                self._call_main_loop(self._lost.set)
                self._call_main_loop(self._acquired.set)

    def _call_main_loop(self, function: Callable[[], object]) -> None:
        if not self._main_loop.is_closed():
            self._main_loop.call_soon_threadsafe(function)

    async def _main(self) -> None:
        async with await self._leader.connect() as client:
            lease = Lease(client, self._leader.key, self._leader.identity, self._times)
            stopping = asyncio.ensure_future(self._stopping.wait())
            candidate = asyncio.ensure_future(self._run_for_leader(lease))
            await asyncio.wait({stopping, candidate}, return_when=asyncio.FIRST_COMPLETED)
            if candidate.done():
                stopping.cancel()
                await candidate  # it ends by an error only
            candidate.cancel()
            await asyncio.wait({candidate})
            self._fence.settle()
            await lease.release()

    async def _run_for_leader(self, lease: Lease) -> None:
        """Repeats without end: wait until the Lease is free, take it, lead."""
        while True:
            sent = now()
            outcome = await lease.acquire_or_renew(self._times.call)
            if outcome is Outcome.HELD:
                await self._lead(lease, sent)
            elif outcome is Outcome.TAKEN:
                await lease.until_free()
            else:
                await lease.pause()

    async def _lead(self, lease: Lease, renewed: float) -> None:
        """From the moment of acquiring to the end of the work."""
        self._ended.clear()
        if not self._opened(renewed):
            return  # the answer came so late that there is no time left
        self._call_main_loop(self._acquired.set)
        reason = ""
        while not reason:
            await asyncio.sleep(max(0.0, min(self._times.retry, renewed + self._times.renew - now())))
            sent = now()
            if sent >= renewed + self._times.renew:
                reason = "the lease could not be renewed"
            elif monotonic() - self._beat > self._times.dead:
                reason = "the event loop sends no heartbeat"
            else:
                outcome = await lease.acquire_or_renew(min(self._times.call, renewed + self._times.renew - sent))
                if outcome is Outcome.HELD and self._opened(sent):
                    renewed = sent
                elif outcome is Outcome.TAKEN:
                    reason = "another has taken the lease"
        self._fence.close()
        self._call_main_loop(self._lost.set)
        log.error("leadership lost", lease=str(self._leader.key), reason=reason)
        await self._wait_for_the_end(renewed + self._times.abort)
        self._fence.settle()

    def _opened(self, renewed: float) -> bool:
        return self._fence.open_until(renewed + self._times.renew, renewed + self._times.lease)

    async def _wait_for_the_end(self, latest: float) -> None:
        try:
            async with asyncio.timeout(latest - now()):
                await self._ended.wait()
        except TimeoutError:
            log.critical("work goes on without the lease, ending the process", lease=str(self._leader.key))
            self._leader.abort()
