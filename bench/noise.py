"""Writes that concern nobody: ConfigMaps and Services of another client, changed so many times a second.

A program of its own, so that it delays neither the observer nor what is observed: ``with noise(cp, 300):``. Half of the
writes are of a kind that decco watches.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from bench.observer import every
from bench.peers.arguments import tls
from testbed.controlplane import ControlPlane

NAMESPACE = "unrelated"
OBJECTS = 50
IN_FLIGHT = 64
_HEADERS = {"Content-Type": "application/merge-patch+json"}


@contextmanager
def noise(cp: ControlPlane, per_second: float) -> Iterator[None]:
    """Runs the program during the block, once its objects are there; 0: nothing."""
    if not per_second:
        yield
        return
    command = [sys.executable, "-m", "bench.noise", "--kubeconfig", str(cp.kubeconfig), "--rate", str(per_second)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        cp.processes.end_with_us(process)
        try:
            assert process.stdout is not None
            if process.stdout.readline() != b"begins\n":
                raise RuntimeError(f"the noise ended with {process.wait()}")
            yield
            if process.poll() is not None:
                raise RuntimeError(f"the noise ended with {process.poll()}")
        finally:
            process.kill()


def noise_writes(cp: ControlPlane) -> int:
    """So many have been answered since the API server started."""
    return sum(
        count
        for key, count in cp.write_counts().items()
        if key.verb == "PATCH" and key.resource in ("configmaps", "services")
    )


async def _write(kubeconfig: Path, rate: float) -> None:
    context, server = tls(kubeconfig)
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT, ssl=context)
    async with aiohttp.ClientSession(server, connector=connector) as http:
        await _create(http, "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        at = f"/api/v1/namespaces/{NAMESPACE}"
        for number in range(OBJECTS):
            meta = {"name": f"noise-{number}"}
            await _create(http, f"{at}/configmaps", {"metadata": meta, "data": {"a": "b"}})
            spec = {"clusterIP": "None", "ports": [{"port": 80}]}
            await _create(http, f"{at}/services", {"metadata": meta, "spec": spec})
        print("begins", flush=True)

        async def one(number: int) -> None:
            plural = ("configmaps", "services")[number % 2]
            body = {"metadata": {"annotations": {"noise": str(number)}}}
            url = f"{at}/{plural}/noise-{number // 2 % OBJECTS}"
            async with http.patch(url, json=body, headers=_HEADERS) as answer:
                answer.raise_for_status()
                await answer.read()

        async with asyncio.TaskGroup() as group:
            waiting: set[asyncio.Task[None]] = set()
            async for number in every(1 / rate):
                if len(waiting) < IN_FLIGHT:  # a server that cannot keep up does not get a backlog
                    waiting.add(task := group.create_task(one(number)))
                    task.add_done_callback(waiting.discard)


async def _create(http: aiohttp.ClientSession, path: str, body: object) -> None:
    async with http.post(path, json=body) as answer:
        if answer.status not in (201, 409):  # an earlier round has made it
            answer.raise_for_status()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--rate", type=float, required=True)
    given = parser.parse_args()
    asyncio.run(_write(given.kubeconfig, given.rate))
