"""The interface of all providers and of all wrappers around them.

A provider makes exactly one call per ``apply``, atomic if its protocol allows it; rate limiting, metrics and the search
for the change that fails a batch are wrappers with the same interface. Providers do not handle owners: the ownership
record is one of the record sets of a change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from decco.dns.credentials import Credentials
from decco.dns.errors import BatchRefused, DnsError
from decco.dns.records import RecordSet
from decco.frozen import frozen
from decco.objects import Obj

Outcome = DnsError | None
"""The result of one change: None if it was carried out, otherwise the error."""


@frozen
class Zone:
    """A zone as its provider addresses it; ``id`` is the provider's identifier, "" if the name is sufficient."""

    name: str
    id: str = ""


@frozen
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
    def written(self) -> tuple[RecordSet, ...]:
        """Sets of ``after`` that are new or differ from what they replace."""
        return tuple(s for s in self.after if s not in self.before)

    @property
    def dropped(self) -> tuple[RecordSet, ...]:
        """Sets of ``before`` that are removed or replaced."""
        return tuple(s for s in self.before if s not in self.after)

    @property
    def verb(self) -> str:
        if not self.before:
            return "create"
        return "update" if self.after else "delete"


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

    @property
    def shared(self) -> bool:
        """Whether other clusters write to the same zones, so that names can be shared with them (federation.py)."""
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

    def outdated(self, zone: Zone, names: Collection[str]) -> None:
        """Whatever is remembered of these names may be outdated: ``records`` reads them again."""
        ...

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Carry out at most ``fit`` changes in one call; one outcome per change, in their order.

        May raise BatchRefused if the batch is atomic.
        """
        ...

    async def close(self) -> None:
        """Release connections; nothing is called after it."""
        ...


class ProviderBase:
    """What most providers have in common: zones that are addressed by their names, and nothing to close."""

    shared = True

    def __init__(self, name: str, zones: tuple[str, ...]) -> None:
        self.name = name
        self.zone_names = zones

    async def zones(self) -> tuple[Zone, ...]:
        found = [(name, await self._zone_id(name)) for name in self.zone_names]
        return tuple(Zone(name, zone_id) for name, zone_id in found if zone_id is not None)

    async def _zone_id(self, name: str) -> str | None:
        """The provider's identifier of a zone; None if the zone does not exist, "" if there is no need to know."""
        return ""

    def outdated(self, zone: Zone, names: Collection[str]) -> None:
        return

    async def close(self) -> None:
        return


def fitting(changes: Sequence[Change], limits: tuple[int, ...], cost: Callable[[Change], tuple[int, ...]]) -> int:
    """``Provider.fit`` for costs that add up: how many changes stay within each of the limits."""
    totals = [0] * len(limits)
    for count, change in enumerate(changes):
        totals = [total + more for total, more in zip(totals, cost(change), strict=True)]
        if any(total > limit for total, limit in zip(totals, limits, strict=True)):
            return max(1, count)
    return max(1, len(changes))


def refuse(changes: Sequence[Change], batch: str, alone: DnsError, named: Collection[str] = ()) -> Sequence[Outcome]:
    """The result of an atomic batch that was refused: raises BatchRefused with the text ``batch``, and the changes of
    the ``named`` names as suspects; a single change has the outcome ``alone``.
    """
    if len(changes) > 1:
        suspects = frozenset(c.name for c in changes if c.name in named or c.ownership_name in named)
        raise BatchRefused(batch, suspects=suspects)
    return [alone]


class Objects(Protocol):
    """Client for a provider that writes Kubernetes objects; implemented outside this package.

    The writing calls return None or False if the object is not as expected (409 Conflict or AlreadyExists, 404), and
    raise a DnsError of this package for any other failure.
    """

    async def list(self) -> Sequence[Obj]:
        """All objects of the kind in all namespaces."""
        ...

    async def get(self, namespace: str, name: str) -> Obj | None:
        """One object as it is now; None if it does not exist."""
        ...

    async def create(self, obj: Obj) -> Obj | None:
        """Create in the object's namespace; None if the name is taken."""
        ...

    async def replace(self, obj: Obj) -> Obj | None:
        """Replace at ``metadata.resourceVersion``; None if the object has changed or is gone."""
        ...

    async def delete(self, namespace: str, name: str, uid: str, resource_version: str) -> bool:
        """Delete exactly this version of the object; False if it has changed or is gone."""
        ...


@frozen
class Context:
    """What a provider is made from, besides its settings."""

    credentials: Credentials
    namespace: str = "decco"
    """The controller namespace, for objects."""
    objects: Objects | None = None
    """Client for the kind that the settings declare; None if the cluster does not serve it."""
