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
from decco.kube.errors import Conflict
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
        self._conflicts = 0
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
                self._conflicts += 1
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
        """What the Applier sent since the last call or ``mark``, as "POST 201": without lists, and without the PUTs that
        were refused because somebody had written in between."""
        verbs = {"create": "POST", "update": "PUT", "delete": "DELETE", "get": "GET", "patch": "PATCH"}
        events = self.cp.audit(AGENT, since=self._mark)
        self.mark()
        sent = [f"{verbs[event.verb]} {event.code}" for event in events if event.verb in verbs]
        assert sent.count("PUT 409") == self._conflicts
        self._conflicts = 0
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
            while not true():
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
        }
    ],
}
PARENT = {"parentRefs": [{"name": "edge", "sectionName": "https"}]}
TLS = {"mode": "Terminate", "certificateRefs": [{"name": "cert"}]}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def labelled(pod: Obj) -> Obj:
    return {"metadata": {"labels": {"app": "web"}}, "spec": pod}


def deployment(world: World, pod: Obj | None = None, replicas: int = 1, **more: Any) -> Obj:
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": labelled(pod or POD)}
    annotations = {ANNOTATION_INITIAL_REPLICAS: str(replicas)}
    return world.wish(DEPLOYMENTS, spec={**spec, **more}, metadata={"annotations": annotations})


def job(world: World, run: str = "1", pod: Obj | None = None, **more: Any) -> Obj:
    spec = {"backoffLimit": 3, "template": {"spec": {**(pod or POD), "restartPolicy": "Never"}}, **more}
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


KINDS = [*CHILDREN] + ["Gateway", "ListenerSet", "HTTPRoute", "TLSRoute", "BackendTLSPolicy"]


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
            ("add", "/spec/rules/0/filters", [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 301}}]),
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
@pytest.mark.parametrize("kind", [CONFIGMAPS, DEPLOYMENTS, JOBS, NAMESPACES, "HTTPRoute"], ids=named)
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
