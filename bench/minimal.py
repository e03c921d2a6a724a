"""How many requests does an edit of one field cost, compared with the objects that differ after it?

Forty edits, one after the other, each of one field of a settled App. All children and statuses are compared before and
after each, but for what the server itself counts (versions, generation, managedFields).

    minimal ratio=<writes / objects that differ> goal=1.00 writes=… objects=… reads=…      (limit: no read)
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from bench import results
from bench.load import APIS, MANAGED, wait_until_quiet
from bench.settled import READS, Settled, settled
from testbed.progress import say

GOAL = 1.00
EDITS = 40
QUIET_SECONDS = 1.0
LIMIT_SECONDS = 60.0
_COUNTED = ("managedFields", "resourceVersion", "generation")
_KINDS = (
    "/api/v1/services",
    "/apis/apps/v1/deployments",
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/gateway.networking.k8s.io/v1/httproutes",
)
_CONTAINER = "/spec/pod/containers/0"


def edits() -> Iterator[tuple[str, Any]]:
    """(JSON pointer, new value), without an end."""
    number = 0
    while True:
        number += 1
        yield f"{_CONTAINER}/image", f"registry.example/app:edited-{number}"
        yield f"{_CONTAINER}/env/{number % 10}/value", f"edited-{number}"
        yield f"{_CONTAINER}/resources/requests/memory", f"{32 + number}Mi"
        yield f"{_CONTAINER}/ports/0/containerPort", 8080 + number
        yield "/spec/httpUrlPath", f"/edited-{number}"
        yield "/spec/initialReplicas", 1 + number % 3
        yield f"{_CONTAINER}/args", [f"--edited={number}"]
        yield "/spec/replicas", 1 + number % 3


def objects(here: Settled, namespace: str) -> dict[str, Any]:
    """Content by address: children, and the statuses of the Apps."""
    found = {}
    for path in _KINDS:
        group, _, plural = path.rpartition("/")
        for obj in here.cp.request("GET", f"{group}/namespaces/{namespace}/{plural}?{MANAGED}").json()["items"]:
            meta = {name: value for name, value in obj["metadata"].items() if name not in _COUNTED}
            found[f"{path} {meta['name']}"] = {**obj, "metadata": meta}
    for obj in here.cp.request("GET", f"{APIS}/namespaces/{namespace}/apps").json()["items"]:
        found[f"status of {obj['metadata']['name']}"] = obj.get("status")
    return found


def wait_until_served(here: Settled, space: str, app: str, generation: int) -> None:
    """Returns when the App's status is about this generation."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        live = here.cp.request("GET", f"{APIS}/namespaces/{space}/apps/{app}").json()
        if live["status"]["observedGeneration"] == generation:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"decco did not report on generation {generation} of {app}")
        time.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.minimal", description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", type=int, default=int(os.environ.get("SPACES", "10")))
    parser.add_argument("--apps", type=int, default=int(os.environ.get("APPS", "100")))
    given = parser.parse_args()
    writes = reads = different = 0
    space, source = "tenant-0000", edits()
    headers = {"Content-Type": "application/json-patch+json"}
    with settled(given.spaces, given.apps) as here:
        for number in range(EDITS):
            path, value = next(source)
            app = f"app-{number % here.load.per_space:03d}"
            before, mark = objects(here, space), here.cp.audit_mark()
            patch = [{"op": "add", "path": path, "value": value}]
            answer = here.cp.request("PATCH", f"{APIS}/namespaces/{space}/apps/{app}", patch, headers=headers)
            if answer.status != 200:
                raise RuntimeError(f"the edit of {path} was refused: {answer.body[:300]!r}")
            wait_until_served(here, space, app, answer.json()["metadata"]["generation"])
            wait_until_quiet(here.cp, QUIET_SECONDS)
            requests, after = here.requests(mark), objects(here, space)
            read = sum(count for (verb, _), count in requests.items() if verb in READS)
            written = requests.total() - read
            changed = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
            reads, writes, different = reads + read, writes + written, different + len(changed)
            if read or written != len(changed):
                say(f"{path} of {app}: {dict(requests)} for {sorted(changed)}")
    ratio = writes / different
    figures = {"edits": EDITS, "writes": writes, "objects that differ": different, "reads": reads}
    results.record("minimal", ratio, GOAL, {"spaces": given.spaces, "apps": given.apps, "figures": figures})
    print(f"minimal ratio={ratio:.2f} goal={GOAL:.2f} writes={writes} objects={different} reads={reads}")
    return int(ratio > GOAL or reads > 0)


if __name__ == "__main__":
    sys.exit(main())
