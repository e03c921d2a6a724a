"""How much slower than a bare client is decco at making everything from nothing?

200 Spaces and 2,000 Apps are in the API server. Then either a bare client (aiohttp, POST only, bodies made beforehand)
writes the very children and statuses, or the real ``decco-controller`` is started and converges. Each with 16, 32 and
64 requests in flight, each on a fresh control plane; the best of each counts. decco's time is that of the whole
process, its start included.

    cold ratio=<bare best / decco best> raw_apps_per_s=… decco_apps_per_s=… rss_mb=…

The bare client knows what to write because that is computed before the clock starts: the same pure functions that decco
uses.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from decco.api.parse import parse_app
from decco.desired.app import app_children
from decco.desired.app_status import AppLive, app_status
from decco.desired.model import (
    AppInputs,
    Child,
    Claims,
    SecretCopy,
    SecretState,
    SecretView,
    Served,
    SpaceFacts,
    SpaceInputs,
)
from decco.desired.secret_content import inspect
from decco.desired.space import space_children
from decco.desired.space_status import SpaceLive, space_status
from decco.kube.client import Client
from decco.kube.config import connect
from decco.kube.diff import to_wire
from decco.objects import APPS, DEPLOYMENTS, NAMESPACES, SPACES
from decco.reconcilers.discover import discover
from decco.reconcilers.facts import space_facts
from decco.settings import Settings
from testbed.certificates import self_signed
from testbed.controlplane import ControlPlane
from testbed.progress import say

Obj = dict[str, Any]
APIS = "/apis/decco.platform9.com/v1beta2"
MANAGED = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Ddecco"
LIMIT_SECONDS = 300.0
SECRET = "bench-http"
MOST_RATIO = 1.5
MOST_RSS_MB = 120.0


@dataclass(frozen=True)
class Write:
    """One request of the bare client, its body ready to be sent."""

    method: str
    path: str
    body: bytes


@dataclass(frozen=True)
class Outcome:
    """What one run took, and what was there at its end."""

    seconds: float
    children: Counter[str]
    rss_mb: float = 0.0


# The load ------------------------------------------------------------------------------------------------------------


def spaces(count: int) -> Iterator[Obj]:
    for number in range(count):
        yield {
            "apiVersion": "decco.platform9.com/v1beta2",
            "kind": "Space",
            "metadata": {"name": f"tenant-{number:04d}"},
            "spec": {
                "domainName": "bench.example",
                "project": f"project-{number % 20}",
                "httpCertSecretName": SECRET,
            },
        }


def apps(space: str, count: int) -> Iterator[Obj]:
    """Small web services behind a path, as most are."""
    for number in range(count):
        name = f"app-{number:03d}"
        yield {
            "apiVersion": "decco.platform9.com/v1beta2",
            "kind": "App",
            "metadata": {"name": name, "namespace": space},
            "spec": {
                "pod": {
                    "containers": [
                        {
                            "name": "main",
                            "image": "registry.example/app:1",
                            "ports": [{"containerPort": 8080}],
                            "env": [{"name": f"SETTING_{i}", "value": "x" * 40} for i in range(10)],
                            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                        }
                    ]
                },
                "httpUrlPath": f"/{name}",
            },
        }


class Bench:
    """One control plane with the Spaces, their namespaces and the Apps in it, without any children."""

    def __init__(self, cp: ControlPlane, space_count: int, app_count: int) -> None:
        self.cp = cp
        self.space_count = space_count
        self.per_space = app_count // space_count

    async def _session(self) -> aiohttp.ClientSession:
        tls = ssl.create_default_context(cafile=str(self.cp.ca_file))
        tls.load_cert_chain(self.cp.client_cert, self.cp.client_key)
        connector = aiohttp.TCPConnector(limit=256, ssl=tls)
        return aiohttp.ClientSession(self.cp.url, connector=connector, headers={"Content-Type": "application/json"})

    async def seed(self) -> tuple[list[Obj], list[Obj]]:
        """Creates the Spaces, their (bare) namespaces and the Apps; returns them as stored."""
        self.cp.create("/api/v1/namespaces", {"metadata": {"name": "decco"}})
        self.secret = self.cp.create("/api/v1/namespaces/decco/secrets", _secret())
        async with await self._session() as session:
            made_spaces = await _send_all(
                session, [Write("POST", f"{APIS}/spaces", orjson.dumps(s)) for s in spaces(self.space_count)], 32
            )
            # Owned by their Spaces, as decco would have made them, because Apps need a namespace to be created in.
            namespaces = [
                Write("POST", "/api/v1/namespaces", orjson.dumps(_bare_namespace(space))) for space in made_spaces
            ]
            await _send_all(session, namespaces, 32)
            made_apps = await _send_all(
                session,
                [
                    Write("POST", f"{APIS}/namespaces/{space['metadata']['name']}/apps", orjson.dumps(app))
                    for space in made_spaces
                    for app in apps(space["metadata"]["name"], self.per_space)
                ],
                32,
            )
        return made_spaces, made_apps

    async def raw(self, writes: list[list[Write]], in_flight: int) -> float:
        """Sends each list of writes (one Space or App) in its order, ``in_flight`` lists at once."""
        async with await self._session() as session:
            queue = iter(writes)
            started = time.monotonic()

            async def work() -> None:
                for group in queue:
                    for write in group:
                        await _send(session, write)

            async with asyncio.TaskGroup() as tasks:
                for _ in range(in_flight):
                    tasks.create_task(work())
            return time.monotonic() - started

    def decco(self, in_flight: int) -> tuple[float, float]:
        """Runs the controller until nothing is left to do; returns (seconds, peak RSS in MB)."""
        environment = {
            **os.environ,
            "DECCO_CONTROLLER__REQUESTS_IN_FLIGHT": str(in_flight),
            "DECCO_CONTROLLER__APP_WORKERS": str(in_flight),
            "DECCO_CONTROLLER__SPACE_WORKERS": "8",
            "DECCO_LEADER_ELECTION__ENABLED": "false",  # its renewals would be counted as work
        }
        port = _free_port()
        argv = [sys.executable, "-m", "decco.cli.controller", "--kubeconfig", str(self.cp.controller_kubeconfig)]
        argv += ["--metrics-bind-address", f"127.0.0.1:{port}", "--log-level", "warning"]
        started = time.monotonic()
        with (
            tempfile.TemporaryFile() as log,
            subprocess.Popen(argv, env=environment, stdout=log, stderr=log) as process,
        ):
            try:
                finished = self._await_convergence(process, port, started)
                status = Path(f"/proc/{process.pid}/status").read_text()
            finally:
                process.terminate()
                process.wait(20)
        peak = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert peak is not None
        return finished - started, int(peak[1]) / 1024

    def _await_convergence(self, process: subprocess.Popen[bytes], port: int, started: float) -> float:
        """The time at which every Space and App had been reconciled and the queues were empty for the first time."""
        wanted = self.space_count + self.space_count * self.per_space
        while time.monotonic() - started < LIMIT_SECONDS:
            if process.poll() is not None:
                raise RuntimeError(f"decco ended with status {process.returncode}")
            metrics = ""
            with suppress(OSError):
                url = f"http://127.0.0.1:{port}/metrics"
                metrics = urllib.request.urlopen(url, timeout=5).read().decode()
            now = time.monotonic()
            written = _sum(
                metrics, r'decco_api_requests_total\{[^}]*code="200"[^}]*resource="(?:spaces|apps)/status[^}]*'
            )
            written = max(written, _sum(metrics, r'decco_api_requests_total\{[^}]*verb="PUT"[^}]*'))
            idle = (
                _sum(metrics, r"decco_workqueue_depth\{[^}]*") == 0
                and _sum(metrics, r"decco_active_workers\{[^}]*") == 0
            )
            if written >= wanted and idle:
                return now
            time.sleep(0.05)
        raise RuntimeError(f"decco did not converge within {LIMIT_SECONDS} s")

    def children(self) -> Counter[str]:
        """How many objects of each kind decco's label is on, and how many Spaces and Apps have a status."""
        found: Counter[str] = Counter()
        for path in (
            "/api/v1/namespaces",
            "/api/v1/services",
            "/api/v1/secrets",
            "/apis/apps/v1/deployments",
            "/apis/networking.k8s.io/v1/networkpolicies",
            "/apis/gateway.networking.k8s.io/v1/httproutes",
            "/apis/gateway.networking.k8s.io/v1/gateways",
        ):
            found[path.rsplit("/", 1)[1]] = len(self.cp.request("GET", f"{path}?{MANAGED}").json()["items"])
        for kind in ("spaces", "apps"):
            items = self.cp.request("GET", f"{APIS}/{kind}").json()["items"]
            found[f"{kind} with status"] = sum(1 for item in items if (item.get("status") or {}).get("conditions"))
        return found


def _secret() -> Obj:
    certificate, key = self_signed(["*.bench.example"])
    data = {"tls.crt": certificate, "tls.key": key, "ca.crt": certificate}
    labels, annotations = {"decco.platform9.com/share": "true"}, {"decco.platform9.com/share-with": "*"}
    return {
        "metadata": {"name": SECRET, "namespace": "decco", "labels": labels, "annotations": annotations},
        "type": "kubernetes.io/tls",
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def _bare_namespace(space: Obj) -> Obj:
    meta = space["metadata"]
    owner = {
        "apiVersion": space["apiVersion"],
        "kind": "Space",
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    labels = {"app.kubernetes.io/managed-by": "decco"}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": meta["name"], "labels": labels, "ownerReferences": [owner]},
    }


async def _send(session: aiohttp.ClientSession, write: Write) -> Obj:
    async with session.request(write.method, write.path, data=write.body) as answer:
        body = await answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{write.method} {write.path}: {answer.status} {body[:300]!r}")
        return dict(orjson.loads(body))


async def _send_all(session: aiohttp.ClientSession, writes: list[Write], in_flight: int) -> list[Obj]:
    gate = asyncio.Semaphore(in_flight)

    async def one(write: Write) -> Obj:
        async with gate:
            return await _send(session, write)

    return list(await asyncio.gather(*(one(write) for write in writes)))


def _sum(metrics: str, pattern: str) -> float:
    return sum(float(match[1]) for match in re.finditer(rf"^{pattern}\}} (\S+)$", metrics, re.MULTILINE))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# What the bare client writes -----------------------------------------------------------------------------------------


class Plan:
    """The requests that lead to the same children and statuses, computed with decco's own pure functions."""

    def __init__(self, cp: ControlPlane, secret: Obj) -> None:
        self._settings = Settings()
        self._copy = SecretCopy(secret["metadata"]["name"], secret["type"], secret["data"])
        facts = inspect(self._copy.type, self._copy.data)
        self._secrets = {SECRET: SecretView(SECRET, SecretState.COPY, facts)}
        self._served = asyncio.run(_discover(cp))
        self._now = datetime.now(UTC)

    def writes(self, made_spaces: list[Obj], made_apps: list[Obj]) -> list[list[Write]]:
        """One list per Space, then one per App, each in the order in which decco writes."""
        facts = {space["metadata"]["name"]: space_facts(space) for space in made_spaces}
        return [self._space(space, facts[space["metadata"]["name"]]) for space in made_spaces] + [
            self._app(app, facts[app["metadata"]["namespace"]]) for app in made_apps
        ]

    def _space(self, obj: Obj, facts: SpaceFacts) -> list[Write]:
        inputs = SpaceInputs(
            space=facts,
            settings=self._settings,
            served=self._served,
            claims=Claims(frozenset({facts.fqdn})),
            copies={SECRET: self._copy},
            secrets=self._secrets,
            now=self._now,
            namespace_uid=facts.uid,  # as long as the right one
        )
        children = space_children(inputs)
        outcomes = {(child.resource.kind, child.obj["metadata"]["name"]): None for child in children}
        status = space_status(inputs, outcomes, SpaceLive(namespace=children[0].obj), {}, self._now)
        return [*map(_child, children), _status(obj, "spaces", status)]

    def _app(self, obj: Obj, space: SpaceFacts) -> list[Write]:
        meta = obj["metadata"]
        inputs = AppInputs(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=meta["generation"],
            spec=parse_app(obj),
            space=space,
            settings=self._settings,
            served=self._served,
            claims=Claims(frozenset({space.fqdn})),
            secrets=self._secrets,
            targets={},
            taken={},
            now=self._now,
        )
        desired = app_children(inputs)
        outcomes = {(child.resource.kind, child.obj["metadata"]["name"]): None for child in desired.children}
        workload = next(child.obj for child in desired.children if child.resource == DEPLOYMENTS)
        live = AppLive({**workload, "metadata": {**workload["metadata"], "generation": 1}})
        status = app_status(inputs, desired, outcomes, live, {}, self._now)
        return [*map(_child, desired.children), _status(obj, "apps", status)]


def _child(child: Child) -> Write:
    wire = orjson.dumps(to_wire(child.obj))
    meta = child.obj["metadata"]
    if child.resource == NAMESPACES:  # it is there already, see Bench.seed
        return Write("PUT", child.resource.path("", meta["name"]), wire)
    return Write("POST", child.resource.path(meta.get("namespace", "")), wire)


def _status(obj: Obj, plural: str, status: Obj) -> Write:
    meta = obj["metadata"]
    resource = SPACES if plural == "spaces" else APPS
    path = resource.path(meta.get("namespace", ""), meta["name"], "status")
    kept = {name: meta[name] for name in ("name", "namespace", "uid", "resourceVersion") if name in meta}
    return Write("PUT", path, orjson.dumps({**obj, "metadata": kept, "status": status}))


async def _discover(cp: ControlPlane) -> Served:
    async with Client(await connect(str(cp.kubeconfig), None), user_agent="bench") as client:
        return await discover(client, Settings().routing)


# The runs ------------------------------------------------------------------------------------------------------------


def run_raw(space_count: int, app_count: int, in_flight: int) -> Outcome:
    with ControlPlane(audit=False) as cp:
        cp.install_gateway_api()
        cp.install_decco_crds()
        bench = Bench(cp, space_count, app_count)
        made = asyncio.run(bench.seed())
        writes = Plan(cp, bench.secret).writes(*made)
        seconds = asyncio.run(bench.raw(writes, in_flight))
        return Outcome(seconds, bench.children())


def run_decco(space_count: int, app_count: int, in_flight: int) -> Outcome:
    with ControlPlane(audit=False) as cp:
        cp.install_gateway_api()
        cp.install_decco_crds()
        bench = Bench(cp, space_count, app_count)
        asyncio.run(bench.seed())
        seconds, rss = bench.decco(in_flight)
        return Outcome(seconds, bench.children(), rss)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.cold", description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", type=int, default=int(os.environ.get("SPACES", "200")))
    parser.add_argument("--apps", type=int, default=int(os.environ.get("APPS", "2000")))
    parser.add_argument("--in-flight", default=os.environ.get("IN_FLIGHT", "16,32,64"))
    arguments = parser.parse_args()
    levels = [int(level) for level in arguments.in_flight.split(",")]
    raw: list[Outcome] = []
    decco: list[Outcome] = []
    for level in levels:
        raw.append(run_raw(arguments.spaces, arguments.apps, level))
        say(f"bare client, {level} in flight: {raw[-1].seconds:.2f} s")
        decco.append(run_decco(arguments.spaces, arguments.apps, level))
        say(f"decco, {level} in flight: {decco[-1].seconds:.2f} s, {decco[-1].rss_mb:.0f} MB")
        if raw[-1].children != decco[-1].children:
            say(f"not the same work: bare client {dict(raw[-1].children)}, decco {dict(decco[-1].children)}")
            return 1
    best_raw, best_decco = min(run.seconds for run in raw), min(run.seconds for run in decco)
    ratio, rss = best_decco / best_raw, max(run.rss_mb for run in decco)
    print(
        f"cold ratio={ratio:.2f} raw_apps_per_s={arguments.apps / best_raw:.1f} "
        f"decco_apps_per_s={arguments.apps / best_decco:.1f} rss_mb={rss:.0f}"
    )
    return 0 if ratio <= MOST_RATIO and rss <= MOST_RSS_MB else 1


if __name__ == "__main__":
    sys.exit(main())
