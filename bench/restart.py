"""How long does a restart take with everything settled, until an edit made at the start has reached its Deployment?

decco settles all Apps, and is killed. Then, several times: a bare client reads the same lists as decco, each in one
piece and without the start of a program, and decco is started, an App is edited at once, and decco is killed when the
edit is in the Deployment and nothing more happens.

    restart ratio=<decco / raw lists> goal=1.30 raw=… decco=…      (limits: 5 s, 1 LIST and 1 WATCH for each kind,
                                                                no write but those of the edit)
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from bench import results
from bench.contenders import decco, environment
from bench.leg import memory_mb
from bench.load import APIS, MANAGER_FLAGS, Load, session, wait_until_quiet
from testbed.controlplane import ControlPlane
from testbed.progress import say

GOAL = 1.30
MOST_SECONDS = 5.0
LIMIT_SECONDS = 120.0
QUIET_SECONDS = 3.0
IN_FLIGHT = 32
_IGNORED = ("events",)


def lists(cp: ControlPlane, paths: list[str]) -> float:
    """Seconds in which a bare client has read and decoded these lists, side by side, from the server's cache."""

    async def read() -> None:
        async with session(cp) as http:

            async def one(path: str) -> None:
                async with http.get(path, params={"resourceVersion": "0"}) as answer:
                    answer.raise_for_status()
                    orjson.loads(await answer.read())

            await asyncio.gather(*(one(path) for path in paths))

    started = time.monotonic()
    asyncio.run(read())
    return time.monotonic() - started


def restart(cp: ControlPlane, log: Path, image: str) -> tuple[float, float, Counter[tuple[str, str]], list[str]]:
    """(seconds until the edit is in the Deployment, MB, requests by verb and resource, paths of the lists)."""
    mark = cp.audit_mark()
    contender = decco(IN_FLIGHT)
    with log.open("ab") as output:
        started = time.monotonic()
        command = contender.command(cp.controller_kubeconfig, Path(), IN_FLIGHT)
        process = subprocess.Popen(
            command, env=environment(contender), stdout=output, stderr=output, start_new_session=True
        )
    cp.processes.end_with_us(process)
    try:
        patch = [{"op": "replace", "path": "/spec/pod/containers/0/image", "value": image}]
        headers = {"Content-Type": "application/json-patch+json"}
        space = "tenant-0000"
        answer = cp.request("PATCH", f"{APIS}/namespaces/{space}/apps/app-000", patch, headers=headers)
        if answer.status != 200:
            raise RuntimeError(f"the edit was refused: {answer.body[:300]!r}")
        path = f"/apis/apps/v1/namespaces/{space}/deployments/app-000"
        while image.encode() not in cp.request("GET", path).body:
            if process.poll() is not None or time.monotonic() - started > LIMIT_SECONDS:
                raise RuntimeError(f"decco did not serve the edit: {log.read_text()[-2000:]}")
            time.sleep(0.02)
        seconds = time.monotonic() - started
        wait_until_quiet(cp, QUIET_SECONDS)
        resident = memory_mb(process.pid, "VmRSS")
    finally:
        process.kill()
        process.wait()
    requests: Counter[tuple[str, str]] = Counter()
    paths = []
    for event in cp.audit(since=mark):
        # A watch has two entries, and the second comes when it ends.
        last = "ResponseStarted" if event.verb == "watch" else "ResponseComplete"
        if "continue=" in event.uri:
            continue  # a further page of the same list
        if event.resource and event.resource not in _IGNORED and event.stage == last:
            requests[(event.verb, f"{event.group}/{event.resource}/{event.subresource}")] += 1
            if event.verb == "list" and "fieldSelector" not in event.uri:
                paths.append(urlsplit(event.uri).path)
    return seconds, resident, requests, sorted(set(paths))


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.restart", description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", type=int, default=int(os.environ.get("SPACES", "500")))
    parser.add_argument("--apps", type=int, default=int(os.environ.get("APPS", "10000")))
    parser.add_argument("--repeats", type=int, default=int(os.environ.get("REPEATS", "5")))
    given = parser.parse_args()
    with ControlPlane(manager_flags=MANAGER_FLAGS) as cp, tempfile.TemporaryDirectory() as folder:
        cp.install_gateway_api()
        cp.install_decco_crds()
        Load(cp, given.spaces, given.apps).seed()
        log = Path(folder) / "log"
        found: dict[str, list[float]] = {"raw": [], "decco": []}
        resident, busy, wrong = [], [], []
        _, _, _, paths = restart(cp, log, "registry.example/app:first")  # settles everything
        for turn in range(given.repeats):
            busy.append(os.getloadavg()[0])
            for who in results.rotated(["raw", "decco"], turn):
                if who == "raw":
                    found["raw"].append(lists(cp, paths))
                    continue
                seconds, megabytes, requests, paths = restart(cp, log, f"registry.example/app:{turn}")
                found["decco"].append(seconds)
                resident.append(megabytes)
                wrong += _surplus(requests, given.spaces)
            say(f"lists {found['raw'][-1]:.2f} s, decco {found['decco'][-1]:.2f} s, {resident[-1]:.0f} MB, {requests}")
    of = {who: results.spread(each) for who, each in found.items()}
    ratio = of["decco"]["median"] / of["raw"]["median"]
    figures = {
        **{f"{who}, seconds": each for who, each in of.items()},
        "resident MB": results.spread(resident),
        "load before": results.spread(busy),
        "requests too many": float(len(wrong)),
    }
    sizes = {"spaces": given.spaces, "apps": given.apps, "repeats": given.repeats}
    results.record("restart", ratio, GOAL, {**sizes, "figures": figures})
    for each in wrong:
        say(f"too many: {each}")
    print(results.line("restart", ratio, GOAL, of))
    return int(ratio > GOAL or of["decco"]["median"] > MOST_SECONDS or bool(wrong))


def _surplus(requests: Counter[tuple[str, str]], spaces: int) -> list[str]:
    """What is more than one LIST and WATCH for each kind, and one write of the Deployment and of the App's status.

    Secrets are listed in each Space's namespace, since decco may not read others.
    """
    found = []
    for (verb, resource), count in requests.items():
        allowed = 1 if verb in ("list", "watch") else 0
        if (verb, resource) == ("list", "/secrets/"):
            allowed += spaces
        if verb == "update" and resource in ("apps/deployments/", "decco.platform9.com/apps/status"):
            allowed = 1
        if count > allowed and (verb != "get" or resource.endswith("secrets/")):
            found.append(f"{verb} {resource}: {count}")
    return found


if __name__ == "__main__":
    sys.exit(main())
