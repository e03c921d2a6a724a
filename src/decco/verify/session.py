"""One run from its beginning to its end: lock, leftovers, objects, probes, removal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from decco.frozen import frozen
from decco.kube.client import Client
from decco.kube.errors import KubeError
from decco.messages import Severity
from decco.objects import NAMESPACES, SECRETS, SPACES, Obj, Resource
from decco.reconcilers.discover import discover
from decco.settings import Settings
from decco.verify import cleanup, material, objects, plan, runner
from decco.verify.access import Impersonated, roles
from decco.verify.lock import locked
from decco.verify.names import DEFAULT_DOMAIN, Names, new_run
from decco.verify.names import SPACES as WORDS
from decco.verify.outcome import STRETCH, Outcome
from decco.verify.probe import Result
from decco.verify.world import World
from decco.views import running as running_
from decco.views.findings import Finding
from decco.views.preflight.checks import CHECKS
from decco.views.preflight.checks import run as run_check
from decco.views.preflight.model import ClusterContext

PATIENCE_SECONDS = 90.0
REMOVAL_SECONDS = 90.0
"""Without that anything goes: a busy cluster takes a minute for a namespace."""


@frozen
class Options:
    """``only`` and ``without`` are groups; ``edge`` addresses; times in seconds."""

    image: str
    domain: str | None = None
    edge: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    patience: float = PATIENCE_SECONDS
    seconds: float = 600.0


@frozen
class Report:
    """``findings`` are the failures and warnings of the preflight checks, if a probe failed; ``left`` could not be
    removed.
    """

    results: list[Result]
    findings: list[Finding]
    left: list[str]
    seconds: float

    def count(self, outcome: Outcome) -> int:
        return sum(result.outcome is outcome for result in self.results)

    @property
    def passed(self) -> bool:
        return not self.count(Outcome.FAILED) and not self.left


@frozen
class Progress:
    """``say`` takes remarks, ``observe`` each result and the number of all that are to come."""

    say: Callable[[str], None]
    observe: Callable[[Result, int], None]


async def verify(client: Client, settings: Settings, options: Options, progress: Progress) -> Report:
    """One run. Raises VerifyError and KubeError if it cannot begin; what it has made is removed in any case."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    STRETCH.set(max(1.0, options.patience / PATIENCE_SECONDS))
    names = Names(new_run(), options.domain or _domain(settings), settings.namespace)
    certificates = await asyncio.to_thread(material.make, names)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(locked(client, settings.namespace, progress.say))
        await _remove_leftovers(client, names, progress)
        tenant = await stack.enter_async_context(
            Client(Impersonated(client.connection, names.tenant), user_agent="decco-verify", in_flight=8, timeout=15.0)
        )
        world = World(
            client, tenant, settings, names, certificates, options.image, options.patience, edge_addresses=options.edge
        )
        try:
            progress.say(f"run {names.run}: Spaces {', '.join(map(names.space, WORDS))} of {names.domain}")
            await _create(client, world)
            chosen = plan.needed(options.only, options.without)

            def observe(result: Result) -> None:
                progress.observe(result, len(chosen))

            results = await runner.run(plan.PROBES, world, chosen, observe, options.seconds)
        finally:
            left = await to_its_end(_removed(world, progress), progress)
        failed = any(result.outcome is Outcome.FAILED for result in results)
        findings = await _preflight(client, settings) if failed else []
    return Report(results, findings, left, loop.time() - started)


async def _removed(world: World, progress: Progress) -> list[str]:
    await world.close()
    progress.say("removing everything that the run has made")
    left = await cleanup.remove(world.client, world.names.controller, REMOVAL_SECONDS, world.names.run)
    for each in left:
        progress.say(f"not removed: {each}")
    return left


async def to_its_end(removal: Coroutine[Any, Any, list[str]], progress: Progress) -> list[str]:
    """The result of the removal, which goes on if it is the first thing that is interrupted in this run."""
    task = asyncio.create_task(removal)
    current = asyncio.current_task()
    assert current is not None
    before = current.cancelling()
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if before or task.done():
            task.cancel()
            raise
        progress.say("the removal goes on; a second interrupt ends it")
        await task
        raise


def _domain(settings: Settings) -> str:
    """A zone of a DNS provider, if there is one: records are then published and can be looked up."""
    for provider in settings.dns.providers:
        if provider.zones:
            return str(provider.zones[0])
    return DEFAULT_DOMAIN


async def _remove_leftovers(client: Client, names: Names, progress: Progress) -> None:
    found = [space["metadata"]["name"] for space in await cleanup.labelled(client, SPACES)]
    if found:
        progress.say(f"removing what an earlier run has left: {', '.join(found)}")
    for each in await cleanup.remove(client, names.controller, REMOVAL_SECONDS):
        progress.say(f"left by an earlier run, and not removed: {each}")


async def _create(client: Client, world: World) -> None:
    """Everything but Apps, which need their namespaces."""
    names = world.names
    role, binding = roles(names)
    first: list[tuple[Resource, Obj]] = [
        *((SECRETS, each) for each in objects.shared_secrets(names, world.material)),
        *((NAMESPACES, each) for each in objects.namespaces(names)),
        (objects.CLUSTER_ROLES, role),
    ]
    second: list[tuple[Resource, Obj]] = [
        *((SPACES, objects.space(names, word)) for word in WORDS),
        (objects.CLUSTER_ROLE_BINDINGS, binding),
    ]
    for step in (first, second):
        await asyncio.gather(*(client.create(resource, obj) for resource, obj in step))


async def _preflight(client: Client, settings: Settings) -> list[Finding]:
    """Failures that ``decco doctor`` finds, then its warnings: often the cause of what the probes found."""
    try:
        running = await running_.read_running(client, settings.namespace)
        served = await discover(client, settings.routing)
    except KubeError:
        return []
    context = ClusterContext(client, settings, running, served, datetime.now(UTC), "decco-controller")
    found = await asyncio.gather(*(run_check(name, check, context) for name, check in CHECKS.items()))
    grades = (Severity.FAILURE, Severity.WARNING)
    return [each for grade in grades for findings in found for each in findings if each.severity is grade]
