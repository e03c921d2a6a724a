"""The changes of a zone, one name at a time. Pure.

OR is the ownership record. ``mine`` means: the OR has our cluster id and the UID of an object that exists in this
cluster.

| current state of the name      | not desired          | desired by owner U                                   |
|--------------------------------|----------------------|------------------------------------------------------|
| nothing                        | -                    | create records and OR                                |
| mine, OR of U, as desired      | delete both          | -                                                    |
| mine, OR of U, different       | delete both          | update                                               |
| mine, OR of V                  | delete both          | update, the OR becomes U's (V does not desire it)    |
| OR of U without a record       | delete the OR        | update: the record is created again                  |
| our cluster, owner not alive   | - (counted: orphan)  | conflict; with ``adopt`` and ``restored``, or if     |
|                                |                      | this process has seen the end of V: as "mine, OR of  |
|                                |                      | V"; with ``unproven`` all                             |
| OR of another cluster          | -                    | conflict                                             |
| a record without an OR         | -                    | conflict                                             |
| an unreadable OR               | -                    | conflict                                             |
| mine, and a type of others     | delete ours          | update; to or from CNAME: conflict, V's is deleted   |
| shared by clusters of our      | delete our part, if  | update our part: our value of the OR and our         |
| federation (federation.py)     | there is one         | addresses                                            |
| OR of another cluster that     | -                    | update: one change of records and OR, if we accept   |
| offers the name to ours        |                      | that cluster's names; else conflict                  |
| shared by another federation   | delete our part      | conflict                                             |
| any of these, and U leaves     | the same             | nothing is created; our part is deleted once another |
| (``Role.LEAVING``)             |                      | cluster serves the name, or at once if none shares   |

If two owners desire one name, it goes to the owner in the OR, otherwise to the first by UID; the other has a conflict.
A desired record without targets (the edge has no address) creates nothing and keeps the current records, with the OR of
the owner that desires the name. One that is not to be created yet (``create``) changes nothing while the name has no
record. A CNAME at the apex is InvalidRecord (RFC 1034 3.6.2). At the apex, records that are
not A, AAAA, or CNAME do not conflict: every zone has them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field

from decco.dns import federation
from decco.dns.errors import DnsError, InvalidRecord, RecordConflict
from decco.dns.federation import Member
from decco.dns.provider import Change
from decco.dns.records import CNAME, DesiredRecord, RecordSet, Role, address_sets
from decco.dns.registry import Current, Owner, ownership_set, shared_set
from decco.frozen import frozen
from decco.hostnames import in_zone


@frozen
class Plan:
    """The result of one comparison; ``problems`` are keyed by (name, UID of the owner with the problem)."""

    changes: tuple[Change, ...] = ()
    problems: Mapping[tuple[str, str], DnsError] = field(default_factory=dict)
    orphans: tuple[str, ...] = ()


@frozen
class Rules:
    """What decides a plan besides the current and the desired records; the collections may change between plans."""

    cluster: str
    ttl: int
    """Seconds, for desired records without a TTL."""
    alive: Collection[str]
    """UIDs of the objects that exist in this cluster."""
    adopt: bool = False
    """A live owner that is proven to have had the name may take it over if the ownership record has our cluster id and
    the UID of an object that does not exist. Such a name is never deleted."""
    paused: Mapping[str, Collection[str]] = field(default_factory=dict)
    """UIDs of the owners whose names are not changed -> those of their names that they may not have any more."""
    ended: Collection[str] = frozenset()
    """UIDs of owners of this cluster whose end this process has seen. Without that, an owner that does not exist may be
    one of another cluster with the same id."""

    unproven: bool = False
    """With ``adopt``: nobody has to prove that he had the name."""
    federation: str = ""
    """Id of the clusters that share their names with this one; "": every name belongs to one cluster."""
    uncovered: Collection[str] = frozenset()
    """Shared names of which no active cluster has had addresses for some time."""

    def uid_of(self, now: Current) -> str | None:
        """The UID in the ownership record of a name, if that is of this cluster."""
        return now.uid_in(self.cluster)

    def member(self, now: Current) -> Member | None:
        """This cluster's own part of a shared name."""
        return now.member_of(self.cluster)

    def others(self, now: Current) -> tuple[Member, ...]:
        """The other clusters that share the name."""
        return now.others_than(self.cluster)

    def owns(self, now: Current) -> bool:
        """Whether the owner of the name is an object that exists in this cluster."""
        return self.uid_of(now) in self.alive

    def is_orphan(self, now: Current) -> bool:
        """Whether the owner of the name was an object of this cluster that does not exist."""
        uid = self.uid_of(now)
        return uid is not None and uid not in self.alive

    def adopts(self, now: Current, record: DesiredRecord) -> bool:
        """Whether a live owner may take the name over from one that does not exist."""
        allowed = self.adopt and (record.restored or self.unproven)
        return self.is_orphan(now) and (allowed or self.uid_of(now) in self.ended)

    def is_paused(self, uid: str | None, name: str) -> bool:
        """Whether the owner's pause keeps the name as it is."""
        return uid is not None and uid in self.paused and name not in self.paused[uid]


def plan(
    zone: str, current: Mapping[str, Current], desired_records: Mapping[str, Mapping[str, DesiredRecord]], rules: Rules
) -> Plan:
    """Compare ``current`` with ``desired_records`` for every name in either.

    ``desired_records`` maps a name to its desired records by the UID of the owner; the inner mapping is empty for a
    name that is not desired. A name of ``desired_records`` that is missing in ``current`` is absent from the zone.
    """
    changes: list[Change] = []
    problems: dict[tuple[str, str], DnsError] = {}
    orphans: list[str] = []
    for name in sorted(current.keys() | desired_records.keys()):
        now = current.get(name) or Current(name)
        desired = desired_records.get(name) or {}
        uid = _chosen(rules.uid_of(now), desired)
        for other in desired:
            if other != uid:
                problems[name, other] = RecordConflict(
                    f"{name} is also wanted by the owner {uid}, which has it: rename one of the two"
                )
        if rules.is_paused(uid, name) or rules.is_paused(rules.uid_of(now), name):
            if uid is not None and not rules.is_paused(uid, name):
                problems[name, uid] = RecordConflict(
                    f"{name} is still marked for an object that is paused: resume it, or choose another name"
                )
            continue
        if uid is None:
            if rules.owns(now):
                changes.append(_withdrawal(zone, now, rules))
            elif rules.is_orphan(now):
                orphans.append(name)
            continue
        try:
            change = _transition(zone, now, desired[uid], uid, rules)
        except DnsError as error:
            problems[name, uid] = error
            if rules.uid_of(now) in desired or not rules.owns(now):
                continue
            # The new owner has a problem, but the former one does not desire the name and may wait for its withdrawal.
            change = _withdrawal(zone, now, rules)
        if change is not None:
            changes.append(change)
    return Plan(tuple(changes), problems, tuple(orphans))


def _withdrawal(zone: str, now: Current, rules: Rules) -> Change:
    """Removes what is ours: everything, unless other clusters share the name."""
    others = rules.others(now)
    after = _shared_sets(zone, now, others, now.ownership[0].ttl) if others else ()
    return Change(now.name, now.ownership[0].name, (*now.addresses, *now.ownership), after)


def _chosen(holder: str | None, desired: Mapping[str, DesiredRecord]) -> str | None:
    """The owner that gets a name: the one in the ownership record, if it desires the name, or the first by UID."""
    if not desired:
        return None
    return holder if holder in desired else min(desired)


def _transition(zone: str, now: Current, record: DesiredRecord, uid: str, rules: Rules) -> Change | None:
    """The change from ``now`` to the desired record; raises RecordConflict or InvalidRecord."""
    name, ttl = now.name, rules.ttl if record.ttl is None else record.ttl
    if not in_zone(name, zone):
        raise InvalidRecord(f"{name} is not in the zone {zone}: choose a name below it")
    sets = address_sets(name, record.targets, ttl)
    ownership = ownership_set(name, zone, Owner(rules.cluster, uid, record.offer), ttl)
    to_alias = any(s.type == CNAME for s in sets)
    if name == zone and to_alias:
        raise InvalidRecord(
            f"{name} is the apex of its zone, where an alias to {sets[0].values[0]} cannot stand: "
            "give the edge an address, or the Space a name below the zone"
        )
    if record.role is Role.LEAVING and not (rules.owns(now) or rules.adopts(now, record)):
        return None
    _check_free(now, now.addresses if name == zone else now.sets, rules, record)
    if rules.federation:
        return _shared(zone, now, record, uid, rules, ttl, sets)
    if record.role is Role.LEAVING:
        return _withdrawal(zone, now, rules)
    if rules.others(now):
        raise RecordConflict(_not_of_federation(now, rules))
    if record.role is Role.STANDBY:
        raise InvalidRecord(
            f"this cluster stands by for {name}, and cannot see whether another serves it: set dns.federation.id and "
            "use a provider that shares names, or remove the role Standby; what is published stays as it is"
        )
    if to_alias and now.others:
        raise RecordConflict(
            f"{name} also has {_types(now.others)} of somebody else, beside which an alias cannot stand: "
            "remove it, or give the edge an address"
        )
    if not sets or not (record.create or now.addresses):
        if now.owner is None or now.owner.uid == uid:
            return None
        if not now.addresses:
            return _withdrawal(zone, now, rules)
        sets = now.addresses  # the published records stay, with the new owner
    before, after = (*now.addresses, *now.ownership), (*sets, ownership)
    return None if set(before) == set(after) else Change(name, ownership.name, before, after)


def _shared(
    zone: str, now: Current, record: DesiredRecord, uid: str, rules: Rules, ttl: int, sets: tuple[RecordSet, ...]
) -> Change | None:
    """The change of this cluster's own part of a name that the clusters of a federation serve."""
    mine, others = rules.member(now), rules.others(now)
    if others and others[0].federation != rules.federation:
        raise RecordConflict(_not_of_federation(now, rules))
    published = mine.values if mine is not None else ()
    if mine is None and rules.owns(now):  # it was not shared before
        published = tuple(sorted(v for s in now.addresses if s.type != CNAME for v in s.values))
    leaves = record.role is Role.LEAVING
    if leaves and (not published or any(other.serves for other in others)):
        return _withdrawal(zone, now, rules)
    if any(s.type == CNAME for s in sets) and not leaves:
        raise InvalidRecord(
            f"{now.name} would be an alias to {sets[0].values[0]}, which clusters of a federation cannot share: "
            "give the edge an address, or remove dns.federation.id"
        )
    values = tuple(sorted(value for each in sets for value in each.values if each.type != CNAME))
    if not values or not (record.create or mine is not None or published):
        if rules.uid_of(now) in (None, uid) and not (leaves and published):
            return None
        if not published:
            return _withdrawal(zone, now, rules)
        values = published  # the published records stay, with the new owner
    member = federation.part(
        Member(rules.federation, rules.cluster, uid, values),
        others,
        record.role,
        mine,
        fails=record.standby,
        may_cover=now.name in rules.uncovered or bool(published),
    )
    if others:
        ttl = now.ownership[0].ttl  # clusters with other settings would change it for ever
    before, after = (*now.addresses, *now.ownership), _shared_sets(zone, now, (*others, member), ttl)
    return None if set(before) == set(after) else Change(now.name, after[-1].name, before, after)


def _shared_sets(zone: str, now: Current, members: Collection[Member], ttl: int) -> tuple[RecordSet, ...]:
    """The records of a shared name, the ownership record last."""
    return (*federation.addresses(now.name, members, ttl), shared_set(now.name, zone, members, ttl))


def _not_of_federation(now: Current, rules: Rules) -> str:
    others = rules.others(now)
    clusters = ", ".join(member.cluster for member in others)
    return (
        f"{now.name} is shared by clusters of the federation {others[0].federation} ({clusters}), and the federation "
        f"of this cluster is {rules.federation or 'not set'}: correct dns.federation.id, withdraw the name there, or "
        "choose another"
    )


def _check_free(now: Current, rivals: tuple[RecordSet, ...], rules: Rules, record: DesiredRecord) -> None:
    """Raise RecordConflict unless the name is ours, or has neither ``rivals`` nor an ownership record."""
    if rules.owns(now) or rules.adopts(now, record) or not (rivals or now.ownership):
        return
    if rules.federation and now.members and rules.member(now) is None:
        return  # it is shared, with whom _shared compares
    if now.owner is not None and now.owner.cluster == record.accept and now.owner.to == rules.cluster:
        return
    owner = now.owner or rules.member(now)
    if owner is not None and owner.cluster == record.offer:
        raise RecordConflict(
            f"{now.name} was handed over to the cluster {owner.cluster}: its Space serves it there; what is here can "
            "be deleted when resolvers have forgotten the former addresses"
        )
    if owner is not None and owner.cluster == rules.cluster:
        raise RecordConflict(
            f"{now.name} is marked for the owner {owner.uid} of this cluster, which does not exist: "
            "if this cluster was restored from a backup and the former one is gone, run decco dns release "
            f"--cluster-id {rules.cluster}, or set dns.adopt; if the former one still runs, give this one another "
            f"clusterId; otherwise remove the TXT record at {now.ownership[0].name} and the name's records if they are "
            "left over"
        )
    if now.members:
        raise RecordConflict(_not_of_federation(now, rules))
    if owner is not None:
        raise RecordConflict(
            f"{now.name} belongs to another cluster ({owner}), as {now.ownership[0].name} states: "
            "withdraw it there, or choose another; if that cluster is gone, run decco dns release --cluster-id "
            f"{owner.cluster}"
        )
    if now.ownership:
        raise RecordConflict(
            f"{now.ownership[0].name} holds {_types(now.ownership)} that is not an ownership record of "
            f"decco, so {now.name} is left alone: remove it, or choose another name"
        )
    raise RecordConflict(
        f"{now.name} already has {_types(rivals)} without an ownership record of decco at _decco.{now.name}: "
        "remove it, or choose another name"
    )


def _types(sets: tuple[RecordSet, ...]) -> str:
    kinds = sorted({s.type for s in sets})
    return f"{'a record' if len(kinds) == 1 else 'records'} of type {', '.join(kinds)}"
