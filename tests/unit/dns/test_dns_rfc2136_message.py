from __future__ import annotations

import random

import dns.message
import dns.name
import dns.tsig
import dns.update
import pytest

from decco.dns.provider import Change, Zone
from decco.dns.providers.rfc2136.client import Rfc2136Provider
from decco.dns.providers.rfc2136.message import MAX_MESSAGE, fit, needs, update_message
from decco.dns.records import CNAME, A, RecordSet, address_sets
from decco.dns.registry import Owner, ownership_set
from tests.sample import seeds

ZONE = "example.com"
UID = "0b3c9f4e-6f0c-4a39-8a53-1d1f3b5f2d11"
KEY = dns.tsig.Key("decco", "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "hmac-sha512")


def claim(name: str, *targets: str) -> Change:
    ownership = ownership_set(name, ZONE, Owner("default", UID), 60)
    return Change(name, ownership.name, (), (*address_sets(name, targets, 60), ownership))


def names(dice: random.Random, count: int) -> list[str]:
    def label() -> str:
        return "l" + "".join(dice.choices("abcdefghij", k=dice.randint(0, 40)))

    return [".".join([*(label() for _ in range(dice.randint(1, 4))), str(i), ZONE]) for i in range(count)]


def as_update(old: Change, *targets: str) -> Change:
    return Change(old.name, old.ownership_name, old.after, (*address_sets(old.name, targets, 60), old.after[-1]))


def as_delete(old: Change) -> Change:
    return Change(old.name, old.ownership_name, old.after, ())


def decoded(*changes: Change, key: dns.tsig.Key | None = None) -> dns.update.UpdateMessage:
    """The message as dnspython reads it, which also checks its signature."""
    wire, _ = update_message(changes, ZONE, key)
    message = dns.message.from_wire(wire, keyring=key)
    assert isinstance(message, dns.update.UpdateMessage)
    return message


def by_dnspython(changes: list[Change]) -> dns.update.UpdateMessage:
    """The same message made with a library."""
    message = dns.update.UpdateMessage(ZONE)

    def rdata(records: RecordSet) -> list[str]:
        return [{"TXT": f'"{v}"', "CNAME": f"{v}."}.get(records.type, v) for v in records.values]

    for change in changes:
        for need in needs(change, ZONE):
            name = dns.name.from_text(need.name)
            if need.records is not None:
                message.present(name, need.records.type, *rdata(need.records))
            else:
                message.absent(name, *([need.rtype] if need.rtype else []))
        for old in change.before:
            if old not in change.after:
                message.delete(dns.name.from_text(old.name), old.type)
        for new in change.written:
            message.add(dns.name.from_text(new.name), new.ttl, new.type, *rdata(new))
    return message


@pytest.mark.parametrize("seed", seeds(6, sample=1))
def test_messages_say_what_dnspython_would_say_and_fit(seed: int) -> None:
    dice = random.Random(seed)
    targets = [["192.0.2.1"], ["192.0.2.1", "192.0.2.2", "2001:db8::1"], ["lb.example.org"]]
    left = []
    for name in [ZONE, *names(dice, 400), ".".join(["l" * 60] * 3 + ["m" * 50, ZONE])]:
        change = claim(name, *dice.choice(targets[: 2 if name == ZONE else 3]))
        kind = dice.randrange(3)
        left.append(change if kind == 0 else as_delete(change) if kind == 1 else as_update(change, *targets[kind]))
    while left:
        count = fit(left, ZONE)
        wire, _ = update_message(left[:count], ZONE, KEY)
        assert len(wire) <= MAX_MESSAGE
        sent, left = left[:count], left[count:]
        assert len(wire) > 0.95 * MAX_MESSAGE or not left
        ours, theirs = decoded(*sent, key=KEY), by_dnspython(sent)
        assert set(map(str, ours.zone)) == set(map(str, theirs.zone))
        assert {str(r) for r in ours.prerequisite} == {str(r) for r in theirs.prerequisite}
        assert {str(r) for r in ours.update} == {str(r) for r in theirs.update}


def test_what_is_replaced_is_deleted_before() -> None:
    old = claim(f"x.{ZONE}", "192.0.2.1")
    updates = [str(r) for r in decoded(as_update(old, "lb.example.org")).update]
    assert updates == [f"x.{ZONE}. ANY A", f"x.{ZONE}. 60 IN CNAME lb.example.org."]


@pytest.mark.parametrize("label", ["space-0", "orders.acme-"])
def test_five_hundred_claims_of_ordinary_names_are_one_message(label: str) -> None:
    changes = [claim(f"{label}{i:03d}.{ZONE}", "192.0.2.1") for i in range(1000)]
    provider = Rfc2136Provider("p", (ZONE,), "127.0.0.1")
    assert provider.fit(Zone(ZONE), changes) == 500
    wire, _ = update_message(changes[:500], ZONE, KEY)
    assert len(wire) <= MAX_MESSAGE


def test_a_change_too_large_for_any_message_is_packed_alone() -> None:
    large = claim(f"x.{ZONE}", *(f"192.0.{i >> 8}.{i & 255}" for i in range(5000)))
    assert fit([large, large], ZONE) == 1


def test_a_claim_needs_that_name_and_ownership_record_are_absent() -> None:
    text = decoded(claim(f"x.{ZONE}", "192.0.2.1")).to_text()
    assert f"_decco.x.{ZONE}. NONE ANY" in text
    assert f"\nx.{ZONE}. NONE ANY" in text


def test_at_the_apex_only_addresses_have_to_be_absent() -> None:
    text = decoded(claim(ZONE, "192.0.2.1")).to_text()
    assert f"\n{ZONE}. NONE ANY" not in text
    for rtype in (A, "AAAA", CNAME):
        assert f"\n{ZONE}. NONE {rtype}" in text


def test_from_addresses_to_an_alias_other_types_have_to_be_absent() -> None:
    old = claim(f"x.{ZONE}", "192.0.2.1")
    text = decoded(as_update(old, "lb.example.org")).to_text()
    assert f"x.{ZONE}. NONE MX" in text
    assert f"x.{ZONE}. 0 IN A 192.0.2.1" in text
    assert f'_decco.x.{ZONE}. 0 IN TXT "v1 default {UID}"' in text


def test_a_long_text_is_split_in_strings() -> None:
    record = RecordSet(f"_decco.t.{ZONE}", "TXT", 60, ("x" * 600,))
    (rdata,) = decoded(Change(f"t.{ZONE}", record.name, (), (record,))).update[0]
    assert [len(s) for s in rdata.strings] == [255, 255, 90]
