"""The one interface of all providers and of all wrappers around them.

A provider does exactly one call per ``apply``, all or nothing where its protocol can; batching, pacing, counting and
the search for the change that spoils a batch are wrappers of the same shape. Providers know nothing of owners: a change
carries the mark among its record sets.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from decco.dns.errors import DnsError
from decco.dns.records import RecordSet

Outcome = DnsError | None
"""How one change ended: None is done; an error is not done."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone as its provider addresses it; ``id`` is the provider's own name for it, "" where the name is enough."""

    name: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One name's step from ``before`` to ``after``, mark included: carried out as a whole or not at all.

    ``before`` is what must be in the zone now, for the change to be allowed: empty means that neither the name nor its
    mark exists. ``mark`` is where the mark stands. Sets in both stay as they are.
    """

    name: str
    mark: str
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
        """Give the set that ``new`` replaces."""
        return next((s for s in self.before if (s.name, s.type) == (new.name, new.type)), None)


class Provider(Protocol):
    """Reads and changes the zones of one DNS service.

    Every call may raise ProviderUnreachable, ProviderRefused, ProviderThrottled, or ZoneNotFound, which say that no
    change of the call was made (ProviderUnreachable with ``uncertain``: that this is not known).
    """

    @property
    def name(self) -> str:
        """Unique among the providers of this process; a label of metrics and logs."""
        ...

    @property
    def zone_names(self) -> tuple[str, ...]:
        """The zones that settings give to this provider, normalised."""
        ...

    async def zones(self) -> tuple[Zone, ...]:
        """Those of ``zone_names`` that exist."""
        ...

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        """All record sets of the zone, or exactly those at ``names``, as the zone holds them: no wildcard expanded.

        Types outside A, AAAA, CNAME and TXT may have no values.
        """
        ...

    def fit(self, zone: Zone, changes: Sequence[Change]) -> int:
        """How many of the first ``changes`` one call can carry; at least 1."""
        ...

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Carry out at most ``fit`` changes in one call; one outcome per change, in their order.

        May raise BatchRefused where several changes stand or fall together.
        """
        ...

    async def close(self) -> None:
        """Release connections; nothing is called after it."""
        ...
