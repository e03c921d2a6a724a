"""Leader election by a Lease: of several processes one works, and never two at once.

The protocol is client-go's (``tools/leaderelection``), so either can follow the other: who holds the Lease writes it
again and again; others take it over once they have seen it unchanged for its duration. All times are measured on the
own monotonic clock; the times written in the Lease are for people.

Never two at once rests on three things:

* The holder counts from the moment before it sent its last successful write, the others from when they saw it: later.
* ``Leader.run`` cancels the work ``times.renew`` after that moment **and waits for its end**, which has until
  ``times.lease``. Work that has not ended by then ends the process, as in client-go: there is no other way to be sure.
* The renewals have a thread, an event loop and connections of their own, so that a busy event loop does not cost the
  leadership. But a process whose event loop is dead must not lead for ever: without a sign of life from it the thread
  stops.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from time import monotonic
from typing import Final

import structlog

from decco.kube.client import Client
from decco.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from decco.objects import LEASES, Key, Obj

log = structlog.get_logger(__name__)

ABORT_STATUS: Final = 70
"""Exit status of a process whose work did not stop in time (EX_SOFTWARE of sysexits.h)."""
BEAT_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds; the defaults are client-go's."""

    lease: float = 15.0
    """Others may take over when they have seen no renewal for so long."""
    renew: float = 10.0
    """The holder stops working when it has not managed to renew for so long."""
    retry: float = 2.0
    """Between two tries to renew, and (with jitter) to acquire."""
    dead: float = 60.0
    """An event loop that gives no sign of life for so long leads no more."""

    def __post_init__(self) -> None:
        if not self.lease > self.renew > self.retry > 0:
            raise ValueError("the times of a lease must be in this order: lease > renew > retry > 0")

    @property
    def call(self) -> float:
        """Limit of one request, so that a hanging one leaves room for another try."""
        return max(self.retry, self.renew / 2)


ClientFactory = Callable[[], Awaitable[AbstractAsyncContextManager[Client]]]
"""Makes a client; it is called in the thread of the renewals and used there only."""


class Leader:
    """One candidate. ``identity`` must be unique among them: the pod's name and something random.

    ``on_change`` is called in the caller's event loop with True when leading begins and False when it ends. ``abort``
    must not return; tests replace it.
    """

    def __init__(
        self,
        connect: ClientFactory,
        key: Key,
        identity: str,
        *,
        times: Times | None = None,
        on_change: Callable[[bool], None] | None = None,
        abort: Callable[[], None] | None = None,
    ) -> None:
        self._connect = connect
        self._key = key
        self._identity = identity
        self._times = times or Times()
        self._on_change = on_change or (lambda _: None)
        self._abort = abort or (lambda: os._exit(ABORT_STATUS))

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait until this process leads, then run ``work``, again and again as leadership comes and goes.

        Returns when ``work`` returns, and raises what it raises. When it or this is over, the Lease is given back, so
        that another candidate need not wait. ``work`` is cancelled when leadership is lost, and must then end soon.
        """
        loop = asyncio.get_running_loop()
        election = _Election(self._connect, self._key, self._identity, self._times, self._abort, loop)
        thread = threading.Thread(target=election.main, name="leader-election", daemon=True)
        thread.start()
        beat = asyncio.create_task(election.live())
        try:
            while await self._term(election, work):
                pass
        finally:
            beat.cancel()
            election.stop()
            await asyncio.shield(asyncio.to_thread(thread.join, 2 * self._times.call))

    async def _term(self, election: _Election, work: Callable[[], Awaitable[None]]) -> bool:
        """One time of leading; False if the work has come to its end by itself."""
        await election.acquired()
        log.info("leading", lease=str(self._key), identity=self._identity)
        self._on_change(True)
        task = asyncio.ensure_future(work())
        lost = asyncio.ensure_future(election.lost())
        try:
            await asyncio.wait({task, lost}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
                return False
            log.warning("leadership lost, stopping work", lease=str(self._key))
            return True
        finally:
            lost.cancel()
            task.cancel()
            await asyncio.wait({task, lost})
            self._on_change(False)
            election.work_has_ended()


class _Outcome(Enum):
    """What one try to acquire or renew has found out."""

    HELD = auto()
    TAKEN = auto()
    UNKNOWN = auto()


class _Election:
    """What runs in the thread, and the few calls by which the caller's event loop ("home") talks to it."""

    def __init__(
        self,
        connect: ClientFactory,
        key: Key,
        identity: str,
        times: Times,
        abort: Callable[[], None],
        home: asyncio.AbstractEventLoop,
    ) -> None:
        self._connect = connect
        self._key = key
        self._identity = identity
        self._times = times
        self._abort = abort
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._lease: Obj | None = None
        """As last written by us; None when others may have written since."""
        self._observed = ("", 0.0)
        """The resourceVersion that we saw last, and when we saw it first."""
        self._error: Exception | None = None
        self._beat = monotonic()
        self._home = home
        self._acquired = asyncio.Event()
        self._lost = asyncio.Event()

    # Called at home

    async def acquired(self) -> None:
        """Wait until this process leads; raises what has ended the thread."""
        if self._error is None:
            await self._acquired.wait()
        if self._error is not None:
            raise self._error

    async def lost(self) -> None:
        """Wait until it leads no more."""
        await self._lost.wait()

    async def live(self) -> None:
        """Show that this event loop is alive."""
        while True:
            self._beat = monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    def work_has_ended(self) -> None:
        """Nothing of the work is running any more."""
        self._acquired.clear()
        self._lost.clear()
        self._call(self._ended.set)

    def stop(self) -> None:
        """End the thread; the Lease is given back. No work may be running."""
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
            except Exception as error:  # noqa: BLE001 - handed on to home, which raises it
                self._error = error
                self._tell(self._lost.set)
                self._tell(self._acquired.set)

    def _tell(self, function: Callable[[], object]) -> None:
        if not self._home.is_closed():
            self._home.call_soon_threadsafe(function)

    async def _main(self) -> None:
        async with await self._connect() as client:
            while not self._stopping.is_set():
                sent = monotonic()
                if await self._try(client, self._times.call) is _Outcome.HELD:
                    await self._lead(client, sent)
                else:
                    await self._pause(self._times.retry * random.uniform(1.0, 1.2))  # noqa: S311 - jitter, no secret

    async def _lead(self, client: Client, renewed: float) -> None:
        """From the moment of acquiring to the end of the work."""
        self._ended.clear()
        self._tell(self._acquired.set)
        reason = ""
        while not reason:
            left = renewed + self._times.renew - monotonic()
            await self._pause(min(self._times.retry, left))
            if self._stopping.is_set():
                await self._release(client)
                return
            sent = monotonic()
            if sent >= renewed + self._times.renew:
                reason = "the lease could not be renewed"
            elif sent - self._beat > self._times.dead:
                reason = "the event loop gives no sign of life"
            else:
                outcome = await self._try(client, min(self._times.call, renewed + self._times.renew - sent))
                if outcome is _Outcome.HELD:
                    renewed = sent
                elif outcome is _Outcome.TAKEN:
                    reason = "another has taken the lease"
        log.error("leadership lost", lease=str(self._key), reason=reason)
        self._tell(self._lost.set)
        await self._wait_for_the_end(renewed + self._times.lease)

    async def _wait_for_the_end(self, latest: float) -> None:
        try:
            async with asyncio.timeout(latest - monotonic()):
                await self._ended.wait()
        except TimeoutError:
            log.critical("work goes on without the lease, ending the process", lease=str(self._key))
            self._abort()

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not when there is something to do."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _try(self, client: Client, seconds: float) -> _Outcome:
        """Acquire or renew, within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                try:
                    return await self._write(client)
                except (Conflict, AlreadyExists):  # written by another, or by us in a request whose answer was lost
                    self._lease = None
                    return await self._write(client)
        except (KubeError, TimeoutError) as error:
            self._lease = None
            log.warning("lease not written", lease=str(self._key), error=str(error) or "time limit")
            return _Outcome.UNKNOWN

    async def _write(self, client: Client) -> _Outcome:
        if self._lease is None:
            try:
                found = await client.get(LEASES, self._key)
            except NotFound:
                self._lease = await client.create(LEASES, self._desired({"metadata": self._key._asdict()}))
                return _Outcome.HELD
            if self._taken(found):
                return _Outcome.TAKEN
            self._lease = found
        self._lease = await client.replace(LEASES, self._desired(self._lease))
        return _Outcome.HELD

    def _taken(self, lease: Obj) -> bool:
        """Whether another holds it, as far as we have seen."""
        version = lease["metadata"]["resourceVersion"]
        if version != self._observed[0]:
            self._observed = (version, monotonic())
        spec = lease.get("spec") or {}
        if spec.get("holderIdentity") in {None, "", self._identity}:
            return False
        return monotonic() < self._observed[1] + float(spec.get("leaseDurationSeconds") or self._times.lease)

    def _desired(self, lease: Obj) -> Obj:
        """The Lease with us as its holder."""
        spec = dict(lease.get("spec") or {})
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if spec.get("holderIdentity") != self._identity:
            transitions = spec.get("leaseTransitions")
            spec["leaseTransitions"] = 0 if transitions is None else transitions + 1
            spec["acquireTime"] = now
        spec |= {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, math.ceil(self._times.lease)),
            "renewTime": now,
        }
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": lease["metadata"], "spec": spec}

    async def _release(self, client: Client) -> None:
        """Give the Lease back; if that fails, others wait until it expires."""
        try:
            async with asyncio.timeout(self._times.call):
                lease = self._lease or await client.get(LEASES, self._key)
                if lease["spec"].get("holderIdentity") != self._identity:
                    return
                spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                await client.replace(LEASES, {**lease, "spec": spec})
        except (KubeError, TimeoutError) as error:
            log.warning("lease not given back", lease=str(self._key), error=str(error) or "time limit")
