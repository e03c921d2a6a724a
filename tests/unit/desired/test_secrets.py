from __future__ import annotations

import random
import textwrap
import time
from base64 import b64encode, encodebytes
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from decco.api.types import SpaceSpec
from decco.desired import pem, reasons, secret_content, secrets
from decco.desired.ca_change import LiveCopy
from decco.desired.model import Problem, SecretCopy, SecretFacts, SecretSource, SecretState, SecretView

NOW = datetime(2024, 6, 1, tzinfo=UTC)
UNTIL = datetime(2024, 9, 1, 12, 30, tzinfo=UTC)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Pair:
    key: PrivateKey
    crt: bytes
    """One certificate in PEM."""

    def key_pem(self, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes | None = None) -> bytes:
        locked = BestAvailableEncryption(password) if password else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, form, locked)


@cache
def pair(name: str, kind: str = "ec") -> Pair:
    key: PrivateKey
    if kind == "rsa":
        key = rsa.generate_private_key(65537, 2048)
    elif kind == "ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.DNSName(name), x509.DNSName(f"*.{name}"), x509.DNSName("evil\nname")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1000)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(UNTIL)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, None if kind == "ed25519" else hashes.SHA256())
    )
    return Pair(key, certificate.public_bytes(Encoding.PEM))


def encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    return {key: b64encode(value).decode() for key, value in data.items()}


def inspect(**data: bytes) -> SecretFacts:
    """``tls_crt=...`` stands for the key tls.crt."""
    return secret_content.inspect(
        "kubernetes.io/tls", encoded({key.replace("_", "."): value for key, value in data.items()})
    )


WEB, OTHER = pair("web.example.com"), pair("other.example.com")
JUNK_PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
JUNK_KEY = b"-----BEGIN PRIVATE KEY-----\nMIICdgIBADANBgkqhkiG\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("ec", PrivateFormat.PKCS8),
        ("ec", PrivateFormat.TraditionalOpenSSL),
        ("rsa", PrivateFormat.PKCS8),
        ("rsa", PrivateFormat.TraditionalOpenSSL),
        ("ed25519", PrivateFormat.PKCS8),
    ],
)
def test_a_good_pair(kind: str, form: PrivateFormat) -> None:
    good = pair(f"{kind}.example.com", kind)
    facts = inspect(tls_crt=good.crt, tls_key=good.key_pem(form))
    assert facts.problem is None
    assert facts.type == "kubernetes.io/tls"
    assert facts.not_after == UNTIL
    # The name with a line break in it would be text in somebody's terminal or log.
    assert facts.dns_names == (f"{kind}.example.com", f"*.{kind}.example.com")
    assert not facts.has_ca


def test_the_numbers_of_a_key_belong_together() -> None:
    """As BoringSSL checks them: with wrong ones, each signature would be wrong. OpenSSL notices in the handshake."""
    good = pair("rsa.example.com", "rsa")
    assert isinstance(good.key, rsa.RSAPrivateKey)
    private = good.key.private_numbers()
    public = private.public_numbers
    right = [0, public.n, public.e, private.d, private.p, private.q, private.dmp1, private.dmq1, private.iqmp]
    assert inspect(tls_crt=good.crt, tls_key=rsa_pem(right)).problem is None
    for place in range(3, 9):
        wrong = [number + 2 if at == place else number for at, number in enumerate(right)]
        problem = inspect(tls_crt=good.crt, tls_key=rsa_pem(wrong)).problem
        assert problem is not None
        assert "tls.key" in problem.message


def rsa_pem(numbers: list[int]) -> bytes:
    return in_pem(b"RSA PRIVATE KEY", _der(0x30, b"".join(map(_der_integer, numbers))))


def test_what_may_stand_around_it() -> None:
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    facts = inspect(
        tls_crt=b"Bag Attributes\n" + WEB.crt + b"\nthat was all",
        tls_key=parameters + WEB.key_pem().replace(b"\n", b"\r\n"),
        ca_crt=OTHER.crt + WEB.crt,
        other=b"\xff\x00",
    )
    assert facts.problem is None
    assert facts.has_ca
    assert facts.ca_pem == (OTHER.crt + WEB.crt).decode()


def test_a_private_key_among_the_authorities_stays_secret() -> None:
    facts = inspect(tls_crt=WEB.crt, tls_key=WEB.key_pem(), ca_crt=b"# ours\n" + OTHER.key_pem() + OTHER.crt)
    assert facts.ca_pem == OTHER.crt.decode()


def test_an_empty_ca_is_no_ca() -> None:
    facts = inspect(tls_crt=WEB.crt, tls_key=WEB.key_pem(), ca_crt=b"")
    assert facts.problem is None
    assert (facts.has_ca, facts.ca_pem) == (False, None)


def der_of(text: bytes) -> bytes:
    return pem.blocks(text)[0].der


BAD: dict[str, tuple[dict[str, bytes], str]] = {
    "nothing": ({}, "tls.crt is missing"),
    "no certificate": ({"tls.key": WEB.key_pem()}, "tls.crt is missing"),
    "empty certificate": ({"tls.crt": b"", "tls.key": WEB.key_pem()}, "tls.crt is empty"),
    "no key": ({"tls.crt": WEB.crt}, "tls.key is missing"),
    "empty key": ({"tls.crt": WEB.crt, "tls.key": b""}, "tls.key is empty"),
    "text for a certificate": ({"tls.crt": b"hello", "tls.key": WEB.key_pem()}, "tls.crt holds no PEM certificate"),
    "junk in PEM": (
        {"tls.crt": JUNK_PEM, "tls.key": WEB.key_pem()},
        "the block of line 1 is not a readable certificate",
    ),
    "half a certificate": (
        {"tls.crt": WEB.crt[:300], "tls.key": WEB.key_pem()},
        "tls.crt: the block that begins in line 1 has no end",
    ),
    "junk after it": ({"tls.crt": WEB.crt + JUNK_PEM, "tls.key": WEB.key_pem()}, "is not a readable certificate"),
    "keys swapped": ({"tls.crt": WEB.key_pem(), "tls.key": WEB.crt}, "tls.crt holds no PEM certificate"),
    "no PEM key": ({"tls.crt": WEB.crt, "tls.key": b"hello"}, "tls.key holds no PEM private key"),
    "certificate for a key": ({"tls.crt": WEB.crt, "tls.key": WEB.crt}, "tls.key holds no PEM private key"),
    "half a key": (
        {"tls.crt": WEB.crt, "tls.key": WEB.key_pem()[:100]},
        "tls.key: the block that begins in line 1 has no end",
    ),
    "junk key": ({"tls.crt": WEB.crt, "tls.key": JUNK_KEY}, "tls.key holds no readable private key"),
    "locked key": ({"tls.crt": WEB.crt, "tls.key": WEB.key_pem(password=b"x")}, "tls.key is locked with a passphrase"),
    "locked old key": (
        {"tls.crt": WEB.crt, "tls.key": WEB.key_pem(PrivateFormat.TraditionalOpenSSL, b"x")},
        "tls.key: line 2 says that the key is locked with a passphrase",
    ),
    "other key": ({"tls.crt": WEB.crt, "tls.key": OTHER.key_pem()}, "tls.key does not belong to the certificate"),
    "other kind of key": (
        {"tls.crt": WEB.crt, "tls.key": pair("rsa.example.com", "rsa").key_pem()},
        "tls.key does not belong to the certificate",
    ),
    "wrong order": (
        {"tls.crt": OTHER.crt + WEB.crt, "tls.key": WEB.key_pem()},
        "put the server's own first",
    ),
    "bad authorities": (
        {"tls.crt": WEB.crt, "tls.key": WEB.key_pem(), "ca.crt": b"hello"},
        "ca.crt holds no PEM certificate",
    ),
    "certificate in DER": (
        {"tls.crt": der_of(WEB.crt), "tls.key": WEB.key_pem()},
        "tls.crt: it is DER, the binary form, and servers read PEM; convert it: openssl x509 -inform DER -in <file>",
    ),
    "key in DER": (
        {"tls.crt": WEB.crt, "tls.key": der_of(WEB.key_pem())},
        "tls.key: it is DER, the binary form, and servers read PEM; convert it: openssl pkey -inform DER",
    ),
    "authority in DER": (
        {"tls.crt": WEB.crt, "tls.key": WEB.key_pem(), "ca.crt": der_of(WEB.crt) + b"\n"},
        "convert it: openssl x509 -inform DER -in <file> -out ca.crt",
    ),
    "text in UTF-16": (
        {"tls.crt": WEB.crt.decode().encode("utf-16"), "tls.key": WEB.key_pem()},
        "tls.crt: it contains a zero byte, as text in UTF-16 does",
    ),
    "cut DER": (
        {"tls.crt": der_of(WEB.crt)[:200] + b"\0", "tls.key": WEB.key_pem()},
        "tls.crt: it contains a zero byte",
    ),
    "huge key": (
        {
            "tls.crt": WEB.crt,
            "tls.key": b"-----BEGIN PRIVATE KEY-----\n" + (b"A" * 64 + b"\n") * 200 + b"-----END PRIVATE KEY-----",
        },
        "tls.key is longer than 8192 bytes",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_each_error_has_a_message(case: str) -> None:
    data, message = BAD[case]
    facts = secret_content.inspect("Opaque", encoded(data))
    assert facts.problem is not None
    assert facts.problem.reason == reasons.SECRET_INVALID
    assert message in facts.problem.message
    assert facts.not_after is None


@pytest.mark.parametrize("value", ["%%%", "AAA", "AAAA\nAAAA", "ä", "\ud800", "é" * 5], ids=ascii)
def test_values_that_are_not_base64(value: str) -> None:
    facts = secret_content.inspect("Opaque", {"tls.crt": value, "tls.key": value})
    assert facts.problem == Problem(
        reasons.SECRET_INVALID,
        "tls.crt is not base64; put the server's certificate there in PEM, then those of its issuers",
    )


@pytest.mark.parametrize("case", BAD)
def test_no_message_shows_the_content(case: str) -> None:
    data, _ = BAD[case]
    facts = secret_content.inspect("Opaque", encoded(data))
    assert facts.problem is not None
    for value in data.values():
        for start in range(0, len(value) - 12, 4):
            assert value[start : start + 12].decode("latin-1") not in facts.problem.message.replace("PRIVATE KEY", "")


def test_an_unusable_kind_of_key() -> None:
    issuer = x509.load_pem_x509_certificate(WEB.crt).subject
    certificate = (
        x509.CertificateBuilder()
        .subject_name(issuer)
        .issuer_name(issuer)
        .public_key(x25519.X25519PrivateKey.generate().public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(UNTIL)
        .sign(WEB.key, hashes.SHA256())
    )
    facts = inspect(tls_crt=certificate.public_bytes(Encoding.PEM), tls_key=WEB.key_pem())
    assert facts.problem is not None
    assert "has a kind of key that TLS does not use" in facts.problem.message


def test_the_digest_follows_the_content() -> None:
    digests = {
        secret_content.inspect(secret_type, data).digest
        for secret_type, data in [
            ("a", {}),
            ("b", {}),
            ("a", {"k": ""}),
            ("a", {"k": "v"}),
            ("a", {"kv": ""}),
            ("a", {"k": "v", "l": "w"}),
            ("a", {"k": "vl", "": "w"}),
        ]
    }
    assert len(digests) == 7
    assert (
        secret_content.inspect("a", {"k": "v", "l": "w"}).digest
        == secret_content.inspect("a", {"l": "w", "k": "v"}).digest
    )


# -- hostile content --------------------------------------------------------------------------------------------------


def mutated(rng: random.Random, text: bytes) -> bytes:
    """The text with some bytes changed, taken out, doubled, or moved."""
    out = bytearray(text)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(4):
            case 0 if at < len(out):
                out[at] = rng.randrange(256)
            case 1:
                del out[at : at + rng.randint(1, 40)]
            case 2:
                out[at:at] = out[at : at + rng.randint(1, 200)]
            case _:
                out[at:at] = rng.randbytes(rng.randint(1, 8))
    return bytes(out)


def in_pem(label: bytes, der: bytes) -> bytes:
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, encodebytes(der), label)


@pytest.mark.parametrize("seed", range(8))
def test_no_bytes_raise(seed: int) -> None:
    """Damage in the PEM, and damage in the DER below it, where the parsers are."""
    rng = random.Random(seed)
    pairs = [WEB, pair("rsa.example.com", "rsa"), pair("ed25519.example.com", "ed25519")]
    problems = 0
    for _ in range(150):
        good = rng.choice(pairs)
        certificate = x509.load_pem_x509_certificate(good.crt).public_bytes(Encoding.DER)
        key = good.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        crt_pem, key_pem = good.crt, good.key_pem()
        match rng.randrange(6):
            case 0:
                crt_pem = mutated(rng, crt_pem)
            case 1:
                key_pem = mutated(rng, key_pem)
            case 2:
                crt_pem = in_pem(b"CERTIFICATE", mutated(rng, certificate))
            case 3:
                key_pem = in_pem(rng.choice((b"PRIVATE KEY", b"EC PRIVATE KEY", b"RSA PRIVATE KEY")), mutated(rng, key))
            case 4:
                crt_pem = rng.randbytes(rng.randint(0, 500))
            case _:
                key_pem = rng.randbytes(rng.randint(0, 500))
        facts = inspect(tls_crt=crt_pem, tls_key=key_pem, ca_crt=mutated(rng, good.crt))
        problems += facts.problem is not None
    assert problems > 50


def test_what_openssl_itself_stumbles_over() -> None:
    """Diffie-Hellman parameters of 16 Kbit: cryptography has no better name for it than InternalError."""
    big = (1 << 16384) - 1
    parameters = _der(0x30, _der_integer(big) + _der_integer(3))
    algorithm = _der(0x30, bytes.fromhex("06092a864886f70d010301") + parameters)
    key = _der(0x30, _der_integer(0) + algorithm + _der(4, _der_integer(big - 4)))
    facts = inspect(tls_crt=WEB.crt, tls_key=in_pem(b"PRIVATE KEY", key))
    assert facts.problem is not None
    assert "tls.key holds no readable private key" in facts.problem.message


@pytest.mark.parametrize(
    "data",
    [{"tls.crt": None}, {"tls.crt": 5}, {"tls.crt": ["x"]}, {"tls.crt": {}}, {"tls.crt": "AAAA", "tls.key": None}],
)
def test_no_types_raise(data: Any) -> None:
    assert secret_content.inspect("Opaque", data).problem is not None


def test_a_secret_that_is_too_large_is_not_parsed() -> None:
    """Its authority counts as present: the edge must not trust others because of it."""
    facts = inspect(tls_crt=WEB.crt, tls_key=WEB.key_pem(), ca_crt=WEB.crt * 1000)
    assert facts.problem is not None
    assert "320 KiB" in facts.problem.message
    assert (facts.has_ca, facts.ca_pem) == (True, None)


def test_no_content_keeps_the_event_loop_for_long() -> None:
    """To check this RSA key, to compute with a DSA key of a megabyte, or to seek an end for each of many beginnings,
    would take minutes.
    """
    big = (1 << 60_000) - 1
    body = _der(0x30, b"".join(map(_der_integer, (0, big, 65537, big, big, big, 1, 1, 1))))
    rsa_pem = in_pem(b"RSA PRIVATE KEY", body)
    long = b"\n".join(line.encode() for line in textwrap.wrap("A" * 700_000, 64))
    started = time.process_time()
    for key_pem in (rsa_pem, b"-----BEGIN PRIVATE KEY-----\n" * 20_000, in_pem(b"DSA PRIVATE KEY", long)):
        assert inspect(tls_crt=WEB.crt * 300, tls_key=key_pem).problem is not None
    assert time.process_time() - started < 20


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    size = (
        bytes([length])
        if length < 128
        else bytes([0x80 | (length.bit_length() + 7) // 8]) + length.to_bytes((length.bit_length() + 7) // 8, "big")
    )
    return bytes([tag]) + size + content


def _der_integer(number: int) -> bytes:
    return _der(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


# -- who may have it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "shared_with"), [("true", {"acme"}), ("false", set()), ("True", set()), (None, set())]
)
def test_a_secret_is_shared_by_its_label(label: str | None, shared_with: set[str]) -> None:
    obj = {
        "metadata": {
            "name": "tls",
            "labels": {"decco.platform9.com/share": label} if label else None,
            "annotations": {"decco.platform9.com/share-with": "acme"},
        },
        "data": {"k": "dg=="},
    }
    source = secrets.source_from(obj)
    assert source.shared_with == shared_with
    assert (source.name, source.type, source.data) == ("tls", "Opaque", {"k": "dg=="})


def test_the_type_is_kept() -> None:
    obj = {"metadata": {"name": "tls"}, "type": "kubernetes.io/tls", "data": None}
    assert secrets.source_from(obj).type == "kubernetes.io/tls"
    assert secrets.source_from(obj).data == {}


def test_named_by_space() -> None:
    assert secrets.named_by_space(SpaceSpec(domain_name="a.b")) == frozenset()
    spec = SpaceSpec(domain_name="a.b", http_cert_secret_name="h", tcp_cert_and_ca_secret_name="t")
    assert secrets.named_by_space(spec) == {"h", "t"}


# -- messages for a Space or App --------------------------------------------------------------------------------------


def facts(problem: Problem | None = None, not_after: datetime | None = UNTIL) -> SecretFacts:
    return SecretFacts(type="kubernetes.io/tls", digest="d", has_ca=False, problem=problem, not_after=not_after)


BROKEN = Problem(reasons.SECRET_INVALID, "tls.key is missing")
VIEWS = {
    "copy": (SecretView("tls", SecretState.COPY, facts()), None),
    "local": (SecretView("tls", SecretState.LOCAL, facts()), None),
    "missing": (
        SecretView("tls", SecretState.MISSING),
        Problem(
            reasons.SECRET_MISSING,
            "no Secret decco/tls is shared with this Space; create it with the label decco.platform9.com/share=true "
            "and acme.example.net in the annotation decco.platform9.com/share-with, or name another",
        ),
    ),
    "pending": (
        SecretView("tls", SecretState.PENDING),
        Problem(reasons.SECRET_PENDING, "Secret tls is being copied into the Space's namespace"),
    ),
    "not read": (
        SecretView("tls", SecretState.COPY),
        Problem(reasons.SECRET_PENDING, "Secret tls is being copied into the Space's namespace"),
    ),
    "broken": (
        SecretView("tls", SecretState.LOCAL, facts(BROKEN, None)),
        Problem(reasons.SECRET_INVALID, "Secret tls: tls.key is missing"),
    ),
    "expired now": (
        SecretView("tls", SecretState.COPY, facts(not_after=NOW)),
        Problem(reasons.CERTIFICATE_EXPIRED, "Secret tls: the certificate expired on 2024-06-01; renew it"),
    ),
    "expires soon": (SecretView("tls", SecretState.COPY, facts(not_after=NOW + timedelta(seconds=1))), None),
}


@pytest.mark.parametrize("case", VIEWS)
def test_problem_of(case: str) -> None:
    view, problem = VIEWS[case]
    assert (
        secrets.problem_of(view, space="acme", fqdn="acme.example.net", controller_namespace="decco", now=NOW)
        == problem
    )


def test_an_app_may_use_its_own_namespace_too() -> None:
    problem = secrets.problem_of(
        SecretView("tls", SecretState.MISSING),
        space="acme",
        fqdn="acme.example.net",
        controller_namespace="decco",
        now=NOW,
        local=True,
    )
    assert problem is not None
    assert "is shared with this Space, and there is none in namespace acme; create it" in problem.message


def test_content_is_not_part_of_any_text() -> None:
    """Texts of errors and of the log are made from reprs, by mistake at least."""
    data = {"tls.key": "c2VjcmV0"}
    source, copy = SecretSource("x", "Opaque", data, frozenset()), SecretCopy("x", "Opaque", data)
    live = LiveCopy(facts(), data, "")
    for each in (source, copy, live):
        assert "c2VjcmV0" not in f"{each} {each!r}"
