"""Refreshes OpenID Connect tokens of a kubeconfig's ``auth-provider: oidc``.

kubernetes_asyncio's own refresh is not used: without ``idp-certificate-authority-data`` it does not check the issuer's
certificate at all, with it it fails, and it requires a client secret and a new refresh token. This one follows
client-go's plugin (k8s.io/client-go/plugin/pkg/client/auth/oidc): discovery, then RFC 6749 section 6.
"""

from __future__ import annotations

import ssl
from typing import Any, Final

import aiohttp

from decco.errors import ConfigError
from decco.proxy import proxy_from_environment

SECONDS: Final = 15.0
"""Time limit of the whole refresh: two requests to the issuer."""


async def refresh(settings: dict[str, Any], trust: ssl.SSLContext) -> dict[str, str]:
    """New ``id-token`` and ``refresh-token`` for an auth-provider's ``config``. Raises ConfigError."""
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
