"""The allowed values of settings: each form as a text and as a test. The text is used in the message about a wrong
value, in the reference page, and in the type of the field. Below the package ``decco.settings``, because the settings
of the DNS providers, which it contains, consist of these types too.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, Union

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, TypeAdapter
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

import decco.pydantic_plugins  # noqa: F401 - before the first model is built

T = TypeVar("T")

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_QUANTITY = re.compile(r"[+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+|[KMGTPE]i|[munkMGTPE])?")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})")


class Section(BaseModel):
    """A group of settings; an unknown key is a mistake and is reported as one."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        defer_build=True,  # no validator for a provider's model that is only part of the settings: 0.1 MB
    )


class Form:
    """The allowed form of a value: a text that continues "must be", and a test."""

    def __init__(self, words: str, holds: Callable[[Any], bool]) -> None:
        self.words = words
        self._holds = holds

    def check(self, value: T) -> T:
        if not self._holds(value):
            raise ValueError(f"must be {self.words}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))


class Variants:
    """A mapping whose key ``type`` names the model of its other keys. The models are imported and built at the first
    value: 1 MB that a process without such a setting saves.
    """

    def __init__(self, models: Callable[[], Mapping[str, type[Section]]]) -> None:
        self.models = models

    @functools.cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        union: Any = Union[tuple(self.models().values())]  # noqa: UP007 - known at run time only
        return TypeAdapter(Annotated[union, Field(discriminator="type")])

    def _validate(self, value: object) -> Any:
        return self._adapter.validate_python(value)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validate)


def is_dns_label(text: str) -> bool:
    """RFC 1123 label, as Kubernetes requires for namespaces."""
    return _LABEL.fullmatch(text) is not None


def is_dns_name(text: str) -> bool:
    """RFC 1123 subdomain: labels with dots between them, as Kubernetes requires for most names."""
    return len(text) <= 253 and all(is_dns_label(label) for label in text.split("."))


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def is_ip_address(text: str) -> bool:
    return "%" not in text and _parses(ipaddress.ip_address, text)  # a zone means something on one machine only


def _is_object_name(text: str) -> bool:
    namespace, slash, name = text.partition("/")
    return slash == "/" and is_dns_label(namespace) and is_dns_name(name)


def _is_network(text: str) -> bool:
    # The standard library also takes no length, a netmask, or a zone; a NetworkPolicy's ipBlock does not.
    plain = text.partition("/")[2].isdecimal() and "%" not in text
    return plain and _parses(ipaddress.ip_network, text)


def _are_resources(value: Mapping[str, Any]) -> bool:
    if not value.keys() <= {"requests", "limits"}:
        return False
    for amounts in value.values():
        if not isinstance(amounts, Mapping):
            return False
        for name, amount in amounts.items():
            is_number = isinstance(amount, int | float | str) and not isinstance(amount, bool)
            if not isinstance(name, str) or not is_number or _QUANTITY.fullmatch(str(amount)) is None:
                return False
    return True


def parse_bind_address(text: str) -> tuple[str | None, int] | None:
    """``host:port``, ``[v6]:port`` or ``:port`` -> (host, port); the host of all interfaces is None; "0" (off) is None.

    Port 0 takes any free port. Raises ValueError for anything else.
    """
    if text == "0":
        return None
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ValueError(text)
    if match["v6"] is not None:
        return str(ipaddress.IPv6Address(match["v6"])), int(match["port"])
    host = match["host"]
    if host and not is_dns_name(host.lower()):
        raise ValueError(text)
    return host or None, int(match["port"])


def parse_name_server(text: str) -> tuple[str, int]:
    """``address``, ``v4:port`` or ``[v6]:port`` -> (address, port), 53 without one. Raises ValueError."""
    if is_ip_address(text):
        return text, 53
    found = parse_bind_address(text)
    if found is None or found[0] is None or not found[1]:
        raise ValueError(text)
    return str(ipaddress.ip_address(found[0])), found[1]


def parse_pods(text: str) -> tuple[str, str, str]:
    """``namespace/label=value`` -> (namespace, label, value). Raises ValueError."""
    namespace, _, selector = text.partition("/")
    label, _, value = selector.partition("=")
    if not (is_dns_label(namespace) and _LABEL_KEY.fullmatch(label) and _LABEL_VALUE.fullmatch(value)):
        raise ValueError(text)
    return namespace, label, value


def _zero_is_text(value: object) -> object:
    return "0" if value == 0 and value is not False else value


DnsLabel = Annotated[
    str, Form("a DNS label: lower-case letters, digits and inner hyphens, at most 63 of them", is_dns_label)
]
DnsName = Annotated[str, Form("a DNS name: lower-case labels with dots between them", is_dns_name)]
ObjectName = Annotated[str, Form("namespace/name of an object", _is_object_name)]
Network = Annotated[str, Form("a network such as 192.0.2.0/24 or 2001:db8::/32, host bits zero", _is_network)]
Address = Annotated[str, Form("an IP address or a DNS name", lambda text: is_ip_address(text) or is_dns_name(text))]
BindAddress = Annotated[
    str,
    BeforeValidator(_zero_is_text),
    Form(
        "host:port, [IPv6]:port, :port for all interfaces, or 0 for off", lambda text: _parses(parse_bind_address, text)
    ),
]
NameServer = Annotated[
    str,
    Form("an IP address, or one with a port such as 192.0.2.53:5353", lambda text: _parses(parse_name_server, text)),
]
PodSelector = Annotated[
    str,
    Form("namespace/label=value of pods, such as kube-system/k8s-app=kube-dns", lambda text: _parses(parse_pods, text)),
]
Image = Annotated[str, Form("an image reference", lambda text: _IMAGE.fullmatch(text) is not None)]
NonEmpty = Annotated[
    str, Form("text of at least one character", lambda text: text.strip() != "" and text.isprintable())
]
Resources = Annotated[
    dict[str, Any], Form("a mapping with requests and limits, each of names to quantities", _are_resources)
]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
