"""One controller's view of the cluster: a fault proxy that shows the objects of one run only, and records all requests.

The API server behind it is the real one, and shared by many runs; each has controllers of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote

import orjson
from aiohttp import web

from testbed.faults import Action, Call, Drop
from testbed.proxy import FaultProxy
from testbed.watchstream import TYPE_WITHIN, WatchStream
from tests.faults.access import Access

_MARKS = (b'"type":"BOOKMARK"', b'"type":"ERROR"')
_OPEN_TO_ALL = frozenset({"gatewayclasses", "ingressclasses"})


class Observer(Protocol):
    """What happens in a view."""

    async def on_call(self, call: Call) -> Action | None: ...
    def on_answer(self, call: Call, status: int, body: bytes) -> None: ...
    async def on_line(self, stream: WatchStream, line: bytes) -> Sequence[bytes]: ...


class View(FaultProxy):
    """``as_of``: lists are those of this resourceVersion, as an API server gives them that lags behind."""

    def __init__(self, access: Access, token: str, observer: Observer, as_of: str = "") -> None:
        super().__init__(access.by_front)
        self.token = token.encode()
        self.observer = observer
        self.as_of = as_of
        self.is_closed = False
        self.under_way = 0

    async def __aenter__(self) -> View:
        try:
            await super().__aenter__()
        except OSError:
            await self._session.close()
            raise
        return self

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if "watch" in request.query:
            return await super()._handle(request)
        self.under_way += 1
        try:
            return await super()._handle(request)
        finally:
            self.under_way -= 1

    async def choose(self, call: Call) -> Action | None:
        if self.is_closed:
            return Drop()
        action = await self.observer.on_call(call)
        return Drop() if self.is_closed else action

    def upstream_path(self, call: Call, raw_path: str) -> str:
        if self.as_of and "limit" in call.query and call.method == "GET" and not call.watch:
            return f"{raw_path}&resourceVersion={quote(self.as_of)}&resourceVersionMatch=Exact"
        return raw_path

    def answered(self, call: Call, status: int, body: bytes) -> bytes:
        self.observer.on_answer(call, status, body)
        if call.method == "GET" and "limit" in call.query and status == 200 and not _is_of_all(call.path):
            listed = orjson.loads(body)
            listed["items"] = [item for item in listed["items"] or () if self._is_ours(item)]
            return orjson.dumps(listed)
        return body

    def _is_ours(self, item: dict[str, dict[str, str]]) -> bool:
        meta = item["metadata"]
        return self.token.decode() in meta.get("namespace", meta["name"])

    def open_stream(
        self, call: Call, answer: web.StreamResponse, transport: asyncio.BaseTransport | None
    ) -> WatchStream:
        return _Stream(self, call, answer, transport)

    async def close(self) -> None:
        """Takes and gives nothing any more: its controller was killed."""
        self.is_closed = True
        for stream in self.watches():
            stream.silence()
        await self.stop_listening()


class _Stream(WatchStream):
    def __init__(
        self, view: View, call: Call, answer: web.StreamResponse, transport: asyncio.BaseTransport | None
    ) -> None:
        super().__init__(call.path, call.query, answer, transport)
        self._view = view
        self._shows_all = _is_of_all(call.path)

    async def treated(self, line: bytes) -> Sequence[bytes]:
        if self._shows_all or any(mark in line[:TYPE_WITHIN] for mark in _MARKS):
            return await self._view.observer.on_line(self, line) if not self._shows_all else (line,)
        if self._view.token not in line:
            return ()
        if self._view.is_closed:
            return ()
        return await self._view.observer.on_line(self, line)


def _is_of_all(path: str) -> bool:
    return path.rsplit("/", 1)[-1] in _OPEN_TO_ALL
