"""``decco-controller`` that tells at SIGUSR1 how much it keeps: a census of its own objects.

Measured from outside, memory says that something grows and not what. The census names it: for each class of decco's
how many instances are alive, and for each of their attributes that is a container, how many items all of them hold.
Written as JSON to the file ``$SOAK_CENSUS``, whole or not at all.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from decco import daemon
from decco.cli import controller
from decco.settings import Settings

CONTAINERS = (dict, list, set, frozenset, tuple, deque)

_run = daemon.run


def _attributes(instance: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(instance, "__dict__", {}).items()
    for kind in type(instance).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if slot not in {"__dict__", "__weakref__"} and hasattr(instance, slot):
                yield slot, getattr(instance, slot)


def census() -> dict[str, int]:
    """``Class`` -> instances, ``Class.attribute`` -> items in that attribute of all instances."""
    found: Counter[str] = Counter()
    gc.collect()
    for each in gc.get_objects():
        kind = type(each)
        if isinstance(each, type) or not str(kind.__module__).startswith("decco."):
            continue
        found[kind.__name__] += 1
        for name, value in _attributes(each):
            if isinstance(value, CONTAINERS):
                found[f"{kind.__name__}.{name}"] += len(value)
    return dict(found)


def _tell() -> None:
    path = Path(os.environ["SOAK_CENSUS"])
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(census()))
    unfinished.rename(path)


async def _run_and_tell(settings: Settings, *more: Any) -> int:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _tell)
    return await _run(settings, *more)


if __name__ == "__main__":
    daemon.run = _run_and_tell
    sys.exit(controller.main())
