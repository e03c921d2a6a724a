"""``decco-controller`` whose own clocks run fast, and that reports at SIGUSR1 how much it keeps: a census.

Measured from outside, memory says that something grows and not what. The census names it: for each class how many
instances are alive, for each attribute of decco's that is a container how many items all of them hold, and the same for
each container of its modules. Written as JSON to the file ``$SOAK_CENSUS``, whole or not at all.
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
from types import CoroutineType, FrameType
from typing import Any

from decco import daemon
from decco.cli import controller
from decco.kube import events, repair_backoff, store, transport
from decco.reconcilers import copies, rejections, requested_secrets
from decco.settings.live import LiveSettings
from tests.soak.leaks import plant

CLOCKS = {
    (events, "SERIES_SECONDS"): 3.6,
    (events, "PATCH_SECONDS"): 0.6,
    (events, "REFILL_SECONDS"): 0.6,
    (repair_backoff, "QUIET_SECONDS"): 6.0,
    (store, "TOMBSTONE_SECONDS"): 10.0,
    (transport, "KEEP_ALIVE_SECONDS"): 1.0,
    (copies, "READ_SECONDS"): 36.0,
    (copies, "FIRST_PAUSE_SECONDS"): 6.0,
    (rejections, "RETRY_SECONDS"): 0.3,
    (rejections, "REFUSAL_SECONDS"): 6.0,
    (requested_secrets, "FOUND_SECONDS"): 6.0,
    (requested_secrets, "MISSING_SECONDS"): 1.0,
    (requested_secrets, "LONG_MISSING_SECONDS"): 2.0,
    (requested_secrets, "KEPT_SECONDS"): 6.0,
}
"""What lasts for minutes and has no setting: a hundred times as fast, but not faster than an API server answers."""
CONTAINERS = (dict, list, set, frozenset, tuple, deque)
FEW = 50
"""Classes with fewer instances are left out, if they are not decco's."""

_run = daemon.run


def _attributes(instance: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(instance, "__dict__", {}).items()
    for kind in type(instance).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if slot not in {"__dict__", "__weakref__"} and hasattr(instance, slot):
                yield slot, getattr(instance, slot)


def census() -> dict[str, int]:
    """``Class`` -> instances; ``Class.attribute`` -> items of all instances in it; ``module:NAME`` -> items.

    Classes of others have their module's name; frames and coroutines are counted by their function too.
    """
    found: Counter[str] = Counter()
    others: Counter[type] = Counter()
    gc.collect()
    alive = gc.get_objects()
    # asyncio sweeps cancelled timers out when they are as many as the others; until then they belong to no object.
    over = [each for each in alive if isinstance(each, asyncio.TimerHandle) and each.cancelled()]
    swept = {id(each) for each in over} | {id(each._context) for each in over}  # type: ignore[attr-defined]
    for each in alive:
        if id(each) in swept:
            continue
        kind = type(each)
        if not str(kind.__module__).startswith("decco."):
            others[kind] += 1
            if isinstance(each, (FrameType, CoroutineType)):
                code = each.f_code if isinstance(each, FrameType) else each.cr_code
                found[f"{kind.__name__} of {code.co_qualname}"] += 1
            continue
        found[kind.__name__] += 1
        for name, value in _attributes(each):
            if isinstance(value, CONTAINERS):
                found[f"{kind.__name__}.{name}"] += len(value)
    for module in [module for name, module in sys.modules.items() if name.startswith("decco.")]:
        for name, value in vars(module).items():
            if isinstance(value, CONTAINERS) and not name.startswith("__"):
                found[f"{module.__name__}:{name}"] += len(value)
    for kind, count in others.items():
        if count >= FEW:
            found[f"{kind.__module__}.{kind.__qualname__}"] += count
    return dict(found)


def _write_census() -> None:
    path = Path(os.environ["SOAK_CENSUS"])
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(census()))
    unfinished.rename(path)


async def _run_with_census(live: LiveSettings) -> int:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _write_census)
    return await _run(live)


if __name__ == "__main__":
    for (module, name), seconds in CLOCKS.items():
        assert isinstance(getattr(module, name), float)
        setattr(module, name, seconds)
    if leak := os.environ.get("SOAK_LEAK"):
        plant(leak)
    daemon.run = _run_with_census
    sys.exit(controller.main())
