"""Foreign text (of users, servers and other controllers) as part of a message, a log line or an event."""

from __future__ import annotations

import json
from collections.abc import Sequence


def truncate(text: str, limit: int) -> str:
    """The text, or the part of it that has ``limit`` characters with the "…" at its end."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def printable(text: str, limit: int) -> str:
    """The text on one line, without control characters, truncated to ``limit`` characters."""
    line = "".join(c if c.isprintable() else " " for c in text[: 2 * limit])
    return truncate(" ".join(line.split()), limit)


def abbreviated(names: Sequence[str], most: int) -> str:
    """The first ``most`` names with commas between, and the number of the others."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def clean(text: object) -> str:
    """The text on one line, without control characters, in full."""
    return "".join(char if char.isprintable() else " " for char in str(text))


def escape(text: str) -> str:
    """Replaces what does not print by JSON's escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


LONGEST_QUOTE = 512
"""Characters of another controller's message that are passed on."""
LONGEST_VALUE = 80
"""Characters of an invalid value that are repeated."""


def one_line(text: object) -> str:
    """Another controller's text on one line, truncated."""
    return truncate(" ".join(str(text or "").split()), LONGEST_QUOTE)


def quote(condition: dict[str, object]) -> str:
    """The message of a condition, or its reason: on one line, truncated."""
    return one_line(condition.get("message") or condition.get("reason") or "no reason given")


def shown(value: str) -> str:
    """An invalid value for a message: quoted, escaped and truncated."""
    return repr(truncate(value, LONGEST_VALUE + 1))
