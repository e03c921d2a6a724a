"""Names of a zone that somebody else has. Nothing reports when they are given up, so a few of them are read from time
to time; if one of these is free, the whole zone is compared.
"""

from __future__ import annotations

from itertools import islice

CONFLICT_SECONDS = 60.0
AWAITED_SECONDS = 2.0
MOST_READ = 20
"""Names that are read at once: providers read as many one by one, and more as a whole zone."""


class ContestedNames:
    """Times are those of the event loop."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        """Those that were read the longest time ago come first."""
        self._awaited: set[str] = set()
        """Those of ``_names`` that another cluster is about to offer."""
        self._read_at = 0.0

    @property
    def due_at(self) -> float:
        """When some of them are to be read; infinity if there are none."""
        if not self._names:
            return float("inf")
        return self._read_at + (AWAITED_SECONDS if self._awaited else CONFLICT_SECONDS)

    def note(self, name: str, *, contested: bool, awaited: bool, now: float) -> None:
        """Set whether somebody else has the name, and whether that is about to change."""
        (self._awaited.add if contested and awaited else self._awaited.discard)(name)
        if not contested:
            self._names.pop(name, None)
        elif name not in self._names:
            if not self._names:
                self._read_at = now
            self._names[name] = None

    def take(self, now: float) -> frozenset[str]:
        """The names to read now, none before ``due_at``."""
        if now < self.due_at:
            return frozenset()
        found = frozenset(islice(self._awaited or self._names, MOST_READ))
        for name in found:
            del self._names[name]
            self._names[name] = None
        self._read_at = now
        return found

    def freed(self, names: frozenset[str]) -> bool:
        """Whether one of the names that were read is free."""
        return not names <= self._names.keys()
