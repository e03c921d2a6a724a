"""Keys and certificates of every kind, good and bad, and the data of TLS Secrets with them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

HOST = "acme.decco.test"
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
Data = dict[str, bytes]

# -- keys --------------------------------------------------------------------------------------------------------------

KEYS: dict[str, Callable[[], Any]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "P-224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "brainpool": lambda: ec.generate_private_key(ec.BrainpoolP256R1()),
    "RSA-1024": lambda: rsa.generate_private_key(65537, 1024),
    "RSA-1536": lambda: rsa.generate_private_key(65537, 1536),
    "RSA-2047": lambda: rsa.generate_private_key(65537, 2047),
    "RSA-2048": lambda: rsa.generate_private_key(65537, 2048),
    "RSA-2048-e3": lambda: rsa.generate_private_key(3, 2048),
    "RSA-3072": lambda: rsa.generate_private_key(65537, 3072),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
    "DSA": lambda: dsa.generate_private_key(2048),
}


@cache
def key_of(kind: str, place: str = "leaf") -> Any:
    """One key of each kind and place, because RSA keys take long."""
    del place
    return KEYS[kind]()


def key_pem(key: Any, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes | None = None) -> bytes:
    locked = BestAvailableEncryption(password) if password else NoEncryption()
    return bytes(key.private_bytes(Encoding.PEM, form, locked))


# -- certificates ------------------------------------------------------------------------------------------------------


@dataclass
class Made:
    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def usage(*named: str) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{each: each in named for each in every})


Extensions = list[tuple[x509.ExtensionType, bool]]


@dataclass
class Template:
    """A certificate to be made."""

    name: str = HOST
    key: Any = None
    issuer: Made | None = None
    since: dt.datetime = NOW - 30 * DAY
    until: dt.datetime = NOW + 30 * DAY
    ca: bool | None = False
    path_length: int | None = None
    sans: tuple[str, ...] | None = (HOST,)
    hash: Any = field(default_factory=hashes.SHA256)
    pss: bool = False
    signer: Any = None
    issuer_name: str = ""
    key_ids: bool = True
    serial: int = 0
    more: Extensions = field(default_factory=list)

    def make(self) -> Made:
        key = self.key if self.key is not None else key_of("P-256", self.name)
        signer = self.signer or (self.issuer.key if self.issuer else key)
        issuer = self.issuer.certificate.subject if self.issuer else _name(self.issuer_name or self.name)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(self.name))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(self.serial or x509.random_serial_number())
            .not_valid_before(self.since)
            .not_valid_after(self.until)
        )
        extensions: Extensions = list(self.more)
        if self.ca is not None:
            length = self.path_length if self.ca else None
            extensions.append((x509.BasicConstraints(ca=self.ca, path_length=length), True))
        if self.sans is not None:
            extensions.append((x509.SubjectAlternativeName([x509.DNSName(each) for each in self.sans]), False))
        if self.key_ids:
            above = self.issuer.key if self.issuer else key
            extensions.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
            extensions.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), False))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        bare = isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
        scheme = padding.PSS(padding.MGF1(self.hash), padding.PSS.DIGEST_LENGTH) if self.pss and self.hash else None
        signed = builder.sign(signer, None if bare else self.hash, rsa_padding=scheme)
        return Made(signed, key)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def authority(name: str = "root", issuer: Made | None = None, **template: Any) -> Made:
    template = {"more": [(usage("key_cert_sign", "crl_sign"), True)], **template}
    return Template(name=name, issuer=issuer, ca=template.pop("ca", True), sans=None, **template).make()


def damaged(certificate: Made) -> bytes:
    """The certificate with the last byte of its signature changed, in PEM."""
    der = bytearray(certificate.certificate.public_bytes(Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_certificate(bytes(der)).public_bytes(Encoding.PEM)


def signed_again(made: Made, issuer: Made, algorithm: hashes.SHA1 | hashes.MD5) -> Made:
    """The same certificate, signed by an RSA key with another hash, which cryptography no longer does by itself."""
    der = made.certificate.public_bytes(Encoding.DER)
    with_sha256, last = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", {"sha1": b"\x05", "md5": b"\x04"}[algorithm.name]
    body = made.certificate.tbs_certificate_bytes.replace(with_sha256, with_sha256[:-1] + last)
    signature = issuer.key.sign(body, padding.PKCS1v15(), algorithm)
    der = der.replace(made.certificate.tbs_certificate_bytes, body).replace(with_sha256, with_sha256[:-1] + last)
    der = der.removesuffix(made.certificate.signature) + signature
    return Made(x509.load_der_x509_certificate(der), made.key)


def secret(leaf: Made, *issuers: Made, **more: bytes) -> Data:
    crt = leaf.pem + b"".join(each.pem for each in issuers)
    return {"tls.crt": crt, "tls.key": key_pem(leaf.key), **{name.replace("_", "."): pem for name, pem in more.items()}}
