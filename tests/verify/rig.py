"""A cluster in which decco keeps its promises, whose parts can be sabotaged, and the command as a user runs it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testbed import cluster as clusters
from testbed.certmanager import CertManager
from testbed.cluster import Backend, Cluster
from testbed.controller import Controller
from testbed.dns.bind import Bind
from testbed.dns.server import HOST, KEY_NAME, KEY_SECRET
from testbed.enforcer import Enforcer
from testbed.images import catalog
from testbed.node.config import BOX
from tests.issuers.world import documented

DOMAIN = "verify.decco.test"
LABEL = "verify.decco.platform9.com/run"
KINDS = "spaces.decco.platform9.com,namespaces,clusterroles,clusterrolebindings"
SECONDS = 1500
"""Limit of a run, also on a busy machine."""
PROMISED_SECONDS = 180
"""What docs promise for a run, whatever it finds."""


@dataclass
class Rig:
    """What the tests break and what they run."""

    cluster: Cluster
    names: Bind
    folder: Path
    image: str
    enforcer: Enforcer

    @property
    def settings(self) -> dict[str, str]:
        """Of the controller, as environment variables."""
        provider = {
            "type": "rfc2136",
            "host": HOST,
            "port": self.names.port,
            "tsigKeyName": KEY_NAME,
            "tsigSecretFile": str(self.folder / "tsig.key"),
            "zones": [DOMAIN],
        }
        # A server that answers again is tried soon, so that a Space with records does not stay for minutes.
        soon = {"DECCO_DNS__RETRY_MAX_SECONDS": "3"}
        more = {"DECCO_DNS__PROVIDERS": json.dumps([provider]), "DECCO_ISOLATION__SANDBOXES": json.dumps([BOX])}
        return {**self.cluster.settings, **soon, **more}

    @contextlib.contextmanager
    def controller(self, more: Mapping[str, str] | None = None) -> Iterator[Controller]:
        settings = {**self.settings, **(more or {})}
        with Controller(self.cluster.controller_kubeconfig, self.folder / "decco.log", settings) as running:
            yield running

    def command(self, *more: str, settings: Mapping[str, str] | None = None) -> tuple[list[str], dict[str, str]]:
        """Arguments and environment: the controller is a process of this machine, so its settings are given."""
        given = {**self.settings, **(settings or {})}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DECCO_")}
        argv = [sys.executable, "-m", "decco.cli.main", "verify", f"--kubeconfig={self.cluster.kubeconfig}"]
        return [*argv, f"--image={self.image}", *more], {**kept, **given}

    def run(self, *more: str, settings: Mapping[str, str] | None = None) -> Run:
        argv, environ = self.command("-o", "json", *more, settings=settings)
        started = time.monotonic()
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=SECONDS, env=environ)
        took = time.monotonic() - started
        assert done.stdout or done.returncode == 2, f"status {done.returncode}: {done.stderr[-3000:]}"
        return Run(done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr, took)

    @contextlib.contextmanager
    def started(self, *more: str) -> Iterator[subprocess.Popen[str]]:
        """The command under way; killed at the end."""
        argv, environ = self.command(*more)
        with (self.folder / "verify.log").open("w") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, text=True, env=environ)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def left(self) -> list[str]:
        """What runs have left in the cluster."""
        named = self.cluster.kubectl("get", KINDS, "-l", LABEL, "-o", "name").split()
        return named + self.cluster.kubectl("get", "secrets", "-n", "decco", "-l", LABEL, "-o", "name").split()


@dataclass(frozen=True)
class Run:
    """``found`` is the report as JSON."""

    status: int
    found: dict[str, Any]
    progress: str
    seconds: float

    def named(self, outcome: str) -> dict[str, dict[str, Any]]:
        """Name -> data of the probes that ended so."""
        return {each["name"]: each for each in self.found["probes"] if each["outcome"] == outcome}

    @property
    def failures(self) -> list[str]:
        return [f"{name} ({each['code']}): {each['text']}" for name, each in self.named("failed").items()]


@contextlib.contextmanager
def rig(backend: Backend) -> Iterator[Rig]:
    """A cluster with everything but the controller."""
    image = catalog.busybox()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="decco-verify-")))
        names = stack.enter_context(Bind())
        names.create_zone(DOMAIN)
        (folder / "tsig.key").write_text(KEY_SECRET)
        cluster = stack.enter_context(clusters.own(backend=backend))
        node = cluster.node
        assert node is not None
        node.load(image.archive)
        pods = [node.box.addresses.pods]
        runtime_class = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": BOX}}
        cluster.kubectl("create", "-f", "-", input=json.dumps({**runtime_class, "handler": BOX}))
        stack.enter_context(CertManager(node.cp, f"{HOST}:{names.port}", gateways=False))
        cluster.kubectl("create", "-f", "-", input=yaml.safe_dump_all(documented("cert-manager-in-spaces")))
        enforcer = Enforcer(node.cp.processes, node.cp.kubeconfig, pods, netns=node.box.network)
        stack.enter_context(enforcer)
        yield Rig(cluster, names, folder, image.reference, enforcer)
