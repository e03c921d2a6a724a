"""What do others notice of one Space that creates thousands of Apps?

Everything is settled. A victim edits an App in a Space of its own each second, and watches show when the edit is in the
Deployment; a bystander reads its Apps and Deployments from the API server ten times a second. They do so for a while
alone, then while an aggressor creates Apps in its Space, until all of those are made.

    neighbour ratio=<p99 among others / p99 alone, the worse of both> goal=2.00 victim=… bystander=… victim_ms=…
        bystander_ms=… made_s=… refused=…       (limit: decco is never answered with 429)
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from bench import results
from bench.edits import DEPLOYMENTS, Edit, Editor
from bench.load import APIS, MANAGED, Load, Obj, apps, posted, send, session, wait_until_quiet
from bench.observer import every, following
from bench.settled import Settled, settled
from testbed.progress import say

GOAL = 2.00
LIMIT_SECONDS = 3600.0
READ_SECONDS = 0.1
TOO_MANY_REQUESTS = 429
AGGRESSOR, VICTIM, BYSTANDER = 0, 1, 2
"""Numbers of Spaces."""


@dataclass
class Phase:
    """Seconds of each edit and of each read."""

    edits: list[Edit] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Made:
    """Deployments of new Apps in the aggressor's Space."""

    space: str
    names: set[str] = field(default_factory=set)

    def on_event(self, collection: str, type_: str, obj: Obj, _: float) -> None:
        if collection == DEPLOYMENTS and type_ == "ADDED" and obj["metadata"]["namespace"] == self.space:
            self.names.add(obj["metadata"]["name"])


async def observe(
    http: aiohttp.ClientSession, load: Load, editor: Editor, pause: float, stop: Callable[[], bool]
) -> Phase:
    """The victim's edits and the bystander's reads until ``stop``."""
    phase = Phase()
    victim, bystander = (load.spaces[number]["metadata"]["name"] for number in (VICTIM, BYSTANDER))

    async def edit() -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(editor.edit(victim, f"app-{number % load.per_space:03d}"))
                async for number in every(pause, stop)
            ]
        phase.edits = [each.result() for each in tasks]

    async def read() -> None:
        paths = f"{APIS}/namespaces/{bystander}/apps", f"/apis/apps/v1/namespaces/{bystander}/deployments"
        async for number in every(READ_SECONDS, stop):
            started = time.monotonic()
            async with http.get(paths[number % len(paths)]) as answer:
                answer.raise_for_status()
                await answer.read()
            phase.reads.append(time.monotonic() - started)

    started = time.monotonic()
    async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(edit())
        group.create_task(read())
    phase.seconds = time.monotonic() - started
    return phase


async def phases(here: Settled, given: argparse.Namespace) -> tuple[Phase, Phase]:
    """(alone, among others)."""
    load = here.load
    space = load.spaces[AGGRESSOR]["metadata"]["name"]
    async with session(here.cp) as http, session(here.cp) as aggressor:
        editor, made = Editor(http), Made(space)

        def on_event(collection: str, type_: str, obj: Obj, when: float) -> None:
            editor.on_event(collection, type_, obj, when)
            made.on_event(collection, type_, obj, when)

        async with following(http, [DEPLOYMENTS], on_event, MANAGED):
            until = time.monotonic() + given.seconds
            alone = await observe(http, load, editor, given.pause, lambda: time.monotonic() >= until)
            queue = iter(list(apps(space, given.new, first=load.per_space)))

            async def create() -> None:
                for app in queue:
                    await send(aggressor, posted(app))

            async with asyncio.TaskGroup() as group:
                for _ in range(given.creators):
                    group.create_task(create())
                among = await observe(http, load, editor, given.pause, lambda: len(made.names) >= given.new)
        return alone, among


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.neighbour", description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", type=int, default=int(os.environ.get("SPACES", "100")))
    parser.add_argument("--apps", type=int, default=int(os.environ.get("APPS", "2000")))
    parser.add_argument("--new", type=int, default=int(os.environ.get("NEW", "5000")))
    parser.add_argument("--creators", type=int, default=int(os.environ.get("CREATORS", "4")), help="of the aggressor")
    parser.add_argument("--pause", type=float, default=float(os.environ.get("PAUSE", "1")), help="between two edits")
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("DURATION", "100")), help="alone")
    parser.add_argument("--repeats", type=int, default=int(os.environ.get("REPEATS", "5")))
    given = parser.parse_args()
    found: dict[str, list[float]] = {}
    for _ in range(given.repeats):
        busy = os.getloadavg()[0]
        with settled(max(3, given.spaces), given.apps) as here:
            mark = here.cp.audit_mark()
            alone, among = asyncio.run(phases(here, given))
            wait_until_quiet(here.cp)
            refusals = sum(each.code == TOO_MANY_REQUESTS for each in here.cp.audit(since=mark))
        values: dict[str, float] = {}
        for phase, name in ((alone, "alone"), (among, "among others")):
            edits = [1000 * each.written for each in phase.edits]
            reads = [1000 * each for each in phase.reads]
            values[f"victim {name}, p99, ms"] = results.percentile(edits, 0.99)
            values[f"victim {name}, p50, ms"] = results.percentile(edits, 0.5)
            values[f"bystander {name}, p99, ms"] = results.percentile(reads, 0.99)
            values[f"bystander {name}, p50, ms"] = results.percentile(reads, 0.5)
        values |= {"edits among others": len(among.edits), "seconds until all Apps are made": among.seconds}
        values |= {"answers 429": refusals, "load before": busy}
        say(", ".join(f"{name} {value:.0f}" for name, value in values.items()))
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    of = {name: results.spread(values) for name, values in found.items()}
    ratios = {
        who: of[f"{who} among others, p99, ms"]["median"] / of[f"{who} alone, p99, ms"]["median"]
        for who in ("victim", "bystander")
    }
    ratio, refused = max(ratios.values()), max(found["answers 429"])
    sizes = {"spaces": given.spaces, "apps": given.apps, "new": given.new, "repeats": given.repeats}
    figures = {**of, **{f"ratio of the {who}": round(each, 3) for who, each in ratios.items()}}
    met = results.record("neighbour", ratio, GOAL, {**sizes, "figures": figures}, limits=not refused)
    print(
        f"neighbour ratio={ratio:.2f} goal={GOAL:.2f} victim={ratios['victim']:.2f} "
        f"bystander={ratios['bystander']:.2f} victim_ms={of['victim among others, p99, ms']['median']:.0f} "
        f"bystander_ms={of['bystander among others, p99, ms']['median']:.0f} "
        f"made_s={of['seconds until all Apps are made']['median']:.0f} refused={refused:.0f}"
    )
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
