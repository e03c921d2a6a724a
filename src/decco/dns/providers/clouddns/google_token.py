"""Access tokens for Cloud DNS from google-auth: a service account's key from a Secret, or the platform's default chain.

The library uses blocking I/O and runs in a thread.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from urllib.parse import unquote, urlsplit

from decco.dns.errors import ProviderRefused, ProviderUnreachable
from decco.errors import ConfigError
from decco.proxy import proxy_from_environment

try:
    import google.auth
    import google.auth.exceptions
    import urllib3
    from google.auth.transport.urllib3 import Request
    from google.oauth2.service_account import Credentials
except ImportError as error:
    raise ConfigError(
        f"dns.providers: clouddns needs the package google-auth, so install decco[clouddns]: {error}"
    ) from error

SCOPE = "https://www.googleapis.com/auth/ndev.clouddns.readwrite"


class GoogleToken:
    """Returns a token when called and refreshes it shortly before it expires. ``key`` is a service account's JSON."""

    def __init__(self, key: bytes | None = None) -> None:
        self._credentials: Any = None
        self._lock = asyncio.Lock()
        if key is not None:
            try:
                self._credentials = Credentials.from_service_account_info(json.loads(key), scopes=[SCOPE])
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ConfigError(
                    f"dns.providers: the Secret's key.json of clouddns is not a service account key ({_cause(error)}): "
                    "put the JSON there that Google gave out for it"
                ) from error

    async def __call__(self, rejected: str | None = None) -> str:
        """Returns a token that is not ``rejected``; many calls with the same rejected one cause one request."""
        async with self._lock:
            known = self._credentials
            if known is None or not known.valid or (rejected is not None and known.token == rejected):
                await asyncio.to_thread(self._refresh)
            return str(self._credentials.token)

    def _refresh(self) -> None:
        try:
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=[SCOPE])
            self._credentials.refresh(Request(_Pools()))
        except google.auth.exceptions.TransportError as error:
            raise ProviderUnreachable(f"no Google access token, since its server cannot be reached: {error}") from error
        except google.auth.exceptions.GoogleAuthError as error:
            raise ProviderRefused(
                f"no Google access token, so correct key.json, or the identity of decco's pod: {error}"
            ) from error


class _Pools:
    """urllib3 with the proxy of the environment, by decco's rules; google-auth's transport does not use a proxy.

    Plain http is used for the metadata server of the machine only, which is never behind a proxy.
    """

    def request(self, method: str, url: str, **options: Any) -> Any:
        proxy = proxy_from_environment(url) if url.startswith("https:") else None
        if proxy is None:
            return urllib3.PoolManager().request(method, url, **options)
        user = urlsplit(proxy)
        headers = None
        if user.username is not None:
            login = f"{unquote(user.username)}:{unquote(user.password or '')}"
            headers = urllib3.make_headers(proxy_basic_auth=login)
        return urllib3.ProxyManager(proxy, proxy_headers=headers).request(method, url, **options)


def _cause(error: Exception) -> str:
    """The defect of a key file, without its content."""
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno} is not JSON: {error.msg}"
    if isinstance(error, UnicodeDecodeError):
        return "it is not text"
    missing = re.search(r"missing fields? [a-z_, ]+", str(error))
    if missing:
        return missing[0]
    return "its private_key cannot be read" if isinstance(error, ValueError) else "it is not a JSON object with texts"
