"""Whether the content of a Secret is usable, and the facts about it.

It is read as TLS servers read it (``pem.py``, ``private_key.py``, ``certificates.py``): what one of them refuses is a
problem here, before it is published. What depends on the time, on the names that are needed or on the edge is a fact
here, and a problem in ``secrets.py``.

The content is untrusted: ``inspect`` accepts any bytes and does not raise. It runs in the event loop, so its cost must
not depend on the content: no RSA key is checked for primality, and sizes have limits. Messages never contain a part of
the content, except the dotted number of an extension. Import this file where it is used: cryptography takes 7.5 MB,
which a cluster without shared Secrets need not spend.
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
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from decco.desired import pem, private_key, reasons
from decco.desired.certificates import (
    MAX_CHAIN,
    UnusableError,
    chain_usages,
    check_chain,
    check_leaf,
    issuers_of_last,
    kind_of,
    load,
    may_be_trusted,
    public_key,
    usages,
)
from decco.desired.model import Problem, SecretFacts
from decco.desired.revocation import LIST, check_lists
from decco.desired.secrets import CA_CRL, CA_CRT, TLS_CRT, TLS_KEY

MOST_OF_A_SECRET = 320 * 1024
"""Bytes of all values in base64; a system's whole bundle of authorities has 290 KiB."""
MAX_CHAIN_BYTES = 100 * 1024
"""Of ``tls.crt``; TLS clients read no more (``SSL_MAX_CERT_LIST_DEFAULT`` of OpenSSL)."""
CERTIFICATE = "CERTIFICATE"
_OTHER_CERTIFICATES = ("TRUSTED CERTIFICATE", "X509 CERTIFICATE")
"""Labels that OpenSSL reads as certificates and others skip."""
_MAY_BE_THERE = (CERTIFICATE, *_OTHER_CERTIFICATES, "EC PARAMETERS", "DH PARAMETERS")

_DNS_NAME = re.compile(r"[A-Za-z0-9*._-]{1,253}")


def inspect(secret_type: str, data: Mapping[str, str]) -> SecretFacts:
    """The facts of a Secret's ``data`` (values in base64, as the API serves them); does not raise."""
    facts = SecretFacts(type=secret_type, digest=digest(secret_type, data), has_ca=False)
    size = sum(len(str(value)) for value in data.values())
    if size > MOST_OF_A_SECRET:
        message = (
            f"it has {-(-size // 1024)} KiB of data in base64, and decco reads at most {MOST_OF_A_SECRET // 1024} KiB: "
            f"remove all but {TLS_CRT}, {TLS_KEY}, {CA_CRT} and {CA_CRL}"
        )
        return replace(facts, has_ca=bool(data.get(CA_CRT)), problem=Problem(reasons.SECRET_INVALID, message))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cryptography warns of odd certificates, such as a negative serial number
        try:
            trusted = certificates(data, CA_CRT) if data.get(CA_CRT) else []
            if trusted:
                facts = replace(facts, has_ca=True, ca_pem=_as_pem(trusted))
            chain = _chain(data)
            below = _check_key(_public_half(data), chain)
            if trusted and not any(each == chain[0] or may_be_trusted(each) for each in trusted):
                raise UnusableError(
                    f"{CA_CRT} holds no certificate of an authority (basicConstraints CA:TRUE, with a key of common "
                    f"kind); {_EXPECTED[CA_CRT]}"
                )
            try:
                issuers = issuers_of_last(chain, below, trusted)
            except UnusableError as unusable:
                raise UnusableError(f"{CA_CRT}: {unusable}") from None
            begin, end, allowed = _validity(chain, issuers)
            lists_begin, lists_end = _lists(data, trusted, chain)
            return replace(
                facts,
                lists_from=lists_begin,
                lists_until=lists_end,
                not_before=begin,
                not_after=end,
                ends_first=_ends_first(chain, end),
                dns_names=_dns_names(chain[0]),
                key_kind=kind_of(public_key(chain[0])),
                usages=allowed,
                chain=_fingerprints(chain),
            )
        except UnusableError as unusable:
            return replace(facts, problem=Problem(reasons.SECRET_INVALID, str(unusable)))


def digest(secret_type: str, data: Mapping[str, str]) -> str:
    """Identifies a Secret's content."""
    # The length before each part distinguishes ("ab", "c") from ("a", "bc").
    found = hashlib.sha256()
    for part in (secret_type, *(part for item in sorted(data.items()) for part in item)):
        text = str(part).encode(errors="surrogatepass")
        found.update(len(text).to_bytes(8, "big") + text)
    return found.hexdigest()


def _blocks(data: Mapping[str, str], key: str) -> list[pem.Block]:
    value = data.get(key)
    if not value:
        raise UnusableError(f"{key} is {'missing' if value is None else 'empty'}; {_EXPECTED[key]}")
    try:
        text = b64decode(value, validate=True)
    except (ValueError, TypeError, binascii.Error):
        raise UnusableError(f"{key} is not base64; {_EXPECTED[key]}") from None
    try:
        found = pem.blocks(text)
    except pem.PemError as error:
        advice = f"; convert it: {_FROM_DER[key]}" if pem.is_der(text) else ""
        raise UnusableError(f"{key}: {error}{advice}") from None
    for block in found:
        if key == CA_CRL and block.label != LIST:
            raise UnusableError(f"{key}: line {block.line} begins a block that is not a CRL ({LIST}); remove it")
        if key != CA_CRL and block.label not in _MAY_BE_THERE and not block.label.endswith(private_key.FORM):
            # OpenSSL's own readers differ: some skip what they do not know, some stop there.
            raise UnusableError(f"{key}: line {block.line} begins a block of an unknown kind; remove it")
    return found


_EXPECTED = {
    TLS_CRT: "put the server's certificate there in PEM, then those of its issuers",
    TLS_KEY: "put the private key of the certificate there in PEM, without a passphrase",
    CA_CRT: "put the certificates of the authorities to trust there in PEM, or remove the key",
    CA_CRL: "put a list of revoked certificates there in PEM for each authority of ca.crt, or remove the key",
}


_FROM_DER = {
    TLS_CRT: "openssl x509 -inform DER -in <file> -out tls.crt",
    TLS_KEY: "openssl pkey -inform DER -in <file> -out tls.key",
    CA_CRT: "openssl x509 -inform DER -in <file> -out ca.crt",
    CA_CRL: "openssl crl -inform DER -in <file> -out ca.crl",
}


def certificates(data: Mapping[str, str], key: str) -> list[x509.Certificate]:
    """The certificates under this key of a Secret's ``data``; raises only what ``inspect`` reports as a problem."""
    found = []
    for block in _blocks(data, key):
        if block.label in _OTHER_CERTIFICATES:
            raise UnusableError(
                f"{key}: line {block.line} has {block.label}, which not all TLS servers read; {_EXPECTED[key]}"
            )
        if block.label == CERTIFICATE:
            try:
                found.append(load(block.der))
            except UnusableError as unusable:
                raise UnusableError(f"{key}: the block of line {block.line} {unusable}; {_EXPECTED[key]}") from None
    if not found:
        raise UnusableError(f"{key} holds no PEM certificate; {_EXPECTED[key]}")
    return found


def lists(data: Mapping[str, str]) -> list[pem.Block]:
    """The blocks of ``ca.crl``, [] without one; raises only what ``inspect`` reports as a problem."""
    return _blocks(data, CA_CRL) if data.get(CA_CRL) is not None else []


def _lists(
    data: Mapping[str, str], trusted: list[x509.Certificate], chain: list[x509.Certificate]
) -> tuple[datetime | None, datetime | None]:
    if data.get(CA_CRL) is None:
        return None, None
    found = lists(data)
    try:
        return check_lists(found, trusted, chain)
    except UnusableError as unusable:
        raise UnusableError(f"{CA_CRL}: {unusable}") from None


def _as_pem(certificates: list[x509.Certificate]) -> str:
    """The certificates alone: other parts of the text (a private key, by mistake) must not be published."""
    text = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates).decode()
    return sys.intern(text)  # shared by a Secret and all its copies, perhaps a thousand


def _chain(data: Mapping[str, str]) -> list[x509.Certificate]:
    """The certificate of the server, and those that its clients are sent with it."""
    if len(str(data.get(TLS_CRT))) > MAX_CHAIN_BYTES * 4 // 3:
        raise UnusableError(
            f"{TLS_CRT} is longer than {MAX_CHAIN_BYTES} bytes, more than TLS clients read; {_EXPECTED[TLS_CRT]}"
        )
    chain = certificates(data, TLS_CRT)
    try:
        check_leaf(chain[0])
        public_key(chain[0])
    except UnusableError as unusable:
        raise UnusableError(f"{TLS_CRT}: the certificate {unusable}") from None
    return chain


def _fingerprints(shown: list[x509.Certificate]) -> tuple[bytes, ...]:
    issuers = (each for each in shown[1:] if each.issuer != each.subject)
    return tuple(hashlib.sha256(each.public_bytes(Encoding.DER)).digest() for each in (shown[0], *issuers))


def _public_half(data: Mapping[str, str]) -> bytes:
    """The public key that belongs to the private one, as DER of a SubjectPublicKeyInfo."""
    found = _blocks(data, TLS_KEY)
    try:
        return private_key.public_half(private_key.find(found))
    except UnusableError as unusable:
        raise UnusableError(f"{TLS_KEY} {unusable}; {_EXPECTED[TLS_KEY]}") from None


def _validity(
    chain: list[x509.Certificate], issuers: list[x509.Certificate]
) -> tuple[datetime, datetime, frozenset[str]]:
    """From when, until when and for what a peer accepts the chain, by any one of these issuers if there are some."""
    begin = max(each.not_valid_before_utc for each in chain)
    end = min(each.not_valid_after_utc for each in chain)
    allowed = chain_usages(chain)
    if issuers:
        begin = max(begin, min(each.not_valid_before_utc for each in issuers))
        end = min(end, max(each.not_valid_after_utc for each in issuers))
        allowed &= frozenset[str]().union(*map(usages, issuers))
    return begin, end, allowed


def _ends_first(chain: list[x509.Certificate], end: datetime) -> str:
    """Whose certificate it is that expires first, for people; "" if it is the first one."""
    for position, each in enumerate(chain, start=1):
        if each.not_valid_after_utc == end:
            return "" if position == 1 else f"certificate {position} of {TLS_CRT}, of an issuer,"
    return f"the issuer's certificate in {CA_CRT}"


def _check_key(public_half: bytes, chain: list[x509.Certificate]) -> int:
    """Checks the chain too, and returns what ``check_chain`` does."""
    keys = [_encoded_key(each) for each in chain[:MAX_CHAIN]]
    if keys[0] != public_half:
        if public_half in keys:
            raise UnusableError(
                f"{TLS_KEY} belongs to a certificate of {TLS_CRT} that is not the first; put the server's own first"
            )
        raise UnusableError(
            f"{TLS_KEY} does not belong to the certificate in {TLS_CRT}; put the two that belong together"
        )
    try:
        return check_chain(chain)
    except UnusableError as unusable:
        raise UnusableError(f"{TLS_CRT}: {unusable}") from None


def _encoded_key(certificate: x509.Certificate) -> bytes:
    try:
        return public_key(certificate).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UnusableError:
        return b""


def _dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name for name in names.get_values_for_type(x509.DNSName) if _DNS_NAME.fullmatch(name))
