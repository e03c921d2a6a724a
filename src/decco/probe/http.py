"""One HTTP/1.1 request, and the status and location of its answer. Nothing else of an answer is kept."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from decco import __version__
from decco.probe.tls import Connection

MAX_HEAD = 16_384
"""Bytes of status line and header fields that are read."""


class Answer(NamedTuple):
    """``host`` is that of the field Location, "" without one."""

    status: int
    host: str


class NotHttpError(Exception):
    """The answer is not HTTP."""


async def get(connection: Connection, host: str, path: str) -> Answer:
    """Sends a GET request, the last one on this connection. Raises NotHttpError, and what the connection raises."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: decco-probe/{__version__}\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    )
    await connection.write(request.encode("ascii"))
    head = b""
    while b"\r\n\r\n" not in head and len(head) < MAX_HEAD:
        data = await connection.read()
        if not data:
            break
        head += data
    return parse(head)


def parse(head: bytes) -> Answer:
    """The answer of which these are the first bytes. Raises NotHttpError."""
    lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or len(status) != 3 or not status.isdigit():
        raise NotHttpError
    host = ""
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == "location":
            try:
                host = urlsplit(value.strip()).hostname or ""
            except ValueError:
                host = ""
    return Answer(int(status), host)
