"""Pods without a node: network namespaces on a bridge, each with a pod's address, and real connections between them.

It is laid out as the bridge plugin of CNI lays out a node: a network namespace in the node's place, with a bridge that
the pods' interfaces hang on, so that their packets pass netfilter there. What is outside of the cluster hangs on a link
of its own. Every namespace belongs to a process of its own and ends with it, also after a crash; this machine's own
network is not touched.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from testbed.processes import Process, Processes

PEER = Path(__file__).with_name("peer.py")
PODS = ipaddress.IPv4Network("10.77.0.0/16")
GATEWAY = PODS[1]
START_SECONDS = 90.0
ANSWER_SECONDS = 60.0
SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    # Else frames from pod to pod never meet iptables. A node needs it too, for Services.
    "net/bridge/bridge-nf-call-iptables": "1",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A connection to try, and how long to wait for it; one that is let through answers in milliseconds."""

    source: str
    address: str
    port: int
    seconds: float


class Rig:
    """``with Rig(folder, addresses, ports) as rig:`` has a namespace for each address until the end of the block.

    Attributes:
        node: file of the network namespace that all packets pass through.
        processes: ends everything; further programs started there end with the rig.
    """

    def __init__(self, folder: Path, addresses: Mapping[str, str], ports: Mapping[str, Iterable[int]]) -> None:
        """Prepares, starts nothing.

        Args:
            folder: an empty folder, removed at the end; its path should be short, for Unix sockets.
            addresses: IPv4 addresses by the name of who has them; those in ``PODS`` are pods.
            ports: what each of them listens on, if anything.
        """
        self._folder = folder
        self._addresses = {name: ipaddress.IPv4Address(address) for name, address in addresses.items()}
        self._ports = ports
        self._sockets: dict[str, Path] = {}

    def __enter__(self) -> Rig:
        self.processes = Processes(self._folder)
        try:
            node = self.processes.start("node", ["unshare", "--net", "sleep", "infinity"])
            peers = {name: self._start(number, name) for number, name in enumerate(self._addresses)}
            for process in (node, *peers.values()):
                process.wait_until(lambda process=process: _has_own_network(process), START_SECONDS)  # type: ignore[misc]
            self.node = _network(node)
            self._wire(node, peers)
            for name, process in peers.items():
                process.wait_until(self._sockets[name].exists, START_SECONDS)
        except BaseException:
            self.processes.close(0)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.processes.close(0)

    def _start(self, number: int, name: str) -> Process:
        self._sockets[name] = self._folder / f"{number}.sock"
        ports = [str(port) for port in self._ports.get(name, ())]
        argv = ["unshare", "--net", sys.executable, "-I", str(PEER), str(self._sockets[name]), name, *ports]
        return self.processes.start(f"peer-{number}", argv)

    def _wire(self, node: Process, peers: Mapping[str, Process]) -> None:
        _inside(node, "ip", "-batch", "-", lines=["link add br0 type bridge", f"addr add {GATEWAY}/16 dev br0"])
        up = ["link set lo up", "link set br0 up"]
        for number, (name, process) in enumerate(peers.items()):
            address = self._addresses[name]
            _run("ip", "link", "add", f"v{number}", "netns", str(node.pid), "type", "veth", "peer", "eth0",
                 "netns", str(process.pid))  # fmt: skip
            up.append(f"link set v{number} up")
            inside = ["link set lo up", "link set eth0 up"]
            if address in PODS:
                up.append(f"link set v{number} master br0")
                inside += [f"addr add {address}/16 dev eth0", f"route add default via {GATEWAY}"]
            else:
                up.append(f"route add {address}/32 dev v{number}")
                inside += [f"addr add {address}/32 dev eth0", f"route add {GATEWAY}/32 dev eth0",
                           f"route add default via {GATEWAY}"]  # fmt: skip
            _inside(process, "ip", "-batch", "-", lines=inside)
        _inside(node, "ip", "-batch", "-", lines=up)
        for name, value in SYSCTLS.items():
            _inside(node, "sh", "-c", f"echo {value} > /proc/sys/{name}")

    def connect(self, attempts: Iterable[Attempt]) -> list[str | None]:
        """As ``connect``."""
        return connect(self._sockets, attempts)


def connect(sockets: Mapping[str, Path], attempts: Iterable[Attempt]) -> list[str | None]:
    """Tries all of them, those of one source at once; what was answered to each, or None, in their order.

    ``sockets`` are those of the programs ``peer.py`` by the name of the source.
    """
    attempts = list(attempts)
    by_source: dict[str, list[int]] = {}
    for number, attempt in enumerate(attempts):
        by_source.setdefault(attempt.source, []).append(number)
    answers: list[str | None] = [None] * len(attempts)

    def ask(source: str) -> None:
        numbers = by_source[source]
        asked = [[attempts[each].address, attempts[each].port, attempts[each].seconds] for each in numbers]
        for number, answer in zip(numbers, _ask(sockets[source], asked), strict=True):
            answers[number] = answer

    with ThreadPoolExecutor(max(1, len(by_source))) as pool:
        list(pool.map(ask, by_source))
    return answers


def _ask(path: Path, asked: list[list[object]]) -> list[str | None]:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(ANSWER_SECONDS)
        channel.connect(str(path))
        with channel.makefile("rwb") as lines:
            lines.write(json.dumps(asked).encode() + b"\n")
            lines.flush()
            answer: list[str | None] = json.loads(lines.readline())
    return answer


def _network(process: Process) -> Path:
    return Path(f"/proc/{process.pid}/ns/net")


def _has_own_network(process: Process) -> bool:
    """The process is started in our own network namespace, and leaves it a moment later."""
    return _network(process).readlink() != Path("/proc/self/ns/net").readlink()


def _inside(process: Process, *argv: str, lines: Iterable[str] = ()) -> None:
    _run("nsenter", f"--net={_network(process)}", *argv, text="\n".join(lines))


def _run(*argv: str, text: str = "") -> None:
    program = shutil.which(argv[0]) or shutil.which(argv[0], path="/usr/sbin:/sbin") or argv[0]
    done = subprocess.run([program, *argv[1:]], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr.strip()}"
