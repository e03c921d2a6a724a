"""The HTTP endpoints for the kubelet and Prometheus: /healthz, /readyz, /metrics.

``/healthz`` (a failure restarts the process): every long-lived task is alive, and the event loop has sent a heartbeat
lately. ``/readyz``: the caches are full; a process that waits to lead is ready too. Both answer like the API server's:
"ok", or a line per check, with ``?verbose`` also when all passed.

Separate threads answer: a busy event loop must not appear dead, and a blocked one must still be reported. The server is
the standard library's, which prometheus_client imports anyway; aiohttp's takes 2 MB more.
"""

from __future__ import annotations

import asyncio
import os
import socket
import socketserver
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client.exposition import choose_encoder

from decco.errors import ConfigError
from decco.forms import parse_bind_address
from decco.log import get_logger
from decco.metrics import Metrics

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

log = get_logger(__name__)

Check = Callable[[], str | None]
"""None if the check passes, else a short text about the failure."""
Kind = Literal["live", "ready"]

LAG_INTERVAL = 0.5
"""Seconds between two measurements of the event loop's lag."""
LOOP_SILENCE = 30.0
"""An event loop that has been silent for more seconds is dead, unless the settings say otherwise."""
REFRESH_SECONDS = 2.0
"""How long a scrape waits for the event loop to update its gauges; then it gets them as they are."""


STOP_SECONDS = 0.5
"""The server looks so often whether it is to stop: it may take that long at the end of the process."""
CLIENT_SECONDS = 10.0
"""How long a client may take to send its request, or to read the answer."""


class Server(NamedTuple):
    """Where the endpoints are served: ``port`` is None if they are turned off."""

    port: int | None


class Health:
    """The checks, and the small HTTP server that answers with them.

    Checks are added in the event loop and called in the server's thread, so they only read a flag or a number.
    ``loop_silence`` is how many seconds the event loop may be without a heartbeat.
    """

    def __init__(
        self, metrics: Metrics, clock: Callable[[], float] = time.monotonic, loop_silence: float = LOOP_SILENCE
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._loop_silence = loop_silence
        self._checks: dict[Kind, dict[str, Check]] = {"live": {}, "ready": {}}
        self._notes: dict[str, Check] = {}

    def add_check(self, name: str, check: Check, kind: Kind = "live") -> None:
        """Calls ``check`` at each request to the endpoint of its kind; a check of the same name is replaced."""
        self._checks[kind][name] = check

    def add_note(self, name: str, note: Check) -> None:
        """An optional text that /readyz returns beside its checks; the process is ready in any case."""
        self._notes[name] = note

    def remove_check(self, name: str, kind: Kind = "live") -> None:
        self._checks[kind].pop(name, None)

    def watch_task(self, name: str, task: asyncio.Task[object]) -> None:
        """A task that must not end as long as the process is alive."""

        def check() -> str | None:
            if not task.done():
                return None
            if task.cancelled():
                return "was cancelled"
            error = task.exception()
            return f"ended with {type(error).__name__}" if error else "ended"

        self.add_check(name, check)

    def failing(self, kind: Kind) -> dict[str, str]:
        """The checks that fail now, name -> what is wrong. The process is not ready before a check exists."""
        if kind == "ready" and not self._checks[kind]:
            return {"startup": "no cache has been started yet"}
        checks = dict(self._checks[kind])  # copied at once: the event loop may add one meanwhile
        return {name: trouble for name, check in checks.items() if (trouble := check()) is not None}

    @asynccontextmanager
    async def serve(self, address: str) -> AsyncIterator[Server]:
        """Serves the endpoints at a metricsBindAddress of the settings ("0": not at all) and measures the loop's lag.

        Raises ConfigError if the address cannot be bound.
        """
        where = parse_bind_address(address)
        if where is None:
            yield Server(None)
            return
        lag = asyncio.create_task(self._measure_lag(), name="event-loop-watcher")
        self.watch_task("event-loop-watcher", lag)
        server = None
        try:
            try:
                # In a thread, because a host name is resolved.
                server = await asyncio.to_thread(_Answering, self, where, asyncio.get_running_loop())
            except OSError as error:
                cause = os.strerror(error.errno).lower() if error.errno else str(error)
                raise ConfigError(
                    f"cannot listen on metricsBindAddress {address}: {cause}; "
                    "end what uses the port, or choose another with --metrics-bind-address (0 turns it off)"
                ) from error
            log.info("metrics and health are served", address=address, port=server.server_port)
            yield Server(server.server_port)
        finally:
            lag.cancel()
            await asyncio.gather(lag, return_exceptions=True)
            if server is not None:
                await asyncio.to_thread(server.stop)

    async def _measure_lag(self) -> None:
        last = self._clock()

        def silence() -> str | None:
            age = self._clock() - last
            return f"no heartbeat for {age:.0f} s" if age > self._loop_silence else None

        self.add_check("event-loop", silence)
        while True:
            due = self._clock() + LAG_INTERVAL
            await asyncio.sleep(LAG_INTERVAL)
            self._metrics.loop_lag(max(0.0, self._clock() - due))
            last = self._clock()

    def report(self, kind: Kind, endpoint: str, *, verbose: bool) -> tuple[bool, str]:
        """Whether all checks of a kind pass, and the text that says so."""
        failing = self.failing(kind)
        texts = {name: note() for name, note in dict(self._notes).items()} if kind == "ready" else {}
        notes = [f"[!]{name}: {text}\n" for name, text in texts.items() if text is not None]
        if not failing and not verbose:
            return True, "ok\n" + "".join(notes)
        lines = [f"[+]{name} ok" for name in dict(self._checks[kind]) if name not in failing]
        lines += [f"[-]{name} failed: {trouble}" for name, trouble in failing.items()]
        lines += [note.rstrip() for note in notes]
        lines.append(f"{endpoint} check {'failed' if failing else 'passed'}")
        return not failing, "\n".join(lines) + "\n"

    async def refresh(self) -> None:
        """To be run in the event loop whose gauges these are."""
        self._metrics.loop_tasks(len(asyncio.all_tasks()) - 1)  # without this task
        self._metrics.refresh()

    def render(self, accept: str) -> tuple[bytes, str]:
        """The metrics in the best form that an Accept header names, and the form's media type."""
        try:
            encode, content_type = choose_encoder(accept)
        except TypeError:  # a version that is not a number
            encode, content_type = choose_encoder("")
        return encode(self._metrics.registry), content_type


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Requests are not logged."""


class _Answering(socketserver.ThreadingMixIn, WSGIServer):
    """The HTTP server, a thread for each request; ``main_loop`` is the event loop that it reports on. It listens from
    the start on; raises OSError if it cannot.

    All interfaces are one socket for both IP versions, as in Go's programs, so they share a port.
    """

    daemon_threads = True
    _ENDPOINTS: ClassVar[dict[str, Kind]] = {"/healthz": "live", "/readyz": "ready"}

    def __init__(self, health: Health, where: tuple[str | None, int], main_loop: asyncio.AbstractEventLoop) -> None:
        self._health = health
        self._main_loop = main_loop
        host, port = where
        self._dual_stack = host is None and socket.has_dualstack_ipv6()
        if host is not None:
            self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        elif self._dual_stack:
            self.address_family = socket.AF_INET6
        super().__init__((host or "", port), _Handler)
        self.set_app(self._answer)
        self._thread = threading.Thread(target=self.serve_forever, args=(STOP_SECONDS,), name="health", daemon=True)
        self._thread.start()

    def server_bind(self) -> None:
        if self._dual_stack:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)  # HTTPServer's own looks up the machine's name
        self.server_name, self.server_port = "decco", self.server_address[1]
        self.setup_environ()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        content_type = "text/plain; charset=utf-8"
        try:
            if path != "/metrics" and path not in self._ENDPOINTS:
                status, body = "404 Not Found", b"not found\n"
            elif environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
                status, body = "405 Method Not Allowed", b"method not allowed\n"
            elif path == "/metrics":
                status, (body, content_type) = "200 OK", self._metrics(environ.get("HTTP_ACCEPT", ""))
            else:
                verbose = "verbose" in parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
                passed, text = self._health.report(self._ENDPOINTS[path], path.removeprefix("/"), verbose=verbose)
                status, body = "200 OK" if passed else "503 Service Unavailable", text.encode()
        except Exception:
            log.exception("a request for health or metrics failed", path=path)
            status, body = "500 Internal Server Error", b"a defect, see the log\n"
        start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [body if environ["REQUEST_METHOD"] != "HEAD" else b""]

    def _metrics(self, accept: str) -> tuple[bytes, str]:
        refreshed = asyncio.run_coroutine_threadsafe(self._health.refresh(), self._main_loop)
        with suppress(TimeoutError):
            refreshed.result(REFRESH_SECONDS)
        return self._health.render(accept)
