"""``decco verify`` against real pods, a real edge and enforced NetworkPolicies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed import enforcer
from testbed.cluster import Cluster
from testbed.enforcer import Enforcer
from testbed.images import catalog
from tests.e2e.world import World

LABEL = "verify.decco.platform9.com/run"
KINDS = "spaces.decco.platform9.com,namespaces,clusterroles,clusterrolebindings"


class Verify:
    """Runs the command as a user does, with the settings of the suite's controller."""

    def __init__(self, cluster: Cluster, image: str, folder: Path) -> None:
        self.cluster = cluster
        self.image = image
        self.settings = folder / "settings.json"
        self.settings.write_text(json.dumps(cluster.settings_file))

    def command(self, *more: str) -> list[str]:
        words = [sys.executable, "-m", "decco.cli.main", "verify", f"--kubeconfig={self.cluster.kubeconfig}"]
        return [*words, f"--config={self.settings}", f"--image={self.image}", *more]

    def run(self, *more: str) -> tuple[int, dict[str, Any]]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("DECCO_")}
        argv = self.command("-o", "json", *more)
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False, timeout=280, env=environ)
        return done.returncode, json.loads(done.stdout) if done.stdout else {}

    def left(self) -> list[str]:
        """What runs have left in the cluster."""
        named = self.cluster.kubectl("get", KINDS, "-l", LABEL, "-o", "name").split()
        return named + self.cluster.kubectl("get", "secrets", "-n", "decco", "-l", LABEL, "-o", "name").split()


@pytest.fixture(scope="module")
def verify(world: World, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verify]:
    """With the policy enforcer."""
    node = cluster.node
    if node is None or (why := enforcer.missing()):
        pytest.skip("needs the testbed's own node" if node is None else f"no enforcer: {why}")
    image = catalog.busybox()
    node.load(image.archive)
    enforcing = Enforcer(node.cp.processes, node.cp.kubeconfig, [node.box.addresses.pods], netns=node.box.network)
    with enforcing:
        yield Verify(cluster, image.reference, tmp_path_factory.mktemp("verify"))


def failures(found: dict[str, Any]) -> list[str]:
    return [f"{each['name']}: {each['text']}" for each in found["probes"] if each["outcome"] == "failed"]


def test_all_promises_are_kept(verify: Verify) -> None:
    started = time.monotonic()
    status, found = verify.run()
    took = time.monotonic() - started
    assert failures(found) == []
    assert (status, found["left"]) == (0, [])
    print(f"\n{found['counts']} in {took:.0f} s")
    assert verify.left() == []
