"""One probe of one target: connect, handshake, compare, request.

Whatever a server does is an observation and no error. The socket goes to the address of the target only.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from functools import lru_cache

from decco.probe import http
from decco.probe.model import CONNECT_SECONDS, PROBE_SECONDS, Observation, Result, Target
from decco.probe.tls import Connection, Shown

CLOSE_SECONDS = 0.3
"""How long a probe waits for the close of a server with nothing behind it."""
GATEWAY_ERRORS = frozenset({502, 503, 504})
"""Statuses by which a proxy reports that it cannot reach the App (RFC 9110 section 15.6)."""

ANSWERED = Observation(Result.ANSWERED)


async def attempt(context: ssl.SSLContext, target: Target) -> Observation:
    """Probes a target once."""
    try:
        sock = await _connect(target)
    except (OSError, TimeoutError, UnicodeError) as error:
        return Observation(Result.CONNECT, _why(error))
    try:
        connection = Connection(context, sock, target.server_name)
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                found = await _handshake(connection, target)
                return found or await _behind(connection, target)
        except TimeoutError:
            return Observation(Result.SILENT, f"no answer within {PROBE_SECONDS:g} s")
        finally:
            connection.close()
    except ValueError as error:  # a server name that TLS cannot carry
        return Observation(Result.CLOSED, str(error))
    finally:
        sock.close()


async def _connect(target: Target) -> socket.socket:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_SECONDS):
        family, address = await resolve(target)
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            await loop.sock_connect(sock, (address, target.port))
        except BaseException:
            sock.close()
            raise
        return sock


async def resolve(target: Target) -> tuple[int, str]:
    """The family and the address; of a host name its first."""
    if (literal := of_literal(target.address)) is not None:
        return literal
    found = await asyncio.get_running_loop().getaddrinfo(target.address, target.port, type=socket.SOCK_STREAM)
    return found[0][0], str(found[0][4][0])


@lru_cache(maxsize=64)
def of_literal(address: str) -> tuple[int, str] | None:
    """The family of an IP address, and the address; None for a host name."""
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return None
    return socket.AF_INET if version == 4 else socket.AF_INET6, address


async def _handshake(connection: Connection, target: Target) -> Observation | None:
    """What is wrong with the handshake, or None."""
    shown, broken = connection.shown, None
    try:
        await connection.handshake()
    except ssl.SSLError as error:
        alert = shown.alert or _why(error)
        broken = Observation(Result.ALERT, f"TLS alert {alert}" if shown.alert else alert)
    except (OSError, EOFError) as error:
        broken = Observation(Result.CLOSED, _why(error))
    if not shown.chain and broken is not None:
        return broken
    former = bool(target.former) and _compare(shown, target.former) is None
    if not former and (other := _compare(shown, target.chain)) is not None:
        return other
    if target.requests_client_certificate:
        # The end of a probe: without a certificate the server goes no further, by an alert in TLS 1.2.
        return ANSWERED if shown.requests_certificate else Observation(Result.NOT_REQUESTED)
    if broken is not None and shown.requests_certificate and not target.chain:
        return ANSWERED  # the container does TLS itself, and may verify clients
    return broken


def _compare(shown: Shown, expected: tuple[bytes, ...]) -> Observation | None:
    if not expected:
        return None
    own = shown.chain[0] if shown.chain else b""
    if own != expected[0]:
        text = f"the certificate has the SHA-256 fingerprint {_hex(own)} instead of {_hex(expected[0])}"
        return Observation(Result.CERTIFICATE, text)
    absent = [each for each in expected[1:] if each not in shown.chain]
    if absent:
        return Observation(Result.CHAIN, f"the issuer's certificate {_hex(absent[0])} is not sent")
    return None


async def _behind(connection: Connection, target: Target) -> Observation:
    """What answers behind the handshake."""
    if target.requests_client_certificate or (connection.shown.requests_certificate and not target.chain):
        return ANSWERED
    try:
        if target.route is not None:
            answer = await http.get(connection, target.server_name, target.route.path)
            if answer.host != target.route.host:
                to = f" to {answer.host}" if answer.host else ""
                return Observation(Result.ROUTE, f"status {answer.status}{to}")
            return ANSWERED
        if target.probe_path is not None:
            return _of_application(target.probe_path, await http.get(connection, target.server_name, target.probe_path))
        if target.waits_for_close and await _closes(connection):
            return Observation(Result.PORT_CLOSED, "the connection is closed after the handshake")
    except http.NotHttpError:
        result = Result.ROUTE if target.route is not None else Result.APPLICATION
        return Observation(result, "the answer is not HTTP")
    except (OSError, EOFError) as error:
        if connection.shown.alert:
            return Observation(Result.ALERT, f"TLS alert {connection.shown.alert}")
        return Observation(Result.PORT_CLOSED if target.waits_for_close else Result.CLOSED, _why(error))
    return ANSWERED


def _of_application(path: str, answer: http.Answer) -> Observation:
    if 200 <= answer.status < 400:
        return ANSWERED
    if answer.status in GATEWAY_ERRORS:
        return Observation(Result.SILENT, f"GET {path}: status {answer.status}")
    return Observation(Result.APPLICATION, f"GET {path}: status {answer.status}")


async def _closes(connection: Connection) -> bool:
    """Whether the server closes the connection; a server that speaks first does not."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            return not await connection.read()
    except TimeoutError:
        return False


def _hex(digest: bytes) -> str:
    return digest.hex()[:16] or "none"


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no connection within a second"
    if isinstance(error, EOFError | ConnectionResetError | BrokenPipeError):
        return "the connection is closed"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").lower().replace("_", " ")
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
