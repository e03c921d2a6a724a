"""A cluster with tenants and strangers, and what the API server holds of it: policies, pods, labels of namespaces.

Everything is read back. The tests use of decco's objects only what every client of Kubernetes may read: which pods a
policy selects, and where a Service leads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from testbed.evaluator import Peer
from tests.integration.harness import Cluster, Obj, app, eventually, pod

LABEL_APP = "decco.platform9.com/app"
EDGE_NAMESPACE = "edge-system"
EDGE_CIDRS = ("192.0.2.0/28", "2001:db8:1::/64")

OUTSIDE = {
    "edge host": "192.0.2.5",
    "edge host v6": "2001:db8:1::5",
    "beside edge": "192.0.2.16",
    "world": "198.51.100.7",
    "world v6": "2001:db8:2::5",
}
"""Clients that are not pods, by address: two in ``EDGE_CIDRS``, one just outside of the first, and the Internet."""

IMPOSTOR_LABELS = {
    "project": "foo",
    "platform9.com/project": "foo",
    "x.decco.platform9.com/project": "foo",
    "decco.platform9.com.example.net/project": "foo",
    "monitoring": "true",
    "app.kubernetes.io/managed-by": "somebody",
    "kubernetes.io/metadata.name": EDGE_NAMESPACE,
}
"""As near as somebody who may create namespaces comes to one of decco's, the edge's or the monitoring's."""
IMPOSTOR_POD_LABELS = {
    "decco.platform9.com/project": "foo",
    "decco.platform9.com/space": "foo-plain",
    "decco.platform9.com/app": "web",
    "decco.platform9.com/monitoring": "true",
    "app.kubernetes.io/managed-by": "decco",
    "kubernetes.io/metadata.name": EDGE_NAMESPACE,
}
"""Labels of pods are anybody's to choose."""


@dataclass(frozen=True, slots=True)
class World:
    """What the API server held at one moment. Pods are named ``<namespace>/<App>``, or ``<namespace>/<pod>``."""

    policies: list[Obj]
    pods: Mapping[str, Obj]
    services: Mapping[str, Obj]
    peers: Mapping[str, Peer]

    def port(self, target: str, wanted: int | str) -> int | None:
        """The port of a pod: the number itself, or where the Service of an endpoint leads; None if nowhere."""
        if isinstance(wanted, int):
            return wanted
        namespace = target.split("/")[0]
        leads = self.services[f"{namespace}/{wanted}"]["spec"]["ports"][0]["targetPort"]
        return leads if isinstance(leads, int) else declared(self.pods[target]).get(leads)


def declared(pod: Obj) -> dict[str, int]:
    """Ports of all containers of a pod by name, or by number where they have none."""
    return {
        port.get("name", str(port["containerPort"])): port["containerPort"]
        for kind in ("initContainers", "containers")
        for container in pod["spec"].get(kind, ())
        for port in container.get("ports", ())
    }


def read(cluster: Cluster, wanted: Iterable[str]) -> World:
    """Waits until each pod of ``wanted`` is there, and reads everything."""
    pods = eventually(lambda: _pods(cluster, set(wanted)), 30, f"pods {', '.join(wanted)}") or {}
    namespaces = {each["metadata"]["name"]: each["metadata"]["labels"] for each in cluster.items("/api/v1/namespaces")}
    reported = {name: ip for name, each in pods.items() if (ip := each.get("status", {}).get("podIP"))}
    # An earlier reading may have reported its addresses: no other pod gets one of them.
    free = (ip for ip in (f"10.77.0.{number}" for number in range(10, 250)) if ip not in reported.values())
    peers = {
        name: Peer(
            ip=reported.get(name) or next(free),
            namespace=each["metadata"]["namespace"],
            namespaceLabels=namespaces[each["metadata"]["namespace"]],
            labels=each["metadata"].get("labels", {}),
        )
        for name, each in sorted(pods.items())
    }
    return World(
        policies=cluster.items("/apis/networking.k8s.io/v1/networkpolicies"),
        pods=pods,
        services={_path(each): each for each in cluster.items("/api/v1/services")},
        peers={**peers, **{name: Peer(ip=address) for name, address in OUTSIDE.items()}},
    )


def _pods(cluster: Cluster, wanted: set[str]) -> dict[str, Obj] | None:
    """By name; None while one of ``wanted`` is missing, or while there are two of one App, as in a rollout."""
    found: dict[str, Obj] = {}
    for each in cluster.items("/api/v1/pods"):
        name = _path(each)
        if "deletionTimestamp" in each["metadata"]:
            continue
        app_name = each["metadata"].get("labels", {}).get(LABEL_APP)
        if app_name is not None and each["metadata"].get("ownerReferences"):
            name = f"{each['metadata']['namespace']}/{app_name}"
        if name in found:
            if name in wanted:
                return None
            name = _path(each)  # of an App of another test, which may have several
        found[name] = each
    return found if wanted <= found.keys() else None


def _path(obj: Obj) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"


def make_namespace(cluster: Cluster, name: str, **labels: str) -> None:
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})


def make_pod(cluster: Cluster, namespace: str, name: str, *ports: int, labels: Mapping[str, str] | None = None) -> None:
    """A pod without owner; waits for the namespace's service account."""
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}}, "spec": pod(*ports)}
    path = f"/api/v1/namespaces/{namespace}/pods"
    eventually(lambda: cluster.cp.request("POST", path, made).status == 201, 15, f"pod {namespace}/{name}")


def make_apps(cluster: Cluster, namespace: str, apps: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Creates Apps and returns the names of their pods."""
    for name, spec in apps.items():
        cluster.create(app(namespace, name, **spec))
    return [f"{namespace}/{name}" for name in apps]
