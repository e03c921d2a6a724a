"""Namespaces of network, mounts and processes for the node, joined to this machine by one pair of interfaces.

Ending process 1 of the process namespace ends all: containers and their shims, mounts, pods' networks, firewall rules.
So there is nothing to clean up after a crash but empty control groups, and those are removed at the next start.

Addresses are of 198.18.0.0/15, which is set apart for tests of networks (RFC 2544) and so can be no real network's::

    198.19.255.1  this machine: test clients, the API server
    198.19.255.2  the node, CoreDNS
    198.18.0.0/16 pods
    198.19.0.0/17 Services
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from testbed import cache
from testbed.found import AssetsMissing
from testbed.processes import Process, Processes
from testbed.progress import step

LINK = "decco-node"
HOST_ADDRESS = "198.19.255.1"
NODE_ADDRESS = "198.19.255.2"
LINK_BITS = 30
POD_CIDR = "198.18.0.0/16"
SERVICE_CIDR = "198.19.0.0/17"
SERVICE_IP = "198.19.0.1"
"""Address of the Service ``kubernetes``: the first of the range."""
CGROUPS = Path("/sys/fs/cgroup")
CGROUP_PREFIX = "decco-node-"
START_SECONDS = 10.0


class Sandbox:
    """``with Sandbox() as box:`` has the namespaces; ``box.start`` runs programs in them.

    One at a time on a machine: a second one waits for the first.

    Attributes:
        folder: for everything of the node; gone at the end.
        processes: what runs inside, and the namespaces themselves.
        cgroup: name of the control group, below the root, under which all pods run.
    """

    def __enter__(self) -> Sandbox:
        if sys.platform != "linux" or os.geteuid() != 0:
            raise AssetsMissing("the testbed's node needs Linux and root: it makes namespaces, interfaces and mounts")
        with contextlib.ExitStack() as stack:
            self._lock = stack.enter_context(_alone())
            self.folder = Path(tempfile.mkdtemp(prefix="decco-node-"))
            self.cgroup = self.folder.name
            self.processes = Processes(self.folder)
            stack.callback(self._end)
            self._make()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Process:
        """Starts a program inside; its end is seen, but only SIGKILL of process 1 is sure to end it."""
        return self.processes.start(name, [*self._enter(), *argv], env)

    def run(self, *argv: str | Path, seconds: float = 60.0) -> str:
        """Runs a program inside to its end and returns what it printed.

        Raises:
            AssetsMissing: it failed; the message holds what it said.
        """
        return _run(*self._enter(), *argv, seconds=seconds)

    def _enter(self) -> list[str]:
        return ["nsenter", f"--target={self._init}", "--net", "--mount", "--pid", "--"]

    def _make(self) -> None:
        _remove_old_cgroups()
        for controller in _cgroup_roots():
            (controller / self.cgroup).mkdir(exist_ok=True)
            _inherit_cpuset(controller, self.cgroup)
        namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
        init = Path(__file__).with_name("init.py")
        argv = [*namespaces, "--propagation=private", sys.executable, "-I", "-S", init, self.folder]
        outer = self.processes.start("namespaces", argv)
        outer.wait_until((self.folder / "ready").exists, START_SECONDS)
        self._init = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text())
        peer = ["peer", "name", LINK, "netns", str(self._init)]
        _run("ip", "link", "add", LINK, "type", "veth", *peer)
        _run("ip", "address", "add", f"{HOST_ADDRESS}/{LINK_BITS}", "dev", LINK)
        _run("ip", "link", "set", LINK, "up")
        self.run("ip", "address", "add", f"{NODE_ADDRESS}/{LINK_BITS}", "dev", LINK)
        self.run("ip", "link", "set", LINK, "up")
        # Nothing leads further than this machine, which forwards nothing; a default route is what programs look for.
        self.run("ip", "route", "add", "default", "via", HOST_ADDRESS)
        for network in (POD_CIDR, SERVICE_CIDR):
            _run("ip", "route", "add", network, "via", NODE_ADDRESS, "dev", LINK)

    def _end(self) -> None:
        with contextlib.suppress(AttributeError, ProcessLookupError):
            os.kill(self._init, signal.SIGKILL)
        self.processes.close(0)
        shutil.rmtree(self.folder, ignore_errors=True)
        _remove_old_cgroups()


@contextlib.contextmanager
def _alone() -> Iterator[IO[str]]:
    """The one place on a machine for a node: its interface and addresses are there once."""
    cache.root().mkdir(parents=True, exist_ok=True)
    with (cache.root() / "node.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step("waiting for another testbed's node on this machine to end"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def _cgroup_roots() -> list[Path]:
    """Where control groups are made: one folder (version 2), or one for each controller (version 1)."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [each for each in sorted(CGROUPS.iterdir()) if (each / "cgroup.procs").exists() and not each.is_symlink()]


def _inherit_cpuset(controller: Path, name: str) -> None:
    """A new group of version 1's cpuset has no processors and no memory, so that nothing can run in it."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        if (controller / file).exists():
            (controller / name / file).write_text((controller / file).read_text())


def _remove_old_cgroups() -> None:
    """Removes the groups of nodes that have ended; one that is in use cannot be removed, and stays."""
    for controller in _cgroup_roots():
        for old in controller.glob(f"{CGROUP_PREFIX}*"):
            for folder, _, _ in os.walk(old, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()


def _run(*argv: str | Path, seconds: float = 60.0) -> str:
    words = [str(word) for word in argv]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=seconds, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise AssetsMissing(f"`{' '.join(words)}` failed with status {done.returncode}: {done.stderr.strip()[-1000:]}")
    return done.stdout
