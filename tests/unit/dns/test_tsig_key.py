"""TSIG keys in all forms that BIND's tools write."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from decco.dns.factory import ProviderEnvironment, make_provider
from decco.dns.providers.rfc2136.client import Rfc2136Provider
from decco.dns.providers.rfc2136.settings import algorithm_name
from decco.dns.providers.rfc2136.tsig_key import TsigKey, choose, read_keys
from decco.dns.settings import DnsSettings
from decco.errors import ConfigError
from testbed import packages, prerequisites

NO_BIND = prerequisites.reason(*prerequisites.BIND)
SECRET = "c2l4dGVlbiBieXRlcyBvZiB0ZXN0IHNlY3JldCBoZXJl"
OTHER = "YW5vdGhlciBzZWNyZXQgb2YgMzIgb2N0ZXRzIGF0IGxlYXN0"
BIND = f"""key "decco.example" {{
\talgorithm hmac-sha512;
\tsecret "{SECRET}";
}};
"""
NAMED_CONF = f"""
// the keys of this server; not "quoted
options {{ directory "/var/cache/bind"; allow-transfer {{ key "other"; }}; }};
/* key "old" {{ algorithm hmac-md5; secret "{OTHER}"; }}; */
key other {{ algorithm hmac-sha256; secret {OTHER}; }};   # a key
view "internal" {{
    match-clients {{ 10.0.0.0/8; }};
    KEY "ignored";
    key "decco.example" {{ secret "{SECRET}"; algorithm "hmac-sha512"; }};
}};
controls {{ inet 127.0.0.1 port 953 allow {{ 127.0.0.1; }} keys {{ "other"; }}; }};
server 192.0.2.1 {{ keys {{ other; }}; }};
"""
PRIVATE = (
    f"Private-key-format: v1.3\nAlgorithm: 165 (HMAC_SHA512)\nKey: {SECRET}\nBits: AAA=\nCreated: 20260101000000\n"
)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (SECRET, [("", "", SECRET)]),
        (f"{SECRET}\r\n", [("", "", SECRET)]),
        (f"\ufeff{SECRET}", [("", "", SECRET)]),
        (f"{SECRET[:20]}\n{SECRET[20:]}\n", [("", "", f"{SECRET[:20]}\n{SECRET[20:]}")]),
        (f"decco.example:{SECRET}", [("decco.example", "", SECRET)]),
        (f"hmac-sha512:decco.example:{SECRET}\n", [("decco.example", "hmac-sha512", SECRET)]),
        (BIND, [("decco.example", "hmac-sha512", SECRET)]),
        (BIND.replace("\n", "\r\n"), [("decco.example", "hmac-sha512", SECRET)]),
        (BIND.replace('"', ""), [("decco.example", "hmac-sha512", SECRET)]),
        (NAMED_CONF, [("other", "hmac-sha256", OTHER), ("decco.example", "hmac-sha512", SECRET)]),
        (PRIVATE, [("", "hmac-sha512", SECRET)]),
        (f"decco.example. IN KEY 512 3 165 {SECRET}\n", [("decco.example.", "hmac-sha512", SECRET)]),
        (f"decco.example. 0 KEY 512 3 163 {SECRET}", [("decco.example.", "hmac-sha256", SECRET)]),
    ],
)
def test_each_form_is_read(text: str, keys: list[tuple[str, str, str]]) -> None:
    assert [(key.name, key.algorithm, key.secret) for key in read_keys(text)] == keys


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("options { directory x; };", "no statement key"),
        (f'key "a" {{ algorithm hmac-sha256; secret "{SECRET}"; ', "closing brace"),
        (f'view x {{ key "a" {{ secret "{SECRET}"; }};', "closing brace"),
        (f'}} key "a" {{ secret "{SECRET}"; }};', "closing brace too many"),
        ('key "a" { algorithm hmac-sha256; };', "no secret"),
        (f'options {{ }};\n\nkey "a {{ secret {SECRET}; }};', "quotation mark in line 3"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_without_the_secret(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word) as caught:
        read_keys(text)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hmac-sha256", "hmac-sha256"),
        ("HMAC-SHA256.", "hmac-sha256"),
        ("HMACSHA256", "hmac-sha256"),
        ("HMAC_SHA1", "hmac-sha1"),
        ("hmac-md5", "hmac-md5.sig-alg.reg.int"),
        ("HMAC-MD5.SIG-ALG.REG.INT.", "hmac-md5.sig-alg.reg.int"),
    ],
)
def test_an_algorithm_has_one_name(text: str, name: str) -> None:
    assert algorithm_name(text) == name


def test_a_key_does_not_show_its_secret() -> None:
    assert SECRET not in repr(TsigKey("a", "hmac-sha256", SECRET))


def test_the_key_of_the_settings_is_chosen() -> None:
    keys = read_keys(NAMED_CONF)
    assert choose(keys, "DECCO.example.").secret == SECRET
    with pytest.raises(ValueError, match=r"2 keys .'other', 'decco\.example'.: name one with tsigKeyName"):
        choose(keys, "")
    with pytest.raises(ValueError, match="no key 'third'"):
        choose(keys, "third")


def signing_key(text: str | bytes, folder: Path | None = None, **settings: str) -> tuple[str, str]:
    """Name and algorithm of the key with which the provider signs, of a Secret, or of a file in ``folder``."""
    raw = text.encode() if isinstance(text, str) else text
    provider: dict[str, object] = {"type": "rfc2136", "zones": ["z.test"], "host": "192.0.2.53", **settings}
    if folder is None:
        provider["secretName"] = "tsig"
    else:
        (folder / "key").write_bytes(raw)
        provider["tsigSecretFile"] = str(folder / "key")
    (made,) = DnsSettings.model_validate({"providers": [provider]}).providers
    found = make_provider(made, ProviderEnvironment({"tsig": {"secret": raw}}))
    assert isinstance(found, Rfc2136Provider)
    key = found._key
    assert key is not None
    assert key.secret == b"sixteen bytes of test secret here"
    return str(key.name), str(key.algorithm)


@pytest.mark.parametrize("in_file", [False, True], ids=["Secret", "file"])
def test_a_key_says_its_name_and_algorithm_itself(tmp_path: Path, in_file: bool) -> None:
    folder = tmp_path if in_file else None
    whole = ("decco.example.", "hmac-sha512.")
    assert signing_key(BIND, folder) == whole
    assert signing_key(NAMED_CONF, folder, tsigKeyName="decco.example") == whole
    assert signing_key(f"hmac-sha512:decco.example:{SECRET}\n", folder) == whole
    assert signing_key(PRIVATE, folder, tsigKeyName="decco.example") == whole
    assert signing_key(SECRET, folder, tsigKeyName="decco.example") == ("decco.example.", "hmac-sha256.")
    assert signing_key(SECRET, folder, tsigKeyName="k", tsigAlgorithm="HMACSHA512") == ("k.", "hmac-sha512.")


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        (SECRET, {}, "it has no name: give tsigKeyName"),
        (BIND, {"tsigKeyName": "other"}, "it has no key 'other', which the settings name, but 'decco.example'"),
        (BIND, {"tsigAlgorithm": "hmac-sha256"}, "its algorithm is hmac-sha512, but tsigAlgorithm is hmac-sha256"),
        (BIND.replace("sha512", "sha3"), {}, "its algorithm 'hmac-sha3' is not supported"),
        (SECRET[:-1], {"tsigKeyName": "k"}, "its secret must be base64"),
        ("in valid!", {"tsigKeyName": "k"}, "its secret must be base64"),
        (f'"{SECRET}"', {"tsigKeyName": "k"}, "its secret must be base64"),
        (" \n", {"tsigKeyName": "k"}, "it is empty: write the key there, in base64"),
        (b"\xff\xfe" + SECRET.encode("utf-16-le"), {"tsigKeyName": "k"}, "it must be text in UTF-8"),
    ],
)
def test_a_key_that_cannot_work_ends_the_start_with_place_and_cause(
    text: str | bytes, settings: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        signing_key(text, **settings)
    assert str(caught.value).startswith("dns.providers: the TSIG key in the Secret tsig of rfc2136 cannot be used: ")
    assert words in str(caught.value)
    assert SECRET[:-1] not in str(caught.value)


@pytest.mark.skipif(bool(NO_BIND), reason=NO_BIND)
@pytest.mark.parametrize("algorithm", ["hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha512"])
def test_what_tsig_keygen_writes(algorithm: str) -> None:
    written = subprocess.run(
        [str(packages.path_of("tsig-keygen")), "-a", algorithm, "decco.example"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (key,) = read_keys(written.stdout)
    assert (key.name, key.algorithm) == ("decco.example", algorithm)
    assert key.signing().secret
