"""The table in plan.py's docstring, row by row."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest

from decco.dns.errors import InvalidRecord, RecordConflict
from decco.dns.plan import Plan, Rules, plan
from decco.dns.records import AAAA, CNAME, TXT, A, DesiredRecord, RecordSet
from decco.dns.registry import Current, Owner, owned_name, ownership_set

ZONE = "example.com"
NAME = "x.example.com"
U, V, GONE = "uid-u", "uid-v", "uid-gone"
ADDRESS = RecordSet(NAME, A, 180, ("192.0.2.1",))
WANTED = DesiredRecord(NAME, frozenset({"192.0.2.1"}))
OTHER_WANTED = DesiredRecord(NAME, frozenset({"192.0.2.7"}))
FOREIGN_MX = RecordSet(NAME, "MX", 60, ("10 mail.example",))


def ownership(uid: str, cluster: str = "here", name: str = NAME) -> RecordSet:
    return ownership_set(name, ZONE, Owner(cluster, uid), 180)


def decide(
    current: Current | None,
    *desired: tuple[str, DesiredRecord],
    adopt: bool = False,
    unproven: bool = False,
    paused: Collection[str] = (),
    lost: Collection[str] = (),
    ended: Collection[str] = (),
) -> Plan:
    name = desired[0][1].name if desired else NAME
    rules = Rules("here", 180, frozenset({U, V}), adopt, dict.fromkeys(paused, lost), ended, unproven=unproven)
    return plan(ZONE, {current.name: current} if current else {}, {name: dict(desired)}, rules)


MINE_U = Current(NAME, (ADDRESS,), (ownership(U),))
MINE_V = Current(NAME, (ADDRESS,), (ownership(V),))
OF_GONE = Current(NAME, (ADDRESS,), (ownership(GONE),))
OTHERS = Current(NAME, (ADDRESS,), (ownership(U, "there"),))
UNMARKED = Current(NAME, (ADDRESS,))
FORGED = Current(NAME, (ADDRESS,), (RecordSet(ownership(U).name, TXT, 180, ("v1 here uid-u", "x")),))
OWNERSHIP_ALONE = Current(NAME, (), (ownership(U),))
BESIDE_MX = Current(NAME, (ADDRESS, FOREIGN_MX), (ownership(U),))


@pytest.mark.parametrize(
    ("current", "before", "after"),
    [
        (None, (), (ADDRESS, ownership(U))),
        (MINE_V, (ADDRESS, ownership(V)), (ADDRESS, ownership(U))),
        (OWNERSHIP_ALONE, (ownership(U),), (ADDRESS, ownership(U))),
    ],
)
def test_wanted_and_reachable(
    current: Current | None, before: tuple[RecordSet, ...], after: tuple[RecordSet, ...]
) -> None:
    (change,) = decide(current, (U, WANTED)).changes
    assert (change.before, change.after) == (before, after)


def test_as_wanted_is_no_change() -> None:
    assert decide(MINE_U, (U, WANTED)) == Plan()


@pytest.mark.parametrize("current", [MINE_U, MINE_V, OWNERSHIP_ALONE, BESIDE_MX])
def test_mine_and_unwanted_is_deleted_with_its_ownership_record(current: Current) -> None:
    (change,) = decide(current).changes
    assert change.before == (*current.addresses, *current.ownership)
    assert change.after == ()
    assert change.verb == "delete"


@pytest.mark.parametrize("current", [OF_GONE, OTHERS, UNMARKED, FORGED, Current(NAME, (FOREIGN_MX,))])
def test_what_is_not_mine_is_never_touched(current: Current) -> None:
    assert decide(current).changes == ()
    refused = decide(current, (U, OTHER_WANTED))
    assert refused.changes == ()
    problem = refused.problems[NAME, U]
    assert isinstance(problem, RecordConflict)
    assert NAME in str(problem)


def test_orphans_are_counted_and_taken_only_on_request() -> None:
    assert decide(OF_GONE).orphans == (NAME,)
    assert decide(OF_GONE, adopt=True).changes == ()
    proven = replace(WANTED, restored=True)
    assert decide(OF_GONE, (U, WANTED), adopt=True).changes == (), "not proven"
    assert decide(OF_GONE, (U, proven)).changes == (), "nobody asked for it"
    assert decide(OF_GONE, (U, proven), adopt=True).changes[0].after == (ADDRESS, ownership(U))
    assert decide(OF_GONE, (U, WANTED), adopt=True, unproven=True).changes[0].after == (ADDRESS, ownership(U))
    assert decide(OTHERS, (U, proven), adopt=True, unproven=True).changes == ()


def test_what_an_owner_left_whose_end_was_seen_is_free() -> None:
    assert decide(OF_GONE, ended={GONE}).changes == (), "nobody wants it"
    assert decide(OF_GONE, (U, WANTED), ended={GONE}).changes[0].after == (ADDRESS, ownership(U))
    assert decide(OTHERS, (V, WANTED), ended={U}).changes == (), "the same UID in another cluster"


def test_a_paused_owner_does_not_keep_a_name_that_it_lost() -> None:
    assert decide(MINE_U, paused={U}).changes == ()
    assert decide(MINE_U, paused={U}, lost={NAME}).changes == decide(MINE_U).changes != ()
    taken = decide(MINE_U, (V, WANTED), paused={U}, lost={NAME})
    assert (taken.changes[0].after, taken.problems) == ((ADDRESS, ownership(V)), {})


def test_between_types_in_one_change() -> None:
    alias = RecordSet(NAME, CNAME, 180, ("lb.example",))
    (to_alias,) = decide(MINE_U, (U, DesiredRecord(NAME, frozenset({"lb.example"})))).changes
    assert to_alias.dropped == (ADDRESS,)
    assert to_alias.written == (alias,)
    (back,) = decide(
        Current(NAME, (alias,), (ownership(U),)), (U, DesiredRecord(NAME, frozenset({"192.0.2.1", "2001:db8::1"})))
    ).changes
    assert back.dropped == (alias,)
    assert {s.type for s in back.written} == {A, AAAA}


def test_a_changed_ttl_is_a_change() -> None:
    (change,) = decide(MINE_U, (U, DesiredRecord(NAME, WANTED.targets, ttl=60))).changes
    assert {s.ttl for s in change.after} == {60}


def test_no_alias_beside_what_others_put_there() -> None:
    refused = decide(BESIDE_MX, (U, DesiredRecord(NAME, frozenset({"lb.example"}))))
    assert refused.changes == ()
    assert "MX" in str(refused.problems[NAME, U])
    assert len(decide(BESIDE_MX, (U, OTHER_WANTED)).changes) == 1


def test_who_cannot_have_a_name_keeps_no_foreign_record_in_it() -> None:
    current = Current(NAME, (ADDRESS, FOREIGN_MX), (ownership(V),))
    result = decide(current, (U, DesiredRecord(NAME, frozenset({"lb.example"}))))
    assert isinstance(result.problems[NAME, U], RecordConflict)
    assert [(c.before, c.after) for c in result.changes] == [((ADDRESS, ownership(V)), ())]
    same = decide(BESIDE_MX, (U, DesiredRecord(NAME, frozenset({"lb.example"}))))
    assert same.changes == ()
    assert isinstance(same.problems[NAME, U], RecordConflict)


def test_without_an_address_the_ownership_record_is_handed_over() -> None:
    (change,) = decide(MINE_V, (U, DesiredRecord(NAME))).changes
    assert (change.before, change.after) == ((ADDRESS, ownership(V)), (ADDRESS, ownership(U)))
    (change,) = decide(Current(NAME, (), (ownership(V),)), (U, DesiredRecord(NAME))).changes
    assert (change.before, change.after) == ((ownership(V),), ())
    assert decide(MINE_U, (U, DesiredRecord(NAME))) == Plan()
    assert decide(UNMARKED, (U, DesiredRecord(NAME))).changes == ()


def test_two_owners_of_one_name() -> None:
    both = ((U, WANTED), (V, OTHER_WANTED))
    first = decide(None, *both)
    assert first.changes[0].after[-1] == ownership(U)
    assert list(first.problems) == [(NAME, V)]
    holder = decide(MINE_V, *both)
    assert holder.changes[0].after[-1] == ownership(V)
    assert list(holder.problems) == [(NAME, U)]


def test_no_address_keeps_what_is_there_and_makes_nothing() -> None:
    record = (U, DesiredRecord(NAME))
    assert decide(MINE_U, record) == Plan()
    assert decide(None, record) == Plan()


def test_the_apex_takes_addresses_and_no_alias() -> None:
    mail = Current(ZONE, (RecordSet(ZONE, "MX", 60, ()), RecordSet(ZONE, TXT, 60, ("spf",))))
    (change,) = decide(mail, (U, DesiredRecord(ZONE, frozenset({"192.0.2.1"})))).changes
    assert change.before == ()
    alias = decide(mail, (U, DesiredRecord(ZONE, frozenset({"lb.example"}))))
    assert isinstance(alias.problems[ZONE, U], InvalidRecord)
    taken = Current(ZONE, (RecordSet(ZONE, A, 60, ("192.0.2.9",)),))
    assert decide(taken, (U, DesiredRecord(ZONE, frozenset({"192.0.2.1"})))).changes == ()


def test_one_bad_name_does_not_stop_the_others() -> None:
    bad = DesiredRecord(NAME, frozenset({"not an address"}))
    good = DesiredRecord("y.example.com", frozenset({"192.0.2.1"}))
    result = plan(ZONE, {}, {NAME: {U: bad}, good.name: {V: good}}, Rules("here", 180, {U, V}))
    assert [c.name for c in result.changes] == [good.name]
    assert list(result.problems) == [(NAME, U)]


@pytest.mark.parametrize("desired", [(), ((U, WANTED),), ((U, OTHER_WANTED),)])
@pytest.mark.parametrize("current", [MINE_U, OWNERSHIP_ALONE, BESIDE_MX])
def test_a_paused_owners_name_stays_right_or_wrong(
    current: Current, desired: tuple[tuple[str, DesiredRecord], ...]
) -> None:
    assert decide(current, *desired, paused=frozenset({U})) == Plan()


def test_a_paused_owner_gets_no_new_name() -> None:
    assert decide(None, (U, WANTED), paused=frozenset({U})) == Plan()


def test_the_name_of_a_paused_owner_is_not_taken() -> None:
    found = decide(MINE_V, (U, WANTED), adopt=True, paused=frozenset({V}))
    assert found.changes == ()
    assert "paused" in str(found.problems[NAME, U])


LATER = DesiredRecord(NAME, frozenset({"192.0.2.7"}), create=False)


def test_a_record_that_is_not_to_be_created_yet_is_kept_up_to_date() -> None:
    assert decide(None, (U, LATER)) == Plan()
    (change,) = decide(MINE_U, (U, LATER)).changes
    assert change.after == (RecordSet(NAME, A, 180, ("192.0.2.7",)), ownership(U))
    assert decide(OWNERSHIP_ALONE, (U, LATER)).changes == ()
    assert decide(OTHERS, (U, LATER)).problems


OFFERED = Current(NAME, (ADDRESS,), (ownership_set(NAME, ZONE, Owner("there", GONE, "here"), 180),))
ACCEPTED = replace(OTHER_WANTED, accept="there")


def test_an_owner_offers_its_name_and_takes_it_back() -> None:
    offered = Current(NAME, (ADDRESS,), (ownership_set(NAME, ZONE, Owner("here", U, "there"), 180),))
    assert decide(MINE_U, (U, replace(WANTED, offer="there"))).changes[0].after == (ADDRESS, *offered.ownership)
    assert decide(offered, (U, replace(WANTED, offer="there"))) == Plan()
    assert decide(offered, (U, WANTED)).changes[0].after == (ADDRESS, ownership(U))
    assert decide(offered).changes[0].after == (), "a deleted Space withdraws what it offered"


def test_a_name_on_offer_is_taken_with_its_addresses_in_one_change() -> None:
    (change,) = decide(OFFERED, (U, ACCEPTED)).changes
    assert change.before == (ADDRESS, *OFFERED.ownership)
    assert change.after == (RecordSet(NAME, A, 180, ("192.0.2.7",)), ownership(U))


@pytest.mark.parametrize(
    ("current", "record"),
    [
        (OFFERED, OTHER_WANTED),
        (OFFERED, replace(OTHER_WANTED, accept="elsewhere")),
        (OTHERS, ACCEPTED),
        (Current(NAME, (ADDRESS,), (ownership_set(NAME, ZONE, Owner("there", GONE, "elsewhere"), 180),)), ACCEPTED),
    ],
    ids=["not expected", "expected from another", "not offered", "offered to another"],
)
def test_a_name_is_taken_only_if_both_agree(current: Current, record: DesiredRecord) -> None:
    result = decide(current, (U, record))
    assert result.changes == ()
    assert isinstance(result.problems[NAME, U], RecordConflict)


def test_who_gave_a_name_away_reports_where_it_is() -> None:
    result = decide(OTHERS, (U, replace(WANTED, offer="there")))
    assert result.changes == ()
    assert "was handed over to the cluster there" in str(result.problems[NAME, U])


def test_an_offer_of_a_long_name_has_the_name() -> None:
    name = ".".join(["x" * 60] * 4)
    offer = ownership_set(f"{name}.{ZONE}"[-253:].lstrip("."), ZONE, Owner("here", U, "there"), 180)
    (text,) = offer.values
    assert owned_name(offer, ZONE) == text.rpartition(" ")[2]
