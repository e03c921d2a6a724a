"""The certificate authorities that a Secret trusts, and whether two sets of them can be trusted at the same time.

OpenSSL and BoringSSL look an issuer up by its name and take the first certificate whose key identifier does not
contradict; they do not go back if its signature turns out wrong. So of two authorities of one name only one is found
unless key identifiers distinguish them (RFC 5280, sections 4.2.1.1 and 4.2.1.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from decco.desired.secrets import CA_CRT, TLS_CRT, UNREADABLE, certificates


def authorities(data: Mapping[str, str]) -> dict[str, x509.Certificate]:
    """SHA-256 fingerprint in hex -> certificate, of the ``ca.crt`` of a Secret that ``inspect`` accepted."""
    return {certificate.fingerprint(hashes.SHA256()).hex(): certificate for certificate in certificates(data, CA_CRT)}


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def not_after(certificate: x509.Certificate) -> datetime:
    """When it expires; datetime.max if that cannot be read."""
    try:
        return certificate.not_valid_after_utc
    except UNREADABLE:
        return datetime.max.replace(tzinfo=UTC)


def issued(data: Mapping[str, str], authority: x509.Certificate) -> bool:
    """Whether a certificate of the ``tls.crt`` may be signed by this authority; no signature is verified."""
    own = _key_identifier(authority)
    for certificate in certificates(data, TLS_CRT):
        if certificate.issuer == authority.subject:
            named = _issuers_key_identifier(certificate)
            if own is None or named is None or own == named:
                return True
    return False


def can_be_combined(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether a peer that trusts the ``ca.crt`` of both Secrets accepts the ``tls.crt`` of both."""
    by_name: dict[bytes, dict[str, x509.Certificate]] = {}
    for fingerprint, certificate in {**authorities(one), **authorities(other)}.items():
        by_name.setdefault(certificate.subject.public_bytes(), {})[fingerprint] = certificate
    ambiguous = {name: found for name, found in by_name.items() if len(found) > 1}
    if not all(_key_identifier(each) for found in ambiguous.values() for each in found.values()):
        return False
    shown = [*certificates(one, TLS_CRT), *certificates(other, TLS_CRT)]
    return all(_issuers_key_identifier(each) for each in shown if each.issuer.public_bytes() in ambiguous)


def _key_identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, *UNREADABLE):
        return None


def _issuers_key_identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (x509.ExtensionNotFound, *UNREADABLE):
        return None
