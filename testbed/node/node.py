"""One node: containerd, kubelet and kube-proxy in their namespaces, with a scheduler and CoreDNS; Ready in seconds."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from testbed.api import RequestFailed
from testbed.controlplane import ControlPlane, free_port
from testbed.dns import coredns
from testbed.images import catalog
from testbed.node import config, programs
from testbed.node.sandbox import Sandbox
from testbed.processes import ProcessFailed
from testbed.progress import step

START_SECONDS = 90.0
POLL_SECONDS = 0.05


class Node:
    """A Ready node: ``with Sandbox() as box, ControlPlane(network=box.addresses.network) as cp, Node(cp, box):``.

    Attributes:
        hosts: file with names of the world outside for pods, in the form of /etc/hosts; may be written at any time.
    """

    def __init__(self, cp: ControlPlane, box: Sandbox, zones: Mapping[str, str] | None = None) -> None:
        """Starts nothing yet.

        Args:
            cp: a running control plane with the network of the sandbox's place.
            box: the sandbox of the node.
            zones: DNS zones to the ``address:port`` of the server to which CoreDNS forwards them.
        """
        self.cp = cp
        self.box = box
        self._zones = dict(zones or {})
        self.hosts = box.folder / "hosts"

    def __enter__(self) -> Node:
        self.programs = programs.provide(self.cp.version)
        with step("starting a node"):
            self._start_containerd()
            self._start_kubelet()
            self._start_proxy()
            self._start_scheduler()
            self._start_dns()
            self.wait("the node to be Ready", self._ready)
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to do: all ends with the sandbox and the control plane."""

    def load(self, *archives: Path) -> None:
        """Imports OCI archives; a pod with such an image, and not ``imagePullPolicy: Always``, then runs."""
        for archive in archives:
            self._ctr("images", "import", "--local", "--digests=false", str(archive))

    def wait(self, what: str, holds: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Polls.

        Raises:
            ProcessFailed: it did not become true; the message has what it is and the kubelet's last lines.
        """
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise ProcessFailed(f"waited {seconds:.0f} s for {what}; the kubelet said:\n{self.kubelet.tail()}")
            time.sleep(POLL_SECONDS)

    def processes(self, pod: Mapping[str, Any], program: str) -> list[int]:
        """This machine's ids of the processes in a pod that run a program whose name begins so."""
        uid = pod["metadata"]["uid"]
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # one that ends meanwhile
                if f"pod{uid}" in (folder / "cgroup").read_text() and (folder / "exe").readlink().name.startswith(
                    program
                ):
                    found.append(int(folder.name))
        return found

    def memory(self, pid: int) -> int:
        """Bytes of a process: its own pages, and its part of those that it shares (proportional set size)."""
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise ProcessFailed(f"process {pid} has no memory to count")

    # Programs

    def _start_containerd(self) -> None:
        folder = self.box.folder / "containerd"
        (folder / "cni").mkdir(parents=True)
        for each in (self.box.folder, folder):
            each.chmod(0o711)  # root of a user namespace is somebody else here, and has to pass through to its files
        (folder / "cni" / "10-decco.conflist").write_text(config.to_json(config.cni(folder, self.box.addresses)))
        file = folder / "config.toml"
        pause = catalog.pause()
        file.write_text(
            config.containerd(
                folder,
                sandbox_image=pause.reference,
                runc=self.programs.runc,
                mapping_runc=self.programs.mapping_runc,
            )
        )
        path = os.pathsep.join([str(self.programs.shim.parent), os.environ["PATH"], "/usr/sbin", "/sbin"])
        self._socket = folder / "containerd.sock"
        containerd = self.box.start("containerd", [self.programs.containerd, "--config", file], {"PATH": path})
        containerd.wait_until(lambda: _accepts(self._socket), START_SECONDS)
        self.load(pause.archive)

    def _start_kubelet(self) -> None:
        folder = self.box.folder
        kubeconfig = self.cp.kubeconfig_for(f"system:node:{config.NAME}", ["system:nodes"])
        file = folder / "kubelet.json"
        wanted = config.kubelet(folder, self.box.addresses, ca_file=self.cp.ca_file, cgroup=self.box.cgroup)
        file.write_text(config.to_json(wanted))
        (folder / "resolv.conf").write_text(config.resolv_conf(self.box.addresses))
        flags = config.kubelet_flags(folder, self.box.addresses, config=file, kubeconfig=kubeconfig)
        path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
        self.kubelet = self.box.start("kubelet", [self.programs.kubelet, *flags], {"PATH": path})

    def _start_proxy(self) -> None:
        kubeconfig = self.cp.kubeconfig_for("system:kube-proxy")
        path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
        self.box.start(
            "kube-proxy", [self.programs.kube_proxy, *config.kube_proxy(kubeconfig, self.box.addresses)], {"PATH": path}
        )

    def _start_scheduler(self) -> None:
        kubeconfig = self.cp.kubeconfig_for("system:kube-scheduler")
        argv: list[str | Path] = [self.programs.scheduler, *config.scheduler(kubeconfig, free_port(set()))]
        self.cp.processes.start("kube-scheduler", argv)

    def _start_dns(self) -> None:
        binary = coredns.build()
        if binary is None:
            raise ProcessFailed("CoreDNS is not to be had: install Go")
        self.hosts.touch()
        admin = self.cp.admin
        file = self.box.folder / "Corefile"
        file.write_text(
            config.corefile(self.box.addresses, self.cp.url, admin, self.cp.ca_file, self.hosts, self._zones)
        )
        self.box.start("coredns", [binary, "-conf", file])

    def _ready(self) -> bool:
        answer = self.cp.request("GET", f"/api/v1/nodes/{config.NAME}")
        if answer.status == 404:
            return False
        if answer.status != 200:
            raise RequestFailed(f"GET node: {answer.status} {answer.body.decode(errors='replace')[:300]}")
        conditions: list[dict[str, Any]] = answer.json()["status"].get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def _ctr(self, *arguments: str) -> str:
        return self.box.run(self.programs.ctr, "--address", self._socket, "--namespace", "k8s.io", *arguments)


def _accepts(path: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(path))
        return True
    return False
