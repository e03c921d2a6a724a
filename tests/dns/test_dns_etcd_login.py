"""The provider coredns and an etcd with TLS: users with passwords and roles, tokens that end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from decco.dns.errors import DnsError, ProviderRefused, ProviderUnreachable
from decco.dns.factory import ProviderEnvironment, make_provider
from decco.dns.provider import Change, Provider, Zone
from decco.dns.providers.coredns.settings import Settings as CoreDnsSettings
from decco.dns.records import address_sets
from decco.dns.registry import Owner, ownership_set
from testbed import prerequisites
from testbed.dns.etcd_login import PASSWORD, USER, EtcdWithLogin
from testbed.dns.httpmodel import HttpModel, Request, Response
from testbed.pki import Authority
from tests.dns.world import UID

ZONE = Zone("z.test")
NO_ETCD = prerequisites.reason(*prerequisites.ETCD)
pytestmark = pytest.mark.skipif(bool(NO_ETCD), reason=NO_ETCD)


def claim(label: str) -> Change:
    name = f"{label}.{ZONE.name}"
    ownership = ownership_set(name, ZONE.name, Owner("here", UID), 60)
    return Change(name, ownership.name, (), (*address_sets(name, ["192.0.2.1"], 60), ownership))


def provider(etcd: EtcdWithLogin, path: str = "/skydns", **secret: bytes) -> Provider:
    """As the controller makes it of settings and a Secret."""
    settings = CoreDnsSettings(zones=(ZONE.name,), endpoints=(etcd.url,), path=path, secret_name="etcd")
    content = {name.replace("_", "."): value for name, value in secret.items()}
    return make_provider(settings, ProviderEnvironment({"etcd": content}))


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
        made._token = "forgotten.1"  # type: ignore[attr-defined]  # unknown to etcd after a restart
        assert await made.apply(ZONE, [claim("token")]) == [None]
    finally:
        await made.close()


async def test_a_password_read_from_a_file_has_a_line_break_at_its_end(etcd: EtcdWithLogin) -> None:
    made = provider(etcd, ca_crt=etcd.ca, username=f"{USER}\n".encode(), password=f"{PASSWORD}\r\n".encode())
    try:
        assert await made.apply(ZONE, [claim("newline")]) == [None]
    finally:
        await made.close()


class Rejecting(HttpModel):
    """An etcd whose tokens are never good: as a member that does not have the others' tokens, behind a load balancer.

    ``answer`` is what it says of them, ``logins`` how many it has issued; one of the first ``good_from`` is good.
    """

    def __init__(self, status: int, answer: object, good_from: int = 10**6) -> None:
        self._status, self._answer, self._good_from = status, answer, good_from
        self.logins = 0

    def respond(self, request: Request) -> Response:
        if request.path.endswith("/auth/authenticate"):
            self.logins += 1
            return Response(200, "application/json", json.dumps({"token": f"t.{self.logins}"}).encode())
        if self.logins >= self._good_from and request.headers["Authorization"] == f"t.{self.logins}":
            return Response(200, "application/json", b'{"header": {}}')
        return Response(self._status, "application/json", json.dumps(self._answer).encode())


TOKEN_REJECTED = {
    "unauthenticated": (401, {"code": 16, "message": "etcdserver: invalid auth token"}),
    "old revision": (400, {"code": 3, "message": "etcdserver: revision of auth store is old"}),
}


def login_provider(model: Rejecting) -> Provider:
    settings = CoreDnsSettings(zones=(ZONE.name,), endpoints=(model.url,), secret_name="etcd")
    return make_provider(settings, ProviderEnvironment({"etcd": {"username": b"u", "password": b"p"}}))


@pytest.mark.parametrize("answer", TOKEN_REJECTED.values(), ids=TOKEN_REJECTED)
async def test_a_token_that_is_always_rejected_costs_one_login_per_rejection(answer: tuple[int, object]) -> None:
    with Rejecting(*answer) as model:
        made = login_provider(model)
        try:
            with pytest.raises(ProviderRefused, match="rejects the token that it has just issued"):
                await made.records(ZONE)
            assert model.logins == 2, "the first one, and one for the rejection"
            with pytest.raises(ProviderRefused):
                await made.records(ZONE)
            assert model.logins == 3
        finally:
            await made.close()


@pytest.mark.parametrize("answer", TOKEN_REJECTED.values(), ids=TOKEN_REJECTED)
async def test_many_calls_whose_token_is_rejected_together_cause_one_login(answer: tuple[int, object]) -> None:
    with Rejecting(*answer, good_from=2) as model:
        made = login_provider(model)
        try:
            made._token = "rejected"  # type: ignore[attr-defined]
            model.logins = 1
            assert await asyncio.gather(*(made.records(ZONE) for _ in range(20))) == [[]] * 20
            assert model.logins == 2
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
async def test_a_missing_permission_is_reported(
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
