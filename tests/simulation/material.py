"""Secrets of the simulated tenants: two certificates of one authority, valid on the virtual clock."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.simulation.clock import EPOCH
from tests.simulation.specs import POD_SECRETS

Obj = dict[str, Any]

TLS, DOCKER_CONFIG = "kubernetes.io/tls", "kubernetes.io/dockerconfigjson"
NAMES = (
    "*.example.net",
    "*.example.com",
    *(f"{wild}{space}.example.net" for space in ("alpha", "beta", "gamma") for wild in ("", "*.")),
    *(f"*.{space}.example.com" for space in ("alpha", "beta", "gamma")),
)
_TOKEN = "a-confidential-token-"
"""Begins the value of each Secret for pods."""


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


def _content(number: int) -> dict[str, str]:
    cert, key, ca = certificate(number)
    content = {"tls.crt": cert, "tls.key": key, "ca.crt": ca}
    return {field: base64.b64encode(value).decode() for field, value in content.items()}


def _of_pods(name: str, number: int) -> tuple[str, dict[str, str]]:
    """Type and data of a Secret that is no certificate."""
    token = f"{_TOKEN}{number}"
    if name == "pull":
        content, type_ = {".dockerconfigjson": orjson.dumps({"auths": {"r": {"auth": token}}})}, DOCKER_CONFIG
    else:
        content, type_ = {"token": token.encode()}, "Opaque"
    return type_, {field: base64.b64encode(value).decode() for field, value in content.items()}


@cache
def secret(name: str, number: int, shared: bool) -> Obj:
    """A Secret in decco's namespace, shared with everybody or with nobody: a certificate, unless the name is one of
    POD_SECRETS.
    """
    type_, data = _of_pods(name, number) if name in POD_SECRETS else (TLS, _content(number))
    meta: Obj = {"name": name, "namespace": "decco"}
    if shared:
        meta["labels"] = {"decco.platform9.com/share": "true"}
        meta["annotations"] = {"decco.platform9.com/share-with": "*"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": type_, "data": data}


def issued_secret(namespace: str, name: str, annotations: dict[str, str]) -> Obj:
    """As cert-manager writes it."""
    meta: Obj = {"name": name, "namespace": namespace, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": TLS, "data": _content(0)}


@cache
def confidential() -> tuple[bytes, ...]:
    """Parts of the private keys and of the pods' Secrets, as they would look in an object."""
    found = [_TOKEN.encode()]
    for name in POD_SECRETS:
        _, data = _of_pods(name, 0)
        found += [value[-36:-8].encode() for value in data.values()]
    for number in (0, 1):
        key = certificate(number)[1]
        line = key.splitlines()[1]
        found += [line, base64.b64encode(key)[60:120]]
    return tuple(found)
