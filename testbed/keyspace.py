"""What etcd stores, and every value that it has stored since some moment: more than any API shows.

By etcd's JSON gateway, which needs no client library: https://etcd.io/docs/latest/dev-guide/api_grpc_gateway/
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

ALL = base64.b64encode(b"\0").decode()
"""As both ends of a range: every key."""
REQUEST_SECONDS = 90.0
END_SECONDS = 10.0


def stored(etcd_url: str) -> dict[str, bytes]:
    """Every key with its value."""
    connection = _connection(etcd_url)
    try:
        connection.request("POST", "/v3/kv/range", json.dumps({"key": ALL, "range_end": ALL}))
        answer = json.loads(connection.getresponse().read())
        return dict(_decoded(pair) for pair in answer["kvs"])
    finally:
        connection.close()


class History:
    """``with History(etcd_url) as history:`` collects every value that is written meanwhile, also one that is replaced
    or deleted a moment later.

    Attributes:
        values: (key, value) in the order of their revisions.
    """

    def __init__(self, etcd_url: str) -> None:
        self._connection = _connection(etcd_url, seconds=None)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.values: list[tuple[str, bytes]] = []

    def __enter__(self) -> History:
        request = {"create_request": {"key": ALL, "range_end": ALL, "start_revision": 1}}
        self._connection.connect()
        self._socket = self._connection.sock
        self._connection.request("POST", "/v3/watch", json.dumps(request))
        self._answer = self._connection.getresponse()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # ends the read of the other thread
        self._thread.join(END_SECONDS)
        self._connection.close()

    def _read(self) -> None:
        try:
            for line in self._lines():
                for event in json.loads(line)["result"].get("events", ()):
                    if event.get("type") != "DELETE":
                        self.values.append(_decoded(event["kv"]))
        except (OSError, ValueError, http.client.HTTPException):
            return  # the end of the watch, in the middle of a line

    def _lines(self) -> Iterator[bytes]:
        while line := self._answer.readline():
            yield line


def _connection(etcd_url: str, seconds: float | None = REQUEST_SECONDS) -> http.client.HTTPConnection:
    where = urlsplit(etcd_url)
    return http.client.HTTPConnection(where.hostname or "", where.port, timeout=seconds)


def _decoded(pair: dict[str, str]) -> tuple[str, bytes]:
    return base64.b64decode(pair["key"]).decode(errors="replace"), base64.b64decode(pair.get("value", ""))
