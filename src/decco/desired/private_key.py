"""The private key of a certificate: whether it can be read without a passphrase, and belongs to the certificate.

The full check of an RSA key costs 39 ms for 2048 and 250 ms for 4096 bits (primality). BoringSSL checks the relations
between its numbers when it reads it, and with wrong ones every signature is wrong; so these are checked, in
microseconds. A key of more than MAX_KEY_BYTES is not read: OpenSSL would compute for an arbitrary time.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from decco.desired.certificates import UNREADABLE, UnusableError, kind_of
from decco.desired.pem import Block

MAX_KEY_BYTES = 8192
"""Length of a private key in DER; one of 8192 bit RSA has 4.7 KB."""
FORM = "PRIVATE KEY"
LOCKED = "ENCRYPTED PRIVATE KEY"
_FORMS = (FORM, "RSA PRIVATE KEY", "EC PRIVATE KEY")


def find(blocks: list[Block]) -> Block:
    """The block that TLS servers take: the first private key, after any others, such as EC PARAMETERS."""
    for block in blocks:
        if block.label == LOCKED:
            raise UnusableError("is locked with a passphrase")
        if block.label in _FORMS:
            return block
        if block.label.endswith(FORM):
            raise UnusableError(f"has a key in the form {block.label}, which TLS servers do not read")
    raise UnusableError("holds no PEM private key")


def public_half(block: Block) -> bytes:
    """The public key that belongs to the private one, as DER of a SubjectPublicKeyInfo."""
    if len(block.der) > MAX_KEY_BYTES:
        raise UnusableError(f"is longer than {MAX_KEY_BYTES} bytes; use a key of common size")
    unreadable = UnusableError("holds no readable private key")
    try:
        key = load_pem_private_key(block.as_pem(), password=None, unsafe_skip_rsa_key_validation=True)
    except UNREADABLE:
        raise unreadable from None
    if not isinstance(key, _KINDS.get(block.label, _ANY)):
        raise UnusableError(f"has another kind of key than its first line, {block.label}, says")
    try:
        public = key.public_key()
        kind_of(public)  # type: ignore[arg-type]
        encoded = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        consistent = _is_consistent(key)
    except UNREADABLE:
        raise unreadable from None
    if not consistent:
        raise UnusableError("holds a damaged private key: its numbers do not belong together")
    return encoded


_ANY = (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)
_KINDS = {"RSA PRIVATE KEY": rsa.RSAPrivateKey, "EC PRIVATE KEY": ec.EllipticCurvePrivateKey}


def _is_consistent(key: object) -> bool:
    if isinstance(key, rsa.RSAPrivateKey):
        return _is_consistent_rsa(key.private_numbers())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        numbers = key.private_numbers()
        derived = ec.derive_private_key(numbers.private_value, key.curve)
        return derived.public_key().public_numbers() == numbers.public_numbers
    return True  # the public half is computed from the private one


def _is_consistent_rsa(numbers: rsa.RSAPrivateNumbers) -> bool:
    """The relations of ``RSA_check_key`` in BoringSSL, without primality."""
    p, q, d, e = numbers.p, numbers.q, numbers.d, numbers.public_numbers.e
    if min(p, q) < 3 or p * q != numbers.public_numbers.n or not 0 < d < numbers.public_numbers.n:
        return False
    return (
        d * e % (p - 1) == 1
        and d * e % (q - 1) == 1
        and numbers.dmp1 == d % (p - 1)
        and numbers.dmq1 == d % (q - 1)
        and numbers.iqmp < p
        and numbers.iqmp * q % p == 1
    )
