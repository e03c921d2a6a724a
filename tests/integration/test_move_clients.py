"""No request of clients that keep DNS answers for their TTL fails while a Space moves to and fro.

The clients are a model (tests/integration/moving_clients.py), and so is what they reach: a server at the address that
each cluster publishes, which answers while that cluster has listeners for the Space. Controllers, control planes and
BIND are the real ones. ``MOVE_REQUESTS`` sets how many requests there are at least.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from testbed.dns.bind import Bind
from testbed.dns.server import HOST
from tests.integration.by_hand import GATEWAY
from tests.integration.harness import own_control_plane
from tests.integration.moving import ZONE, Site, World, command, two_clusters
from tests.integration.moving_clients import edge
from tests.sample import full

EAST, WEST = "127.77.0.1", "127.77.0.2"
REQUESTS = int(os.environ.get("MOVE_REQUESTS", "200000"))
MISSING = Bind.missing()

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"MISSING {MISSING}")


class Edges:
    """What stands at the two addresses, in a thread of its own."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._name = world, name
        self._serving = {EAST: False, WEST: False}
        self._end = threading.Event()

    def __enter__(self) -> Edges:
        self._threads = [threading.Thread(target=self._run)]
        for site in (self._world.east, self._world.west):
            self._threads.append(threading.Thread(target=self._follow, args=(site,)))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _follow(self, site: Site) -> None:
        while not self._end.wait(0.1):
            space = site.cluster.space(self._name)
            gateway = site.cluster.get(f"{GATEWAY}/namespaces/{self._name}/gateways/decco")
            stays = space is not None and "deletionTimestamp" not in space["metadata"]
            self._serving[site.address] = (
                stays and gateway is not None and bool((gateway.get("status") or {}).get("addresses"))
            )

    def _run(self) -> None:
        async def serve() -> None:
            servers = [await edge(address, lambda address=address: self._serving[address]) for address in (EAST, WEST)]
            await asyncio.to_thread(self._end.wait)
            for server in servers:
                server.close()

        asyncio.run(serve())


@pytest.fixture(scope="module")
def world(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        own_control_plane() as other,
        two_clusters(control_plane, other, tmp_path_factory.mktemp("clients"), EAST, WEST) as world,
    ):
        yield world


@full
@pytest.mark.timeout(3000)
def test_no_request_fails_while_a_space_moves(world: World, name: str, tmp_path: Path) -> None:
    world.make(name, world.east)
    count: dict[str, Any] = {"requests": 0, "failed": []}
    moves = 0
    with Edges(world, name):
        time.sleep(1)
        words = [
            sys.executable,
            "-m",
            "tests.integration.moving_clients",
            f"{name}.{ZONE}",
            HOST,
            str(world.server.port),
        ]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as clients:
            assert clients.stdout is not None
            assert clients.stdin is not None
            here, there = world.east, world.west
            lines = clients.stdout

            def read() -> None:
                for line in lines:
                    count.update(json.loads(line))

            reader = threading.Thread(target=read)
            reader.start()
            try:
                while count["requests"] < REQUESTS and not count["failed"]:
                    asyncio.run(command(here, there, name))
                    here, there = there, here
                    moves += 1
                    (tmp_path / "count").write_text(json.dumps(count))
            finally:
                clients.stdin.close()
                reader.join()
    shown = {key: value for key, value in count.items() if key != "failed"}
    print(f"\nmove: {len(count['failed'])} failed of {count['requests']} requests, {moves} moves: {shown}")
    assert count["failed"] == []
    assert count["requests"] >= REQUESTS
    assert clients.returncode == 0
    world.remove(name)
