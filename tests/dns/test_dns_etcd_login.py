"""The provider coredns and an etcd with TLS: users with passwords and roles, tokens that end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from decco.dns.errors import DnsError, ProviderRefused, ProviderUnreachable
from decco.dns.factory import Outside, make_provider
from decco.dns.provider import Change, Provider, Zone
from decco.dns.records import address_sets
from decco.dns.registry import Owner, mark_set
from decco.settings_dns import CoreDnsSettings
from testbed.dns import install
from testbed.dns.etcd_login import PASSWORD, USER, EtcdWithLogin
from testbed.pki import Authority
from tests.dns.world import UID

ZONE = Zone("z.test")
pytestmark = pytest.mark.skipif(bool(install.missing("etcd")), reason="MISSING coredns: install Debian's etcd-server")


def claim(label: str) -> Change:
    name = f"{label}.{ZONE.name}"
    mark = mark_set(name, ZONE.name, Owner("here", UID), 60)
    return Change(name, mark.name, (), (*address_sets(name, ["192.0.2.1"], 60), mark))


def provider(etcd: EtcdWithLogin, path: str = "/skydns", **secret: bytes) -> Provider:
    """As the controller makes it of settings and a Secret."""
    settings = CoreDnsSettings(zones=(ZONE.name,), endpoints=(etcd.url,), path=path, secret_name="etcd")
    content = {name.replace("_", "."): value for name, value in secret.items()}
    return make_provider(settings, Outside({"etcd": content}))


@pytest.fixture(scope="module")
def etcd() -> Iterator[EtcdWithLogin]:
    with EtcdWithLogin() as etcd:
        yield etcd


async def test_a_user_with_a_password(etcd: EtcdWithLogin) -> None:
    made = provider(etcd, ca_crt=etcd.ca, username=USER.encode(), password=PASSWORD.encode())
    try:
        assert await made.apply(ZONE, [claim("user")]) == [None]
        assert {s.name for s in await made.records(ZONE)} == {"user.z.test", "_decco.user.z.test"}
    finally:
        await made.close()


async def test_a_token_that_is_no_longer_good_is_replaced(etcd: EtcdWithLogin) -> None:
    made = provider(etcd, ca_crt=etcd.ca, username=USER.encode(), password=PASSWORD.encode())
    try:
        await made.records(ZONE)
        made._token = "forgotten.1"  # type: ignore[attr-defined]  # what etcd knows no more: it was restarted
        assert await made.apply(ZONE, [claim("token")]) == [None]
    finally:
        await made.close()


@pytest.mark.parametrize(
    ("secret", "path", "error"),
    [
        ({"username": USER.encode(), "password": b"wrong"}, "/skydns", ProviderRefused),
        ({"username": b"nobody", "password": b"x"}, "/skydns", ProviderRefused),
        ({}, "/skydns", ProviderRefused),
        ({"username": USER.encode(), "password": PASSWORD.encode()}, "/elsewhere", ProviderRefused),
    ],
    ids=["wrong password", "unknown user", "no user", "outside of the role"],
)
async def test_who_may_not_is_told_so(
    etcd: EtcdWithLogin, secret: dict[str, bytes], path: str, error: type[DnsError]
) -> None:
    made = provider(etcd, path, ca_crt=etcd.ca, **secret)
    try:
        with pytest.raises(error):
            await made.records(ZONE)
        with pytest.raises(error):
            await made.apply(ZONE, [claim("never")])
    finally:
        await made.close()


async def test_a_server_of_an_unknown_authority_gets_no_password(etcd: EtcdWithLogin, tmp_path: Path) -> None:
    other = Authority(tmp_path).files.cert.read_bytes()
    made = provider(etcd, ca_crt=other, username=USER.encode(), password=PASSWORD.encode())
    try:
        with pytest.raises(ProviderUnreachable, match="certificate"):
            await made.records(ZONE)
    finally:
        await made.close()
