"""A host name is granted once, and no Space takes it from another."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from dataclasses import replace

import pytest

from decco.desired.claims import Claimed, ClaimOrder, GrantIndex
from decco.desired.grants import Grant, Record, overlap
from tests.sample import seeds

OVERLAPPING = [
    (".a.x", ".a.x"),
    (".a.x", ".b.a.x"),
    (".a.x", "a.x"),
    (".a.x", "b.a.x"),
    (".a.x", "*.a.x"),
    (".a.x", "*.b.a.x"),
    (".a.x", "*.x"),
    ("a.x", "a.x"),
    ("a.x", "*.x"),
    ("*.x", "*.x"),
]
DISJOINT = [
    (".a.x", ".b.x"),
    (".a.x", ".ba.x"),
    (".a.x", "x"),
    (".a.x", "*.b.x"),
    (".b.a.x", "*.x"),
    ("a.x", "b.a.x"),
    ("b.a.x", "*.x"),
    ("x", "*.x"),
    ("*.x", "*.a.x"),
]


@pytest.mark.parametrize(("one", "other"), OVERLAPPING)
def test_claims_that_overlap(one: str, other: str) -> None:
    assert overlap(one, other)
    assert overlap(other, one)


@pytest.mark.parametrize(("one", "other"), DISJOINT)
def test_claims_that_do_not_overlap(one: str, other: str) -> None:
    assert not overlap(one, other)
    assert not overlap(other, one)


class Cluster:
    """The index with what surrounds it: the records are in the namespaces."""

    def __init__(self) -> None:
        self.index = GrantIndex()
        self.time = 0

    def space(self, name: str, claims: Iterable[str], age: int = 0, transfers: dict[str, str] | None = None) -> None:
        self.index.set_claims(name, Claimed(ClaimOrder(f"{age:03}", name), frozenset(claims), transfers or {}))

    def reconcile(self, name: str) -> None:
        self.time += 1
        self.index.acquire(name, f"{self.time:03}", 1)
        self.index.record(name, self.record(name))
        served = self.index.claims_of(name).granted
        self.index.release(name, [c for c in self.index.leaving(name) if not any(overlap(c, s) for s in served)])
        self.index.record(name, self.record(name))

    def record(self, name: str) -> Record:
        """As decco writes it."""
        return Record(dict(self.index.grants(name)), self.index.transferred(name))

    def granted(self, name: str) -> set[str]:
        return set(self.index.claims_of(name).granted)


@pytest.mark.parametrize(("mine", "theirs"), OVERLAPPING)
@pytest.mark.parametrize("age", [0, 1, 2], ids=["older", "as old", "younger"])
def test_a_granted_name_is_not_taken_whatever_the_age_of_the_other_space(mine: str, theirs: str, age: int) -> None:
    cluster = Cluster()
    cluster.space("holder", [mine], age=1)
    cluster.reconcile("holder")
    cluster.space("other", [theirs, ".other.y"], age=age)
    cluster.reconcile("other")
    assert cluster.granted("holder") == {mine}
    assert cluster.granted("other") == {".other.y"}
    assert cluster.index.claims_of("other").lost == {theirs: "holder"}


def test_of_two_spaces_that_wait_the_older_is_first_and_keeps_the_name() -> None:
    cluster = Cluster()
    cluster.space("young", ["a.x"], age=2)
    cluster.space("old", ["a.x"], age=1)
    cluster.reconcile("young")
    assert cluster.granted("young") == set()
    cluster.reconcile("old")
    assert cluster.granted("old") == {"a.x"}


def test_a_space_that_waits_in_vain_does_not_keep_others_from_what_is_free() -> None:
    cluster = Cluster()
    cluster.space("a", ["a.x"])
    cluster.reconcile("a")
    cluster.space("b", [".x"], age=1)
    cluster.space("c", ["c.x"], age=2)
    cluster.reconcile("b")
    cluster.reconcile("c")
    assert cluster.granted("c") == {"c.x"}
    cluster.space("a", [])
    cluster.reconcile("a")
    cluster.reconcile("b")
    assert cluster.granted("b") == set()
    assert cluster.index.claims_of("b").lost == {".x": "c"}


def test_a_name_that_is_served_still_is_not_free() -> None:
    cluster = Cluster()
    cluster.space("a", ["a.x"])
    cluster.reconcile("a")
    cluster.space("b", ["a.x"], age=1)
    cluster.space("a", [])
    assert cluster.index.leaving("a") == {"a.x"}
    cluster.reconcile("b")
    assert cluster.granted("b") == set()
    cluster.index.release("a", ["a.x"])
    cluster.reconcile("b")
    assert cluster.granted("b") == set(), "the namespace still records the name"
    assert cluster.index.record("a", cluster.record("a")) == {"b"}
    cluster.reconcile("b")
    assert cluster.granted("b") == {"a.x"}


def test_a_grant_lasts_as_long_as_the_namespace_if_its_space_is_gone() -> None:
    cluster = Cluster()
    cluster.space("a", [".a.x"])
    cluster.reconcile("a")
    cluster.index.set_claims("a", None)
    cluster.space("b", ["b.a.x"])
    cluster.reconcile("b")
    assert cluster.index.claims_of("b").lost == {"b.a.x": "a"}
    assert cluster.index.record("a", None) == {"b"}
    cluster.reconcile("b")
    assert cluster.granted("b") == {"b.a.x"}


def test_a_grant_without_a_record_has_no_effect_and_reserves_the_name() -> None:
    cluster = Cluster()
    cluster.space("a", ["a.x"], age=1)
    assert cluster.index.acquire("a", "001", 1) == {"a.x"}
    assert cluster.index.claims_of("a").pending == {"a.x"}
    cluster.space("b", ["a.x"], age=0)
    cluster.reconcile("b")
    assert cluster.granted("b") == set()


def test_a_namespace_that_is_deleted_by_mistake_costs_its_space_no_name() -> None:
    cluster = Cluster()
    cluster.space("a", ["a.x"])
    cluster.reconcile("a")
    cluster.index.record("a", None)
    assert cluster.index.claims_of("a").pending == {"a.x"}
    cluster.space("b", ["a.x"])
    cluster.reconcile("b")
    assert cluster.granted("b") == set()


def test_of_two_records_that_overlap_the_earlier_one_counts() -> None:
    index = GrantIndex()
    for name, since in (("late", "002"), ("early", "001")):
        index.set_claims(name, Claimed(ClaimOrder("000", name), frozenset({"a.x"})))
        index.record(name, Record({"a.x": Grant(since, 1)}))
    assert index.claims_of("early").granted == {"a.x"}
    assert index.claims_of("late").lost == {"a.x": "early"}
    assert index.owner_of("a.x") == "early"


def test_a_transfer_moves_the_name_after_its_routes_are_gone() -> None:
    cluster = Cluster()
    cluster.space("a", ["a.x", "b.x"])
    cluster.reconcile("a")
    cluster.space("b", ["a.x", "b.x"], age=1, transfers={"a.x": "a"})
    cluster.reconcile("b")
    assert cluster.granted("b") == set()
    assert cluster.index.claims_of("a").lost == {"a.x": "b"}
    cluster.reconcile("a")
    cluster.reconcile("b")
    assert cluster.granted("a") == {"b.x"}
    assert cluster.granted("b") == {"a.x"}


@pytest.mark.parametrize("order", ["ab", "aab", "aoab", "oaob"], ids=str)
def test_a_transferred_name_goes_to_its_receiver_not_to_the_older_spaces_that_wait(order: str) -> None:
    """The older Space would have to give it up again if it were the former holder, and again, without end."""
    spaces = {"a": "a", "b": "b", "o": "older"}
    cluster = Cluster()
    cluster.space("a", [".a.x"], age=1)
    cluster.reconcile("a")
    cluster.space("older", ["www.a.x"], age=0)
    cluster.space("b", ["www.a.x"], age=2, transfers={"www.a.x": "a"})
    for name in order:
        cluster.reconcile(spaces[name])
    assert cluster.granted("b") == {"www.a.x"}
    assert cluster.index.claims_of("a").lost == {".a.x": "b"}
    assert cluster.index.claims_of("older").lost == {"www.a.x": "b"}


def test_a_transfer_acts_once() -> None:
    cluster = Cluster()
    cluster.space("a", ["a.x"])
    cluster.reconcile("a")
    moved = {"a.x": "a"}
    cluster.space("b", ["a.x"], age=1, transfers=moved)
    for name in ("a", "b"):
        cluster.reconcile(name)
    assert cluster.granted("b") == {"a.x"}
    assert cluster.index.transferred("b") == moved

    cluster.space("b", [], age=1, transfers=moved)  # the annotation stays
    for name in ("b", "a"):
        cluster.reconcile(name)
    assert cluster.granted("a") == {"a.x"}
    cluster.space("b", ["a.x"], age=1, transfers=moved)
    for name in ("b", "a", "b"):
        cluster.reconcile(name)
    assert cluster.granted("a") == {"a.x"}
    assert cluster.index.claims_of("b").lost == {"a.x": "a"}

    restarted = GrantIndex()
    for name, transfers in (("a", {}), ("b", moved)):
        restarted.set_claims(name, Claimed(ClaimOrder("000", name), frozenset({"a.x"}), transfers))
        restarted.record(name, cluster.record(name))
    assert restarted.claims_of("a").granted == {"a.x"}

    cluster.space("b", ["a.x"], age=1)
    cluster.reconcile("b")
    assert cluster.index.transferred("b") == {}
    cluster.space("b", ["a.x"], age=1, transfers=moved)
    for name in ("b", "a", "b"):
        cluster.reconcile(name)
    assert cluster.granted("b") == {"a.x"}, "the entry was added again"


def test_a_transfer_of_former_times_does_not_act_after_the_namespace_and_its_record_were_lost() -> None:
    """A holds the name, after B had it by a transfer that it lists still. B's namespace is deleted while the controller
    is down.
    """
    granted = {"a": {"a.x": Grant("002", 1)}, "b": {"b.x": Grant("001", 1)}}
    moved = {"a.x": "a"}
    restarted = GrantIndex()
    for name, claims, transfers in (("a", {"a.x"}, {}), ("b", {"a.x", "b.x"}, moved)):
        restarted.restore(name, granted[name], transfers)
        restarted.set_claims(name, Claimed(ClaimOrder("000", name), frozenset(claims), transfers))
    restarted.record("a", Record(granted["a"]))
    assert restarted.claims_of("a").granted == {"a.x"}
    restarted.acquire("b", "003", 2)
    assert restarted.claims_of("b").lost == {"a.x": "a"}

    new = GrantIndex()
    new.restore("b", {}, moved)
    new.set_claims("b", Claimed(ClaimOrder("000", "b"), frozenset({"a.x"}), moved))
    new.set_claims("a", Claimed(ClaimOrder("000", "a"), frozenset({"a.x"}), {}))
    new.record("a", Record(granted["a"]))
    assert new.claims_of("a").lost == {"a.x": "b"}, "a Space that never had a name asks for the first time"


class Replicas:
    """Several controllers that see the same Spaces and records, of which one leads."""

    def __init__(self, count: int) -> None:
        self.indices = [GrantIndex() for _ in range(count)]
        self.leader = self.indices[0]
        self.records: dict[str, Record] = {}
        self.time = 0

    def set_claims(self, name: str, *claims: str) -> None:
        for index in self.indices:
            index.set_claims(name, Claimed(ClaimOrder(name, name), frozenset(claims)))

    def reconcile(self, name: str, *, crash: bool = False) -> None:
        """``crash``: the leadership is lost before anything is written."""
        self.time += 1
        self.leader.acquire(name, f"{self.time:05}", 1)
        if crash:
            return
        self._write(name)
        served = self.leader.claims_of(name).granted
        self.leader.release(name, [c for c in self.leader.leaving(name) if not any(overlap(c, s) for s in served)])
        self._write(name)

    def _write(self, name: str) -> None:
        grants = {claim: replace(each, recorded=True) for claim, each in self.leader.grants(name).items()}
        self.records[name] = Record(grants)
        for index in self.indices:
            index.record(name, Record(grants))


def test_a_standby_does_not_give_back_a_name_that_was_given_up_while_another_led() -> None:
    replicas = Replicas(2)
    replicas.set_claims("old", "x")
    replicas.reconcile("old")
    replicas.set_claims("new", "x")
    replicas.reconcile("new")
    replicas.set_claims("old")
    replicas.reconcile("old")
    replicas.reconcile("new")
    assert set(replicas.records["new"].grants) == {"x"}
    replicas.leader = replicas.indices[1]
    for name in ("old", "new"):
        replicas.reconcile(name)
        assert (set(replicas.records["old"].grants), set(replicas.records["new"].grants)) == (set(), {"x"})


def test_a_grant_that_was_not_written_before_the_leadership_was_lost_yields_to_the_next_leaders() -> None:
    first, second = range(2)
    replicas = Replicas(2)
    replicas.set_claims("a", "x")
    replicas.reconcile("a", crash=True)
    replicas.set_claims("b", "x")
    replicas.set_claims("a")
    replicas.leader = replicas.indices[second]
    replicas.reconcile("b")
    replicas.set_claims("a", "x")
    replicas.leader = replicas.indices[first]
    for name in ("a", "b"):
        replicas.reconcile(name)
        assert (set(replicas.records.get("a", Record()).grants), set(replicas.records["b"].grants)) == (set(), {"x"})


@pytest.mark.parametrize("seed", seeds(300, sample=30))
def test_no_change_of_the_leader_takes_a_name_away(seed: int) -> None:
    """Random histories: no name has two holders, and whoever has a name and wants it keeps it."""
    rng, names, claims = random.Random(seed), ("a", "b", "c"), ("x", "y", "*.y", ".y")
    replicas, claimed = Replicas(3), dict[str, set[str]]()
    for _ in range(60):
        name, choice = rng.choice(names), rng.random()
        held = {each: set(record.grants) & claimed.get(each, set()) for each, record in replicas.records.items()}
        if choice < 0.3:
            claimed[name] = {claim for claim in claims if rng.random() < 0.4}
            replicas.set_claims(name, *claimed[name])
            continue
        if choice < 0.5:
            replicas.leader = rng.choice(replicas.indices)
        elif name in claimed:
            replicas.reconcile(name, crash=choice < 0.6)
        for each, before in held.items():
            assert before <= set(replicas.records[each].grants), f"{each} has lost a name"
        pairs = itertools.combinations(replicas.records.items(), 2)
        for (one, mine), (other, theirs) in pairs:
            both = [(a, b) for a in mine.grants for b in theirs.grants if overlap(a, b)]
            assert not both, f"{one} and {other} have {both}"


def test_nothing_is_kept_of_a_space_that_is_gone() -> None:
    cluster = Cluster()
    for name in ("a", "b"):
        cluster.space(name, [f"{name}.x"], transfers={"c.x": "c"})
        cluster.reconcile(name)
    cluster.index.set_claims("a", None)
    cluster.index.record("a", None)
    cluster.index.record("b", None)
    cluster.index.set_claims("b", None)
    fresh = GrantIndex()
    for slot in ("_claimed", "_grants", "_restored", "_recorded", "_transferred"):
        assert getattr(cluster.index, slot) == getattr(fresh, slot), slot
    assert cluster.index._root.empty


def test_two_spaces_that_take_a_name_from_one_another_come_to_rest() -> None:
    cluster = Cluster()
    cluster.space("a", ["a.x"])
    cluster.reconcile("a")
    cluster.space("b", ["a.x"], age=1, transfers={"a.x": "a"})
    for name in ("a", "b"):
        cluster.reconcile(name)
    cluster.space("a", ["a.x"], transfers={"a.x": "b"})
    for name in ("b", "a", "b", "a", "b"):
        cluster.reconcile(name)
    assert cluster.granted("a") == {"a.x"}
    assert cluster.granted("b") == set()


def test_a_transfer_takes_a_name_from_the_named_holder_only() -> None:
    cluster = Cluster()
    cluster.space("a", ["a.x"])
    cluster.reconcile("a")
    cluster.space("b", ["a.x"], age=1, transfers={"a.x": "c"})
    cluster.reconcile("b")
    cluster.reconcile("a")
    assert cluster.granted("a") == {"a.x"}
