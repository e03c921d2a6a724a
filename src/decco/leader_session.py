"""One leader session: everything that writes, from its beginning to its end.

The caches exist as long as the process and are full before this begins, so it begins without a LIST. All else is new
each time: queues, the reconcilers' state, Events, and the DNS service, which first compares the whole content of its
zones.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from decco.forms import parse_name_server
from decco.health import Health
from decco.kube.apply import Applier
from decco.kube.client import Client
from decco.kube.controller import Action, Controller
from decco.kube.events import Recorder
from decco.kube.workqueue import WorkQueue
from decco.log import get_logger
from decco.metrics import Metrics
from decco.objects import SECRETS, Key
from decco.probe.model import Server
from decco.probe.service import Prober
from decco.reconcilers.answers import EdgeAnswers
from decco.reconcilers.app import AppReconciler
from decco.reconcilers.caches import Caches
from decco.reconcilers.children import ChildWriter
from decco.reconcilers.copies import Copies
from decco.reconcilers.event_handlers import EventHandlers
from decco.reconcilers.issuing import Causes
from decco.reconcilers.outgoing import ResolvedAddresses
from decco.reconcilers.reconciler import Dependencies
from decco.reconcilers.record_probes import RecordProbes, object_uid_of
from decco.reconcilers.records import Records
from decco.reconcilers.rejections import RETRY_SECONDS
from decco.reconcilers.report import Reporter
from decco.reconcilers.requested_secrets import DeletedSources, LocalSecrets, find_secret
from decco.reconcilers.secret_access import SecretAccess
from decco.reconcilers.secrets import Secrets
from decco.reconcilers.space import SpaceReconciler
from decco.resolver.service import LateQuery, Resolver
from decco.settings import Settings
from decco.settings.model import ProbeSettings

if TYPE_CHECKING:
    from decco.dns.service import Dns

log = get_logger(__name__)

PROGRAM = "decco-controller"
FINISH_SECONDS = 2.75
"""How long running reconciles may take to end after SIGTERM."""
DRAIN_SECONDS = 0.5
"""How long Events that are still to be sent may take then."""

URGENT_BURST = 200
"""Edits of one Space's objects, and as many changes that concern them, that overtake those of others at once."""
URGENT_SECONDS = 0.1
"""After the burst, one more in this interval; the rest waits behind them, in turn with other Spaces."""

PACE_BURST = 4
"""Reconciles of one object without a pause: its creation needs several, and a single edit is served at once."""
PACE_SECONDS = 0.08
"""After the burst, one more in this interval: an object that is edited a hundred times a second costs at most 20 writes
a second, and its last state is in the cluster within 100 ms.
"""


class LeaderSession:
    """Made and run once for each time that this process leads."""

    def __init__(
        self,
        *,
        settings: Settings,
        probing: Callable[[], ProbeSettings],
        client: Client,
        metrics: Metrics,
        health: Health,
        caches: Caches,
        event_handlers: EventHandlers,
        dns: Dns | None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._caches = caches
        self._event_handlers = event_handlers
        self._dns = dns
        self._recorder = Recorder(client, controller=PROGRAM, on_drop=metrics.event_dropped)
        off = ProbeSettings(enabled=False)
        # A dry run writes nothing, so an answer would be another object's.
        self._prober = Prober((lambda: off) if settings.dry_run else probing, metrics)
        self._answers = EdgeAnswers(self._prober, caches)
        self._resolver = Resolver(lambda: settings.egress, LateQuery(settings.egress.name_servers))
        self._addressing = ResolvedAddresses(self._resolver)
        record_probes = RecordProbes(self._prober, _name_servers(settings))
        self._records = Records(dns, client, settings, time.monotonic, record_probes)
        access = SecretAccess(client, caches)
        applier, find = Applier(access, caches.children), partial(find_secret, access)
        dependencies = Dependencies(
            caches=caches,
            writer=ChildWriter(applier, time.monotonic, metrics.child_repaired, event_handlers.enqueue),
            secrets=Secrets(
                caches,
                Copies(caches, access),
                LocalSecrets(find, time.monotonic),
                DeletedSources(find, time.monotonic),
                lambda key: applier.is_foreign(SECRETS, key),
            ),
            reporter=Reporter(client, self._recorder),
            records=self._records,
            now=lambda: datetime.now(UTC),
            answers=self._answers,
            addressing=self._addressing,
            expiries=metrics.expiries,
            causes=Causes(client, time.monotonic),
        )
        control = settings.controller
        self._spaces = self._controller(
            "space", SpaceReconciler(dependencies).reconcile, control.space_workers, lambda key: key.name
        )
        self._apps = self._controller(
            "app", AppReconciler(dependencies).reconcile, control.app_workers, lambda key: key.namespace
        )

    def _controller(
        self, name: str, reconcile: Callable[[Key], Awaitable[Action]], workers: int, group: Callable[[Key], str]
    ) -> Controller[Key]:
        """A controller and its queue; ``group`` is the Space of a key."""
        control = self._settings.controller
        queue: WorkQueue[Key] = WorkQueue(
            name,
            group=group,
            retry_base=control.retry_base_seconds,
            retry_max=control.retry_max_seconds,
            retry_max_while_few_fail=min(RETRY_SECONDS, control.retry_max_seconds),
            max_per_group=max(1, workers * 3 // 4),
            shared=max(1, workers * 3 // 4),
            urgent_budget=(URGENT_BURST, URGENT_SECONDS),
            key_budget=(PACE_BURST, PACE_SECONDS),
            observer=self._metrics,
        )
        self._metrics.follow_queue(name, queue)
        return Controller(queue, reconcile, workers=workers, observer=self._metrics)

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set: then running reconciles are finished. Cancellation cancels them and waits for
        their end.

        A defect in any part ends all parts, and is raised.
        """
        try:
            stores = self._caches.spaces, self._caches.apps
            with (
                self._records.following(*stores),
                self._answers.following(*stores),
                self._addressing.following(self._caches.apps),
            ):
                async with asyncio.TaskGroup() as group:
                    await self._work(group, stop)
        finally:
            self._close()
            self._health.remove_check("dns")
            self._metrics.follow_answers(dict)
            if self._dns is not None:
                # Only the leader has a DNS lag; a standby publishes nothing.
                nothing = dict.fromkeys(self._dns.lags(), 0.0)
                self._metrics.follow_dns(lambda: nothing)

    async def _work(self, group: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        helpers = [group.create_task(self._recorder.run(), name="events")]
        if self._dns is not None:
            self._dns.subscribe(self._event_handlers.enqueue)
            self._metrics.follow_dns(self._dns.lags)
            # Reads the zones; it changes nothing before a reconcile has passed the desired records.
            helpers.append(group.create_task(self._dns.run(), name="dns"))
            self._health.watch_task("dns", helpers[-1])
        self._prober.subscribe(lambda owner: self._event_handlers.enqueue(object_uid_of(owner)))
        self._metrics.follow_answers(self._prober.counts)
        helpers.append(group.create_task(self._prober.run(), name="prober"))
        self._resolver.subscribe(self._event_handlers.enqueue)
        helpers.append(group.create_task(self._resolver.run(), name="resolver"))
        controllers = (self._spaces, self._apps)
        workers = [group.create_task(each.run(), name=f"{each.name}-controller") for each in controllers]
        await self._event_handlers.connect_queues(self._spaces.queue, self._apps.queue)
        log.info("work begins", spaces=len(self._caches.spaces), apps=len(self._caches.apps))
        await stop.wait()
        log.info("stopping: no new work is taken")
        self._close()
        await asyncio.wait(workers, timeout=FINISH_SECONDS)
        if left := sum(each.queue.processing for each in controllers):
            log.warning("reconciles are cut off; the next start finishes them", count=left)
        await self._recorder.drain(DRAIN_SECONDS)
        for task in [*workers, *helpers]:
            task.cancel()

    def probing_changed(self, *, switched: bool) -> None:
        """Other settings of probes are in force; ``switched``: on or off, so that all objects are reconciled."""
        self._prober.settings_changed()
        if switched:
            for uid in self._caches.owners:
                self._event_handlers.enqueue(uid)

    def _close(self) -> None:
        self._spaces.queue.close()
        self._apps.queue.close()


def _name_servers(settings: Settings) -> dict[str, tuple[Server, ...]]:
    """The servers that the settings name, by zone."""
    found: dict[str, tuple[Server, ...]] = {}
    for provider in settings.dns.providers:
        servers = tuple(Server(*parse_name_server(each)) for each in provider.name_servers)
        for zone in provider.zones:
            found[zone] = (*found.get(zone, ()), *servers)
    return found
