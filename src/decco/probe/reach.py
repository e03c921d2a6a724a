"""Whether an address of the edge can be reached from the controller's location at all. Pure.

A load balancer may refuse clients of its own cluster (hairpin), or be reachable from outside only. Then every probe
fails, and none of the failures is about an App. The sign is that nothing at the address ever answered a connection.
"""

from __future__ import annotations

from dataclasses import dataclass

DETECT_SECONDS = 10.0
"""How long no connection must have succeeded, since the first probe of the address."""


@dataclass(slots=True)
class _Address:
    since: float
    reached: bool = False
    failed: bool = False


class Reachability:
    """By address; times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._addresses: dict[str, _Address] = {}

    def observe(self, address: str, now: float, *, reached: bool) -> bool:
        """Takes the end of a probe; returns whether ``unreached`` of the address has changed."""
        before = self.unreached(address)
        entry = self._addresses.setdefault(address, _Address(now))
        if reached:
            entry.reached = True
            entry.failed = False
        elif not entry.reached:
            entry.failed = entry.failed or now - entry.since >= DETECT_SECONDS
        return self.unreached(address) != before

    def assume_unreached(self, address: str, now: float) -> None:
        """Takes an address for unreached until something answers there, unless it is known already."""
        self._addresses.setdefault(address, _Address(now, failed=True))

    def undecided(self, address: str) -> bool:
        """Whether nothing at the address has ever answered: a failure to connect says nothing about one target."""
        entry = self._addresses.get(address)
        return entry is None or not entry.reached

    def unreached(self, address: str) -> bool:
        """Whether the address cannot be reached from here."""
        entry = self._addresses.get(address)
        return entry is not None and not entry.reached and entry.failed
