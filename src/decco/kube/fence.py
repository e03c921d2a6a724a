"""The right to write, and the two ways in which it ends by itself.

A leader whose process was stopped for longer than its lease (SIGSTOP, a frozen container, a suspended machine, a
starved processor) does not notice that when it continues: its next instruction may send a request that was decided upon
long ago. So the right to write has a fixed end, on a clock that counts all of that time (``clock.boot_time``):

* from ``stop_at`` on ``check`` refuses; the client calls it before it connects, and again with the connection open,
  directly before it writes;
* at ``end_at`` the kernel's timer, on the same clock, ends the process. A signal that came due while the process was
  stopped is delivered before it goes on, so Python runs at most the instruction in which it was stopped.

That one instruction may be the system call that sends: its bytes, and those that were in the kernel's buffers, can
still arrive. They are harmless by preconditions of their own, see docs/design/2026-11-29-clocks.md.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final

from decco.kube.clock import BootTimer
from decco.kube.clock import boot_time as now
from decco.kube.errors import Fenced
from decco.log import get_logger

log = get_logger(__name__)

PAUSED_STATUS: Final = 75
"""Exit status of a process that was stopped, or wedged as a whole, past the end of its lease (EX_TEMPFAIL of
sysexits.h: tried again, it works)."""

Alarm = Callable[[float], None]
"""Ends the process in so many seconds unless it is called again before; 0 calls that off."""


def process_alarm() -> Alarm:
    """The kernel's timer as an alarm for this process; to be called in the main thread.

    The handler runs in the main thread, between two instructions of the interpreter: the thread that sends the requests
    sends no further one. It is a handler because the kernel does not apply the signal's default action to process 1 of
    a container. Where the kernel has no timer on the clock of the lease (gVisor), the alarm does not count suspended
    time.
    """

    def alarm(seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)

    try:
        alarm = BootTimer(signal.SIGALRM).set
    except OSError as error:
        log.warning("no timer counts suspended time", error=str(error))
    signal.signal(signal.SIGALRM, lambda _number, _frame: os._exit(PAUSED_STATUS))
    return alarm


class Fence:
    """Closed until ``open_until`` is called. Written by the thread that renews the lease, read by all."""

    def __init__(self, alarm: Alarm = lambda _: None) -> None:
        self._alarm = alarm
        self._stop_at = 0.0

    def open_until(self, stop_at: float, end_at: float) -> bool:
        """Writes are allowed before ``stop_at``; at ``end_at`` nothing of this process may run. Times as of ``now``.

        Returns False and changes nothing if ``stop_at`` has passed already.
        """
        # The alarm first: a process that is stopped between the two lines is ended and cannot write.
        before = now()
        if stop_at <= before:
            return False
        self._alarm(end_at - before)
        self._stop_at = stop_at
        return True

    def close(self) -> None:
        """Stops writes. Requests that were sent may take until ``end_at``, so the alarm stays."""
        self._stop_at = 0.0

    def settle(self) -> None:
        """All work has ended: stops writes and cancels the alarm."""
        self._stop_at = 0.0
        self._alarm(0.0)

    def allows(self) -> bool:
        """Whether this process may write now."""
        return now() < self._stop_at

    def check(self) -> None:
        """Raises Fenced unless this process may write now."""
        if not self.allows():
            raise Fenced("not sent: this process no longer leads")
