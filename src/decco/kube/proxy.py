"""Which HTTP proxy, if any, stands between us and the API server.

Decided once per connection: aiohttp's own ``trust_env`` would read the environment and ~/.netrc again for each request.
"""

from __future__ import annotations

import ipaddress
import os
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from decco.errors import ConfigError


def proxy_url(url: Any, where: str) -> str | None:
    """A proxy that somebody has configured, checked; None if there is none. Raises ConfigError for a SOCKS proxy."""
    if not url:
        return None
    if not isinstance(url, str) or urlsplit(url).scheme not in {"http", "https"}:
        raise ConfigError(
            f"proxy-url of {where} must be an http or https URL; other kinds of proxies are not supported"
        )
    return url


def proxy_from_environment(server: str) -> str | None:
    """The proxy that HTTP(S)_PROXY and NO_PROXY say for this URL, by Go's rules (golang.org/x/net/http/httpproxy).

    Never for loopback; NO_PROXY may name networks, without which no pod behind a proxy would reach its API server.
    """
    parts = urlsplit(server)
    proxy = getproxies_environment().get(parts.scheme)
    host = parts.hostname or ""
    if not proxy or host == "localhost":
        return None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is not None:
        excluded = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
        if address.is_loopback or any(address in n for n in map(_network, excluded) if n is not None):
            return None
    if proxy_bypass(parts.netloc):
        return None
    return proxy_url(proxy if "://" in proxy else f"http://{proxy}", "the environment")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None
