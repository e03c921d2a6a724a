"""Ways in which the text of a PEM file is changed or damaged, as editors, templates and people do it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

Mangle = Callable[[bytes], bytes]


def _lines(text: bytes, width: int) -> bytes:
    def again(match: re.Match[bytes]) -> bytes:
        body = match[2].replace(b"\n", b"")
        return match[1] + b"".join(body[at : at + width] + b"\n" for at in range(0, len(body), width)) + match[3]

    return re.sub(rb"(-----BEGIN [^-]+-----\n)([^-]+)(-----END)", again, text)


def _each_line(change: Mangle) -> Mangle:
    return lambda text: b"".join(change(line) for line in text.splitlines(keepends=True))


def _in_body(change: Mangle) -> Mangle:
    return _each_line(lambda line: line if line.startswith(b"-----") else change(line))


def _changed(text: bytes) -> bytes:
    return re.sub(
        rb"\n(.{30})(.)", lambda found: b"\n" + found[1] + (b"B" if found[2] == b"A" else b"A"), text, count=1
    )


TEXTS: dict[str, Mangle] = {
    "as it is": lambda text: text,
    "glued": lambda text: text.replace(b"-----\n-----", b"----------"),
    "without a final line feed": lambda text: text.rstrip(b"\n"),
    "indented": _each_line(lambda line: b"  " + line),
    "indented by tabs": _each_line(lambda line: b"\t" + line),
    "indented body": _in_body(lambda line: b"  " + line),
    "indented first line": lambda text: b" " + text,
    "one line": lambda text: text.replace(b"\n", b" "),
    "no line feeds": lambda text: text.replace(b"\n", b""),
    "escaped line feeds": lambda text: text.replace(b"\n", b"\\n"),
    "CRLF": lambda text: text.replace(b"\n", b"\r\n"),
    "CR": lambda text: text.replace(b"\n", b"\r"),
    "CRCRLF": lambda text: text.replace(b"\n", b"\r\r\n"),
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "UTF-16": lambda text: text.decode().encode("utf-16"),
    "quoted": lambda text: b'"' + text + b'"',
    "text before": lambda text: b"Bag Attributes\n    friendlyName: x\n" + text,
    "text behind": lambda text: text + b"that was all\n",
    "text between": lambda text: text.replace(b"-----END CERTIFICATE-----\n", b"-----END CERTIFICATE-----\nnext\n"),
    "empty lines around": lambda text: b"\n\n" + text + b"\n\n",
    "empty lines between": lambda text: text.replace(b"-----\n-----", b"-----\n\n-----"),
    "empty line in the body": _in_body(lambda line: line + b"\n" if len(line) < 65 else line),
    "empty line at the beginning": lambda text: re.sub(rb"(-----BEGIN [^-]+-----\n)", rb"\1\n", text),
    "empty line at the end": lambda text: text.replace(b"\n-----END", b"\n\n-----END"),
    "spaces at the end": _each_line(lambda line: line.replace(b"\n", b"  \n")),
    "lines of 76": lambda text: _lines(text, 76),
    "lines of 32": lambda text: _lines(text, 32),
    "lines of 63": lambda text: _lines(text, 63),
    "lines of 128": lambda text: _lines(text, 128),
    "lines of 300": lambda text: _lines(text, 300),
    "body in one line": lambda text: _lines(text, 1_000_000),
    "one character in a line": lambda text: _lines(text, 1),
    "cut off": lambda text: text[: len(text) - 40],
    "cut in the middle": lambda text: text[: len(text) // 2],
    "without its beginning": lambda text: text.partition(b"\n")[2],
    "four hyphens": lambda text: text.replace(b"-----END", b"----END"),
    "six hyphens": lambda text: text.replace(b"-----BEGIN", b"------BEGIN"),
    "small letters": lambda text: text.replace(b"BEGIN", b"begin"),
    "spaces in the label": lambda text: text.replace(b"BEGIN ", b"BEGIN  "),
    "other end": lambda text: re.sub(rb"-----END [^-]+-----", b"-----END OTHER-----", text),
    "X509 CERTIFICATE": lambda text: text.replace(b"N CERT", b"N X509 CERT").replace(b"D CERT", b"D X509 CERT"),
    "TRUSTED CERTIFICATE": lambda text: text.replace(b"N CERT", b"N TRUSTED CERT").replace(
        b"D CERT", b"D TRUSTED CERT"
    ),
    "zero byte": lambda text: text.replace(b"\n", b"\n\0", 1),
    "character that is none": lambda text: text.replace(b"\nMI", b"\nM!", 1),
    "equals sign inside": lambda text: text.replace(b"\nMI", b"\nM=", 1),
    "url-safe base64": lambda text: text.replace(b"/", b"_").replace(b"+", b"-"),
    "character missing": lambda text: re.sub(rb"\n(.{60}).", rb"\n\1", text, count=1),
    "header": lambda text: re.sub(rb"(-----BEGIN [^-]+-----\n)", rb"\1Comment: x\n\n", text),
    "in base64 once more": lambda text: base64.b64encode(text),
    "twice": lambda text: text + text,
    "a wrong block behind": lambda text: text + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "a block of another kind before": lambda text: b"-----BEGIN X-----\nAAAA\n-----END X-----\n" + text,
    "a wrong block of another kind": lambda text: b"-----BEGIN X-----\n!!!!\n-----END X-----\n" + text,
    "an end before": lambda text: b"-----END PRIVATE KEY-----\n" + text,
    "empty": lambda _text: b"",
    "a byte of DER changed": _changed,
}
