"""Access tokens for Cloud DNS from google-auth: a service account's key from a Secret, or the platform's usual chain.

The library is asked for only where the provider is configured, and works with blocking I/O: in a thread.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from typing import Any

from decco.dns.errors import ProviderRefused, ProviderUnreachable
from decco.errors import ConfigError

SCOPE = "https://www.googleapis.com/auth/ndev.clouddns.readwrite"


class GoogleToken:
    """Call it for a token; it is fetched anew shortly before it ends. ``key`` is a service account's JSON."""

    def __init__(self, key: bytes | None = None) -> None:
        try:
            self._auth = importlib.import_module("google.auth")
            self._errors = importlib.import_module("google.auth.exceptions")
            self._accounts = importlib.import_module("google.oauth2.service_account")
            self._transport = importlib.import_module("google.auth.transport.urllib3")
            self._urllib3 = importlib.import_module("urllib3")
        except ImportError as error:
            raise ConfigError(
                f"dns.providers: clouddns needs the package google-auth, so install decco[clouddns]: {error}"
            ) from error
        self._credentials: Any = None
        self._lock = asyncio.Lock()
        if key is not None:
            try:
                info = json.loads(key)
                self._credentials = self._accounts.Credentials.from_service_account_info(info, scopes=[SCOPE])
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ConfigError(
                    "dns.providers: the Secret's key.json of clouddns is no service account key: "
                    "put the JSON there that Google gave out for it"
                ) from error

    async def __call__(self) -> str:
        async with self._lock:
            if self._credentials is None or not self._credentials.valid:
                await asyncio.to_thread(self._refresh)
            return str(self._credentials.token)

    def _refresh(self) -> None:
        try:
            if self._credentials is None:
                self._credentials, _ = self._auth.default(scopes=[SCOPE])
            self._credentials.refresh(self._transport.Request(self._urllib3.PoolManager()))
        except self._errors.TransportError as error:
            raise ProviderUnreachable(f"no Google access token, since its server cannot be reached: {error}") from error
        except self._errors.GoogleAuthError as error:
            raise ProviderRefused(
                f"no Google access token, so correct key.json, or the identity of decco's pod: {error}"
            ) from error
