"""Whether the servers of the zones answer with what is published.

A name is one target of the prober, under an owner of its own beside the object: its endpoints are declared elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from decco.api.conditions import ConditionType, has_status
from decco.desired import reasons
from decco.desired.model import Problem
from decco.dns.records import address_sets
from decco.kube.entry import Entry
from decco.probe.model import Record, Server
from decco.probe.service import Prober

_SUFFIX = "/records"


@lru_cache(maxsize=64)
def _values(targets: frozenset[str]) -> frozenset[tuple[str, str]]:
    """Types and values of the records that lead to these targets: of many names, so they are made once."""
    return frozenset((each.type, value) for each in address_sets("name", targets, 0) for value in each.values)


def object_uid_of(owner: str) -> str:
    """The UID of the object whose state the prober reports."""
    return owner.removesuffix(_SUFFIX)


class RecordProbes:
    """The probes of the published records of an object."""

    def __init__(self, prober: Prober, servers: Mapping[str, tuple[Server, ...]]) -> None:
        """``servers``: those that the settings name, by zone."""
        self._prober = prober
        self._servers = servers

    def problems(
        self, entry: Entry, zones: Mapping[str, str], targets: frozenset[str], *, shared: bool = False
    ) -> dict[str, Problem]:
        """Of the published names of an object, each with its zone, those that are not served; ``shared`` with what
        other clusters publish.
        """
        if not self._prober.enabled or not zones:
            self.forget(entry.uid)
            return {}
        records = {
            name: Record(zone, name, _values(targets), self._servers.get(zone, ()), shared)
            for name, zone in zones.items()
        }
        assumed = has_status(entry.obj(), ConditionType.DNS_READY, generation=entry.generation)
        state = self._prober.ensure(entry.uid + _SUFFIX, records, token=entry.generation, assumed=assumed)
        found = {
            name: Problem(reasons.WAITING_FOR_DNS, f"the record of {name} is published, and not served yet")
            for name in sorted(state.waiting)
        }
        for name, seen in sorted(state.failed.items()):
            found[name] = Problem(
                reasons.RECORD_NOT_SERVED,
                f"the record of {name} is published, and zone {zones[name]} does not answer with it: {seen.detail}; "
                "look at the zone's servers, and for other writers of the zone",
            )
        return found

    def forget(self, uid: str) -> None:
        """Ends the probes of an object's records."""
        self._prober.forget(uid + _SUFFIX)
