"""Certificates as OpenSSL and BoringSSL verify them: each for itself, and a chain from the server's own upwards.

Signatures of a chain are verified here, because a client does so too; whether it ends at an authority that they trust
only clients know. Names and times are facts, evaluated where the names that are needed and the time are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import ExtensionOID, PublicKeyAlgorithmOID, SignatureAlgorithmOID

from decco.desired import edge_keys
from decco.desired.name_constraints import violated

MAX_CHAIN = 10
"""Certificates of one chain; longest in use are four."""
MAX_EXPONENT = 1 << 31
"""Of an RSA key; Go takes no larger one, and it bounds the cost of verifying a signature."""

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

_KEYS_OF_TLS = (
    PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5,
    PublicKeyAlgorithmOID.EC_PUBLIC_KEY,
    PublicKeyAlgorithmOID.ED25519,
    PublicKeyAlgorithmOID.ED448,
)
"""Others cost OpenSSL an arbitrary time to read (a DSA key of 16 Kbit: 0.7 s)."""

_SIGNATURES = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
        SignatureAlgorithmOID.RSASSA_PSS,
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
        SignatureAlgorithmOID.ED25519,
        SignatureAlgorithmOID.ED448,
    }
)
"""SHA-1 and MD5 are below OpenSSL's security level 1; Go has no SHA-224."""
_HASHES = ("sha256", "sha384", "sha512")

_MAY_BE_CRITICAL = frozenset(
    {
        ExtensionOID.KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.POLICY_MAPPINGS,
        ExtensionOID.INHIBIT_ANY_POLICY,
    }
)
"""``X509_supported_extension`` of BoringSSL; OpenSSL's list has a few more."""
_NETSCAPE_CERT_TYPE = x509.ObjectIdentifier("2.16.840.1.113730.1.1")

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey


class UnusableError(Exception):
    """What is wrong with a certificate, a key or a text that should hold one; a message for people."""


def load(der: bytes) -> x509.Certificate:
    """The certificate, with all that later functions read of it readable."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.extensions, certificate.not_valid_before_utc, certificate.not_valid_after_utc
        _ = certificate.subject, certificate.issuer, certificate.serial_number
    except UNREADABLE:
        raise UnusableError("is not a readable certificate") from None
    return certificate


# -- the key -----------------------------------------------------------------------------------------------------------


def public_key(certificate: x509.Certificate) -> PublicKey:
    """The public key, if TLS uses keys of its kind and size, encoded as TLS libraries expect it."""
    if certificate.public_key_algorithm_oid not in _KEYS_OF_TLS:
        raise UnusableError("has a kind of key that TLS does not use; use RSA, P-256 or P-384")
    try:
        key = certificate.public_key()
        encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNREADABLE:
        raise UnusableError("has a key that cannot be read; use RSA, P-256 or P-384") from None
    assert isinstance(key, PublicKey)
    kind_of(key)
    if encoded not in certificate.tbs_certificate_bytes:
        # A curve by its parameters, a compressed point: OpenSSL verifies no chain with them, BoringSSL reads none.
        raise UnusableError("has a key in an unusual encoding; use a named curve and an uncompressed point")
    return key


def kind_of(key: PublicKey) -> str:
    """The kind of key, a name of ``edge_keys``; raises for one that no edge can use."""
    if isinstance(key, rsa.RSAPublicKey):
        if not edge_keys.RSA_MIN <= key.key_size <= edge_keys.RSA_MAX:
            limits = f"{edge_keys.RSA_MIN} to {edge_keys.RSA_MAX}"
            raise UnusableError(
                f"has an RSA key of {key.key_size} bits, and TLS servers take {limits}; use 2048 or 3072"
            )
        exponent = key.public_numbers().e
        if not 3 <= exponent < MAX_EXPONENT or exponent % 2 == 0:
            raise UnusableError("has an RSA key with an unusual public exponent; use 65537")
        return edge_keys.RSA
    if isinstance(key, ec.EllipticCurvePublicKey):
        kind = edge_keys.CURVES.get(key.curve.name)
        if kind is None:
            raise UnusableError(
                f"has a key on the curve {key.curve.name}, which TLS clients do not use; use P-256 or P-384"
            )
        return kind
    return edge_keys.ED25519 if isinstance(key, ed25519.Ed25519PublicKey) else edge_keys.ED448


# -- one certificate ---------------------------------------------------------------------------------------------------


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether it is its own issuer, as OpenSSL decides it; nobody verifies such a signature."""
    return certificate.subject == certificate.issuer and _fits(certificate, certificate)


def check_leaf(certificate: x509.Certificate) -> None:
    """Whether the certificate of a server or client itself can be used."""
    _check_common(certificate)
    _check_signature_algorithm(certificate)
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        raise UnusableError("has a key usage without digitalSignature, which TLS needs; have it issued with it")
    if not usages(certificate):
        raise UnusableError(
            "has an extended key usage without serverAuth and clientAuth, so peers refuse it; have it issued with them"
        )
    features = _extension(certificate, x509.TLSFeature)
    if features is not None and x509.TLSFeatureType.status_request in features:
        raise UnusableError(
            "demands a stapled OCSP response (must-staple), which neither the edge nor the TLS sidecar sends; have it "
            "issued without that"
        )
    kinds = _value(certificate, _NETSCAPE_CERT_TYPE)
    if kinds is not None and (len(kinds) < 4 or kinds[3] & 0xC0 != 0xC0):
        raise UnusableError("has a Netscape certificate type without server and client; have it issued without that")


def usages(certificate: x509.Certificate) -> frozenset[str]:
    """What it may be used for: "server", "client". OpenSSL does not take anyExtendedKeyUsage for either."""
    usage = _extension(certificate, x509.ExtendedKeyUsage)
    if usage is None:
        return frozenset({"server", "client"})
    named = {Usage.SERVER_AUTH: "server", Usage.CLIENT_AUTH: "client"}
    return frozenset(named[each] for each in usage if each in named)


def check_authority(certificate: x509.Certificate, below: int) -> None:
    """Whether it may issue certificates with this number of authorities between it and the leaf."""
    _check_common(certificate)
    if not is_self_signed(certificate):
        _check_signature_algorithm(certificate)
    constraints = _extension(certificate, x509.BasicConstraints)
    first_version = certificate.version is x509.Version.v1 and is_self_signed(certificate)
    if not first_version and (constraints is None or not constraints.ca):
        raise UnusableError("is not that of an authority (basicConstraints CA:TRUE), so it cannot issue others")
    if constraints is not None and constraints.path_length is not None and below > constraints.path_length:
        raise UnusableError("allows fewer authorities below it than there are (pathLen)")
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise UnusableError("has a key usage without keyCertSign, so it cannot issue others")


def may_be_trusted(certificate: x509.Certificate) -> bool:
    """Whether peers can verify others by this certificate of a ``ca.crt``."""
    try:
        check_authority(certificate, 0)
        public_key(certificate)
    except UnusableError:
        return False
    return True


def _check_common(certificate: x509.Certificate) -> None:
    unknown = [each.oid.dotted_string for each in certificate.extensions if each.critical]
    unknown = [oid for oid in unknown if x509.ObjectIdentifier(oid) not in _MAY_BE_CRITICAL]
    if unknown:
        raise UnusableError(
            f"has the critical extension {unknown[0][:64]}, which TLS libraries do not know and so refuse"
        )
    if certificate.serial_number < 0:
        raise UnusableError("has a negative serial number, which some TLS libraries refuse; have it issued again")
    if certificate.version is x509.Version.v1 and len(certificate.extensions):
        raise UnusableError("has extensions and is not of version 3; have it issued again")
    if certificate.not_valid_before_utc > certificate.not_valid_after_utc:
        raise UnusableError("ends before it begins to be valid; have it issued again")


def _check_signature_algorithm(certificate: x509.Certificate) -> None:
    weak = "is signed by an algorithm that TLS clients refuse, such as SHA-1; have it issued again with SHA-256"
    oid = certificate.signature_algorithm_oid
    if oid not in _SIGNATURES:
        raise UnusableError(weak)
    try:
        used = certificate.signature_hash_algorithm
    except UNREADABLE:
        raise UnusableError(weak) from None
    if used is not None and used.name not in _HASHES:
        raise UnusableError(weak)


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    for each in certificate.extensions:
        if isinstance(each.value, kind):
            return each.value
    return None


def _value(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes | None:
    """The DER of an extension that cryptography does not know; None if there is none."""
    for each in certificate.extensions:
        if each.oid == oid and isinstance(each.value, x509.UnrecognizedExtension):
            return each.value.value
    return None


# -- a chain -----------------------------------------------------------------------------------------------------------


def check_chain(chain: Sequence[x509.Certificate]) -> int:
    """The certificates behind the first one: each must have issued one before it (RFC 8446, 4.4.2), and be allowed to.

    Returns how many authorities are between the issuer of the last one and the leaf. Raises with a message that begins
    with the number of the certificate.
    """
    if len(chain) > MAX_CHAIN:
        raise UnusableError(f"are {len(chain)} certificates; only the server's own and its issuers belong there")
    below = {0: 0}
    for at, issuer in enumerate(chain[1:], 1):
        if issuer in chain[:at]:
            raise UnusableError(f"certificate {at + 1} is there twice; remove it")
        if is_self_signed(chain[0]):
            raise UnusableError(
                f"certificate {at + 1} did not issue one before it: the first one is self-signed; remove it"
            )
        issued = [place for place in range(at) if chain[place].issuer == issuer.subject and _fits(chain[place], issuer)]
        if not issued:
            raise UnusableError(
                f"certificate {at + 1} did not issue one before it; order them from the server's own to its "
                "authority, and remove what does not belong"
            )
        below[at] = min(below[place] for place in issued) + (not is_self_signed(issuer))
        if not chain_usages(chain[: at + 1]):
            raise UnusableError(f"certificate {at + 1} has an extended key usage that allows none of those below it")
        with _numbered(at):
            check_authority(issuer, min(below[place] for place in issued))
            _check_netscape_type(issuer)
            public_key(issuer)  # its size bounds the cost of what follows
            for place in issued:
                _verify(chain[place], issuer, place)
            _check_names(issuer, chain[:at])
    return below[len(chain) - 1]


def issuers_of_last(
    chain: Sequence[x509.Certificate], below: int, trusted: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Those of ``ca.crt`` that issued the last certificate of the chain; [] if none there claims so: then others trust
    its issuer, such as the public. ``below`` is what ``check_chain`` returned.
    """
    last = chain[-1]
    if is_self_signed(last):
        return []
    candidates = [each for each in trusted if each.subject == last.issuer and _fits(last, each)]
    found, problem = [], None
    for issuer in candidates[:MAX_CHAIN]:
        try:
            check_authority(issuer, below)
            public_key(issuer)
            _verify(last, issuer, len(chain) - 1)
            _check_names(issuer, chain)
            if not usages(issuer) & chain_usages(chain):
                raise UnusableError("has an extended key usage that allows none of those below it")
            found.append(issuer)
        except UnusableError as unusable:
            problem = problem or unusable
    if problem is not None and not found:
        raise UnusableError(f"the issuer of the last certificate {problem}")
    return found


@contextmanager
def _numbered(at: int) -> Iterator[None]:
    """Puts the number of a certificate before what is wrong with it."""
    try:
        yield
    except UnusableError as unusable:
        raise UnusableError(f"certificate {at + 1} {unusable}") from None


def _fits(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the key identifiers of a certificate and of a possible issuer do not contradict (RFC 5280, 4.2.1.1)."""
    named, own = (
        _extension(certificate, x509.AuthorityKeyIdentifier),
        _extension(issuer, x509.SubjectKeyIdentifier),
    )
    if named is None:
        return True
    if named.authority_cert_serial_number not in (None, issuer.serial_number):
        return False
    return named.key_identifier is None or own is None or named.key_identifier == own.digest


def chain_usages(chain: Sequence[x509.Certificate]) -> frozenset[str]:
    """What the first may be used for: OpenSSL wants the extended key usage of its issuers to allow it as well."""
    return frozenset.intersection(*map(usages, chain))


def _check_netscape_type(issuer: x509.Certificate) -> None:
    kinds = _value(issuer, _NETSCAPE_CERT_TYPE)
    if kinds is not None and (len(kinds) < 4 or not kinds[3] & 0x04):
        raise UnusableError("has a Netscape certificate type without SSL authority")


def _verify(certificate: x509.Certificate, issuer: x509.Certificate, place: int) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        message = (
            f"has the name of the issuer of certificate {place + 1}, but did not sign it; put the one there that did"
        )
        raise UnusableError(message) from None


def _check_names(issuer: x509.Certificate, below: Sequence[x509.Certificate]) -> None:
    constraints = _extension(issuer, x509.NameConstraints)
    if constraints is None:
        return
    for certificate in below:
        if certificate is not below[0] and is_self_signed(certificate):
            continue  # self-issued authorities are exempt, the leaf is not
        alternative = _extension(certificate, x509.SubjectAlternativeName)
        names = tuple(alternative) if alternative is not None else ()
        problem = violated(constraints, certificate.subject, names)
        if problem is not None:
            raise UnusableError(problem)
