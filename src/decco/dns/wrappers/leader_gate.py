"""No change leaves a process that may not write any more: another one may be at work on the same names.

Asked at the moment of sending, after all waiting in line: see ``kube/fence.py`` for why that matters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from decco.dns.errors import ProviderUnreachable
from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.wrappers.base import Wrapper


class LeaderGate(Wrapper):
    def __init__(self, inner: Provider, may_write: Callable[[], bool]) -> None:
        super().__init__(inner)
        self._may_write = may_write

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        if not self._may_write():
            raise ProviderUnreachable("not sent: this process leads no more")
        return await self.inner.apply(zone, changes)
