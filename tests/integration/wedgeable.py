"""``decco-controller`` with a defect: at SIGUSR1 its event loop is wedged for ever, by a call that blocks."""

from __future__ import annotations

import asyncio
import signal
import sys
import time

from decco import daemon
from decco.cli import controller
from decco.settings import Settings

_run = daemon.run


async def _wedgeable(settings: Settings) -> int:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, time.sleep, 3600)
    return await _run(settings)


if __name__ == "__main__":
    daemon.run = _wedgeable
    sys.exit(controller.main())
