from __future__ import annotations

from unittest.mock import create_autospec

import pytest
from pydantic import ValidationError

from decco.dns.factory import ProviderEnvironment, make_dns, make_provider, refreshing, stack
from decco.dns.provider import Objects
from decco.dns.providers.externaldns.settings import Settings as ExternalDns
from decco.dns.providers.memory.settings import Settings as MemorySettings
from decco.dns.settings import DnsSettings
from decco.dns.wrappers.base import DryRun, LeaderGate
from decco.errors import ConfigError

RFC2136 = {"type": "rfc2136", "zones": ["Example.COM."], "host": "192.0.2.53", "tsigKeyName": "k", "secretName": "tsig"}
AWS = {"type": "route53", "zones": ["example.com"], "secretName": "aws"}
ETCD = {"type": "coredns", "zones": ["example.com"], "endpoints": ["https://etcd:2379"], "secretName": "etcd"}
GOOGLE = {"type": "clouddns", "zones": ["example.com"], "project": "p", "secretName": "gcp"}
EXTERNAL = {"type": "externaldns", "zones": ["example.com"]}


def settings(*providers: dict[str, object]) -> DnsSettings:
    return DnsSettings.model_validate({"providers": list(providers)})


def observe(_provider: str, _operation: str, _result: str, _seconds: float) -> None: ...


def test_zones_are_normalised_and_secrets_named() -> None:
    made = settings(RFC2136, AWS)
    assert made.providers[0].zones == ("example.com",)
    assert made.secret_names == {"tsig", "aws"}


@pytest.mark.parametrize(
    ("provider", "word"),
    [
        ({"type": "rfc2136", "host": "h"}, "zones"),
        ({"type": "memory", "zones": []}, "zones"),
        ({"type": "memory", "zones": ["*.example.com"]}, "without"),
        ({"type": "memory", "zones": ["a..b"]}, "empty label"),
        ({"type": "bind", "zones": ["a.b"]}, "type"),
        ({"type": "memory", "zones": ["a.b"], "colour": "red"}, "colour"),
        ({**RFC2136, "secretName": None}, "tsigKeyName needs the key"),
        ({**RFC2136, "tsigSecretFile": "/f"}, "not by both"),
        ({"type": "coredns", "zones": ["a.b"], "endpoints": ["etcd:2379"]}, "endpoints"),
    ],
)
def test_a_mistake_is_refused_where_it_is(provider: dict[str, object], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        settings(provider)


def test_providers_have_names_of_their_own() -> None:
    with pytest.raises(ValidationError, match="called memory"):
        settings({"type": "memory", "zones": ["a.b"]}, {"type": "memory", "zones": ["c.d"]})


@pytest.mark.parametrize(
    ("provider", "content", "word"),
    [
        (RFC2136, None, "lacks"),
        (RFC2136, {}, "base64"),
        (RFC2136, {"secret": b"not base64!"}, "base64"),
        (AWS, {"accessKeyId": b"x"}, "secretAccessKey"),
        (ETCD, {"username": b"x"}, "only one of username"),
        (ETCD, {"tls.crt": b"x"}, "only one of tls"),
        (ETCD, {"ca.crt": b"x"}, "must be PEM"),
        (GOOGLE, {}, "key.json"),
        (EXTERNAL, {}, "CRD"),
    ],
)
def test_wrong_credentials_end_the_start(
    provider: dict[str, object], content: dict[str, bytes] | None, word: str
) -> None:
    made = settings(provider)
    secrets = {} if content is None else {str(provider.get("secretName")): content}
    with pytest.raises(ConfigError, match=word):
        make_dns(made, "here", ProviderEnvironment(secrets), observe)


def test_each_kind_is_made() -> None:
    secrets = {
        "tsig": {"secret": b"c2VjcmV0c2VjcmV0c2VjcmV0\n"},
        "aws": {"accessKeyId": b"a", "secretAccessKey": b"b"},
        "etcd": {"username": b"u", "password": b"p"},
    }
    kinds = [RFC2136, AWS, ETCD, EXTERNAL, {"type": "memory", "zones": ["m.b"]}, {"type": "none", "zones": ["n.b"]}]
    outside = ProviderEnvironment(secrets, objects={ExternalDns.kind: create_autospec(Objects, instance=True)})
    made = [make_provider(one, outside) for one in settings(*kinds).providers]
    assert [p.name for p in made] == ["rfc2136", "route53", "coredns", "externaldns", "memory", "none"]


async def test_a_dry_run_reaches_no_provider() -> None:
    one = MemorySettings(zones=("example.com",))
    wrapped = stack(refreshing(one, ProviderEnvironment()), one, "here", observe, dry_run=True)
    inner = wrapped
    found = []
    while hasattr(inner, "inner"):
        found.append(type(inner))
        inner = inner.inner
    assert DryRun in found
    assert found[-1] is LeaderGate, "asked last of all, where the call leaves"
