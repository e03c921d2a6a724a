"""Text of users and other controllers as part of decco's messages."""

from __future__ import annotations

from decco.text import truncate

LONGEST_QUOTE = 512
"""Characters of a message that are passed on."""
LONGEST_VALUE = 80
"""Characters of an invalid value that are repeated."""


def quote(condition: dict[str, object]) -> str:
    """The message of a condition, or its reason: on one line, truncated."""
    return one_line(condition.get("message") or condition.get("reason") or "no reason given")


def one_line(text: object) -> str:
    """Another controller's text on one line, truncated."""
    return truncate(" ".join(str(text or "").split()), LONGEST_QUOTE)


def shown(value: str) -> str:
    """An invalid value for a message: quoted, escaped and truncated."""
    return repr(truncate(value, LONGEST_VALUE + 1))
