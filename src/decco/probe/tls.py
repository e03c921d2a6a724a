"""One TLS handshake as a client without certificate, and what the server showed in it.

Messages are read through ``SSLContext._msg_callback``: OpenSSL passes each one decrypted, in TLS 1.2 and 1.3. Public
calls do not report whether a client certificate was requested, nor the certificate of a handshake that failed.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

_CERTIFICATE, _CERTIFICATE_REQUEST = 11, 13
_HANDSHAKE, _ALERT = 22, 21
_READ = 16_384
_BASE: Any = ssl.SSLContext.__base__


@dataclass(slots=True)
class Shown:
    """What the server sent so far."""

    chain: list[bytes] = field(default_factory=list)
    """SHA-256 of each certificate, the server's own first."""
    requests_certificate: bool = False
    alert: str = ""
    """Name of the alert, as in RFC 8446 section 6; "" if there was none."""


class Observed(ssl.SSLObject):
    """An SSLObject with the messages that it received."""

    shown: Shown


def client_context() -> ssl.SSLContext:
    """A context for all probes. It trusts no authority: certificates are compared, not verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET
    context.set_alpn_protocols(["http/1.1"])
    context.sslobject_class = Observed
    # There is no public one. That of ssl.SSLContext makes three enumerations for each of thirty messages.
    _BASE._msg_callback.__set__(context, _message)  # noqa: SLF001
    return context


def _message(connection: Any, direction: str, version: int, content: int, _kind: int, data: bytes) -> None:
    if direction != "read" or content not in (_HANDSHAKE, _ALERT):
        return
    shown: Shown | None = getattr(connection, "shown", None)
    if shown is None:
        return
    if content == _ALERT:
        if data[1] != 0:  # close_notify is not an error alert
            shown.alert = _alert_name(data[1])
    elif data[0] == _CERTIFICATE:
        shown.chain = [hashlib.sha256(each).digest() for each in certificates_of(data, version)]
    elif data[0] == _CERTIFICATE_REQUEST:
        shown.requests_certificate = True


def _alert_name(number: int) -> str:
    try:
        return ssl.AlertDescription(number).name.removeprefix("ALERT_DESCRIPTION_").lower()
    except ValueError:
        return str(number)


def certificates_of(message: bytes, version: int) -> list[bytes]:
    """The certificates (DER) of a Certificate message: RFC 5246 section 7.4.2, RFC 8446 section 4.4.2.

    A message that does not keep the format gives the certificates before the mistake.
    """
    at, extensions = 4, version == ssl.TLSVersion.TLSv1_3
    if extensions:
        at += 1 + (message[at] if len(message) > at else 0)
    at += 3
    found = []
    while at + 3 <= len(message):
        size = int.from_bytes(message[at : at + 3], "big")
        at += 3
        if at + size > len(message):
            break
        found.append(message[at : at + size])
        at += size
        if extensions:
            at += 2 + int.from_bytes(message[at : at + 2], "big")
    return found


class Connection:
    """TLS over a connected, non-blocking socket. Raises ssl.SSLError, OSError, and EOFError if the server closes."""

    def __init__(self, context: ssl.SSLContext, sock: socket.socket, server_name: str) -> None:
        self._sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self._in, self._out, server_hostname=server_name)
        assert isinstance(tls, Observed)
        self._tls = tls
        self.shown = tls.shown = Shown()

    async def handshake(self) -> None:
        """Its last message is sent with what follows it: a system call for each message is most of a probe's cost."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._send()
                await self._receive()
            except ssl.SSLError:
                await self._send()  # our own alert
                raise
            else:
                return

    async def write(self, data: bytes) -> None:
        self._tls.write(data)
        await self._send()

    async def read(self) -> bytes:
        """The next bytes; b"" after the server's close_notify."""
        while True:
            try:
                return self._tls.read(_READ)
            except ssl.SSLWantReadError:
                await self._send()
                await self._receive()
            except ssl.SSLZeroReturnError:
                return b""

    def close(self) -> None:
        """Sends close_notify, so that servers log no error; waits for nothing."""
        with suppress(ssl.SSLError, OSError, ValueError):
            self._tls.unwrap()
        with suppress(OSError):
            self._sock.send(self._out.read())

    async def _send(self) -> None:
        if data := self._out.read():
            await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def _receive(self) -> None:
        data = await asyncio.get_running_loop().sock_recv(self._sock, _READ)
        if not data:
            raise EOFError
        self._in.write(data)
