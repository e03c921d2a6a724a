"""A short probe: the first half of a TLS 1.2 handshake, whose messages are in plain text, so that no key is computed.

It shows that the connection, the listener, and for TLS in the pod also the pod, are as they were: the server presents
the expected certificates, and requests a client certificate if it is to. Its only results are "as expected" and
"unknown"; then a whole probe finds out. Servers that have TLS 1.3 only are always unknown.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import ssl
import struct
import time
from contextlib import suppress

from decco.probe.attempt import of_literal, resolve
from decco.probe.gathered import Gathered
from decco.probe.model import Target
from decco.probe.tls import certificates_of

_ALERT, _HANDSHAKE = 21, 22
_SERVER_HELLO, _CERTIFICATE, _CERTIFICATE_REQUEST, _DONE = 2, 11, 13, 14
_MAX_BYTES = 128 * 1024
_READ = 65_536
RESOLVED_SECONDS = 10.0
"""For how long short probes go to the address that a host name had."""
_SUITES = (0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC009, 0xC013, 0x009C, 0x002F)
"""ECDHE with ECDSA and RSA, and RSA alone; what a server of today has, and none that a scanner would report."""
_GROUPS = (29, 23, 24, 25)
_SIGNATURES = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601)
_GOODBYE = bytes((_ALERT, 3, 3, 0, 2, 1, 90, _ALERT, 3, 3, 0, 2, 1, 0))
"""user_canceled and close_notify (RFC 5246 section 7.2): the server need not take the end for a failure."""


class Parser:
    """The server's first messages, as they arrive."""

    def __init__(self) -> None:
        self._records = bytearray()
        self._taken = 0
        self._messages = bytearray()
        self.chain: list[bytes] = []
        """SHA-256 of each certificate."""
        self.requests_certificate = False
        self.done = False
        """Whether the server's half is complete."""
        self.failed = False
        """Whether it is not what is expected of a server."""

    def feed(self, data: bytes) -> None:
        self._records += data
        self._taken += len(data)
        if self._taken > _MAX_BYTES:  # also of empty records
            self.failed = True
            return
        at = 0
        while len(self._records) - at >= 5:
            kind, size = self._records[at], int.from_bytes(self._records[at + 3 : at + 5], "big")
            if kind != _HANDSHAKE:
                self.failed = True
                return
            if len(self._records) - at - 5 < size:
                break
            self._messages += self._records[at + 5 : at + 5 + size]
            at += 5 + size
        del self._records[:at]
        self._read()

    def _read(self) -> None:
        at = 0
        while len(self._messages) - at >= 4:
            kind, size = self._messages[at], int.from_bytes(self._messages[at + 1 : at + 4], "big")
            if len(self._messages) - at - 4 < size:
                break
            message = bytes(self._messages[at : at + 4 + size])
            if kind == _CERTIFICATE:
                found = certificates_of(message, ssl.TLSVersion.TLSv1_2)
                self.chain = [hashlib.sha256(each).digest() for each in found]
            elif kind == _CERTIFICATE_REQUEST:
                self.requests_certificate = True
            elif kind == _DONE:
                self.done = True
            at += 4 + size
        del self._messages[:at]


class _Exchange:
    """A hello and what follows it, on a socket that is connecting."""

    def __init__(self, sock: socket.socket, hello: bytes) -> None:
        self._sock = sock
        self._hello = hello
        self._sent = False
        self.parser = Parser()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def event(self) -> None:
        try:
            if not self._sent:
                self._sock.send(self._hello)
                self._sent = True
            self._receive()
        except BlockingIOError:
            return
        except OSError:  # also that of the connection
            self.end()

    def _receive(self) -> None:
        """Raises BlockingIOError when the rest has not arrived yet."""
        while not (self.parser.done or self.parser.failed):
            data = self._sock.recv(_READ)
            if not data:
                break
            self.parser.feed(data)
        self.end()

    def end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def say_goodbye(self) -> None:
        """It leaves with the end of the connection, in one packet."""
        with suppress(OSError):
            self._sock.send(_GOODBYE, socket.MSG_MORE)


class Hellos:
    """Short probes of servers."""

    def __init__(self, gathered: Gathered) -> None:
        self._gathered = gathered
        self._resolved: dict[str, tuple[float, int, str]] = {}
        """Host name -> until when its address is kept, the family and the address."""

    async def as_expected(self, target: Target, seconds: float) -> bool:
        """Whether a short probe shows what the target expects, within this time."""
        try:
            family, address = await self._resolve(target, seconds)
            with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sock:
                sock.connect_ex((address, target.port))
                found = await self._exchange(sock, client_hello(target.server_name), seconds)
        except (OSError, UnicodeError):
            return False
        return (
            found.done
            and found.requests_certificate >= target.requests_client_certificate
            and found.chain[:1] == list(target.chain[:1])
            and set(target.chain) <= set(found.chain)
        )

    async def _exchange(self, sock: socket.socket, hello: bytes, seconds: float) -> Parser:
        exchange = _Exchange(sock, hello)
        timer = asyncio.get_running_loop().call_later(seconds, exchange.end)
        self._gathered.add(sock.fileno(), exchange.event)
        try:
            await exchange.ended
        finally:
            timer.cancel()
            self._gathered.remove(sock.fileno())
            exchange.say_goodbye()
        return exchange.parser

    async def _resolve(self, target: Target, seconds: float) -> tuple[int, str]:
        """The address of a host name is kept for a while: each question for it takes a thread."""
        if (found := of_literal(target.address)) is not None:
            return found
        now = time.monotonic()
        until, family, address = self._resolved.get(target.address, (0.0, 0, ""))
        if until <= now:
            async with asyncio.timeout(seconds):
                family, address = await resolve(target)
            self._resolved[target.address] = now + RESOLVED_SECONDS, family, address
        return family, address


def client_hello(server_name: str) -> bytes:
    """A ClientHello of TLS 1.2 (RFC 5246 section 7.4.1.2) in one record."""
    name = server_name.encode("ascii")
    extensions = _extension(0, _list16(struct.pack("!BH", 0, len(name)) + name)) + _EXTENSIONS
    body = b"".join((b"\3\3", os.urandom(32), _SUITES_OFFERED, _list16(extensions)))
    return struct.pack("!BHHI", _HANDSHAKE, 0x0301, len(body) + 4, 1 << 24 | len(body)) + body


def _numbers(numbers: tuple[int, ...]) -> bytes:
    return struct.pack(f"!{len(numbers)}H", *numbers)


def _list16(content: bytes) -> bytes:
    return struct.pack("!H", len(content)) + content


def _extension(number: int, content: bytes) -> bytes:
    return struct.pack("!HH", number, len(content)) + content


_SUITES_OFFERED = b"\0" + _list16(_numbers(_SUITES)) + b"\1\0"
"""No session, the suites, no compression."""
_EXTENSIONS = b"".join(
    (
        _extension(10, _list16(_numbers(_GROUPS))),
        _extension(11, b"\1\0"),
        _extension(13, _list16(_numbers(_SIGNATURES))),
        _extension(16, _list16(b"\x08http/1.1")),
        _extension(23, b""),
        _extension(0xFF01, b"\0"),
    )
)
"""Those that all hellos have in common."""
