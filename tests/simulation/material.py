"""Secrets of the simulated tenants: two certificates of one authority, valid on the virtual clock."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.simulation.clock import EPOCH

Obj = dict[str, Any]

NAMES = (
    "*.example.net",
    "*.example.com",
    *(f"{wild}{space}.example.net" for space in ("alpha", "beta", "gamma") for wild in ("", "*.")),
)
CANARY = "canary"
"""Begins a value of each Secret that must be nowhere else."""


def _key(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(1_000_003 + number, ec.SECP256R1())


@cache
def certificate(number: int) -> tuple[bytes, bytes, bytes]:
    """Certificate, key and authority in PEM."""
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    start = datetime.fromtimestamp(EPOCH, UTC) - timedelta(days=1)

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey, serial: int) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(authority).public_key(key.public_key())
        return made.serial_number(serial).not_valid_before(start).not_valid_after(start + timedelta(days=90))

    root = (
        builder(authority, _key(0), 1)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(_key(0), hashes.SHA256())
    )
    key = _key(number + 1)
    leaf = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"leaf {number}")]), key, number + 2)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES]), critical=False)
        .sign(_key(0), hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = serialization.Encoding.PEM
    return leaf.public_bytes(pem), private, root.public_bytes(pem)


@cache
def secret(name: str, number: int, shared: bool) -> Obj:
    """A TLS Secret in decco's namespace, shared with everybody or with nobody."""
    cert, key, ca = certificate(number)
    content = {"tls.crt": cert, "tls.key": key, "ca.crt": ca}
    meta: Obj = {"name": name, "namespace": "decco"}
    if shared:
        meta["labels"] = {"decco.platform9.com/share": "true"}
        meta["annotations"] = {"decco.platform9.com/share-with": "*"}
    data = {field: base64.b64encode(value).decode() for field, value in content.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "kubernetes.io/tls", "data": data}


@cache
def confidential() -> tuple[bytes, ...]:
    """Parts of the private keys, as they would look in an object."""
    found = []
    for number in (0, 1):
        key = certificate(number)[1]
        line = key.splitlines()[1]
        found += [line, base64.b64encode(key)[60:120]]
    return tuple(found)
