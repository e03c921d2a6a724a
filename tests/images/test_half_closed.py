"""A client has said all, the App answers and closes while the client is slow: the answer arrives whole.

stunnel alone cuts it (``images/stunnel/hangup.c``). That is tested too: when it fails, stunnel has learned it.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from images.stunnel import build_root
from tests.images.rig import PATIENCE, Pod, Sidecar, client_context, free_ports, server

ANSWER = b"".join(number.to_bytes(4, "big") for number in range(2_000_000))
"""More than the buffers between stunnel and the client hold, so that stunnel has to wait for the client at the end."""
SLOW = 65536
"""Bytes that the client's kernel keeps for it."""
TRIES = 3
"""stunnel alone cut 7 of 8 of these answers, and 30 % of those to a quick client."""
PAUSE = 0.002
"""Seconds between two records, in which stunnel waits for the client with a full buffer."""


class Answerer:
    """An App that reads all from its client, then answers and closes at once."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.port: int = self._listener.getsockname()[1]
        self.heard = b""
        self.closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            while data := connection.recv(65536):
                self.heard += data
            connection.sendall(ANSWER)
        self.closed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join(PATIENCE)


class HalfClosed:
    """A TLS client that says its end and reads on, which ``ssl.SSLSocket`` does not offer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(("127.0.0.1", port))
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = client_context().wrap_bio(self._incoming, self._outgoing)
        self._until(self._greet)

    def say_all(self, text: bytes) -> None:
        """Sends a text and the end, and reads nothing."""
        self._tls.write(text)
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._socket.sendall(self._outgoing.read())

    def rest(self, closed: threading.Event) -> bytes:
        """Everything up to the server's end, which it has to say; slowly once the App has closed."""
        got = bytearray()
        while data := self._until(lambda: self._tls.read(SLOW)):
            got += data
            if closed.is_set():
                time.sleep(PAUSE)
        return bytes(got)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _greet(self) -> bytes:
        self._tls.do_handshake()
        return b""

    def _until(self, step: Callable[[], bytes | None]) -> bytes | None:
        """What a step gives once enough has been received for it; nothing at the server's end."""
        while True:
            try:
                done = step()
            except ssl.SSLZeroReturnError:
                return None
            except ssl.SSLWantReadError:
                done = None
            self._socket.sendall(self._outgoing.read())
            if done is not None:
                return done
            data = self._socket.recv(SLOW)
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()


def ask(program: Path, pod: Pod) -> bytes:
    """The answer of an App behind that program, to a client that has said all."""
    (port,) = free_ports(1)
    with Answerer() as app:
        pod.write(server("asked", port, app))
        with Sidecar([program, pod.config_path]) as sidecar:
            sidecar.await_log("Configuration successful")
            with HalfClosed(port) as client:
                client.say_all(b"that is all")
                got = client.rest(app.closed)
            sidecar.await_log(f"Connection closed: {len(got)} byte(s) sent to TLS")
        assert app.heard == b"that is all"
    return got


def test_the_answer_arrives_whole(entry: Path, pod: Pod) -> None:
    for _ in range(TRIES):
        got = ask(entry, pod)
        assert (len(got), hashlib.sha256(got).digest()) == (len(ANSWER), hashlib.sha256(ANSWER).digest())


def test_stunnel_alone_cuts_it(pod: Pod) -> None:
    """Once this fails, stunnel does it by itself: then hangup.c can go, and with it this file's reason."""
    assert any(len(ask(build_root.STUNNEL, pod)) < len(ANSWER) for _ in range(10 * TRIES))
