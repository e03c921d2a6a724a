"""A control plane on which a running decco has nothing more to do, and what it requested since a moment."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import Contender, decco, environment
from bench.load import MANAGER_FLAGS, Load, wait_until_quiet
from testbed.controlplane import ControlPlane
from testbed.progress import say

IN_FLIGHT = 32
QUIET_SECONDS = 3.0
LIMIT_SECONDS = 600.0
READS = frozenset({"get", "list"})


@dataclass(frozen=True)
class Settled:
    cp: ControlPlane
    load: Load
    pid: int

    def requests(self, since: int) -> Counter[tuple[str, str]]:
        """Those of decco by verb and resource since this ``audit_mark``, without events and without watches, which it
        renews every few minutes.
        """
        return Counter(
            (event.verb, f"{event.group}/{event.resource}/{event.subresource}")
            for event in self.cp.audit(since=since)
            if event.stage == "ResponseComplete" and event.verb != "watch" and event.resource not in ("events", "")
        )


@contextmanager
def stored(spaces: int, apps: int) -> Iterator[Load]:
    """A control plane with a load, on which nothing runs yet; its requests are audited."""
    with ControlPlane(manager_flags=MANAGER_FLAGS) as cp:
        cp.install_gateway_api()
        cp.install_decco_crds()
        load = Load(cp, spaces, apps)
        load.seed()
        yield load


@contextmanager
def running(
    cp: ControlPlane, contender: Contender | None = None, recipe: Path = Path()
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a contender, decco if none is given, and kills it with the block.

    Raises RuntimeError if it ended before.
    """
    contender = contender or decco(IN_FLIGHT)
    with tempfile.TemporaryFile() as log:
        command = contender.command(cp.controller_kubeconfig, recipe, IN_FLIGHT)
        process = subprocess.Popen(command, env=environment(contender), stdout=log, stderr=log, start_new_session=True)
        cp.processes.end_with_us(process)
        try:
            yield process
            if process.poll() is not None:
                raise RuntimeError(f"{contender.name} ended with {process.poll()}")
        except BaseException:
            log.seek(0)
            say(f"{contender.name}, status {process.poll()}, said: {log.read()[-2000:].decode(errors='replace')}")
            raise
        finally:
            process.kill()
            process.wait()


def wait_until_settled(cp: ControlPlane, process: subprocess.Popen[bytes], objects: int) -> None:
    """Returns when as many statuses were written since the API server started, and nothing more is."""
    deadline = time.monotonic() + LIMIT_SECONDS

    def reported() -> int:
        ours = (("spaces", "status"), ("apps", "status"))
        return sum(
            count
            for key, count in cp.write_counts().items()
            if (key.resource, key.subresource) in ours and key.code.startswith("2")
        )

    while reported() < objects:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{objects} objects were not settled; the program ended with {process.poll()}")
        time.sleep(0.5)
    wait_until_quiet(cp, QUIET_SECONDS)


@contextmanager
def settled(spaces: int, apps: int) -> Iterator[Settled]:
    with stored(spaces, apps) as load, running(load.cp) as process:
        wait_until_settled(load.cp, process, spaces + apps)
        yield Settled(load.cp, load, process.pid)
