"""A reverse proxy in front of the real API server that can inject any fault by rule.

Plain HTTP on loopback towards the client under test, a client certificate towards the API server. So the faults are
ours and everything else is the real thing. It runs in the event loop of the test::

    async with FaultProxy(control_plane) as proxy:
        rule = proxy.add(refuse(429, retry_after=1), method="POST", path="/apps$", times=2)
        ...  # run something with proxy.kubeconfig
        await rule.hit(2)
        (stream,) = await proxy.watching("/apps$")
        stream.silence()
"""

from __future__ import annotations

import asyncio
import io
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol
from weakref import WeakSet

from aiohttp import (
    AddrInfoType,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    StreamReader,
    TCPConnector,
    web,
)
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDict
from yarl import URL

from testbed.connections import reset
from testbed.controlplane import free_port
from testbed.faults import Action, Call, CutReply, Delay, Drop, Hold, LoseReply, OnWatch, Respond, Rule
from testbed.kubeconfig import write_kubeconfig
from testbed.pki import KeyPair
from testbed.watchstream import WatchStream

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
    }
)
"""Headers that are about one connection and not about the message, RFC 9110 section 7.6.1; the length is set again."""
GRACE_SECONDS = 0.1
"""How long requests under way may go on when the proxy ends."""
CLOSE_SECONDS = 5.0
POLL_SECONDS = 0.005


@dataclass(slots=True)
class Seen:
    """A request that came, and what became of it.

    Attributes:
        call: the request.
        status: what the client got; 0 while it is under way or if it got no answer.
        forwarded: whether the API server got it.
        fault: name of the action that was applied, "" for none.
    """

    call: Call
    status: int = 0
    forwarded: bool = False
    fault: str = ""


class Upstream(Protocol):
    """What the proxy needs of a control plane, which may run in another process."""

    @property
    def url(self) -> str: ...
    @property
    def ca_file(self) -> Path: ...
    @property
    def controller_client(self) -> KeyPair: ...
    @property
    def folder(self) -> Path: ...


class FaultProxy:
    """See the module. Rules are tried in the order of their making; the first that matches is applied, and no other.

    Attributes:
        url: where it listens; the port stays the same over ``stop_listening`` and ``start_listening``.
        kubeconfig: for a client under test; it holds no credentials.
        seen: every request so far, in order of arrival.
    """

    def __init__(self, control_plane: Upstream, client: KeyPair | None = None) -> None:
        """Prepares, starts nothing.

        Args:
            control_plane: what to stand in front of.
            client: certificate to authenticate with; without it that of the user ``decco``, whose requests are audited.
        """
        self._upstream = control_plane.url
        client = client or control_plane.controller_client
        self._tls = ssl.create_default_context(cafile=str(control_plane.ca_file))
        self._tls.load_cert_chain(client.cert, client.key)
        self._folder = control_plane.folder
        self._port = free_port(set())
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._rules: list[Rule] = []
        self._streams: list[WatchStream] = []
        self._changed = asyncio.Condition()
        self.seen: list[Seen] = []
        self.url = f"http://127.0.0.1:{self._port}"
        self.kubeconfig = Path()

    async def __aenter__(self) -> FaultProxy:
        self._session = ClientSession(
            connector=TCPConnector(ssl=self._tls, limit=0, socket_factory=self._socket),
            timeout=ClientTimeout(total=None),
            auto_decompress=False,
            read_bufsize=1 << 20,
        )
        # The request ends with its client, as in any proxy; else a dead watch would stay open.
        self._server = web.Server(self._handle, request_factory=_large_request, handler_cancellation=True)
        await self.start_listening()
        self.kubeconfig = write_kubeconfig(self._folder / f"proxy-{self._port}.kubeconfig", self.url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop_accepting()
        for stream in self._streams:
            stream.end()
        await self._server.shutdown(GRACE_SECONDS)
        await self._session.close()
        # Closing TLS takes some more iterations of the event loop, and only this place can wait for it.
        async with asyncio.timeout(CLOSE_SECONDS):
            while any(sock.fileno() != -1 for sock in self._sockets):  # noqa: ASYNC110 (no event reports it)
                await asyncio.sleep(POLL_SECONDS)

    def _socket(self, address: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        self._sockets.add(made)
        return made

    async def start_listening(self) -> None:
        """Accepts connections."""
        self._listener = await asyncio.get_running_loop().create_server(self._server, "127.0.0.1", self._port)

    async def stop_listening(self) -> None:
        """Refuses new connections and resets the open ones: the API server is gone."""
        await self._stop_accepting()
        for connection in self._server.connections:
            reset(connection.transport)

    async def _stop_accepting(self) -> None:
        """Closes the listener when no connection is between accept() and its transport, where asyncio would fail."""
        for sock in self._listener.sockets:
            asyncio.get_running_loop().remove_reader(sock.fileno())
        await asyncio.sleep(0)
        self._listener.close()

    # Rules

    def add(
        self,
        action: Action,
        *,
        method: str | None = None,
        path: str | None = None,
        watch: bool | None = None,
        when: Callable[[Call], bool] | None = None,
        times: int | None = None,
    ) -> Rule:
        """Makes a rule, see ``Rule``, that holds from the next request on."""
        rule = Rule(action, method=method, path=path, watch=watch, when=when, times=times)
        self._rules.append(rule)
        return rule

    def remove(self, rule: Rule) -> None:
        """Takes a rule back; what it holds back stays held until it is released."""
        self._rules.remove(rule)

    def clear(self) -> None:
        """Takes all rules back."""
        self._rules.clear()

    # Observation

    def count(self, method: str | None = None, path: str = "", *, watch: bool | None = None) -> int:
        """How many requests have come, of that method, with a path in which the expression is found."""
        return sum(
            1
            for seen in self.seen
            if method in {None, seen.call.method}
            and watch in {None, seen.call.watch}
            and re.search(path, seen.call.path)
        )

    def watches(self, path: str = "") -> list[WatchStream]:
        """Watches that are open now, with a path in which the expression is found; the oldest first."""
        return [stream for stream in self._streams if re.search(path, stream.path)]

    async def watching(self, path: str = "", streams: int = 1) -> list[WatchStream]:
        """Waits until so many such watches are open, and gives them."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.watches(path)) >= streams)
            return self.watches(path)

    async def watched_no_more(self, path: str = "") -> None:
        """Waits until no such watch is open."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self.watches(path))

    # One request

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        query = dict(request.query)
        call = Call(
            method=request.method,
            path=request.path,
            query=query,
            headers=request.headers,
            body=await request.read(),
            watch=query.get("watch", "") in {"1", "t", "true", "True"},
        )
        seen = Seen(call)
        self.seen.append(seen)
        action = await self.choose(call)
        if action is not None:
            seen.fault = type(action).__name__
        try:
            return await self._carry_out(action, request, seen)
        except ClientError:
            # The API server is not there or was stopped; the client sees only that.
            return _reset(request)

    async def choose(self, call: Call) -> Action | None:
        """What is done to a request: the action of the first rule that matches."""
        rule = next((rule for rule in self._rules if rule.matches(call)), None)
        if rule is None:
            return None
        await rule.count()
        return rule.action

    def upstream_path(self, call: Call, raw_path: str) -> str:
        """The path and query that the API server gets."""
        return raw_path

    def answered(self, call: Call, status: int, body: bytes) -> bytes:
        """Called with each whole answer of the API server, before a fault changes it; returns what the client gets."""
        return body

    def open_stream(
        self, call: Call, answer: web.StreamResponse, transport: asyncio.BaseTransport | None
    ) -> WatchStream:
        """The watch that begins."""
        return WatchStream(call.path, call.query, answer, transport)

    async def _carry_out(self, action: Action | None, request: web.BaseRequest, seen: Seen) -> web.StreamResponse:
        match action:
            case Respond():
                seen.status = action.status
                headers = {"Content-Type": action.content_type, **action.headers}
                return web.Response(status=action.status, body=action.body, headers=headers)
            case Drop():
                return _reset(request)
            case Delay():
                await asyncio.sleep(action.seconds)
            case Hold():
                await action.released.wait()
            case _:
                pass
        call = seen.call
        seen.forwarded = True
        async with self._session.request(
            call.method,
            URL(self._upstream + self.upstream_path(call, request.raw_path), encoded=True),
            data=io.BytesIO(call.body) if call.body else None,
            headers=_to_upstream(call),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            allow_redirects=False,
        ) as reply:
            headers_back = _end_to_end(reply.headers)
            if call.watch and reply.status == 200:
                seen.status = reply.status
                answer = web.StreamResponse(status=reply.status, headers=headers_back)
                return await self._stream(request, reply, answer, call, action)
            body = self.answered(call, reply.status, await reply.read())
            match action:
                case LoseReply():
                    return _reset(request)
                case CutReply():
                    answer = web.StreamResponse(status=reply.status, headers=headers_back)
                    answer.content_length = len(body)
                    await answer.prepare(request)
                    await answer.write(body[: int(len(body) * action.share)])
                    return _reset(request)
                case _:
                    seen.status = reply.status
                    return web.Response(status=reply.status, body=body, headers=headers_back)

    async def _stream(
        self,
        request: web.BaseRequest,
        reply: ClientResponse,
        answer: web.StreamResponse,
        call: Call,
        action: Action | None,
    ) -> web.StreamResponse:
        await answer.prepare(request)
        stream = self.open_stream(call, answer, request.transport)
        self._streams.append(stream)
        async with self._changed:
            self._changed.notify_all()
        try:
            if isinstance(action, OnWatch):
                await stream.run(reply, action.do, action.after)
            else:
                await stream.run(reply)
        finally:
            self._streams.remove(stream)
            async with self._changed:
                self._changed.notify_all()
        return answer


def _large_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """A request without aiohttp's limit of 1 MiB: what is too large is for the API server to say."""
    return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop(), client_max_size=0)


def _reset(request: web.BaseRequest) -> web.Response:
    """Resets the connection; the answer is for the server's bookkeeping only, it is not sent."""
    reset(request.transport)
    return web.Response(status=502)


def _end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP)


def _to_upstream(call: Call) -> CIMultiDict[str]:
    """The proxy's certificate identifies the client, so the tests can check the client's own credentials."""
    forwarded = _end_to_end(call.headers)
    forwarded.popall("Authorization", None)
    forwarded.popall("Host", None)
    if call.watch:
        # The API server compresses watches too, since 1.37; then the lines could not be separated.
        forwarded["Accept-Encoding"] = "identity"
    return forwarded
