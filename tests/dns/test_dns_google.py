"""google-auth as the provider clouddns uses it: key file and metadata server, on a model of where tokens are made."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator

import pytest

from decco.dns.errors import ProviderRefused, ProviderUnreachable
from decco.dns.factory import ProviderEnvironment, make_provider
from decco.dns.providers.clouddns.client import CloudDnsProvider
from decco.dns.providers.clouddns.google_token import SCOPE, GoogleToken
from decco.dns.providers.clouddns.settings import Settings as CloudDnsSettings
from decco.errors import ConfigError
from testbed.dns.clouddns_model import CloudDnsModel
from testbed.dns.google_tokens import GoogleTokens

ZONE = "z.test"


@pytest.fixture
def google() -> Iterator[GoogleTokens]:
    with GoogleTokens() as google:
        yield google


@pytest.fixture
def service(google: GoogleTokens) -> Iterator[CloudDnsModel]:
    """Cloud DNS that takes the tokens of this model, and no others."""
    with CloudDnsModel() as model:
        model.tokens = google.issued
        model.create_zone(ZONE)
        yield model


@pytest.fixture
async def provider(google: GoogleTokens, service: CloudDnsModel) -> AsyncIterator[CloudDnsProvider]:
    settings = CloudDnsSettings(zones=(ZONE,), project="example", url=service.url, secret_name="google")
    made = make_provider(settings, ProviderEnvironment({"google": {"key.json": google.key()}}))
    assert isinstance(made, CloudDnsProvider)
    yield made
    await made.close()


async def test_a_key_file(google: GoogleTokens, provider: CloudDnsProvider) -> None:
    (zone,) = await provider.zones()
    assert {s.type for s in await provider.records(zone)} == {"SOA", "NS"}
    assert google.scopes == [SCOPE], "one token for all calls, and for DNS alone"


async def test_a_token_is_replaced_before_it_ends(google: GoogleTokens, provider: CloudDnsProvider) -> None:
    google.lasts = 1  # less than what google-auth keeps in hand
    await provider.zones()
    await provider.zones()
    assert len(google.issued) == 2


async def test_a_revoked_token_is_replaced_once_for_all_calls(google: GoogleTokens, provider: CloudDnsProvider) -> None:
    await provider.zones()
    google.issued.clear()  # it would have been good for an hour
    assert [len(zones) for zones in await asyncio.gather(*(provider.zones() for _ in range(10)))] == [1] * 10
    assert len(google.issued) == 1


async def test_a_token_that_is_always_rejected_costs_one_new_token_per_rejection(
    google: GoogleTokens, service: CloudDnsModel, provider: CloudDnsProvider
) -> None:
    service.tokens = set()
    with pytest.raises(ProviderRefused, match="said 401"):
        await provider.zones()
    assert len(google.issued) == 2


async def test_a_token_is_fetched_through_the_proxy_of_the_environment(
    google: GoogleTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        await writer.drain()
        writer.close()

    key = json.loads(google.key()) | {"token_uri": "https://oauth2.example.com/token"}
    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("https_proxy", f"http://user:pa%20ss@127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "localhost")
        with pytest.raises(ProviderUnreachable):
            await GoogleToken(json.dumps(key).encode())()
    assert asked[0].startswith("CONNECT oauth2.example.com:443 ")
    assert f"Basic {base64.b64encode(b'user:pa ss').decode()}" in asked[0]


async def test_the_key_of_another_account_is_refused(google: GoogleTokens, service: CloudDnsModel) -> None:
    with GoogleTokens() as other:
        foreign = json.loads(other.key())
        foreign["token_uri"] = json.loads(google.key())["token_uri"]
    with pytest.raises(ProviderRefused, match="Invalid JWT Signature"):
        await GoogleToken(json.dumps(foreign).encode())()


async def test_a_skewed_clock_is_reported_as_such(google: GoogleTokens, provider: CloudDnsProvider) -> None:
    google.clock_ahead = 7200
    with pytest.raises(ProviderRefused, match="iat and exp"):
        await provider.zones()
    google.clock_ahead = 0
    assert len(await provider.zones()) == 1


async def test_a_token_endpoint_that_is_gone() -> None:
    with GoogleTokens() as gone:
        key = gone.key()
    with pytest.raises(ProviderUnreachable, match="cannot be reached"):
        await GoogleToken(key)()


@pytest.mark.parametrize("key", [b"", b"no json", b"[]", b'{"type": "service_account"}'])
def test_what_is_no_key_ends_the_start(key: bytes) -> None:
    with pytest.raises(ConfigError, match=r"key\.json"):
        GoogleToken(key)


async def test_the_metadata_server(
    google: GoogleTokens, service: CloudDnsModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workload identity and virtual machines: nothing in the settings but the project."""
    for name in ("GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT"):
        monkeypatch.setenv(name, google.host)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nonexistent")
    settings = CloudDnsSettings(zones=(ZONE,), project="example", url=service.url)
    made = make_provider(settings, ProviderEnvironment())
    try:
        assert len(await made.zones()) == 1
    finally:
        await made.close()
