"""Plans in which not a request fails but what decco stands on: etcd, the API server, the machine.

Each has a control plane of its own, which it harms, and the controller as a process. A customer's Space lives through
it, with Apps that come, change and go meanwhile; afterwards all is as it has to be, nothing is written any more, and a
controller that starts from scratch finds nothing to do.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.controlplane import ControlPlane
from testbed.snapshots import restore, snapshot
from tests.faults import limits
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, pod, tls_secret
from tests.integration.loop import assert_no_defects

SPACE = "acme"
APPS = f"{APIS}/namespaces/{SPACE}/apps"
LONG = 90.0
IDLE_SECONDS = 3.0
IMAGE = "registry.example/app:{}"
HOUR = 3600.0
MEBIBYTE = 1 << 20
DISK_MEBIBYTES = 192


class Life:
    """A control plane, a controller, and what a customer does."""

    def __init__(self, cp: ControlPlane, folder: Path) -> None:
        self.cp, self.folder = cp, folder
        self.cluster = Cluster(cp)
        self.controllers: list[Decco] = []
        self.apps: dict[str, int] = {}
        """Name of each App that is there -> the version of its image."""

    def start(self, *, wait: bool = True, module: str = "decco.cli.controller", **environment: str) -> Decco:
        """``environment``: variables of the process."""
        decco = Decco(self.cp, self.folder)
        decco.settings |= environment
        self.controllers.append(decco)
        return decco.start(level="info", wait=wait, module=module)

    @property
    def decco(self) -> Decco:
        return self.controllers[-1]

    def settle_in(self) -> None:
        self.cluster.create(tls_secret("tls", f"{SPACE}.example.net", f"*.{SPACE}.example.net"))
        self.cluster.make_space(SPACE, httpCertSecretName="tls", tcpCertAndCaSecretName="tls", project="widgets")
        for name in ("stays", "changes", "goes"):
            self.create(name)
        self.followed()

    def create(self, name: str) -> None:
        self.cluster.create(full_app(name))
        self.apps[name] = 1

    def edit(self, name: str, version: int) -> None:
        self.cluster.patch(f"{APPS}/{name}", {"spec": {"pod": pod(8080, 5432, image=IMAGE.format(version))}})
        self.apps[name] = version

    def delete(self, name: str) -> None:
        self.cluster.delete(f"{APPS}/{name}")
        del self.apps[name]

    def change(self) -> None:
        """One App comes, one changes, one goes, and somebody removes the isolation."""
        self.create("comes")
        self.edit("changes", 2)
        self.delete("goes")
        self.cluster.delete(f"/apis/networking.k8s.io/v1/namespaces/{SPACE}/networkpolicies/decco")

    def followed(self) -> None:
        """Waits until all is as it has to be."""
        eventually(self._is_right, LONG, "everything is as it has to be")

    def _is_right(self) -> bool:
        root = f"namespaces/{SPACE}"
        deployments = self.cluster.items(f"/apis/apps/v1/{root}/deployments")
        images = {each["metadata"]["name"]: _image(each) for each in deployments}
        assert images == {name: IMAGE.format(version) for name, version in self.apps.items()}, images
        for path, wanted in (
            (f"/api/v1/{root}/services", {f"{name}-{part}" for name in self.apps for part in ("http", "tcp")}),
            (f"/apis/networking.k8s.io/v1/{root}/networkpolicies", {"decco", *(f"app-{name}" for name in self.apps)}),
            (f"/apis/gateway.networking.k8s.io/v1/{root}/tlsroutes", {f"{name}-tcp" for name in self.apps}),
        ):
            names = {each["metadata"]["name"] for each in self.cluster.items(path)}
            assert names == wanted, (path, names)
        for each in self.cluster.items(APPS):
            assert each["status"]["observedGeneration"] == each["metadata"]["generation"], each["metadata"]["name"]
        return True

    def verdict(self) -> None:
        """After the trouble: all is right, quiet, and right for a controller without a past."""
        self.followed()
        self.decco.settle()
        self._is_quiet()
        assert_no_defects(self.decco)
        self.decco.kill()
        mark = self.cp.audit_mark()
        self.start().settle()
        time.sleep(IDLE_SECONDS)
        assert self._writes(mark) == [], "a restart has nothing to put right"
        self.followed()
        assert self.decco.stop() == 0
        assert_no_defects(self.decco)

    def _is_quiet(self) -> None:
        mark = self.cp.audit_mark()
        time.sleep(IDLE_SECONDS)
        assert self._writes(mark) == []

    def _writes(self, mark: int) -> list[str]:
        return [
            f"{each.verb} {each.uri}"
            for each in self.cp.audit(since=mark, writes=True)
            if each.resource not in ("events", "leases")
        ]


def full_app(name: str) -> Obj:
    endpoints = [
        {"name": f"{name}-http", "port": 8080, "httpPath": f"/{name}"},
        {"name": f"{name}-tcp", "port": 5432},
    ]
    return app(SPACE, name, pod=pod(8080, 5432), endpoints=endpoints, initialReplicas=0)


def _image(deployment: Obj) -> str:
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


# -- etcd ---------------------------------------------------------------------------------------------------------


def etcd_restored_while_decco_runs(life: Life) -> None:
    _restored(life, restarted=False)


def etcd_restored_and_decco_restarted(life: Life) -> None:
    _restored(life, restarted=True)


def _restored(life: Life, *, restarted: bool) -> None:
    copy = snapshot(life.cp)
    life.decco.settle()
    kept = dict(life.apps)
    life.change()
    for version in range(3, 30):
        life.edit("changes", version)
    life.followed()
    if restarted:
        life.decco.kill()
    restore(life.cp, copy)
    life.apps = kept
    if restarted:
        life.start()
    life.followed()
    life.change()


def etcd_compacted(life: Life) -> None:
    """The history that watches would resume from is gone; what happened meanwhile is found by new lists."""
    life.cp.stop_apiserver(kill=True)
    life.cp.start_apiserver()
    life.change()
    revision = int(_etcd(life.cp, "kv/range", {"key": _b64("x")})["header"]["revision"])
    _etcd(life.cp, "kv/compaction", {"revision": revision, "physical": True})
    life.cp.stop_apiserver(kill=True)
    life.cp.start_apiserver()


def etcd_out_of_space(life: Life) -> None:
    """Its quota is reached: everything can be read, and nothing written."""
    _etcd(life.cp, "maintenance/alarm", {"action": "ACTIVATE", "memberID": "0", "alarm": "NOSPACE"})
    life.cluster.cp.request("DELETE", f"/apis/networking.k8s.io/v1/namespaces/{SPACE}/networkpolicies/decco")
    refused = life.cp.request("POST", APPS, full_app("refused"))
    assert refused.status >= 500, refused.body
    time.sleep(5)
    alarms = _etcd(life.cp, "maintenance/alarm", {"action": "GET"})["alarms"]
    for alarm in alarms:
        _etcd(life.cp, "maintenance/alarm", {"action": "DEACTIVATE", **alarm})
    life.change()


def disk_full(life: Life) -> None:
    """etcd's disk is full to the last byte: it ends, and so does the API server."""
    ballast = life.cp.etcd_folder / "ballast"
    with ballast.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * MEBIBYTE)
                file.flush()
        except OSError:
            pass
    for version in range(2, 400):
        big = {"data": {"filler": str(version) * 100_000}}
        path = "/api/v1/namespaces/default/configmaps"
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"filler-{version}"}, **big}
        try:
            if life.cp.request("POST", path, made, seconds=5).status != 201:
                break
        except OSError:
            break
    else:
        raise AssertionError("the disk is not full")
    life.cp.stop_apiserver(kill=True)
    life.cp.stop_etcd()
    ballast.unlink()
    life.cp.start_etcd()
    life.cp.start_apiserver()
    life.cp.restart_manager()
    life.change()


# -- the API server -----------------------------------------------------------------------------------------------


def api_server_killed_during_a_deletion(life: Life) -> None:
    """Of a whole Space with its Apps; another one lives on."""
    life.cluster.make_space("leaves", httpCertSecretName="tls")
    life.cluster.create({**full_app("web"), "metadata": {"name": "web", "namespace": "leaves"}})
    eventually(lambda: life.cluster.deployment("leaves", "web"), LONG)
    life.cluster.delete(f"{APIS}/spaces/leaves")
    life.delete("goes")
    life.cp.stop_apiserver(kill=True)
    life.cp.start_apiserver()
    life.cp.restart_manager()
    eventually(lambda: life.cluster.space("leaves") is None, LONG, "the Space is gone")
    eventually(lambda: life.cluster.get("/api/v1/namespaces/leaves") is None, LONG, "its namespace is gone")
    life.cluster.make_space("leaves", httpCertSecretName="tls")


# -- the machine --------------------------------------------------------------------------------------------------


def _many(life: Life) -> None:
    for number in range(40):
        life.create(f"many-{number:02d}")


def file_descriptors_64(life: Life) -> None:
    life.decco.kill()
    decco = life.start(wait=False)
    assert decco.process is not None
    limits.file_descriptors(decco.process.pid, 64)
    _many(life)
    life.change()


def memory_256_mib(life: Life) -> None:
    life.decco.kill()
    decco = life.start(wait=False)
    assert decco.process is not None
    limits.memory(decco.process.pid, 256)
    _many(life)
    life.change()


def processor_20_percent(life: Life) -> None:
    assert life.decco.process is not None
    with limits.processor(life.decco.process.pid, 0.2):
        _many(life)
        life.change()
        life.followed()


def clock_an_hour_ahead(life: Life) -> None:
    _shifted(life, HOUR)


def clock_an_hour_behind(life: Life) -> None:
    _shifted(life, -HOUR)


def _shifted(life: Life, seconds: float) -> None:
    life.decco.kill()
    life.start(module="tests.faults.shifted", SHIFT=str(seconds))
    life.change()


def _etcd(cp: ControlPlane, path: str, body: Obj) -> Obj:
    request = urllib.request.Request(f"{cp.etcd_url}/v3/{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.loads(answer.read()))


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclass(frozen=True)
class Environment:
    """``disk``: etcd's data is on a small disk of its own, which needs root."""

    act: Callable[[Life], None]
    disk: bool = False


PLANS = {
    each.act.__name__.replace("_", "-"): each
    for each in (
        Environment(etcd_restored_while_decco_runs),
        Environment(etcd_restored_and_decco_restarted),
        Environment(etcd_compacted),
        Environment(etcd_out_of_space),
        Environment(disk_full, disk=True),
        Environment(api_server_killed_during_a_deletion),
        Environment(file_descriptors_64),
        Environment(memory_256_mib),
        Environment(processor_20_percent),
        Environment(clock_an_hour_ahead),
        Environment(clock_an_hour_behind),
    )
}


class _SmallDisk(ControlPlane):
    """etcd's data is on a file system of its own."""

    def start_etcd(self) -> None:
        if not self.etcd_folder.is_mount():
            self.etcd_folder.mkdir()
            mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEBIBYTES}m,mode=700", "none", str(self.etcd_folder)]
            subprocess.run(mount, check=True)
        super().start_etcd()

    def stop(self) -> None:
        self.stop_apiserver(kill=True)
        self.stop_etcd()
        subprocess.run(["umount", str(self.etcd_folder)], check=True)
        super().stop()


@contextmanager
def _control_plane(plan: Environment) -> Iterator[ControlPlane]:
    with _SmallDisk() if plan.disk else ControlPlane() as cp:
        cp.install_gateway_api()
        cp.install_decco_crds()
        cp.restart_manager()
        cp.create("/api/v1/namespaces", {"metadata": {"name": "decco"}})
        yield cp


def run(name: str, folder: Path) -> None:
    """Raises AssertionError if the plan fails."""
    plan = PLANS[name]
    with _control_plane(plan) as cp:
        life = Life(cp, folder)
        try:
            life.start()
            life.settle_in()
            life.decco.settle()
            plan.act(life)
            life.verdict()
        finally:
            for decco in life.controllers:
                decco.kill()
