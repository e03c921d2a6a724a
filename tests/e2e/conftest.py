"""One cluster with a node, an edge and a controller for the whole suite; or ``E2E_KUBECONFIG``.

``E2E_BACKEND`` chooses the edge and decco's routes, see ``testbed.cluster.Backend``; the tests are the same.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from testbed import cluster as clusters
from testbed.cluster import Backend, Cluster
from testbed.found import AssetsMissing
from testbed.images import programs
from testbed.node import traefik
from tests.e2e.world import World

READY_SECONDS = 30.0
BACKEND = Backend(os.environ.get("E2E_BACKEND", Backend.GATEWAY))
collect_ignore = [] if BACKEND is Backend.GATEWAYS else ["test_own_gateway.py"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    given = os.environ.get("E2E_KUBECONFIG")
    started = time.monotonic()
    try:
        context = clusters.given(Path(given)) if given else _own()
        with context as found:
            print(f"\ncluster with node and edge ready in {time.monotonic() - started:.1f} s")
            yield found
    except AssetsMissing as error:
        if os.environ.get("E2E") == "required":
            raise
        warnings.warn(pytest.PytestWarning(f"NO END-TO-END TESTS: {error}"), stacklevel=1)
        pytest.skip(f"no end-to-end tests: {error}")


def _own() -> AbstractContextManager[Cluster]:
    """Traefik takes some minutes to build: in a run that may do without, it is used only if that was done before."""
    if BACKEND is Backend.INGRESS and "E2E" not in os.environ and not traefik.PROGRAM.path.exists():
        raise AssetsMissing("Traefik is not built yet; `make e2e-routing` does that")
    return clusters.own(backend=BACKEND)


class Controller:
    """The real ``decco-controller`` outside of the cluster."""

    def __init__(self, cluster: Cluster, log: Path) -> None:
        self._cluster = cluster
        self._log = log
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"

    def __enter__(self) -> Controller:
        flags = ["--kubeconfig", str(self._cluster.controller_kubeconfig), "--metrics-bind-address", self.address]
        argv = [sys.executable, "-m", "decco.cli.controller", *flags, "--log-level", "debug"]
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("DECCO_") or name == "DECCO_CACHE"
        }
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, env={**kept, **self._cluster.settings})
        deadline = time.monotonic() + READY_SECONDS
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                pytest.fail(f"decco-controller did not become ready; it said:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture(scope="session")
def world(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Controller(cluster, tmp_path_factory.mktemp("controller") / "decco.log"):
        yield World(cluster)


@pytest.fixture(scope="session")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The echo program as a client on this machine."""
    target = tmp_path_factory.mktemp("asker") / "echo"
    programs.build("echo", target)
    return target
