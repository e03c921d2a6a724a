"""The controller as a process: the order of start and end.

    settings -> connection -> client -> (server there? CRDs there?) -> informers -> caches synced -> leading -> work

Nothing is written before every cache is full and this process leads; until then it is a warm standby. At SIGTERM the
queues are closed, running reconciles are finished, then the lease is released and the rest ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from decco import __version__, memory
from decco.backoff import pauses
from decco.config_retry import retry_config
from decco.desired.model import Served
from decco.errors import ConfigError
from decco.health import Health
from decco.informers import Informers
from decco.kube import config, discovery
from decco.kube.client import Client
from decco.kube.errors import ApiError, Forbidden, KubeError, Unauthorized, Untrusted
from decco.kube.fence import Fence, process_alarm
from decco.kube.leader import JOIN_SECONDS, Leader
from decco.kube.lease import RELEASE_SECONDS, Times
from decco.kube.transport import Outages
from decco.leader_session import DRAIN_SECONDS, FINISH_SECONDS, PROGRAM, LeaderSession
from decco.log import get_logger
from decco.metrics import Metrics
from decco.objects import APPS, GROUP, SPACES, Key
from decco.reconcilers.caches import Caches
from decco.reconcilers.discover import NOT_INSTALLED, discover
from decco.reconcilers.event_handlers import EventHandlers
from decco.reconcilers.kinds import KINDS
from decco.reconcilers.report import ready_counts
from decco.settings import Settings
from decco.settings.cluster_domain import with_cluster_domain
from decco.settings.fields import reloadable
from decco.settings.live import LiveSettings
from decco.settings.model import ProbeSettings

if TYPE_CHECKING:
    from decco.dns.service import Dns

log = get_logger(__name__)

T = TypeVar("T")

PROBE_SWITCH = "probe.enabled"

STARTUP_RETRY_SECONDS = (0.5, 10.0)
"""First and longest pause between checks of a cluster that is not ready for decco yet."""
END_SECONDS = FINISH_SECONDS + DRAIN_SECONDS + RELEASE_SECONDS + JOIN_SECONDS
"""How long work may take to end after SIGTERM, and the lease to be released."""


async def run(live: LiveSettings) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit status. Raises ConfigError for errors that do not end by waiting.

    Changes of the settings file are followed as far as they can be without a restart.
    """
    settings = live.current
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
    # A dry run writes nothing, so it needs no lease, and must not block another process.
    fence = Fence(process_alarm()) if settings.leader_election.enabled and not settings.dry_run else None
    outages = Outages()
    async with contextlib.AsyncExitStack() as stack:
        if live.path is not None:
            await stack.enter_async_context(_following(live, health))
        await stack.enter_async_context(health.serve(settings.metrics_bind_address))
        client = await stack.enter_async_context(
            Client(
                connection,
                user_agent=f"{PROGRAM}/{__version__}",
                in_flight=settings.controller.requests_in_flight,
                observe=metrics.api_request,
                dry_run=settings.dry_run,
                may_write=fence.check if fence is not None else lambda: None,
                outages=outages,
                by_list=(SPACES, APPS),  # the published role lists and watches them, for the informers
            )
        )
        settings = await asyncio.to_thread(with_cluster_domain, settings)
        served = await _unless(stop, _wait_for_cluster(client, settings))
        if served is not None:
            allows = fence.allows if fence is not None else lambda: True
            make_dns = None
            if settings.dns.providers:
                from decco.reconcilers.providers import dns_maker  # late: 1 MB that not every cluster needs

                make_dns = await _unless(stop, dns_maker(settings, client, metrics, allows))
            if not stop.is_set():
                leader = _leader(settings, metrics, fence, outages) if fence is not None else None
                daemon = _Daemon(settings, lambda: live.current.probe, client, metrics, health, stop, make_dns, leader)
                for key in reloadable("probe"):
                    live.subscribe(key, partial(daemon.probing_changed, key))
                await daemon.run(served)
    log.info("decco ends")
    return 0


@contextlib.asynccontextmanager
async def _following(live: LiveSettings, health: Health) -> AsyncIterator[None]:
    task = asyncio.create_task(live.follow(), name="settings")
    health.watch_task("settings", task)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def _leader(settings: Settings, metrics: Metrics, fence: Fence, outages: Outages) -> Leader:
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
            outages=outages,
        )

    return Leader(
        connect,
        Key(settings.namespace, election.lease_name),
        f"{socket.gethostname()}_{uuid.uuid4()}",  # the pod's name, and what distinguishes two of its starts
        times=times,
        fence=fence,
        on_change=metrics.leader,
    )


async def _unless(stop: asyncio.Event, work: Awaitable[T]) -> T | None:
    """The result of ``work``; None if ``stop`` was set before it ended."""
    task = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        for each in (task, stopping):
            each.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)


async def _wait_for_cluster(client: Client, settings: Settings) -> Served:
    """Waits until the API server answers and serves Spaces and Apps; returns all kinds that it serves. Raises
    ConfigError for errors that do not end by waiting.
    """
    connection = client.connection.describe()
    retries = pauses(*STARTUP_RETRY_SECONDS)
    logged = ""
    while True:
        try:
            kinds = await discovery.served(client, GROUP)
            if {"Space", "App"} <= kinds.keys():
                return await discover(client, settings.routing)
            trouble = f"{NOT_INSTALLED}; waiting"
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
                f"{connection} does not report which kinds it serves ({error}): give the controller's own credentials, "
                "or bind the ClusterRole system:discovery to this user; waiting"
            )
        except ApiError as error:
            trouble = f"{connection} answers: {error}; waiting"
        except KubeError as error:
            trouble = f"cannot reach {connection} ({error}): is it up, and is this its address? waiting"
        if trouble != logged:
            log.warning("the cluster is not ready for decco", reason=trouble)
            logged = trouble
        await asyncio.sleep(next(retries))


@dataclass
class _Daemon:
    """The running parts, once the cluster is ready."""

    settings: Settings
    probing: Callable[[], ProbeSettings]
    """The settings of probes that are in force."""
    client: Client
    metrics: Metrics
    health: Health
    stop: asyncio.Event
    make_dns: Callable[[], Dns] | None
    leader: Leader | None
    """None: there is no election, the process always leads."""
    session: LeaderSession | None = None
    """While this process leads."""

    def __post_init__(self) -> None:
        self.caches = Caches(self.settings, KINDS)
        self.event_handlers = EventHandlers(self.caches)
        self.metrics.follow_objects("Space", lambda: ready_counts(self.caches.spaces))
        self.metrics.follow_objects("App", lambda: ready_counts(self.caches.apps))

    async def run(self, served: Served) -> None:
        """Runs until ``stop`` is set, then ends in order. A defect in any part ends the whole process."""
        async with asyncio.TaskGroup() as group:
            informers = Informers(self.client, self.metrics, self.health, self.caches, self.event_handlers, group)
            try:
                if await _unless(self.stop, informers.start(served)):
                    log.info("caches are full", spaces=len(self.caches.spaces), apps=len(self.caches.apps))
                    memory.trim()
                    await self._lead()
            finally:
                informers.stop()

    async def _lead(self) -> None:
        """Works whenever this process leads, until ``stop`` is set."""
        if self.leader is None:
            self.metrics.leader(True)
            await self._work()
            return
        electing = asyncio.create_task(self.leader.run(self._work), name="leader-election")
        self.health.watch_task("leader-election", electing)
        stopping = asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait({electing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self.session is not None:
                # Running reconciles are finished, within a time limit: a lease that is lost meanwhile would start
                # another wait.
                await asyncio.wait({electing}, timeout=END_SECONDS)
        finally:
            for task in (electing, stopping):
                task.cancel()
            await asyncio.wait({electing, stopping})
        if not electing.cancelled():
            await electing

    async def _work(self) -> None:
        dns = None
        if (make_dns := self.make_dns) is not None:
            # In a thread, because key files are read.
            dns = await retry_config(lambda: asyncio.to_thread(make_dns), "DNS providers")
        self.session = LeaderSession(
            settings=self.settings,
            probing=self.probing,
            client=self.client,
            metrics=self.metrics,
            health=self.health,
            caches=self.caches,
            event_handlers=self.event_handlers,
            dns=dns,
        )
        try:
            await self.session.run(self.stop)
        finally:
            self.session = None

    def probing_changed(self, key: str, _before: object, _after: object) -> None:
        """A setting of probes has changed."""
        if self.session is not None:
            self.session.probing_changed(switched=key == PROBE_SWITCH)
