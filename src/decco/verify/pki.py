"""Certificates for a run: authorities of its own, and leaves that are right, or wrong in one respect."""

from __future__ import annotations

import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from decco.frozen import frozen

DAY = timedelta(days=1)
_PEM = serialization.Encoding.PEM


@frozen
class Leaf:
    """A certificate with its key and the authority that signed it, all PEM; ``digest`` is the SHA-256 of its DER."""

    cert: bytes
    key: bytes
    ca: bytes
    digest: str
    serial: int = 0

    @property
    def data(self) -> dict[str, bytes]:
        """The content of a TLS Secret."""
        return {"tls.crt": self.cert, "tls.key": self.key, "ca.crt": self.ca}


class Authority:
    """Signs leaves; two of the same name are strangers to each other."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        now = datetime.now(UTC)
        builder = _builder(self._name, self._name, self._key, now - DAY, now + DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.cert = builder.sign(self._key, hashes.SHA256()).public_bytes(_PEM)

    @property
    def key(self) -> bytes:
        return _pem(self._key)

    def revoked(self, *serials: int) -> bytes:
        """A list of revoked certificates (CRL), PEM."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(now - DAY).next_update(now + DAY)
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(hours=1))
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(_PEM)

    def leaf(self, *names: str, common_name: str = "", starts: timedelta = -DAY, ends: timedelta = DAY) -> Leaf:
        """A certificate for servers and clients; ``starts`` and ``ends`` count from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        return _leaf(self._name, self._key, self.cert, key, names, common_name, starts, ends)


def self_signed(*names: str) -> Leaf:
    """A certificate that nobody but its own key has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _leaf(_name(names[0]), key, b"", key, names, names[0], -DAY, DAY)


def context(client: Leaf | None = None) -> ssl.SSLContext:
    """For a client that refuses no server's certificate, so that only the server can refuse; blocking."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if client is not None:
        with tempfile.TemporaryDirectory(prefix="decco-verify-") as folder:
            pair = Path(folder) / "pair.pem"
            pair.write_bytes(client.cert + client.key)
            made.load_cert_chain(pair)
    return made


def digest(der: bytes) -> str:
    return sha256(der).hexdigest()


def digest_of_pem(cert: bytes) -> str:
    """Of the first certificate in it."""
    return digest(x509.load_pem_x509_certificate(cert).public_bytes(serialization.Encoding.DER))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, starts: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(ends)
    )


def _leaf(
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    ca: bytes,
    key: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
    common_name: str,
    starts: timedelta,
    ends: timedelta,
) -> Leaf:
    now = datetime.now(UTC)
    builder = _builder(_name(common_name or "decco verify"), issuer, key, now + starts, now + ends)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    if names:
        sans = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(sans, critical=False)
    cert = builder.sign(signer, hashes.SHA256())
    pem = cert.public_bytes(_PEM)
    der = cert.public_bytes(serialization.Encoding.DER)
    return Leaf(pem, _pem(key), ca or pem, digest(der), cert.serial_number)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
