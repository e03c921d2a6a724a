"""PEM as every TLS server reads it: what one reader takes and another refuses, or skips without a word, is an error.

OpenSSL and BoringSSL find a block only where its first line begins a line, and skip a block that begins elsewhere: of a
certificate whose text is indented, or glued to the one before, nothing is read, and the connection fails later, for
each client. Go, which Traefik is written in, joins what OpenSSL separates. So the text is read by the rules that all of
them share (RFC 7468, and ``PEM_read_bio`` of OpenSSL and BoringSSL for what it leaves open):

* a block begins and ends at the beginning of a line; lines end with LF or CRLF; spaces may follow, not precede. Go
  takes a second CR for a part of the line, and Envoy Gateway, which reads a certificate before Envoy does, is in Go;
* between them is base64, at most MAX_LINE characters in a line, without an empty line and without headers;
* any text may stand around a block, if no line of it looks like the beginning or the end of one.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, encodebytes

from decco.frozen import frozen

MAX_LINE = 76
"""Of base64 in one line: 64 by RFC 7468, 76 by MIME. OpenSSL before 3.0 reads no line of more than 80."""

_MARK = re.compile(rb"-----(BEGIN|END)\b")
_BOUNDARY = re.compile(rb"-----(BEGIN|END) ([A-Z0-9][A-Z0-9 ]{0,60})-----")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")


class PemError(ValueError):
    """What is wrong, in which line. Never contains a part of the text."""


@frozen
class Block:
    label: str
    """As ``CERTIFICATE`` or ``EC PRIVATE KEY``."""
    der: bytes
    line: int
    """Number of its first line, from 1."""

    def as_pem(self) -> bytes:
        """The block in the form that every reader takes."""
        label = self.label.encode()
        return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, encodebytes(self.der), label)


def blocks(text: bytes) -> list[Block]:
    """The blocks of a text, in order; PemError if readers of PEM differ about it."""
    if is_der(text):
        raise PemError("it is DER, the binary form, and servers read PEM")
    if b"\0" in text:
        raise PemError("it contains a zero byte, as text in UTF-16 does: write it in ASCII or UTF-8")
    found: list[Block] = []
    label, body, began = b"", b"", 0
    *ended, last = text.split(b"\n")
    for number, line in enumerate([*(each.removesuffix(b"\r") for each in ended), last], 1):
        line = line.rstrip(b" \t")
        if b"\r" in line:
            raise PemError(f"line {number} contains a carriage return: end each line with a line feed")
        mark = _MARK.search(line)
        if mark is None:
            if began:
                body += _base64(line, number)
            continue
        boundary = _boundary(line, mark, number)
        if (boundary[1] == b"BEGIN") == bool(began):
            raise PemError(_unpaired(boundary[1], number, began))
        if boundary[1] == b"BEGIN":
            label, body, began = boundary[2], b"", number
            continue
        if boundary[2] != label:
            raise PemError(f"the block of line {began} ends in line {number} under another name")
        found.append(Block(label.decode(), _decoded(body, began), began))
        began = 0
    if began:
        raise PemError(f"the block that begins in line {began} has no end: the text is cut off")
    return found


def is_der(text: bytes) -> bool:
    """Whether it is one SEQUENCE in DER (X.690, 8.1.3), as certificates, keys and CRLs are; a file may end with a
    newline.
    """
    if len(text) < 2 or text[0] != 0x30:
        return False
    size, header = text[1], 2
    if size > 0x80:
        header += size - 0x80
        size = int.from_bytes(text[2:header], "big")
    return len(text) - header in (size, size + 1)


def _boundary(line: bytes, mark: re.Match[bytes], number: int) -> re.Match[bytes]:
    boundary = _BOUNDARY.fullmatch(line)
    if boundary is not None:
        return boundary
    if line.startswith(b"\xef\xbb\xbf"):
        raise PemError(f"line {number} begins with a byte order mark: save the text without one")
    before = line[: mark.start()]
    if before and not before.strip():
        raise PemError(f"line {number} is indented: begin it at the beginning of the line")
    if before.endswith(b"-----"):
        raise PemError(f"line {number} has the end of a block and the beginning of another: begin a new line between")
    if before:
        raise PemError(f"line {number} has text before the beginning or end of a block: begin a new line there")
    raise PemError(f"line {number} is not a correct beginning or end of a block, or has text behind it")


def _unpaired(kind: bytes, number: int, began: int) -> str:
    if kind == b"BEGIN":
        return f"a block begins in line {number}, and the one of line {began} has no end: the text is cut off there"
    return f"line {number} is the end of a block that has no beginning"


def _base64(line: bytes, number: int) -> bytes:
    if not line:
        raise PemError(f"line {number}, inside a block, is empty: remove it")
    if line[:1] in b" \t":
        raise PemError(f"line {number} is indented: begin it at the beginning of the line")
    if b":" in line and b"ENCRYPTED" in line:
        raise PemError(f"line {number} says that the key is locked with a passphrase: store it without one")
    if b":" in line:
        raise PemError(f"line {number}, inside a block, is a header: use a form without, unlocked and without comments")
    if not _BASE64.fullmatch(line):
        raise PemError(f"line {number}, inside a block, is not base64")
    if len(line) > MAX_LINE:
        raise PemError(f"line {number} has more than {MAX_LINE} characters: write 64 in each line")
    return line


def _decoded(body: bytes, began: int) -> bytes:
    try:
        der = b64decode(body, validate=True)
    except binascii.Error:
        raise PemError(
            f"the block of line {began} is not complete base64: characters are missing or too many"
        ) from None
    if not der:
        raise PemError(f"the block of line {began} is empty")
    return der
