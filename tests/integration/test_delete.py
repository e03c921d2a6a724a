"""Deletion: all of it goes, in any order, also while decco was down, and a name can be used again."""

from __future__ import annotations

from tests.integration.harness import APIS, Cluster, Decco, app, eventually, space
from tests.sample import full

GONE_SECONDS = 30.0


def full_space(cluster: Cluster, name: str) -> None:
    cluster.make_space(name, resourceQuota={"hard": {"pods": "5"}})
    cluster.create(app(name, "web", httpUrlPath="/web"))
    cluster.create(app(name, "db", endpoints=[{"name": "db", "port": 5432, "disableTlsTermination": True}]))
    eventually(lambda: cluster.service(name, "web") and cluster.service(name, "db"), 5)


def is_gone(cluster: Cluster, name: str) -> bool:
    return cluster.space(name) is None and cluster.get(f"/api/v1/namespaces/{name}") is None


def children(cluster: Cluster, namespace: str, app_name: str) -> list[str]:
    listing = cluster.cp.kubectl(
        "get",
        "deployments,services,configmaps,networkpolicies,httproutes,tlsroutes",
        *("-n", namespace, "-l", f"decco.platform9.com/app={app_name}", "-o", "name"),
    )
    return listing.split()


def test_deleting_an_app_removes_all_of_it_and_nothing_else(cluster: Cluster, decco: Decco, name: str) -> None:
    full_space(cluster, name)
    cluster.delete(f"{APIS}/namespaces/{name}/apps/web")
    eventually(lambda: children(cluster, name, "web") == [], GONE_SECONDS)
    decco.settle()
    assert len(children(cluster, name, "db")) >= 4


def test_deleting_a_space_removes_all_of_it(cluster: Cluster, decco: Decco, name: str) -> None:
    full_space(cluster, name)
    cluster.delete(f"{APIS}/spaces/{name}")
    eventually(lambda: is_gone(cluster, name), GONE_SECONDS)
    decco.settle()
    assert is_gone(cluster, name)


def test_a_namespace_deleted_by_hand_is_created_again(cluster: Cluster, decco: Decco, name: str) -> None:
    full_space(cluster, name)
    old = (cluster.get(f"/api/v1/namespaces/{name}") or {})["metadata"]["uid"]
    cluster.delete(f"/api/v1/namespaces/{name}")

    def created_again() -> bool:
        namespace = cluster.get(f"/api/v1/namespaces/{name}")
        ready = cluster.space_condition(name, "NetworkReady") or {}
        return bool(namespace and namespace["metadata"]["uid"] != old and ready.get("status") == "True")

    eventually(created_again, GONE_SECONDS + 15)
    eventually(lambda: (cluster.space_condition(name, "NamespaceReady") or {}).get("status") == "True", 5)
    # Its Apps went with it, as with any namespace; new ones can be created in it.
    cluster.create(app(name, "web", httpUrlPath="/web"))
    eventually(lambda: cluster.deployment(name, "web"), 5)
    decco.settle()


@full
def test_the_same_name_again_at_once(cluster: Cluster, decco: Decco, name: str) -> None:
    full_space(cluster, name)
    for round_number in range(3):
        cluster.delete(f"{APIS}/spaces/{name}")
        eventually(lambda: cluster.space(name) is None, GONE_SECONDS)
        made = cluster.create(space(name, project=f"round-{round_number}"))

        def is_the_new_one(uid: str = made["metadata"]["uid"]) -> bool:
            namespace = cluster.get(f"/api/v1/namespaces/{name}") or {"metadata": {}}
            owners = namespace["metadata"].get("ownerReferences") or [{}]
            ready = cluster.space_condition(name, "NetworkReady") or {}
            return bool(owners[0].get("uid") == uid and ready.get("status") == "True")

        eventually(is_the_new_one, GONE_SECONDS + 15, "the new Space's own namespace")
        decco.settle()


def test_the_same_app_again_at_once(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name)
    for number in range(5):
        made = cluster.create(app(name, "web", httpUrlPath=f"/web{number}"))

        def is_the_new_one(uid: str = made["metadata"]["uid"]) -> bool:
            deployment = cluster.deployment(name, "web") or {"metadata": {}}
            owners = deployment["metadata"].get("ownerReferences") or [{}]
            return bool(owners[0].get("uid") == uid and "deletionTimestamp" not in deployment["metadata"])

        eventually(is_the_new_one, GONE_SECONDS)
        if number < 4:
            cluster.delete(f"{APIS}/namespaces/{name}/apps/web")
    decco.settle()
