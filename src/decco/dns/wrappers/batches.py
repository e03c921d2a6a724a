"""Wrappers that decide on the changes of a batch one by one."""

from __future__ import annotations

from collections.abc import Sequence

from decco.dns.errors import BatchRefused, DnsError, RecordConflict
from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.records import ADDRESS_TYPES, RecordSet
from decco.dns.registry import marked
from decco.dns.wrappers.base import Wrapper


class PlanGuard(Wrapper):
    """A safety check: refuses every change of a name without our ownership record.

    The plan never makes such a change. This wrapper checks only the change itself, so a defect in the plan results in a
    conflict and not in the loss of a customer's record.
    """

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
        before, after = (marked(change.name, change.ownership_name, s) for s in (change.before, change.after))
        theirs = before.others_than(self._cluster)
        values = {value for s in change.after if s.name == change.name for value in s.values}
        if theirs != after.others_than(self._cluster) or not all(values.issuperset(each.values) for each in theirs):
            return RecordConflict(f"a change of {change.name} alters what other clusters have there: nothing was sent")
        return None

    def _is_ours(self, change: Change, sets: tuple[RecordSet, ...]) -> bool:
        now = marked(change.name, change.ownership_name, sets)
        others = (s for s in sets if s.name != change.ownership_name)
        ours = now.owner is not None and self._cluster in (now.owner.cluster, now.owner.to)
        return (ours or bool(now.members)) and all(s.type in ADDRESS_TYPES for s in others)


class Bisect(Wrapper):
    """Finds the change that makes a batch fail, so that it does not block the others.

    A refused batch usually means that the cache of the zone is stale. So the suspects (the names in the answer, or all:
    neither an UPDATE's rcode nor a failed transaction states which prerequisite failed) are first reported as
    conflicts. They are then read again in one call, and the plan sees which of them are taken. If they are refused a
    second time, the batch is bisected until the failing change is alone: about 2 log2(n) calls, only for failures that
    reading does not show.
    """

    def __init__(self, inner: Provider) -> None:
        super().__init__(inner)
        self._reread: dict[Zone, frozenset[str]] = {}
        """Names of each zone's last refused batch that were reported as conflicts, to be read again."""

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        try:
            return await self.inner.apply(zone, changes)
        except BatchRefused as error:
            refused = error
        if len(changes) == 1:
            return [RecordConflict(str(refused))]
        names = frozenset(change.name for change in changes)
        suspects = names & refused.suspects or names
        if not suspects <= self._reread.get(zone, frozenset()):
            return await self._report_conflicts(zone, changes, suspects, refused)
        done = await self._both(zone, *_split(changes, suspects))
        return [done[change] for change in changes]

    async def _report_conflicts(
        self, zone: Zone, changes: Sequence[Change], suspects: frozenset[str], refused: BatchRefused
    ) -> Sequence[Outcome]:
        self._reread[zone] = suspects
        done: dict[Change, Outcome] = {}
        good = [change for change in changes if change.name not in suspects]
        if good:
            try:
                done = dict(zip(good, await self.inner.apply(zone, good), strict=True))
            except BatchRefused:
                # Cloud DNS reports one name at a time: instead of continuing one by one, all are read again.
                self._reread[zone] = frozenset(change.name for change in changes)
        return [done[change] if change in done else RecordConflict(str(refused)) for change in changes]

    async def _both(self, zone: Zone, first: Sequence[Change], second: Sequence[Change]) -> dict[Change, Outcome]:
        done: dict[Change, Outcome] = dict(zip(first, await self.apply(zone, first), strict=True))
        broken = next((o for o in done.values() if isinstance(o, DnsError) and o.whole_provider), None)
        rest: Sequence[Outcome]
        try:
            rest = [broken] * len(second) if broken is not None else await self.apply(zone, second)
        except DnsError as error:
            # The first part is done; its outcomes must not be lost because of an error in the second.
            rest = [error] * len(second)
        return {**done, **dict(zip(second, rest, strict=True))}


def _split(changes: Sequence[Change], suspects: frozenset[str]) -> tuple[Sequence[Change], Sequence[Change]]:
    good = [change for change in changes if change.name not in suspects]
    if good:
        return good, [change for change in changes if change.name in suspects]
    middle = len(changes) // 2
    return changes[:middle], changes[middle:]
