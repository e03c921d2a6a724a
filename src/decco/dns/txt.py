"""TXT values as in master files and web APIs: quoted strings of at most 255 octets (RFC 1035 section 5.1)."""

from __future__ import annotations

import re

MAX_STRING = 255
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(\d{3}|.)")


def quoted(text: str) -> str:
    parts = [text[i : i + MAX_STRING] for i in range(0, len(text), MAX_STRING)] or [""]
    return " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)


def unquoted(value: str, base: int = 10) -> str:
    """Join the strings of a value; ``base`` is that of three-digit escapes: 10 in master files, 8 in Route 53.

    A value without quotes is returned unchanged.
    """

    def octet(match: re.Match[str]) -> str:
        digits = match[1]
        return chr(int(digits, base) & 0xFF) if len(digits) == len("000") else digits

    parts = _STRING.findall(value)
    return "".join(_ESCAPED.sub(octet, part) for part in parts) if parts else value
