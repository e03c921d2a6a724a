"""Text of users and other controllers as part of decco's messages."""

from __future__ import annotations

LONGEST_QUOTE = 512
"""Characters of a message that are passed on."""
LONGEST_VALUE = 80
"""Characters of an invalid value that are repeated."""


def quote(condition: dict[str, object]) -> str:
    """The message of a condition, or its reason: on one line, truncated."""
    return one_line(condition.get("message") or condition.get("reason") or "no reason given")


def one_line(text: object) -> str:
    """Another controller's text on one line, truncated."""
    joined = " ".join(str(text or "").split())
    return joined if len(joined) <= LONGEST_QUOTE else joined[: LONGEST_QUOTE - 1] + "…"


def shown(value: str) -> str:
    """An invalid value for a message: quoted, escaped and truncated."""
    return repr(value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}…")
