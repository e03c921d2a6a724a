"""The clock of everything that ends at a moment on other machines: leases and credentials.

CLOCK_BOOTTIME cannot be set, and it counts while the machine is suspended, unlike CLOCK_MONOTONIC, which is Python's
``time.monotonic`` and the event loop's. Waits for something in this process (idle watches, backoffs, the event loop's
heartbeat) use the latter: nothing happens in the process while it is suspended. docs/design/2026-11-29-clocks.md has
the list.

``BootTimer`` is the kernel's timer on the same clock. Python has none: ``signal.setitimer`` stops during suspend.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import ClassVar, Final

BOOT_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)
"""None on systems that have no such clock."""


def boot_time() -> float:
    """Seconds since the machine was booted, suspended or not."""
    return time.monotonic() if BOOT_CLOCK is None else time.clock_gettime(BOOT_CLOCK)


class _Time(ctypes.Structure):
    _fields_: ClassVar = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Setting(ctypes.Structure):
    _fields_: ClassVar = [("interval", _Time), ("value", _Time)]


class _Event(ctypes.Structure):
    """struct sigevent: 64 bytes."""

    _fields_: ClassVar = [
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_char * 48),
    ]


class BootTimer:
    """Sends a signal to this process, once: timer_create(2) with CLOCK_BOOTTIME.

    Raises OSError where the kernel or the C library has no such timer.
    """

    def __init__(self, number: signal.Signals) -> None:
        if BOOT_CLOCK is None:
            raise OSError("the system has no CLOCK_BOOTTIME")
        library = ctypes.CDLL(None, use_errno=True)
        try:
            create, self._set_time = library.timer_create, library.timer_settime
        except AttributeError as error:
            raise OSError("the C library has no timer_create") from error
        event = _Event(signal=int(number), notify=0)  # SIGEV_SIGNAL
        self._timer = ctypes.c_void_p()
        _check(create(ctypes.c_int(BOOT_CLOCK), ctypes.byref(event), ctypes.byref(self._timer)))

    def set(self, seconds: float) -> None:
        """Sends the signal after ``seconds``, suspended time included, and replaces the former setting; 0: never."""
        whole, part = divmod(max(0.0, seconds), 1.0)
        value = _Time(int(whole), int(part * 1e9))
        _check(self._set_time(self._timer, 0, ctypes.byref(_Setting(value=value)), None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
