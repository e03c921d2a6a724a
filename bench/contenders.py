"""The programs that are compared: decco, and the peers of bench/peers, each as a command line and an environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from testbed import cache, golang

HERE = Path(__file__).resolve().parent
PEERS_VENV = HERE.parent / ".venv-bench"
"""Made by the Makefile from requirements/bench.txt."""
IN_FLIGHT = (16, 32, 64)


@dataclass(frozen=True)
class Contender:
    """``argv`` without what every peer is started with."""

    name: str
    version: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, kubeconfig: Path, recipe: Path, in_flight: int) -> list[str]:
        return [*self.argv, "--kubeconfig", str(kubeconfig), "--recipe", str(recipe), "--in-flight", str(in_flight)]


@dataclass(frozen=True)
class Decco(Contender):
    """decco itself: it computes what the others read."""

    def command(self, kubeconfig: Path, recipe: Path, in_flight: int) -> list[str]:
        return [*self.argv, "--kubeconfig", str(kubeconfig)]


def decco(in_flight: int) -> Contender:
    environment = {
        "DECCO_CONTROLLER__REQUESTS_IN_FLIGHT": str(in_flight),
        "DECCO_CONTROLLER__APP_WORKERS": str(in_flight),
        "DECCO_CONTROLLER__SPACE_WORKERS": "8",
        "DECCO_EDGE__NAMESPACE": "edge",  # without it the policies would be less
        "DECCO_LEADER_ELECTION__ENABLED": "false",  # its renewals would be counted as work
    }
    argv = (sys.executable, "-m", "decco.cli.controller", "--metrics-bind-address", "0", "--log-level", "warning")
    return Decco("decco", _version("decco", sys.executable), argv, environment)


def peers() -> list[Contender]:
    """Builds what has to be built."""
    python = str(PEERS_VENV / "bin/python")
    return [
        Contender("raw", _version("aiohttp", sys.executable), (sys.executable, "-m", "bench.peers.raw")),
        Contender("kopf", _version("kopf", python), (python, "-m", "bench.peers.kopf_operator")),
        Contender(
            "kubernetes_asyncio", _version("kubernetes_asyncio", python), (python, "-m", "bench.peers.asyncio_operator")
        ),
        Contender("controller-runtime", _runtime_version(), (str(_controller_runtime()),)),
    ]


def _version(distribution: str, python: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _module() -> Path:
    return HERE / "peers/controller_runtime"


def _runtime_version() -> str:
    lines = (_module() / "go.mod").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.strip().startswith("sigs.k8s.io/controller-runtime "))


def _controller_runtime() -> Path:
    target = cache.programs("bench-controller-runtime", _runtime_version()) / "operator"
    with cache.locked("bench-controller-runtime"):
        if not target.exists() or target.stat().st_mtime < (_module() / "main.go").stat().st_mtime:
            target.parent.mkdir(parents=True, exist_ok=True)
            golang.build(_module(), ".", target)
    return target


def environment(contender: Contender) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DECCO_")}
    return {**kept, "PYTHONPATH": str(HERE.parent), **contender.environment}
