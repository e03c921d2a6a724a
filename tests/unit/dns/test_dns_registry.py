from __future__ import annotations

import random

import pytest

from decco.dns.errors import InvalidRecord
from decco.dns.records import CNAME, TXT, A, RecordSet
from decco.dns.registry import Owner, fold, ownership_name, ownership_set, parse

ZONE = "example.com"
UID = "0b3c9f4e-6f0c-4a39-8a53-1d1f3b5f2d11"
OWNER = Owner("default", UID)
LONG = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 49, ZONE])


def test_an_ownership_record_has_its_name_and_reads_back() -> None:
    ownership = ownership_set("x.example.com", ZONE, OWNER, 60)
    assert ownership == RecordSet("_decco.x.example.com", TXT, 60, (f"v1 default {UID}",))
    assert parse(ownership.values[0]) == OWNER
    assert len(ownership.values[0]) == 47  # 500 of them, quoted and with an address, are 32,000 characters


@pytest.mark.parametrize("name", ["*.x.example.com", ZONE, LONG, "e" * 9 + LONG[9:]])
def test_every_name_has_a_name_for_its_ownership_record(name: str) -> None:
    record = RecordSet(name, A, 60, ("192.0.2.1",))
    ownership = ownership_set(name, ZONE, OWNER, 60)
    assert len(ownership.name) <= 253
    current = fold([record, ownership], ZONE)
    assert set(current) == {name}
    assert current[name].owner == OWNER
    assert current[name].addresses == (record,)


def test_a_name_that_is_too_long_for_its_ownership_record_is_refused() -> None:
    zone = LONG[20:]
    with pytest.raises(InvalidRecord, match="leaves no space for the ownership record"):
        ownership_name("a" * 19 + "." + zone, zone)


@pytest.mark.parametrize(
    "text",
    ["", "v1", "v2 default " + UID, "v1 default", f"v1 default {UID} a b", f"v1  default {UID}", f"v1 Default {UID}",
     f"v1 default {UID}\n", "heritage=external-dns", "\x00\xff", "v1 " + "c" * 64 + " " + UID],
)  # fmt: skip
def test_a_text_that_does_not_match_exactly_has_no_owner(text: str) -> None:
    assert parse(text) is None


def test_parsing_never_raises() -> None:
    dice = random.Random(7)
    good = f"v1 default {UID}"
    for _ in range(5000):
        chars = list(good)
        for _ in range(dice.randint(1, 4)):
            chars[dice.randrange(len(chars))] = chr(dice.choice([0, 9, 32, 47, 65, 122, 0xFF, 0x1F600]))
        parse("".join(chars))


@pytest.mark.parametrize(
    "marks",
    [
        [],
        [RecordSet("_decco.x.example.com", TXT, 60, (f"v1 default {UID}", "more"))],
        [RecordSet("_decco.x.example.com", CNAME, 60, ("elsewhere.example",))],
        [ownership_set("x.example.com", ZONE, OWNER, 60), RecordSet("_decco.x.example.com", "URI", 60, ())],
        [ownership_set("x.example.com", ZONE, OWNER, 60), RecordSet("_decco.x.example.com", A, 60, ("192.0.2.1",))],
    ],
)
def test_exactly_one_ownership_record_makes_an_owner(marks: list[RecordSet]) -> None:
    current = fold([RecordSet("x.example.com", A, 60, ("192.0.2.1",)), *marks], ZONE)
    assert current["x.example.com"].owner is None


def test_the_records_of_a_zone_itself_are_no_claim() -> None:
    apex = [RecordSet(ZONE, t, 60, ()) for t in ("SOA", "NS", "DNSKEY", "RRSIG")]
    assert fold([*apex, RecordSet("x.example.com", "RRSIG", 60, ())], ZONE) == {}
    assert "sub.example.com" in fold([RecordSet("sub.example.com", "NS", 60, ())], ZONE)


def test_a_long_ownership_record_at_the_wrong_name_is_ignored() -> None:
    ownership = ownership_set(LONG, ZONE, OWNER, 60)
    moved = RecordSet(f"_decco._{'0' * 32}.{ZONE}", TXT, 60, ownership.values)
    assert LONG not in fold([moved], ZONE)


def test_an_ownership_record_refuses_what_it_could_not_read_back() -> None:
    with pytest.raises(InvalidRecord, match="characters"):
        ownership_set("x.example.com", ZONE, Owner("my cluster", UID), 60)
