"""decco-controller, with the longest callback of its event loop written to a file at its end.

Each step of a task is a callback, and nothing else runs meanwhile: neither renewals of the Lease's client nor other
reconciles. CPU time of the thread, so that other programs of the machine do not count. The file: {"ms": …, "what": …}.

    python -m bench.timed_controller <file> <arguments of decco-controller>
"""

from __future__ import annotations

import json
import sys
import time
from asyncio.events import Handle
from pathlib import Path
from typing import Any

from decco.cli.controller import main


class Longest:
    """Replaces ``Handle._run``, which the loop of asyncio calls for each callback that is due."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.what = ""
        original: Any = Handle._run  # noqa: SLF001
        clock = time.thread_time

        def timed(handle: Handle) -> None:
            started = clock()
            original(handle)
            took = clock() - started
            if took > self.seconds:
                task = getattr(getattr(handle, "_callback", None), "__self__", None)
                self.seconds, self.what = took, repr(task or handle)

        Handle._run = timed  # type: ignore[method-assign,assignment]  # noqa: SLF001


if __name__ == "__main__":
    file = Path(sys.argv[1])
    longest = Longest()
    try:
        status = main(sys.argv[2:])
    finally:
        file.write_text(json.dumps({"ms": 1000 * longest.seconds, "what": longest.what}))
    sys.exit(status)
