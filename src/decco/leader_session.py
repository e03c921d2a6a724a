"""One leader session: everything that writes, from its beginning to its end.

The caches exist as long as the process and are full before this begins, so it begins without a LIST. All else is new
each time: queues, the reconcilers' state, Events, and the DNS service, which first compares the whole content of its
zones.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from decco.dns.service import Dns
from decco.health import Health
from decco.kube.apply import Applier
from decco.kube.client import Client
from decco.kube.controller import Controller
from decco.kube.events import Recorder
from decco.kube.workqueue import WorkQueue
from decco.log import bind_reconcile, get_logger
from decco.metrics import Metrics
from decco.objects import SECRETS, Key
from decco.reconcilers.app import AppReconciler
from decco.reconcilers.caches import Caches
from decco.reconcilers.children import ChildWriter
from decco.reconcilers.deleted_sources import DeletedSources
from decco.reconcilers.event_handlers import EventHandlers
from decco.reconcilers.local_secrets import LocalSecrets
from decco.reconcilers.records import Records
from decco.reconcilers.rejections import RETRY_SECONDS
from decco.reconcilers.report import Reporter
from decco.reconcilers.secrets import Secrets
from decco.reconcilers.space import SpaceReconciler
from decco.settings import Settings

log = get_logger(__name__)

FINISH_SECONDS = 2.75
"""How long running reconciles may take to end after SIGTERM."""
DRAIN_SECONDS = 0.5
"""How long Events that are still to be sent may take then."""


class LeaderSession:
    """Made and run once for each time that this process leads. ``program`` is the source of its Events."""

    def __init__(
        self,
        settings: Settings,
        client: Client,
        metrics: Metrics,
        health: Health,
        caches: Caches,
        event_handlers: EventHandlers,
        dns: Dns | None,
        program: str,
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._caches = caches
        self._event_handlers = event_handlers
        self._dns = dns
        self._recorder = Recorder(client, controller=program, on_drop=metrics.event_dropped)
        control = settings.controller

        def queue(name: str, group: Callable[[Key], str]) -> WorkQueue[Key]:
            return WorkQueue(
                name,
                group=group,
                retry_base=control.retry_base_seconds,
                retry_max=control.retry_max_seconds,
                retry_max_of_few=min(RETRY_SECONDS, control.retry_max_seconds),
                observer=metrics,
            )

        self._spaces = queue("space", lambda key: key.name)
        self._apps = queue("app", lambda key: key.namespace)
        applier = Applier(client, caches.children)
        writer = ChildWriter(applier, time.monotonic, metrics.child_repaired, event_handlers.enqueue_after)
        local = LocalSecrets(client, time.monotonic)
        deleted = DeletedSources(client, time.monotonic)
        secrets = Secrets(caches, local, deleted, lambda key: applier.is_foreign(SECRETS, key))
        reporter = Reporter(client, self._recorder)
        self._records = Records(dns, client, settings, time.monotonic)
        shared = (caches, writer, secrets, reporter, self._records, _now, metrics.certificates)
        self._controllers = [
            Controller(
                self._spaces,
                SpaceReconciler(*shared).reconcile,
                workers=control.space_workers,
                observer=metrics,
                bind=bind_reconcile,
            ),
            Controller(
                self._apps,
                AppReconciler(*shared).reconcile,
                workers=control.app_workers,
                observer=metrics,
                bind=bind_reconcile,
            ),
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set: then running reconciles are finished. Cancellation cancels them and waits for
        their end.

        A defect in any part ends all parts, and is raised.
        """
        for queue in (self._spaces, self._apps):
            self._metrics.follow_queue(queue.name, queue)
        followed = (self._caches.spaces, self._caches.apps) if self._dns is not None else ()
        for store in followed:
            self._records.follow(store)
        try:
            async with asyncio.TaskGroup() as group:
                await self._work(group, stop)
        finally:
            self._close()
            for store in followed:
                self._records.unfollow(store)
            self._health.remove_check("dns")
            if self._dns is not None:
                # Only the leader has a DNS lag; a standby publishes nothing.
                nothing = dict.fromkeys(self._dns.lags(), 0.0)
                self._metrics.follow_dns(lambda: nothing)

    async def _work(self, group: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        helpers = [group.create_task(self._recorder.run(), name="events")]
        if self._dns is not None:
            self._dns.subscribe(self._event_handlers.records)
            self._metrics.follow_dns(self._dns.lags)
            # Reads the zones; it changes nothing before a reconcile has passed the desired records.
            helpers.append(group.create_task(self._dns.run(), name="dns"))
            self._health.watch_task("dns", helpers[-1])
        workers = [group.create_task(each.run(), name=f"{each.name}-controller") for each in self._controllers]
        await self._event_handlers.feed(self._spaces, self._apps)
        log.info("work begins", spaces=len(self._caches.spaces), apps=len(self._caches.apps))
        await stop.wait()
        log.info("stopping: no new work is taken")
        self._close()
        await asyncio.wait(workers, timeout=FINISH_SECONDS)
        if left := self._spaces.processing + self._apps.processing:
            log.warning("reconciles are cut off; the next start finishes them", count=left)
        await self._recorder.drain(DRAIN_SECONDS)
        for task in [*workers, *helpers]:
            task.cancel()

    def _close(self) -> None:
        for queue in (self._spaces, self._apps):
            queue.close()


def _now() -> datetime:
    return datetime.now(UTC)
