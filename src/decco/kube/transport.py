"""Sends one request and classifies its answer: credentials, time limits, safe retries, errors as exceptions.

The rules:

* Every attempt has a time limit; at most ``in_flight`` attempts run at once, and a waiting request does not count.
* 401: credentials are read again (once for all requests that failed with the old ones), then one more try.
* 429, and 503 with Retry-After: the API server did not carry the request out, so writes too are sent again, a bounded
  number of times (API Priority and Fairness, KEP-1040).
* A lost connection: reads are tried again a few times, writes never; the caller reconciles and decides. A list whose
  connection is refused is not tried again: the watch has its own growing pauses.
* An answer that is not an API server's JSON is Garbled, whatever its status.
* Writes are sent only while ``may_write`` allows it. Each attempt calls it before a connection is made, and again with
  the connection open, since DNS, TCP and TLS may have taken seconds.

A request costs little more than aiohttp itself: headers are set once per session, URLs are never parsed or quoted
twice, and the body of an answer is passed on as bytes.
"""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import io
import os
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from math import inf
from time import perf_counter
from typing import Any, Final, NamedTuple

import orjson
from multidict import CIMultiDictProxy
from yarl import URL

from decco.backoff import exponential
from decco.errors import ConfigError
from decco.kube.connection import Connection
from decco.kube.connector import LastUsedFirst
from decco.kube.default_tls import aiohttp
from decco.kube.errors import (
    Garbled,
    KubeError,
    NotServed,
    ServerError,
    Unreachable,
    Untrusted,
    class_of,
    error_of_status,
)
from decco.kube.fair_semaphore import FairSemaphore, group_of
from decco.log import get_logger
from decco.objects import SECRETS
from decco.text import printable

log = get_logger(__name__)

Observer = Callable[[str, str, str, float], None]
"""Called for every attempt: verb (GET, LIST, WATCH, POST, PUT, PATCH, DELETE), resource, HTTP code, duration in
seconds. The code is "<error>" without an answer, as in client-go's rest_client_requests_total.
"""

CONNECT_SECONDS: Final = 10.0
KEEP_ALIVE_SECONDS: Final = 60.0
"""Idle connections are kept this long: less than the API server's 90 s, so it does not close one during a write."""
MAX_RETRY_AFTER_WAITS: Final = 6
"""How often one request waits for Retry-After before the caller gets the error."""
MAX_WAIT_SECONDS: Final = 10.0
"""Longest wait for one Retry-After; a longer value is cut to this."""
MAX_LOST_READS: Final = 3
"""How often a GET or LIST is sent again after a lost connection."""
LOST_READ_SECONDS: Final = 0.1
"""Longest pause before the first of them; doubled for each further one."""

MAX_LINE: Final = 64 * 2**20
"""Bytes of one watch line: far above the largest object in etcd, so only a broken server reaches it."""

_LARGE_BODY: Final = 2**20
"""aiohttp warns of bytes bodies above this size; a file-like one is sent in pieces."""
_EXCERPT: Final = 120
_METHODS: Final = {"LIST": "GET", "WATCH": "GET"}
_MERGE_PATCH_HEADERS: Final = {"Content-Type": "application/merge-patch+json"}

# asyncio gives each TLS connection a buffer of this size for reading, 256 KB by itself: 15 MB for 59 connections. This
# is the size of a record, so an answer of the API server that is longer is read in some more steps.
asyncio.sslproto.SSLProtocol.max_size = 16 * 1024

_Headers = CIMultiDictProxy[str]


class _Answer(NamedTuple):
    """``raw`` is the body, empty for a stream; ``generation`` that of the credentials that were used."""

    response: aiohttp.ClientResponse
    raw: bytes
    generation: int


@dataclass(slots=True)
class Outages:
    """How often a connection to the API server was refused; shared by all clients of a process, in all its threads.

    One refusal is enough for all watches: while the server was away, its etcd may have been restored.
    """

    count: int = 0


class Transport:
    """The HTTP side of ``Client``: paths in, bytes out."""

    def __init__(
        self,
        connection: Connection,
        *,
        user_agent: str,
        in_flight: int,
        timeout: float,
        observe: Observer | None,
        may_write: Callable[[], None],
        outages: Outages,
    ) -> None:
        self._connection = connection
        self._outages = outages
        self._user_agent = user_agent
        self._slots = FairSemaphore(in_flight)
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=min(CONNECT_SECONDS, timeout))
        self._observe: Observer = observe or (lambda *_: None)
        self._may_write = may_write
        self._session: aiohttp.ClientSession | None = None
        self._generation = -1

    async def open(self) -> None:
        """Make the session; nothing is sent yet."""
        self._session = aiohttp.ClientSession(
            # No limit here: the semaphore is the limit, and watches must not wait for a connection.
            connector=LastUsedFirst(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            proxy=self._connection.proxy,
            auto_decompress=False,
            request_class=_request_class(self._may_write),
            headers={
                "User-Agent": self._user_agent,
                "Accept": "application/json",
                # In a cluster, compression costs both sides more than it saves.
                "Accept-Encoding": "identity",
                "Content-Type": "application/json",
            },
        )
        self._generation = -1

    async def close(self) -> None:
        """End the session and its connections, watches included."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, verb: str, resource: str, path: str, body: bytes | None = None) -> bytes:
        """Send one request; returns the body of a 2xx answer. ``path`` is encoded already and has its query."""
        waited = lost = 0
        while True:
            try:
                answer = await self._answer(verb, resource, path, body)
            except Unreachable as error:
                # Lists have their own pauses for an unreachable server.
                away = verb == "LIST" and error.sent is False
                if verb not in ("GET", "LIST") or away or lost == MAX_LOST_READS:
                    raise
                pause = exponential(LOST_READ_SECONDS, lost, inf) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
                lost += 1
            else:
                if 200 <= answer.response.status < 300:
                    return answer.raw
                retry_after = _retry_after_of(answer.response)
                if retry_after is None or waited == MAX_RETRY_AFTER_WAITS:
                    raise error_of(answer.response.status, answer.response.headers, answer.raw)
                pause = retry_after * random.uniform(1.0, 1.25)  # noqa: S311 - jitter, no secret
                waited += 1
            await asyncio.sleep(pause)

    async def stream_lines(self, resource: str, path: str, idle_seconds: float) -> AsyncGenerator[bytes, None]:
        """The non-empty lines of a streamed answer, each whole; see ``Client.watch_lines`` for how it ends."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=idle_seconds)
        response, raw, _ = await self._answer("WATCH", resource, path, timeout=timeout)
        if response.status != 200:
            raise error_of(response.status, response.headers, raw)
        # Of the line that is still growing; joined once, so a long line costs no more than short ones.
        pieces: list[bytes] = []
        size = 0
        try:
            if response.content_type.startswith("text/"):  # a login page, or the like, of unknown length
                raise garbled(resource, await response.content.read(4 * _EXCERPT))
            while chunk := await response.content.readany():
                head, *rest = chunk.split(b"\n")
                pieces.append(head)
                size += len(head)
                if size > MAX_LINE:
                    raise Garbled(f"a line of the watch of {resource} is longer than {MAX_LINE} bytes")
                if not rest:
                    continue
                if size:
                    yield b"".join(pieces)
                for line in rest[:-1]:
                    if line:
                        yield line
                pieces = [rest[-1]]
                size = len(rest[-1])
        except aiohttp.SocketTimeoutError as error:
            raise Unreachable(f"the watch of {resource} was silent for {idle_seconds:g} s", sent=True) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"the watch of {resource} was cut: {_describe(error)}", sent=True) from error
        finally:
            # A watch that is closed early is aborted: a TLS shutdown waits for the server's answer, and an event loop
            # that ends meanwhile leaves the socket open.
            connection = response.connection
            if connection is not None and connection.transport is not None:
                connection.transport.abort()
            response.close()
        if size:
            raise Unreachable(f"the watch of {resource} ended in the middle of a line", sent=True)

    async def _answer(
        self,
        verb: str,
        resource: str,
        path: str,
        body: bytes | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> _Answer:
        """The answer; after a 401 that of one more try, with credentials that were read again."""
        url = URL(self._connection.server + path, encoded=True)
        answer = await self._attempt(verb, resource, url, body, timeout)
        if answer.response.status == 401:
            await self._renew(answer.generation)
            answer = await self._attempt(verb, resource, url, body, timeout)
        return answer

    async def _attempt(
        self, verb: str, resource: str, url: URL, body: bytes | None, timeout: aiohttp.ClientTimeout | None
    ) -> _Answer:
        method = _METHODS.get(verb, verb)
        async with nullcontext() if verb == "WATCH" else self._slots.slot(group_of(url.raw_path)):
            session = await self._ready()
            generation = self._generation
            if method != "GET":
                self._may_write()  # before a connection is made; _Request checks again when there is one
            started = perf_counter()
            response = None
            try:
                response = await session.request(
                    method,
                    url,
                    data=io.BytesIO(body) if body is not None and len(body) >= _LARGE_BODY else body,
                    headers=_MERGE_PATCH_HEADERS if verb == "PATCH" else None,
                    timeout=timeout or self._timeout,
                    allow_redirects=False,
                    ssl=self._connection.ssl,
                    server_hostname=self._connection.server_hostname,
                )
                streamed = verb == "WATCH" and response.status == 200
                raw = b"" if streamed else await response.read()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self._observe(verb, resource, "<error>", perf_counter() - started)
                raise self._lost(error, response is not None) from error
            self._observe(verb, resource, str(response.status), perf_counter() - started)
            return _Answer(response, raw, generation)

    async def _ready(self) -> aiohttp.ClientSession:
        """The session, with the connection's present credentials in its headers."""
        session = self._session
        if session is None:
            raise RuntimeError("the client is used outside of its `async with` block")
        connection = self._connection
        if self._generation != connection.generation or connection.due:
            headers = await connection.headers()
            session.headers.pop("Authorization", None)
            session.headers.update(headers)
            self._generation = connection.generation
        return session

    async def _renew(self, generation: int) -> None:
        """Read the credentials again, unless another request has done so since ``generation`` was used."""
        if self._connection.generation != generation:
            return
        try:
            await self._connection.refresh()
        except ConfigError as error:
            log.warning("credentials cannot be renewed", error=str(error))

    def _lost(self, error: Exception, answered: bool) -> KubeError:
        """The error for a failure of aiohttp."""
        server = self._connection.server
        if isinstance(error, aiohttp.ClientResponseError):
            return Garbled(f"{server} does not speak HTTP as an API server does: {printable(error.message, _EXCERPT)}")
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return Untrusted(f"cannot connect to {server}: {_describe(error)}", sent=False)
        if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
            self._outages.count += 1
            return Unreachable(f"cannot connect to {server}: {_describe(error)}", sent=False)
        return Unreachable(f"no answer from {server}: {_describe(error)}", sent=True if answered else None)


def _request_class(may_write: Callable[[], None]) -> type[aiohttp.ClientRequest]:
    """A request that calls ``may_write`` with its connection open, directly before its first byte is written."""

    class _Request(aiohttp.ClientRequest):
        async def send(self, conn: Any) -> aiohttp.ClientResponse:
            if self.method != "GET":
                may_write()
            return await super().send(conn)

    return _Request


def error_of(status: int, headers: _Headers, raw: bytes) -> KubeError:
    """The exception for an unsuccessful answer."""
    kind = headers.get("Content-Type", "")
    retry_after = _seconds(headers.get("Retry-After"))
    if kind.startswith("application/json"):
        try:
            answer = orjson.loads(raw)
        except orjson.JSONDecodeError:
            answer = None
        if type(answer) is dict and answer.get("kind") == "Status":
            return error_of_status(answer, status, retry_after)
    elif kind.startswith("text/plain") and status >= 400:
        # Filters before the API machinery answer like this: "404 page not found", "Too many requests, ..."
        kind_of_error = NotServed if status == 404 else class_of(status, "")
        return kind_of_error(status, "", excerpt("", raw) or f"HTTP status {status}", None, retry_after)
    if status >= 500:  # a load balancer's page: the status is clear
        return ServerError(status, "", f"HTTP status {status}: {excerpt('', raw)}", None, retry_after)
    return garbled("", raw, status)


def garbled(resource: str, raw: bytes, status: int = 200) -> Garbled:
    """Garbled, with the beginning of what came; ``resource`` is the plural that was asked for."""
    began = excerpt(resource, raw)
    return Garbled(f"the answer (HTTP status {status}) is not what an API server sends; it begins with: {began}")


def excerpt(resource: str, raw: bytes) -> str:
    """The beginning of an answer, fit for a log line; only the size of what may be (a part of) a Secret."""
    if resource == SECRETS.plural:
        return f"({len(raw)} bytes, not shown)"
    return printable(raw[: 4 * _EXCERPT].decode("utf-8", "replace"), _EXCERPT)


def _retry_after_of(response: aiohttp.ClientResponse) -> float | None:
    """Seconds to wait before the same request is sent again, None if the server did not request it."""
    if response.status not in {429, 503}:
        return None
    seconds = _seconds(response.headers.get("Retry-After"))
    if seconds is None:
        return 1.0 if response.status == 429 else None
    return min(seconds, MAX_WAIT_SECONDS)


def _seconds(value: str | None) -> float | None:
    """A Retry-After in seconds; API servers never send its other form, a date."""
    return float(value) if value is not None and value.isascii() and value.isdigit() else None


def _describe(error: Exception) -> str:
    """What happened, in few words and without addresses of Python objects."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {printable(str(error.certificate_error), 2 * _EXCERPT)}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its host name cannot be resolved"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return "the proxy does not accept the connection"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "no connection within the time limit"
    if isinstance(error, TimeoutError) and error.errno is None:
        return "the time limit is over"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer ended before it was complete"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return printable(str(error), _EXCERPT) or type(error).__name__
