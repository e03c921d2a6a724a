"""What a person does in the runs: each scenario is objects that are there before, and edits while the faults strike."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.faults.zone import ZONE
from tests.integration.harness import APIS, Obj, app, pod, space, tls_secret
from tests.soak.world import Administrator

GONE_SECONDS = 120.0
POLL_SECONDS = 0.05
HELD_SECONDS = 0.5


@dataclass
class User:
    """An administrator with the names of one run. All of them have the token in them."""

    admin: Administrator
    token: str
    certificates: dict[str, str] = field(default_factory=dict)
    """Data of Secrets -> what to call it, because it is different in each run."""

    @property
    def name(self) -> str:
        return self.token

    @property
    def other(self) -> str:
        return f"{self.token}-other"

    @property
    def spaces(self) -> list[str]:
        return [self.name, self.other]

    @property
    def home(self) -> str:
        return f"decco-{self.token}"

    def space_path(self, name: str = "") -> str:
        return f"{APIS}/spaces/{name or self.name}"

    def app_path(self, name: str = "web") -> str:
        return f"{APIS}/namespaces/{self.name}/apps/{name}"

    async def prepare(self) -> None:
        await self.make({"kind": "Namespace", "metadata": {"name": self.home}}, "/api/v1/namespaces")
        for name in ("http", "tcp"):
            await self.certificate(name)

    async def make(self, obj: Obj, path: str) -> None:
        """Creates an object, as soon as its namespace is there and its name free."""
        async with asyncio.timeout(GONE_SECONDS):
            while (await self.admin.ask("POST", path, obj))[0] not in (200, 201):  # noqa: ASYNC110 (the API server reports no event)
                await asyncio.sleep(POLL_SECONDS)

    async def certificate(self, name: str, version: int = 1) -> None:
        """A Secret in the controller's namespace that Spaces may copy; another ``version`` renews it."""
        hosts = (f"{self.name}.{ZONE}", f"*.{self.name}.{ZONE}", f"{self.other}.{ZONE}", f"*.{self.other}.{ZONE}")
        obj = tls_secret(name, *hosts, namespace=self.home)
        for field_name, value in obj["data"].items():
            pem = base64.b64decode(value).decode()
            # Also as a text in a ConfigMap, which is compared as JSON.
            for form in (value, json.dumps(pem)[1:-1]):
                self.certificates[form] = f"{name} {field_name} {version}"
        path = f"/api/v1/namespaces/{self.home}/secrets"
        if version == 1:
            await self.make(obj, path)
        else:
            await self.admin.patch(f"{path}/{name}", {"data": obj["data"]})

    async def space(self, name: str = "", **spec: Any) -> None:
        wanted = {"httpCertSecretName": "http", "tcpCertAndCaSecretName": "tcp", "project": "widgets", **spec}
        await self.make(space(name or self.name, ZONE, **wanted), f"{APIS}/spaces")

    async def app(self, name: str = "web", **spec: Any) -> None:
        await self.make(app(self.name, name, **{**APP, **spec}), f"{APIS}/namespaces/{self.name}/apps")

    async def edit(self, path: str, **spec: Any) -> None:
        await self.admin.patch(path, {"spec": spec})

    async def delete(self, path: str) -> None:
        await self.admin.ask("DELETE", path)

    async def is_current(self) -> bool:
        """Whether the status of each Space and App is about what it is now."""
        found = []
        for name in self.spaces:
            status, obj = await self.admin.ask("GET", self.space_path(name))
            found += [obj] if status == 200 else []
        status, listed = await self.admin.ask("GET", f"{APIS}/namespaces/{self.name}/apps")
        found += listed["items"]
        return all((o.get("status") or {}).get("observedGeneration") == o["metadata"]["generation"] for o in found)

    async def gone(self, path: str) -> None:
        async with asyncio.timeout(GONE_SECONDS):
            while (await self.admin.ask("GET", path))[0] != 404:  # noqa: ASYNC110 (the API server reports no event)
                await asyncio.sleep(POLL_SECONDS)


HTTP = {"name": "web", "port": 8080, "httpPath": "/web"}
TCP = {"name": "db", "port": 5432, "createDnsRecord": True}
APP: Obj = {"pod": pod(8080, 5432), "endpoints": [HTTP, TCP], "initialReplicas": 0}
JOB: Obj = {"runAsJob": True, "endpoints": [], "pod": {**pod(image="registry.example/job:1"), "restartPolicy": "Never"}}

Act = Callable[[User], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """``before`` is done and settled when ``act`` begins. ``slow``: Kubernetes itself takes seconds in it."""

    name: str
    act: Act
    before: Act | None = None
    slow: bool = False


async def _space(user: User) -> None:
    await user.space()


async def _space_and_app(user: User) -> None:
    await user.space()
    await user.app()


async def _app_updated(user: User) -> None:
    await user.edit(user.app_path(), pod=pod(8080, 5432, image="registry.example/app:2"))


async def _endpoints_renamed(user: User) -> None:
    renamed = [{**HTTP, "name": "site", "httpPath": "/site"}, {**TCP, "name": "store"}]
    await user.edit(user.app_path(), endpoints=renamed)


async def _endpoints_removed(user: User) -> None:
    await user.edit(user.app_path(), endpoints=[])


async def _into_a_job(user: User) -> None:
    await user.edit(user.app_path(), **JOB)


async def _space_updated(user: User) -> None:
    spec: Obj = {"hostnames": [f"shop.{user.name}-shop.{ZONE}"], "encryptHttp": True, "project": "gadgets"}
    await user.edit(user.space_path(), **spec, resourceQuota={"hard": {"pods": "5"}})


async def _renewed(user: User) -> None:
    await user.certificate("http", 2)
    await user.certificate("tcp", 2)


async def _revoked(user: User) -> None:
    note = {"metadata": {"annotations": {"decco.platform9.com/share-with": f"nobody.{ZONE}"}}}
    await user.admin.patch(f"/api/v1/namespaces/{user.home}/secrets/http", note)


def _contested(user: User) -> list[str]:
    return [f"shop.{user.name}-shop.{ZONE}"]


async def _first_claims(user: User) -> None:
    await user.space(hostnames=_contested(user))


async def _second_claims(user: User) -> None:
    await user.space(user.other, hostnames=_contested(user))


async def _both_claim(user: User) -> None:
    await _first_claims(user)
    await _second_claims(user)


async def _first_gives_up(user: User) -> None:
    await user.edit(user.space_path(), hostnames=[])


async def _app_deleted(user: User) -> None:
    await user.delete(user.app_path())
    await user.gone(user.app_path())


async def _app_recreated(user: User) -> None:
    await _app_deleted(user)
    await user.app(endpoints=[{**HTTP, "httpPath": "/again"}, TCP])


async def _space_deleted(user: User) -> None:
    await user.delete(user.space_path())
    await user.gone(user.space_path())
    await user.gone(f"/api/v1/namespaces/{user.name}")


async def _space_recreated(user: User) -> None:
    await _space_deleted(user)
    await _space_and_app(user)


async def _children_lost(user: User) -> None:
    """Somebody deletes children; no copy of a Secret: these are not watched, and come back within an hour."""
    for root, plural, name in (
        ("/apis/networking.k8s.io/v1", "networkpolicies", "decco"),
        ("/apis/apps/v1", "deployments", "web"),
        ("/api/v1", "services", "web"),
    ):
        await user.delete(f"{root}/namespaces/{user.name}/{plural}/{name}")


async def _children_altered(user: User) -> None:
    """Somebody opens the isolation, and takes the ownership of children that nobody wants any more a moment later."""
    policy = f"/apis/networking.k8s.io/v1/namespaces/{user.name}/networkpolicies/app-web"
    await user.edit(policy, podSelector={"matchLabels": {"nobody": "true"}})
    for path in (
        f"/api/v1/namespaces/{user.name}/services/web",
        f"/apis/gateway.networking.k8s.io/v1/namespaces/{user.name}/httproutes/web",
    ):
        await user.admin.patch(path, {"metadata": {"ownerReferences": None}})
    await user.edit(user.app_path(), endpoints=[TCP])


async def _child_held(user: User) -> None:
    """Somebody keeps the isolation of the Space in deletion for a while, by a finalizer, and opens it."""
    policy = f"/apis/networking.k8s.io/v1/namespaces/{user.name}/networkpolicies/decco"
    await user.admin.patch(policy, {"metadata": {"finalizers": ["faults.test/held"]}})
    await user.delete(policy)
    await user.edit(policy, ingress=[{}])
    await asyncio.sleep(HELD_SECONDS)
    await user.admin.patch(policy, {"metadata": {"finalizers": None}})


async def _space_and_job(user: User) -> None:
    await user.space()
    await user.app("job", **JOB)


async def _job_again(user: User) -> None:
    await user.edit(user.app_path("job"), pod={**JOB["pod"], **pod(image="registry.example/job:2")})


SCENARIOS = {
    each.name: each
    for each in (
        Scenario("space-create", _space),
        Scenario("app-create", lambda user: user.app(), _space),
        Scenario("app-update", _app_updated, _space_and_app),
        Scenario("endpoints-rename", _endpoints_renamed, _space_and_app),
        Scenario("endpoints-remove", _endpoints_removed, _space_and_app),
        Scenario("app-to-job", _into_a_job, _space_and_app),
        Scenario("space-update", _space_updated, _space_and_app),
        Scenario("renewal", _renewed, _space_and_app),
        Scenario("revocation", _revoked, _space_and_app),
        Scenario("conflict", _second_claims, _first_claims),
        Scenario("conflict-end", _first_gives_up, _both_claim),
        Scenario("children-lost", _children_lost, _space_and_app),
        Scenario("children-altered", _children_altered, _space_and_app),
        Scenario("child-held", _child_held, _space_and_app),
        Scenario("job-again", _job_again, _space_and_job),
        Scenario("app-delete", _app_deleted, _space_and_app),
        Scenario("app-recreate", _app_recreated, _space_and_app),
        Scenario("space-delete", _space_deleted, _space_and_app, slow=True),
        Scenario("space-recreate", _space_recreated, _space_and_app, slow=True),
    )
}

AS_PROCESS = "~process"
"""Ends the name of a scenario whose controller is a process of its own. Such a plan takes ten times as long, so
only crashes are tried there."""
PROCESSES = tuple(f"{name}{AS_PROCESS}" for name in ("space-create", "app-create", "endpoints-rename", "app-delete"))
ALL = (*SCENARIOS, *PROCESSES)
