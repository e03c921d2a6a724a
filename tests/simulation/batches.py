"""Runs schedules in forked processes: what a simulation leaves behind has cycles, and to end a process takes less time
than to collect them.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

BATCH = 42
"""Schedules of one process: some 200 MB."""


def forked(work: Callable[[], T]) -> T:
    """What ``work`` returns in a process of its own; it must be something that JSON can express. Raises RuntimeError if
    that process ends in another way.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    gc.collect()
    gc.freeze()
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(read)
            gc.disable()
            text = json.dumps(work())
            sys.stdout.flush()
            with os.fdopen(write, "w") as out:
                out.write(text)
            status = 0
        except BaseException:  # noqa: BLE001 - a child must not return
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise RuntimeError(f"a process of schedules ended with {status}")
    result: T = json.loads(text)
    return result


def batches(seeds: range) -> Iterator[range]:
    """The seeds, in parts for one process each."""
    for start in range(0, len(seeds), BATCH):
        yield seeds[start : start + BATCH]
