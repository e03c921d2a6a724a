"""The load of the benchmarks: a control plane with Spaces, their bare namespaces and Apps, without any children."""

from __future__ import annotations

import asyncio
import base64
import functools
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from testbed.certificates import self_signed
from testbed.controlplane import ControlPlane

Obj = dict[str, Any]
APIS = "/apis/decco.platform9.com/v1beta2"
MANAGED = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Ddecco"
SECRET = "bench-http"
SEEDING = 32
"""Requests in flight."""
_CONTROLLERS = (
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
)
MANAGER_FLAGS = (f"--controllers={','.join(_CONTROLLERS)}",)
"""Neither ReplicaSets nor EndpointSlices are made: their writes would compete with those that are measured."""
QUIET_SECONDS = 1.0


@dataclass(frozen=True)
class Names:
    """Of the only Space with its only App, where not those of a load."""

    space: str
    app: str
    project: str


@dataclass(frozen=True)
class Write:
    """One request, its body ready to be sent."""

    method: str
    path: str
    body: bytes


def spaces(count: int, names: Names | None) -> Iterator[Obj]:
    for number in range(count):
        yield {
            "apiVersion": "decco.platform9.com/v1beta2",
            "kind": "Space",
            "metadata": {"name": names.space if names else f"tenant-{number:04d}"},
            "spec": {
                "domainName": "bench.example",
                "project": names.project if names else f"project-{number % 20}",
                "httpCertSecretName": SECRET,
            },
        }


def apps(space: str, count: int, names: Names | None = None, first: int = 0) -> Iterator[Obj]:
    """Small web services behind a path, as most are; their numbers begin with ``first``."""
    for number in range(first, first + count):
        name = names.app if names else f"app-{number:03d}"
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


def posted(app: Obj) -> Write:
    """The request that creates this App."""
    return Write("POST", f"{APIS}/namespaces/{app['metadata']['namespace']}/apps", orjson.dumps(app))


class Load:
    """So many Spaces with so many Apps in each, on one control plane.

    Attributes:
        spaces, apps, namespaces: as the server stored them.
        secret: the certificate that all Spaces share, as stored.
    """

    def __init__(self, cp: ControlPlane, space_count: int, app_count: int, names: Names | None = None) -> None:
        """``app_count`` is that of all Spaces together."""
        self.cp = cp
        self._names = names
        self.space_count = space_count
        self.per_space = app_count // space_count

    def seed(self) -> None:
        self.cp.create("/api/v1/namespaces", {"metadata": {"name": "decco"}})
        self.secret = self.cp.create("/api/v1/namespaces/decco/secrets", shared_secret())
        asyncio.run(self._seed())

    async def _seed(self) -> None:
        async with session(self.cp) as http:
            self.spaces = await _send_all(
                http,
                [Write("POST", f"{APIS}/spaces", orjson.dumps(each)) for each in spaces(self.space_count, self._names)],
            )
            # Owned by their Spaces, as decco would have made them, because Apps need a namespace to be created in.
            bare = [Write("POST", "/api/v1/namespaces", orjson.dumps(_bare_namespace(each))) for each in self.spaces]
            self.namespaces = await _send_all(http, bare)
            names = [space["metadata"]["name"] for space in self.spaces]
            self.apps = await _send_all(
                http,
                [posted(app) for name in names for app in apps(name, self.per_space, self._names)],
            )

    def add_apps(self, count: int) -> None:
        """Stores so many more Apps, as many in each Space."""
        each = count // self.space_count

        async def add() -> list[Obj]:
            async with session(self.cp) as http:
                return await _send_all(http, [posted(app) for app in self._further(each)])

        self.apps += asyncio.run(add())
        self.per_space += each

    def _further(self, each: int) -> Iterator[Obj]:
        for space in self.spaces:
            yield from apps(space["metadata"]["name"], each, first=self.per_space)


def wait_until_quiet(cp: ControlPlane, seconds: float = QUIET_SECONDS) -> None:
    """Returns when nobody has written anything for so long."""
    before, since = -1, time.monotonic()
    while time.monotonic() - since < seconds:
        writes = cp.write_counts().total()
        if writes != before:
            before, since = writes, time.monotonic()
        time.sleep(0.2)


def session(cp: ControlPlane) -> aiohttp.ClientSession:
    """A client as administrator."""
    tls = ssl.create_default_context(cafile=str(cp.ca_file))
    tls.load_cert_chain(cp.client_cert, cp.client_key)
    connector = aiohttp.TCPConnector(limit=256, ssl=tls)
    return aiohttp.ClientSession(cp.url, connector=connector, headers={"Content-Type": "application/json"})


async def send(http: aiohttp.ClientSession, write: Write) -> Obj:
    async with http.request(write.method, write.path, data=write.body) as answer:
        body = await answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{write.method} {write.path}: {answer.status} {body[:300]!r}")
        return dict(orjson.loads(body))


async def _send_all(http: aiohttp.ClientSession, writes: list[Write]) -> list[Obj]:
    gate = asyncio.Semaphore(SEEDING)

    async def one(write: Write) -> Obj:
        async with gate:
            return await send(http, write)

    return list(await asyncio.gather(*(one(write) for write in writes)))


@functools.cache
def shared_secret() -> Obj:
    """The same in all legs of a run."""
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
    # Without one of the keys that only decco may write, decco takes it for another owner's.
    labels = {"app.kubernetes.io/managed-by": "decco", "decco.platform9.com/space": meta["name"]}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": meta["name"], "labels": labels, "ownerReferences": [owner]},
    }
