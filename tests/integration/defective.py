"""``decco-controller`` with two defects, each at a signal.

SIGUSR1: its event loop is wedged for ever, by a call that blocks.
SIGUSR2: at its next write it stops itself (SIGSTOP) between the question whether it may write and the sending. A stop
from outside hits that moment once in a hundred times; it is the one that no check can guard.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

from decco import daemon
from decco.cli import controller
from decco.kube.fence import Fence
from decco.settings.live import LiveSettings

_run = daemon.run
_check = Fence.check
_armed = False


def _arm() -> None:
    global _armed
    _armed = True


def _check_and_stop(fence: Fence) -> None:
    global _armed
    _check(fence)
    if _armed:
        _armed = False
        os.kill(os.getpid(), signal.SIGSTOP)


async def _defective(live: LiveSettings) -> int:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, time.sleep, 3600)
    loop.add_signal_handler(signal.SIGUSR2, _arm)
    return await _run(live)


if __name__ == "__main__":
    Fence.check = _check_and_stop  # type: ignore[method-assign]
    daemon.run = _defective
    sys.exit(controller.main())
