"""Names for which this cluster stands by, and since when no active cluster has addresses of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from decco.dns.plan import Rules
from decco.dns.records import DesiredRecord, Role
from decco.dns.registry import Current


class Uncovered:
    """``seconds``: how long an active cluster may have none before this one adds its own."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[str, float] = {}

    def seen(
        self,
        current: Mapping[str, Current],
        desired_records: Mapping[str, Mapping[str, DesiredRecord]],
        rules: Rules,
        time: float,
    ) -> Collection[str]:
        """The names of ``desired_records`` to which this cluster may add its addresses now."""
        for name, records in desired_records.items():
            others = rules.others(current[name]) if name in current else ()
            stands_by = any(record.role is Role.STANDBY for record in records.values())
            if stands_by and not any(other.active and other.values for other in others):
                self._since.setdefault(name, time)
            else:
                self._since.pop(name, None)
        return frozenset(
            name for name in desired_records if name in self._since and self._since[name] + self._seconds <= time
        )

    def due_after(self, time: float) -> float:
        """The next moment after ``time`` when this cluster may add addresses to a name; infinite if there is none."""
        moments = (since + self._seconds for since in self._since.values())
        return min((moment for moment in moments if moment > time), default=float("inf"))
