"""Less of a machine than a process expects: by means that need no rights and no cgroup."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PERIOD_SECONDS = 0.1
"""The kernel's period of CPU quotas."""


def file_descriptors(pid: int, count: int) -> None:
    """The process can have so many open files and connections at most."""
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, count))


def memory(pid: int, mebibytes: int) -> None:
    """The process cannot have more memory of its own: an allocation beyond it fails."""
    resource.prlimit(pid, resource.RLIMIT_DATA, (mebibytes << 20, mebibytes << 20))


@contextmanager
def processor(pid: int, share: float) -> Iterator[None]:
    """The process runs for this share of each period, and stands still for the rest, as under a quota of a cgroup."""
    over = threading.Event()

    def throttle() -> None:
        while not over.wait(PERIOD_SECONDS * share):
            os.kill(pid, signal.SIGSTOP)
            over.wait(PERIOD_SECONDS * (1 - share))
            os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=throttle, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
