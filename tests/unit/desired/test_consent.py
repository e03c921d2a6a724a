"""Who may have a copy of a shared Secret: identities, and bare names as far as nothing is ambiguous."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from decco.api.types import SpaceSpec
from decco.desired.consent import consent, parse_share_with
from decco.desired.model import SecretFacts, SecretSource, SpaceFacts
from tests.unit.desired.app_cases import claims_of

BEFORE, MIDDLE, AFTER = (f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3))


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        (None, set()),
        ("", set()),
        (" , ,", set()),
        ("shop", {"shop"}),
        (" shop.example.net,\tblue , ", {"shop.example.net", "blue"}),
        ("Shop.Example.Net., *.Example.net", {"shop.example.net", "*.example.net"}),
        ("*, project:a", {"*", "project:a"}),
        ("shop\nblue", {"shop\nblue"}),  # not a name of a Space, so no Space
    ],
)
def test_parse_share_with(text: str | None, entries: set[str]) -> None:
    assert parse_share_with(text) == entries


def given(
    share_with: str,
    *names: str,
    created: str = AFTER,
    lost: Mapping[str, str] | None = None,
    copied: bool = False,
    hostnames: tuple[str, ...] = (),
) -> str:
    """The answer for the Space shop.example.net of project a and a certificate of these names; the Secret is of the day
    MIDDLE, and the Space is younger if nothing is said.
    """
    spec = SpaceSpec(domain_name="example.net", project="a", hostnames=hostnames)
    space = SpaceFacts("shop", "u", 1, created, spec)
    source = SecretSource("s", "Opaque", {}, parse_share_with(share_with), created=MIDDLE)
    facts = SecretFacts(type="Opaque", digest="", has_ca=False, dns_names=names)
    return consent(source, facts, space, claims_of(space, lost), copied=copied)


@pytest.mark.parametrize("entry", ["*", "shop.example.net", "*.example.net", "project:a"])
def test_an_identity_is_consent(entry: str) -> None:
    assert given(f"x, {entry}") == entry


@pytest.mark.parametrize(
    "entry", ["shop.evil.test", "*.evil.test", "*.net", "project:b", "project:", "SHOP", "s*", "x"]
)
def test_another_identity_is_not(entry: str) -> None:
    assert given(entry, "shop.example.net", created=BEFORE, copied=True) == ""


@pytest.mark.parametrize("entry", ["shop.example.net", "*.example.net"])
def test_a_space_without_its_fqdn_is_not_that_fqdn(entry: str) -> None:
    assert given(entry, lost={"shop.example.net": "other"}) == ""


@pytest.mark.parametrize(
    ("names", "counts"),
    [
        (("shop.example.net",), True),
        (("*.shop.example.net", "shop.example.net"), True),
        (("db.shop.example.net", "db.shop.svc"), True),
        (("*.example.net",), True),
        (("tls.example.net",), True),
        (("example.net",), True),
        (("shop.victim.test",), False),
        (("SHOP.victim.test.",), False),
        (("*.victim.test",), False),
        (("shop.example.net", "shop.victim.test"), False),
        (("tls.example.net", "db.shop.victim.test"), False),
        (("a.b.example.net",), False),
        (("net",), False),
        (("db.shop.svc",), False),
        ((), False),
    ],
)
def test_a_bare_name_counts_for_a_young_space_if_the_certificate_says_so(names: tuple[str, ...], counts: bool) -> None:
    """Nothing but the certificate says which Space of this name was meant when the Secret was labelled."""
    assert given("shop", *names) == ("shop" if counts else "")


def test_a_name_that_the_space_has_beside_its_fqdn_is_its_own() -> None:
    assert given("shop", "shop.example.net", "shop.example.org", hostnames=("shop.example.org",)) == "shop"
    lost = {"shop.example.org": "other"}
    assert given("shop", "shop.example.net", "shop.example.org", hostnames=("shop.example.org",), lost=lost) == ""


def test_a_bare_name_counts_for_a_space_that_was_there_first_if_the_certificate_is_silent() -> None:
    assert given("shop", "db.shop.svc", created=BEFORE) == "shop"
    assert given("shop", created=BEFORE) == "shop"
    assert given("shop", created=MIDDLE) == "", "in the same second nothing is known"
    assert given("shop", "shop.victim.test", created=BEFORE) == ""
    assert given("shop", "store.victim.test", created=BEFORE) == ""


def test_a_copy_that_is_there_stays() -> None:
    assert given("shop", "shop.victim.test", copied=True) == "shop"
    assert given("other", "shop.example.net", copied=True) == ""


def test_an_identity_is_preferred_to_a_bare_name() -> None:
    assert given("shop, shop.example.net", "shop.example.net") == "shop.example.net"
