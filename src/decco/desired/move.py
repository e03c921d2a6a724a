"""The annotation ``decco.platform9.com/move`` of a Space: its names are offered to another cluster, or awaited.

``to <cluster id>`` on the Space that gives its names away, ``from <cluster id>`` on the one that receives them. The
command ``decco move`` writes it; behind it, "since <time>" records when all names were handed over.
"""

from __future__ import annotations

import re

from decco.frozen import frozen

_TEXT = re.compile(
    r"(?P<way>to|from) (?P<cluster>[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?)(?: since (?P<since>[0-9TZ:-]{20}))?"
)


@frozen
class Move:
    """At most one of ``to`` and ``source`` is set, an id of a cluster."""

    to: str = ""
    source: str = ""
    since: str = ""
    """When all names had been handed over, RFC 3339 in UTC."""

    def text(self) -> str:
        """The annotation; "" for none."""
        if not (self.to or self.source):
            return ""
        return (f"to {self.to}" if self.to else f"from {self.source}") + (f" since {self.since}" if self.since else "")


NO_MOVE = Move()


def parse_move(text: str) -> Move:
    """The reverse of ``Move.text``; what is not of that form is no move."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return NO_MOVE
    cluster, since = match["cluster"], match["since"] or ""
    return Move(to=cluster, since=since) if match["way"] == "to" else Move(source=cluster, since=since)
