"""What the kubelet and Prometheus ask over HTTP: /healthz, /readyz, /metrics.

``/healthz`` (a failure restarts the process): every long-lived task is alive and has been heard of lately. A loop that
is wedged as a whole does not answer at all, which the kubelet counts as a failure too. ``/readyz``: the caches are
full. Both speak as the API server's own do: "ok", or a line per check, with ``?verbose`` also when all passed.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import structlog
from aiohttp import web
from prometheus_client.exposition import choose_encoder

from decco.errors import ConfigError
from decco.metrics import Metrics
from decco.settings_forms import parse_bind_address

log = structlog.get_logger(__name__)

Check = Callable[[], str | None]
"""None if all is well, else a few words on what is not."""
Kind = Literal["live", "ready"]

LAG_INTERVAL = 0.5
"""Seconds between two measurements of the event loop's lag."""
SILENCE = 60.0
"""A task that owes heartbeats and has been silent for more seconds is dead."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the endpoints are served: ``port`` is None if they are turned off."""

    port: int | None


class Health:
    """The checks, and the small HTTP server that answers with them."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._checks: dict[Kind, dict[str, Check]] = {"live": {}, "ready": {}}

    def add_check(self, name: str, check: Check, kind: Kind = "live") -> None:
        """Asks ``check`` whenever the endpoint of its kind is; a check of the same name is replaced."""
        self._checks[kind][name] = check

    def remove_check(self, name: str, kind: Kind = "live") -> None:
        self._checks[kind].pop(name, None)

    def heartbeat(self, name: str, silence: float = SILENCE) -> Callable[[], None]:
        """A callable for a long-lived task to call at every turn; it is dead after ``silence`` seconds without one."""
        last = self._clock()

        def beat() -> None:
            nonlocal last
            last = self._clock()

        def check() -> str | None:
            age = self._clock() - last
            return f"no sign of life for {age:.0f} s" if age > silence else None

        self.add_check(name, check)
        return beat

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
        """The checks that fail now, name -> what is wrong. Nothing is ready before there is a check that says so."""
        if kind == "ready" and not self._checks[kind]:
            return {"startup": "no cache has been started yet"}
        return {name: trouble for name, check in self._checks[kind].items() if (trouble := check()) is not None}

    @asynccontextmanager
    async def serve(self, address: str) -> AsyncIterator[Server]:
        """Serves the endpoints at a metricsBindAddress of the settings ("0": not at all) and measures the loop's lag.

        Raises ConfigError if the address cannot be had.
        """
        where = parse_bind_address(address)
        if where is None:
            yield Server(None)
            return
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._render)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        lag = asyncio.create_task(self._measure_lag(), name="event-loop-watcher")
        self.watch_task("event-loop-watcher", lag)
        try:
            try:
                await _site(runner, *where).start()
            except OSError as error:
                cause = os.strerror(error.errno).lower() if error.errno else str(error)
                raise ConfigError(
                    f"cannot listen on metricsBindAddress {address}: {cause}; "
                    "end what uses the port, or choose another with --metrics-bind-address (0 turns it off)"
                ) from error
            port = runner.addresses[0][1]
            log.info("metrics and health are served", address=address, port=port)
            yield Server(port)
        finally:
            lag.cancel()
            await asyncio.gather(lag, return_exceptions=True)
            await runner.cleanup()

    async def _measure_lag(self) -> None:
        beat = self.heartbeat("event-loop")
        while True:
            due = self._clock() + LAG_INTERVAL
            await asyncio.sleep(LAG_INTERVAL)
            self._metrics.loop_lag(max(0.0, self._clock() - due))
            beat()

    async def _healthz(self, request: web.Request) -> web.Response:
        return self._answer(request, "live", "healthz")

    async def _readyz(self, request: web.Request) -> web.Response:
        return self._answer(request, "ready", "readyz")

    def _answer(self, request: web.Request, kind: Kind, endpoint: str) -> web.Response:
        failing = self.failing(kind)
        if not failing and "verbose" not in request.query:
            return web.Response(text="ok\n")
        lines = [f"[+]{name} ok" for name in self._checks[kind] if name not in failing]
        lines += [f"[-]{name} failed: {trouble}" for name, trouble in failing.items()]
        lines.append(f"{endpoint} check {'failed' if failing else 'passed'}")
        return web.Response(text="\n".join(lines) + "\n", status=503 if failing else 200)

    async def _render(self, request: web.Request) -> web.Response:
        try:
            encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        except TypeError:  # a version that is no number
            encode, content_type = choose_encoder("")
        self._metrics.refresh()
        # In a thread: a cluster of thousands of certificates takes tens of milliseconds, and /proc is read on the way.
        body = await asyncio.to_thread(encode, self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": content_type})


def _site(runner: web.AppRunner, host: str | None, port: int) -> web.BaseSite:
    """The listener; all interfaces are one socket for both IP versions, as in Go's programs, so they share a port."""
    if host is not None:
        return web.TCPSite(runner, host, port)
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    return web.SockSite(runner, socket.create_server(("", port), family=family, dualstack_ipv6=dual, backlog=128))
