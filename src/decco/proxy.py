"""Which HTTP proxy, if any, stands between decco and a server: HTTP_PROXY, HTTPS_PROXY and NO_PROXY by Go's rules.

People set these variables for Go programs (kubectl, ExternalDNS), whose rules for NO_PROXY differ from those of
Python's libraries: ``example.com`` covers its subdomains, ``.example.com`` covers only them, entries may be networks
and may name a port, loopback is never proxied. Source: golang.org/x/net/http/httpproxy;
``tests/unit/golden/httpproxy`` holds its answers.

Decided once per connection: aiohttp's own ``trust_env`` would read the environment and ~/.netrc again for each request.
"""

from __future__ import annotations

import ipaddress
import os
import string
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import idna

from decco.errors import ConfigError
from decco.hostnames import in_zone

_PORTS: Final = {"http": "80", "https": "443"}
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_http_url(url: str) -> bool:
    """Whether it is an http or https URL with a host, a port in its range if any, and no space or control character."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    clean = url.isprintable() and " " not in url
    return clean and port_is_valid and parts.scheme in _PORTS and bool(parts.hostname)


def proxy_url(url: Any, where: str) -> str | None:
    """A configured proxy, checked; None if there is no proxy. Raises ConfigError for a SOCKS proxy."""
    if not url:
        return None
    if not isinstance(url, str) or not is_http_url(url.strip()):
        raise ConfigError(
            f"proxy-url of {where} must be an http or https URL; other kinds of proxies are not supported"
        )
    return url.strip()


def proxy_from_environment(server: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """The proxy for this URL by the environment, None if there is no proxy. Raises ConfigError for an invalid one.

    Of https_proxy and HTTPS_PROXY the lower case wins, as in curl, in Python and in Go's package since 0.58 of 2026.
    """
    scheme = urlsplit(server).scheme
    variable, proxy = _variable(environ, f"{scheme}_proxy") if scheme in _PORTS else ("", "")
    if not proxy or not _is_proxied(server, _variable(environ, "no_proxy")[1]):
        return None
    url = proxy if "://" in proxy else f"http://{proxy}"
    if not is_http_url(url):
        raise ConfigError(
            f"{variable} of the environment must be an http or https URL, or host:port, without line breaks or "
            "spaces: correct it; other kinds of proxies are not supported"
        )
    return url


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Name and value of the variable that is set, without the line break that a value read from a file may end in."""
    for spelling in (name, name.upper()):
        if value := environ.get(spelling, "").strip():
            return spelling, value
    return name.upper(), ""


def _is_proxied(server: str, no_proxy: str) -> bool:
    host, port = _host_and_port(server)
    address = _address(host.partition("%")[0] if ":" in host else host)  # without its zone
    if host == "localhost" or (address is not None and address.is_loopback):
        return False
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    return not any(_matches(entry, host.strip().lower(), port, address) for entry in entries if entry)


def _host_and_port(server: str) -> tuple[str, str]:
    """Host, its case kept (Go treats only the lower-case ``localhost`` as local), and port of a URL."""
    parts = urlsplit(server)
    netloc = parts.netloc.rpartition("@")[2]
    host, colon, port = netloc.rpartition(":")
    if not colon or "]" in port:
        host, port = netloc, ""
    return _ascii(unquote(host.removeprefix("[").removesuffix("]"))), port or _PORTS[parts.scheme]


def _matches(entry: str, host: str, port: str, address: _Address | None) -> bool:
    """Whether one entry of NO_PROXY covers the server."""
    if entry == "*":
        return True
    network = _network(entry)
    if network is not None:
        return address is not None and address.version == network.version and address in network
    split = _split_host_port(entry)
    name, wanted_port = split if split is not None else (entry, "")
    if not name or wanted_port not in {"", port}:
        return False
    named = _address(name)
    if named is not None or address is not None:
        return address == named
    name = name[1:] if name.startswith("*.") else name
    if name.startswith("."):
        return host.endswith(_ascii(name))
    return in_zone(host, _ascii(name))


def _ascii(name: str) -> str:
    if name.isascii():
        return name
    dot = "." if name.startswith(".") else ""
    try:
        return dot + idna.encode(name.removeprefix("."), uts46=True).decode("ascii")
    except idna.IDNAError:
        return name


def _split_host_port(text: str) -> tuple[str, str] | None:
    """As Go's net.SplitHostPort; None where that is an error, as for an address in brackets without a port."""
    host, colon, port = text.rpartition(":")
    if not colon:
        return None
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    return None if set("[]") & set(host + port) else (host, port)


def _address(text: str) -> _Address | None:
    """An IP address without a zone; one of IPv4 mapped into IPv6 is the IPv4 address, as in Go."""
    if "%" in text:
        return None
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """A network as address/length, nothing else."""
    address, slash, length = text.partition("/")
    if not slash or not length or set(length) - set(string.digits) or "%" in address:
        return None
    try:
        network = ipaddress.ip_network(f"{address}/{int(length)}", strict=False)
    except ValueError:
        return None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.ip_network((mapped, network.prefixlen - 96))
    return network
