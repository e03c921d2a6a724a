"""What to change in a zone: pure, one name at a time.

``mine`` means: the mark has our cluster id and names a live owner, that is an object which this cluster has right now.

| the zone holds at the name     | nobody wants it      | owner U wants it                                   |
|--------------------------------|----------------------|----------------------------------------------------|
| nothing                        | -                    | create records and mark                            |
| mine, mark of U, as wanted     | delete both          | -                                                  |
| mine, mark of U, different     | delete both          | update                                             |
| mine, mark of V                | delete both          | update, the mark becomes U's (V wants it no more)  |
| mark of U without a record     | delete the mark      | update: the record comes back                      |
| our cluster, owner not alive   | - (counted: orphan)  | conflict; with ``adopt`` as "mine, mark of V"      |
| mark of another cluster        | -                    | conflict                                           |
| a record without a mark        | -                    | conflict                                           |
| a mark that cannot be read     | -                    | conflict                                           |
| mine, and a type of others     | delete ours          | update; to or from CNAME: conflict, and V's goes   |

Two owners want one name: whoever has the mark, else the first by UID; the other has a conflict. A wish without targets
(the edge has no address) creates nothing and keeps what is there, under the mark of who wants it. A CNAME at the apex
is InvalidRecord (RFC 1034 3.6.2). At the apex, records that are not A, AAAA, or CNAME are no conflict: a zone cannot be
without them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from decco.dns.errors import DnsError, InvalidRecord, RecordConflict
from decco.dns.names import in_zone
from decco.dns.provider import Change
from decco.dns.records import CNAME, RecordSet, WantedRecord, address_sets
from decco.dns.registry import Current, Owner, mark_name, mark_set


@dataclass(frozen=True, slots=True)
class Plan:
    """What one look at a zone gave; ``problems`` are keyed by (name, UID of the owner who has the problem)."""

    changes: tuple[Change, ...] = ()
    problems: Mapping[tuple[str, str], DnsError] = field(default_factory=dict)
    orphans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """What a plan depends on beside the zone and the desired."""

    zone: str
    cluster: str
    ttl: int
    """Seconds, for desired without one."""
    alive: Collection[str]
    """UIDs of the objects that this cluster has right now."""
    adopt: bool = False
    """Let a live owner have a name that our cluster id marks for one that is not alive; never delete such a name."""
    paused: Collection[str] = frozenset()
    """UIDs of the owners whose names stay as they are, right or wrong."""


def plan(current: Mapping[str, Current], wanted: Mapping[str, Mapping[str, WantedRecord]], rules: Rules) -> Plan:
    """Compare ``held`` with ``wanted`` for every name in either.

    ``wanted`` maps a name to its desired by owner's UID, and for a name that nobody wants to no record. A name of
    ``wanted`` that ``held`` lacks is taken for absent from the zone.
    """
    changes: list[Change] = []
    problems: dict[tuple[str, str], DnsError] = {}
    orphans: list[str] = []
    for name in sorted(current.keys() | wanted.keys()):
        now = current.get(name) or Current(name)
        desired = wanted.get(name) or {}
        uid = _chosen(now, desired)
        for other in desired:
            if other != uid:
                problems[name, other] = RecordConflict(
                    f"{name} is also wanted by the owner {uid}, which has it: rename one of the two"
                )
        if _is_paused(now, uid, rules):
            if uid is not None and uid not in rules.paused:
                problems[name, uid] = RecordConflict(
                    f"{name} is still marked for an object that is paused: resume it, or choose another name"
                )
            continue
        if uid is None:
            if not _mine(now, rules, adopt=False):
                if now.owner is not None and now.owner.cluster == rules.cluster:
                    orphans.append(name)
                continue
            changes.append(_withdrawal(now))
            continue
        try:
            change = _reach(now, desired[uid], uid, rules)
        except DnsError as error:
            problems[name, uid] = error
            former = now.owner
            if former is None or former.uid in desired or not _mine(now, rules, adopt=False):
                continue
            # The one who wants it cannot have it, but the one who has it does not want it, and may be waiting to go.
            change = _withdrawal(now)
        if change is not None:
            changes.append(change)
    return Plan(tuple(changes), problems, tuple(orphans))


def _withdrawal(now: Current) -> Change:
    return Change(now.name, now.marks[0].name, (*now.addresses, *now.marks), ())


def _chosen(now: Current, desired: Mapping[str, WantedRecord]) -> str | None:
    if not desired:
        return None
    holder = now.owner
    return holder.uid if holder is not None and holder.uid in desired else min(desired)


def _is_paused(now: Current, uid: str | None, rules: Rules) -> bool:
    """Whether the name is of an owner that is left alone, or would be given to one."""
    holder = now.owner
    of_paused = holder is not None and holder.cluster == rules.cluster and holder.uid in rules.paused
    return of_paused or uid in rules.paused


def _mine(now: Current, rules: Rules, *, adopt: bool) -> bool:
    owner = now.owner
    return owner is not None and owner.cluster == rules.cluster and (adopt or owner.uid in rules.alive)


def _reach(now: Current, record: WantedRecord, uid: str, rules: Rules) -> Change | None:
    """Give the change that leads from ``now`` to the wish; raises RecordConflict or InvalidRecord."""
    name, ttl = now.name, rules.ttl if record.ttl is None else record.ttl
    if not in_zone(name, rules.zone):
        raise InvalidRecord(f"{name} is not in the zone {rules.zone}: choose a name below it")
    sets = address_sets(name, record.targets, ttl)
    mark = mark_set(name, rules.zone, Owner(rules.cluster, uid), ttl)
    apex = name == rules.zone
    if apex and any(s.type == CNAME for s in sets):
        raise InvalidRecord(
            f"{name} is the apex of its zone, where an alias to {sets[0].values[0]} cannot stand: "
            "give the edge an address, or the Space a name below the zone"
        )
    _check_free(now, apex=apex, rules=rules)
    before = (*now.addresses, *now.marks)
    _check_types(now, sets, apex=apex)
    if not sets:
        if now.owner is None or now.owner.uid == uid:
            return None
        if not now.addresses:
            return _withdrawal(now)
        sets = now.addresses  # what is published stays, and is not kept in the name of one who does not want it
    after = (*sets, mark)
    return None if set(before) == set(after) else Change(name, mark_name(name, rules.zone), before, after)


def _check_free(now: Current, *, apex: bool, rules: Rules) -> None:
    """Raise RecordConflict unless the name is free, or ours to change."""
    rivals: tuple[RecordSet, ...] = now.addresses if apex else now.sets
    if _mine(now, rules, adopt=rules.adopt) or not (rivals or now.marks):
        return
    owner = now.owner
    if owner is not None and owner.cluster == rules.cluster:
        raise RecordConflict(
            f"{now.name} is marked for the owner {owner.uid} of this cluster, which does not exist: "
            f"set dns.adopt if this cluster was restored from a backup; otherwise remove the TXT record at "
            f"{now.marks[0].name} and the name's records if they are left over"
        )
    if owner is not None:
        raise RecordConflict(
            f"{now.name} belongs to another cluster ({owner}), as {now.marks[0].name} says: "
            "withdraw it there, or choose another"
        )
    if now.marks:
        raise RecordConflict(
            f"{now.marks[0].name} holds {_types(now.marks)} that is no mark of decco, so {now.name} is left alone: "
            "remove it, or choose another name"
        )
    raise RecordConflict(
        f"{now.name} already has {_types(rivals)} without a mark of decco at _decco.{now.name}: "
        "remove it, or choose another name"
    )


def _check_types(now: Current, sets: tuple[RecordSet, ...], *, apex: bool) -> None:
    to_alias = any(s.type == CNAME for s in sets)
    if now.others and to_alias and not apex:
        raise RecordConflict(
            f"{now.name} also has {_types(now.others)} of somebody else, beside which an alias cannot stand: "
            "remove it, or give the edge an address"
        )


def _types(sets: tuple[RecordSet, ...]) -> str:
    kinds = sorted({s.type for s in sets})
    return f"{'a record' if len(kinds) == 1 else 'records'} of type {', '.join(kinds)}"
