"""Nodes that run nothing, in availability zones: kwok reports them and their pods as a kubelet does.

``with FakeNodes(cp, {"a": 2, "b": 2}) as nodes:`` gives a control plane nodes ``a-0``, ``a-1``, … and a scheduler. What
decides about pods is Kubernetes itself: its scheduler, its node lifecycle, its eviction API. Each zone has a process of
its own, so that a zone can be lost: its nodes are no longer heard of, as in an outage, and nobody ends their pods.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from testbed import assets, cache, golang, gotool
from testbed.controlplane import ControlPlane, free_port
from testbed.found import AssetsMissing
from testbed.node import config
from testbed.processes import Process
from testbed.versions import KWOK

VERSION = KWOK.version.removeprefix("v")
"""As in testbed/kwok_module/go.mod."""
STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    *(f"pod/fast/pod-{what}.yaml" for what in ("ready", "complete", "delete")),
)
"""Files of the module: what becomes of nodes and pods. A pod is ready at once, and gone at once when it is deleted."""
PROGRAM = gotool.Tool(
    "kwok",
    VERSION,
    "kwok_module",
    "sigs.k8s.io/kwok/cmd/kwok",
    (("sigs.k8s.io/kwok/pkg/consts.Version", VERSION),),
    minutes=3,
)
SCHEDULER = "kube-scheduler"
ZONE = "topology.kubernetes.io/zone"
LEASE_SECONDS = 12
"""kwok renews the Lease of a node each quarter of that."""
GRACE_SECONDS = 16
"""After so long without news a node counts as lost; far more than a busy machine keeps kwok from renewing."""
TOLERATED_SECONDS = 3
"""So long a pod stays on a lost node."""
MANAGER_FLAGS = (
    f"--node-monitor-grace-period={GRACE_SECONDS}s",
    "--node-monitor-period=1s",
    # Kubernetes taints a lost node each ten seconds.
    "--node-eviction-rate=100",
)
APISERVER_FLAGS = (
    f"--default-not-ready-toleration-seconds={TOLERATED_SECONDS}",
    f"--default-unreachable-toleration-seconds={TOLERATED_SECONDS}",
)
"""Flags of a ``ControlPlane`` on which zones are lost within seconds instead of minutes."""


def provide() -> tuple[Path, Path]:
    """Finds or makes the program, and the file with its stages.

    Raises:
        AssetsMissing: see the class.
    """
    program, stages = gotool.provide(PROGRAM), PROGRAM.path.with_name("stages.yaml")
    if not stages.is_file():
        try:
            with cache.locked("kwok"), cache.appearing(stages) as draft:
                folder = golang.module_folder(KWOK, gotool.HERE) / "kustomize" / "stage"
                draft.write_text("\n---\n".join((folder / each).read_text() for each in STAGES))
        except golang.GoFailed as error:
            raise AssetsMissing(f"the stages of {KWOK.path} are not to be had: {error}") from error
    return program, stages


class FakeNodes:
    """Ready nodes in zones, and a scheduler."""

    def __init__(self, cp: ControlPlane, zones: Mapping[str, int], *, pods: int = 110) -> None:
        """Starts nothing yet.

        Args:
            cp: a running control plane.
            zones: name of each zone -> how many nodes it has. Nodes of the zone "" have no label of a zone.
            pods: how many pods a node takes.
        """
        self.cp = cp
        self.zones = dict(zones)
        self._pods = pods
        self._running: dict[str, Process] = {}

    def __enter__(self) -> FakeNodes:
        self._kwok, self._stages = provide()
        scheduler = assets.provide(self.cp.version, (SCHEDULER,)).kubernetes[SCHEDULER]
        for zone, count in self.zones.items():
            for number in range(count):
                self.cp.create("/api/v1/nodes", self._node(zone, f"{zone or 'none'}-{number}"))
            self.restore(zone)
        flags = config.scheduler(self.cp.kubeconfig_for("system:kube-scheduler"), free_port(set()))
        self._scheduler = self.cp.processes.start(SCHEDULER, [scheduler, *flags])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """All ends with the control plane; earlier, the nodes go with their programs."""
        for process in (self._scheduler, *self._running.values()):
            self.cp.processes.stop(process, 0, sig=signal.SIGKILL)
        self._running.clear()
        for zone in self.zones:
            for name in self.names(zone):
                self.cp.request("DELETE", f"/api/v1/nodes/{name}")

    def names(self, zone: str) -> list[str]:
        return [f"{zone or 'none'}-{number}" for number in range(self.zones[zone])]

    def lose(self, zone: str) -> None:
        """Nothing is heard of the nodes of a zone any more."""
        self.cp.processes.stop(self._running.pop(zone), 0, sig=signal.SIGKILL)

    def restore(self, zone: str) -> None:
        """The nodes of a zone report again."""
        number = list(self.zones).index(zone)
        argv: list[str | Path] = [
            self._kwok,
            f"--kubeconfig={self.cp.kubeconfig}",
            f"--config={self._stages}",
            f"--manage-nodes-with-label-selector=kwok={zone or 'none'}",
            f"--node-lease-duration-seconds={LEASE_SECONDS}",
            f"--cidr=10.{number}.0.1/16",
        ]
        self._running[zone] = self.cp.processes.start(f"kwok-{zone or 'none'}", argv)

    def _node(self, zone: str, name: str) -> dict[str, Any]:
        labels = {"kwok": zone or "none", "kubernetes.io/hostname": name, **({ZONE: zone} if zone else {})}
        capacity = {"cpu": "32", "memory": "256Gi", "pods": str(self._pods)}
        return {
            "metadata": {"name": name, "labels": labels},
            "status": {"allocatable": capacity, "capacity": capacity},
        }


if __name__ == "__main__":
    try:
        provide()
    except AssetsMissing as error:
        sys.exit(str(error))
