"""One simulated cluster: API servers, what runs in each cluster, DNS, and the controllers under test."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from decco.daemon import run
from decco.objects import GROUP
from decco.settings.live import LiveSettings
from tests.simulation import http, zone
from tests.simulation.clock import CLOCK
from tests.simulation.loops import Loop, Process, Scheduler, current_process
from tests.simulation.model import answers
from tests.simulation.model.api import Api
from tests.simulation.model.cluster import (
    EDGE_ADDRESS,
    ENVOY_GATEWAY_CONTROLLER,
    GATEWAY_CONTROLLER,
    Actor,
    Cluster,
)
from tests.simulation.model.etcd import Address, Etcd
from tests.simulation.model.kinds import BY_NAME, CERT_MANAGER, ENVOY_GATEWAY, ISTIO, KINDS, Obj
from tests.simulation.model.requests import Target
from tests.simulation.model.servers import Server
from tests.simulation.network import Network
from tests.simulation.specs import SANDBOX

SETTINGS = {
    "DECCO_METRICS_BIND_ADDRESS": "0",
    "DECCO_CLUSTER_DOMAIN": "cluster.local",
    "DECCO_EDGE__NAMESPACE": "edge",
    "DECCO_MESH__SWITCH_SECONDS": "10",  # a step is over before what is quiet counts as settled
    "DECCO_PROBE__ENABLED": "false",  # no edge answers in virtual time
    "DECCO_ISOLATION__SANDBOXES": f'["{SANDBOX}"]',
    "DECCO_EDGE__ADDRESSES": f'["{EDGE_ADDRESS}"]',
    "DECCO_DNS__PROVIDERS": f'[{{"type": "memory", "zones": ["{zone.ZONE}"]}}]',
}
RESTART_SECONDS = 2.0
"""After which a controller that has ended is started again."""


@lru_cache(maxsize=32)
def live_settings(extra: tuple[tuple[str, str], ...] = ()) -> LiveSettings:
    return LiveSettings({}, {**SETTINGS, **dict(extra)}, None)


class _Defects(logging.Handler):
    """Log lines with a traceback are defects; all lines of a traced run are kept."""

    def emit(self, record: logging.LogRecord) -> None:
        process = current_process()
        values = getattr(record, "values", {})
        if record.exc_info and record.exc_info[1] is not None and process.alive:
            process.errors.append(f"{record.getMessage()} {values}: {record.exc_info[1]!r}")
        if trace is not None:
            trace(f"{process.name}: {record.levelname.lower()}: {record.getMessage()} {values}")


trace: Callable[[str], None] | None = None


def configure_log(tracer: Callable[[str], None] | None) -> None:
    """Keeps decco's log lines from the terminal, and passes them to ``tracer``."""
    global trace
    trace = tracer
    root = logging.getLogger("decco")
    root.handlers[:] = [_Defects()]
    root.propagate = False
    root.setLevel(logging.WARNING if tracer is None else logging.INFO)


@dataclass
class Daemon:
    """One controller: a process, and the ones that follow it after each end."""

    world: World
    name: str
    process: Process = field(init=False)
    task: asyncio.Task[int] | None = None
    starts: int = 0
    wanted: bool = True
    ends: list[int] = field(default_factory=list)
    """Exit statuses."""

    def start(self) -> None:
        if not self.wanted or (self.starts and self.process.alive):
            return
        self.starts += 1
        world = self.world
        self.process = Process(world.scheduler, self.name)
        self.process.network = world.network
        self.process.at_end.append(self._ended)
        self.loop = self.process.new_loop()
        self.loop.call_soon(self._begin)
        if world.on_start is not None:
            world.on_start(self)

    def _begin(self) -> None:
        self.task = self.loop.create_task(run(live_settings(self.world.extra)))
        self.task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[int]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.process.errors.append(f"the controller ended with {error!r}")
        self.process.kill(0 if error is None else 1)

    def _ended(self) -> None:
        process, world = self.process, self.world
        self.ends.append(process.status or 0)
        world.errors += [f"{self.name}: {each}" for each in process.errors]
        for pipe, (owner, stream) in list(world.network.pipes.items()):
            if owner is process:
                stream.close()
                del world.network.pipes[pipe]
        world.loop.call_soon_threadsafe(world.loop.call_later, RESTART_SECONDS, self.start)

    def tasks(self) -> int:
        return len(asyncio.all_tasks(self.loop))


@dataclass(frozen=True)
class Taken:
    """Rights taken from the controller: these verbs, on a kind (by its plural; "" for all but Leases), in a namespace
    ("" for all).
    """

    verbs: tuple[str, ...]
    plural: str
    namespace: str = ""

    def covers(self, verb: str, target: Target) -> bool:
        is_kind = target.kind.plural == self.plural or (not self.plural and target.kind.plural != "leases")
        return verb in self.verbs and is_kind and self.namespace in ("", target.namespace)


class World:
    """Everything of one simulation. ``rngs`` are independent, so that one part does not shift the others' numbers."""

    def __init__(
        self,
        seed: int,
        controllers: int = 1,
        servers: int = 1,
        extra: dict[str, str] | None = None,
        *,
        envoy: bool = False,
        issuer: bool = False,
        mesh: bool = False,
        beside: World | None = None,
    ) -> None:
        """``beside``: another cluster, with which this one shares the time and the DNS zone."""
        self.beside = beside
        self.name = "decco" if beside is None else "west"
        """Begins the names of its controllers."""
        if beside is None:
            CLOCK.reset()
            random.seed(seed)
            self.scheduler = Scheduler(random.Random(f"order {seed}"))
            self.process = Process(self.scheduler, "world")
            self.loop: Loop = self.process.new_loop()
            latency = random.Random(f"dns {seed}")
            self.zone = zone.SharedZone(lambda: latency.uniform(0.001, 0.02))
            zone.zones[:] = [self.zone]
        else:
            self.scheduler, self.process, self.loop, self.zone = (
                beside.scheduler,
                beside.process,
                beside.loop,
                beside.zone,
            )
        self.seed = seed
        self.extra = tuple(sorted((extra or {}).items()))
        seed_ = f"{seed}" if beside is None else f"{seed} beside"
        self.etcd = Etcd()
        self.api = Api(self.etcd, random.Random(f"uids {seed_}"))
        absent = {ENVOY_GATEWAY: not envoy, CERT_MANAGER: not issuer, ISTIO: not mesh}
        self.api.unserved = {(kind.group, kind.plural) for kind in KINDS if absent.get(kind.group)}
        lag = random.Random(f"lag {seed_}")
        self.servers = [Server(f"apiserver-{number}", self.api, self.loop, lag) for number in range(servers)]
        self.network = Network(self.api, self.servers, self.loop, random.Random(f"network {seed_}"))
        delays = random.Random(f"delays {seed_}")
        gateway_controller = ENVOY_GATEWAY_CONTROLLER if envoy else GATEWAY_CONTROLLER
        self.cluster = Cluster(self.api, self.loop, delays, lambda: delays.uniform(0.001, 0.3), gateway_controller)
        self.user = Actor(self.api, "user")
        self.on_start: Callable[[Daemon], None] | None = None
        self.errors: list[str] = []
        self.api.authorize = self._authorize
        self.taken: list[Taken] = []
        """Rights that the controller does not have now."""
        self._furnish()
        self.daemons = [Daemon(self, f"{self.name}-{number}") for number in range(controllers)]

    def _furnish(self) -> None:
        for name in ("decco", "edge"):
            self.user.create({"kind": "Namespace", "metadata": {"name": name}})
        self.user.create(
            {
                "kind": "GatewayClass",
                "metadata": {"name": "decco"},
                "spec": {"controllerName": self.cluster.gateway_controller},
            }
        )

    def _authorize(self, user: str, verb: str, target: Target) -> None:
        """The controller may do everything but what was taken from it, and reads and writes Secrets where a RoleBinding
        lets it.
        """
        if user != http.CONTROLLER:
            return
        kind, namespace = target.kind, target.namespace
        if any(each.covers(verb, target) for each in self.taken):
            raise answers.denied(user, verb, kind, namespace, target.name)
        if kind.plural != "secrets" or namespace == "decco":
            return
        bindings = self.etcd.of_kind(BY_NAME["RoleBinding"], namespace) if namespace else []
        if not any(each["subjects"][0]["name"].endswith("decco-controller") for _, each in bindings):
            raise answers.denied(user, verb, kind, namespace, target.name)

    def run(self, until: Callable[[], bool], seconds: float) -> bool:
        """Runs until the condition holds; False if it does not within virtual seconds from now."""
        return self.scheduler.run(until, CLOCK.now + seconds)

    def wait(self, seconds: float) -> None:
        self.run(lambda: False, seconds)

    def end(self) -> None:
        for daemon in self.daemons:
            daemon.wanted = False
        self.scheduler.end()

    def get(self, kind: str, name: str, namespace: str = "") -> Obj | None:
        return self.etcd.get(Address(BY_NAME[kind], namespace, name))

    def all(self, kind: str) -> list[Obj]:
        return [obj for _, obj in self.etcd.of_kind(BY_NAME[kind])]

    def owned(self) -> list[Obj]:
        """Spaces and Apps."""
        return self.all("Space") + self.all("App")


def ready(obj: Obj) -> str:
    """Status and reason of the condition Ready."""
    conditions: list[Any] = (obj.get("status") or {}).get("conditions") or []
    found = next((each for each in conditions if each["type"] == "Ready"), {})
    return f"{found.get('status')} {found.get('reason')}"


def is_current(obj: Obj) -> bool:
    """Whether the status is about the current generation."""
    status = obj.get("status") or {}
    return bool(status.get("observedGeneration") == obj["metadata"]["generation"])


def is_managed(obj: Obj) -> bool:
    return (obj["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by") == "decco"


__all__ = ["GROUP", "Daemon", "World", "configure_log", "is_current", "is_managed", "ready"]
