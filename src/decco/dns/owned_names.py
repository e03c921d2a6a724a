"""The names of a zone that belong to owners of this cluster, as its ownership records were last read."""

from __future__ import annotations

from collections.abc import Iterable

from decco.dns.plan import Rules
from decco.dns.registry import Current


class OwnedNames:
    """``rules`` are a live view of the service's state."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._owned: dict[str, set[str]] = {}
        self._owner_of: dict[str, str] = {}
        """Name -> UID in its ownership record; ``_owned`` is the inverse."""
        self._standing_by: set[str] = set()
        """Shared names of which this cluster has added no address."""

    def clear(self) -> None:
        self._owned, self._owner_of, self._standing_by = {}, {}, set()

    def of(self, uid: str) -> frozenset[str]:
        return frozenset(self._owned.get(uid, ()))

    def of_any(self, uids: Iterable[str]) -> set[str]:
        return {name for uid in uids for name in self._owned.get(uid, ())}

    def owner_of(self, name: str) -> str | None:
        return self._owner_of.get(name)

    def is_standby(self, name: str) -> bool:
        """Whether other clusters serve the name, and this one has added no address to it."""
        return name in self._standing_by

    def note(self, name: str, now: Current | None) -> None:
        """Store what has been read of a name, None if there is nothing of it."""
        before = self._owner_of.pop(name, None)
        if before is not None:
            self._owned[before].discard(name)
            if not self._owned[before]:
                del self._owned[before]
        if now is not None and (uid := self._rules.uid_of(now)) is not None:
            self._owner_of[name] = uid
            self._owned.setdefault(uid, set()).add(name)
        member = self._rules.member(now) if now is not None else None
        if member is not None and not member.values:
            self._standing_by.add(name)
        else:
            self._standing_by.discard(name)
