"""The controller as a process: what is started in which order, and how it ends.

    settings -> connection -> client -> (server there? CRDs there?) -> DNS -> informers -> caches synced -> workers

Nothing is written before every cache is full. At SIGTERM the queues give out no more work, what runs is finished, then
the rest ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from decco import __version__
from decco.desired.model import Served
from decco.dns.service import Dns
from decco.errors import ConfigError
from decco.health import Health
from decco.kube import config, discovery, watch
from decco.kube.apply import Applier
from decco.kube.client import Client
from decco.kube.controller import Controller
from decco.kube.errors import ApiError, Forbidden, KubeError, Unauthorized, Untrusted
from decco.kube.events import Recorder
from decco.kube.informer import Informer
from decco.kube.store import Store
from decco.kube.workqueue import WorkQueue
from decco.log import bind_reconcile
from decco.metrics import Metrics
from decco.objects import GROUP, Key
from decco.reconcilers.app import AppReconciler
from decco.reconcilers.caches import Caches, watch_specs
from decco.reconcilers.children import ChildWriter
from decco.reconcilers.discover import discover, missing
from decco.reconcilers.local_secrets import LocalSecrets
from decco.reconcilers.providers import dns_service
from decco.reconcilers.records import Records
from decco.reconcilers.report import Reporter, ready_counts
from decco.reconcilers.secrets import Secrets
from decco.reconcilers.space import SpaceReconciler
from decco.reconcilers.triggers import Triggers
from decco.settings import Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")

PROGRAM = "decco-controller"
FINISH_SECONDS = 3.5
"""How long running reconciles may take to end after SIGTERM."""
DRAIN_SECONDS = 0.5
"""How long Events that are still to be sent may take then."""
STARTUP_RETRY_SECONDS = (0.5, 10.0)
"""First and longest pause between looks at a cluster that is not ready for decco yet."""
DISCOVERY_SECONDS = 30.0
"""How often a kind that the cluster does not serve, and the routing backend needs, is looked for."""


async def run(settings: Settings) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit status. Raises ConfigError for what waiting cannot cure."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = Metrics()
    metrics.leader(True)  # there is no election yet: whoever runs, leads
    health = Health(metrics)
    connection = await _unless(stop, config.connect(settings.kubeconfig, settings.context))
    if connection is None:
        return 0
    log.info("decco starts", version=__version__, connection=connection.describe(), dry_run=settings.dry_run)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(health.serve(settings.metrics_bind_address))
        client = await stack.enter_async_context(
            Client(
                connection,
                user_agent=f"{PROGRAM}/{__version__}",
                in_flight=settings.controller.requests_in_flight,
                observe=metrics.api_request,
                dry_run=settings.dry_run,
            )
        )
        served = await _unless(stop, _wait_for_cluster(client))
        if served is not None:
            dns = await _unless(stop, dns_service(settings, client, metrics))
            if not stop.is_set():
                await _Daemon(settings, client, metrics, health, stop, dns).run(served)
    log.info("decco ends")
    return 0


async def _unless(stop: asyncio.Event, work: Awaitable[T]) -> T | None:
    """What ``work`` brings; None if asked to stop before it ended."""
    task = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        for each in (task, stopping):
            each.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)


async def _wait_for_cluster(client: Client) -> Served:
    """Returns once the API server answers and serves Spaces and Apps: with what else it serves.

    Raises ConfigError for what waiting cannot cure.
    """
    connection = client.connection.describe()
    pause, longest = STARTUP_RETRY_SECONDS
    said = ""
    while True:
        try:
            kinds = await discovery.served(client, GROUP)
            if {"Space", "App"} <= kinds.keys():
                return await discover(client)
            trouble = (
                f"the cluster does not know Spaces and Apps ({GROUP}): install them with "
                "`decco crds | kubectl apply -f -`; waiting"
            )
        except Unauthorized as error:
            raise ConfigError(
                f"{connection} does not accept our credentials ({error}): "
                "renew them, or give others with --kubeconfig and --context"
            ) from error
        except Untrusted as error:
            raise ConfigError(
                f"{connection}: {error}; correct the certificate-authority of the kubeconfig, "
                "or the server's certificate"
            ) from error
        except Forbidden as error:
            trouble = (
                f"{connection} does not say which kinds it serves ({error}): give the controller's own credentials, or "
                "bind the ClusterRole system:discovery to this user; waiting"
            )
        except ApiError as error:
            trouble = f"{connection} answers: {error}; waiting"
        except KubeError as error:
            trouble = f"cannot reach {connection} ({error}): is it up, and is this its address? waiting"
        if trouble != said:
            log.warning("the cluster is not ready for decco", reason=trouble)
            said = trouble
        await asyncio.sleep(pause)
        pause = min(pause * 2, longest)


class _Daemon:
    """The running parts, once the cluster is known to be there."""

    def __init__(
        self,
        settings: Settings,
        client: Client,
        metrics: Metrics,
        health: Health,
        stop: asyncio.Event,
        dns: Dns | None = None,
    ) -> None:
        self.settings = settings
        self.client = client
        self.metrics = metrics
        self.health = health
        self.stop = stop
        self.dns = dns
        self.caches = Caches(settings)
        self.informers: dict[str, Informer] = {}
        self.recorder = Recorder(client, controller=PROGRAM, on_drop=metrics.event_dropped)
        control = settings.controller

        def queue(name: str, group: Callable[[Key], str]) -> WorkQueue[Key]:
            return WorkQueue(
                name,
                group=group,
                retry_base=control.retry_base_seconds,
                retry_max=control.retry_max_seconds,
                observer=metrics,
            )

        self.spaces = queue("space", lambda key: key.name)
        self.apps = queue("app", lambda key: key.namespace)
        writer = ChildWriter(Applier(client, self.caches.children), time.monotonic, metrics.child_repaired)
        secrets = Secrets(self.caches, LocalSecrets(client, time.monotonic))
        reporter = Reporter(client, self.recorder)
        self.records = Records(dns, client, settings, time.monotonic)
        space = SpaceReconciler(self.caches, writer, secrets, reporter, self.records, _now, metrics.certificates)
        app = AppReconciler(self.caches, writer, secrets, reporter, self.records, _now, metrics.certificates)
        self.controllers = [
            Controller(
                self.spaces, space.reconcile, workers=control.space_workers, observer=metrics, bind=bind_reconcile
            ),
            Controller(self.apps, app.reconcile, workers=control.app_workers, observer=metrics, bind=bind_reconcile),
        ]
        self.triggers = Triggers(self.caches, self.spaces, self.apps)
        if dns is not None:
            dns.subscribe(self.triggers.records)
            metrics.follow_dns(dns.lags)
            for store in (self.caches.spaces, self.caches.apps):
                self.records.follow(store)
        for queue_ in (self.spaces, self.apps):
            metrics.follow_queue(queue_.name, queue_)
        metrics.follow_objects("Space", lambda: ready_counts(self.caches.spaces))
        metrics.follow_objects("App", lambda: ready_counts(self.caches.apps))

    async def run(self, served: Served) -> None:
        """Runs until ``stop`` is set, and then ends in order. A defect in any part ends the whole process."""
        async with asyncio.TaskGroup() as background:
            life = background.create_task(self._live(background, served), name="daemon")
            await asyncio.wait({life})

    async def _live(self, background: asyncio.TaskGroup, served: Served) -> None:
        helpers: list[asyncio.Task[None]] = [background.create_task(self.recorder.run(), name="events")]
        workers: list[asyncio.Task[None]] = []
        if self.dns is not None:
            # Reads the zones while the caches fill; it changes nothing before a reconcile has said what is wanted.
            task = background.create_task(self.dns.run(), name="dns")
            self.health.watch_task("dns", task)
            helpers.append(task)
        try:
            if await _unless(self.stop, self._fill(background, helpers, served)):
                log.info("caches are full, work begins", spaces=len(self.caches.spaces), apps=len(self.caches.apps))
                workers = [background.create_task(c.run(), name=f"{c.name}-controller") for c in self.controllers]
                helpers.append(background.create_task(self._follow_discovery(background, helpers), name="discovery"))
                await self.stop.wait()
                log.info("stopping: no new work is taken")
        finally:
            for queue in (self.spaces, self.apps):
                queue.close()
            if workers:
                await asyncio.wait(workers, timeout=FINISH_SECONDS)
                if left := self.spaces.processing + self.apps.processing:
                    log.warning("reconciles are cut off; the next start finishes them", count=left)
                await self.recorder.drain(DRAIN_SECONDS)
            for task in [*workers, *helpers]:
                task.cancel()

    async def _fill(self, background: asyncio.TaskGroup, helpers: list[asyncio.Task[None]], served: Served) -> Served:
        """Starts an informer for each kind that is not watched yet; returns ``served`` when all caches are full."""
        known = set(self.caches.children) | set(self.caches.edges)
        for name, (store, spec) in watch_specs(self.caches, served).items():
            if name in self.informers:
                continue
            informer = Informer(store, self._source(name, spec), self.metrics, name)
            self.informers[name] = informer
            self.health.add_check(f"cache {name}", _sync_check(informer), kind="ready")
            self.metrics.add_resource(name)
            if store in self.caches.children.values():
                self.metrics.add_child(name)
            task = background.create_task(informer.run(), name=f"informer {name}")
            self.health.watch_task(f"informer {name}", task)
            helpers.append(task)
            if self.caches.served != Served() or known:
                self._connect_late(store)
        if not known:
            self.triggers.connect()
        for informer in self.informers.values():
            await informer.synced.wait()
        self.caches.served = served
        return served

    def _connect_late(self, store: Store) -> None:
        if store in self.caches.edges.values():
            self.triggers.connect_edge(store)
        else:
            self.triggers.connect_child(store.resource, store)

    def _source(self, name: str, spec: watch.WatchSpec) -> Callable[[], AsyncGenerator[watch.WatchEvent, None]]:
        def trouble(error: Exception, _pause: float) -> None:
            self.metrics.watch_trouble(name, type(error).__name__)

        idle = self.settings.controller.watch_idle_seconds
        return lambda: watch.watch(self.client, spec, idle_seconds=idle, on_trouble=trouble)

    async def _follow_discovery(self, background: asyncio.TaskGroup, helpers: list[asyncio.Task[None]]) -> None:
        """Waits for kinds that the routing backend needs; asks nothing once all are served."""
        said: list[str] = []
        while lacking := missing(self.caches.served, self.settings.routing):
            if lacking != said:
                log.warning(
                    "the cluster lacks kinds that routing needs", kinds=lacking, backend=self.settings.routing.backend
                )
                said = lacking
            await asyncio.sleep(DISCOVERY_SECONDS)
            try:
                served = await discover(self.client)
            except KubeError as error:
                log.warning("discovery failed", error=str(error))
                continue
            if served != self.caches.served:
                await self._fill(background, helpers, served)
                self.triggers.everything()


def _sync_check(informer: Informer) -> Callable[[], str | None]:
    return lambda: None if informer.synced.is_set() else "not listed yet"


def _now() -> datetime:
    return datetime.now(UTC)
