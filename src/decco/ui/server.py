"""The HTTP server of ``decco ui``: the files of the page, its data, and a stream that reports changes.

Everything is read only: other methods than GET are refused. A tab holds one stream; it has no queue, only the number of
the last change, so a slow tab costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from importlib import resources
from typing import Final

import orjson
from aiohttp import web

from decco import __version__
from decco.errors import ConfigError, DeccoError
from decco.log import get_logger
from decco.messages import error_code
from decco.ui.access import HEADERS, is_allowed, refusal
from decco.ui.pages import NoSuchSpaceError, Pages

log = get_logger(__name__)

HOST: Final = "127.0.0.1"
MOST_STREAMS: Final = 32
HEARTBEAT_SECONDS: Final = 15.0
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_NAME_MOST: Final = 253

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@cache
def page_files() -> dict[str, tuple[bytes, str]]:
    """Path -> content and media type of the static files. Reads them, so call it first outside of an event loop."""
    found = {}
    for file in resources.files("decco.ui").joinpath("page").iterdir():
        suffix = f".{file.name.rpartition('.')[2]}"
        if suffix in _TYPES:
            found[f"/{file.name}"] = file.read_bytes(), _TYPES[suffix]
    found["/"] = found.pop("/index.html")
    return found


class Server:
    def __init__(self, pages: Pages, token: str, remarks: list[object]) -> None:
        """``remarks``: what the start found, as data for the page."""
        self._pages = pages
        self._token = token
        self._remarks = remarks
        self._files = page_files()
        self._streams = 0
        self._stopping = asyncio.Event()

    @contextlib.asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[int]:
        """Serves on loopback until left; gives the port. Raises ConfigError if the port is in use."""
        application = web.Application(middlewares=[self._guarded], client_max_size=1024)
        application.router.add_get("/api/events", self._events)
        application.router.add_get("/api/{page}", self._data)
        application.router.add_get("/{name:.*}", self._file)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind((HOST, port))
            except OSError as error:
                raise ConfigError(f"--port: {HOST}:{port} cannot be used: {error.strerror}; choose another") from error
            await web.SockSite(runner, listening).start()
            yield int(listening.getsockname()[1])
        finally:
            self._stopping.set()
            await runner.cleanup()
            listening.close()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = request.headers
        why = refusal(headers.get("Host"), headers.get("Origin"), headers.get("Sec-Fetch-Site"))
        if request.method not in ("GET", "HEAD"):
            return _answer(405, "the page is read only: use GET")
        if why is not None and not _is_opened(request):
            return _answer(403, why)
        if request.path.startswith("/api/") and not is_allowed(headers.get("Authorization"), self._token):
            return _answer(401, "the token is missing or not that of this process: open the URL that decco ui printed")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _answer(error.status, error.reason)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        found = self._files.get(request.path)
        if found is None:
            return _answer(404, "there is no such file")
        body, media_type = found
        return web.Response(body=body, content_type=media_type, charset="utf-8", headers=HEADERS)

    async def _data(self, request: web.Request) -> web.StreamResponse:
        page, name = request.match_info["page"], request.query.get("name", "")
        try:
            match page:
                case "overview":
                    body = await self._pages.overview()
                case "space" if 0 < len(name) <= _NAME_MOST:
                    body = await self._pages.space(name)
                case "graph":
                    body = await self._pages.graph()
                case "certificates":
                    body = await self._pages.certificates()
                case _:
                    return _answer(404, "there is no such page")
        except NoSuchSpaceError:
            return _answer(404, "there is no such Space, or you may not see it")
        except DeccoError as error:
            return _answer(503, f"{error} ({error_code(type(error))})")
        return web.Response(body=body, content_type="application/json", charset="utf-8", headers=HEADERS)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events (HTML standard, 9.2): the number of the state, and whether it may be old."""
        if self._streams >= MOST_STREAMS:
            return _answer(503, f"{MOST_STREAMS} tabs are open: close some")
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream; charset=utf-8"})
        self._streams += 1
        try:
            await response.prepare(request)
            await self._report(response)
        except ConnectionError:
            pass  # the tab was closed
        finally:
            self._streams -= 1
        return response

    async def _report(self, response: web.StreamResponse) -> None:
        cluster = self._pages.cluster
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            while not stopped.done():
                number = cluster.changes.number
                state = {"number": number, "trouble": cluster.trouble, "remarks": self._remarks, "version": __version__}
                await response.write(b"data: " + orjson.dumps(state) + b"\n\n")
                changed = asyncio.create_task(cluster.changes.after(number))
                try:
                    await asyncio.wait({changed, stopped}, timeout=HEARTBEAT_SECONDS, return_when="FIRST_COMPLETED")
                finally:
                    changed.cancel()
        finally:
            stopped.cancel()


def _is_opened(request: web.Request) -> bool:
    """Whether a person follows a link to the page itself, from a chat for example: it has no data without the token."""
    headers = request.headers
    opened = headers.get("Sec-Fetch-Mode") == "navigate" and request.path == "/"
    return opened and refusal(headers.get("Host"), headers.get("Origin"), None) is None


def _answer(status: int, text: str) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps({"error": text}), content_type="application/json", headers=HEADERS
    )
