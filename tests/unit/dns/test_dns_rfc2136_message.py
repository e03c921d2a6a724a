from __future__ import annotations

import random

import dns.message
import dns.tsig
import pytest

from decco.dns.provider import Change, Zone
from decco.dns.records import CNAME, A, RecordSet, address_sets
from decco.dns.registry import Owner, mark_set
from decco.dns.rfc2136 import Rfc2136Provider
from decco.dns.rfc2136_message import MAX_MESSAGE, TSIG_ROOM, message_size, update_message

ZONE = "example.com"
UID = "0b3c9f4e-6f0c-4a39-8a53-1d1f3b5f2d11"
KEY = dns.tsig.Key("decco", "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "hmac-sha512")


def claim(name: str, *targets: str) -> Change:
    mark = mark_set(name, ZONE, Owner("default", UID), 60)
    return Change(name, mark.name, (), (*address_sets(name, targets, 60), mark))


def names(dice: random.Random, count: int) -> list[str]:
    def label() -> str:
        return "l" + "".join(dice.choices("abcdefghij", k=dice.randint(0, 40)))

    return [".".join([*(label() for _ in range(dice.randint(1, 4))), str(i), ZONE]) for i in range(count)]


def as_update(old: Change, *targets: str) -> Change:
    return Change(old.name, old.mark, old.after, (*address_sets(old.name, targets, 60), old.after[-1]))


def as_delete(old: Change) -> Change:
    return Change(old.name, old.mark, old.after, ())


@pytest.mark.parametrize("seed", range(12))
def test_the_estimate_is_never_below_the_message_and_close_to_it(seed: int) -> None:
    dice = random.Random(seed)
    targets = [["192.0.2.1"], ["192.0.2.1", "192.0.2.2", "2001:db8::1"], ["lb.example.org"]]
    changes = []
    for name in names(dice, 400):
        change = claim(name, *dice.choice(targets))
        kind = dice.randrange(3)
        changes.append(change if kind == 0 else as_delete(change) if kind == 1 else as_update(change, *targets[kind]))
    count, octets = message_size(changes, ZONE, MAX_MESSAGE - TSIG_ROOM)
    wire = update_message(changes[:count], ZONE, KEY).to_wire(max_size=MAX_MESSAGE)
    assert len(wire) <= octets + TSIG_ROOM
    assert octets < 1.25 * len(wire)


def test_five_hundred_claims_of_ordinary_names_are_one_message() -> None:
    changes = [claim(f"space-{i:04d}.{ZONE}", "192.0.2.1") for i in range(1000)]
    provider = Rfc2136Provider("p", (ZONE,), "127.0.0.1")
    assert provider.fit(Zone(ZONE), changes) == 500
    assert len(update_message(changes[:500], ZONE, KEY).to_wire(max_size=MAX_MESSAGE)) <= MAX_MESSAGE


def test_a_claim_needs_that_name_and_mark_are_absent() -> None:
    text = update_message([claim(f"x.{ZONE}", "192.0.2.1")], ZONE, None).to_text()
    assert f"_decco.x.{ZONE}. NONE ANY" in text
    assert f"\nx.{ZONE}. NONE ANY" in text


def test_at_the_apex_only_addresses_have_to_be_absent() -> None:
    text = update_message([claim(ZONE, "192.0.2.1")], ZONE, None).to_text()
    assert f"\n{ZONE}. NONE ANY" not in text
    for rtype in (A, "AAAA", CNAME):
        assert f"\n{ZONE}. NONE {rtype}" in text


def test_from_addresses_to_an_alias_other_types_have_to_be_absent() -> None:
    old = claim(f"x.{ZONE}", "192.0.2.1")
    new = as_update(old, "lb.example.org")
    text = update_message([new], ZONE, None).to_text()
    assert f"x.{ZONE}. NONE MX" in text
    assert f"x.{ZONE}. 0 IN A 192.0.2.1" in text
    assert f'_decco.x.{ZONE}. 0 IN TXT "v1 default {UID}"' in text


def test_a_long_text_is_split_in_strings() -> None:
    record = RecordSet(f"_decco.t.{ZONE}", "TXT", 60, ("x" * 600,))
    change = Change(f"t.{ZONE}", record.name, (), (record,))
    wire = update_message([change], ZONE, None).to_wire()
    (rdata,) = dns.message.from_wire(wire).sections[2][0]
    assert [len(s) for s in rdata.strings] == [255, 255, 90]
