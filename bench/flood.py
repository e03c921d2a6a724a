"""Does an edit wait behind thousands of objects that are not made yet?

Some Apps are settled, and decco is ended. Many more are stored, and decco is started: while it makes them, the first
ones are edited, and watches show when each edit is in its Deployment, the only child that it changes. Then all is
settled, and the same edits are made again.

    flood ratio=<p99 in the flood / p99 unloaded> goal=2.00 flood_ms=… unloaded_ms=…       (limit: 60 ms)
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from dataclasses import dataclass, field
from math import inf

from bench import results
from bench.contenders import decco
from bench.edits import DEPLOYMENTS, Edit, Editor
from bench.load import MANAGED, Load, Obj, session, wait_until_quiet
from bench.observer import every, following
from bench.settled import IN_FLIGHT, QUIET_SECONDS, running, stored, wait_until_settled
from testbed.progress import say

GOAL = 2.00
MOST_MS = 60.0
LIMIT_SECONDS = 900.0
EDITED = 20
"""Apps, in as many Spaces as there are; each is edited again only after all others."""


@dataclass
class Flood:
    """How much of it is made."""

    apps: int
    made: set[tuple[str, str]] = field(default_factory=set)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    def on_event(self, collection: str, type_: str, obj: Obj, _: float) -> None:
        if collection == DEPLOYMENTS and type_ == "ADDED":
            self.made.add((obj["metadata"]["namespace"], obj["metadata"]["name"]))
            self.begun.set()

    @property
    def over(self) -> bool:
        return len(self.made) >= 0.95 * self.apps


async def edits(load: Load, pause: float, flood: Flood | None, most: float) -> list[Edit]:
    """Edits at this pace, each without waiting for the one before, until the flood is over."""
    async with session(load.cp) as http:
        editor = Editor(http)

        def on_event(collection: str, type_: str, obj: Obj, when: float) -> None:
            editor.on_event(collection, type_, obj, when)
            if flood is not None:
                flood.on_event(collection, type_, obj, when)

        names = [
            (space["metadata"]["name"], f"app-{number:03d}")
            for number in range(-(-EDITED // load.space_count))
            for space in load.spaces
        ][:EDITED]
        async with following(http, [DEPLOYMENTS], on_event, MANAGED), asyncio.timeout(LIMIT_SECONDS):
            if flood is not None:
                await flood.begun.wait()
            tasks = [
                asyncio.create_task(editor.edit(*names[number % len(names)]))
                async for number in every(pause, lambda: flood is not None and flood.over, most)
            ]
            return await asyncio.gather(*tasks)


def round_of(given: argparse.Namespace) -> dict[str, list[Edit]]:
    settled = max(1, EDITED // given.spaces) * given.spaces
    with stored(given.spaces, settled) as load:
        with running(load.cp) as process:
            wait_until_settled(load.cp, process, given.spaces + settled)
        load.add_apps(given.apps)
        flood = Flood(given.apps // given.spaces * given.spaces)
        found: dict[str, list[Edit]] = {}
        with running(load.cp, decco(given.in_flight)):
            found["flood"] = asyncio.run(edits(load, given.pause, flood, most=inf))
            wait_until_quiet(load.cp, QUIET_SECONDS)
            found["unloaded"] = asyncio.run(edits(load, given.pause, None, most=max(100, len(found["flood"]))))
        return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.flood", description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", type=int, default=int(os.environ.get("SPACES", "500")))
    parser.add_argument("--apps", type=int, default=int(os.environ.get("APPS", "10000")))
    parser.add_argument("--pause", type=float, default=float(os.environ.get("PAUSE", "0.1")), help="between two edits")
    parser.add_argument("--in-flight", type=int, default=int(os.environ.get("IN_FLIGHT", str(IN_FLIGHT))))
    parser.add_argument("--repeats", type=int, default=int(os.environ.get("REPEATS", "5")))
    given = parser.parse_args()
    rounds, busy = [], []
    for _ in range(given.repeats):
        busy.append(os.getloadavg()[0])
        rounds.append(round_of(given))
        counts = {phase: len(values) for phase, values in rounds[-1].items()}
        worst = {phase: round(1000 * max(each.written for each in values)) for phase, values in rounds[-1].items()}
        say(f"edits: {counts}, slowest: {worst} ms")

    def spread(phase: str, share: float, what: str) -> dict[str, float]:
        values = ([1000 * getattr(each, what) for each in found[phase]] for found in rounds)
        return results.spread([results.percentile(each, share) for each in values])

    p99 = {phase: spread(phase, 0.99, "written") for phase in ("flood", "unloaded")}
    ratio = p99["flood"]["median"] / p99["unloaded"]["median"]
    figures = {
        **{f"{phase}, p99, ms": each for phase, each in p99.items()},
        **{f"{phase}, p50, ms": spread(phase, 0.5, "written") for phase in p99},
        **{
            f"{phase}, {name} of the edit's own request, ms": spread(phase, share, "answered")
            for phase in p99
            for name, share in (("p99", 0.99), ("p50", 0.5))
        },
        "edits in the flood": results.spread([len(found["flood"]) for found in rounds]),
        "load before": results.spread(busy),
    }
    sizes = {"spaces": given.spaces, "apps": given.apps, "in flight": given.in_flight, "repeats": given.repeats}
    met = results.record("flood", ratio, GOAL, {**sizes, "figures": figures}, limits=p99["flood"]["median"] <= MOST_MS)
    print(
        f"flood ratio={ratio:.2f} goal={GOAL:.2f} flood_ms={p99['flood']['median']:.0f} "
        f"unloaded_ms={p99['unloaded']['median']:.0f} most_ms={MOST_MS:.0f}"
    )
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
