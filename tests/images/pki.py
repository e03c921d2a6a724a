"""Certificates for the sidecar's tests: a leaf may serve and ask, be expired, or be signed by a stranger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate with its key and the authority that signed it, all PEM."""

    cert: bytes
    key: bytes
    ca: bytes
    serial: int

    @property
    def secret(self) -> dict[str, bytes]:
        """The data of a TLS Secret, as the kubelet mounts it."""
        return {"tls.crt": self.cert, "tls.key": self.key, "ca.crt": self.ca}


class Authority:
    """Signs leaves; two of the same name are strangers to each other."""

    def __init__(self, name: str = "test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._between = b""
        builder = self._builder(self._name, self._key.public_key(), DAY)
        self._issued = 0
        self.cert = _pem(builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True), self._key)

    def intermediate(self, *names: str) -> Authority:
        """An authority below this one, with DNS names of its own; its leaves bring its certificate with them."""
        below = Authority("intermediate authority")
        builder = self._builder(below._name, below._key.public_key(), DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), critical=False)
        below.cert, below._between = self.cert, _pem(builder, self._key)
        return below

    def revocations(self, *revoked: int, expired: bool = False, seconds: float | None = None) -> bytes:
        """A list of these serial numbers, in PEM; each is newer than those before. ``seconds``: until it expires."""
        self._issued += 1
        now = datetime.now(UTC)
        since = now - DAY + timedelta(seconds=self._issued)
        until = now + (timedelta(seconds=seconds) if seconds is not None else DAY)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name).last_update(since)
        builder = builder.next_update(since + timedelta(seconds=1) if expired else until)
        for serial in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def leaf(self, *names: str | x509.GeneralName, common_name: str = "leaf", expired: bool = False) -> Leaf:
        """A certificate for servers and clients alike: for DNS names, or other names; without any it has no SAN."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = self._builder(subject, key.public_key(), -DAY if expired else DAY)
        if names:
            sans = [x509.DNSName(name) if isinstance(name, str) else name for name in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
        cert = builder.sign(self._key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        pem = cert.public_bytes(serialization.Encoding.PEM) + self._between
        return Leaf(pem, private, self.cert, cert.serial_number)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, lasts: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * DAY)
            .not_valid_after(now + lasts)
        )


def _pem(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
