"""Credentials as people write them: what does not count is removed, what cannot work is reported at the start."""

from __future__ import annotations

import pytest

from decco.dns.credentials import access_key, check_environment, password
from decco.dns.factory import ProviderEnvironment, make_provider
from decco.dns.provider import Provider
from decco.dns.providers.coredns.client import CoreDnsProvider
from decco.dns.providers.route53.client import Keys, Route53Provider, keys_of_environment
from decco.dns.settings import DnsSettings
from decco.errors import ConfigError

AWS = {"type": "route53", "zones": ["z.test"], "secretName": "aws"}
ETCD = {"type": "coredns", "zones": ["z.test"], "endpoints": ["https://etcd:2379"], "secretName": "etcd"}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def made(settings: dict[str, object], content: dict[str, bytes] | None = None) -> Provider:
    (one,) = DnsSettings.model_validate({"providers": [settings]}).providers
    return make_provider(one, ProviderEnvironment({str(settings.get("secretName")): content or {}}))


@pytest.mark.parametrize("raw", [b"AKIA/+x", b"AKIA/+x\n", b"AKIA/+x\r\n", b" AKIA/+x\n\n", b"\xef\xbb\xbfAKIA/+x\n"])
def test_white_space_around_an_access_key_does_not_count(raw: bytes) -> None:
    assert access_key(raw, "here") == "AKIA/+x"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"AKIA\nx", "here has a space or line break in it"),
        (b"AKIA x", "here has a space or line break in it"),
        (b'"AKIA"', "here is in quotation marks"),
        (b"'AKIA'\n", "here is in quotation marks"),
        (b"AKI\x00A", "here has characters that no such value has"),
        ("AKI\u200bA".encode(), "here has characters that no such value has"),
        (b"\xff\xfeA\x00", "here must be text in UTF-8: byte 1 is not"),
    ],
)
def test_an_access_key_that_cannot_work_is_reported_without_its_value(raw: bytes, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        access_key(raw, "here")
    assert words in str(caught.value)
    assert "AKI" not in str(caught.value)


def test_a_password_keeps_its_spaces() -> None:
    assert password(b" correct horse \r\n", "here") == " correct horse "
    with pytest.raises(ConfigError, match="here has a line break"):
        password(b"correct\nhorse", "here")


def test_the_keys_of_route_53() -> None:
    content = {"accessKeyId": b"AKIA\n", "secretAccessKey": b"s/e+cret\r\n", "sessionToken": b"\n"}
    provider = made(AWS, content)
    assert isinstance(provider, Route53Provider)
    assert provider._keys == Keys("AKIA", "s/e+cret", None)
    assert "cret" not in repr(provider._keys)
    with pytest.raises(ConfigError, match="sessionToken in the Secret aws of route53 has a space or line break"):
        made(AWS, {**content, "sessionToken": b"one\ntwo"})
    with pytest.raises(ConfigError, match="needs the keys accessKeyId and secretAccessKey"):
        made(AWS, {**content, "accessKeyId": b"\n"})


def test_the_login_at_etcd() -> None:
    provider = made(ETCD, {"username": b"decco\n", "password": b"correct horse\r\n"})
    assert isinstance(provider, CoreDnsProvider)
    assert provider._login == ("decco", "correct horse")
    with pytest.raises(ConfigError, match="password in the Secret etcd of coredns has a line break"):
        made(ETCD, {"username": b"decco", "password": b"a\nb"})


@pytest.mark.parametrize(
    ("environ", "keys"),
    [
        ({"AWS_ACCESS_KEY_ID": "a\n", "AWS_SECRET_ACCESS_KEY": "b"}, Keys("a", "b")),
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c\r\n"}, Keys("a", "b", "c")),
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, None),
        ({"AWS_ACCESS_KEY_ID": "a\n"}, None),
        ({}, None),
    ],
)
def test_the_environment_is_left_to_the_library_unless_it_needs_cleaning(
    environ: dict[str, str], keys: Keys | None
) -> None:
    assert keys_of_environment(environ) == keys


def test_a_variable_that_cannot_work_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "work\n")
    with pytest.raises(ConfigError, match="the variable AWS_PROFILE begins or ends in a line break or space"):
        made({**AWS, "secretName": None})
    with pytest.raises(ConfigError, match="the variable AWS_ACCESS_KEY_ID has a space or line break"):
        keys_of_environment({"AWS_ACCESS_KEY_ID": "a\nb", "AWS_SECRET_ACCESS_KEY": "c"})
    check_environment({"AWS_PROFILE": "work"}, ["AWS_PROFILE", "AWS_ROLE_ARN"])
