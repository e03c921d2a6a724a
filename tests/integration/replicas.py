"""Two controllers at once, and what must hold of their writes whatever happens to them."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.audit import REPLICAS, AuditEvent
from testbed.controlplane import ControlPlane
from tests.integration.harness import APIS, Cluster, Decco, app, eventually

FULL = pytest.mark.skipif("LEADER_TRIALS" not in os.environ, reason="in make test-leader only, for its length")
LEASE = "/apis/coordination.k8s.io/v1/namespaces/decco/leases/decco-controller"
NORMAL = {"leader_election__enabled": "true"}
"""The defaults: 15, 10 and 2 seconds."""
SHORT = {
    **NORMAL,
    "leader_election__lease_seconds": "6",
    "leader_election__renew_seconds": "4.5",
    "leader_election__retry_seconds": "0.4",
}
SHORT_LEASE, SHORT_RENEW = 6.0, 4.5
"""As short as a machine allows on which all of this competes with other tests for two cores."""
PAUSE_SECONDS = 0.015
"""Between two edits: the leader is never without work for long, and others have the machine too."""


class Pair:
    """The users ``decco-a`` and ``decco-b``, each with a controller or none."""

    def __init__(self, cp: ControlPlane, folder: Path, module: str, **settings: str) -> None:
        self.cp = cp
        self._module = module
        self.cluster = Cluster(cp)
        self._folder = folder
        self._settings = settings or SHORT
        self.running: dict[str, Decco] = {}
        self.mark = cp.audit_mark()

    def start(self, user: str, *, module: str = "") -> Decco:
        """A controller that is ready; it leads or stands by."""
        kubeconfig = self.cp.kubeconfig_for(user, ("system:masters",))
        decco = Decco(self.cp, self._folder, kubeconfig=kubeconfig, **self._settings)
        self.running[user] = decco
        decco.start(wait=False, module=module or self._module)
        eventually(decco.ready, what=f"{user} ready")
        return decco

    def leads(self, user: str) -> bool:
        try:
            return self.running[user].metric("decco_leader") == 1
        except OSError:  # it has ended
            return False

    def leader(self) -> str:
        """Who leads, as soon as somebody does."""
        return eventually(lambda: next((user for user in self.running if self.leads(user)), ""), what="a leader")

    def revive(self) -> None:
        """Starts who has ended. On a machine that is busy with others a leader may lose its Lease by itself."""
        for user, decco in self.running.items():
            if decco.process is None or decco.process.poll() is not None:
                self.start(user)

    def both(self) -> tuple[Decco, Decco]:
        """A leader and one that stands by, in this order."""
        first = self.start(REPLICAS[0])
        eventually(lambda: self.leads(REPLICAS[0]), 10, "a leader")
        return first, self.start(REPLICAS[1])

    def stop(self) -> None:
        for decco in self.running.values():
            process = decco.process
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
            decco.kill()

    def writes(self) -> list[AuditEvent]:
        """All writes since the beginning, by their arrival."""
        return sorted(self.cp.audit(since=self.mark, writes=True), key=lambda event: event.received)


@contextlib.contextmanager
def pair(cp: ControlPlane, folder: Path, *, module: str = "decco.cli.controller", **settings: str) -> Iterator[Pair]:
    """Two controllers; at the end the rules below are checked."""
    cp.request("DELETE", LEASE)
    made = Pair(cp, folder, module, **settings)
    try:
        yield made
    finally:
        made.stop()
        cp.request("DELETE", LEASE)
    assert_each_write_is_under_the_lease(made.writes())
    for decco in made.running.values():
        assert "hit a defect" not in decco.log.read_text(), decco.tail()


def is_lease(event: AuditEvent) -> bool:
    return event.resource == "leases"


def assert_each_write_is_under_the_lease(writes: list[AuditEvent]) -> None:
    """Whoever wrote was the last to have written the Lease: between one's writes there is never one of the other."""
    holder = ""
    strays = []
    for event in writes:
        if is_lease(event):
            holder = event.user if event.code in {200, 201} else holder
        elif event.user != holder:
            strays.append((event.user, holder, event.verb, event.uri, event.code))
    assert strays == [], f"{len(strays)} writes without the Lease"


def assert_nothing_is_made_twice(writes: list[AuditEvent]) -> None:
    """No object is created twice, and there is no attempt that fails because the other created it.

    A request that the killed one had sent and got no answer to is not a second one: it has no such code. What neither
    could create belongs to others, for example to a test whose objects are still in the cluster.
    """
    made: dict[str, list[tuple[str, int]]] = {}
    for event in writes:
        if event.verb == "create" and event.resource != "events" and event.code in {201, 409}:
            made.setdefault(f"{event.uri.partition('?')[0]}/{event.name}", []).append((event.user, event.code))
    twice = {key: who for key, who in made.items() if len(who) > 1 and 201 in {code for _, code in who}}
    assert twice == {}, f"created more than once: {twice}"


class Churn:
    """Edits Apps of one Space all the time, so that a leader always has something to write."""

    def __init__(self, cluster: Cluster, space: str, apps: int = 20) -> None:
        self._cluster = cluster
        self._space = space
        self._names = [f"churn-{number:02d}" for number in range(apps)]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._edit, daemon=True)
        self.edits = 0
        self.error: Exception | None = None

    def __enter__(self) -> Churn:
        for name in self._names:
            self._cluster.create(app(self._space, name))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _edit(self) -> None:
        try:
            while not self._ending.wait(PAUSE_SECONDS):
                name = self._names[self.edits % len(self._names)]
                port = 8000 + self.edits % 1000
                container = {"name": "main", "image": "registry.example/app:1", "ports": [{"containerPort": port}]}
                self._cluster.patch(
                    f"{APIS}/namespaces/{self._space}/apps/{name}", {"spec": {"pod": {"containers": [container]}}}
                )
                self.edits += 1
        except Exception as error:  # noqa: BLE001 - raised where the test ends
            self.error = error


def pause(decco: Decco, *, in_the_act: bool = False) -> None:
    """Stops the process, now or at its next write (``defective.py``), and waits until it is stopped."""
    assert decco.process is not None
    os.kill(decco.process.pid, signal.SIGUSR2 if in_the_act else signal.SIGSTOP)
    status = Path(f"/proc/{decco.process.pid}/stat")
    eventually(lambda: status.read_text().rpartition(")")[2].split()[0] == "T", 20, "stopped")


def resume(decco: Decco) -> float:
    """SIGCONT; returns when, as Unix time."""
    assert decco.process is not None
    moment = time.time()
    os.kill(decco.process.pid, signal.SIGCONT)
    return moment
