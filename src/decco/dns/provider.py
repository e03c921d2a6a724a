"""The interface of all providers and of all wrappers around them.

A provider makes exactly one call per ``apply``, atomic if its protocol allows it; rate limiting, metrics and the search
for the change that fails a batch are wrappers with the same interface. Providers do not handle owners: the ownership
record is one of the record sets of a change.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from decco.dns.errors import DnsError
from decco.dns.records import RecordSet

Outcome = DnsError | None
"""The result of one change: None if it was carried out, otherwise the error."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone as its provider addresses it; ``id`` is the provider's identifier, "" if the name is sufficient."""

    name: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One name's change from ``before`` to ``after``, including its ownership record. Atomic.

    ``before`` is the precondition, the record sets that the zone must have now: empty means that neither the name nor
    its ownership record exists. ``ownership_name`` is the name of the ownership record. Sets in both are not changed.
    """

    name: str
    ownership_name: str
    before: tuple[RecordSet, ...]
    after: tuple[RecordSet, ...]

    @property
    def removed(self) -> tuple[RecordSet, ...]:
        """Sets of ``before`` whose type and name have no set in ``after``."""
        kept = {(s.name, s.type) for s in self.after}
        return tuple(s for s in self.before if (s.name, s.type) not in kept)

    @property
    def written(self) -> tuple[RecordSet, ...]:
        """Sets of ``after`` that are new or differ from what they replace."""
        return tuple(s for s in self.after if s not in self.before)

    @property
    def verb(self) -> str:
        if not self.before:
            return "create"
        return "update" if self.after else "delete"

    def old(self, new: RecordSet) -> RecordSet | None:
        """The set that ``new`` replaces."""
        return next((s for s in self.before if (s.name, s.type) == (new.name, new.type)), None)


class Provider(Protocol):
    """Reads and changes the zones of one DNS service.

    Every call may raise ProviderUnreachable, ProviderRefused, ProviderThrottled, or ZoneNotFound: no change of the call
    was made (ProviderUnreachable with ``uncertain``: a change may have been made).
    """

    @property
    def name(self) -> str:
        """Unique among the providers of this process; a label in metrics and logs."""
        ...

    @property
    def zone_names(self) -> tuple[str, ...]:
        """The zones of this provider in the settings, normalised."""
        ...

    async def zones(self) -> tuple[Zone, ...]:
        """Those of ``zone_names`` that exist."""
        ...

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        """All record sets of the zone, or exactly those at ``names``, without expanding wildcards.

        Types outside A, AAAA, CNAME and TXT may have no values.
        """
        ...

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        """How many of the first ``changes`` fit into one call; at least 1."""
        ...

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Carry out at most ``fit`` changes in one call; one outcome per change, in their order.

        May raise BatchRefused if the batch is atomic.
        """
        ...

    async def close(self) -> None:
        """Release connections; nothing is called after it."""
        ...
