"""The log lines of a test, as they were before they became text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from decco import log


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """Collects all lines of all levels instead of writing them: values, ``event`` and ``log_level``."""
    lines: list[dict[str, Any]] = []

    def collect(logger: log.Logger, level: str, message: str, values: dict[str, Any]) -> None:
        lines.append({**logger.bound, **values, "event": message, "log_level": level})

    with patch.object(log, "_log", collect):
        yield lines
