"""The real controller as a process, and the few words that the integration tests need to talk to a real API server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from testbed.certificates import self_signed
from testbed.controlplane import ControlPlane
from tests.promises import PATIENCE

T = TypeVar("T")
Obj = dict[str, Any]

GROUP = "decco.platform9.com"
APIS = f"/apis/{GROUP}/v1beta2"
POLL_SECONDS = 0.05


_QUIET_READS = 4
"""decco is taken for settled when it was quiet for as long as so many of its slowest answers took."""

_NOT_YET = (AssertionError, LookupError, TypeError)
"""What a question raises whose object, or a part of it, does not exist yet."""


def eventually(ask: Callable[[], T], seconds: float = PATIENCE, what: str = "") -> T:
    """Polls until the answer is true, and returns it; the last answer or error is in the failure.

    A part that does not exist yet, like ``condition["reason"]`` of a condition that nobody has written, is "not yet".
    Fails after ``seconds``, and never before PATIENCE: a busy machine must not fail a test that waits for a fact.
    """
    seconds = max(seconds, PATIENCE)
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            answer = ask()
            if answer:
                return answer
            last = answer
        except _NOT_YET as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or ask}; last answer: {last!r}")
        time.sleep(POLL_SECONDS)


async def soon(ask: Callable[[], T], seconds: float = PATIENCE, what: str = "") -> T:
    """``eventually``, while the proxy goes on in this event loop."""
    return await asyncio.to_thread(eventually, ask, seconds, what)


class Decco:
    """One ``decco-controller`` process against a control plane."""

    def __init__(
        self, cp: ControlPlane, folder: Path, *, kubeconfig: Path | None = None, version: str = "", **settings: str
    ) -> None:
        """``settings`` are environment variables without their DECCO_ prefix; ``version`` is one to pretend to be.

        Leader election is off unless asked for: a controller that is killed leaves its Lease behind, and the next one
        would wait. The tests of the election, of the cost of quiet, and of the permissions turn it on. Probes are off
        too, because most edges of these tests have only a status; test_answers.py turns them on. The edge has a
        namespace, without which Spaces with a project are not ready.
        """
        self._version = version
        self.cp = cp
        self.log = folder / f"decco-{time.monotonic_ns()}.log"
        self.port = _free_port()
        self._kubeconfig = kubeconfig or cp.controller_kubeconfig
        settings = {
            "leader_election__enabled": "false",
            "probe__enabled": "false",
            "edge__namespace": "edge",
            **settings,
        }
        self.settings = {f"DECCO_{name.upper()}": value for name, value in settings.items()}
        self.process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        *,
        wait: bool = True,
        flags: tuple[str, ...] = (),
        module: str = "decco.cli.controller",
        level: str = "debug",
    ) -> Decco:
        """``level`` is a flag, which is stronger than a file; "" is none."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DECCO_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    *self._program(module),
                    "--kubeconfig",
                    str(self._kubeconfig),
                    "--metrics-bind-address",
                    f"127.0.0.1:{self.port}",
                    *(["--log-level", level] if level else []),
                    *flags,
                ],
                stdout=log,
                stderr=log,
                env={**environment, **self.settings},
                start_new_session=True,
            )
        self.cp.processes.end_with_us(self.process)
        if wait:
            try:
                eventually(self.ready, what="decco is ready")
            except AssertionError as error:
                self.kill()
                raise AssertionError(f"{error}; log:\n{self.tail()}") from None
        return self

    def _program(self, module: str) -> list[str]:
        if not self._version:
            return ["-m", module]
        code = f"import decco; decco.__version__ = {self._version!r}; from {module} import main"
        return ["-c", f"{code}; import sys; sys.exit(main())"]

    def ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"decco ended with {self.process.returncode}:\n{self.tail()}")
        with contextlib.suppress(OSError):
            return bool(self.get("/readyz").startswith("ok"))
        return False

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def metric(self, name: str) -> float:
        """Sum of all samples of this name whose labels contain what follows it (``name{a="b"``)."""
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in self.get("/metrics").splitlines()
            if line.startswith(name) and not line.startswith("#")
        )

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, seconds: float = PATIENCE) -> int:
        """SIGTERM; returns the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"decco did not end within {seconds} s of SIGTERM:\n{self.tail()}") from None

    def kill(self) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __enter__(self) -> Decco:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def settle(self, quiet: float = 0.7, seconds: float = 2 * PATIENCE) -> None:
        """Waits until decco has had nothing to do for ``quiet`` seconds.

        That time grows with the slowest answer of decco: on a busy machine its events and answers are late as well.
        """
        deadline = time.monotonic() + seconds
        done, since, slowest = -1.0, time.monotonic(), 0.0
        while time.monotonic() < deadline:
            asked = time.monotonic()
            now = self.metric("decco_reconcile_total{")
            busy = self.metric("decco_workqueue_depth{")
            slowest = max(slowest, time.monotonic() - asked)
            if now != done or busy:
                done, since, slowest = now, time.monotonic(), 0.0
            elif time.monotonic() - since >= max(quiet, _QUIET_READS * slowest):
                return
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"decco did not settle within {seconds} s:\n{self.tail()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# Objects ----------------------------------------------------------------------------------------------------------


def space(name: str, domain: str = "example.net", **spec: Any) -> Obj:
    return {
        "apiVersion": f"{GROUP}/v1beta2",
        "kind": "Space",
        "metadata": {"name": name},
        "spec": {"domainName": domain, **spec},
    }


def pod(*ports: int, image: str = "registry.example/app:1", **more: Any) -> Obj:
    container: Obj = {"name": "main", "image": image}
    if ports:
        container["ports"] = [{"containerPort": port} for port in ports]
    return {"containers": [container], **more}


def app(namespace: str, name: str, **spec: Any) -> Obj:
    return {
        "apiVersion": f"{GROUP}/v1beta2",
        "kind": "App",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"pod": pod(8080), **spec},
    }


def http_app(namespace: str, name: str, path: str | None = None, **spec: Any) -> Obj:
    return app(namespace, name, endpoints=[{"name": name, "port": 8080, "httpPath": path or f"/{name}"}], **spec)


def tls_secret(name: str, *names: str, share: str | None = "*", namespace: str = "decco", **data: bytes) -> Obj:
    """A usable Secret with certificate, key and CA; ``share`` is the share-with annotation (None: not labelled).

    Without ``names`` it is for the FQDN of each Space, and for the endpoints of the Space that is called like it.
    """
    certificate, key = self_signed(names or (f"{name}.example.net", "*.example.net", f"*.{name}.example.net"))
    content = {"tls.crt": certificate, "tls.key": key, "ca.crt": certificate, **data}
    meta: Obj = {"name": name, "namespace": namespace}
    if share is not None:
        meta["labels"] = {f"{GROUP}/share": "true"}
        meta["annotations"] = {f"{GROUP}/share-with": share}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": meta,
        "type": "kubernetes.io/tls",
        "data": {name: base64.b64encode(value).decode() for name, value in content.items()},
    }


# The API server -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def own_control_plane(*, restart_manager: bool = False, **flags: Any) -> Iterator[ControlPlane]:
    """A whole control plane with the CRDs of the Gateway API and of decco, and with the namespace ``decco``.

    A controller manager that is to delete what belongs to a deleted object of these kinds has to be started again.
    """
    with ControlPlane(**flags) as cp:
        cp.install_gateway_api()
        cp.install_decco_crds()
        if restart_manager:
            cp.restart_manager()
        cp.create("/api/v1/namespaces", {"metadata": {"name": "decco"}})
        yield cp


class Cluster:
    """Short ways to create, read, change and delete through the API server, as an administrator."""

    def __init__(self, cp: ControlPlane) -> None:
        self.cp = cp

    def space_of(self, test: pytest.FixtureRequest, prefix: str) -> str:
        """Makes a Space with a name of the test's own."""
        name = prefix + str(abs(hash(test.node.name)) % 10**8)
        self.make_space(name)
        return name

    def get(self, path: str) -> Obj | None:
        answer = self.cp.request("GET", path)
        if answer.status == 404:
            return None
        assert answer.status == 200, (path, answer.status, answer.json())
        return dict(answer.json())

    def items(self, path: str) -> list[Obj]:
        listing = self.get(path)
        return list(listing["items"]) if listing else []

    def create(self, obj: Obj) -> Obj:
        return dict(self.cp.create(collection(obj), obj))

    def patch(self, path: str, patch: object, kind: str = "merge") -> Obj:
        answer = self.cp.request("PATCH", path, patch, headers={"Content-Type": f"application/{kind}-patch+json"})
        assert answer.status == 200, (path, answer.status, answer.json())
        return dict(answer.json())

    def delete(self, path: str) -> None:
        answer = self.cp.request("DELETE", path)
        assert answer.status in (200, 202, 404), (path, answer.status, answer.json())

    def space(self, name: str) -> Obj | None:
        return self.get(f"{APIS}/spaces/{name}")

    def app(self, namespace: str, name: str) -> Obj | None:
        return self.get(f"{APIS}/namespaces/{namespace}/apps/{name}")

    def deployment(self, namespace: str, name: str) -> Obj | None:
        return self.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")

    def service(self, namespace: str, name: str) -> Obj | None:
        return self.get(f"/api/v1/namespaces/{namespace}/services/{name}")

    def condition(self, obj: Obj | None, kind: str) -> Obj | None:
        conditions = ((obj or {}).get("status") or {}).get("conditions") or []
        return next((condition for condition in conditions if condition["type"] == kind), None)

    def space_condition(self, name: str, kind: str) -> Obj | None:
        return self.condition(self.space(name), kind)

    def app_condition(self, namespace: str, name: str, kind: str) -> Obj | None:
        return self.condition(self.app(namespace, name), kind)

    def make_space(self, name: str, **spec: Any) -> Obj:
        """Creates a Space and waits until Apps can be created in it."""
        made = self.create(space(name, **spec))
        eventually(
            lambda: (self.space_condition(name, "NetworkReady") or {}).get("status") == "True",
            15,
            f"Space {name} ready",
        )
        return made


_PLURALS = {
    "Space": (APIS, "spaces", False),
    "App": (APIS, "apps", True),
    "Namespace": ("/api/v1", "namespaces", False),
    "Secret": ("/api/v1", "secrets", True),
    "ConfigMap": ("/api/v1", "configmaps", True),
    "Service": ("/api/v1", "services", True),
    "Deployment": ("/apis/apps/v1", "deployments", True),
    "Job": ("/apis/batch/v1", "jobs", True),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies", True),
    "ResourceQuota": ("/api/v1", "resourcequotas", True),
    "LimitRange": ("/api/v1", "limitranges", True),
}


def collection(obj: Obj) -> str:
    root, plural, namespaced = _PLURALS[obj["kind"]]
    return f"{root}/namespaces/{obj['metadata']['namespace']}/{plural}" if namespaced else f"{root}/{plural}"


@contextlib.contextmanager
def controller(cp: ControlPlane, folder: Path, **settings: str) -> Iterator[Decco]:
    """A controller of the test's own."""
    with Decco(cp, folder, **settings) as decco:
        yield decco
