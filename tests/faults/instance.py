"""One life of the controller inside this process: the whole daemon, ended by SIGTERM or killed at any moment.

A killed process sends nothing more. Here its tasks are cancelled, so their clean-up still runs; the proxy and the zone
take nothing of it, which comes to the same for everybody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any
from weakref import WeakSet

from decco.daemon import run
from decco.kube.connection import Connection
from decco.settings.live import LiveSettings
from tests.faults.zone import SharedZone

END_SECONDS = 60.0
"""On a machine with nothing else to do it takes a moment; that limit is the matter of other tests."""


class Instance:
    """``errors`` has what no controller may have: an exception that nobody expected, a task that is left over."""

    def __init__(self, url: str, settings: dict[str, str], zone: SharedZone) -> None:
        self.url, self.zone = url, zone
        self.alive = True
        self.errors: list[str] = []
        self.lines: list[str] = []
        """The last log lines, for a failure."""
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self.on_signal: Callable[[], object] = lambda: None
        self._settings = settings

    def start(self) -> None:
        context = copy_context()
        context.run(CURRENT.set, self)
        live = context.run(LiveSettings, {}, self._settings, None)
        self._task = asyncio.get_running_loop().create_task(run(live), name="controller", context=context)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[int]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self.alive:
            self.errors.append(f"the controller ended with {error!r}")

    def die(self) -> None:
        """As SIGKILL: from this call on nothing of it reaches anybody."""
        self.alive = False

    async def kill(self) -> None:
        """Ends what is left of it."""
        self.die()
        async with asyncio.timeout(END_SECONDS):
            while left := [task for task in self.tasks if not task.done()]:
                for task in left:
                    task.cancel()
                await asyncio.wait(left, timeout=0.5)

    async def stop(self) -> None:
        """As SIGTERM; every task of it has ended afterwards."""
        if self._task.done():
            self.errors.append("the controller had ended before its end")
        self.on_signal()
        done, _ = await asyncio.wait({self._task}, timeout=END_SECONDS)
        if not done:
            self.errors.append(f"the controller did not end within {END_SECONDS} s of SIGTERM")
        await asyncio.sleep(0)
        left = [task.get_name() for task in self.tasks if not task.done()]
        if left:
            self.errors.append(f"tasks are left over: {left}")
        await self.kill()


CURRENT: ContextVar[Instance] = ContextVar("instance")
"""The controller whose code runs."""


class Loop(asyncio.SelectorEventLoop):
    """Attributes signals, tasks and exceptions to the controllers that run in it."""

    def __init__(self) -> None:
        super().__init__()
        self.set_task_factory(_make_task)
        self.set_exception_handler(_unhandled)
        self.stray: list[str] = []

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:
        instance = CURRENT.get(None)
        if instance is None:
            super().add_signal_handler(sig, callback, *args)
        else:
            instance.on_signal = callback


def _make_task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], context: Context | None = None
) -> asyncio.Task[Any]:
    task = asyncio.Task(work, loop=loop, context=context)
    instance = (copy_context() if context is None else context).get(CURRENT)
    if instance is not None:
        instance.tasks.add(task)
    return task


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    instance = CURRENT.get(None)
    text = f"{context.get('message')}: {context.get('exception')!r}"
    if instance is None:
        assert isinstance(loop, Loop)
        loop.stray.append(text)
    elif instance.alive:
        instance.errors.append(text)


class Lines(logging.Handler):
    """Gives each log line to its controller; one with an exception is a defect."""

    def emit(self, record: logging.LogRecord) -> None:
        instance = CURRENT.get(None)
        if instance is None or not instance.alive:
            return
        text = f"{record.levelname.lower()}: {record.getMessage()} {getattr(record, 'values', {})}"
        instance.lines = [*instance.lines[-40:], text[:400]]
        if record.exc_info and record.exc_info[1] is not None:
            instance.errors.append(f"{text}: {record.exc_info[1]!r}")


async def connect(_kubeconfig: str | None = None, _context: str | None = None) -> Connection:
    """In the place of the reading of a kubeconfig."""
    return Connection(CURRENT.get().url)
