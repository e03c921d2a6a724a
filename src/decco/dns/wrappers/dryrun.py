"""Logs every change instead of sending it; reads are forwarded."""

from __future__ import annotations

from collections.abc import Sequence

from decco.dns.provider import Change, Outcome, Zone
from decco.dns.wrappers.base import Wrapper
from decco.log import get_logger

log = get_logger("decco.dns")


class DryRun(Wrapper):
    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        for change in changes:
            log.info(
                "dns change not sent: dry run",
                provider=self.name,
                zone=zone.name,
                verb=change.verb,
                name=change.name,
                before=[str(s) for s in change.before],
                after=[str(s) for s in change.after],
            )
        return [None] * len(changes)
