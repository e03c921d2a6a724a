"""The platform that is soaked: Spaces, Apps and Secrets as they have to be at each checkpoint, and how to get there.

Every kind of child is among them, and every kind of work that decco does for one: TLS from Secrets by consent, calls
between Spaces, Jobs, names in DNS.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import orjson

from tests.integration.harness import APIS, GROUP, Obj, app, pod, space, tls_secret

ZONE = "soak.test"
SECRETS = 4
SECRETS_PATH = "/api/v1/namespaces/decco/secrets"
PATIENCE = 120.0
"""Seconds for what Kubernetes does in its own time: a namespace that goes, an API server that comes back."""
CHILDREN = (
    "/apis/apps/v1/namespaces/{0}/deployments/{1}",
    "/api/v1/namespaces/{0}/services/{1}",
    "/api/v1/namespaces/{0}/configmaps/{1}",
    "/apis/networking.k8s.io/v1/namespaces/{0}/networkpolicies/{1}",
    "/apis/gateway.networking.k8s.io/v1/namespaces/{0}/httproutes/{1}",
)
"""Paths of the children that are hurt, with namespace and name."""
REFUSALS = {403, 404, 409, 429, 500, 503, 504}
"""The answers to work on objects that others delete, on a server that restarts; all other answers are an error."""


class Unfit(RuntimeError):
    """The API server refused a request as wrong: the churn is not what it is meant to be."""


class Cluster(Protocol):
    """What an administrator needs of a control plane."""

    @property
    def url(self) -> str: ...
    @property
    def ca_file(self) -> Path: ...
    @property
    def client_cert(self) -> Path: ...
    @property
    def client_key(self) -> Path: ...


class Administrator:
    """Requests straight to the API server, over connections that are kept."""

    def __init__(self, cp: Cluster) -> None:
        self._url = cp.url
        self._tls = ssl.create_default_context(cafile=str(cp.ca_file))
        self._tls.load_cert_chain(cp.client_cert, cp.client_key)
        self.up = asyncio.Event()
        self.up.set()

    async def __aenter__(self) -> Administrator:
        connector = aiohttp.TCPConnector(limit=32, ssl=self._tls)
        self._session = aiohttp.ClientSession(self._url, connector=connector, timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, body: Any = None, kind: str = "json") -> tuple[int, Obj]:
        """(status, object); waits while the API server is away. Raises Unfit."""
        data = None if body is None else orjson.dumps(body)
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            await self.up.wait()
            try:
                headers = {"Content-Type": f"application/{kind}"}
                async with self._session.request(method, path, data=data, headers=headers) as answer:
                    raw = await answer.read()
                    if answer.status >= 500 and answer.content_type != "application/json":
                        raise aiohttp.ClientPayloadError(f"{answer.status} {raw[:200]!r}")  # a server that is starting
                    got = orjson.loads(raw or b"{}")
            except (aiohttp.ClientError, TimeoutError):
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.2)
                continue
            if answer.status >= 300 and answer.status not in REFUSALS:
                raise Unfit(f"{method} {path}: {answer.status} {got.get('message')}")
            return answer.status, got

    async def patch(self, path: str, body: Any) -> int:
        return (await self.ask("PATCH", path, body, "merge-patch+json"))[0]

    async def items(self, path: str) -> list[Obj]:
        status, got = await self.ask("GET", path)
        if status != 200:
            raise Unfit(f"GET {path}: {status}")
        return list(got["items"])


JOBS_PATH = "/apis/batch/v1/jobs"


def space_path(name: str) -> str:
    return f"{APIS}/spaces/{name}"


def apps_path(namespace: str) -> str:
    return f"{APIS}/namespaces/{namespace}/apps"


def secret_name(number: int) -> str:
    return f"soak-tls-{number % SECRETS}"


def soak_secret(number: int) -> Obj:
    """A Secret with a new certificate, shared with everybody; it covers every name of the platform."""
    return tls_secret(secret_name(number), f"*.{ZONE}", ZONE)


@dataclass
class World:
    """``full`` holds path -> object of everything that exists at a checkpoint, Secrets aside."""

    admin: Administrator
    spaces: int
    apps: int
    full: dict[str, Obj] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number in range(self.spaces):
            made = self._space(number)
            self.full[space_path(made["metadata"]["name"])] = made
        for number in range(self.spaces):
            for each in self._apps(number):
                self.full[f"{apps_path(each['metadata']['namespace'])}/{each['metadata']['name']}"] = each

    def names(self) -> list[str]:
        return [f"soak-{number:02d}" for number in range(self.spaces)]

    def app_paths(self) -> list[str]:
        return [path for path in self.full if "/apps/" in path]

    def _space(self, number: int) -> Obj:
        secret = secret_name(number)
        return space(
            f"soak-{number:02d}",
            ZONE,
            project=f"project-{number % 3}",
            httpCertSecretName=secret,
            tcpCertAndCaSecretName=secret,
        )

    def _apps(self, number: int) -> Iterator[Obj]:
        namespace = f"soak-{number:02d}"
        for index in range(self.apps):
            name = f"app-{index:02d}"
            tcp = {"name": name, "port": 8080, "verifyTcpClientCert": True, "createDnsRecord": True}
            egress = {
                "localPort": 6000,
                "endpoint": "app-01",
                "spaceName": f"soak-{(number + 3) % self.spaces:02d}",
            }
            match index % 5:
                case 0:
                    yield app(namespace, name, endpoints=[{"name": name, "port": 8080, "httpPath": f"/{name}"}])
                case 1:
                    yield app(namespace, name, endpoints=[tcp])
                case 2:
                    yield app(namespace, name, endpoints=[], tlsEgresses=[egress])
                case 3:
                    yield app(namespace, name, endpoints=[], runAsJob=True, pod=pod(restartPolicy="Never"))
                case _:
                    both = [tcp, {"name": f"{name}-web", "port": 8081, "httpPath": f"/{name}"}]
                    yield app(namespace, name, endpoints=both, pod=pod(8080, 8081))

    # The way back

    async def restore(self) -> None:
        """Makes everything as it was at the first checkpoint, whatever has become of it."""
        async with asyncio.timeout(PATIENCE):
            for number in range(SECRETS):
                await self._restore_secret(number)
            paths = list(self.full)
            await asyncio.gather(*(self._restore(path) for path in paths if "/apps/" not in path))
            await asyncio.gather(*(self._ensure_namespace(name) for name in self.names()))
            await asyncio.gather(*(self._restore(path) for path in paths if "/apps/" in path))
            for plural in ("apps", "spaces"):
                for each in await self.admin.items(f"{APIS}/{plural}"):
                    meta = each["metadata"]
                    path = f"{apps_path(meta['namespace'])}/{meta['name']}" if plural == "apps" else ""
                    path = path or space_path(meta["name"])
                    if path not in self.full:
                        await self.admin.ask("DELETE", path)
        await self._collected()
        await self._run_again()

    async def _run_again(self) -> None:
        """Creates Apps again whose Job was deleted before it had finished: decco does not run the same pod twice."""
        async with asyncio.timeout(PATIENCE):
            ending = True
            while ending:
                ending = any("deletionTimestamp" in job["metadata"] for job in await self.admin.items(JOBS_PATH))
                await asyncio.sleep(0.1 if ending else 0)
            for live in await self.admin.items(f"{APIS}/apps"):
                path = f"{apps_path(live['metadata']['namespace'])}/{live['metadata']['name']}"
                job = (live.get("status") or {}).get("job") or {}
                if path in self.full and job.get("outcome") == "Deleted":
                    await self.admin.ask("DELETE", path)
                    await self._restore(path)

    async def _collected(self) -> None:
        """Waits until Kubernetes has removed the children of Apps that are gone: their names are taken until then."""
        left: list[str] = ["not asked yet"]
        try:
            async with asyncio.timeout(PATIENCE):
                while left:
                    left = [path async for path in self._orphans()]
                    await asyncio.sleep(0.1 if left else 0)
        except TimeoutError:
            raise Unfit(f"Kubernetes' garbage collection has left {left[:5]} for {PATIENCE:.0f} s") from None

    async def _orphans(self) -> AsyncIterator[str]:
        alive = {each["metadata"]["uid"] for each in await self.admin.items(f"{APIS}/apps")}
        for kind in CHILDREN:
            for each in await self.admin.items(kind.replace("/namespaces/{0}", "").removesuffix("/{1}")):
                for owner in each["metadata"].get("ownerReferences") or ():
                    if owner["kind"] == "App" and owner["uid"] not in alive:
                        yield kind.format(each["metadata"]["namespace"], each["metadata"]["name"])

    async def _ensure_namespace(self, name: str) -> None:
        """Waits for the Space's own namespace: what is put into the one of its predecessor goes with that."""
        while True:
            _, owner = await self.admin.ask("GET", space_path(name))
            status, found = await self.admin.ask("GET", f"/api/v1/namespaces/{name}")
            if status == 200 and "deletionTimestamp" not in found["metadata"]:
                owners = found["metadata"].get("ownerReferences") or ()
                if any(each["uid"] == owner["metadata"]["uid"] for each in owners):
                    return
            await asyncio.sleep(0.1)

    async def _restore_secret(self, number: int) -> None:
        wanted = soak_secret(number)
        path = f"{SECRETS_PATH}/{wanted['metadata']['name']}"
        status = await self.admin.patch(path, {"metadata": wanted["metadata"], "data": wanted["data"]})
        if status == 404:
            await self.admin.ask("POST", SECRETS_PATH, wanted)

    async def _restore(self, path: str) -> None:
        """Tries until the object is there as wanted: its namespace, or its namesake, may still have to go."""
        wanted = self.full[path]
        while True:
            status, live = await self.admin.ask("GET", path)
            if status == 404:
                status, _ = await self.admin.ask("POST", path.rpartition("/")[0], wanted)
                done = status == 201
            elif status != 200 or "deletionTimestamp" in live["metadata"]:
                done = False
            else:
                meta = {name: live["metadata"][name] for name in ("name", "resourceVersion")}
                if "namespace" in live["metadata"]:
                    meta["namespace"] = live["metadata"]["namespace"]
                if "finalizers" in live["metadata"]:
                    meta["finalizers"] = live["metadata"]["finalizers"]
                status, _ = await self.admin.ask("PUT", path, {**wanted, "metadata": meta})
                done = status == 200
            if done:
                return
            await asyncio.sleep(0.1)


def touch(count: int) -> Obj:
    """An annotation that means nothing to decco."""
    return {"metadata": {"annotations": {f"example.net/{GROUP.split('.')[0]}": str(count)}}}
