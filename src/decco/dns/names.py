"""DNS names: their canonical spelling, from ``decco.hostnames``, and the zone of a name."""

from __future__ import annotations

from collections.abc import Iterable

from decco import hostnames
from decco.dns.errors import InvalidRecord

MAX_NAME = hostnames.MAX_NAME
MAX_LABEL = hostnames.MAX_LABEL


def canonical(text: str) -> str:
    """The spelling for comparison of a name from a server: any octets, never an error."""
    return text.removesuffix(".").lower()


def normalise(text: str) -> str:
    """The canonical spelling of a name to publish, see ``hostnames.normalise``; raises InvalidRecord."""
    try:
        return hostnames.normalise(text)
    except hostnames.WrongName as error:
        raise InvalidRecord(str(error)) from error


def in_zone(name: str, zone: str) -> bool:
    return name == zone or name.endswith("." + zone)


def zone_of(name: str, zones: Iterable[str]) -> str | None:
    """The longest of ``zones`` that contains ``name``, or None; all are normalised."""
    known = zones if isinstance(zones, (set, frozenset, dict)) else frozenset(zones)
    rest = name
    while rest:
        if rest in known:
            return rest
        _, _, rest = rest.partition(".")
    return None
