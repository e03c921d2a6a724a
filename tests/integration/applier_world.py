"""A namespace, an owner, the real Applier with its stores, and an administrator who changes objects.

Shared parts of the tests of diff-and-apply: ``World``, and one desired object of each kind that decco writes. They are
made, changed and repaired by the real Applier through the real Client, and the API server's audit log says what that
cost; others' changes are made as an administrator, by kubectl where there is a command for it.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from decco.desired.model import Served
from decco.kube import config, discovery
from decco.kube.apply import Applied, Applier
from decco.kube.client import Client
from decco.kube.entry import Entry
from decco.kube.errors import Conflict
from decco.kube.store import Store
from decco.objects import (
    ANNOTATION_INITIAL_REPLICAS,
    ANNOTATION_RUN,
    BACKEND_TLS_POLICIES,
    CONFIGMAPS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    GATEWAY_GROUP,
    GATEWAYS,
    HTTP_ROUTES,
    INGRESSES,
    JOBS,
    LABEL_MANAGED_BY,
    LABEL_SPACE,
    LIMIT_RANGES,
    LISTENER_SETS,
    MANAGED_SELECTOR,
    NAMESPACES,
    NETWORK_POLICIES,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    SPACES,
    STATEFUL_SETS,
    TLS_ROUTES,
    Key,
    Obj,
    Resource,
)
from decco.reconcilers.kinds import children
from testbed.controlplane import ControlPlane
from tests.promises import PATIENCE

AGENT = "decco-apply-test"
LIVES = pytest.mark.parametrize("restarted", [False, True], ids=["same-life", "after-restart"])


class World:
    """One namespace, one owner, an Applier with its stores, and an administrator who changes objects."""

    def __init__(self, cp: ControlPlane, client: Client, served: Served, namespace: str) -> None:
        self.cp = cp
        self.client = client
        self.shapes = children(served)
        self.served = served
        self.namespace = namespace
        self.owner: Obj = {}
        self._mark = 0
        self.conflicts = 0
        self.previews: list[str] = []
        """The dry runs among the requests since the last call."""
        self.restart_empty()

    # decco

    def restart_empty(self) -> None:
        self.stores = {resource: Store(resource, shape) for resource, shape in self.shapes.items()}
        self.applier = Applier(self.client, self.stores)

    async def restart(self, resource: Resource) -> None:
        """Another process: it has only what a list contains."""
        self.restart_empty()
        await self.relist(resource)

    async def relist(self, resource: Resource) -> None:
        """The cache catches up with the server."""
        store = self.stores[resource]
        entries: dict[Key, Entry] = {}
        namespace = self.namespace if resource.namespaced else ""
        async for page in self.client.list_pages(resource, namespace=namespace, labels=MANAGED_SELECTOR):
            entries |= {entry.key: entry for entry in map(store.read, page.items)}
            version = int(page.resource_version)
        store.replace_all(entries, version)

    async def ensure(self, resource: Resource, desired: Obj) -> Applied:
        """As a reconcile would: after a Conflict (the controllers of Kubernetes write too) again with a newer cache."""
        before = copy.deepcopy(desired)
        while True:
            try:
                applied = await self.applier.ensure(resource, desired)
            except Conflict:
                self.conflicts += 1
                await self.relist(resource)
            else:
                assert desired == before, "what is desired is not changed by applying it"
                return applied

    def desired(self, resource: Resource, name: str = "web", **content: Any) -> Obj:
        """A desired object, with its labels, owner and content."""
        meta: Obj = {"name": name, "labels": {LABEL_MANAGED_BY: "decco", "team": "blue"}, "annotations": {"note": "a"}}
        meta["ownerReferences"] = [self.owner]
        if resource.namespaced:
            meta["namespace"] = self.namespace
            meta["labels"][LABEL_SPACE] = self.namespace
        content.setdefault("metadata", {})
        for part, values in content.pop("metadata").items():
            meta[part] = {**meta.get(part, {}), **values}
        return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, **content}

    def mark(self) -> None:
        self._mark = self.cp.audit_mark()

    def requests(self) -> list[str]:
        """What the Applier sent since the last call or ``mark``, as "POST 201".

        Without lists, and without the PUTs that were refused because somebody had written in between. Dry runs are in
        ``previews``.
        """
        verbs = {"create": "POST", "update": "PUT", "delete": "DELETE", "get": "GET", "patch": "PATCH"}
        events = self.cp.audit(AGENT, since=self._mark)
        self.mark()
        asked = [
            (f"{verbs[event.verb]} {event.code}", "dryRun=All" in event.uri) for event in events if event.verb in verbs
        ]
        assert [request for request, _ in asked].count("PUT 409") == self.conflicts
        self.conflicts = 0
        counted = [(request, dry_run) for request, dry_run in asked if request != "PUT 409"]
        self.previews = [request for request, dry_run in counted if dry_run]
        return [request for request, dry_run in counted if not dry_run]

    # Everybody else

    def path(self, resource: Resource, name: str = "") -> str:
        return resource.path(self.namespace if resource.namespaced else "", name)

    def live(self, resource: Resource, name: str = "web") -> Obj:
        answer = self.cp.request("GET", self.path(resource, name))
        assert answer.status == 200, answer.body
        return dict(answer.json())

    def patch(self, resource: Resource, patch: object, kind: str = "merge", name: str = "web", query: str = "") -> None:
        headers = {"Content-Type": f"application/{kind}-patch+json"}
        path = f"{self.path(resource, name)}?fieldManager=kubectl-edit{query}"
        answer = self.cp.request("PATCH", path, patch, headers=headers)
        assert answer.status == 200, answer.body

    def delete(self, resource: Resource, name: str = "web") -> None:
        assert self.cp.request("DELETE", self.path(resource, name)).status in {200, 202}

    def kubectl(self, *args: str) -> None:
        self.cp.kubectl("-n", self.namespace, *args)

    async def eventually(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not true():  # noqa: ASYNC110 - what is asked of the API server sets no event
                await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def served(control_plane: ControlPlane) -> Served:
    async def ask() -> Served:
        connection = await config.connect(str(control_plane.controller_kubeconfig))
        async with Client(connection, user_agent=AGENT) as client:
            kinds = await discovery.served(client, GATEWAY_GROUP)
        return {kind: kind for kind in kinds.values()}

    return asyncio.run(ask())


@pytest.fixture
async def world(control_plane: ControlPlane, served: Served, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    namespace = f"apply-{zlib.crc32(request.node.nodeid.encode()):08x}"
    control_plane.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    connection = await config.connect(str(control_plane.controller_kubeconfig))
    async with Client(connection, user_agent=AGENT) as client:
        world = World(control_plane, client, served, namespace)
        # A Space owns a namespace of its name only, and of what is in a namespace any Space or App may be the owner.
        spaces = SPACES.path("", "")
        name = f"{namespace}-child"
        head = {"apiVersion": SPACES.api_version, "kind": SPACES.kind}
        made = control_plane.create(spaces, {**head, "metadata": {"name": name}, "spec": {"domainName": "example.net"}})
        world.owner = {
            **head,
            "name": name,
            "uid": made["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        world.mark()
        yield world
    control_plane.request("DELETE", SPACES.path("", name))
    control_plane.request("DELETE", f"/api/v1/namespaces/{namespace}")


# One desired object of each kind --------------------------------------------------------------------------------------

POD = {
    "containers": [
        {
            "name": "main",
            "image": "registry.example/app:1",
            "ports": [{"containerPort": 8080}],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
            "securityContext": {"runAsUser": 0},
        }
    ],
    "nodeSelector": {"node-role.kubernetes.io/edge": ""},
}
PARENT = {"parentRefs": [{"name": "edge", "sectionName": "https"}]}
TLS = {"mode": "Terminate", "certificateRefs": [{"name": "cert"}]}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def labelled(pod: Obj) -> Obj:
    return {"metadata": {"labels": {"app": "web"}}, "spec": copy.deepcopy(pod)}


def deployment(world: World, pod: Obj | None = None, replicas: int = 1, **more: Any) -> Obj:
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": labelled(pod or POD)}
    annotations = {ANNOTATION_INITIAL_REPLICAS: str(replicas)}
    return world.desired(DEPLOYMENTS, spec={**spec, **more}, metadata={"annotations": annotations})


def stateful_set(world: World, replicas: int = 1) -> Obj:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}
    spec = {
        "replicas": replicas,
        "serviceName": "web-pods",
        "selector": {"matchLabels": {"app": "web"}},
        "template": labelled(POD),
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
    }
    annotations = {ANNOTATION_INITIAL_REPLICAS: str(replicas)}
    return world.desired(STATEFUL_SETS, spec=spec, metadata={"annotations": annotations})


def job(world: World, run: str = "1", pod: Obj | None = None, **more: Any) -> Obj:
    template = {"spec": {**copy.deepcopy(pod or POD), "restartPolicy": "Never"}}
    spec = {"backoffLimit": 3, "template": template, **more}
    return world.desired(JOBS, spec=spec, metadata={"annotations": {ANNOTATION_RUN: run}})


def desired_objects(world: World) -> dict[Resource, Obj]:
    served = world.served
    listeners = [
        {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": "a.example.net", "tls": TLS},
        {"name": "tls", "port": 443, "protocol": "TLS", "hostname": "*.a.example.net", "tls": {"mode": "Passthrough"}},
    ]
    backend = {"backendRefs": [{"name": "web", "port": 443}]}
    ingress = {"host": "a.example.net", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {}}]}}
    ingress["http"]["paths"][0]["backend"] = {"service": {"name": "web", "port": {"number": 80}}}  # type: ignore[index]
    policy = {"targetRefs": [{"group": "", "kind": "Service", "name": "web"}]}
    return {
        # The label may be written only by decco, by a policy of the cluster's: see is_marked_namespace.
        NAMESPACES: world.desired(
            NAMESPACES,
            name=f"{world.namespace}-child",
            metadata={"labels": {LABEL_SPACE: f"{world.namespace}-child"}},
        ),
        SECRETS: world.desired(
            SECRETS, type="kubernetes.io/tls", data={"tls.crt": encoded("c"), "tls.key": encoded("k"), "empty": ""}
        ),
        CONFIGMAPS: world.desired(CONFIGMAPS, data={"a": "1", "b": "2", "empty": ""}),
        SERVICES: world.desired(
            SERVICES,
            spec={
                "selector": {"app": "web"},
                "ports": [{"name": "a", "port": 443, "targetPort": 8443}, {"name": "b", "port": 80}],
            },
        ),
        RESOURCE_QUOTAS: world.desired(
            RESOURCE_QUOTAS, spec={"hard": {"cpu": "1000m", "pods": 10, "memory": "1024Mi"}}
        ),
        LIMIT_RANGES: world.desired(
            LIMIT_RANGES, spec={"limits": [{"type": "Container", "default": {"cpu": "1000m", "memory": 1024}}]}
        ),
        NETWORK_POLICIES: world.desired(
            NETWORK_POLICIES,
            spec={
                "podSelector": {"matchLabels": {"app": "web", "flag": ""}},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"podSelector": {}}]}, {"ports": [{"port": 8443}]}],
            },
        ),
        DEPLOYMENTS: deployment(world),
        STATEFUL_SETS: stateful_set(world),
        DISRUPTION_BUDGETS: world.desired(
            DISRUPTION_BUDGETS, spec={"maxUnavailable": "25%", "selector": {"matchLabels": {"app": "web"}}}
        ),
        JOBS: job(world),
        INGRESSES: world.desired(INGRESSES, spec={"ingressClassName": "nginx", "rules": [ingress]}),
        served[GATEWAYS]: world.desired(served[GATEWAYS], spec={"gatewayClassName": "edge", "listeners": listeners}),
        served[LISTENER_SETS]: world.desired(
            served[LISTENER_SETS], spec={"parentRef": {"name": "edge", "namespace": "edge"}, "listeners": listeners}
        ),
        served[HTTP_ROUTES]: world.desired(
            served[HTTP_ROUTES],
            spec={
                **PARENT,
                "hostnames": ["a.example.net"],
                "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/web"}}], **backend}],
            },
        ),
        served[TLS_ROUTES]: world.desired(
            served[TLS_ROUTES], spec={**PARENT, "hostnames": ["db.a.example.net"], "rules": [backend]}
        ),
        served[BACKEND_TLS_POLICIES]: world.desired(
            served[BACKEND_TLS_POLICIES],
            spec={**policy, "validation": {"hostname": "a.example.net", "wellKnownCACertificates": "System"}},
        ),
    }


KINDS = [*children({}), "Gateway", "ListenerSet", "HTTPRoute", "TLSRoute", "BackendTLSPolicy"]


def of_kind(world: World, kind: Resource | str) -> tuple[Resource, Obj]:
    """The resource and the desired object of a kind; the Gateway API's by name, as their version is the cluster's."""
    made = desired_objects(world)
    resource = next(r for r in made if kind in (r, r.kind))
    return resource, made[resource]


def named(kind: Resource | str) -> str:
    return kind if isinstance(kind, str) else kind.kind
