"""Ends what a testbed started after the testbed itself was killed; runs as a small process of its own.

A killed process runs no cleanup, so another one does. The testbed holds the only writing end of a pipe that is this
process's standard input: when the testbed ends, in whatever way, the kernel closes it and reading here ends. Lines:

``pid N``
    Kill this process group (the testbed starts each process as leader of its own group).
``gone N``
    It has ended in an orderly way; its number may soon belong to another process.
``folder PATH``
    Remove this folder when all of them are dead.

Run by path with ``python -I -S``: it imports nothing but the standard library, and starts in milliseconds.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
from collections.abc import Iterable


def open_pidfd(pid: int) -> int | None:
    """A handle that never names another process, however the numbers are reused; None where there is no such thing."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def has_ended(pidfd: int, patience_ms: int = 0) -> bool:
    """Whether the process of a handle ends within this time."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(patience_ms))


def end(pid: int, pidfd: int | None, patience_ms: int = 5000) -> None:
    """Kills a process group and waits until its leader is dead, so that it writes into no folder any more."""
    if hasattr(os, "pidfd_open"):
        if pidfd is None:
            return
        if has_ended(pidfd):  # only its handle is still valid, not its number
            return
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
    if pidfd is not None:
        has_ended(pidfd, patience_ms)


def watch(lines: Iterable[str]) -> None:
    """Follows the testbed's lines to their end, then ends what is left."""
    alive: dict[int, int | None] = {}
    folders: list[str] = []
    for line in lines:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "pid":
            # Handles of those that have ended are not kept: a long run starts more than may be open.
            for pid, handle in [*alive.items()]:
                if handle is not None and has_ended(handle):
                    os.close(handle)
                    del alive[pid]
            alive[int(rest)] = open_pidfd(int(rest))
        elif word == "gone":
            handle = alive.pop(int(rest), None)
            if handle is not None:
                os.close(handle)
        elif word == "folder":
            folders.append(rest)
    for pid, handle in alive.items():
        end(pid, handle)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    watch(sys.stdin)
