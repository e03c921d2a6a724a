"""Renewed credentials take effect without a restart: on BIND, whose TSIG key changes while decco works."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from decco.dns.factory import ProviderEnvironment, make_dns
from decco.dns.providers.rfc2136.settings import Settings as Rfc2136Settings
from decco.dns.service import Dns
from decco.dns.settings import DnsSettings
from testbed.dns.bind import Bind
from testbed.dns.server import HOST, KEY_NAME, KEY_SECRET
from tests.dns.world import UID, ready, running, until, wanted_record

pytestmark = pytest.mark.skipif(bool(Bind.missing()), reason=f"MISSING {Bind.missing()}")
ZONE = "keys.test"
NEW_SECRET = "YW5vdGhlciBzZWNyZXQgb2YgMzIgb2N0ZXRzIGF0IGxlYXN0"


@pytest.fixture
def bind() -> Iterator[Bind]:
    with Bind() as server:
        server.create_zone(ZONE)
        yield server


class Secrets:
    """The Secrets of decco's namespace; ``reads`` counts how often one was asked for."""

    def __init__(self) -> None:
        self.secret: str | None = KEY_SECRET
        self.reads = 0

    async def read(self, name: str) -> Mapping[str, bytes] | None:
        assert name == "dns-key"
        self.reads += 1
        return self.content

    @property
    def content(self) -> Mapping[str, bytes] | None:
        return None if self.secret is None else {"secret": self.secret.encode()}


def service(bind: Bind, secrets: Secrets | None, **key: str) -> Dns:
    provider = Rfc2136Settings(zones=(ZONE,), host=HOST, port=bind.port, tsig_key_name=KEY_NAME, **key)
    settings = DnsSettings(providers=(provider,), gather_milliseconds=10, retry_base_seconds=0.1, retry_max_seconds=0.2)
    outside = (
        ProviderEnvironment({"dns-key": secrets.content or {}}, "decco", secrets.read)
        if secrets
        else ProviderEnvironment()
    )
    return make_dns(settings, "here", outside, lambda *_, **__: None)


async def publish(dns: Dns, *labels: str) -> None:
    dns.ensure(UID, [wanted_record(f"{label}.{ZONE}") for label in labels])
    await ready(dns, UID)


async def test_a_secret_with_the_new_key_is_read_when_the_old_one_is_refused(bind: Bind) -> None:
    secrets = Secrets()
    dns = service(bind, secrets, secret_name="dns-key")
    async with running(dns):
        await publish(dns, "a")
        assert secrets.reads == 0
        secrets.secret = NEW_SECRET
        await asyncio.to_thread(bind.change_key, NEW_SECRET)
        await publish(dns, "a", "b")
        assert secrets.reads == 1
        await publish(dns, "a", "b", "c")
        assert secrets.reads == 1
    assert await asyncio.to_thread(bind.ask, f"c.{ZONE}", "A") == {"192.0.2.1"}


async def test_the_condition_says_so_until_the_secret_follows(bind: Bind) -> None:
    secrets = Secrets()
    dns = service(bind, secrets, secret_name="dns-key")
    async with running(dns):
        await publish(dns, "a")
        await asyncio.to_thread(bind.change_key, NEW_SECRET)
        dns.ensure(UID, [wanted_record(f"a.{ZONE}"), wanted_record(f"b.{ZONE}")])
        await until(dns, lambda: [p.reason for p in dns.state(UID).problems] == ["ProviderRefused"])
        secrets.secret = "no base64!"
        await until(dns, lambda: "cannot be used" in dns.state(UID).problems[0].message)
        secrets.secret = None  # the API server does not answer
        before = secrets.reads
        await until(dns, lambda: secrets.reads > before and "cannot be used" not in dns.state(UID).problems[0].message)
        secrets.secret = NEW_SECRET
        await ready(dns, UID)


async def test_a_key_file_with_the_new_key(bind: Bind, tmp_path: Path) -> None:
    file = tmp_path / "tsig"
    await asyncio.to_thread(file.write_text, KEY_SECRET)
    dns = await asyncio.to_thread(service, bind, None, tsig_secret_file=str(file))
    async with running(dns):
        await publish(dns, "a")
        await asyncio.to_thread(file.write_text, f"{NEW_SECRET}\n")
        await asyncio.to_thread(bind.change_key, NEW_SECRET)
        await publish(dns, "a", "b")
    assert await asyncio.to_thread(bind.ask, f"b.{ZONE}", "A") == {"192.0.2.1"}


@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["LF", "CRLF"])
async def test_a_key_file_as_tsig_keygen_writes_it(bind: Bind, tmp_path: Path, ending: str) -> None:
    """Name and algorithm come from the file, which has other keys too."""
    lines = [
        "// written by tsig-keygen",
        'key "other" { algorithm hmac-sha512; secret "' + NEW_SECRET + '"; };',
        f'key "{KEY_NAME}" {{',
        "\talgorithm hmac-sha256; # of this server",
        f'\tsecret "{KEY_SECRET}";',
        "};",
    ]
    file = tmp_path / "tsig.key"
    await asyncio.to_thread(file.write_bytes, "".join(line + ending for line in lines).encode())
    dns = await asyncio.to_thread(service, bind, None, tsig_secret_file=str(file))
    async with running(dns):
        await publish(dns, "bind")
    assert await asyncio.to_thread(bind.ask, f"bind.{ZONE}", "A") == {"192.0.2.1"}
