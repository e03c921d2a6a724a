"""How long does decco take to start, and how large is it, with nothing and with 1,000 Apps?

The Apps, in 100 Spaces, were settled by a controller that has ended. Then a new one is started: it is ready when its
caches are full, and its memory is taken once it has reconciled all of them without a write. No DNS provider is
configured, and no library of one is loaded (tests/unit/test_start_up.py).

    start apps=0 ready_s=… rss_mb=… apps=1000 ready_s=… rss_mb=…     (limit without Apps: 55 MB)
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import decco
from bench.load import Load
from testbed.controller import Controller
from testbed.controlplane import ControlPlane
from testbed.progress import say

APPS_IN_SPACE = 10
LIMIT_SECONDS = 180.0
POLL_SECONDS = 0.1
QUIET_SECONDS = 3.0
MOST_MB = 55.0
"""Limit of the memory without Apps."""
SETTINGS = {"DECCO_LEADER_ELECTION__ENABLED": "false"}
"""A Lease that the one before has left behind would be waited for, and that is another question."""


def started(cp: ControlPlane, log: Path, objects: int) -> tuple[float, float]:
    """(seconds until ready, RSS in MB once it is quiet) of one start; ``objects`` have to be reconciled."""
    begin = time.monotonic()
    with Controller(cp.controller_kubeconfig, log, SETTINGS, "--log-level", "warning") as controller:
        ready = time.monotonic() - begin
        _wait_until_quiet(controller, objects)
        status = Path(f"/proc/{controller.process.pid}/status").read_text()
    resident = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert resident is not None
    return ready, int(resident[1]) / 1024


def _wait_until_quiet(controller: Controller, objects: int) -> None:
    """Returns when that many were reconciled, nothing waits, and nothing has happened for QUIET_SECONDS."""
    deadline = time.monotonic() + LIMIT_SECONDS
    last, since = -1.0, time.monotonic()
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"http://{controller.address}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        done, waiting = _sum(text, "decco_reconcile_total"), _sum(text, "decco_workqueue_depth")
        if done != last or waiting or done < objects:
            last, since = done, time.monotonic()
        elif time.monotonic() - since >= QUIET_SECONDS:
            return
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"decco was not quiet within {LIMIT_SECONDS:.0f} s")


def _sum(text: str, name: str) -> float:
    return sum(float(value) for value in re.findall(rf"^{name}\{{.*\}} (\S+)$", text, re.MULTILINE))


def measure(apps: int, times: int) -> tuple[float, float]:
    """Medians of so many starts against a control plane of their own with so many settled Apps; with byte code, as in
    the image.
    """
    compileall.compile_dir(Path(decco.__file__).parent, quiet=1)
    spaces = apps // APPS_IN_SPACE
    with ControlPlane(audit=False) as cp, tempfile.TemporaryDirectory() as folder:
        cp.install_gateway_api()
        cp.install_decco_crds()
        log = Path(folder) / "decco.log"
        if apps:
            Load(cp, spaces, apps).seed()
            started(cp, log, apps + spaces)
        found = [started(cp, log, apps + spaces) for _ in range(times)]
    ready, rss = (statistics.median(each) for each in zip(*found, strict=True))
    say(f"{apps} Apps: ready in {ready:.2f} s, {rss:.0f} MB, median of {times}")
    return ready, rss


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.start", description=__doc__.splitlines()[0])
    parser.add_argument("--apps", type=int, default=int(os.environ.get("APPS", "1000")))
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    results = [(apps, *measure(apps, arguments.times)) for apps in (0, arguments.apps)]
    print("start " + " ".join(f"apps={apps} ready_s={ready:.2f} rss_mb={rss:.0f}" for apps, ready, rss in results))
    return int(results[0][2] > MOST_MB)


if __name__ == "__main__":
    sys.exit(main())
