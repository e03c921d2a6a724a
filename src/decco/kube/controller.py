"""Workers that take keys from a queue and reconcile them.

The contract of a reconcile (https://pkg.go.dev/sigs.k8s.io/controller-runtime/pkg/reconcile): it receives a key, never
an event; it reads the caches and brings the cluster to the desired state; it can be called at any time, any number of
times. It returns an Action (requeue_after), or raises:

* ``TerminalError``: only a change of the object can help, so there is no retry before that;
* ``Conflict``: another writer was faster; its event is about to reach the cache, so the first three retries in a row
  come at once, further ones after short pauses of at most 5 s (``WorkQueue.retry_conflict``);
* ``Postponed``: reconciled again after its pause, behind all other keys; this is not a failure;
* anything else: retried until it succeeds, with pauses that double up to ``controller.retryMaxSeconds``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

from decco.errors import DeccoError, TerminalError
from decco.kube.errors import Conflict
from decco.kube.workqueue import Closed, Priority, WorkQueue
from decco.log import bind_reconcile, get_logger

log = get_logger(__name__)

K = TypeVar("K")


class Action(NamedTuple):
    """When to reconcile the key again without an event."""

    requeue_after: float | None = None
    """Seconds; None: not without an event."""


class Postponed(DeccoError):
    """The rest of the reconcile waits, so that others need not; ``seconds`` until the next attempt."""

    def __init__(self, seconds: float) -> None:
        super().__init__("postponed in favour of others")
        self.seconds = seconds


class Observer(Protocol):
    """What a controller reports about itself; ``result`` is success, requeue, conflict, terminal or error."""

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
    ) -> None:
        self.name = queue.name
        self.queue = queue
        self._reconcile = reconcile
        self._workers = workers
        self._observer = observer
        self._reported: dict[K, str] = {}
        """The last reported error of each failing key."""

    async def run(self) -> None:
        """Runs until the queue is closed; running reconciles are finished then. Cancellation cancels them."""
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
                await self._process(key)
            finally:
                self.queue.done(key)

    async def _process(self, key: K) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        bind_reconcile(self.name, key)
        try:
            action = await self._reconcile(key)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # This worker was not cancelled: what it waited for was. Without this, the worker would end silently.
            result = self._failed(key, error)
        except Postponed as postponed:
            result = "requeue"
            self.queue.forget(key)
            self.queue.add_after(key, postponed.seconds, Priority.LIST)
        except Exception as error:  # noqa: BLE001 - a bug with one key must not stop the others
            result = self._failed(key, error)
        else:
            result = "success"
            self.queue.forget(key)
            if self._reported.pop(key, None) is not None:
                log.info("reconcile works again", controller=self.name, key=str(key))
            if action.requeue_after is not None:
                result = "requeue"
                self.queue.add_after(key, action.requeue_after)
        if self._observer is not None:
            self._observer.reconciled(self.name, result, loop.time() - started)

    def _failed(self, key: K, error: BaseException) -> str:
        """Queues the key again, unless only a change of its object can help, logs the error, and returns the result."""
        logger = log.bind(controller=self.name, key=str(key))
        if isinstance(error, TerminalError):
            self.queue.forget(key)
            self._reported.pop(key, None)
            logger.warning("reconcile ended for good", error=str(error))
            return "terminal"
        if isinstance(error, Conflict):
            pause = self.queue.retry_conflict(key)
            logger.debug("reconcile conflicted with another writer", retry_seconds=round(pause, 3))
            return "conflict"
        pause = self.queue.retry(key)
        if isinstance(error, DeccoError):
            # Once as a warning and its repetitions at debug: the API server may be unreachable for long.
            text = " ".join([str(error), *getattr(error, "__notes__", ())])
            method = logger.debug if self._reported.get(key) == text else logger.warning
            self._reported[key] = text
            method("reconcile failed", error=text, retry_seconds=round(pause, 3))
        elif isinstance(error, asyncio.CancelledError):
            logger.error("reconcile was cancelled", exc_info=error, retry_seconds=round(pause, 3))
        else:
            logger.error("reconcile hit a defect", exc_info=error, retry_seconds=round(pause, 3))
        return "error"
