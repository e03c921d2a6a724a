"""How long does a renewed certificate take to all Spaces that have a copy of it, compared with bare PUTs?

One Secret is shared with all Spaces. It is replaced, and watches show when the last copy has the new content. The bare
client (bench/peers/batch.py) replaces the same copies with prepared requests while decco does not run.

    rotation ratio=<decco / raw> goal=1.15 decco=… raw=… stale=…        (seconds; limit: no stale copy at the end)
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson

from bench import results
from bench.contenders import HERE
from bench.leg import cpu_seconds
from bench.load import MANAGED, SECRET, Load, Obj, session, wait_until_quiet
from bench.observer import following
from bench.settled import IN_FLIGHT, QUIET_SECONDS, running, stored, wait_until_settled
from testbed.certificates import self_signed
from testbed.progress import say

GOAL = 1.15
LIMIT_SECONDS = 600.0
SECRETS = "/api/v1/secrets"
SOURCE = f"/api/v1/namespaces/decco/secrets/{SECRET}"


def renewed() -> dict[str, str]:
    """Another certificate for the same names."""
    certificate, key = (base64.b64encode(part).decode() for part in self_signed(["*.bench.example"]))
    return {"tls.crt": certificate, "tls.key": key, "ca.crt": certificate}


def copies(load: Load) -> list[Obj]:
    """All Secrets with the managed-by label; there is no other Secret than the shared one to copy."""
    return list(load.cp.request("GET", f"{SECRETS}?{MANAGED}", seconds=120).json()["items"])


async def seconds_until_all(load: Load, data: dict[str, str], begin: Callable[[], Awaitable[None]]) -> float:
    """From ``begin`` until as many copies as there are Spaces have this content, as a watch sees it."""
    done: set[str] = set()
    complete: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def on_event(_: str, type_: str, obj: Obj, when: float) -> None:
        if type_ != "DELETED" and obj["data"]["tls.crt"] == data["tls.crt"]:
            done.add(obj["metadata"]["namespace"])
            if len(done) == load.space_count and not complete.done():
                complete.set_result(when)

    async with session(load.cp) as http, following(http, [SECRETS], on_event, MANAGED):
        started = time.monotonic()
        await begin()
        return await asyncio.wait_for(complete, LIMIT_SECONDS) - started


def by_decco(load: Load, data: dict[str, str]) -> tuple[float, float, int]:
    """(seconds, CPU seconds of decco, stale copies at the end)."""

    async def begin() -> None:
        source = load.cp.request("GET", SOURCE).json()
        answer = await asyncio.to_thread(load.cp.request, "PUT", SOURCE, {**source, "data": data})
        if answer.status != 200:
            raise RuntimeError(f"the shared Secret was not replaced: {answer.status}")

    with running(load.cp) as process:
        time.sleep(QUIET_SECONDS)  # its first request may take that long
        wait_until_quiet(load.cp, QUIET_SECONDS)
        before = cpu_seconds(process.pid)
        seconds = asyncio.run(seconds_until_all(load, data, begin))
        wait_until_quiet(load.cp, QUIET_SECONDS)
        spent = cpu_seconds(process.pid) - before
        return seconds, spent, sum(each["data"] != data for each in copies(load))


def by_raw(load: Load, data: dict[str, str], folder: Path) -> float:
    """Seconds."""
    file = folder / "requests"
    lines = []
    for each in copies(load):
        path = f"/api/v1/namespaces/{each['metadata']['namespace']}/secrets/{each['metadata']['name']}"
        lines.append(["PUT", path, orjson.dumps({**each, "data": data}).decode()])
    file.write_bytes(orjson.dumps(lines))
    command = [sys.executable, "-m", "bench.peers.batch", "--kubeconfig", str(load.cp.kubeconfig)]
    command += ["--recipe", str(file), "--in-flight", str(IN_FLIGHT)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        load.cp.processes.end_with_us(process)
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None
        if stdout.readline() != b"ready\n":
            raise RuntimeError(f"the bare client ended with {process.wait()}")

        async def begin() -> None:
            stdin.write(b"\n")
            stdin.flush()

        try:
            return asyncio.run(seconds_until_all(load, data, begin))
        finally:
            process.kill()


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.rotation", description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", type=int, default=int(os.environ.get("SPACES", "500")))
    parser.add_argument("--apps", type=int, default=int(os.environ.get("APPS", "0")), help="of all Spaces together")
    parser.add_argument("--repeats", type=int, default=int(os.environ.get("REPEATS", "5")))
    given = parser.parse_args()
    found: dict[str, list[float]] = {"decco": [], "raw": []}
    stale, spent, busy = 0, [], []
    with stored(given.spaces, given.apps) as load, tempfile.TemporaryDirectory() as folder:
        with running(load.cp) as process:
            wait_until_settled(load.cp, process, given.spaces + len(load.apps))
        if len(copies(load)) != given.spaces:
            raise RuntimeError(f"{len(copies(load))} copies in {given.spaces} Spaces")
        for turn in range(given.repeats):
            busy.append(os.getloadavg()[0])
            for who in results.rotated(["raw", "decco"], turn):
                if who == "raw":
                    found[who].append(by_raw(load, renewed(), Path(folder)))
                    continue
                seconds, cpu, old = by_decco(load, renewed())
                found[who].append(seconds)
                spent.append(cpu)
                stale += old
            say(f"decco {found['decco'][-1]:.2f} s, CPU {spent[-1]:.2f} s, raw {found['raw'][-1]:.2f} s, stale {stale}")
    of = {who: results.spread(values) for who, values in found.items()}
    ratio = of["decco"]["median"] / of["raw"]["median"]
    figures = {
        **{f"{who}, seconds": each for who, each in of.items()},
        "CPU of decco, seconds": results.spread(spent),
        "stale copies": stale,
        "load before": results.spread(busy),
    }
    sizes = {"spaces": given.spaces, "apps": given.apps, "repeats": given.repeats}
    met = results.record("rotation", ratio, GOAL, {**sizes, "figures": figures}, limits=not stale)
    print(f"{results.line('rotation', ratio, GOAL, of)} stale={stale}")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
