"""Finds the change that spoils a batch, so that a poisoned name does not block the others.

Where the provider's answer names the change, the others are sent without it. Else by halves: neither an UPDATE's rcode
nor a failed transaction says which prerequisite failed, and reading the names instead would be misled by wildcards.
One spoiled change among n then costs about 2 log2(n) more calls, and only then.
"""

from __future__ import annotations

from collections.abc import Sequence

from decco.dns.errors import BatchRefused, DnsError, RecordConflict
from decco.dns.provider import Change, Outcome, Zone
from decco.dns.wrappers.base import Wrapper


class Bisect(Wrapper):
    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        try:
            return await self.inner.apply(zone, changes)
        except BatchRefused as error:
            if len(changes) == 1:
                return [RecordConflict(str(error))]
            good, bad = _split(changes, error.suspects)
        done: dict[Change, Outcome] = dict(zip(good, await self.apply(zone, good), strict=True))
        broken = next((o for o in done.values() if isinstance(o, DnsError) and o.whole_provider), None)
        try:
            rest = [broken] * len(bad) if broken is not None else await self.apply(zone, bad)
        except DnsError as error:
            # The first part is done; what the caller learns about it must not be lost with the second.
            rest = [error] * len(bad)
        done.update(zip(bad, rest, strict=True))
        return [done[change] for change in changes]


def _split(changes: Sequence[Change], suspects: frozenset[str]) -> tuple[Sequence[Change], Sequence[Change]]:
    good = [change for change in changes if change.name not in suspects]
    if 0 < len(good) < len(changes):
        return good, [change for change in changes if change.name in suspects]
    middle = len(changes) // 2
    return changes[:middle], changes[middle:]
