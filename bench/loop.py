"""How long does a large cluster hold the event loop of a controller that fills its caches?

2,500 Spaces, 16,000 Apps and 4,000 shared Secrets come as first lists, then again, then all keys are queued
(the beginning of leading), then metrics are counted: what a standby and a new leader do. There is no API server; the
informers, stores, facts, indices and event handlers are decco's. A polling task measures the longest gap.

    loop first_ms=… relist_ms=… everything_ms=… counts_ms=…     (longest gaps; limit 100)
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import copy
import gc
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any

from decco.kube import watch as w
from decco.kube.informer import Informer
from decco.kube.store import Store
from decco.kube.workqueue import WorkQueue
from decco.objects import ANNOTATION_SHARE_WITH, API_VERSION, LABEL_SHARE, Key, Obj
from decco.reconcilers.caches import Caches
from decco.reconcilers.event_handlers import EventHandlers
from decco.reconcilers.kinds import KINDS
from decco.reconcilers.report import ready_counts
from decco.settings import Settings
from testbed.certificates import self_signed
from testbed.progress import say

MOST_MS = 100.0
CREATED = "2026-11-29T00:00:00Z"


def spaces(count: int, secrets: int) -> Iterable[Obj]:
    for n in range(count):
        spec = {"domainName": "example.net", "httpCertSecretName": f"shared-{n % secrets}", "project": f"p{n % 50}"}
        yield _obj("Space", f"s{n}", "", n, spec)


def apps(count: int, of_spaces: int, secrets: int) -> Iterable[Obj]:
    for n in range(count):
        container = {"name": "main", "image": "example.com/app:1", "ports": [{"containerPort": 8080}]}
        spec = {
            "pod": {"containers": [container]},
            "endpoints": [{"name": f"a{n}", "port": 8080, "certAndCaSecretName": f"shared-{n % secrets}"}],
            "tlsEgresses": [{"localPort": 5432, "endpoint": f"a{n - 1}", "spaceName": f"s{(n - 1) % of_spaces}"}],
        }
        yield _obj("App", f"a{n}", f"s{n % of_spaces}", n, spec)


def shared_secrets(count: int) -> Iterable[Obj]:
    certificate, key = (base64.b64encode(part).decode() for part in self_signed(["acme.example.net"]))
    for n in range(count):
        obj = _obj("Secret", f"shared-{n}", "decco", n, None)
        obj["metadata"] |= {"labels": {LABEL_SHARE: "true"}, "annotations": {ANNOTATION_SHARE_WITH: "*"}}
        yield {**obj, "type": "kubernetes.io/tls", "data": {"tls.crt": certificate, "tls.key": key}}


def _obj(kind: str, name: str, namespace: str, number: int, spec: Any) -> Obj:
    meta: Obj = {"name": name, "uid": f"{kind}-{number}", "resourceVersion": str(number + 1), "generation": 1}
    meta |= {"creationTimestamp": CREATED, **({"namespace": namespace} if namespace else {})}
    version = "v1" if kind == "Secret" else API_VERSION
    return {"apiVersion": version, "kind": kind, "metadata": meta, **({"spec": spec} if spec is not None else {})}


class Gap:
    """The longest time for which no other task could run, in CPU time: other programs of the machine do not count."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def measure(self) -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest, last = max(self.longest, now - last), now


async def gap_during(work: Callable[[], Awaitable[object]]) -> float:
    """The longest gap in ms while ``work`` runs."""
    gap = Gap()
    task = asyncio.create_task(gap.measure())
    await asyncio.sleep(0)
    await work()
    await asyncio.sleep(0)
    task.cancel()
    return 1000 * gap.longest


async def follow(store: Store, objects: list[Obj], version: int) -> None:
    """Plays one list to an informer, in the way of a watch that decoded its pages."""

    async def source() -> AsyncGenerator[w.WatchEvent, None]:
        yield w.Init()
        for number, obj in enumerate(objects):
            if number % 250 == 0:
                await asyncio.sleep(0)  # the next page
            yield w.InitApply(copy.deepcopy(obj))
        yield w.InitDone(str(version))
        await asyncio.Event().wait()

    informer = Informer(store, source)
    task = asyncio.create_task(informer.run())
    synced = asyncio.create_task(informer.synced.wait())
    await asyncio.wait({task, synced}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task  # raises what ended it
    task.cancel()


async def measure(of_spaces: int, of_apps: int, of_secrets: int) -> dict[str, float]:
    caches = Caches(Settings(), KINDS)
    event_handlers = EventHandlers(caches)
    event_handlers.connect()
    lists = [
        (caches.spaces, list(spaces(of_spaces, of_secrets))),
        (caches.apps, list(apps(of_apps, of_spaces, of_secrets))),
        (caches.sources, list(shared_secrets(of_secrets))),
    ]
    gc.collect()
    gc.freeze()  # what stands for the API server is not the controller's to collect
    found: dict[str, float] = {}

    async def fill(version: int) -> None:
        for store, objects in lists:
            await follow(store, objects, version)

    found["first"] = await gap_during(lambda: fill(10**6))
    for _, objects in lists:
        for obj in objects:
            obj["metadata"]["resourceVersion"] = str(10**6 + int(obj["metadata"]["resourceVersion"]))
    found["relist"] = await gap_during(lambda: fill(3 * 10**6))

    async def everything() -> None:
        queues: list[WorkQueue[Key]] = [WorkQueue(name, group=str) for name in ("space", "app")]
        await event_handlers.connect_queues(*queues)

    found["everything"] = await gap_during(everything)

    async def counts() -> None:
        for store in (caches.spaces, caches.apps):
            ready_counts(store)

    found["counts"] = await gap_during(counts)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.loop", description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", type=int, default=2500)
    parser.add_argument("--apps", type=int, default=16000)
    parser.add_argument("--secrets", type=int, default=4000)
    given = parser.parse_args()
    found = asyncio.run(measure(given.spaces, given.apps, given.secrets))
    for part, longest in found.items():
        if longest > MOST_MS:
            say(f"{part}: the event loop was blocked for {longest:.0f} ms, more than {MOST_MS:.0f}")
    print("loop " + " ".join(f"{part}_ms={longest:.1f}" for part, longest in found.items()))
    return int(max(found.values()) > MOST_MS)


if __name__ == "__main__":
    sys.exit(main())
