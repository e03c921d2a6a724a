"""Names that several clusters of one federation serve. Pure.

The ownership record of such a name has one value for each cluster, ``v2 <federation> <cluster id> <owner's UID>
<addresses>``, with the addresses that this cluster has added, separated by commas, or ``-``. A slash and a word after
them state what is not usual of them, see ``Stand``. The address sets of the name are the union. A cluster changes its
own value and its own addresses in one change whose precondition is everything that it has read: of two clusters that
change a name at the same time one is refused, reads again, and plans again. So no cluster removes another's addresses,
and two that withdraw at the same time cannot both withdraw.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from decco.dns.errors import InvalidRecord
from decco.dns.records import AAAA, TXT, A, RecordSet, Role

_ID = r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?"
_NOTHING = "-"
_TEXT = re.compile(
    rf"v2 (?P<federation>{_ID}) (?P<cluster>{_ID}) (?P<uid>[A-Za-z0-9-]{{1,64}}) (?P<values>-|[0-9a-f.:,]+)"
    r"(?P<stands>(?:/[a-z]+)*)(?: (?P<name>\S{1,253}))?"
)


class Stand(StrEnum):
    """What a cluster states of its part, in the order of the text. An active one that answers states nothing."""

    FAILING = "failing"  # its edge does not answer, and nobody else has addresses
    LEAVING = "leaving"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """What one cluster states in the ownership record of a shared name."""

    federation: str
    cluster: str
    uid: str
    """UID of the owner in that cluster."""
    values: tuple[str, ...] = ()
    """The addresses that this cluster has added, sorted; empty while it stands by."""
    stands: frozenset[Stand] = frozenset()

    @property
    def serves(self) -> bool:
        """Whether clients may be left to this cluster alone."""
        return bool(self.values) and self.stands.isdisjoint((Stand.FAILING, Stand.LEAVING))

    @property
    def active(self) -> bool:
        return Stand.STANDBY not in self.stands

    def __str__(self) -> str:
        return f"cluster {self.cluster}, owner {self.uid}, of the federation {self.federation}"

    def text(self) -> str:
        stands = "".join(f"/{each}" for each in sorted(self.stands))
        return f"v2 {self.federation} {self.cluster} {self.uid} {','.join(self.values) or _NOTHING}{stands}"


def parse(text: str) -> Member | None:
    """Parse one value of an ownership record; None if it does not match, or has what is not an address."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    values = () if match["values"] == _NOTHING else tuple(match["values"].split(","))
    try:
        spelled = tuple(sorted({str(ipaddress.ip_address(value)) for value in values}))
        stands = frozenset(Stand(word) for word in match["stands"].split("/")[1:])
    except ValueError:
        return None
    member = Member(match["federation"], match["cluster"], match["uid"], spelled, stands)
    name = f" {match['name']}" if match["name"] else ""
    return member if spelled == values and member.text() + name == text else None


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


def part(
    new: Member, others: Collection[Member], role: Role, old: Member | None, *, fails: bool | None, may_cover: bool
) -> Member:
    """What this cluster is to state of a name: ``new`` has its addresses. A name keeps its last addresses.

    ``fails``: whether they do not answer, None if that is not known, see ``DesiredRecord.standby``; ``may_cover``:
    whether a cluster that stands by may add them, since it has, or no active one has had any for some time. An active
    one whose addresses are the last states that they fail, and one that leaves states that: it calls those that stand
    by.
    """
    if role is Role.LEAVING:
        return replace(new, stands=frozenset({Stand.LEAVING}))
    if role is Role.STANDBY:
        new = replace(new, stands=frozenset({Stand.STANDBY}))
        active = [other for other in others if other.active and other.values]
        if any(other.serves for other in active) or not (may_cover or active):
            return replace(new, values=())
    waits = fails is None and (old is None or not old.values)
    fails = fails or (fails is None and old is not None and Stand.FAILING in old.stands)
    if (fails or waits) and any(other.values for other in others):
        return replace(new, values=())
    # Without a cluster that stands by nobody is called, and the text is the one of before there were roles.
    call = fails and role is Role.ACTIVE and not all(other.active for other in others)
    return replace(new, stands=new.stands | {Stand.FAILING}) if call else new
