"""The forms of text that Spaces and Apps are written in.

The values become names of objects, and parts of the configuration of stunnel, of routes of a proxy and of DNS. So each
form allows what is needed and nothing that could end a line, a quotation or a word there.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from decco.api.rules import VALIDATIONS, Format, validation
from decco.frozen import frozen

MAX_LABEL = 63
"""Longest DNS label (RFC 1035), and longest value of a Kubernetes label."""
MAX_DNS_NAME = 253
"""Longest DNS name in text, without the trailing dot."""
MAX_PATH = 1024
"""Longest path in a match of the Gateway API."""

_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"

DNS_LABEL = Format(
    pattern=_LABEL,
    max_length=MAX_LABEL,
    message='must be a DNS label: lower-case letters, digits and "-", a letter or digit at both ends, such as team-1',
)

OBJECT_NAME = Format(
    pattern="[a-z]([-a-z0-9]{0,61}[a-z0-9])?",
    max_length=MAX_LABEL,
    message='must be a DNS label that starts with a letter: lower-case letters, digits and "-", such as web-1',
)
"""A DNS label that may also name a Service (RFC 1035: the first character is a letter)."""

DNS_NAME = Format(
    pattern=rf"({_LABEL}(\.|$))+",
    never=r"(^|\.)([0-9]+|0x[0-9a-f]*)?$",
    max_length=MAX_DNS_NAME,
    message="must be a DNS name in lower case, such as shop.example.com: no address, port, wildcard or dot at the end",
)
"""A host name (RFC 1123). With a number as the last label, resolvers and browsers read the whole as an IPv4 address:
1.2.3.4, 127.1, 2130706433, 0x7f.1, 0x7f000001 (https://url.spec.whatwg.org/#ends-in-a-number-checker).
Each label is written once, and the second pattern also refuses the dot at the end: the length of both counts in the
API server's cost estimate."""

HOST_PATTERN = Format(
    pattern=rf"(\*\.{_LABEL}\.)?({_LABEL}(\.|$))+",
    never=DNS_NAME.never,
    max_length=MAX_DNS_NAME,
    message="must be a DNS name in lower case, such as shop.example.com, or a wildcard for one label in front of at "
    "least two, such as *.shop.example.com",
)
"""A host name, or a wildcard as certificates have it: "*" is the whole first label, and two or more follow
(``secret_use.covers``)."""

SUBDOMAIN = Format(
    pattern=r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
    max_length=MAX_DNS_NAME,
    message='must be the name of a Kubernetes object: lower-case letters, digits, "-" and ".", such as acme-tls',
)
"""What Kubernetes itself accepts as the name of a Secret or RuntimeClass."""

HTTP_PATH = Format(
    pattern="/([-A-Za-z0-9/._~:@=+,]|%[0-9A-Fa-f]{2})*",
    never=r"//|/\.{1,2}(/|$)|%2[eEfF]|%[01]|%7[fF]",
    max_length=MAX_PATH,
    message='must be a path that starts with "/", such as /shop: of letters, digits, / - . _ ~ : @ = + , and '
    '%-escapes, without "//", without the segments "." and "..", without query or fragment',
)
"""A prefix of URL paths: what HTTPRoute (Gateway API v1) and Ingress accept, less the characters ``! $ & ' ( ) * ;``,
which mean something in the configuration of one proxy or another, and less escaped slashes, dots and control
characters, which proxies decode at different moments."""

BYTE_SIZE = Format(
    pattern="([1-9][0-9]{0,2}|10[01][0-9]|102[0-4])(Ki|Mi)",
    max_length=6,
    message="must be a size from 1Ki to 1024Mi: a whole number up to 1024 with Ki or Mi, such as 10Mi",
)

KIND_NAME = Format(
    pattern="[A-Z][A-Za-z0-9]*",
    max_length=MAX_LABEL,
    message="must be a kind of Kubernetes, such as ClusterIssuer: letters and digits, the first a capital letter",
)

APP_NAME = Format(
    pattern=SUBDOMAIN.pattern,
    max_length=MAX_LABEL,
    message='must be the name of an App: lower-case letters, digits, "-" and ".", such as web',
)
"""The name of an App is also the value of a label."""

DnsLabel = Annotated[str, DNS_LABEL]
ObjectName = Annotated[str, OBJECT_NAME]
DnsName = Annotated[str, DNS_NAME]
KindName = Annotated[str, KIND_NAME]
AppName = Annotated[str, APP_NAME]
ByteSize = Annotated[str, BYTE_SIZE]
HostPattern = Annotated[str, HOST_PATTERN]
SecretName = Annotated[str, SUBDOMAIN]
RuntimeClassName = Annotated[str, SUBDOMAIN]
HttpPath = Annotated[str, HTTP_PATH]

MAX_CIDR = 43
"""Longest IPv6 network: eight groups of four digits, and /128."""


@frozen
class CidrFormat:
    """A network in its one canonical spelling, so that equal networks are equal texts."""

    message: str = (
        "must be a network in canonical form, such as 192.0.2.0/24 or 2001:db8::/32: no host bits, no leading zeros, "
        "IPv6 in lower case and shortened (RFC 5952), not an IPv4-mapped one"
    )

    def matches(self, text: str) -> bool:
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            return False
        mapped = network.version == 6 and network.overlaps(_MAPPED) and network.prefixlen >= _MAPPED.prefixlen
        return str(network) == text and "%" not in text and not mapped

    def cel(self, value: str = "self") -> str:
        return f"isCIDR({value}) && string(cidr({value}).masked()) == {value}"

    def _check(self, text: str) -> str:
        if not self.matches(text):
            raise ValueError(self.message)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        json = handler(schema)
        json["maxLength"] = MAX_CIDR
        json.setdefault(VALIDATIONS, []).append(validation(self.cel(), self.message))
        return json


_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")

CIDR = CidrFormat()
Cidr = Annotated[str, CIDR]
