"""Secrets whose bytes are unique, and the search for these bytes where they must not be."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

PART = 16
"""Bytes of a canary that count as a part of it."""
_BLOCK = 8
"""Every part of 16 bytes, and its base64, contain a block of 8 that begins at a multiple of 8."""


@dataclass(frozen=True, slots=True)
class Canary:
    """One value. ``allowed`` are the prefixes of the etcd keys whose objects may contain it."""

    name: str
    value: bytes
    allowed: tuple[str, ...]


@dataclass
class Canaries:
    """All values of one life, the former ones too."""

    all: list[Canary] = field(default_factory=list)

    def text(self, name: str, *allowed: str) -> bytes:
        """A new value of letters, digits, "-" and "_", which stays the same in JSON, URLs and the repr of a string."""
        value = secrets.token_urlsafe(36).encode()
        self.all.append(Canary(name, value, allowed))
        return value

    def key(self, name: str, pem: bytes, *allowed: str) -> None:
        """A private key on a curve of 256 bits, in PEM: only its secret number, not what all keys have in common."""
        private = serialization.load_pem_private_key(pem, None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        number = private.private_numbers().private_value.to_bytes(32, "big")
        body = b"".join(pem.splitlines()[1:-1])
        begin = body.index(base64.b64encode(number)[:40])
        # PEM breaks lines after 64 characters.
        self.all += [Canary(name, part, allowed) for part in (number, body[begin:64], body[64 : begin + 40])]

    def found(self, texts: Iterable[tuple[str, bytes]]) -> list[str]:
        """Each canary in each text that must not contain it, as "canary in text"."""
        searched: dict[bytes, list[tuple[bytes, Canary]]] = {}
        for canary in self.all:
            for needle in needles(canary.value):
                searched.setdefault(needle[:_BLOCK], []).append((needle, canary))
        return sorted(
            {
                f"{canary.name} in {where}"
                for where, text in texts
                for at in range(len(text) - _BLOCK + 1)
                for needle, canary in searched.get(text[at : at + _BLOCK], ())
                if text.startswith(needle, at) and not where.startswith(canary.allowed or "\0")
            }
        )


def needles(value: bytes) -> Iterator[bytes]:
    """Blocks of the value itself, of its base64 wherever it begins in a longer text, and of its hexadecimal form."""
    yield from _blocks(value, _BLOCK)
    for before in range(3):
        # The first and the last characters depend on the neighbours.
        encoded = base64.b64encode(b"\0" * before + value)[4 if before else 0 :].rstrip(b"=")[:-1]
        yield from _blocks(encoded, _BLOCK)
    yield from _blocks(value.hex().encode(), 2 * _BLOCK)


def _blocks(text: bytes, size: int) -> Iterator[bytes]:
    yield from (text[at : at + size] for at in range(0, len(text) - size + 1, size))
