"""Clients outside of the cluster: they have a name, and connect to the edge's address."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.images.pki import Leaf

SECONDS = 10.0
HTTPS = 443


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, with names of headers in small letters, and the serial number of the certificate shown."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    serial: int = 0

    def json(self) -> Any:
        return json.loads(self.body)


def context(ca: bytes, client: Leaf | None = None) -> ssl.SSLContext:
    """Trusts one authority (PEM) and checks names; may show a certificate."""
    made = ssl.create_default_context(cadata=ca.decode())
    if client is not None:
        with tempfile.TemporaryDirectory() as folder:
            pair = Path(folder) / "pair.pem"
            pair.write_bytes(client.cert + client.key)
            made.load_cert_chain(pair)
    return made


@contextlib.contextmanager
def tls(
    edge: str, name: str | None, ca: bytes, client: Leaf | None = None, seconds: float = SECONDS
) -> Iterator[ssl.SSLSocket]:
    """A connection through the edge to the server of that name; with None no name is sent, and none is checked."""
    trust = context(ca, client)
    if name is None:
        trust.check_hostname = False
    with (
        socket.create_connection((edge, HTTPS), seconds) as plain,
        trust.wrap_socket(plain, server_hostname=name) as it,
    ):
        yield it


@contextlib.contextmanager
def whoever(edge: str, name: str | None) -> Iterator[ssl.SSLSocket]:
    """A connection to whoever answers to that name: no certificate is refused, so only the edge can refuse."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((edge, HTTPS), SECONDS) as plain,
        trust.wrap_socket(plain, server_hostname=name) as it,
    ):
        yield it


def serial_of(connection: ssl.SSLSocket) -> int:
    """Of the certificate that the server has shown."""
    shown = connection.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def https(
    edge: str,
    name: str,
    path: str,
    ca: bytes,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
) -> Answer:
    """One request to ``https://<name><path>``."""
    with tls(edge, name, ca, seconds=seconds) as connection:
        serial = serial_of(connection)
        asked = http.client.HTTPSConnection(name)
        asked.sock = connection
        asked.request(method, path, body, dict(headers or {}))
        answer = asked.getresponse()
        return Answer(answer.status, _headers(answer), answer.read(), serial)


def http_(edge: str, name: str, path: str) -> Answer:
    """One request to ``http://<name><path>``, without TLS."""
    asked = http.client.HTTPConnection(edge, 80, timeout=SECONDS)
    with contextlib.closing(asked):
        asked.request("GET", path, headers={"Host": name})
        answer = asked.getresponse()
        return Answer(answer.status, _headers(answer), answer.read())


def _headers(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def exchange(connection: socket.socket, content: bytes) -> bytes:
    """Sends, then reads as much as was sent."""
    connection.sendall(content)
    got = b""
    while len(got) < len(content):
        part = connection.recv(65536)
        if not part:
            break
        got += part
    return got


def read_all(connection: socket.socket) -> bytes:
    got = b""
    while part := connection.recv(65536):
        got += part
    return got


def ask(
    program: Path, edge: str, name: str, ca: bytes, content: bytes | Iterable[bytes], seconds: float = 120
) -> bytes:
    """Sends all of ``content`` and the end of it, then reads the answer to its end: a connection closed by halves.

    By the client mode of the testbed's echo program, since Python's TLS cannot read on after it has said the end.
    """
    with tempfile.NamedTemporaryFile() as authority:
        authority.write(ca)
        authority.flush()
        flags = ["--tls", "--ca", authority.name, "--server-name", name, "--stdin", "--deadline", f"{seconds:.0f}s"]
        argv = [str(program), "ask", *flags, f"{edge}:{HTTPS}"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            with ThreadPoolExecutor(1) as pool:
                answer = pool.submit(process.stdout.read)
                with contextlib.suppress(BrokenPipeError), process.stdin:
                    for part in [content] if isinstance(content, bytes) else content:
                        process.stdin.write(part)
                got, said = answer.result(), process.stderr.read()
        if process.returncode != 0:
            raise ConnectionError(f"echo ask: {said.decode(errors='replace')}")
        return got


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
