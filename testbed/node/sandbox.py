"""Namespaces of network, mounts and processes for the node, joined to this machine by one pair of interfaces.

Ending process 1 of the process namespace ends all: containers and their shims, mounts, pods' networks, firewall rules.
So there is nothing to clean up after a crash but empty control groups, and those are removed at the next start.
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
from dataclasses import dataclass
from pathlib import Path

from testbed import cache
from testbed.flags import Network
from testbed.found import AssetsMissing
from testbed.processes import Process, Processes
from testbed.progress import step

LINK_BITS = 30
PLACES = 4
"""So many nodes can be on one machine at a time."""
CGROUPS = Path("/sys/fs/cgroup")
POD_SHARES = 8
"""CPU of all pods under load, in shares of one thread outside."""
CGROUP_PREFIX = "decco-node-"
START_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of one of several nodes on a machine.

    They are of 198.18.0.0/15, which is set apart for tests of networks (RFC 2544) and so can be no real network's: of
    its lower half a part for pods, of its upper half a part for Services, and at its end a pair of addresses.
    """

    number: int

    @property
    def link(self) -> str:
        """Name of the interface, on both sides."""
        return f"decco-node{self.number}"

    @property
    def host(self) -> str:
        """Address of this machine: of test clients and of the API server."""
        return f"198.19.255.{4 * self.number + 1}"

    @property
    def node(self) -> str:
        """Address of the node, and of its CoreDNS."""
        return f"198.19.255.{4 * self.number + 2}"

    @property
    def pods(self) -> str:
        return f"198.18.{64 * self.number}.0/18"

    @property
    def network(self) -> Network:
        """Settings that a control plane needs so that pods of this node can connect to it."""
        third = 32 * self.number
        return Network(self.host, f"198.19.{third}.0/19", f"198.19.{third}.1", nodes=True)


class Sandbox:
    """``with Sandbox() as box:`` has the namespaces; ``box.start`` runs programs in them.

    Attributes:
        addresses: a machine has four sets of them, and a fifth sandbox waits.
        folder: for everything of the node; gone at the end.
        processes: what runs inside, and the namespaces themselves.
        cgroup: name of the control group, below the root, under which all pods run.
    """

    def __enter__(self) -> Sandbox:
        if sys.platform != "linux" or os.geteuid() != 0:
            raise AssetsMissing("the testbed's node needs Linux and root: it makes namespaces, interfaces and mounts")
        with contextlib.ExitStack() as stack:
            self.addresses = stack.enter_context(_addresses())
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
            AssetsMissing: it failed; the message holds its output.
        """
        return _run(*self._enter(), *argv, seconds=seconds)

    @property
    def network(self) -> Path:
        """File of the network namespace that all packets of pods pass through."""
        return Path(f"/proc/{self._init}/ns/net")

    def _enter(self) -> list[str]:
        return ["nsenter", f"--target={self._init}", "--net", "--mount", "--pid", "--"]

    def _make(self) -> None:
        _remove_old_cgroups()
        for controller in _cgroup_roots():
            (controller / self.cgroup).mkdir(exist_ok=True)
            _inherit_cpuset(controller, self.cgroup)
            _give_cpu(controller / self.cgroup)
        namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
        init = Path(__file__).with_name("init.py")
        argv: list[str | Path] = [*namespaces, "--propagation=private", sys.executable, "-I", "-S", init, self.folder]
        outer = self.processes.start("namespaces", argv)
        outer.wait_until((self.folder / "ready").exists, START_SECONDS)
        self._init = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text())
        addresses, link = self.addresses, self.addresses.link
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", link, "netns", str(self._init))
        _run("ip", "address", "add", f"{addresses.host}/{LINK_BITS}", "dev", link)
        _run("ip", "link", "set", link, "up")
        self.run("ip", "address", "add", f"{addresses.node}/{LINK_BITS}", "dev", link)
        self.run("ip", "link", "set", link, "up")
        # Nothing leads further than this machine, which forwards nothing; some programs need a default route.
        self.run("ip", "route", "add", "default", "via", addresses.host)
        for network in (addresses.pods, addresses.network.services):
            _run("ip", "route", "add", network, "via", addresses.node, "dev", link)

    def _end(self) -> None:
        with contextlib.suppress(AttributeError, ProcessLookupError):
            os.kill(self._init, signal.SIGKILL)
        self.processes.close(0)
        shutil.rmtree(self.folder, ignore_errors=True)
        _remove_old_cgroups()


@contextlib.contextmanager
def _addresses() -> Iterator[Addresses]:
    """Addresses that are unique on this machine: each is a lock on a file, which goes with its process."""
    cache.root().mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        locks = [stack.enter_context((cache.root() / f"node-{number}.lock").open("a")) for number in range(PLACES)]
        for number, lock in enumerate(locks):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield Addresses(number)
                return
        with step("waiting for another testbed's node on this machine to end"):
            fcntl.flock(locks[0], fcntl.LOCK_EX)
        yield Addresses(0)


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


def _give_cpu(group: Path) -> None:
    """All pods together are one competitor of each single thread outside of the group: a node's usual share would let
    decco and the edge, as pods, starve beside the API server and the test itself.
    """
    for file, usual in (("cpu.shares", 1024), ("cpu.weight", 100)):
        if (group / file).exists():
            (group / file).write_text(str(usual * POD_SHARES))


def _remove_old_cgroups() -> None:
    """Removes the groups of nodes that have ended. Those of one that starts are empty too, but it has its folder."""
    for controller in _cgroup_roots():
        for old in controller.glob(f"{CGROUP_PREFIX}*"):
            if (Path(tempfile.gettempdir()) / old.name).exists():
                continue
            for folder, _, _ in os.walk(old, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()


def _run(*argv: str | Path, seconds: float = 60.0) -> str:
    words = [str(word) for word in argv]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=seconds, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise AssetsMissing(f"`{' '.join(words)}` failed with status {done.returncode}: {done.stderr.strip()[-1000:]}")
    return done.stdout
