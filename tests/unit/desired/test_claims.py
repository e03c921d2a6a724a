from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import combinations, pairwise

import pytest

from decco.api.types import SpaceSpec
from decco.desired.claims import ClaimIndex
from decco.desired.model import SpaceFacts
from decco.hostnames import canonical
from tests.sample import seeds


def space(name: str, domain: str, *hostnames: str, age: int = 0, uid: str | None = None) -> SpaceFacts:
    # model_construct: the index must stand names that today's admission would refuse.
    spec = SpaceSpec.model_construct(domain_name=domain, hostnames=hostnames)
    return SpaceFacts(
        name=name, uid=uid or f"uid-{name}", generation=1, created=f"2024-01-01T00:00:{age:02d}Z", spec=spec
    )


def index_of(*spaces: SpaceFacts) -> ClaimIndex:
    index = ClaimIndex()
    for facts in spaces:
        index.add(facts)
    return index


# -- the rules, one by one --------------------------------------------------------------------------------------------

ACME = space("acme", "example.com", age=1)

OVERLAPS = {
    "FQDN below a FQDN": (space("example", "com"), ACME, {"acme.example.com"}),
    "FQDN above a FQDN": (space("x", "acme.example.com"), ACME, {"acme.example.com"}),
    "FQDN above a hostname": (space("x", "y.z", "a.acme.example.com"), ACME, {"acme.example.com"}),
    "FQDN equal to a hostname": (space("x", "y.z", "acme.example.com"), ACME, {"acme.example.com"}),
    "hostname below a FQDN": (space("b", "c"), space("x", "y.z", "a.b.c", age=1), {"a.b.c"}),
    "hostname equal to a FQDN": (space("b", "c"), space("x", "y.z", "b.c", "d.e", age=1), {"b.c"}),
    "same hostname": (space("x", "y.z", "shop.com"), space("v", "w.z", "shop.com", "d.e", age=1), {"shop.com"}),
    "case and final dot": (space("x", "y.z", "Shop.COM."), space("v", "w.z", "shop.com", age=1), {"shop.com"}),
    "case and final dot of domains": (space("x", "Y.z."), space("v", "w.z", "A.X.Y.Z", age=1), {"a.x.y.z"}),
    "hostname above a FQDN": (space("x", "y.z", "example.com"), ACME, set()),
    "hostname below a hostname": (space("x", "y.z", "shop.com"), space("v", "w.z", "a.shop.com", age=1), set()),
    "siblings": (space("blue", "example.com"), ACME, set()),
    "only the text ends alike": (space("x", "y.z", "notacme.example.com"), ACME, set()),
}


@pytest.mark.parametrize("case", OVERLAPS)
@pytest.mark.parametrize("younger_first", [False, True])
def test_the_older_space_has_the_name(case: str, younger_first: bool) -> None:
    older, younger, lost = OVERLAPS[case]
    index = index_of(*((younger, older) if younger_first else (older, younger)))
    assert index.verdict(older.name).lost == {}
    assert index.verdict(younger.name).lost == dict.fromkeys(lost, older.name)
    for name in lost - {"acme.example.com"}:
        assert index.owner_of(name) == older.name


def test_of_two_spaces_of_one_second_the_smaller_uid_is_the_older() -> None:
    index = index_of(space("x", "y.z", "shop.com", uid="2"), space("v", "w.z", "shop.com", uid="1"))
    assert index.verdict("x").lost == {"shop.com": "v"}
    assert index.verdict("v").lost == {}


def test_a_lost_hostname_does_not_lose_the_fqdn() -> None:
    index = index_of(space("x", "y.z", "shop.com"), space("v", "w.z", "shop.com", "mine.com", age=1))
    verdict = index.verdict("v")
    assert not verdict.holds("shop.com")
    assert not verdict.holds("Shop.com.")
    assert verdict.holds("v.w.z")
    assert verdict.holds("mine.com")
    assert [index.owner_of(name) for name in ("v.w.z", "a.v.w.z", "mine.com")] == ["v", "v", "v"]


def test_a_lost_fqdn_loses_what_is_below_it() -> None:
    index = index_of(space("x", "y.z", "a.acme.example.com"), ACME)
    assert index.owner_of("a.acme.example.com") == "x"
    assert index.owner_of("b.acme.example.com") is None
    assert index.owner_of("acme.example.com") is None


def test_the_oldest_of_several_owners_is_reported() -> None:
    spaces = [space(f"s{age}", "y.z", "shop.com", age=age) for age in (3, 1, 2)]
    assert index_of(*spaces).verdict("s3").lost == {"shop.com": "s1"}


def test_a_space_that_lost_a_name_keeps_it_from_still_younger_ones() -> None:
    # com takes acme's FQDN, and acme had beaten x: nothing that x gets must be taken from it again when com goes.
    com, acme, younger = space("example", "com"), ACME, space("x", "y.z", "a.acme.example.com", age=2)
    index = index_of(space("www", "acme.example.com"), acme, younger)
    assert index.verdict("acme").lost == {"acme.example.com": "www"}
    assert index.verdict("x").lost == {"a.acme.example.com": "acme"}
    assert index.owner_of("a.acme.example.com") is None
    index.remove("www")
    assert index.owner_of("a.acme.example.com") == "acme"
    index.add(com)
    assert index.verdict("x").lost == {"a.acme.example.com": "example"}


def test_the_owners_to_reconcile_again() -> None:
    index = index_of(space("old", "y.z", "shop.com"), space("young", "w.z", "shop.com", age=9))
    middle = space("middle", "v.z", "shop.com", "other.com", age=5)
    assert index.add(middle) == {"young"}
    assert index.add(middle) == frozenset()  # nothing new
    assert index.add(space("middle", "v.z", "other.com", age=5)) == {"young"}  # gives shop.com up
    assert index.remove("middle") == frozenset()
    assert index.remove("middle") == frozenset()
    assert index.remove("old") == {"young"}
    assert index.verdict("young").lost == {}


def test_a_space_created_again_is_another_one() -> None:
    index = index_of(space("x", "y.z", "shop.com"), space("v", "w.z", "shop.com", age=1))
    assert index.add(space("x", "y.z", "shop.com", age=2, uid="second life")) == {"v"}
    assert index.verdict("v").lost == {}
    assert index.verdict("x").lost == {"shop.com": "v"}


def test_questions_about_nobody() -> None:
    index = index_of(ACME)
    assert index.verdict("nobody").lost == {}
    assert index.owner_of("example.com") is None
    assert index.owner_of("") is None


@pytest.mark.parametrize("odd", ["", ".", "..", "a..b", "*.example.com", "com", "ä.example", "a" * 300])
def test_odd_names_are_harmless(odd: str) -> None:
    index = index_of(ACME, space("x", odd, odd, age=2), space("v", "w.z", odd, age=3))
    assert index.verdict("acme").lost == {}
    assert index.verdict("v").lost == {canonical(odd): "x"}
    index.remove("x")
    assert index.verdict("v").lost == {}


# -- against an oracle ------------------------------------------------------------------------------------------------


class Oracle:
    """The rule as it is written, comparing each claim with every other."""

    def __init__(self, spaces: Iterable[SpaceFacts]) -> None:
        self.spaces = {facts.name: facts for facts in spaces}

    @staticmethod
    def claims(facts: SpaceFacts) -> Iterator[tuple[str, bool]]:
        yield facts.fqdn, True
        for name in facts.spec.hostnames:
            yield canonical(name), False

    @staticmethod
    def covers(claim: tuple[str, bool], name: str) -> bool:
        root, subtree = claim
        return name == root or (subtree and name.endswith(f".{root}"))

    def overlap(self, a: tuple[str, bool], b: tuple[str, bool]) -> bool:
        return self.covers(a, b[0]) or self.covers(b, a[0])

    def lost(self, name: str) -> dict[str, str]:
        mine = self.spaces[name]
        lost: dict[str, str] = {}
        for other in sorted(self.spaces.values(), key=lambda facts: (facts.created, facts.uid)):
            if (other.created, other.uid) < (mine.created, mine.uid):
                for claim in self.claims(mine):
                    if any(self.overlap(claim, theirs) for theirs in self.claims(other)):
                        lost.setdefault(claim[0], other.name)
        return lost

    def owners(self, name: str) -> set[str]:
        return {
            facts.name
            for facts in self.spaces.values()
            if any(self.covers(claim, name) and claim[0] not in self.lost(facts.name) for claim in self.claims(facts))
        }


LABELS = ("a", "b", "c", "A")


def random_name(rng: random.Random) -> str:
    return ".".join(rng.choices(LABELS, k=rng.randint(1, 4))) + rng.choice(("", "", "."))


def random_space(rng: random.Random, name: str) -> SpaceFacts:
    hostnames = [random_name(rng) for _ in range(rng.randint(0, 3))]
    return space(name, random_name(rng), *hostnames, age=rng.randint(0, 4), uid=str(rng.randint(0, 10**6)))


@pytest.mark.parametrize("seed", seeds(60, sample=10))
def test_any_history_gives_the_oracles_verdicts(seed: int) -> None:
    rng = random.Random(seed)
    names = ["a", "b", "c", "d", "e", "f", "g"]
    index, spaces = ClaimIndex(), dict[str, SpaceFacts]()
    before: dict[str, dict[str, str]] = {}
    for _ in range(40):
        name = rng.choice(names)
        if rng.random() < 0.3:
            affected = index.remove(name)
            spaces.pop(name, None)
        else:
            spaces[name] = random_space(rng, name)
            affected = index.add(spaces[name])
        oracle = Oracle(spaces.values())
        verdicts = {other: dict(index.verdict(other).lost) for other in spaces}
        assert verdicts == {other: oracle.lost(other) for other in spaces}
        # Each owner whose verdict changed was notified; an owner is not notified of its own change.
        assert name not in affected
        assert {o for o in verdicts.keys() & before.keys() - {name} if verdicts[o] != before[o]} <= affected
        before = verdicts
        for hostname in (random_name(rng) for _ in range(10)):
            owners = oracle.owners(canonical(hostname))
            assert len(owners) <= 1
            assert index.owner_of(hostname) == next(iter(owners), None)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_held_never_overlaps_and_a_departure_takes_nothing_away(seed: int) -> None:
    rng = random.Random(1000 + seed)
    spaces = [random_space(rng, name) for name in "abcdefgh"]
    index, oracle = index_of(*spaces), Oracle(spaces)
    held = {
        facts.name: {claim for claim in oracle.claims(facts) if index.verdict(facts.name).holds(claim[0])}
        for facts in spaces
    }
    for one, other in combinations(spaces, 2):
        assert not any(oracle.overlap(a, b) for a in held[one.name] for b in held[other.name])
    gone = rng.choice(spaces)
    index.remove(gone.name)
    for facts in spaces:
        if facts is not gone:
            assert all(index.verdict(facts.name).holds(root) for root, _ in held[facts.name])


def test_nothing_is_left_behind() -> None:
    rng = random.Random(7)
    spaces = [random_space(rng, f"s{number}") for number in range(50)]
    index = index_of(*spaces)
    for facts in spaces:
        index.remove(facts.name)
    assert (index._holdings, index._subtrees, index._exact, index._below) == ({}, {}, {}, {})


# -- cost -------------------------------------------------------------------------------------------------------------


class _Counted(ClaimIndex):
    """Counts the Spaces that a query reads."""

    reads = 0

    def _overlapping(self, name: str, *, subtree: bool) -> set[str]:
        found = super()._overlapping(name, subtree=subtree)
        self.reads += len(found)
        return found


def test_a_question_costs_what_overlaps_and_not_the_number_of_spaces() -> None:
    reads = []
    for count in (10, 1000):
        index = _Counted()
        for number in range(count):
            index.add(space(f"s{number}", "example.com", f"shop-{number}.com"))
        index.reads = 0
        index.verdict("s1")
        index.owner_of("a.s1.example.com")
        index.add(space("s1", "example.com", "other.com"))
        reads.append(index.reads)
    assert all(few == many for few, many in pairwise(reads))
