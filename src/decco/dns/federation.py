"""Names that several clusters of one federation serve. Pure.

The ownership record of such a name has one value for each cluster, ``v2 <federation> <cluster id> <owner's UID>
<addresses>``, with the addresses that this cluster has added, separated by commas, or ``-``. The address sets of the
name are the union. A cluster changes its own value and its own addresses in one change whose precondition is
everything that it has read: of two clusters that change a name at the same time one is refused, reads again, and plans
again. So no cluster removes another's addresses, and two that withdraw at the same time cannot both withdraw.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from decco.dns.errors import InvalidRecord
from decco.dns.records import AAAA, TXT, A, RecordSet

_ID = r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?"
_NOTHING = "-"
_TEXT = re.compile(
    rf"v2 (?P<federation>{_ID}) (?P<cluster>{_ID}) (?P<uid>[A-Za-z0-9-]{{1,64}}) (?P<values>-|[0-9a-f.:,]+)"
    r"(?: (?P<name>\S{1,253}))?"
)


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """What one cluster states in the ownership record of a shared name."""

    federation: str
    cluster: str
    uid: str
    """UID of the owner in that cluster."""
    values: tuple[str, ...] = ()
    """The addresses that this cluster has added, sorted; empty while it stands by."""

    def __str__(self) -> str:
        return f"cluster {self.cluster}, owner {self.uid}, of the federation {self.federation}"

    def text(self) -> str:
        return f"v2 {self.federation} {self.cluster} {self.uid} {','.join(self.values) or _NOTHING}"


def parse(text: str) -> Member | None:
    """Parse one value of an ownership record; None if it does not match, or has what is not an address."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    values = () if match["values"] == _NOTHING else tuple(match["values"].split(","))
    try:
        spelled = tuple(sorted({str(ipaddress.ip_address(value)) for value in values}))
    except ValueError:
        return None
    return Member(match["federation"], match["cluster"], match["uid"], spelled) if spelled == values else None


def long_name(text: str) -> str | None:
    """The name in the text of an ownership record, which it has if the name is too long for the prefix."""
    match = _TEXT.fullmatch(text)
    return match["name"] if match else None


def members(texts: Iterable[str]) -> tuple[Member, ...]:
    """The members of a name by the values of its ownership record, by cluster; empty if one of the values cannot be
    read, if they name more than one federation, or a cluster twice.
    """
    found = [parse(text) for text in texts]
    known = [member for member in found if member is not None]
    federations, clusters = {m.federation for m in known}, {m.cluster for m in known}
    if len(known) < len(found) or len(federations) != 1 or len(clusters) < len(known):
        return ()
    return tuple(sorted(known, key=lambda member: member.cluster))


def ownership(where: str, suffix: str, of: Iterable[Member], ttl: int) -> RecordSet:
    """The ownership record at ``where``; ``suffix`` is the name with a space before it if it is too long for the
    prefix. Raises InvalidRecord for an id that cannot be written.
    """
    texts = []
    for member in of:
        if parse(member.text()) != member:
            raise InvalidRecord(
                f"the ids of {member} have characters that an ownership record cannot have: "
                "choose another clusterId, or another dns.federation.id"
            )
        texts.append(member.text() + suffix)
    return RecordSet(where, TXT, ttl, tuple(sorted(texts)))


def addresses(name: str, of: Iterable[Member], ttl: int) -> tuple[RecordSet, ...]:
    """The union of the members' addresses."""
    found: dict[str, set[str]] = {A: set(), AAAA: set()}
    for member in of:
        for value in member.values:
            found[A if ipaddress.ip_address(value).version == 4 else AAAA].add(value)
    return tuple(RecordSet(name, rtype, ttl, tuple(sorted(values))) for rtype, values in found.items() if values)


def standing_by(mine: Member, others: Iterable[Member]) -> Member:
    """The member without its addresses, unless no other member has one: a name keeps its last addresses."""
    return replace(mine, values=()) if any(other.values for other in others) else mine
