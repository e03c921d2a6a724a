"""A model of where Google's access tokens come from: the token endpoint for service accounts, and the metadata server.

Written from "Using OAuth 2.0 for Server to Server Applications" (RFC 7523 assertions) and "About VM metadata". The
assertion's signature and times are checked as the real endpoint does.
"""

from __future__ import annotations

import base64
import itertools
import json
import time
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from testbed.dns.httpmodel import HttpModel, Request, Response

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ACCOUNT = "decco@example.iam.gserviceaccount.com"
SKEW_SECONDS = 300.0


FLAVOUR = {"Metadata-Flavor": "Google"}
"""Header by which callers identify Google's metadata server."""


class GoogleTokens(HttpModel):
    """``with GoogleTokens() as google``: ``key()`` is the account's key file, ``issued`` has all tokens given out.

    Attributes:
        lasts: seconds that tokens are good for.
        clock_ahead: seconds by which the endpoint's clock is before that of its callers.
        scopes: what was asked for.
    """

    def __init__(self) -> None:
        self.lasts = 3600
        self.clock_ahead = 0.0
        self.scopes: list[str] = []
        self.issued: set[str] = set()
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._numbers = itertools.count()

    def respond(self, request: Request) -> Response:
        if request.method == "POST":
            form = parse_qs(request.body.decode())
            return _response(*self.exchange({name: values[0] for name, values in form.items()}))
        if request.headers.get("Metadata-Flavor") != "Google":
            return _response(403, {"error": "Missing Metadata-Flavor:Google header."})
        if "/token" in request.path:
            return _response(200, self.issue())
        if "/project/project-id" in request.path:
            return _response(200, "example")
        if "/service-accounts/default/" in request.path:
            return _response(200, {"email": ACCOUNT, "scopes": [], "aliases": ["default"]})
        return _response(200, {})

    def key(self) -> bytes:
        """A service account's key file."""
        private = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return json.dumps(
            {
                "type": "service_account",
                "project_id": "example",
                "private_key_id": "1",
                "private_key": private.decode(),
                "client_email": ACCOUNT,
                "token_uri": f"http://{self.host}/token",
            }
        ).encode()

    def issue(self) -> dict[str, Any]:
        token = f"token-{next(self._numbers)}"
        self.issued.add(token)
        return {"access_token": token, "expires_in": self.lasts, "token_type": "Bearer"}

    def exchange(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if form.get("grant_type") != GRANT:
            return 400, {"error": "unsupported_grant_type"}
        signed, _, signature = form["assertion"].rpartition(".")
        claims = json.loads(_unb64(signed.partition(".")[2]))
        try:
            self._key.public_key().verify(_unb64(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        now = time.time() + self.clock_ahead
        if not claims["iat"] - SKEW_SECONDS <= now <= claims["exp"]:
            return 400, {
                "error": "invalid_grant",
                "error_description": "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
                "timeframe. Check your iat and exp values in the JWT claim.",
            }
        self.scopes.append(claims["scope"])
        return 200, self.issue()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _response(status: int, answer: Any) -> Response:
    """Texts as they are, all else as JSON."""
    if isinstance(answer, str):
        return Response(status, "application/text", answer.encode(), FLAVOUR)
    return Response(status, "application/json", json.dumps(answer).encode(), FLAVOUR)
