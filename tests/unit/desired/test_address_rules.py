from __future__ import annotations

import pytest

from decco.desired.address_rules import LOOPBACK, METADATA, NOT_GLOBAL, REFUSED, canonical_address, refusal
from decco.settings.model import EgressSettings

DEFAULT = EgressSettings()
WIDE = EgressSettings(allowed_cidrs=("0.0.0.0/0", "::/0"))
"""The widest mistake that the settings allow."""

ADDRESSES = {
    "1.1.1.1": "",
    "2606:4700::1111": "",
    "64:ff9b::101:101": "",  # NAT64 of 1.1.1.1
    "10.1.2.3": NOT_GLOBAL,
    "172.16.0.1": NOT_GLOBAL,
    "192.168.1.1": NOT_GLOBAL,
    "100.64.0.1": NOT_GLOBAL,
    "198.18.0.1": NOT_GLOBAL,
    "fd00::1": NOT_GLOBAL,
    "64:ff9b::a00:1": NOT_GLOBAL,  # NAT64 of 10.0.0.1
    "2002:a00:1::1": NOT_GLOBAL,  # 6to4 of 10.0.0.1
    "127.0.0.1": LOOPBACK,
    "127.8.8.8": LOOPBACK,
    "::1": LOOPBACK,
    "::ffff:127.0.0.1": LOOPBACK,
    "64:ff9b::7f00:1": LOOPBACK,
    "0.0.0.0": LOOPBACK,
    "0.1.2.3": LOOPBACK,
    "::": LOOPBACK,
    "169.254.20.10": LOOPBACK,
    "fe80::1": LOOPBACK,
    "224.0.0.1": LOOPBACK,
    "ff02::1": LOOPBACK,
    "255.255.255.255": LOOPBACK,
    "240.0.0.1": LOOPBACK,
    "169.254.169.254": METADATA,
    "64:ff9b::a9fe:a9fe": METADATA,
    "fd00:ec2::254": METADATA,
    "100.100.100.200": METADATA,
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_where_a_name_may_lead(address: str) -> None:
    assert refusal(address, DEFAULT) == ADDRESSES[address]


@pytest.mark.parametrize("address", [address for address, why in ADDRESSES.items() if why in (LOOPBACK, METADATA)])
def test_what_no_setting_permits(address: str) -> None:
    assert refusal(address, WIDE) == ADDRESSES[address]


@pytest.mark.parametrize("address", [address for address, why in ADDRESSES.items() if why in ("", NOT_GLOBAL)])
def test_what_settings_permit(address: str) -> None:
    assert refusal(address, WIDE) == ""


def test_refused_networks_have_precedence() -> None:
    settings = EgressSettings(allowed_cidrs=("10.0.0.0/8",), refused_cidrs=("10.9.0.0/16", "1.1.1.0/24"))
    found = {
        each: refusal(each, settings) for each in ("10.1.0.1", "10.9.0.1", "1.1.1.1", "1.1.2.1", "64:ff9b::101:101")
    }
    assert found == {
        "10.1.0.1": "",
        "10.9.0.1": REFUSED,
        "1.1.1.1": REFUSED,
        "1.1.2.1": "",
        "64:ff9b::101:101": REFUSED,
    }


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("fe80::1%eth0", None),
        ("1.2.3", None),
        ("example.com", None),
        ("", None),
    ],
)
def test_one_spelling(text: str, canonical: str | None) -> None:
    assert canonical_address(text) == canonical
