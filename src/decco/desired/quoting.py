"""Other controllers' words, as decco passes them on in a message of its own."""

from __future__ import annotations

LONGEST_QUOTE = 512
"""Characters that are passed on."""


def quote(condition: dict[str, object]) -> str:
    """The message of a condition, or its reason: on one line and not too long."""
    text = " ".join(str(condition.get("message") or condition.get("reason") or "no reason given").split())
    return text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 1] + "…"
