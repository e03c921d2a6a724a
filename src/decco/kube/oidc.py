"""OpenID Connect tokens of a kubeconfig's ``auth-provider: oidc``, renewed with their issuer.

Follows client-go's plugin (k8s.io/client-go/plugin/pkg/client/auth/oidc): discovery, then RFC 6749 section 6. Unlike
it, decco never writes to the kubeconfig: new tokens stay in memory.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from typing import Any, Final

from decco.errors import ConfigError
from decco.kube.default_tls import aiohttp
from decco.kube.kubeconfig import content_of
from decco.kube.tls import client_context
from decco.proxy import proxy_from_environment

EXPIRY_SKEW_SECONDS: Final = 300.0
"""A token is renewed this long before its end."""
SECONDS: Final = 15.0
"""Time limit of a refresh: two requests to the issuer."""


class OidcTokens:
    """The tokens of one user, kept while the user's entry is the same: many issuers accept a refresh token once."""

    def __init__(self) -> None:
        self._entry: Any = None
        self._settings: dict[str, Any] = {}

    async def token(self, entry: Any, where: str) -> str:
        """An id-token that is valid for a while; ``entry`` is the auth-provider's ``config``. Raises ConfigError."""
        if not isinstance(entry, dict):
            raise ConfigError(f"{where} cannot be used: its auth-provider has no config; correct it, or log in again")
        if entry != self._entry:
            self._entry, self._settings = entry, dict(entry)
        if not _is_valid(self._settings.get("id-token"), where):
            trust = await asyncio.to_thread(_trust, self._settings, f"the auth-provider of {where}")
            self._settings |= await _refresh(self._settings, trust)
        return str(self._settings["id-token"])


def _is_valid(token: Any, where: str) -> bool:
    """Whether there is a token that does not expire soon; only the issuer and the API server check its signature."""
    if not token:
        return False
    try:
        _, payload, _ = str(token).split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims.get("exp", "inf")) > time.time() + EXPIRY_SKEW_SECONDS
    except (ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"{where} cannot be used: its id-token is not a JSON Web Token; log in again") from error


def _trust(settings: dict[str, Any], where: str) -> ssl.SSLContext:
    ca = content_of(settings, "idp-certificate-authority", where)
    return client_context(ca=ca, certificate=None, key=None, verify=True, where=where)


async def _refresh(settings: dict[str, Any], trust: ssl.SSLContext) -> dict[str, str]:
    """New ``id-token`` and ``refresh-token``."""
    issuer = settings.get("idp-issuer-url")
    if not issuer or not settings.get("client-id") or not settings.get("refresh-token"):
        raise ConfigError(
            "oidc: the id-token has expired, and idp-issuer-url, client-id or refresh-token is not set: "
            "log in again, or set them"
        )
    form = {"grant_type": "refresh_token", "refresh_token": settings["refresh-token"]}
    secret = settings.get("client-secret") or ""
    basic = {"Authorization": aiohttp.encode_basic_auth(settings["client-id"], secret)} if secret else {}
    if not secret:
        form["client_id"] = settings["client-id"]
    try:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust),
            proxy=proxy_from_environment(issuer),
            timeout=aiohttp.ClientTimeout(total=SECONDS / 2),
            raise_for_status=True,
        ) as session:
            async with session.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration") as response:
                endpoint = (await response.json())["token_endpoint"]
            if not str(endpoint).startswith("https://"):
                raise ConfigError(f"oidc: the token endpoint of {issuer} must be https")
            async with session.post(endpoint, data=form, headers=basic, allow_redirects=False) as response:
                answer = await response.json()
        return {
            "id-token": answer["id_token"],
            "refresh-token": answer.get("refresh_token") or settings["refresh-token"],
        }
    except (aiohttp.ClientError, TimeoutError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"oidc: {issuer} did not give a new token, so log in again: {type(error).__name__}: {error}"
        ) from error
