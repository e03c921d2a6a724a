"""How long does the deletion of everything take with decco running, compared with Kubernetes alone?

Everything is settled, then all Spaces are deleted: the real garbage collector and namespace controller remove what
belongs to them. For the bare legs decco is ended before. The leg ends when no Space, App or namespace is left.

    teardown ratio=<with decco / without> goal=1.10 decco=… raw=… writes=…        (seconds; writes of decco meanwhile)
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from contextlib import nullcontext

from bench import results
from bench.leg import cpu_seconds
from bench.load import APIS, MANAGED, SEEDING, Load, Obj, session
from bench.observer import following
from bench.settled import QUIET_SECONDS, running, stored, wait_until_settled
from testbed.progress import say

GOAL = 1.10
LIMIT_SECONDS = 3600.0
NAMESPACES = "/api/v1/namespaces"
FOLLOWED = (NAMESPACES, f"{APIS}/spaces", f"{APIS}/apps")


async def delete(load: Load) -> float:
    """Seconds until all Spaces, their namespaces and their Apps are gone."""
    left = {each["metadata"]["uid"] for each in (*load.spaces, *load.apps, *load.namespaces)}
    gone: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    gate = asyncio.Semaphore(SEEDING)

    def on_event(_: str, type_: str, obj: Obj, when: float) -> None:
        if type_ == "DELETED":
            left.discard(obj["metadata"]["uid"])
            if not left and not gone.done():
                gone.set_result(when)

    async with session(load.cp) as http, following(http, FOLLOWED, on_event):

        async def one(name: str) -> None:
            async with gate, http.delete(f"{APIS}/spaces/{name}") as answer:
                answer.raise_for_status()
                await answer.read()

        started = time.monotonic()
        await asyncio.gather(*(one(each["metadata"]["name"]) for each in load.spaces))
        return await asyncio.wait_for(gone, LIMIT_SECONDS) - started


def leg(who: str, given: argparse.Namespace) -> tuple[float, float, int]:
    """(seconds, CPU seconds of decco meanwhile, its writes)."""
    with stored(given.spaces, given.apps) as load:
        load.cp.restart_manager()  # its garbage collector does not know the new kinds yet
        with running(load.cp) as process:
            wait_until_settled(load.cp, process, given.spaces + len(load.apps))
        with running(load.cp) if who == "decco" else nullcontext() as started:
            if started is not None:
                time.sleep(QUIET_SECONDS)
                wait_until_settled(load.cp, started, 0)
            mark = load.cp.audit_mark()
            before = cpu_seconds(started.pid) if started is not None else 0.0
            seconds = asyncio.run(delete(load))
            spent = cpu_seconds(started.pid) - before if started is not None else 0.0
            left = load.cp.request("GET", f"{NAMESPACES}?{MANAGED}").json()["items"]
            if left:
                raise RuntimeError(f"{len(left)} namespaces are left")
            written = [
                event
                for event in load.cp.audit(since=mark, writes=True)
                if event.stage == "ResponseComplete" and event.resource != "events"
            ]
            kinds = Counter(f"{each.verb} {each.resource} {each.subresource} {each.code}" for each in written)
            say(f"{who}: writes {dict(kinds)}")
            return seconds, spent, len(written)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.teardown", description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", type=int, default=int(os.environ.get("SPACES", "500")))
    parser.add_argument("--apps", type=int, default=int(os.environ.get("APPS", "10000")))
    parser.add_argument("--repeats", type=int, default=int(os.environ.get("REPEATS", "5")))
    given = parser.parse_args()
    found: dict[str, list[float]] = {"decco": [], "raw": []}
    spent, writes, busy = [], [], []
    for turn in range(given.repeats):
        for who in results.rotated(["raw", "decco"], turn):
            busy.append(os.getloadavg()[0])
            seconds, cpu, written = leg(who, given)
            found[who].append(seconds)
            if who == "decco":
                spent.append(cpu)
                writes.append(written)
            say(f"{who}: {seconds:.1f} s, CPU of decco {cpu:.1f} s, {written} writes")
    of = {who: results.spread(values) for who, values in found.items()}
    ratio = of["decco"]["median"] / of["raw"]["median"]
    figures = {
        **{f"{who}, seconds": each for who, each in of.items()},
        "CPU of decco, seconds": results.spread(spent),
        "writes of decco": results.spread(writes),
        "load before": results.spread(busy),
    }
    sizes = {"spaces": given.spaces, "apps": given.apps, "repeats": given.repeats}
    met = results.record("teardown", ratio, GOAL, {**sizes, "figures": figures})
    print(f"{results.line('teardown', ratio, GOAL, of)} writes={max(writes)}")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
