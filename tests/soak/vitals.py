"""What can be seen of a process from outside: /proc/PID and its /metrics."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.integration.harness import Decco

CENSUS_SECONDS = 20.0
_ESTABLISHED, _LISTEN = "01", "0A"
"""States of a TCP socket in /proc/net/tcp (include/net/tcp_states.h)."""
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Scrape:
    """All samples of /metrics: (name, its labels) -> value."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    def total(self, name: str, **labels: str) -> float:
        """Sum of the samples of this name with these labels."""
        wanted = set(labels.items())
        return sum(value for (each, has), value in self.samples.items() if each == name and wanted <= has)

    def by(self, name: str, *labels: str) -> Counter[str]:
        """Sums by the values of these labels, joined by a space."""
        found: Counter[str] = Counter()
        for (each, has), value in self.samples.items():
            if each == name:
                found[" ".join(dict(has)[label] for label in labels)] += int(value)
        return found

    def values(self) -> dict[str, int]:
        """``metric{label}`` -> how many values the label has."""
        found: dict[str, set[str]] = {}
        for name, labels in self.samples:
            for label, value in labels:
                found.setdefault(f"{name}{{{label}}}", set()).add(value)
        return {label: len(values) for label, values in found.items()}


def scrape(decco: Decco) -> Scrape:
    return Scrape(
        {
            (name, frozenset(_LABEL.findall(labels))): float(value)
            for name, labels, value in _SAMPLE.findall(decco.get("/metrics"))
        }
    )


def open_files(pid: int) -> dict[str, int]:
    """What is open -> how many file descriptors, from /proc/PID/fd; those that are closed meanwhile do not count.

    A path, or as ``pipe``, ``anon_inode:[eventpoll]``, ``socket to 127.0.0.1:53``, ``socket at 127.0.0.1:8080`` for one
    that listens or was accepted, ``socket`` for one that is neither.
    """
    found: Counter[str] = Counter()
    sockets = _tcp(pid)
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(each)  # noqa: PTH115 (a socket is not a path)
        except FileNotFoundError:
            continue
        kind, _, number = target.partition(":[")
        if kind == "socket":
            target = sockets.get(number.rstrip("]"), kind)
        found[kind if kind == "pipe" else target] += 1
    return dict(found)


def _tcp(pid: int) -> dict[str, str]:
    """Inode -> words, of the TCP sockets of the process's network namespace."""
    table = [line.split() for name in ("tcp", "tcp6") for line in _lines(Path(f"/proc/{pid}/net/{name}"))]
    ports = {_address(local) for _, local, _, state, *_ in table if state == _LISTEN}
    found = {}
    for _, local, remote, state, _, _, _, _, _, inode, *_ in table:
        at, to = _address(local), _address(remote)
        words = f"socket at {at}" if at in ports else f"socket to {to}"
        found[inode] = words if state in {_LISTEN, _ESTABLISHED} else f"{words} in state {state}"
    return found


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:] if path.exists() else []


def _address(text: str) -> str:
    """``0100007F:1F90`` of /proc/net/tcp as ``127.0.0.1:8080``; of IPv6 the port only."""
    host, _, port = text.partition(":")
    return f"{'.'.join(str(each) for each in bytes.fromhex(host)[::-1]) if len(host) == 8 else '[…]'}:{int(port, 16)}"


def memory(pid: int) -> tuple[int, int]:
    """(RSS, PSS) in KiB, from /proc/PID/smaps_rollup."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    rss, pss = (re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE) for name in ("Rss", "Pss"))
    assert rss is not None
    assert pss is not None
    return int(rss[1]), int(pss[1])


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def take_census(pid: int, path: Path, *, alive: Callable[[], bool]) -> dict[str, int]:
    """Requests the census of a process of ``tests.soak.controller``; to be called in a thread of its own."""
    path.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    deadline = time.monotonic() + CENSUS_SECONDS
    while not path.exists():
        if not alive() or time.monotonic() > deadline:
            raise AssertionError("the controller wrote no census")
        time.sleep(0.05)
    return dict(json.loads(path.read_text()))
