"""The model of the API server that ``tests/simulation`` uses, against the real one.

Both get the same random operations and must give the same answers: status, reason, the object as it is then, versions
in the same order, pages of lists, and the same events on a watch that began before.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest

from testbed.controlplane import ControlPlane
from tests.simulation.model.api import Api
from tests.simulation.model.cluster import Cluster
from tests.simulation.model.etcd import Etcd
from tests.simulation.model.requests import Request
from tests.simulation.model.servers import Server

SEQUENCES = int(os.environ.get("SEQUENCES", "60"))
LENGTH = 14
BATCH = 20
"""Sequences whose events are compared at once."""
NAMES = ("a", "b")
FINALIZER = "example.net/held"
KINDS = {
    "secrets": "/api/v1/namespaces/{0}/secrets",
    "apps": "/apis/decco.platform9.com/v1beta2/namespaces/{0}/apps",
    "networkpolicies": "/apis/networking.k8s.io/v1/namespaces/{0}/networkpolicies",
}
TYPES = {
    "secrets": {"apiVersion": "v1", "kind": "Secret"},
    "apps": {"apiVersion": "decco.platform9.com/v1beta2", "kind": "App"},
    "networkpolicies": {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"},
}
Obj = dict[str, Any]


@dataclass
class Operation:
    """``uid`` and ``version`` say which of those that were seen is used: "" none, "now" the present, "old" another."""

    verb: str
    kind: str
    name: str
    body: Obj = field(default_factory=dict)
    subresource: str = ""
    uid: str = ""
    version: str = ""
    query: dict[str, str] = field(default_factory=dict)
    propagation: str = "Background"


def operations(rng: random.Random) -> Iterator[Operation]:
    for number in range(LENGTH):
        kind, name, choice = rng.choice(list(KINDS)), rng.choice(NAMES), rng.random()
        uid, version = rng.choice(("", "now", "now", "old")), rng.choice(("", "now", "now", "now", "old"))
        dry = {"dryRun": "All"} if rng.random() < 0.1 else {}
        if choice < 0.25 or number < 2:
            yield Operation("POST", kind, name, content(kind, rng), query=dry)
        elif choice < 0.5:
            yield Operation("PUT", kind, name, content(kind, rng), uid=uid, version=version, query=dry)
        elif choice < 0.6:
            status = {"status": {"observedGeneration": rng.randint(1, 3)}}
            yield Operation("PUT", "apps", name, content("apps", rng) | status, "status", version=version)
        elif choice < 0.75:
            labels = {"labels": {"team": rng.choice(("x", "y", None))}}
            finalizers = {"finalizers": rng.choice(([], [FINALIZER]))} if rng.random() < 0.4 else {}
            patch = {"metadata": {**labels, **finalizers}}
            yield Operation("PATCH", kind, name, patch, version=rng.choice(("", "", "now", "old")), query=dry)
        elif choice < 0.92:
            policy = rng.choice(("Background", "Background", "Foreground"))
            yield Operation("DELETE", kind, name, uid=uid, version=version, query=dry, propagation=policy)
        else:
            selector = rng.choice(({}, {"labelSelector": "team=x"}, {"labelSelector": "team"}))
            yield Operation("LIST", kind, "", query=selector | rng.choice(({}, {"limit": "1"})))


def content(kind: str, rng: random.Random) -> Obj:
    meta: Obj = {}
    if rng.random() < 0.4:
        meta["labels"] = {"team": rng.choice(("x", "y"))}
    if rng.random() < 0.25:
        meta["finalizers"] = [FINALIZER]
    value = str(rng.randint(1, 2))
    if kind == "secrets":
        held = {"type": "Opaque", "data": {"value": {"1": "MQ==", "2": "Mg=="}[value]}}
        return {"metadata": meta, **held, **({"immutable": True} if rng.random() < 0.05 else {})}
    if kind == "apps":
        return {
            "metadata": meta,
            "spec": {"pod": {"containers": [{"name": "main", "image": value}]}, "endpoints": [], "initialReplicas": 1},
        }
    return {"metadata": meta, "spec": {"podSelector": {"matchLabels": {"value": value}}, "policyTypes": ["Ingress"]}}


class Side:
    """One of the two servers. Versions and UIDs differ between them, so each keeps its own."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.seen: dict[tuple[str, str], list[Obj]] = {}
        """Metadata of each object at all moments."""
        self.versions: list[int] = []

    def ask(self, method: str, path: str, body: Obj | None) -> tuple[int, Obj]:
        raise NotImplementedError

    def settle(self, path: str) -> None:
        """Called after a deletion."""

    def carry_out(self, operation: Operation) -> Any:
        path = KINDS[operation.kind].format(self.namespace)
        if operation.verb == "LIST":
            return self._list(path, operation)
        key = (operation.kind, operation.name)
        body = json.loads(json.dumps(operation.body))
        known = self.seen.get(key, [])
        if operation.verb == "DELETE":
            preconditions = {
                name: value
                for name, value in (
                    ("uid", self._one(known, operation.uid, "uid")),
                    ("resourceVersion", self._one(known, operation.version, "resourceVersion")),
                )
                if value
            }
            body = {"propagationPolicy": operation.propagation, "preconditions": preconditions}
            if "dryRun" in operation.query:
                body["dryRun"] = ["All"]
        else:
            meta = body.setdefault("metadata", {})
            if operation.verb != "PATCH":
                body |= TYPES[operation.kind]
                meta["name"] = operation.name
            for name, which in (("uid", operation.uid), ("resourceVersion", operation.version)):
                if value := self._one(known, which, name):
                    meta[name] = value
        if operation.verb != "POST":
            path += f"/{operation.name}"
        if operation.subresource:
            path += f"/{operation.subresource}"
        query = {"fieldManager": "test", **operation.query}
        status, answer = self.ask(operation.verb, f"{path}?{urlencode(query)}", body)
        if status == 200 and operation.verb == "DELETE" and "dryRun" not in query:
            self.settle(path)
        if status >= 300:
            return status, answer.get("reason")
        if answer.get("kind") == "Status":
            return status, answer.get("status")
        if "dryRun" not in operation.query:
            self.seen.setdefault(key, []).append(answer["metadata"])
            self.versions.append(int(answer["metadata"]["resourceVersion"]))
        return status, normal(answer)

    @staticmethod
    def _one(known: list[Obj], which: str, name: str) -> str:
        if not which or not known:
            return ""
        return str(known[-1][name] if which == "now" else known[0][name])

    def _list(self, path: str, operation: Operation) -> Any:
        pages, token = [], ""
        while True:
            query = {**operation.query, **({"continue": token} if token else {})}
            status, answer = self.ask("GET", f"{path}?{urlencode(query)}", None)
            if status != 200:
                return status, answer.get("reason")
            pages.append([normal(each) for each in answer.get("items") or []])
            token = answer["metadata"].get("continue") or ""
            if not token:
                return pages

    def order(self) -> list[int]:
        """The ranks of the versions: what is newer on one side is newer on the other."""
        ranks = {version: rank for rank, version in enumerate(sorted(set(self.versions)))}
        return [ranks[version] for version in self.versions]


def normal(obj: Obj) -> Obj:
    """An object without what differs from one server to the next."""
    meta = obj["metadata"]
    kept = {name: meta[name] for name in ("name", "generation", "labels", "finalizers") if meta.get(name)}
    kept["deleting"] = "deletionTimestamp" in meta
    content_ = {name: value for name, value in obj.items() if name not in ("metadata", "kind", "apiVersion")}
    return {"metadata": kept, **content_}


class Real(Side):
    def __init__(self, namespace: str, cp: ControlPlane) -> None:
        super().__init__(namespace)
        self._cp = cp
        cp.create("/api/v1/namespaces", {"metadata": {"name": namespace}})

    def ask(self, method: str, path: str, body: Obj | None) -> tuple[int, Obj]:
        headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
        answer = self._cp.request(method, path, body, headers=headers)
        return answer.status, dict(answer.json())

    def settle(self, path: str) -> None:
        """Waits until the garbage collector has done its part of a deletion in the foreground."""
        for _ in range(600):
            status, obj = self.ask("GET", path, None)
            if status == 404 or "foregroundDeletion" not in (obj["metadata"].get("finalizers") or ()):
                return
            time.sleep(0.05)
        raise AssertionError(f"{path} is not collected")


class Modelled(Side):
    """The model, without waiting: its garbage collector runs after each operation."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self.etcd = Etcd()
        self.api = Api(self.etcd, random.Random(namespace))
        loop: Any = Immediately()
        self.cluster = Cluster(self.api, loop, random.Random(1), lambda: 0.0)
        self.server = Server("server", self.api, loop, random.Random(2))
        self.cluster.manager.create({"kind": "Namespace", "metadata": {"name": namespace}})
        self._start = self.etcd.revision

    def ask(self, method: str, path: str, body: Obj | None) -> tuple[int, Obj]:
        raw = b"" if body is None else json.dumps(body).encode()
        answer = self.api.handle(Request.of("user", method, path, raw))
        return answer.status, json.loads(answer.body)

    def events(self, kind: str) -> list[Any]:
        path = f"{KINDS[kind].format(self.namespace)}?watch=1&resourceVersion={self._start}"
        lines: list[bytes] = []
        self.server.watch(Request.of("user", "GET", path), lambda line, _: lines.append(line or b""))
        return [described(json.loads(line)) for line in lines if line]


class Immediately:
    """An event loop that runs nothing later: the sweeps of the model's garbage collector are run by the test."""

    def call_later(self, _seconds: float, _function: Any, *_: Any) -> Immediately:
        return self

    call_at = call_later

    def cancel(self) -> None:
        return


def described(event: Obj) -> Any:
    return event["type"], normal(event["object"])


def run(control_plane: ControlPlane, first: int, count: int, prefix: str = "model") -> None:
    """Compares the two for these seeds."""
    for start in range(first, first + count, BATCH):
        versions = {kind: version_of(control_plane, kind) for kind in KINDS}
        pairs = {
            seed: compare(control_plane, seed, f"{prefix}-{seed}")
            for seed in range(start, min(start + BATCH, first + count))
        }
        for kind in KINDS:
            happened = events_of(control_plane, kind, versions[kind])
            for seed, (namespace, model, history) in pairs.items():
                both = itertools.zip_longest(model.events(kind), happened.get(namespace, []))
                other = [(got, expected) for got, expected in both if got != expected]
                assert not other, f"seed {seed}: {kind}: event of the model, and of the server: {other[0]}\n{history}"
        for namespace, _, _ in pairs.values():
            control_plane.request("DELETE", f"/api/v1/namespaces/{namespace}")


def compare(control_plane: ControlPlane, seed: int, namespace: str) -> tuple[str, Modelled, str]:
    """Carries out the operations of a seed on both; returns the namespace, the model, and what was done."""
    rng = random.Random(seed)
    real, model = Real(namespace, control_plane), Modelled(namespace)
    done: list[str] = []
    for operation in operations(rng):
        done.append(str(operation))
        expected, got = real.carry_out(operation), model.carry_out(operation)
        model.cluster._sweep()
        history = "\n".join(done)
        assert got == expected, f"seed {seed}: the model answers {got}, the server {expected}, after\n{history}"
    assert model.order() == real.order(), f"seed {seed}: versions in another order after\n{history}"
    assert real.versions, "no operation had an effect"
    return namespace, model, history


def version_of(control_plane: ControlPlane, kind: str) -> str:
    answer = control_plane.request("GET", f"{collection(kind)}?limit=1").json()
    return str(answer["metadata"]["resourceVersion"])


def events_of(control_plane: ControlPlane, kind: str, version: str) -> dict[str, list[Any]]:
    """Namespace -> the events since a version."""
    query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": "2"}
    answer = control_plane.request("GET", f"{collection(kind)}?{urlencode(query)}")
    found: dict[str, list[Any]] = {}
    for line in answer.body.splitlines():
        event = json.loads(line)
        found.setdefault(event["object"]["metadata"].get("namespace", ""), []).append(described(event))
    return found


def collection(kind: str) -> str:
    """Of all namespaces."""
    return KINDS[kind].replace("/namespaces/{0}", "")


@pytest.mark.timeout(1800)
def test_the_model_answers_as_the_server_does(control_plane: ControlPlane) -> None:
    first = random.SystemRandom().randrange(10**6) if "SEQUENCES" in os.environ else 0
    run(control_plane, first, SEQUENCES)
