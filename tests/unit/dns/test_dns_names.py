from __future__ import annotations

import pytest

from decco.dns.errors import InvalidRecord
from decco.dns.records import AAAA, CNAME, A, RecordSet, address_sets, normalise, record_set
from decco.hostnames import in_zone, zone_of

LABEL = "a" * 63
LONGEST = ".".join([LABEL, LABEL, LABEL, "b" * 61])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("*.Example.com", "*.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER。example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("_acme.example", "_acme.example"),
        (LONGEST, LONGEST),
        (LABEL + ".com", LABEL + ".com"),
    ],
)
def test_a_name_has_one_spelling(text: str, name: str) -> None:
    assert normalise(text) == name
    assert normalise(name) == name


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        (".", "empty"),
        ("a..b", "empty label"),
        (".a", "empty label"),
        ("a.*.b", "'*'"),
        ("a*.b", "letters, digits"),
        ("-a.b", "letters, digits"),
        ("a b.c", "letters, digits"),
        ("a\n.c", "letters, digits"),
        ("a\\.c", "letters, digits"),
        ("a" * 64 + ".b", "64 octets"),
        ("ü" * 60 + ".b", "IDNA"),
        (LONGEST + "b", "254 octets"),
        ("☃\u200d.b", "IDNA"),
    ],
)
def test_a_wrong_name_is_refused_with_its_cause(text: str, word: str) -> None:
    with pytest.raises(InvalidRecord, match=word.replace("*", r"\*")) as caught:
        normalise(text)
    assert "\n" not in str(caught.value)


def test_a_name_is_in_a_zone_by_whole_labels() -> None:
    assert in_zone("example.com", "example.com")
    assert in_zone("a.b.example.com", "example.com")
    assert not in_zone("ample.com", "example.com")
    assert not in_zone("example.com", "ample.com")
    assert not in_zone("com", "example.com")


def test_the_longest_zone_wins() -> None:
    zones = ("example.com", "b.example.com", "ample.com")
    assert zone_of("a.b.example.com", zones) == "b.example.com"
    assert zone_of("b.example.com", zones) == "b.example.com"
    assert zone_of("xb.example.com", zones) == "example.com"
    assert zone_of("example.org", zones) is None


def test_addresses_give_a_and_aaaa_and_names_an_alias() -> None:
    sets = address_sets("x.example", {"192.0.2.2", "192.0.2.1", "2001:DB8:0::1", "lb.example", "::ffff:192.0.2.9"}, 60)
    assert sets == (
        RecordSet("x.example", A, 60, ("192.0.2.1", "192.0.2.2", "192.0.2.9")),
        RecordSet("x.example", AAAA, 60, ("2001:db8::1",)),
    )
    assert address_sets("x.example", {"LB.example.", "la.example"}, 60) == (
        RecordSet("x.example", CNAME, 60, ("la.example",)),
    )
    assert address_sets("x.example", set(), 60) == ()


@pytest.mark.parametrize(
    ("targets", "ttl", "word"),
    [
        ({"x.example"}, 60, "alias of itself"),
        ({"*.lb.example"}, 60, "wildcard"),
        ({"192.0.2.256"}, 60, "neither an address"),
        ({"fe80::1%eth0"}, 60, "scope"),
        ({"192.0.2.1"}, -1, "TTL"),
        ({"192.0.2.1"}, 2**31, "TTL"),
    ],
)
def test_wrong_targets_are_refused(targets: set[str], ttl: int, word: str) -> None:
    with pytest.raises(InvalidRecord, match=word):
        address_sets("x.example", targets, ttl)


def test_a_set_that_was_read_equals_the_set_that_was_sent() -> None:
    sent = address_sets("x.example", {"2001:db8::1", "2001:db8::2"}, 60)[0]
    assert record_set("X.Example.", AAAA, 60, ["2001:0db8:0:0::2", "2001:DB8::1"]) == sent
