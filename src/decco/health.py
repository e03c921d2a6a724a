"""The HTTP endpoints for the kubelet and Prometheus: /healthz, /readyz, /metrics.

``/healthz`` (a failure restarts the process): every long-lived task is alive, and the event loop has sent a heartbeat
lately. ``/readyz``: the caches are full; a process that waits to lead is ready too. Both answer like the API server's:
"ok", or a line per check, with ``?verbose`` also when all passed.

A separate thread answers: a busy event loop must not appear dead, and a blocked one must still be reported.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal, NamedTuple

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from decco.errors import ConfigError
from decco.forms import parse_bind_address
from decco.log import get_logger
from decco.metrics import Metrics

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
        server = _Answering(self, where, asyncio.get_running_loop())
        try:
            try:
                port = await server.start()
            except OSError as error:
                cause = os.strerror(error.errno).lower() if error.errno else str(error)
                raise ConfigError(
                    f"cannot listen on metricsBindAddress {address}: {cause}; "
                    "end what uses the port, or choose another with --metrics-bind-address (0 turns it off)"
                ) from error
            log.info("metrics and health are served", address=address, port=port)
            yield Server(port)
        finally:
            lag.cancel()
            await asyncio.gather(lag, return_exceptions=True)
            await server.stop()

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
        self._metrics.loop_tasks(len(asyncio.all_tasks()) - 1)  # but for this one
        self._metrics.refresh()

    def render(self, accept: str) -> tuple[bytes, str]:
        """The metrics in the best form that an Accept header names, and the form's media type."""
        try:
            encode, content_type = choose_encoder(accept)
        except TypeError:  # a version that is not a number
            encode, content_type = choose_encoder("")
        return encode(self._metrics.registry), content_type


class _Answering:
    """The HTTP server in its thread; ``main_loop`` is the event loop that it reports on."""

    def __init__(self, health: Health, where: tuple[str | None, int], main_loop: asyncio.AbstractEventLoop) -> None:
        self._health = health
        self._where = where
        self._main_loop = main_loop
        self._started: Future[int] = Future()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name="health", daemon=True)

    # Called in the main loop

    async def start(self) -> int:
        """Returns the port once it listens; raises OSError if it cannot."""
        self._thread.start()
        return await asyncio.wrap_future(self._started)

    async def stop(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)
        await asyncio.to_thread(self._thread.join)

    # In the thread

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_get("/healthz", partial(self._answer, "live", "healthz"))
        app.router.add_get("/readyz", partial(self._answer, "ready", "readyz"))
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await _site(runner, *self._where).start()
            self._started.set_result(runner.addresses[0][1])
            await self._stopping.wait()
        except OSError as error:
            self._started.set_exception(error)
        finally:
            await runner.cleanup()

    async def _answer(self, kind: Kind, endpoint: str, request: web.Request) -> web.Response:
        passed, text = self._health.report(kind, endpoint, verbose="verbose" in request.query)
        return web.Response(text=text, status=200 if passed else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        refreshed = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._health.refresh(), self._main_loop))
        await asyncio.wait({refreshed}, timeout=REFRESH_SECONDS)
        if refreshed.done():
            refreshed.result()
        # In a thread: a cluster of thousands of certificates takes tens of milliseconds, and /proc is read on the way.
        body, content_type = await asyncio.to_thread(self._health.render, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


def _site(runner: web.AppRunner, host: str | None, port: int) -> web.BaseSite:
    """The listener; all interfaces are one socket for both IP versions, as in Go's programs, so they share a port."""
    if host is not None:
        return web.TCPSite(runner, host, port)
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    return web.SockSite(runner, socket.create_server(("", port), family=family, dualstack_ipv6=dual, backlog=128))
