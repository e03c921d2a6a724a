"""Refuses changes of a process that is no longer the leader: another process may write the same names.

The check runs immediately before the call, after all waiting: see ``kube/fence.py`` for the reason.
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
            raise ProviderUnreachable("not sent: this process no longer leads")
        return await self.inner.apply(zone, changes)
