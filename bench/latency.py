"""How long after an App is posted are all its children visible, compared with a bare client that follows Apps?

Everything is settled; Apps are posted one after the other, and an outsider's watches show when the last child of each
is there. Each contender has a fresh control plane in each round, and does it twice: while nothing else happens, and
while another client makes 300 writes a second that concern nobody. The bare client (bench/peers/follower.py) has the
children as texts, and writes them in two steps, because a workload must not run before its policy exists.

    latency ratio=<decco / raw, p99, the worse of both> goal=1.50 idle=… busy=… decco_idle_ms=… raw_idle_ms=…
        decco_busy_ms=… raw_busy_ms=…          (medians of the rounds' p99)
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from bench import results
from bench.contenders import Contender, decco
from bench.load import MANAGED, Load, Obj, apps, posted, send, session
from bench.noise import noise, noise_writes
from bench.observer import following
from bench.recipe import Recipe, record
from bench.settled import IN_FLIGHT, running, stored, wait_until_settled
from testbed.progress import say

GOAL = 1.50
LIMIT_SECONDS = 60.0
PAUSE_SECONDS = 0.05
"""Between two Apps, so that the status of the first does not meet the second."""
RAW = Contender("raw", "", (sys.executable, "-m", "bench.peers.follower"))


@dataclass
class Children:
    """When the children of each App were seen."""

    expected: int
    seen: dict[str, set[str]] = field(default_factory=dict)
    complete: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def on_event(self, collection: str, type_: str, obj: Obj, when: float) -> None:
        if type_ != "ADDED":
            return
        for owner in obj["metadata"].get("ownerReferences") or ():
            of = self.seen.setdefault(owner["uid"], set())
            of.add(f"{collection} {obj['metadata']['name']}")
            if len(of) == self.expected and owner["uid"] not in self.complete:
                self.complete[owner["uid"]] = when
                self.changed.set()

    async def wait(self, uid: str) -> float:
        """Raises TimeoutError."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while uid not in self.complete:
                self.changed.clear()
                await self.changed.wait()
        return self.complete[uid]


async def post(load: Load, collections: list[str], new: list[Obj]) -> list[float]:
    """Posts these Apps one after the other; ms for each."""
    children, found = Children(len(collections)), []
    async with session(load.cp) as http, following(http, set(collections), children.on_event, MANAGED):
        for app in new:
            started = time.monotonic()
            created = await send(http, posted(app))
            found.append(1000 * (await children.wait(created["metadata"]["uid"]) - started))
            await asyncio.sleep(PAUSE_SECONDS)
    return found


def leg(contender: Contender, given: argparse.Namespace, recipe: Recipe) -> dict[str, list[float]]:
    """ms of each App, while idle and while busy, and the writes per second that were made meanwhile."""
    collections = [re.sub("/namespaces/[^/]+", "", path.partition("?")[0]) for _, path, _ in recipe.app[:-1]]
    found: dict[str, list[float]] = {}
    with stored(given.spaces, given.apps) as load, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recipe"
        recipe.write(file, load)
        with running(load.cp, contender, file) as process:
            wait_until_settled(load.cp, process, given.spaces + given.apps)
            first = load.per_space
            for phase, rate in (("idle", 0.0), ("busy", given.rate)):
                each = -(-given.samples // given.spaces)
                new = [
                    app
                    for number in range(first, first + each)
                    for space in load.spaces
                    for app in apps(space["metadata"]["name"], 1, first=number)
                ][: given.samples]
                first += each
                with noise(load.cp, rate):
                    before, started = noise_writes(load.cp), time.monotonic()
                    found[phase] = asyncio.run(post(load, collections, new))
                    found["rate"] = [(noise_writes(load.cp) - before) / (time.monotonic() - started)]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.latency", description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", type=int, default=int(os.environ.get("SPACES", "50")))
    parser.add_argument("--apps", type=int, default=int(os.environ.get("APPS", "1000")))
    parser.add_argument("--samples", type=int, default=int(os.environ.get("SAMPLES", "200")))
    parser.add_argument("--rate", type=float, default=float(os.environ.get("RATE", "300")))
    parser.add_argument("--repeats", type=int, default=int(os.environ.get("REPEATS", "5")))
    given = parser.parse_args()
    recipe = record()
    contenders = {"decco": decco(IN_FLIGHT), "raw": RAW}
    p50: dict[str, list[float]] = {}
    p99: dict[str, list[float]] = {}
    rates, busy = [], []
    for turn in range(given.repeats):
        for who in results.rotated(list(contenders), turn):
            busy.append(os.getloadavg()[0])
            found = leg(contenders[who], given, recipe)
            rates += found.pop("rate")
            for phase, values in found.items():
                p50.setdefault(f"{who} {phase}", []).append(results.percentile(values, 0.5))
                p99.setdefault(f"{who} {phase}", []).append(results.percentile(values, 0.99))
            say(f"{who}: {orjson.dumps({k: [round(min(v)), round(max(v))] for k, v in found.items()}).decode()} ms")
    return report(given, p50, p99, {"writes per second": rates, "load before": busy})


def report(
    given: argparse.Namespace,
    p50: dict[str, list[float]],
    p99: dict[str, list[float]],
    beside: dict[str, list[float]],
) -> int:
    of = {name: results.spread(values) for name, values in p99.items()}
    ratios = {phase: of[f"decco {phase}"]["median"] / of[f"raw {phase}"]["median"] for phase in ("idle", "busy")}
    ratio = max(ratios.values())
    figures: dict[str, Any] = {f"{name}, p99, ms": each for name, each in of.items()}
    figures |= {f"{name}, p50, ms": results.spread(values) for name, values in p50.items()}
    figures |= {name: results.spread(values) for name, values in beside.items()}
    figures |= {f"ratio {phase}": round(each, 3) for phase, each in ratios.items()}
    sizes = {"spaces": given.spaces, "apps": given.apps, "samples": given.samples, "repeats": given.repeats}
    met = results.record("latency", ratio, GOAL, {**sizes, "figures": figures})
    medians = " ".join(f"{name.replace(' ', '_')}_ms={each['median']:.0f}" for name, each in of.items())
    print(f"latency ratio={ratio:.2f} goal={GOAL:.2f} idle={ratios['idle']:.2f} busy={ratios['busy']:.2f} {medians}")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
