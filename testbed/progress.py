"""Shows what takes long, and how long it took, on standard error: a build of minutes must not look like a hang."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SIGN_OF_LIFE_SECONDS = 20.0
"""How often a long step says that it still runs."""


def elapsed(seconds: float) -> str:
    """``4.2 s`` or ``5 min 03 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def say(line: str) -> None:
    """Prints one line of progress."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Says that a step begins, every now and then that it still runs, and how long it took (or when it failed)."""
    started = time.monotonic()
    ended = threading.Event()

    def live() -> None:
        while not ended.wait(SIGN_OF_LIFE_SECONDS):
            say(f"  ... {title}: {elapsed(time.monotonic() - started)}")

    say(f"{title} ...")
    thread = threading.Thread(target=live, name="progress", daemon=True)
    thread.start()
    outcome = "failed after"
    try:
        yield
        outcome = "done in"
    finally:
        ended.set()
        thread.join()
        say(f"{title}: {outcome} {elapsed(time.monotonic() - started)}")
