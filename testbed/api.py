"""A small synchronous client of the API server for the testbed's own use and for tests from outside.

It is not decco's client on purpose: a fault there must not hide itself.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.pki import KeyPair

REQUEST_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of the API server, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as decoded JSON."""
        return json.loads(self.body)


class RequestFailed(RuntimeError):
    """The API server answered with an error that the caller did not ask for."""


class Api:
    """Requests to one API server as one user; a connection for each, safe to use from any thread."""

    def __init__(self, port: int, ca_file: Path, client: KeyPair, address: str = "127.0.0.1") -> None:
        self._address = address
        self._port = port
        self._tls = ssl.create_default_context(cafile=str(ca_file))
        self._tls.load_cert_chain(client.cert, client.key)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float = REQUEST_SECONDS,
    ) -> Response:
        """Sends one request with a JSON body and returns whatever answer there is.

        Raises:
            OSError: no answer: the server is not there, or it took more than ``seconds``.
        """
        content = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "User-Agent": "testbed", **(headers or {})}
        connection = http.client.HTTPSConnection(self._address, self._port, context=self._tls, timeout=seconds)
        try:
            connection.request(method, path, content, sent)
            answer = connection.getresponse()
            return Response(answer.status, dict(answer.headers), answer.read())
        except http.client.HTTPException as error:
            raise ConnectionError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()

    def create(self, path: str, obj: Mapping[str, Any]) -> Any:
        """Creates an object by POST to the path of its collection and returns it as stored.

        Raises:
            RequestFailed: the server refused it.
        """
        answer = self.request("POST", path, obj)
        if answer.status not in {200, 201}:
            raise RequestFailed(f"POST {path}: {answer.status} {answer.body.decode(errors='replace')[:500]}")
        return answer.json()
