"""Where pods are, and the few words that the tests of zones need."""

from __future__ import annotations

from collections import Counter
from typing import Any

from testbed.controlplane import ControlPlane
from testbed.kwok import ZONE
from tests.integration.harness import APIS, Cluster, Obj, app, eventually, pod

SOON = 120.0


def is_ready(each: Obj) -> bool:
    conditions = (each.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def pods(cluster: Cluster, space: str, app: str = "") -> list[Obj]:
    """Those that are not being deleted; of all Apps of the Space without a name."""
    label = "decco.platform9.com/app" + (f"={app}" if app else "")
    found = cluster.items(f"/api/v1/namespaces/{space}/pods?labelSelector={label}")
    return [each for each in found if "deletionTimestamp" not in each["metadata"]]


def zone_of(each: Obj) -> str:
    """The zone of a pod's node, which is the beginning of the node's name here; "" while it has none."""
    return str(each["spec"].get("nodeName", "")).partition("-")[0]


def spread(cluster: Cluster, space: str, app: str) -> Counter[str]:
    """Ready pods of an App by zone."""
    return Counter(zone_of(each) for each in pods(cluster, space, app) if is_ready(each))


def pending(cluster: Cluster, space: str, app: str) -> int:
    return sum("nodeName" not in each["spec"] for each in pods(cluster, space, app))


def make_apps(cluster: Cluster, space: str, count: int, replicas: int, **spec: Any) -> list[str]:
    names = [f"app-{number}" for number in range(count)]
    for name in names:
        cluster.create(app(space, name, **{"pod": pod(8080), "initialReplicas": replicas, **spec}))
    wait_ready(cluster, space, names, replicas)
    return names


def wait_ready(cluster: Cluster, space: str, names: list[str], replicas: int) -> None:
    for name in names:
        eventually(
            lambda name=name: sum(spread(cluster, space, name).values()) >= replicas, SOON, f"pods of {space}/{name}"
        )


def set_topology(cluster: Cluster, space: str, **topology: Any) -> None:
    cluster.patch(f"{APIS}/spaces/{space}", {"spec": {"topology": topology}})


def cordon(cluster: Cluster, node: str, *, closed: bool) -> None:
    cluster.patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": closed or None}})


def evict(cp: ControlPlane, each: Obj) -> tuple[int, str]:
    """Status and message of the eviction API's answer."""
    meta = each["metadata"]
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
    }
    answer = cp.request("POST", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/eviction", body)
    return answer.status, str(answer.json().get("message", ""))


def node_ready(cluster: Cluster, node: str) -> str:
    found = cluster.get(f"/api/v1/nodes/{node}") or {}
    return next(c["status"] for c in found["status"]["conditions"] if c["type"] == "Ready")


def hints(cluster: Cluster, space: str, service: str) -> list[tuple[str, list[str]]]:
    """Of each endpoint of a Service, its zone and the zones whose clients are to use it."""
    listed = cluster.items(
        f"/apis/discovery.k8s.io/v1/namespaces/{space}/endpointslices?labelSelector=kubernetes.io/service-name={service}"
    )
    endpoints = [each for item in listed for each in item.get("endpoints") or ()]
    return sorted(
        (str(each.get("zone")), [zone["name"] for zone in (each.get("hints") or {}).get("forZones") or ()])
        for each in endpoints
    )


__all__ = ["ZONE"]
