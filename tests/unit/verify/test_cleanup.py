"""Removal goes on until nothing with the label is left, keeps Secrets until Spaces are gone, and names what stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from decco.kube.client import Client, ListPage
from decco.kube.errors import Forbidden, NotFound
from decco.objects import NAMESPACES, SECRETS, SPACES, Key, Obj, Resource, key_of
from decco.verify import cleanup
from decco.verify.names import LABEL
from decco.verify.objects import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES


class Cluster:
    """Objects by kind; a deleted Space needs ``steps`` more lists until it and its namespace are gone.

    ``lingering``: how often the namespace is read without its Space; ``late`` appears after the first list.
    """

    def __init__(
        self,
        *objects: tuple[Resource, Obj],
        steps: int = 1,
        hidden: Resource | None = None,
        lingering: int = 0,
        late: tuple[Resource, Obj] | None = None,
    ) -> None:
        self.objects = {(resource, key_of(obj)): obj for resource, obj in objects}
        self.steps = steps
        self.hidden = hidden
        self.lingering = lingering
        self.late = late
        self.deleted: list[str] = []
        self.selectors: set[str] = set()

    async def list_pages(self, resource: Resource, *, namespace: str, labels: str) -> AsyncIterator[ListPage]:
        if resource == self.hidden:
            raise Forbidden(403, "Forbidden", "cannot list")
        self.selectors.add(labels)
        assert namespace == ("decco" if resource is SECRETS else "")
        if resource is SPACES:
            self.steps -= any(name.startswith("Space") for name in self.deleted)
            if self.steps < 0:
                self.objects = {key: obj for key, obj in self.objects.items() if key[0] is SECRETS}
        labelled = [
            obj
            for (kind, _), obj in self.objects.items()
            if kind == resource and LABEL in obj["metadata"].get("labels", {})
        ]
        yield ListPage(labelled, "1", remaining=False)
        if resource is SECRETS and self.late:
            kind, obj = self.late
            self.objects[kind, key_of(obj)] = obj
            self.late = None

    async def get(self, resource: Resource, key: Key) -> Obj:
        if (resource, key) in self.objects:
            return self.objects[resource, key]
        self.lingering -= 1
        if self.lingering >= 0:
            return {"metadata": {"name": key.name, "deletionTimestamp": "now"}}
        raise NotFound(404, "NotFound", "not found")

    async def delete(self, resource: Resource, key: Key, *, uid: str) -> None:
        assert uid == self.objects[resource, key]["metadata"]["uid"]
        self.deleted.append(f"{resource.kind} {key}")
        if resource in (SPACES, NAMESPACES):
            self.objects[resource, key]["metadata"]["deletionTimestamp"] = "now"
        else:
            del self.objects[resource, key]


def labelled(name: str, namespace: str = "", **more: Any) -> Obj:
    meta = {"name": name, "uid": f"uid-{name}", "labels": {LABEL: "b1"}}
    return {"metadata": {**meta, **({"namespace": namespace} if namespace else {})}, **more}


def everything() -> list[tuple[Resource, Obj]]:
    space = labelled("verify-b1-a")
    namespace = {"metadata": {"name": "verify-b1-a", "uid": "n", "labels": {}}}
    return [
        (SPACES, space),
        (NAMESPACES, namespace),
        (SECRETS, labelled("verify-b1-a-http", "decco")),
        (CLUSTER_ROLES, labelled("decco-verify-b1")),
        (CLUSTER_ROLE_BINDINGS, labelled("decco-verify-b1")),
    ]


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "POLL_SECONDS", 0.001)


async def remove(cluster: Cluster, seconds: float = 5.0, run: str = "") -> list[str]:
    return await cleanup.remove(cast("Client", cluster), "decco", seconds, run)


async def test_secrets_go_after_the_spaces() -> None:
    cluster = Cluster(*everything(), steps=3)
    assert await remove(cluster) == []
    assert cluster.objects == {}
    assert cluster.deleted[-1] == "Secret decco/verify-b1-a-http"
    assert cluster.deleted.count("Space verify-b1-a") == 1
    assert "Namespace verify-b1-a" not in cluster.deleted, "it belongs to the controller"


async def test_only_one_run_or_all() -> None:
    cluster = Cluster(*everything())
    await remove(cluster, run="b1")
    assert cluster.selectors == {f"{LABEL}=b1"}
    cluster = Cluster(*everything())
    await remove(cluster)
    assert cluster.selectors == {LABEL}


async def test_what_stays_is_named_with_its_cause() -> None:
    message = "the provider does not answer"
    stuck = labelled(
        "verify-b1-a", status={"conditions": [{"type": "DNSReady", "status": "False", "message": message}]}
    )
    cluster = Cluster((SPACES, stuck), steps=1_000_000)
    assert await remove(cluster, seconds=0.02) == [f"Space verify-b1-a ({message})"]


async def test_a_kind_that_may_not_be_listed_keeps_nobody() -> None:
    rest = [each for each in everything() if each[0] not in (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS)]
    assert await remove(Cluster(*rest, hidden=CLUSTER_ROLES)) == []


async def test_a_namespace_outlives_its_space() -> None:
    cluster = Cluster(*everything(), lingering=5)
    assert await remove(cluster) == []
    assert cluster.lingering < 0
    assert await remove(Cluster(*everything(), lingering=1_000_000), seconds=0.02) == ["Namespace verify-b1-a"]


async def test_a_label_alone_does_not_make_an_object_one_of_a_run() -> None:
    for name in ("shop", "verify-b2-a", "verify-b1", "decco-verify-b1-a"):
        cluster = Cluster((SPACES, labelled(name)))
        assert await remove(cluster) == []
        assert cluster.deleted == []


async def test_what_an_interrupted_request_creates_is_removed() -> None:
    cluster = Cluster(late=(SECRETS, labelled("verify-b1-c-http", "decco")))
    assert await remove(cluster) == []
    assert cluster.objects == {}


async def test_the_limit_counts_from_the_last_object_that_went(monkeypatch: pytest.MonkeyPatch) -> None:
    """Roles go one with each list, together in more time than the limit."""
    monkeypatch.setattr(cleanup, "POLL_SECONDS", 0.03)
    roles = [(CLUSTER_ROLES, labelled(f"verify-b1-{number}")) for number in range(8)]
    cluster = Cluster(*roles)
    monkeypatch.setattr(cluster, "delete", lambda *_, **__: _nothing())
    listed = cluster.list_pages

    def list_pages(resource: Resource, **words: str) -> AsyncIterator[ListPage]:
        if resource is CLUSTER_ROLES and cluster.objects:
            cluster.objects.popitem()
        return listed(resource, **words)

    monkeypatch.setattr(cluster, "list_pages", list_pages)
    assert await remove(cluster, seconds=0.1) == []


async def _nothing() -> None:
    return
