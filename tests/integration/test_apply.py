"""Diff before write, against a real API server: what each wish and each act of vandalism costs, counted by the server.

Every object is made, changed and repaired by the real Applier through the real Client; others' changes are made as an
administrator, by kubectl where there is a command for it.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from decco.desired.model import Served
from decco.kube import config, discovery
from decco.kube import watch as w
from decco.kube.apply import Applied, Applier, Foreign, Result
from decco.kube.client import Client
from decco.kube.errors import Conflict, Invalid
from decco.kube.informer import Informer
from decco.kube.store import Entry, Store
from decco.objects import (
    ANNOTATION_HASH,
    ANNOTATION_INITIAL_REPLICAS,
    ANNOTATION_RUN,
    CONFIGMAPS,
    DEPLOYMENTS,
    GATEWAY_GROUP,
    INGRESSES,
    JOBS,
    LABEL_MANAGED_BY,
    LIMIT_RANGES,
    MANAGED_SELECTOR,
    NAMESPACES,
    NETWORK_POLICIES,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    Key,
    Obj,
    Resource,
    key_of,
)
from decco.reconcilers.shapes import CHILDREN, optional_children
from testbed.controlplane import ControlPlane

AGENT = "decco-apply-test"
SECONDS = 10.0


class World:
    """One namespace, one owner, an Applier with its stores, and an administrator who meddles."""

    def __init__(self, cp: ControlPlane, client: Client, served: Served, namespace: str) -> None:
        self.cp = cp
        self.client = client
        self.shapes = {**CHILDREN, **optional_children(served)}
        self.served = served
        self.namespace = namespace
        self.owner: Obj = {}
        self._mark = 0
        self.conflicts = 0
        self.restart_empty()

    # decco

    def restart_empty(self) -> None:
        self.stores = {resource: Store(resource, shape) for resource, shape in self.shapes.items()}
        self.applier = Applier(self.client, self.stores)

    async def restart(self, resource: Resource) -> None:
        """Another process: nothing is known but what a list shows."""
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
        store.swap(entries, version)

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

    def wish(self, resource: Resource, name: str = "web", **content: Any) -> Obj:
        """An object that decco wants, with its labels, owner and content."""
        meta: Obj = {"name": name, "labels": {LABEL_MANAGED_BY: "decco", "team": "blue"}, "annotations": {"note": "a"}}
        meta["ownerReferences"] = [self.owner]
        if resource.namespaced:
            meta["namespace"] = self.namespace
        content.setdefault("metadata", {})
        for part, values in content.pop("metadata").items():
            meta[part] = {**meta.get(part, {}), **values}
        return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, **content}

    def mark(self) -> None:
        self._mark = self.cp.audit_mark()

    def requests(self) -> list[str]:
        """What the Applier sent since the last call or ``mark``, as "POST 201".

        Without lists, and without the PUTs that were refused because somebody had written in between.
        """
        verbs = {"create": "POST", "update": "PUT", "delete": "DELETE", "get": "GET", "patch": "PATCH"}
        events = self.cp.audit(AGENT, since=self._mark)
        self.mark()
        sent = [f"{verbs[event.verb]} {event.code}" for event in events if event.verb in verbs]
        assert sent.count("PUT 409") == self.conflicts
        self.conflicts = 0
        return [request for request in sent if request != "PUT 409"]

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
        async with asyncio.timeout(SECONDS):
            while not true():  # noqa: ASYNC110 - what is asked of the API server sets no event
                await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def served(control_plane: ControlPlane) -> Served:
    async def ask() -> Served:
        connection = await config.connect(str(control_plane.controller_kubeconfig))
        async with Client(connection, user_agent=AGENT) as client:
            kinds = await discovery.served(client, GATEWAY_GROUP)
        return Served(
            gateway=kinds["Gateway"],
            listener_set=kinds["ListenerSet"],
            http_route=kinds["HTTPRoute"],
            tls_route=kinds["TLSRoute"],
            backend_tls_policy=kinds["BackendTLSPolicy"],
        )

    return asyncio.run(ask())


@pytest.fixture
async def world(control_plane: ControlPlane, served: Served, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    namespace = f"apply-{zlib.crc32(request.node.nodeid.encode()):08x}"
    made = control_plane.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    connection = await config.connect(str(control_plane.controller_kubeconfig))
    async with Client(connection, user_agent=AGENT) as client:
        world = World(control_plane, client, served, namespace)
        # Any object will do as an owner; a namespace may own what is in it, and other namespaces.
        world.owner = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "name": namespace,
            "uid": made["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        world.mark()
        yield world
    control_plane.request("DELETE", f"/api/v1/namespaces/{namespace}")


# One wish of each kind ------------------------------------------------------------------------------------------------

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
    return world.wish(DEPLOYMENTS, spec={**spec, **more}, metadata={"annotations": annotations})


def job(world: World, run: str = "1", pod: Obj | None = None, **more: Any) -> Obj:
    template = {"spec": {**copy.deepcopy(pod or POD), "restartPolicy": "Never"}}
    spec = {"backoffLimit": 3, "template": template, **more}
    return world.wish(JOBS, spec=spec, metadata={"annotations": {ANNOTATION_RUN: run}})


def wishes(world: World) -> dict[Resource, Obj]:
    served = world.served
    assert served.listener_set is not None
    assert served.http_route is not None
    assert served.tls_route is not None
    assert served.gateway is not None
    assert served.backend_tls_policy is not None
    listeners = [
        {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": "a.example.net", "tls": TLS},
        {"name": "tls", "port": 443, "protocol": "TLS", "hostname": "*.a.example.net", "tls": {"mode": "Passthrough"}},
    ]
    backend = {"backendRefs": [{"name": "web", "port": 443}]}
    ingress = {"host": "a.example.net", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {}}]}}
    ingress["http"]["paths"][0]["backend"] = {"service": {"name": "web", "port": {"number": 80}}}  # type: ignore[index]
    policy = {"targetRefs": [{"group": "", "kind": "Service", "name": "web"}]}
    return {
        NAMESPACES: world.wish(NAMESPACES, name=f"{world.namespace}-child"),
        SECRETS: world.wish(
            SECRETS, type="kubernetes.io/tls", data={"tls.crt": encoded("c"), "tls.key": encoded("k"), "empty": ""}
        ),
        CONFIGMAPS: world.wish(CONFIGMAPS, data={"a": "1", "b": "2", "empty": ""}),
        SERVICES: world.wish(
            SERVICES,
            spec={
                "selector": {"app": "web"},
                "ports": [{"name": "a", "port": 443, "targetPort": 8443}, {"name": "b", "port": 80}],
            },
        ),
        RESOURCE_QUOTAS: world.wish(RESOURCE_QUOTAS, spec={"hard": {"cpu": "1000m", "pods": 10, "memory": "1024Mi"}}),
        LIMIT_RANGES: world.wish(
            LIMIT_RANGES, spec={"limits": [{"type": "Container", "default": {"cpu": "1000m", "memory": 1024}}]}
        ),
        NETWORK_POLICIES: world.wish(
            NETWORK_POLICIES,
            spec={
                "podSelector": {"matchLabels": {"app": "web", "flag": ""}},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"podSelector": {}}]}, {"ports": [{"port": 8443}]}],
            },
        ),
        DEPLOYMENTS: deployment(world),
        JOBS: job(world),
        INGRESSES: world.wish(INGRESSES, spec={"ingressClassName": "nginx", "rules": [ingress]}),
        served.gateway: world.wish(served.gateway, spec={"gatewayClassName": "edge", "listeners": listeners}),
        served.listener_set: world.wish(
            served.listener_set, spec={"parentRef": {"name": "edge", "namespace": "edge"}, "listeners": listeners}
        ),
        served.http_route: world.wish(
            served.http_route,
            spec={
                **PARENT,
                "hostnames": ["a.example.net"],
                "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/web"}}], **backend}],
            },
        ),
        served.tls_route: world.wish(
            served.tls_route, spec={**PARENT, "hostnames": ["db.a.example.net"], "rules": [backend]}
        ),
        served.backend_tls_policy: world.wish(
            served.backend_tls_policy,
            spec={**policy, "validation": {"hostname": "a.example.net", "wellKnownCACertificates": "System"}},
        ),
    }


KINDS = [*CHILDREN, "Gateway", "ListenerSet", "HTTPRoute", "TLSRoute", "BackendTLSPolicy"]


def of_kind(world: World, kind: Resource | str) -> tuple[Resource, Obj]:
    """The resource and the wish of a kind; the Gateway API's are named, since their version is the cluster's choice."""
    made = wishes(world)
    resource = next(r for r in made if kind in (r, r.kind))
    return resource, made[resource]


def named(kind: Resource | str) -> str:
    return kind if isinstance(kind, str) else kind.kind


# The price of a wish --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=named)
async def test_a_wish_costs_one_write_and_no_more(world: World, kind: Resource | str) -> None:
    resource, desired = of_kind(world, kind)
    name = desired["metadata"]["name"]
    made = await world.ensure(resource, desired)
    assert (made.result, world.requests()) == (Result.CREATED, ["POST 201"])

    for _ in range(2):  # from the answer alone, and after the watch has told everything
        assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
        await world.relist(resource)
    assert world.requests() == []

    other = copy.deepcopy(desired)
    other["metadata"]["labels"] |= {"team": None, "more": "x"}
    other["metadata"]["annotations"]["note"] = "b"
    world.patch(resource, {"metadata": {"labels": {"theirs": "1"}, "annotations": {"theirs": "2"}}}, name=name)
    world.patch(resource, {"metadata": {"finalizers": ["example.com/theirs"]}}, name=name)
    await world.relist(resource)
    assert (await world.ensure(resource, desired)).result is Result.UNCHANGED, "others may add"
    assert world.requests() == []
    assert (await world.ensure(resource, other)).result is Result.UPDATED
    assert (await world.ensure(resource, other)).result is Result.UNCHANGED
    assert world.requests() == ["PUT 200"]
    meta = world.live(resource, name)["metadata"]
    assert {"theirs": "1", "more": "x", LABEL_MANAGED_BY: "decco"}.items() <= meta["labels"].items()
    assert "team" not in meta["labels"]
    assert {"theirs": "2", "note": "b"}.items() <= meta["annotations"].items()
    assert meta["finalizers"] == ["example.com/theirs"]

    await world.restart(resource)
    assert (await world.ensure(resource, other)).result is Result.UNCHANGED
    assert world.requests() == [], "a restart finds everything as it should be"
    world.patch(resource, {"metadata": {"finalizers": None}}, name=name)


CONTENT_CHANGES: dict[str, tuple[Resource | str, Callable[[Obj], Any], Callable[[Obj], Any]]] = {
    # what decco wants next, as a change of its wish; what must be true of the live object afterwards
    "ConfigMap, a key less": (CONFIGMAPS, lambda o: o["data"].pop("a"), lambda o: set(o["data"]) == {"b", "empty"}),
    "Secret, a key less": (
        SECRETS,
        lambda o: o["data"].pop("empty"),
        lambda o: set(o["data"]) == {"tls.crt", "tls.key"},
    ),
    "Service, a port less": (SERVICES, lambda o: o["spec"]["ports"].pop(), lambda o: len(o["spec"]["ports"]) == 1),
    "Deployment, another image": (
        DEPLOYMENTS,
        lambda o: o["spec"]["template"]["spec"]["containers"][0].update(image="registry.example/app:2"),
        lambda o: o["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/app:2",
    ),
    "Deployment, no environment": (
        DEPLOYMENTS,
        lambda o: o["spec"]["template"]["spec"]["containers"][0].pop("env"),
        lambda o: "env" not in o["spec"]["template"]["spec"]["containers"][0],
    ),
    "NetworkPolicy, a rule less": (
        NETWORK_POLICIES,
        lambda o: o["spec"]["ingress"].pop(),
        lambda o: o["spec"]["ingress"] == [{"from": [{"podSelector": {}}]}],
    ),
    "ResourceQuota, a limit less": (
        RESOURCE_QUOTAS,
        lambda o: o["spec"]["hard"].pop("pods"),
        lambda o: o["spec"]["hard"] == {"cpu": "1", "memory": "1Gi"},
    ),
    "Ingress, another class": (
        INGRESSES,
        lambda o: o["spec"].update(ingressClassName="haproxy"),
        lambda o: o["spec"]["ingressClassName"] == "haproxy",
    ),
    "HTTPRoute, another path": (
        "HTTPRoute",
        lambda o: o["spec"]["rules"][0]["matches"][0]["path"].update(value="/other"),
        lambda o: o["spec"]["rules"][0]["matches"][0]["path"]["value"] == "/other",
    ),
    "ListenerSet, a listener less": (
        "ListenerSet",
        lambda o: o["spec"]["listeners"].pop(),
        lambda o: [listener["name"] for listener in o["spec"]["listeners"]] == ["https"],
    ),
    "Job, another backoff limit": (
        JOBS,
        lambda o: o["spec"].update(backoffLimit=5),
        lambda o: o["spec"]["backoffLimit"] == 5,
    ),
}


@pytest.mark.parametrize("name", CONTENT_CHANGES)
async def test_another_wish_is_one_write_that_also_takes_away(world: World, name: str) -> None:
    kind, change, holds = CONTENT_CHANGES[name]
    resource, desired = of_kind(world, kind)
    await world.ensure(resource, desired)
    await world.relist(resource)
    world.requests()
    change(desired)
    assert (await world.ensure(resource, desired)).result is Result.UPDATED
    assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
    assert world.requests() == ["PUT 200"]
    assert holds(world.live(resource))
    await world.restart(resource)
    assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
    assert world.requests() == []


# Vandalism ------------------------------------------------------------------------------------------------------------

FIRST = "/spec/template/spec/containers/0"
MIRROR = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "spy", "port": 80}}}
Vandalism = Callable[[World], None]


def kubectl(*args: str) -> Vandalism:
    return lambda world: world.kubectl(*args)


def json_patch(kind: Resource | str, *operations: tuple[str, str, Any]) -> Vandalism:
    def act(world: World) -> None:
        resource, desired = of_kind(world, kind)
        patch = [{"op": op, "path": path, "value": value} for op, path, value in operations]
        world.patch(resource, patch, "json", desired["metadata"]["name"])

    return act


def replaced(kind: Resource | str, change: Callable[[Obj], Any]) -> Vandalism:
    """`kubectl replace` of the live object, changed."""

    def act(world: World) -> None:
        resource, desired = of_kind(world, kind)
        live = world.live(resource, desired["metadata"]["name"])
        change(live)
        answer = world.cp.request("PUT", world.path(resource, live["metadata"]["name"]), live)
        assert answer.status == 200, answer.body

    return act


CONTENT_VANDALISM: dict[str, tuple[Resource | str, Vandalism]] = {
    "set env": (DEPLOYMENTS, kubectl("set", "env", "deployment/web", "C=3")),
    "change env": (DEPLOYMENTS, kubectl("set", "env", "deployment/web", "A=other")),
    "unset env": (DEPLOYMENTS, kubectl("set", "env", "deployment/web", "A-")),
    "set image": (DEPLOYMENTS, kubectl("set", "image", "deployment/web", "main=evil.example/app:1")),
    "root's user id less": (
        DEPLOYMENTS,
        json_patch(DEPLOYMENTS, ("remove", f"{FIRST}/securityContext/runAsUser", None)),
    ),
    "a node selector less": (
        DEPLOYMENTS,
        json_patch(DEPLOYMENTS, ("remove", "/spec/template/spec/nodeSelector/node-role.kubernetes.io~1edge", None)),
    ),
    "set resources": (DEPLOYMENTS, kubectl("set", "resources", "deployment/web", "--limits=cpu=4")),
    "hostNetwork": (DEPLOYMENTS, json_patch(DEPLOYMENTS, ("add", "/spec/template/spec/hostNetwork", True))),
    "another container": (
        DEPLOYMENTS,
        json_patch(DEPLOYMENTS, ("add", "/spec/template/spec/containers/-", {"name": "spy", "image": "spy:1"})),
    ),
    "another container in front": (
        DEPLOYMENTS,
        json_patch(DEPLOYMENTS, ("add", FIRST, {"name": "spy", "image": "spy:1"})),
    ),
    "an init container": (
        DEPLOYMENTS,
        json_patch(DEPLOYMENTS, ("add", "/spec/template/spec/initContainers", [{"name": "spy", "image": "spy:1"}])),
    ),
    "a command": (DEPLOYMENTS, json_patch(DEPLOYMENTS, ("add", f"{FIRST}/command", ["sh"]))),
    "a pod label": (DEPLOYMENTS, json_patch(DEPLOYMENTS, ("add", "/spec/template/metadata/labels/x", "y"))),
    "env in another order": (
        DEPLOYMENTS,
        replaced(DEPLOYMENTS, lambda o: o["spec"]["template"]["spec"]["containers"][0]["env"].reverse()),
    ),
    "a default changed": (
        DEPLOYMENTS,
        json_patch(DEPLOYMENTS, ("replace", "/spec/template/spec/terminationGracePeriodSeconds", 1)),
    ),
    "paused": (DEPLOYMENTS, kubectl("rollout", "pause", "deployment/web")),
    "podSelector": (
        NETWORK_POLICIES,
        json_patch(NETWORK_POLICIES, ("replace", "/spec/podSelector", {"matchLabels": {"app": "none"}})),
    ),
    "an ingress rule": (NETWORK_POLICIES, json_patch(NETWORK_POLICIES, ("add", "/spec/ingress/-", {}))),
    "no ingress rule": (NETWORK_POLICIES, json_patch(NETWORK_POLICIES, ("remove", "/spec/ingress/0", None))),
    "an empty label of the selector": (
        NETWORK_POLICIES,
        json_patch(NETWORK_POLICIES, ("remove", "/spec/podSelector/matchLabels/flag", None)),
    ),
    "egress as well": (
        NETWORK_POLICIES,
        json_patch(NETWORK_POLICIES, ("replace", "/spec/policyTypes", ["Ingress", "Egress"])),
    ),
    "a Service port less": (SERVICES, json_patch(SERVICES, ("remove", "/spec/ports/1", None))),
    "a Service port more": (SERVICES, json_patch(SERVICES, ("add", "/spec/ports/-", {"name": "c", "port": 9}))),
    "a Service's selector": (SERVICES, json_patch(SERVICES, ("replace", "/spec/selector/app", "other"))),
    "a Service's type": (SERVICES, json_patch(SERVICES, ("replace", "/spec/type", "NodePort"))),
    "a ConfigMap key changed": (CONFIGMAPS, json_patch(CONFIGMAPS, ("replace", "/data/a", "2"))),
    "a ConfigMap key more": (CONFIGMAPS, json_patch(CONFIGMAPS, ("add", "/data/c", "3"))),
    "a ConfigMap key less": (CONFIGMAPS, json_patch(CONFIGMAPS, ("remove", "/data/a", None))),
    "an empty ConfigMap key less": (CONFIGMAPS, json_patch(CONFIGMAPS, ("remove", "/data/empty", None))),
    "binary data in a ConfigMap": (CONFIGMAPS, json_patch(CONFIGMAPS, ("add", "/binaryData", {"x": "YQ=="}))),
    "no data at all": (CONFIGMAPS, json_patch(CONFIGMAPS, ("remove", "/data", None))),
    "a Secret key changed": (SECRETS, json_patch(SECRETS, ("replace", "/data/tls.key", encoded("mine")))),
    "an empty Secret key less": (SECRETS, json_patch(SECRETS, ("remove", "/data/empty", None))),
    "a quota raised": (RESOURCE_QUOTAS, json_patch(RESOURCE_QUOTAS, ("replace", "/spec/hard/pods", "1000"))),
    "a limit raised": (LIMIT_RANGES, json_patch(LIMIT_RANGES, ("replace", "/spec/limits/0/default/cpu", "64"))),
    "an Ingress host": (INGRESSES, json_patch(INGRESSES, ("replace", "/spec/rules/0/host", "mine.example.net"))),
    "an Ingress default": (
        INGRESSES,
        json_patch(INGRESSES, ("add", "/spec/defaultBackend", {"service": {"name": "mine", "port": {"number": 1}}})),
    ),
    "a Job's parallelism": (JOBS, json_patch(JOBS, ("replace", "/spec/parallelism", 5))),
    "a Job's backoff limit": (JOBS, json_patch(JOBS, ("replace", "/spec/backoffLimit", 100))),
    "a Job suspended": (JOBS, json_patch(JOBS, ("replace", "/spec/suspend", True))),
    "a Job's deadline": (JOBS, json_patch(JOBS, ("add", "/spec/activeDeadlineSeconds", 1000))),
    "a Job's removal": (JOBS, json_patch(JOBS, ("add", "/spec/ttlSecondsAfterFinished", 1000))),
    "a Gateway's class": ("Gateway", json_patch("Gateway", ("replace", "/spec/gatewayClassName", "other"))),
    "a listener's host name": (
        "ListenerSet",
        json_patch("ListenerSet", ("replace", "/spec/listeners/0/hostname", "b.example.net")),
    ),
    "a listener more": (
        "ListenerSet",
        json_patch("ListenerSet", ("add", "/spec/listeners/-", {"name": "x", "port": 80, "protocol": "HTTP"})),
    ),
    "a route's host name": ("HTTPRoute", json_patch("HTTPRoute", ("add", "/spec/hostnames/-", "b.example.net"))),
    "a route's backend": (
        "HTTPRoute",
        json_patch("HTTPRoute", ("replace", "/spec/rules/0/backendRefs/0/name", "other")),
    ),
    "a route's filter": (
        "HTTPRoute",
        json_patch(
            "HTTPRoute",
            ("add", "/spec/rules/0/filters", [MIRROR]),
        ),
    ),
    "a TLSRoute's backend": (
        "TLSRoute",
        json_patch("TLSRoute", ("replace", "/spec/rules/0/backendRefs/0/port", 1)),
    ),
    "no verification by name": (
        "BackendTLSPolicy",
        json_patch("BackendTLSPolicy", ("replace", "/spec/validation/hostname", "b.example.net")),
    ),
    "managed fields cleared, then a change": (
        CONFIGMAPS,
        replaced(CONFIGMAPS, lambda o: (o["metadata"].update(managedFields=[{}]), o["data"].update(a="2"))),
    ),
}


def guarded_part(obj: Obj) -> Obj:
    """All that decco must bring back, with what the server adds of its own left out."""
    meta = obj["metadata"]
    content = {part: value for part, value in obj.items() if part not in {"metadata", "status"}}
    kept = {part: meta.get(part) for part in ("labels", "ownerReferences", "finalizers")}
    annotations = meta.get("annotations", {})
    return {**content, **kept, "hash": annotations.get(ANNOTATION_HASH), "note": annotations.get("note")}


LIVES = pytest.mark.parametrize("restarted", [False, True], ids=["same-life", "after-restart"])


@LIVES
@pytest.mark.parametrize("name", CONTENT_VANDALISM)
async def test_altered_content_is_repaired_by_one_write(world: World, name: str, restarted: bool) -> None:
    kind, vandalize = CONTENT_VANDALISM[name]
    await repaired_by_one_write(world, kind, vandalize, restarted)


METADATA_VANDALISM: dict[str, list[tuple[str, str, Any]]] = {
    "a label of ours": [("remove", "/metadata/labels/team", None)],
    "a label's value": [("replace", "/metadata/labels/team", "red")],
    "an annotation of ours": [("remove", "/metadata/annotations/note", None)],
    "an annotation's value": [("replace", "/metadata/annotations/note", "theirs")],
    "the owner reference": [("remove", "/metadata/ownerReferences", None)],
    "the owner no longer controls": [("replace", "/metadata/ownerReferences/0/controller", False)],
    "the hash": [("replace", "/metadata/annotations/decco.platform9.com~1hash", "0" * 24)],
    "no hash": [("remove", "/metadata/annotations/decco.platform9.com~1hash", None)],
}


@LIVES
@pytest.mark.parametrize("name", METADATA_VANDALISM)
@pytest.mark.parametrize("kind", [CONFIGMAPS, JOBS, NAMESPACES, "HTTPRoute"], ids=named)
async def test_altered_metadata_is_repaired_by_one_write(
    world: World, kind: Resource | str, name: str, restarted: bool
) -> None:
    await repaired_by_one_write(world, kind, json_patch(kind, *METADATA_VANDALISM[name]), restarted)


async def repaired_by_one_write(world: World, kind: Resource | str, vandalize: Vandalism, restarted: bool) -> None:
    resource, desired = of_kind(world, kind)
    name = desired["metadata"]["name"]
    await world.ensure(resource, desired)
    before = world.live(resource, name)
    vandalize(world)
    assert guarded_part(world.live(resource, name)) != guarded_part(before) or "managedFields" not in before["metadata"]
    if restarted:
        await world.restart(resource)
    else:
        await world.relist(resource)
    world.requests()
    assert (await world.ensure(resource, desired)).result is Result.UPDATED
    for _ in range(2):
        assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
        await world.relist(resource)
    assert world.requests() == ["PUT 200"]
    assert guarded_part(world.live(resource, name)) == guarded_part(before)


async def test_a_label_that_decco_watches_by_is_put_back(world: World) -> None:
    """The object leaves the cache as deleted, although it still exists; the repair brings it back."""
    spec = w.WatchSpec(CONFIGMAPS, namespace=world.namespace, labels=MANAGED_SELECTOR)
    store = world.stores[CONFIGMAPS]
    desired = wishes(world)[CONFIGMAPS]
    steps: list[tuple[bool, bool]] = []
    store.subscribe(lambda change: steps.append((change.new is not None, change.own)))
    informer = Informer(store, lambda: w.watch(world.client, spec, idle_seconds=90.0))
    following = asyncio.create_task(informer.run())
    await informer.synced.wait()
    made = await world.ensure(CONFIGMAPS, desired)
    assert made.entry is not None

    await asyncio.to_thread(world.kubectl, "label", "configmap", "web", f"{LABEL_MANAGED_BY}-")
    await world.eventually(lambda: len(store) == 0)
    world.requests()
    repaired = await world.ensure(CONFIGMAPS, desired)
    assert (repaired.result, world.requests()) == (Result.UPDATED, ["POST 409", "GET 200", "PUT 200"])
    assert repaired.entry is not None
    assert repaired.entry.uid == made.entry.uid
    assert store.get(key_of(desired)) is repaired.entry
    assert (await world.ensure(CONFIGMAPS, desired)).result is Result.UNCHANGED

    # The watch catches up, and says nothing new.
    await world.eventually(lambda: steps.count((True, False)) == 0 and len(steps) >= 3)
    await asyncio.to_thread(world.kubectl, "annotate", "configmap", "web", "x=y")
    await world.eventually(lambda: steps[-1] == (True, False))
    assert steps == [(True, True), (False, False), (True, True), (True, False)]
    assert world.requests() == []
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


@LIVES
async def test_label_and_owner_reference_both_removed(world: World, restarted: bool) -> None:
    """It carries the digest of what its very owner wants, so it is no foreign object."""
    desired = wishes(world)[CONFIGMAPS]
    await world.ensure(CONFIGMAPS, desired)
    json_patch(CONFIGMAPS, ("remove", "/metadata/labels", None), ("remove", "/metadata/ownerReferences", None))(world)
    await (world.restart if restarted else world.relist)(CONFIGMAPS)
    world.requests()
    assert (await world.ensure(CONFIGMAPS, desired)).result is Result.UPDATED
    assert (await world.ensure(CONFIGMAPS, desired)).result is Result.UNCHANGED
    assert world.requests() == ["POST 409", "GET 200", "PUT 200"]


@pytest.mark.parametrize("kind", [CONFIGMAPS, SERVICES, LIMIT_RANGES, DEPLOYMENTS, "HTTPRoute"], ids=named)
async def test_a_deleted_object_is_made_again_by_a_creation_only(world: World, kind: Resource | str) -> None:
    """Of some kinds (Service, LimitRange) a PUT makes a missing object anew, unless it says which UID it is for."""
    resource, desired = of_kind(world, kind)
    made = await world.ensure(resource, desired)
    world.delete(resource)
    if resource is DEPLOYMENTS:
        await world.eventually(lambda: world.cp.request("GET", world.path(resource, "web")).status == 404)
    world.requests()
    other = copy.deepcopy(desired)
    other["metadata"]["annotations"]["note"] = "changed"
    try:
        # The cache does not know of the deletion yet.
        assert (await world.applier.ensure(resource, other)).result is Result.WAITING
    except Conflict:
        assert resource in (SERVICES, LIMIT_RANGES)
        world.conflicts += 1
    assert world.cp.request("GET", world.path(resource, "web")).status == 404
    await world.relist(resource)
    again = await world.ensure(resource, desired)
    assert again.result is Result.CREATED
    assert world.requests()[-1] == "POST 201"
    assert made.entry is not None
    assert again.entry is not None
    assert made.entry.uid != again.entry.uid


async def test_an_object_that_was_replaced_by_another_is_not_overwritten(world: World) -> None:
    """Deleted and made again by somebody, before the cache knows of either: the PUT names the UID that it is for."""
    desired = wishes(world)[CONFIGMAPS]
    await world.ensure(CONFIGMAPS, desired)
    world.delete(CONFIGMAPS)
    world.cp.create(world.path(CONFIGMAPS), {"metadata": {"name": "web"}, "data": {"theirs": "1"}})
    desired["data"]["a"] = "changed"
    world.requests()
    with pytest.raises(Foreign):
        await world.ensure(CONFIGMAPS, desired)
    assert world.requests() == ["POST 409", "GET 200"]
    assert world.live(CONFIGMAPS)["data"] == {"theirs": "1"}


# Others' property -----------------------------------------------------------------------------------------------------


async def test_replicas_belong_to_whoever_scales(world: World) -> None:
    desired = deployment(world, replicas=1)
    await world.ensure(DEPLOYMENTS, desired)
    world.kubectl("scale", "deployment/web", "--replicas=3")
    world.kubectl("rollout", "restart", "deployment/web")
    await world.relist(DEPLOYMENTS)
    world.requests()
    assert (await world.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED
    assert world.requests() == []

    desired = deployment(world, {"containers": [{"name": "main", "image": "registry.example/app:2"}]}, replicas=1)
    assert (await world.ensure(DEPLOYMENTS, desired)).result is Result.UPDATED
    spec = world.live(DEPLOYMENTS)["spec"]
    assert spec["replicas"] == 3
    assert spec["template"]["spec"]["containers"][0]["image"] == "registry.example/app:2"
    assert "kubectl.kubernetes.io/restartedAt" in spec["template"]["metadata"]["annotations"]

    await world.restart(DEPLOYMENTS)
    assert (await world.ensure(DEPLOYMENTS, desired)).result is Result.UNCHANGED
    assert (await world.ensure(DEPLOYMENTS, deployment(world, replicas=5))).result is Result.UPDATED
    assert world.live(DEPLOYMENTS)["spec"]["replicas"] == 5, "another initial number takes them back"
    assert world.requests() == ["PUT 200", "PUT 200"]


@pytest.mark.parametrize(
    "operations",
    [
        [("replace", "/metadata/annotations/decco.platform9.com~1initial-replicas", "7")],
        [("remove", "/metadata/annotations/decco.platform9.com~1initial-replicas", None)],
        [("remove", "/metadata/annotations", None)],
    ],
    ids=["changed", "removed", "all-removed"],
)
async def test_replicas_are_not_taken_back_because_somebody_touched_the_annotation(
    world: World, operations: list[tuple[str, str, Any]]
) -> None:
    desired = deployment(world, replicas=1)
    await world.ensure(DEPLOYMENTS, desired)
    world.kubectl("scale", "deployment/web", "--replicas=3")
    json_patch(DEPLOYMENTS, *operations)(world)
    await world.relist(DEPLOYMENTS)
    assert (await world.ensure(DEPLOYMENTS, desired)).result is Result.UPDATED
    live = world.live(DEPLOYMENTS)
    assert live["spec"]["replicas"] == 3
    assert live["metadata"]["annotations"][ANNOTATION_INITIAL_REPLICAS] == "1"


async def test_a_service_keeps_its_addresses(world: World) -> None:
    """The PUT carries them. Would the API server keep them by itself? It does, which the second half shows."""
    desired = wishes(world)[SERVICES]
    await world.ensure(SERVICES, desired)
    before = world.live(SERVICES)["spec"]
    desired["spec"]["ports"].pop()
    await world.ensure(SERVICES, desired)
    after = world.live(SERVICES)["spec"]
    allocated = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
    assert [after[field] for field in allocated] == [before[field] for field in allocated]

    bare = world.live(SERVICES)
    for field in allocated:
        del bare["spec"][field]
    answer = world.cp.request("PUT", world.path(SERVICES, "web"), bare)
    assert answer.status == 200
    assert [answer.json()["spec"][field] for field in allocated] == [before[field] for field in allocated]


async def test_a_headless_service_stays_headless(world: World) -> None:
    desired = wishes(world)[SERVICES]
    desired["spec"]["clusterIP"] = "None"
    await world.ensure(SERVICES, desired)
    await world.restart(SERVICES)
    assert (await world.ensure(SERVICES, desired)).result is Result.UNCHANGED
    desired["spec"]["ports"].pop()
    await world.ensure(SERVICES, desired)
    assert world.live(SERVICES)["spec"]["clusterIP"] == "None"
    assert world.requests() == ["POST 201", "PUT 200"]


async def test_a_namespace_keeps_its_finalizers(world: World) -> None:
    desired = wishes(world)[NAMESPACES]
    name = desired["metadata"]["name"]
    await world.ensure(NAMESPACES, desired)
    desired["metadata"]["labels"]["more"] = "x"
    assert (await world.ensure(NAMESPACES, desired)).result is Result.UPDATED
    live = world.live(NAMESPACES, name)
    assert live["spec"] == {"finalizers": ["kubernetes"]}
    assert {"kubernetes.io/metadata.name": name, "more": "x"}.items() <= live["metadata"]["labels"].items()


# Foreign objects ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labelled", [False, True], ids=["not-watched", "watched"])
@pytest.mark.parametrize("owned", [False, True], ids=["no-owner", "another-owner"])
async def test_a_foreign_object_is_never_written_to(world: World, labelled: bool, owned: bool) -> None:
    meta: Obj = {"name": "web"}
    if labelled:
        meta["labels"] = {LABEL_MANAGED_BY: "decco"}
    if owned:
        meta["ownerReferences"] = [another_owner(world)]
    theirs = world.cp.create(world.path(CONFIGMAPS), {"metadata": meta, "data": {"theirs": "1"}})
    await world.relist(CONFIGMAPS)
    desired = wishes(world)[CONFIGMAPS]
    world.mark()
    for _ in range(3):
        with pytest.raises(Foreign) as raised:
            await world.ensure(CONFIGMAPS, desired)
        assert str(raised.value) == (f"ConfigMap {world.namespace}/web exists and was not made by decco for this owner")
    # Unwatched, its existence is learned from the refused creation; then a look each time, and no more attempts.
    assert world.requests() == ([] if labelled else ["POST 409", "GET 200", "GET 200", "GET 200"])
    assert world.live(CONFIGMAPS)["metadata"]["resourceVersion"] == theirs["metadata"]["resourceVersion"]

    world.delete(CONFIGMAPS)
    await world.relist(CONFIGMAPS)
    assert (await world.ensure(CONFIGMAPS, desired)).result is Result.CREATED
    assert world.requests() == (["POST 201"] if labelled else ["GET 404", "POST 201"])


async def test_an_object_of_the_same_app_made_anew_is_foreign_until_it_is_gone(world: World) -> None:
    """The App was deleted and made again: same name, another UID. The garbage collector removes the old children."""
    desired = wishes(world)[CONFIGMAPS]
    world.owner = another_owner(world)
    await world.ensure(CONFIGMAPS, wishes(world)[CONFIGMAPS])
    world.mark()
    with pytest.raises(Foreign):
        await world.ensure(CONFIGMAPS, desired)
    assert world.requests() == []
    world.delete(CONFIGMAPS)
    await world.relist(CONFIGMAPS)
    assert (await world.ensure(CONFIGMAPS, desired)).result is Result.CREATED


def another_owner(world: World) -> Obj:
    """One that exists, so that the garbage collector lets its objects live."""
    made = world.cp.create(world.path(SECRETS), {"metadata": {"name": "other"}})["metadata"]
    return {"apiVersion": "v1", "kind": "Secret", "name": "other", "uid": made["uid"], "controller": True}


async def test_copied_labels_and_hash_of_another_owner_do_not_make_an_object_ours(world: World) -> None:
    desired = wishes(world)[CONFIGMAPS]
    await world.ensure(CONFIGMAPS, desired)
    stolen = world.live(CONFIGMAPS)["metadata"]
    world.delete(CONFIGMAPS)
    world.owner = {**world.owner, "uid": "22222222-2222-2222-2222-222222222222"}
    meta = {"name": "web", "labels": stolen["labels"], "annotations": stolen["annotations"]}
    world.cp.create(world.path(CONFIGMAPS), {"metadata": meta, "data": desired["data"]})
    await world.relist(CONFIGMAPS)
    with pytest.raises(Foreign):
        await world.ensure(CONFIGMAPS, wishes(world)[CONFIGMAPS])


# Replacements and removals --------------------------------------------------------------------------------------------


async def test_another_run_is_another_job(world: World) -> None:
    first = await world.ensure(JOBS, job(world, run="1"))
    await world.relist(JOBS)
    changed = job(world, run="2", pod={"containers": [{"name": "main", "image": "registry.example/app:2"}]})
    assert (await world.ensure(JOBS, changed)).result is Result.DELETED
    assert (await world.ensure(JOBS, changed)).result is Result.WAITING, "not twice"
    await world.eventually(lambda: world.cp.request("GET", world.path(JOBS, "web")).status == 404)
    await world.relist(JOBS)
    second = await world.ensure(JOBS, changed)
    assert second.result is Result.CREATED
    assert world.requests() == ["POST 201", "POST 409", "DELETE 200", "POST 201"], "the POST 409 is a dry run"
    assert first.entry is not None
    assert second.entry is not None
    assert first.entry.uid != second.entry.uid


@LIVES
async def test_a_job_is_left_alone_when_its_template_cannot_follow(world: World, restarted: bool) -> None:
    """Another image of the sidecar is not another run of the user's pod: what can be is written, the template stays."""
    await world.ensure(JOBS, job(world))
    sidecar = {"name": "tls", "image": "stunnel:2", "restartPolicy": "Always", "env": [{"name": "X", "value": "1"}]}
    changed = job(world, pod={**POD, "initContainers": [sidecar]})
    changed["spec"]["parallelism"] = 2
    await world.relist(JOBS)
    assert (await world.ensure(JOBS, changed)).result is Result.UPDATED
    if restarted:
        await world.restart(JOBS)
    assert (await world.ensure(JOBS, changed)).result is Result.UNCHANGED
    assert world.requests() == ["POST 201", "PUT 200"]
    live = world.live(JOBS)["spec"]
    assert "initContainers" not in live["template"]["spec"]
    assert live["parallelism"] == 2


async def test_touching_the_annotation_of_a_run_does_not_run_it_again(world: World) -> None:
    made = await world.ensure(JOBS, job(world))
    world.kubectl("annotate", "job/web", f"{ANNOTATION_RUN}=other", "--overwrite")
    await world.relist(JOBS)
    repaired = await world.ensure(JOBS, job(world))
    assert repaired.result is Result.UPDATED
    assert world.requests() == ["POST 201", "PUT 200"]
    assert repaired.entry is not None
    assert made.entry is not None
    assert repaired.entry.uid == made.entry.uid


async def test_another_run_of_a_job_that_lost_its_label(world: World) -> None:
    """Unseen by the watch, and yet not merely relabelled: a PUT would claim that the old pods are the new run."""
    await world.ensure(JOBS, job(world))
    world.kubectl("label", "job/web", f"{LABEL_MANAGED_BY}-")
    await world.relist(JOBS)
    changed = job(world, run="2")
    waiting = await world.ensure(JOBS, changed)
    assert (waiting.result, waiting.entry) == (Result.WAITING, None), "no event will tell when it is gone"
    await world.eventually(lambda: world.cp.request("GET", world.path(JOBS, "web")).status == 404)
    assert (await world.ensure(JOBS, changed)).result is Result.CREATED
    assert world.requests() == ["POST 201", "POST 409", "GET 200", "POST 409", "DELETE 200", "POST 201"]


OURS, THEIRS, FIXED = "decco writes it", "decco leaves it alone", "the server refuses another value"
FIELDS_OF_A_JOB: dict[tuple[str, ...], tuple[str, Any]] = {
    ("backoffLimit",): (OURS, 5),
    ("parallelism",): (OURS, 3),
    ("suspend",): (OURS, True),
    ("activeDeadlineSeconds",): (OURS, 600),
    ("ttlSecondsAfterFinished",): (OURS, 60),
    ("podReplacementPolicy",): (THEIRS, "Failed"),
    ("manualSelector",): (THEIRS, True),
    ("completions",): (FIXED, 4),
    ("completionMode",): (FIXED, "Indexed"),
    ("backoffLimitPerIndex",): (FIXED, 1),
    ("managedBy",): (FIXED, "example.com/other"),
    ("podFailurePolicy",): (
        FIXED,
        {"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1]}}]},
    ),
    ("template", "spec", "containers"): (FIXED, [{"name": "main", "image": "registry.example/app:2"}]),
    ("template", "metadata"): (FIXED, {"labels": {"x": "y"}}),
}


@pytest.mark.parametrize("path", FIELDS_OF_A_JOB, ids=".".join)
async def test_which_fields_of_a_job_can_change(world: World, path: tuple[str, ...]) -> None:
    """What ``shapes.py`` claims to be mutable, and the rest: a version that changes its mind shows here."""
    await world.ensure(JOBS, job(world))
    whose, value = FIELDS_OF_A_JOB[path]
    for part in reversed(("spec", *path)):
        value = {part: value}
    headers = {"Content-Type": "application/merge-patch+json"}
    answer = world.cp.request("PATCH", world.path(JOBS, "web"), value, headers=headers)
    assert answer.status == (422 if whose is FIXED else 200), answer.body
    assert (("spec", *path) in (CHILDREN[JOBS].mutable or ())) == (whose is OURS)


async def test_a_job_is_not_taken_away_for_one_that_the_server_refuses(world: World) -> None:
    await world.ensure(JOBS, job(world, run="1"))
    await world.relist(JOBS)
    uid = world.live(JOBS)["metadata"]["uid"]
    bad = {"containers": [{"name": "no label", "image": "registry.example/app:2"}]}
    with pytest.raises(Invalid):
        await world.ensure(JOBS, job(world, run="2", pod=bad))
    assert world.requests() == ["POST 201", "POST 422"]
    assert world.live(JOBS)["metadata"]["uid"] == uid
    assert "deletionTimestamp" not in world.live(JOBS)["metadata"]


async def test_a_secret_of_another_type_is_replaced(world: World) -> None:
    desired = wishes(world)[SECRETS]
    await world.ensure(SECRETS, desired)
    desired["type"] = "Opaque"
    assert (await world.ensure(SECRETS, desired)).result is Result.DELETED
    assert (await world.ensure(SECRETS, desired)).result is Result.WAITING
    await world.relist(SECRETS)
    assert (await world.ensure(SECRETS, desired)).result is Result.CREATED
    assert world.requests() == ["POST 201", "POST 409", "DELETE 200", "POST 201"], "the POST 409 is a dry run"
    assert world.live(SECRETS)["type"] == "Opaque"


async def test_a_secret_without_a_type_is_not_replaced_for_ever(world: World) -> None:
    desired = wishes(world)[SECRETS]
    del desired["type"]
    await world.ensure(SECRETS, desired)
    desired["data"]["more"] = encoded("x")
    assert (await world.ensure(SECRETS, desired)).result is Result.UPDATED
    assert world.requests() == ["POST 201", "PUT 200"]


async def test_prune_deletes_what_this_owner_no_longer_wants(world: World) -> None:
    wanted, dropped = wishes(world)[CONFIGMAPS], wishes(world)[SECRETS]
    for resource, desired in ((CONFIGMAPS, wanted), (SECRETS, dropped)):
        await world.ensure(resource, desired)
    uid, world.owner = world.owner["uid"], another_owner(world)
    await world.ensure(SERVICES, wishes(world)[SERVICES])
    world.mark()
    assert await world.applier.prune(uid, {(CONFIGMAPS, key_of(wanted))}) == 1
    assert await world.applier.prune(uid, {(CONFIGMAPS, key_of(wanted))}) == 0, "asked once"
    assert world.requests() == ["DELETE 200"]
    assert world.cp.request("GET", world.path(SECRETS, "web")).status == 404
    assert world.live(SERVICES)


async def test_prune_leaves_an_object_that_was_replaced_by_another(world: World) -> None:
    desired = wishes(world)[CONFIGMAPS]
    await world.ensure(CONFIGMAPS, desired)
    world.delete(CONFIGMAPS)
    world.cp.create(world.path(CONFIGMAPS), {"metadata": {"name": "web"}, "data": {"theirs": "1"}})
    assert await world.applier.prune(world.owner["uid"], set()) == 1
    assert world.live(CONFIGMAPS)["data"] == {"theirs": "1"}


async def test_an_object_that_is_being_deleted_is_waited_for(world: World) -> None:
    desired = wishes(world)[CONFIGMAPS]
    desired["metadata"]["finalizers"] = ["example.com/wait"]
    await world.ensure(CONFIGMAPS, desired)
    world.delete(CONFIGMAPS)
    await world.relist(CONFIGMAPS)
    world.requests()
    desired["data"]["a"] = "changed"
    assert (await world.ensure(CONFIGMAPS, desired)).result is Result.WAITING
    assert await world.applier.prune(world.owner["uid"], set()) == 0
    assert world.requests() == []
    world.patch(CONFIGMAPS, {"metadata": {"finalizers": None}})


# What the server makes of a PodSpec -----------------------------------------------------------------------------------


def container(**fields: Any) -> Obj:
    return {"containers": [{"name": "main", "image": "registry.example/app:1", **fields}]}


LIMIT = {"containerName": "main", "resource": "limits.cpu", "divisor": 0}


def volumes(*sources: Obj) -> Obj:
    listed = [{"name": f"v{number}", **source} for number, source in enumerate(sources)]
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in listed]
    return {**container(volumeMounts=mounts), "volumes": listed}


NORMALIZED: dict[str, Obj] = {
    "quantities": container(
        resources={
            "requests": {"cpu": 0.5, "memory": "1024Mi", "ephemeral-storage": 1000000},
            "limits": {"cpu": "1000m", "memory": "2048Mi", "ephemeral-storage": "1000k"},
        }
    ),
    "ports as numbers and names": container(
        ports=[{"containerPort": 80, "name": "web"}, {"containerPort": 80, "protocol": "UDP", "hostPort": 0}],
        readinessProbe={"httpGet": {"port": "web"}},
        livenessProbe={"tcpSocket": {"port": 80}, "initialDelaySeconds": 0},
        startupProbe={"httpGet": {"port": 80, "path": "", "host": "", "scheme": ""}, "periodSeconds": 0},
    ),
    "false everywhere": {
        **container(
            stdin=False,
            stdinOnce=False,
            tty=False,
            securityContext={
                "privileged": False,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": False,
                "runAsNonRoot": False,
            },
            envFrom=[{"configMapRef": {"name": "x", "optional": False}}],
        ),
        "hostNetwork": False,
        "hostPID": False,
        "hostIPC": False,
        "shareProcessNamespace": False,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "setHostnameAsFQDN": False,
    },
    "zero everywhere": {
        **container(securityContext={"runAsUser": 0, "runAsGroup": 0}),
        "securityContext": {"fsGroup": 0, "runAsUser": 0},
        "terminationGracePeriodSeconds": 0,
        "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}],
    },
    "empty texts": {
        **container(
            env=[{"name": "A", "value": ""}, {"name": "B"}, {"name": "C", "value": None}],
            workingDir="",
            terminationMessagePath="",
            imagePullPolicy="",
        ),
        "hostname": "",
        "subdomain": "",
        "nodeName": "",
        "schedulerName": "",
        "priorityClassName": "",
        "serviceAccountName": "",
        "dnsPolicy": "",
        "restartPolicy": "",
    },
    "empty lists and maps": {
        **container(
            env=[],
            envFrom=[],
            args=[],
            command=[],
            ports=[],
            volumeMounts=[],
            resources={},
            securityContext={},
            lifecycle={},
        ),
        "initContainers": [],
        "volumes": [],
        "tolerations": [],
        "nodeSelector": {},
        "imagePullSecrets": [],
        "hostAliases": [],
        "topologySpreadConstraints": [],
        "readinessGates": [],
        "affinity": {},
        "securityContext": {},
        "dnsConfig": {},
    },
    "maps of nothing": {
        **container(resources={"limits": {}, "requests": {}}, securityContext={"capabilities": {"drop": []}}),
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "dnsConfig": {"options": [], "nameservers": []},
        "securityContext": {"sysctls": [], "seLinuxOptions": {"level": ""}},
    },
    "null": {**container(env=None, command=None, resources=None), "volumes": None, "nodeSelector": None},
    "volumes": volumes(
        {"emptyDir": {}},
        {"emptyDir": {"medium": "", "sizeLimit": "1024Mi"}},
        {"configMap": {"name": "x", "items": [], "optional": False}},
        {"secret": {"secretName": "x", "defaultMode": 0o400}},
        {"hostPath": {"path": "/tmp", "type": ""}},
        {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"secret": {"name": "x", "items": []}}]}},
        {"downwardAPI": {"items": [{"path": "p", "resourceFieldRef": LIMIT}]}},
        {"persistentVolumeClaim": {"claimName": "x", "readOnly": False}},
    ),
    "environment from elsewhere": container(
        env=[
            {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": ""}}},
            {"name": "B", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1024Ki"}}},
            {"name": "C", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y", "optional": False}}},
        ]
    ),
    "a variable twice": container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
    "scheduling": {
        **container(),
        "nodeSelector": {"node-role.kubernetes.io/edge": ""},
        "tolerations": [{"key": "", "operator": "Exists", "value": ""}],
        "serviceAccount": "legacy",
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app": "web"}, "matchExpressions": []},
            }
        ],
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {}}}}
                ]
            }
        },
    },
    "a native sidecar": {
        **container(),
        "initContainers": [
            {
                "name": "tls",
                "image": "stunnel:1",
                "restartPolicy": "Always",
                "startupProbe": {"exec": {"command": ["true"]}, "failureThreshold": 60},
                "securityContext": {"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {}},
            }
        ],
    },
}
NORMALIZED["a native sidecar"]["initContainers"][0]["securityContext"]["seccompProfile"] = {"type": "RuntimeDefault"}


@pytest.mark.parametrize("name", NORMALIZED)
@pytest.mark.parametrize("kind", ["Deployment", "Job"])
async def test_what_the_server_normalizes_is_no_alteration(world: World, name: str, kind: str) -> None:
    """Neither within one life of the process nor after a restart, which has nothing but the object to go by."""
    pod = copy.deepcopy(NORMALIZED[name])
    resource, desired = (DEPLOYMENTS, deployment(world, pod)) if kind == "Deployment" else (JOBS, job(world, pod=pod))
    desired["spec"]["template"].setdefault("metadata", {})["creationTimestamp"] = None
    await world.ensure(resource, desired)
    assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
    await world.restart(resource)
    for _ in range(2):
        assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
    assert world.requests() == ["POST 201"]


EMPTY_OBJECTS: dict[str, Callable[[World], tuple[Resource, Obj]]] = {
    "ConfigMap without data": lambda world: (CONFIGMAPS, world.wish(CONFIGMAPS)),
    "ConfigMap with empty data": lambda world: (CONFIGMAPS, world.wish(CONFIGMAPS, data={}, immutable=False)),
    "NetworkPolicy that closes": lambda world: (
        NETWORK_POLICIES,
        world.wish(NETWORK_POLICIES, spec={"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []}),
    ),
    "NetworkPolicy with empty peers": lambda world: (
        NETWORK_POLICIES,
        world.wish(
            NETWORK_POLICIES,
            spec={
                "podSelector": {"matchLabels": {}, "matchExpressions": []},
                "ingress": [{"from": [], "ports": []}, {"from": [{"namespaceSelector": {}, "podSelector": {}}]}],
            },
        ),
    ),
    "Service with everything explicit": lambda world: (
        SERVICES,
        world.wish(
            SERVICES,
            spec={
                "type": "ClusterIP",
                "ports": [{"port": 80, "targetPort": "http", "protocol": "TCP", "nodePort": 0}],
                "selector": {},
                "publishNotReadyAddresses": False,
                "externalIPs": [],
                "loadBalancerIP": "",
            },
        ),
    ),
    "quota of quantities": lambda world: (
        RESOURCE_QUOTAS,
        world.wish(RESOURCE_QUOTAS, spec={"hard": {"requests.cpu": 1.5, "limits.memory": "3072Mi"}, "scopes": []}),
    ),
}


@pytest.mark.parametrize("name", EMPTY_OBJECTS)
async def test_what_the_server_leaves_out_is_no_alteration(world: World, name: str) -> None:
    resource, desired = EMPTY_OBJECTS[name](world)
    await world.ensure(resource, desired)
    assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
    await world.restart(resource)
    assert (await world.ensure(resource, desired)).result is Result.UNCHANGED
    assert world.requests() == ["POST 201"]


# Objects made to do harm ----------------------------------------------------------------------------------------------

HARMFUL = {
    "managed fields 1,200 levels deep": ('{"f:data":' + '{"f:a":' * 1200 + "{}" + "}" * 1201, "1"),
    "a key with a list in the managed fields": ('{"f:data":{"k:{\\"name\\":[\\"x\\"]}":{"f:z":{}}}}', "1"),
    "a key with a map in the managed fields": ('{"f:data":{"k:{\\"name\\":{\\"y\\":1}}":{"f:z":{}}}}', "1"),
    "100,000 managed fields": ("{" + ",".join(f'"f:{number}":{{}}' for number in range(100_000)) + "}", "1"),
    "half a megabyte in 100 levels of brackets, as text": ("{}", '[{\\"' * 125_000),
}


@pytest.mark.parametrize("name", HARMFUL)
async def test_an_object_made_to_do_harm_hides_no_other(world: World, name: str) -> None:
    """Any tenant may write this into an object with the label that decco watches by; the API server keeps it."""
    fields, text = HARMFUL[name]
    entry = f'{{"manager":"evil","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{fields}}}'
    meta = f'"name":"harmful","labels":{{"{LABEL_MANAGED_BY}":"decco"}},"managedFields":[{entry}]'
    path = world.path(CONFIGMAPS)
    send = world.client._transport.call
    made = await send("POST", "x", path, b'{"metadata":{"name":"harmful"}}')
    assert b"harmful" in made
    await send("PUT", "x", f"{path}/harmful", f'{{"metadata":{{{meta}}},"data":{{"a":"{text}"}}}}'.encode())
    desired = wishes(world)[CONFIGMAPS]
    await world.ensure(CONFIGMAPS, desired)

    spec = w.WatchSpec(CONFIGMAPS, namespace=world.namespace, labels=MANAGED_SELECTOR)
    store = Store(CONFIGMAPS, CHILDREN[CONFIGMAPS])
    informer = Informer(store, lambda: w.watch(world.client, spec, idle_seconds=90.0))
    following = asyncio.create_task(informer.run())
    async with asyncio.timeout(SECONDS):
        await informer.synced.wait()
    harmful = Key(world.namespace, "harmful")
    assert {entry.key for entry in store} == {key_of(desired), harmful}
    before = store.get(harmful)
    assert before is not None

    # The same by the watch: the change arrives, and so does what comes after it.
    await asyncio.to_thread(world.kubectl, "annotate", "configmap", "harmful", "x=y")
    await asyncio.to_thread(world.kubectl, "annotate", "configmap", "web", "x=y")
    await world.eventually(lambda: "x" in store.get(key_of(desired)).obj()["metadata"]["annotations"])  # type: ignore[union-attr]
    after = store.get(harmful)
    assert after is not None
    assert after.version > before.version
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
