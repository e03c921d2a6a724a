"""Whether the content of a Secret is usable, and the facts about it.

The content is untrusted: ``inspect`` accepts any bytes and does not raise. It runs in the event loop, so its cost must
not depend on the content. Two cases, measured with cryptography 50 on one core:

* The full check of an RSA key costs 39 ms for 2048 and 250 ms for 4096 bits. It is skipped (0.03 ms). Only the match of
  the key's public half with the certificate is checked, as TLS servers do.
* A DSA or Diffie-Hellman key chosen by a tenant makes OpenSSL compute for an arbitrary time (16 Kbit: 0.7 s). So a key
  of more than MAX_KEY_BYTES is not parsed, and the key of a certificate only if TLS uses keys of its kind.

Messages never contain a part of the content. Import this file where it is used: cryptography takes 7.5 MB, which a
cluster without shared Secrets need not spend.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import sys
import warnings
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import PublicKeyAlgorithmOID as Oid

from decco.desired import reasons
from decco.desired.model import Problem, SecretFacts
from decco.desired.secrets import CA_CRT, TLS_CRT, TLS_KEY

MAX_KEY_BYTES = 8192
"""Length of a private key's PEM block; one of 8192 bit RSA has 6.4 KB."""

_KEY_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]{0,20}PRIVATE KEY)-----")
_KEYS_OF_TLS = (Oid.RSAES_PKCS1_v1_5, Oid.RSASSA_PSS, Oid.EC_PUBLIC_KEY, Oid.ED25519, Oid.ED448)
_DNS_NAME = re.compile(r"[A-Za-z0-9*._-]{1,253}")

# All errors that cryptography raises for invalid input. They have no common base; some derive from Exception only.
UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    InternalError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class _UnusableError(Exception):
    """The content is not usable; ``inspect`` reports the message."""


def inspect(secret_type: str, data: Mapping[str, str]) -> SecretFacts:
    """The facts of a Secret's ``data`` (values in base64, as the API serves them); does not raise."""
    facts = SecretFacts(type=secret_type, digest=_digest(secret_type, data), has_ca=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cryptography warns of odd certificates, such as a negative serial number
        try:
            if data.get(CA_CRT):
                facts = replace(facts, has_ca=True, ca_pem=_as_pem(certificates(data, CA_CRT)))
            shown = certificates(data, TLS_CRT)
            _check_key(_public_half(_decode(data, TLS_KEY)), shown)
            return replace(
                facts, not_after=_not_after(shown[0]), dns_names=_dns_names(shown[0]), chain=_fingerprints(shown)
            )
        except _UnusableError as unusable:
            return replace(facts, problem=Problem(reasons.SECRET_INVALID, str(unusable)))


def _digest(secret_type: str, data: Mapping[str, str]) -> str:
    # The length before each part distinguishes ("ab", "c") from ("a", "bc").
    found = hashlib.sha256()
    for part in (secret_type, *(part for item in sorted(data.items()) for part in item)):
        text = str(part).encode(errors="surrogatepass")
        found.update(len(text).to_bytes(8, "big") + text)
    return found.hexdigest()


def _decode(data: Mapping[str, str], key: str) -> bytes:
    value = data.get(key)
    if not value:
        raise _UnusableError(f"{key} is {'missing' if value is None else 'empty'}; {_EXPECTED[key]}")
    try:
        return b64decode(value, validate=True)
    except (ValueError, TypeError, binascii.Error):
        raise _UnusableError(f"{key} is not base64; {_EXPECTED[key]}") from None


_EXPECTED = {
    TLS_CRT: "put the server's certificate there in PEM, then those of its issuers",
    TLS_KEY: "put the private key of the certificate there in PEM, without a passphrase",
    CA_CRT: "put the certificates of the authorities to trust there in PEM, or remove the key",
}


def certificates(data: Mapping[str, str], key: str) -> list[x509.Certificate]:
    """The certificates under this key of a Secret's ``data``; raises only what ``inspect`` reports as a problem."""
    pem = _decode(data, key)
    try:
        found = x509.load_pem_x509_certificates(pem)
    except UNREADABLE:
        raise _UnusableError(f"{key} holds no readable PEM certificates; {_EXPECTED[key]}") from None
    if not found:
        raise _UnusableError(f"{key} holds no PEM certificate; {_EXPECTED[key]}")
    return found


def _as_pem(certificates: list[x509.Certificate]) -> str:
    """The certificates alone: other parts of the text (a private key, by mistake) must not be published."""
    text = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates).decode()
    return sys.intern(text)  # shared by a Secret and all its copies, perhaps a thousand


def _public_half(pem: bytes) -> bytes:
    """The public key that belongs to the private one, as DER of a SubjectPublicKeyInfo."""
    block = _key_block(pem)
    if len(block) > MAX_KEY_BYTES:
        raise _UnusableError(f"{TLS_KEY} is longer than {MAX_KEY_BYTES} bytes; use a key of common size")
    try:
        key = load_pem_private_key(block, password=None, unsafe_skip_rsa_key_validation=True)
        return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except TypeError:
        raise _UnusableError(f"{TLS_KEY} is locked with a passphrase; {_EXPECTED[TLS_KEY]}") from None
    except UNREADABLE:
        raise _UnusableError(f"{TLS_KEY} holds no readable private key; {_EXPECTED[TLS_KEY]}") from None


def _key_block(pem: bytes) -> bytes:
    """The first private key of a file, after any other text; OpenSSL takes the same one."""
    begin = _KEY_BEGIN.search(pem)
    if begin is not None:
        last_line = b"-----END %s-----" % begin[1]
        end = pem.find(last_line, begin.end())
        if end >= 0:
            return pem[begin.start() : end] + last_line + b"\n"
    raise _UnusableError(f"{TLS_KEY} holds no PEM private key; {_EXPECTED[TLS_KEY]}")


def _check_key(public_half: bytes, certificates: list[x509.Certificate]) -> None:
    if _public_key(certificates[0]) == public_half:
        return
    if any(_public_key(certificate) == public_half for certificate in certificates[1:]):
        raise _UnusableError(
            f"{TLS_KEY} belongs to a certificate of {TLS_CRT} that is not the first; put the server's own first"
        )
    raise _UnusableError(f"{TLS_KEY} does not belong to the certificate in {TLS_CRT}; put the two that belong together")


def _public_key(certificate: x509.Certificate) -> bytes:
    unusable = f"{TLS_CRT} holds a certificate whose kind of key TLS does not use; use RSA, EC or Ed25519"
    if certificate.public_key_algorithm_oid not in _KEYS_OF_TLS:
        raise _UnusableError(unusable)
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNREADABLE:
        raise _UnusableError(unusable) from None


def _fingerprints(shown: list[x509.Certificate]) -> tuple[bytes, ...]:
    issuers = (each for each in shown[1:] if each.issuer != each.subject)
    return tuple(hashlib.sha256(each.public_bytes(Encoding.DER)).digest() for each in (shown[0], *issuers))


def _not_after(certificate: x509.Certificate) -> datetime:
    try:
        return certificate.not_valid_after_utc
    except UNREADABLE:
        raise _UnusableError(f"{TLS_CRT} holds a certificate whose end of validity cannot be read; renew it") from None


def _dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = names.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return ()  # for display only: TLS clients verify the names
    return tuple(name for name in found if _DNS_NAME.fullmatch(name))
