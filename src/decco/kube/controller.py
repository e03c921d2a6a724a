"""Workers that take keys from a queue and reconcile them.

The contract of a reconcile (https://pkg.go.dev/sigs.k8s.io/controller-runtime/pkg/reconcile, in our words): it is
told a key, never an event; it looks at the caches, and makes the world what the object says; it can be called at any
time, any number of times. It returns when to look again, or raises:

* ``TerminalError``: only a change of the object can help, so nothing is tried again before that;
* ``Conflict``: somebody wrote in between; the cache is about to hear of it, so the first three retries in a row come at
  once, further ones after short pauses of at most 5 s (``WorkQueue.retry_conflict``);
* anything else: retried until it succeeds, with pauses that double up to ``controller.retryMaxSeconds``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

import structlog

from decco.errors import DeccoError, TerminalError
from decco.kube.errors import Conflict
from decco.kube.workqueue import Closed, WorkQueue

log = structlog.get_logger(__name__)

K = TypeVar("K")


class Action(NamedTuple):
    """When to reconcile the key again without an event: in ``seconds``, or never (None)."""

    seconds: float | None = None

    @classmethod
    def done(cls) -> Action:
        return cls(None)

    @classmethod
    def requeue_after(cls, seconds: float) -> Action:
        return cls(seconds)


class Observer(Protocol):
    """What a controller tells about itself; ``result`` is success, requeue, conflict, terminal or error."""

    def reconciled(self, controller: str, result: str, seconds: float) -> None: ...


class Controller(Generic[K]):
    """Runs ``reconcile`` for the queue's keys with a number of workers."""

    def __init__(
        self,
        queue: WorkQueue[K],
        reconcile: Callable[[K], Awaitable[Action]],
        *,
        workers: int,
        observer: Observer | None = None,
        bind: Callable[[str, K], None] | None = None,
    ) -> None:
        """``bind`` is called at the start of each turn, in the worker's context (for a log line's reconcile id)."""
        self.name = queue.name
        self.queue = queue
        self._reconcile = reconcile
        self._workers = workers
        self._observer = observer
        self._bind = bind
        self._told: dict[K, str] = {}
        """What was said last of the keys that fail now."""

    async def run(self) -> None:
        """Works until the queue is closed; what runs then is finished. Cancelled, it cancels what runs."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"{self.name}-worker-{number}")

    async def _work(self) -> None:
        while True:
            try:
                key = await self.queue.get()
            except Closed:
                return
            try:
                await self._turn(key)
            finally:
                self.queue.done(key)

    async def _turn(self, key: K) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        if self._bind is not None:
            self._bind(self.name, key)
        try:
            action = await self._reconcile(key)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody asked this worker to end: what it waited for was cancelled. It would end in silence otherwise.
            result = "error"
            pause = self.queue.retry(key)
            log.exception("reconcile was cancelled", controller=self.name, key=str(key), retry_seconds=round(pause, 3))
        except TerminalError as error:
            result = "terminal"
            self.queue.forget(key)
            self._told.pop(key, None)
            log.warning("reconcile ended for good", controller=self.name, key=str(key), error=str(error))
        except Conflict:
            result = "conflict"
            pause = self.queue.retry_conflict(key)
            log.debug("reconcile met another writer", controller=self.name, key=str(key), retry_seconds=round(pause, 3))
        except DeccoError as error:
            result = "error"
            pause = self.queue.retry(key)
            self._tell_failure(key, error, pause)
        except Exception:  # a bug that one key meets must not stop the others: logged whole, tried again
            result = "error"
            pause = self.queue.retry(key)
            log.exception("reconcile hit a defect", controller=self.name, key=str(key), retry_seconds=round(pause, 3))
        else:
            result = "success"
            self.queue.forget(key)
            if self._told.pop(key, None) is not None:
                log.info("reconcile works again", controller=self.name, key=str(key))
            if action.seconds is not None:
                result = "requeue"
                self.queue.add_after(key, action.seconds)
        if self._observer is not None:
            self._observer.reconciled(self.name, result, loop.time() - started)

    def _tell_failure(self, key: K, error: DeccoError, pause: float) -> None:
        """A trouble of a key once as a warning, its repetitions for debugging: the API server may be away for long."""
        text = " ".join([str(error), *getattr(error, "__notes__", ())])
        method = log.debug if self._told.get(key) == text else log.warning
        self._told[key] = text
        method("reconcile failed", controller=self.name, key=str(key), error=text, retry_seconds=round(pause, 3))
