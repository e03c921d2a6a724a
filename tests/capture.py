"""What decco logs during a test, whatever its level."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ROOT = logging.getLogger("decco")


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = {"exc_info": record.exc_info[1]} if record.exc_info else {}
        values = getattr(record, "values", {})
        self.lines.append({"event": record.getMessage(), "log_level": record.levelname.lower(), **values, **error})


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """In the block, each line of decco is added to the list: its message as ``event``, ``log_level``, its variables."""
    handler, level = _Lines(), _ROOT.level
    _ROOT.addHandler(handler)
    _ROOT.setLevel(logging.DEBUG)
    try:
        yield handler.lines
    finally:
        _ROOT.removeHandler(handler)
        _ROOT.setLevel(level)


@contextmanager
def logging_restored() -> Iterator[None]:
    """After the block, the process's logging is as it was before."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], (root.level, _ROOT.level)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        _ROOT.setLevel(levels[1])
        logging.captureWarnings(capture=False)
