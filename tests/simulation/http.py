"""``aiohttp.ClientSession`` of a simulated process: the transport's own code runs, and its requests end here."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any, TypeVar

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy

from tests.simulation.clock import CLOCK
from tests.simulation.loops import current_process
from tests.simulation.model.answers import Answer
from tests.simulation.model.requests import Request
from tests.simulation.network import Loss, Network, Pipe

T = TypeVar("T")

CONTROLLER = "system:serviceaccount:decco:decco-controller"


class Session:
    """The part of aiohttp's session that ``decco.kube.transport`` uses."""

    def __init__(self, *, request_class: type, headers: dict[str, str], **_: Any) -> None:
        self.headers = CIMultiDict(headers)
        # The second check of the right to write, which aiohttp calls with the connection open.
        self._may_write = inspect.getclosurevars(request_class.send).nonlocals["may_write"]  # type: ignore[attr-defined]
        self._process = current_process()

    async def request(self, method: str, url: Any, *, data: Any = None, timeout: Any = None, **_: Any) -> Response:
        network: Network = self._process.network
        if method != "GET":
            await asyncio.sleep(network.latency())  # connecting
            self._may_write()
        body = b"" if data is None else data if isinstance(data, bytes) else data.read()
        path = "/" + str(url).partition("://")[2].partition("/")[2]
        request = Request.of(CONTROLLER, method, path, body, CLOCK.now)
        limit = timeout.total if timeout.total is not None else timeout.sock_read
        result = await within(limit, network.ask(self._process, request), "simulated: no answer")
        if isinstance(result, Loss):
            raise lost(result)
        return Response(result, network, timeout.sock_read)

    async def close(self) -> None:
        return


async def within(seconds: float | None, future: asyncio.Future[T], words: str) -> T:
    """The result of the future; less work than ``asyncio.timeout``, which a simulation would enter for each line."""
    if seconds is None:
        return await future

    def expire() -> None:
        if not future.done():
            future.set_exception(aiohttp.SocketTimeoutError(words))

    timer = future.get_loop().call_later(seconds, expire)
    try:
        return await future
    finally:
        timer.cancel()


def lost(how: Loss) -> Exception:
    if how is Loss.REFUSED:
        key = SimpleNamespace(host="api", port=443, ssl=True, is_ssl=True)
        return aiohttp.ClientConnectorError(key, ConnectionRefusedError(111, "Connection refused"))  # type: ignore[arg-type]
    return aiohttp.ServerDisconnectedError("simulated: reset")


class Response:
    def __init__(self, result: Answer | Pipe, network: Network, sock_read: float | None) -> None:
        self._network = network
        self._sock_read = sock_read
        self._pipe = result if isinstance(result, Pipe) else None
        self._body = b"" if isinstance(result, Pipe) else result.body
        self.status = 200 if isinstance(result, Pipe) else result.status
        headers = {"Content-Type": "application/json"} if isinstance(result, Pipe) else result.headers
        headers = {"Content-Type": "application/json", **headers}
        self.headers = CIMultiDictProxy(CIMultiDict(headers))
        self.content_type = headers["Content-Type"].partition(";")[0]
        self.connection = None
        self.content = self

    async def read(self, _limit: int = -1) -> bytes:
        return self._body

    async def readany(self) -> bytes:
        assert self._pipe is not None
        chunk = self._pipe.taken()
        if chunk is None:
            await within(self._sock_read, self._pipe.arrival(), "simulated: silent")
            chunk = self._pipe.taken()
        assert chunk is not None
        if isinstance(chunk, Loss):
            raise aiohttp.ClientPayloadError("simulated: cut")
        return chunk

    def close(self) -> None:
        if self._pipe is not None:
            self._network.close(self._pipe)
