"""The controller as a process: what is started in which order, and how it ends.

    settings -> connection -> client -> (server there? CRDs there?) -> informers -> caches synced -> leading -> work

Nothing is written before every cache is full and this process leads; until then it stands by, warm. At SIGTERM the
queues give out no more work, what runs is finished, then the lease is given back and the rest ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

import structlog

from decco import __version__
from decco.cluster_domain import with_cluster_domain
from decco.config_retry import retry_config
from decco.desired.model import Served
from decco.dns.service import Dns
from decco.errors import ConfigError
from decco.health import Health
from decco.kube import config, discovery, watch
from decco.kube.client import Client
from decco.kube.errors import ApiError, Forbidden, KubeError, Unauthorized, Untrusted
from decco.kube.fence import Fence, process_alarm
from decco.kube.informer import Informer
from decco.kube.leader import JOIN_SECONDS, Leader
from decco.kube.lease import RELEASE_SECONDS, Times
from decco.kube.store import Store
from decco.metrics import Metrics
from decco.objects import GROUP, Key
from decco.reconcilers.caches import Caches, watch_specs
from decco.reconcilers.discover import discover, is_needed, is_optional, missing
from decco.reconcilers.providers import dns_maker
from decco.reconcilers.report import ready_counts
from decco.reconcilers.triggers import Triggers
from decco.settings import Settings
from decco.settings_follow import SettingsFile, follow
from decco.term import DRAIN_SECONDS, FINISH_SECONDS, Term

log = structlog.get_logger(__name__)

T = TypeVar("T")

PROGRAM = "decco-controller"
STARTUP_RETRY_SECONDS = (0.5, 10.0)
"""First and longest pause between looks at a cluster that is not ready for decco yet."""
END_SECONDS = FINISH_SECONDS + DRAIN_SECONDS + RELEASE_SECONDS + JOIN_SECONDS
"""How long work may take to end after SIGTERM, and the lease to be given back."""
OPTIONAL_SECONDS = 5.0
"""How long a kind that cannot be listed, and without which the rest works, is waited for after its first failure."""
DISCOVERY_SECONDS = 30.0
"""How often a kind that the cluster does not serve, and the routing backend needs, is looked for."""


async def run(settings: Settings, file: SettingsFile | None = None) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit status. Raises ConfigError for what waiting cannot cure.

    Changes of the settings in ``file``, which has been read, are followed as far as they can be without a restart.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = Metrics()
    health = Health(metrics, loop_silence=settings.controller.loop_silence_seconds)
    connection = await _unless(stop, config.connect(settings.kubeconfig, settings.context))
    if connection is None:
        return 0
    log.info("decco starts", version=__version__, connection=connection.describe(), dry_run=settings.dry_run)
    # A dry run writes nothing, so it needs no leave to write, and must not keep anybody else from it.
    fence = Fence(process_alarm()) if settings.leader_election.enabled and not settings.dry_run else None
    async with contextlib.AsyncExitStack() as stack:
        if file is not None:
            await stack.enter_async_context(_following(file, settings, health))
        await stack.enter_async_context(health.serve(settings.metrics_bind_address))
        client = await stack.enter_async_context(
            Client(
                connection,
                user_agent=f"{PROGRAM}/{__version__}",
                in_flight=settings.controller.requests_in_flight,
                observe=metrics.api_request,
                dry_run=settings.dry_run,
                may_write=fence.check if fence is not None else lambda: None,
            )
        )
        settings = await asyncio.to_thread(with_cluster_domain, settings)
        served = await _unless(stop, _wait_for_cluster(client))
        if served is not None:
            allows = fence.allows if fence is not None else lambda: True
            make_dns = await _unless(stop, dns_maker(settings, client, metrics, allows))
            if not stop.is_set():
                leader = _leader(settings, metrics, fence) if fence is not None else None
                await _Daemon(settings, client, metrics, health, stop, make_dns, leader).run(served)
    log.info("decco ends")
    return 0


@contextlib.asynccontextmanager
async def _following(file: SettingsFile, settings: Settings, health: Health) -> AsyncIterator[None]:
    task = asyncio.create_task(follow(file, settings), name="settings")
    health.watch_task("settings", task)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def _leader(settings: Settings, metrics: Metrics, fence: Fence) -> Leader:
    """This process as a candidate, with connections of its own."""
    election = settings.leader_election
    times = Times(
        lease=election.lease_seconds,
        renew=election.renew_seconds,
        retry=election.retry_seconds,
        dead=settings.controller.loop_silence_seconds,
    )

    async def connect() -> Client:
        return Client(
            await retry_config(lambda: config.connect(settings.kubeconfig, settings.context), "leader election"),
            user_agent=f"{PROGRAM}/{__version__} leader-election",
            in_flight=1,
            timeout=times.call,
            observe=metrics.api_request,
        )

    return Leader(
        connect,
        Key(settings.namespace, election.lease_name),
        f"{socket.gethostname()}_{uuid.uuid4()}",  # the pod's name, and what tells two of its starts apart
        times=times,
        fence=fence,
        on_change=metrics.leader,
    )


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
        make_dns: Callable[[], Dns] | None,
        leader: Leader | None,
    ) -> None:
        """Without ``leader`` there is no election: whoever runs, leads."""
        self.settings = settings
        self.client = client
        self.metrics = metrics
        self.health = health
        self.stop = stop
        self.make_dns = make_dns
        self.leader = leader
        self.working = False
        self.caches = Caches(settings)
        self.informers: dict[str, Informer] = {}
        self.triggers = Triggers(self.caches)
        metrics.follow_objects("Space", lambda: ready_counts(self.caches.spaces))
        metrics.follow_objects("App", lambda: ready_counts(self.caches.apps))

    async def run(self, served: Served) -> None:
        """Runs until ``stop`` is set, and then ends in order. A defect in any part ends the whole process."""
        async with asyncio.TaskGroup() as background:
            life = background.create_task(self._live(background, served), name="daemon")
            await asyncio.wait({life})

    async def _live(self, background: asyncio.TaskGroup, served: Served) -> None:
        helpers: list[asyncio.Task[None]] = []
        try:
            if await _unless(self.stop, self._fill(background, helpers, served)):
                log.info("caches are full", spaces=len(self.caches.spaces), apps=len(self.caches.apps))
                helpers.append(background.create_task(self._follow_discovery(background, helpers), name="discovery"))
                await self._lead()
        finally:
            for task in helpers:
                task.cancel()

    async def _lead(self) -> None:
        """Works whenever this process leads, until ``stop`` is set."""
        if self.leader is None:
            self.metrics.leader(True)
            await self._work()
            return
        standing = asyncio.create_task(self.leader.run(self._work), name="leader-election")
        self.health.watch_task("leader-election", standing)
        stopping = asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait({standing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self.working:
                # What runs is finished. Not for ever: a lease that is lost meanwhile would begin another waiting.
                await asyncio.wait({standing}, timeout=END_SECONDS)
        finally:
            for task in (standing, stopping):
                task.cancel()
            await asyncio.wait({standing, stopping})
        if not standing.cancelled():
            await standing

    async def _work(self) -> None:
        dns = None
        if (make_dns := self.make_dns) is not None:
            # In a thread, because key files are read.
            dns = await retry_config(lambda: asyncio.to_thread(make_dns), "DNS providers")
        term = Term(
            self.settings, self.client, self.metrics, self.health, self.caches, self.triggers, dns, program=PROGRAM
        )
        self.working = True
        try:
            await term.run(self.stop)
        finally:
            self.working = False

    async def _fill(self, background: asyncio.TaskGroup, helpers: list[asyncio.Task[None]], served: Served) -> Served:
        """Starts an informer for each kind that is not watched yet; returns ``served`` when all caches are full."""
        known = set(self.caches.children) | set(self.caches.edges)
        needed: list[Informer] = []
        for name, (store, spec) in watch_specs(self.caches, served).items():
            if name in self.informers:
                continue
            informer = Informer(store, self._source(name, spec), self.metrics, name)
            self.informers[name] = informer
            optional = is_optional(spec.resource)
            if is_needed(spec.resource, self.settings.routing):
                needed.append(informer)
                self.health.add_check(f"cache {name}", _sync_check(informer, optional=optional), kind="ready")
                if optional:
                    self.health.add_note(f"cache {name}", _note(informer))
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
        for informer in needed:
            if not is_optional(informer.store.resource):
                await informer.synced.wait()
                continue
            await informer.tried.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(OPTIONAL_SECONDS):
                    await informer.synced.wait()
            if not informer.synced.is_set():
                log.warning(
                    "work goes on without a kind that cannot be listed: what depends on it waits",
                    resource=informer.name,
                    error=informer.store.unlisted,
                )
                helpers.append(background.create_task(self._catch_up(informer), name=f"catch up {informer.name}"))
        self.caches.served = served
        return served

    async def _catch_up(self, informer: Informer) -> None:
        """Looks at everything once a kind can be listed that could not be before."""
        await informer.synced.wait()
        log.info("the kind can be listed now", resource=informer.name)
        await self.triggers.everything()

    def _connect_late(self, store: Store) -> None:
        if store in self.caches.edges.values():
            self.triggers.connect_edge(store)
        else:
            self.triggers.connect_child(store.resource, store)

    def _source(self, name: str, spec: watch.WatchSpec) -> Callable[[], AsyncGenerator[watch.WatchEvent, None]]:
        def trouble(error: Exception, _pause: float) -> None:
            self.metrics.watch_trouble(name, type(error).__name__)
            self.informers[name].failed(error)

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
                await self.triggers.everything()


def _sync_check(informer: Informer, *, optional: bool) -> Callable[[], str | None]:
    """Without an optional kind the process is ready: a restart would not help, and all else works."""

    def check() -> str | None:
        if informer.synced.is_set() or (optional and informer.tried.is_set()):
            return None
        return "not listed yet"

    return check


def _note(informer: Informer) -> Callable[[], str | None]:
    return lambda: f"cannot be listed: {informer.store.unlisted}" if informer.store.unlisted else None
