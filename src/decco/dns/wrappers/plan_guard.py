"""A safety check: refuses every change of a name without our ownership record.

The plan never makes such a change. This wrapper checks only the change itself, so a defect in the plan results in a
conflict and not in the loss of a customer's record.
"""

from __future__ import annotations

from collections.abc import Sequence

from decco.dns.errors import RecordConflict
from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.records import ADDRESS_TYPES, TXT, RecordSet
from decco.dns.registry import parse
from decco.dns.wrappers.base import Wrapper


class PlanGuard(Wrapper):
    def __init__(self, inner: Provider, cluster: str) -> None:
        super().__init__(inner)
        self._cluster = cluster

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        refusals = {change: self._refusal(change) for change in changes}
        passing = [change for change in changes if refusals[change] is None]
        done = dict(zip(passing, await self.inner.apply(zone, passing), strict=True)) if passing else {}
        return [refusals[change] or done[change] for change in changes]

    def _refusal(self, change: Change) -> RecordConflict | None:
        for state, sets in (("before", change.before), ("after", change.after)):
            if sets and not self._is_ours(change, sets):
                return RecordConflict(f"{change.name} is not marked as ours {state} the change: nothing was sent")
        if any(s.name not in (change.name, change.ownership_name) for s in (*change.before, *change.after)):
            return RecordConflict(f"a change of {change.name} names other records: nothing was sent")
        return None

    def _is_ours(self, change: Change, sets: tuple[RecordSet, ...]) -> bool:
        ownership = [s for s in sets if s.name == change.ownership_name]
        if len(ownership) != 1 or ownership[0].type != TXT or len(ownership[0].values) != 1:
            return False
        owner = parse(ownership[0].values[0])
        rest_is_ours = all(s.type in ADDRESS_TYPES for s in sets if s.name != change.ownership_name)
        return owner is not None and owner.cluster == self._cluster and rest_is_ours
