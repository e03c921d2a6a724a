"""A model of where Google's access tokens come from: the token endpoint for service accounts, and the metadata server.

Written from "Using OAuth 2.0 for Server to Server Applications" (RFC 7523 assertions) and "About VM metadata". The
assertion's signature and times are checked as the real endpoint does.
"""

from __future__ import annotations

import base64
import itertools
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ACCOUNT = "decco@example.iam.gserviceaccount.com"
SKEW_SECONDS = 300.0


class GoogleTokens:
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

    def __enter__(self) -> GoogleTokens:
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._answer(*model.exchange({name: values[0] for name, values in parse_qs(body).items()}))

            def do_GET(self) -> None:
                if self.headers.get("Metadata-Flavor") != "Google":
                    self._answer(403, {"error": "Missing Metadata-Flavor:Google header."})
                elif "/token" in self.path:
                    self._answer(200, model.issue())
                elif "/project/project-id" in self.path:
                    self._answer(200, "example")
                elif "/service-accounts/default/" in self.path:
                    self._answer(200, {"email": ACCOUNT, "scopes": [], "aliases": ["default"]})
                else:
                    self._answer(200, {})

            def _answer(self, status: int, answer: Any) -> None:
                data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/text" if isinstance(answer, str) else "application/json")
                self.send_header("Metadata-Flavor", "Google")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

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
