"""A certificate authority for one control plane, created at each start; ECDSA, because RSA keys take seconds.

Kubernetes reads identity from a client certificate: the common name is the user, each organization is a group
(https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=365)
"""Longer than any testbed runs; it is not renewed."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Files of one certificate and its private key, both PEM; the key is readable by its owner only."""

    cert: Path
    key: Path


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that only its owner can read, never readable by others even for a moment."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(content)


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Writes a private key as unencrypted PKCS#8 PEM."""
    write_private(
        path,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def write_signing_key(folder: Path, name: str) -> KeyPair:
    """Makes the key that signs service account tokens; ``cert`` is its public half, no certificate at all."""
    key = ec.generate_private_key(ec.SECP256R1())
    pair = KeyPair(folder / f"{name}.pub", folder / f"{name}.key")
    write_key(pair.key, key)
    pair.cert.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return pair


class Authority:
    """Signs certificates of servers and clients into one folder; its own files are ``ca.crt`` and ``ca.key`` there."""

    def __init__(self, folder: Path, name: str = "decco-testbed") -> None:
        self.folder = folder
        self.files = KeyPair(folder / "ca.crt", folder / "ca.key")
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        cert = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.files.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        write_key(self.files.key, self._key)

    def server(self, name: str, hosts: Sequence[str]) -> KeyPair:
        """Signs a server certificate for DNS names and IP addresses into ``<name>.crt`` and ``<name>.key``."""
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._sign(name, subject, [ExtendedKeyUsageOID.SERVER_AUTH], names)

    def peer(self, name: str, hosts: Sequence[str]) -> KeyPair:
        """Signs a certificate for server and client: a pod presents it in both directions."""
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._sign(name, subject, [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH], names)

    def client(self, name: str, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """Signs a client certificate that the API server reads as ``user`` in ``groups``."""
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        return self._sign(name, subject, [ExtendedKeyUsageOID.CLIENT_AUTH], None)

    def _sign(
        self,
        name: str,
        subject: x509.Name,
        usage: list[x509.ObjectIdentifier],
        names: x509.SubjectAlternativeName | None,
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(subject, key.public_key()).add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        pair = KeyPair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        pair.cert.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        write_key(pair.key, key)
        return pair

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + LIFETIME)
        )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
