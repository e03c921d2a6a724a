"""One leg: a contender does the work on a fresh control plane, observed from outside in the same way for all."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from bench.contenders import Contender, environment
from bench.load import APIS, MANAGER_FLAGS, Load, session, wait_until_quiet
from bench.peers.recipe import Recipe as Filled
from bench.recipe import Recipe
from bench.same import compare, status_text, statuses
from testbed.controlplane import ControlPlane

LIMIT_SECONDS = float(os.environ.get("LIMIT_SECONDS", "900"))
SETTLING_SECONDS = 3.0
"""Between the last status and the comparison: who writes more than the recipe is found out."""
TICKS = os.sysconf("SC_CLK_TCK")


class LegFailed(RuntimeError):
    """The contender ended, did not finish in time, or has done other work."""


@dataclass(frozen=True)
class Leg:
    """``seconds`` from the start of the program until the last Space or App has the status of the recipe; CPU in
    seconds up to then. Memory: the peak up to then, and a little later.
    """

    contender: str
    in_flight: int
    seconds: float
    cpu: float
    cpu_apiserver: float
    cpu_etcd: float
    peak_mb: float
    settled_mb: float
    requests: dict[str, int]
    """By verb, as the API server counted them, ours to observe among them; watches count when they end."""
    bytes_sent: int
    bytes_received: int
    """On the contender's open connections, with TLS."""
    load: float
    """Load of the machine (one minute) before the leg."""
    digest: str
    """Of all children and statuses, see bench/same.py."""


def run(contender: Contender, in_flight: int, spaces: int, apps: int, recipe: Recipe) -> Leg:
    """Raises LegFailed."""
    busy = os.getloadavg()[0]
    with (
        ControlPlane(audit=False, manager_flags=MANAGER_FLAGS) as cp,
        tempfile.TemporaryDirectory() as folder,
        (Path(folder) / "log").open("w+b") as log,
    ):
        cp.install_gateway_api()
        cp.install_decco_crds()
        load = Load(cp, spaces, apps)
        load.seed()
        wait_until_quiet(cp)
        file = Path(folder) / "recipe"
        recipe.write(file, load)
        filled = Filled(file)
        wanted = statuses(filled, load)
        versions = {
            plural: cp.request("GET", f"{APIS}/{plural}?limit=1").json()["metadata"]["resourceVersion"]
            for plural in ("spaces", "apps")
        }
        counted = cp.request_counts()
        servers = (cp.apiserver_pid, cp.etcd_pid)
        before = [cpu_seconds(pid) for pid in servers]
        started = time.monotonic()
        command = contender.command(cp.controller_kubeconfig, file, in_flight)
        process = subprocess.Popen(command, env=environment(contender), stdout=log, stderr=log, start_new_session=True)
        cp.processes.end_with_us(process)
        try:
            finished = asyncio.run(_finished(cp, versions, wanted, process))
            cpu = cpu_seconds(process.pid)
            apiserver, etcd = (cpu_seconds(pid) - then for pid, then in zip(servers, before, strict=True))
            requests: Counter[str] = Counter()
            for key, count in (cp.request_counts() - counted).items():
                requests[key.verb] += count
            peak = memory_mb(process.pid, "VmHWM")
            time.sleep(SETTLING_SECONDS)
            settled = memory_mb(process.pid, "VmRSS")
            sent, received = _bytes(process.pid)
            digest = compare(cp, filled, load)
        except RuntimeError as error:
            log.seek(0)
            said = log.read()[-3000:].decode(errors="replace")
            raise LegFailed(f"{contender.name}: {error}; it said:\n{said}") from error
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return Leg(
            contender=contender.name,
            in_flight=in_flight,
            seconds=finished - started,
            cpu=cpu,
            cpu_apiserver=apiserver,
            cpu_etcd=etcd,
            peak_mb=peak,
            settled_mb=settled,
            requests=dict(sorted(requests.items())),
            bytes_sent=sent,
            bytes_received=received,
            load=busy,
            digest=digest,
        )


async def _finished(
    cp: ControlPlane, versions: dict[str, str], wanted: dict[str, bytes], process: subprocess.Popen[bytes]
) -> float:
    """The time at which the last Space or App got the status of the recipe, seen by watches from these versions on.

    All children are written before it; an earlier status does not count.
    """
    done: set[str] = set()
    last = time.monotonic()
    complete = asyncio.Event()

    async def follow(plural: str) -> None:
        nonlocal last
        async with session(cp) as http:
            url = f"{APIS}/{plural}?watch=1&resourceVersion={versions[plural]}"
            async with http.get(url, timeout=aiohttp.ClientTimeout(LIMIT_SECONDS)) as answer:
                answer.raise_for_status()
                async for text in answer.content:
                    obj = orjson.loads(text)["object"]
                    uid = obj["metadata"]["uid"]
                    if status_text(obj.get("status")) != wanted[uid]:
                        done.discard(uid)
                    elif uid not in done:
                        done.add(uid)
                        last = time.monotonic()
                        if len(done) >= len(wanted):
                            complete.set()
        raise LegFailed("the watch ended")

    async def patience() -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while process.poll() is None and time.monotonic() < deadline:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.5)
        raise LegFailed(f"{len(done)} of {len(wanted)} are as in the recipe; it ended with {process.poll()}")

    tasks: list[asyncio.Task[None]] = [
        asyncio.create_task(each) for each in (follow("spaces"), follow("apps"), patience())
    ]
    waiting = asyncio.create_task(complete.wait())
    everything: list[asyncio.Task[Any]] = [waiting, *tasks]
    try:
        await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for each in everything:
            each.cancel()
        await asyncio.gather(*everything, return_exceptions=True)
    return last


def cpu_seconds(pid: int) -> float:
    """Those of ended children included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(each) for each in fields[11:15]) / TICKS


def memory_mb(pid: int, which: str) -> float:
    """``which``: VmHWM or VmRSS."""
    found = re.search(rf"{which}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _bytes(pid: int) -> tuple[int, int]:
    """(sent, received) on the TCP connections that the process has open; (0, 0) without the program ``ss``."""
    try:
        text = subprocess.run(["ss", "-tinpHO"], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        return 0, 0
    ours = [line for line in text.splitlines() if f"pid={pid}," in line]
    sent, received = (
        sum(int(found[1]) for line in ours if (found := re.search(rf"{name}:(\d+)", line)))
        for name in ("bytes_sent", "bytes_received")
    )
    return sent, received
