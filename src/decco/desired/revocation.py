"""Lists of revoked certificates (``ca.crl``), as OpenSSL applies them in the sidecar.

With lists, OpenSSL demands one for each authority on the way from the peer's certificate to the root, complete and in
force; without it the peer is refused. So a missing, expired or unsuitable list refuses everybody, and is found here
before it is copied. Delta lists and those for a part of the certificates are refused, because OpenSSL counts them for
nothing without further options.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from decco.desired import pem
from decco.desired.certificates import UNREADABLE, UnusableError, may_be_trusted, public_key

LIST = "X509 CRL"
"""Label of a block of PEM."""
MAX_LISTS = 32
_MAX_ISSUERS = 3
"""Authorities of one name that are tried: each costs the verification of a signature."""

_PARTIAL = (x509.IssuingDistributionPoint, x509.DeltaCRLIndicator)


def check_lists(
    blocks: Sequence[pem.Block], trusted: Sequence[x509.Certificate], chain: Sequence[x509.Certificate]
) -> tuple[datetime, datetime | None]:
    """From when and until when peers are accepted by these lists; None: for ever.

    ``trusted`` are the certificates of ``ca.crt``; intermediate authorities may also be in ``chain``. Raises
    UnusableError.
    """
    if not trusted:
        raise UnusableError("is there without a ca.crt with the authorities that it is about; add that, or remove it")
    if len(blocks) > MAX_LISTS:
        raise UnusableError(f"holds {len(blocks)} lists, and decco reads at most {MAX_LISTS}; remove some")
    newest: dict[tuple[bytes, bytes], x509.CertificateRevocationList] = {}
    for block in blocks:
        found = _load(block)
        identity = _identity(_issuer(found, [*trusted, *chain[1:]], block.line))
        known = newest.get(identity)
        if known is None or known.last_update_utc < found.last_update_utc:
            newest[identity] = found
    if not newest:
        raise UnusableError(f"holds no list in PEM ({LIST}); add one for each authority of ca.crt, or remove ca.crl")
    for number, authority in enumerate(trusted, 1):
        if may_be_trusted(authority) and _identity(authority) not in newest:
            raise UnusableError(
                f"has no list of the authority that is certificate {number} of ca.crt, so all that it issued would be "
                "refused; add one, which may be empty"
            )
    ends = [found.next_update_utc for found in newest.values() if found.next_update_utc is not None]
    return max(found.last_update_utc for found in newest.values()), min(ends, default=None)


def lists_of(blocks: Iterable[pem.Block], authorities: Sequence[x509.Certificate]) -> list[pem.Block] | None:
    """Those that these authorities issued, of lists that ``check_lists`` accepted; None if one of them has none."""
    found, covered = [], set()
    for block in blocks:
        try:
            issuer = _issuer(_load(block), authorities, block.line)
        except UnusableError:
            continue
        found.append(block)
        covered.add(_identity(issuer))
    return found if all(_identity(each) in covered for each in authorities) else None


def _load(block: pem.Block) -> x509.CertificateRevocationList:
    try:
        found = x509.load_der_x509_crl(block.der)
        _ = found.extensions, found.issuer, found.last_update_utc, found.next_update_utc
    except UNREADABLE:
        raise UnusableError(f"the block of line {block.line} is not a readable CRL; create it again") from None
    for extension in found.extensions:
        if isinstance(extension.value, _PARTIAL):
            raise UnusableError(
                f"the list of line {block.line} is about a part of the certificates only (delta, or distribution "
                "point); add a complete one instead"
            )
        if extension.critical:
            oid = extension.oid.dotted_string[:64]
            raise UnusableError(f"the list of line {block.line} has the critical extension {oid}; create it without")
    return found


def _issuer(found: x509.CertificateRevocationList, known: Sequence[x509.Certificate], line: int) -> x509.Certificate:
    candidates = [each for each in known if each.subject == found.issuer and _fits(found, each)]
    for candidate in candidates[:_MAX_ISSUERS]:
        if not _is_signed_by(found, candidate):
            continue
        if not _may_sign_lists(candidate):
            raise UnusableError(
                f"the list of line {line} is of an authority whose key usage lacks cRLSign, so it counts for nothing; "
                "renew the authority's certificate with it"
            )
        return candidate
    raise UnusableError(
        f"the list of line {line} is signed by no authority of ca.crt; add the certificate of its issuer there, or "
        "remove the list"
    )


def _is_signed_by(found: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return found.is_signature_valid(public_key(authority))
    except (UnusableError, *UNREADABLE):
        return False


def _may_sign_lists(authority: x509.Certificate) -> bool:
    try:
        return authority.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _fits(found: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    """Whether the key identifiers do not contradict (``X509_check_akid``)."""
    try:
        named = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return True
    if named.authority_cert_serial_number not in (None, authority.serial_number):
        return False
    try:
        own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return True
    return named.key_identifier is None or named.key_identifier == own


def _identity(authority: x509.Certificate) -> tuple[bytes, bytes]:
    """Name and key: a renewed certificate of an authority has the same, and so the same lists."""
    key = authority.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return authority.subject.public_bytes(), key
