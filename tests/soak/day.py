"""One soaking from beginning to end: the hours of churn, the checkpoints between them, and the verdict at the end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from testbed.controlplane import ControlPlane
from testbed.dns.bind import Bind
from testbed.dns.server import HOST, KEY_NAME, KEY_SECRET
from testbed.proxy import FaultProxy
from tests.integration.harness import Decco
from tests.soak.churn import Churn
from tests.soak.verdict import Checkpoint, Limits, complaints
from tests.soak.vitals import Scrape, memory, open_files, scrape, take_census, threads
from tests.soak.world import ZONE, Administrator, World

QUIET_SECONDS = 4.0
"""Nothing was reconciled for so long, and all is as it was: a checkpoint. Unused connections and Events that may repeat
are kept for less (``tests.soak.controller``)."""
LONGEST_QUIET_SECONDS = 90.0
CENSUS_READS, CENSUS_PAUSE = 3, 2.5
"""Together longer than a series of Events lasts here."""
"""After so long what is different stays different, and is reported."""
POLL_SECONDS = 0.25
SETTINGS = {
    "leader_election__enabled": "true",
    "leader_election__retry_seconds": "0.5",
    "controller__watch_idle_seconds": "10",
    "controller__retry_max_seconds": "5",
    "dns__compare_seconds": "1",
    "dns__retry_max_seconds": "2",
    "edge__addresses": '["192.0.2.1"]',
    "edge__namespace": "edge",
}
"""The clocks that run fast, so that what happens once an hour happens in each of ours."""


@dataclass(frozen=True)
class Plan:
    """``reconciles`` in all, in so many ``hours``; a world of so many ``spaces`` with so many ``apps`` each."""

    reconciles: int
    hours: int
    spaces: int
    apps: int
    seed: int
    memory: float = 0.05
    restarts: int = 4
    """How often the API server is restarted."""
    plant: str = ""
    """A leak to plant, see ``tests.soak.leaks``."""


@dataclass
class Story:
    """What came of it."""

    checkpoints: list[Checkpoint] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    clocks: dict[str, int] = field(default_factory=dict)
    """How often each thing happened that time alone brings about."""
    complaints: list[str] = field(default_factory=list)
    results: dict[str, int] = field(default_factory=dict)


@contextlib.contextmanager
def _names(folder: Path) -> Iterator[dict[str, object]]:
    """A zone of BIND's where it is installed, else one in memory: the provider's settings."""
    if Bind.missing():
        yield {"type": "memory", "zones": [ZONE]}
        return
    key = folder / "tsig.key"
    key.write_text(KEY_SECRET)
    with Bind() as server:
        server.create_zone(ZONE)
        where = {"host": HOST, "port": server.port, "tsigKeyName": KEY_NAME, "tsigSecretFile": str(key)}
        yield {"type": "rfc2136", "zones": [ZONE], **where}


async def soak(plan: Plan, folder: Path, say: Callable[[str], None]) -> Story:
    """Runs all of it on a control plane of its own; ``folder`` gets the controller's log."""
    with contextlib.ExitStack() as stack:
        cp = await asyncio.to_thread(stack.enter_context, ControlPlane(audit=False))
        await asyncio.to_thread(_install, cp)
        provider = await asyncio.to_thread(stack.enter_context, _names(folder))
        say(f"seed {plan.seed}, {plan.spaces} Spaces with {plan.apps} Apps each, names in {provider['type']}")
        async with FaultProxy(cp) as proxy, Administrator(cp) as admin:
            world = World(admin, plan.spaces, plan.apps)
            churn = Churn(cp, proxy, admin, world, plan.seed)
            async with _running(cp, proxy, folder, provider, plan.plant) as (decco, census):
                return await _Day(plan, decco, census, proxy, world, churn, say).live(cp)


def _install(cp: ControlPlane) -> None:
    cp.install_gateway_api()
    cp.install_decco_crds()
    cp.restart_manager()
    cp.create("/api/v1/namespaces", {"metadata": {"name": "decco"}})


def image_environment() -> dict[str, str]:
    """What the controller's image sets for its process: memory is measured with glibc's limits as users have them."""
    lines = [line for line in Path("Dockerfile").read_text().splitlines() if line.startswith("ENV ")]
    return dict(pair.split("=", 1) for line in lines for pair in line.split()[1:])


@contextlib.asynccontextmanager
async def _running(
    cp: ControlPlane, proxy: FaultProxy, folder: Path, provider: dict[str, object], leak: str
) -> AsyncIterator[tuple[Decco, Path]]:
    """The controller behind the proxy, and where it leaves a census. Ends it well."""
    census = folder / "census.json"
    os.environ |= {"SOAK_CENSUS": str(census), "SOAK_LEAK": leak, **image_environment()}
    settings = {**SETTINGS, "dns__providers": json.dumps([provider])}
    decco = Decco(cp, folder, kubeconfig=proxy.kubeconfig, **settings)
    flags = ("--log-level", "warning")
    await asyncio.to_thread(lambda: decco.start(flags=flags, module="tests.soak.controller"))
    try:
        yield decco, census
        status = await asyncio.to_thread(decco.stop)
        if status != 0:
            raise AssertionError(f"decco-controller ended with status {status}:\n{decco.tail()}")
    finally:
        await asyncio.to_thread(decco.kill)


class _Day:
    """The parts, and the checkpoints so far."""

    def __init__(
        self,
        plan: Plan,
        decco: Decco,
        census: Path,
        proxy: FaultProxy,
        world: World,
        churn: Churn,
        say: Callable[[str], None],
    ) -> None:
        self._plan, self._decco, self._census = plan, decco, census
        self._proxy, self._world, self._churn, self._say = proxy, world, churn, say
        self._story = Story()
        self._hourly = asyncio.Event()
        assert decco.process is not None
        self._pid = decco.process.pid

    async def live(self, cp: ControlPlane) -> Story:
        await self._checkpoint()
        restarts = {1 + number * self._plan.hours // self._plan.restarts for number in range(self._plan.restarts)}
        for hour in range(1, self._plan.hours + 1):
            await self._hour(hour, restart=hour in restarts)
            await self._checkpoint()
        story = self._story
        story.happened = self._churn.happened
        limits = Limits(memory=self._plan.memory, threads=6, values=5)
        story.complaints += complaints(story.checkpoints, limits)
        story.complaints += await asyncio.to_thread(self._unlike_a_fresh_render, cp)
        now = await self._scrape()
        story.results = dict(now.by("decco_reconcile_total", "result"))
        story.clocks = {
            "comparisons of the zone": int(now.total("decco_dns_calls_total", operation="records")),
            "watches opened again": int(now.total("decco_watch_restarts_total")),
            "renewals of the Lease": int(
                now.total("decco_api_requests_total", resource="leases.coordination.k8s.io", code="200")
            ),
        }
        story.complaints += [
            f"{what}: {times} in {self._plan.hours} hours, so not one in each"
            for what, times in story.clocks.items()
            if times < self._plan.hours
        ]
        text = self._decco.log.read_text(errors="replace")
        story.complaints += [f"the log has {word!r}" for word in ("Traceback", "hit a defect") if word in text]
        return story

    async def _hour(self, hour: int, *, restart: bool) -> None:
        goal = hour * self._plan.reconciles / self._plan.hours
        done = False

        async def check() -> None:
            nonlocal done
            while not done:
                now = await self._scrape()
                done = now.total("decco_reconcile_total") - self._story.checkpoints[0].reconciles >= goal
                await asyncio.sleep(POLL_SECONDS)

        async with asyncio.TaskGroup() as group:
            group.create_task(check())
            group.create_task(self._churn.until(lambda: done))
            if hour % 2 == 1:
                group.create_task(self._churn.recreate_space())
            if hour % 2 == 0:
                group.create_task(self._churn.pass_through_space())
            if hour % 4 == 2:
                group.create_task(self._churn.take_lease())
            if restart:
                group.create_task(self._churn.restart_apiserver())

    async def _scrape(self) -> Scrape:
        return await asyncio.to_thread(scrape, self._decco)

    async def _checkpoint(self) -> None:
        began = time.monotonic()
        await self._world.restore()
        self._proxy.seen.clear()
        first = self._story.checkpoints[0] if self._story.checkpoints else None
        deadline = time.monotonic() + LONGEST_QUIET_SECONDS
        last: Checkpoint | None = None
        least: Mapping[str, int] = {}
        since = time.monotonic()
        while True:
            found = await self._check()
            if last is None or _state(found) != _state(last) or found.queued:
                last, since, least = found, time.monotonic(), found.open
            # What comes and goes (a comparison of the zone, this scrape) is not what stays: the fewest count.
            least = {kind: min(count, least[kind]) for kind, count in found.open.items() if kind in least}
            found = dataclasses.replace(found, open=least)
            quiet = time.monotonic() - since >= QUIET_SECONDS
            if (quiet and (first is None or _same(found, first))) or time.monotonic() > deadline:
                break
            await asyncio.sleep(POLL_SECONDS)
        hour = len(self._story.checkpoints)
        if hour in {max(1, self._plan.hours // 3), self._plan.hours}:
            process = self._decco.process
            assert process is not None
            found = dataclasses.replace(found, census=await self._least_census(process))
            self._census.rename(self._census.with_stem(f"census-{hour}"))
        self._story.checkpoints.append(found)
        self._say(
            f"hour {hour}: {found.reconciles} reconciles, RSS {found.rss / 1024:.1f} MB, "
            f"quiet after {time.monotonic() - began:.1f} s"
        )

    async def _least_census(self, process: subprocess.Popen[bytes]) -> dict[str, int]:
        """The minimum of each in several reads, until all Events are sent and their series over: Events are sent one
        after the other, so on a busy machine some hundred take longer than the reconciles that caused them.
        """
        least: dict[str, int] = {}
        deadline = time.monotonic() + LONGEST_QUIET_SECONDS
        for number in itertools.count(1):
            await asyncio.sleep(CENSUS_PAUSE)
            taken = await asyncio.to_thread(take_census, self._pid, self._census, alive=lambda: process.poll() is None)
            least = {name: min(count, (least or taken).get(name, 0)) for name, count in taken.items()}
            if number >= CENSUS_READS and (not least.get("Recorder._series") or time.monotonic() > deadline):
                break
        return least

    async def _check(self) -> Checkpoint:
        now = await self._scrape()
        rss, pss = memory(self._pid)
        return Checkpoint(
            reconciles=int(now.total("decco_reconcile_total")),
            rss=rss,
            pss=pss,
            threads=threads(self._pid),
            tasks=int(now.total("decco_event_loop_tasks")),
            open=open_files(self._pid),
            queued=int(now.total("decco_workqueue_depth") + now.total("decco_active_workers")),
            cached=dict(now.by("decco_cache_objects", "resource")),
            ready=dict(now.by("decco_objects", "kind", "ready")),
            series=len(now.samples),
            labels=now.values(),
        )

    def _unlike_a_fresh_render(self, cp: ControlPlane) -> Iterator[str]:
        """What ``decco diff`` finds: it renders everything from nothing and compares."""
        settings = {f"DECCO_{name.upper()}": value for name, value in SETTINGS.items() if "edge" in name}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DECCO_")}
        providers = json.dumps([{"type": "memory", "zones": [ZONE]}])
        done = subprocess.run(
            [sys.executable, "-m", "decco.cli.main", "diff"],
            env={**kept, **settings, "DECCO_DNS__PROVIDERS": providers, "KUBECONFIG": str(cp.kubeconfig)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            yield f"decco diff ended with status {done.returncode}: {(done.stdout + done.stderr)[:2000]}"


def _state(found: Checkpoint) -> tuple[object, ...]:
    """What stands still when it is quiet."""
    return found.reconciles, found.tasks, found.cached, found.ready


def _same(now: Checkpoint, first: Checkpoint) -> bool:
    """Whether all is as at first; files and sockets may be fewer."""
    return (now.tasks, now.cached, now.ready) == (first.tasks, first.cached, first.ready) and all(
        count <= first.open.get(kind, 0) for kind, count in now.open.items()
    )
