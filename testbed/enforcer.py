"""Enforces NetworkPolicies on this machine: iptables hands over packets, kube-network-policies' engine judges them.

Works for pods of a real node (host network namespace, the pods' address ranges) and for pods that are only network
namespaces with an address and a Pod object. Needs root, iptables, and a kernel with NFQUEUE for iptables. Bridged pods
also need ``net.bridge.bridge-nf-call-iptables=1``, as they do for kube-proxy.

What it does not do: egress towards the node itself, and connections that were open before a policy changed.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from testbed import netpol, packages
from testbed.processes import Process, Processes

CHAIN = "DECCO-NETPOL"
QUEUE = 100
START_SECONDS = 30.0
XTABLES_LOCK_SECONDS = "10"
NEIGHBOUR_DISCOVERY = ("133", "134", "135", "136", "137")


class EnforcerFailed(RuntimeError):
    """The kernel or its tools did not take a rule; the message holds their words."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about the first packet of a connection; addresses are those of pods, after any Service's."""

    source: str
    to: str
    port: int
    protocol: str
    allowed: bool


def missing() -> str | None:
    """Why no policy can be enforced on this machine; None if it can be tried."""
    if not sys.platform.startswith("linux"):
        return "needs Linux"
    if os.geteuid() != 0:
        return "needs root"
    programs = [name for name in ("iptables", "nsenter", "ip") if packages.path_of(name) is None]
    return f"needs the programs {', '.join(programs)}" if programs else None


class Enforcer:
    """``with Enforcer(...) as enforcer:`` enforces policies until the end of the block.

    It fails closed: should the process die, no new connection from or to a pod is let through until ``stop``.
    """

    def __init__(
        self,
        processes: Processes,
        kubeconfig: Path,
        pods: Sequence[str],
        *,
        netns: Path | None = None,
        queue: int = QUEUE,
    ) -> None:
        """Prepares, starts nothing.

        Args:
            processes: who starts the program, and ends it at the latest with itself.
            kubeconfig: of somebody who may list and watch namespaces, pods and NetworkPolicies.
            pods: address ranges of the pods; only connections from or to them are judged.
            netns: file of the network namespace that the packets pass through; None is this process' own.
            queue: number of a netfilter queue that is unused in that namespace.
        """
        self._processes = processes
        self._kubeconfig = kubeconfig
        self._pods = [ipaddress.ip_network(each) for each in pods]
        self._netns = netns
        self._queue = queue
        self._process: Process | None = None

    def start(self) -> None:
        """Returns when the program has all policies and every new connection of a pod is judged.

        Raises:
            ProcessFailed: the program ended, or did not get ready in time.
            EnforcerFailed: see the class.
            testbed.found.AssetsMissing: there is no such program, and none can be built.
        """
        argv = [netpol.provide("enforcer"), "-kubeconfig", self._kubeconfig, "-queue", str(self._queue)]
        if self._netns is not None:
            argv += ["-netns", self._netns]
        self._process = self._processes.start("enforcer", [str(word) for word in argv])
        try:
            self._process.wait_until(lambda: any(line["msg"] == "ready" for line in self._log()), START_SECONDS)
            for tool, pods in self._families():
                for rule in self._rules(tool, pods):
                    self._tables(tool, *rule)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Takes the rules away, then ends the program: whatever is asked from now on passes."""
        for tool, _ in self._families():
            # What was never put there cannot be taken away.
            for rule in (["-D", "POSTROUTING", "-j", CHAIN], ["-F", CHAIN], ["-X", CHAIN]):
                with contextlib.suppress(EnforcerFailed):
                    self._tables(tool, *rule)
        if self._process is not None:
            self._processes.stop(self._process)
            self._process = None

    def __enter__(self) -> Enforcer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def verdicts(self) -> list[Verdict]:
        """All decisions since the start, in their order."""
        return [
            Verdict(line["from"], line["to"], line["port"], line["protocol"], line["allowed"])
            for line in self._log()
            if line["msg"] == "verdict"
        ]

    def _families(self) -> Iterator[tuple[str, list[str]]]:
        for version, tool in ((4, "iptables"), (6, "ip6tables")):
            pods = [str(each) for each in self._pods if each.version == version]
            if pods:
                yield tool, pods

    def _rules(self, tool: str, pods: list[str]) -> Iterator[list[str]]:
        """As upstream has them for nftables: after Services' addresses were replaced, before any masquerading."""
        queue = ["-j", "NFQUEUE", "--queue-num", str(self._queue)]
        yield ["-N", CHAIN]
        # The node's own programs, the kubelet's probes among them, are not subject to NetworkPolicies.
        yield ["-A", CHAIN, "-m", "owner", "--uid-owner", "0", "-j", "RETURN"]
        yield ["-A", CHAIN, "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "RETURN"]
        if tool == "ip6tables":
            # Without neighbours no address is ever found (RFC 4861).
            for kind in NEIGHBOUR_DISCOVERY:
                yield ["-A", CHAIN, "-p", "ipv6-icmp", "--icmpv6-type", kind, "-j", "RETURN"]
        for each in pods:
            yield ["-A", CHAIN, "-d", each, *queue]
            yield ["-A", CHAIN, "-s", each, *queue]
        yield ["-A", "POSTROUTING", "-j", CHAIN]

    def _tables(self, tool: str, *rule: str) -> None:
        enter = [] if self._netns is None else ["nsenter", f"--net={self._netns}"]
        argv = [*enter, str(packages.path_of(tool) or tool), "-w", XTABLES_LOCK_SECONDS, "-t", "mangle", *rule]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EnforcerFailed(f"{' '.join(argv)}: {done.stderr.strip()}")

    def _log(self) -> Iterator[dict[str, Any]]:
        """The program's own lines as far as they are whole; libraries of its write others."""
        assert self._process is not None
        for line in self._process.log.read_text(errors="replace").splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                yield json.loads(line)
