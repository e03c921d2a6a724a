"""TSIG keys in the formats of BIND's tools and in common short forms.

* ``key "name" { algorithm ...; secret ...; };``: a file of tsig-keygen or rndc-confgen, or named.conf itself
* ``K<name>.+<algorithm>+<id>.private`` and ``.key`` of dnssec-keygen
* ``[algorithm:]name:secret``, as for ``nsupdate -y``
* the secret alone, in base64

Pure. Errors are ValueError with a short text that never contains a secret.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import field
from typing import Final

import dns.exception
import dns.name
import dns.tsig

from decco.dns.providers.rfc2136.settings import algorithm_name
from decco.frozen import frozen
from decco.hostnames import canonical

ALGORITHM_NUMBERS: Final = {
    "157": "hmac-md5",
    "161": "hmac-sha1",
    "162": "hmac-sha224",
    "163": "hmac-sha256",
    "164": "hmac-sha384",
    "165": "hmac-sha512",
}
"""dnssec-keygen's numbers (lib/dns/include/dst/dst.h of BIND)."""
_TOKEN: Final = re.compile(r'\s+|/\*.*?\*/|//[^\n]*|#[^\n]*|("(?:\\.|[^"\\])*"|[{};]|[^\s{};"]+)', re.DOTALL)
_KEY_RECORD: Final = re.compile(
    r"^(\S+)\s+(?:\d+\s+)?(?:IN\s+)?KEY\s+\d+\s+3\s+(\d+)\s+(.+)$", re.DOTALL | re.IGNORECASE
)
_PRIVATE: Final = re.compile(r"^(Algorithm|Key):[ \t]*(\S*)", re.MULTILINE)


@frozen
class TsigKey:
    """One key; ``name`` and ``algorithm`` are "" if the format does not have them."""

    name: str
    algorithm: str
    secret: str = field(repr=False)

    def signing(self) -> dns.tsig.Key:
        """The key for dnspython. Raises ValueError."""
        try:
            octets = base64.b64decode("".join(self.secret.split()), validate=True)  # dnspython is lenient
        except (binascii.Error, ValueError) as error:
            raise ValueError("its secret must be base64") from error
        if not octets:
            raise ValueError("its secret is empty: it must be base64")
        algorithm = dns.name.from_text(algorithm_name(self.algorithm))
        if algorithm not in dns.tsig.mac_sizes:
            raise ValueError(f"its algorithm {self.algorithm!r} is not supported")
        try:
            return dns.tsig.Key(dns.name.from_text(self.name), octets, algorithm)
        except dns.exception.DNSException as error:
            raise ValueError(f"its name {self.name!r} must be a DNS name") from error


def read_keys(text: str) -> list[TsigKey]:
    """All keys of a text in any of the formats. Raises ValueError; never returns an empty list."""
    text = text.removeprefix("\ufeff").strip()
    if "{" in text:
        keys = list(_of_statements(text))
        if not keys:
            raise ValueError('it has no statement key "name" { ... };')
        return keys
    if text.startswith("Private-key-format:"):
        fields = dict(_PRIVATE.findall(text))
        name, number, secret = "", fields.get("Algorithm", ""), fields.get("Key", "")
    elif record := _KEY_RECORD.fullmatch(text):
        name, number, secret = record.groups()
    else:
        algorithm, name, secret = ["", "", *text.split(":")][-3:] if text.count(":") < 3 else ("", "", text)
        return [TsigKey(name, algorithm, secret)]
    return [TsigKey(name, ALGORITHM_NUMBERS.get(number, f"number {number}"), secret)]


def choose(keys: list[TsigKey], name: str) -> TsigKey:
    """The key with that name, or the only one if ``name`` is "". Raises ValueError."""
    if not name:
        if len(keys) > 1:
            raise ValueError(f"it has {len(keys)} keys ({_names(keys)}): name one with tsigKeyName")
        return keys[0]
    for key in keys:
        if not key.name or canonical(key.name) == canonical(name):
            return key
    raise ValueError(f"it has no key {name!r}, which the settings name, but {_names(keys)}")


def _names(keys: list[TsigKey]) -> str:
    return ", ".join(repr(key.name) for key in keys)


def _of_statements(text: str) -> Iterator[TsigKey]:
    """The keys of a configuration file, also of those in the blocks of views."""
    opened: list[list[str]] = []
    """The statements whose blocks are open, from the outside to the inside."""
    statement: list[str] = []
    options: dict[str, str] = {}
    for lexeme in _tokens(text):
        if lexeme not in {"{", "}", ";"}:
            statement.append(re.sub(r"\\(.)", r"\1", lexeme[1:-1]) if lexeme.startswith('"') else lexeme)
            continue
        if lexeme == "{":
            opened.append(statement)
            options = {}
        else:
            if statement:
                options[statement[0].lower()] = " ".join(statement[1:])
            if lexeme == "}":
                if not opened:
                    raise ValueError("it has a closing brace too many")
                match opened.pop():
                    case ["key", name]:
                        if not options.get("secret"):
                            raise ValueError(f"its key {name!r} has no secret")
                        yield TsigKey(name, options.get("algorithm", ""), options["secret"])
        statement = []
    if opened:
        raise ValueError("it lacks a closing brace")


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"a quotation mark in line {text.count(chr(10), 0, at) + 1} is not closed")
        at = match.end()
        if match[1]:
            yield match[1]
