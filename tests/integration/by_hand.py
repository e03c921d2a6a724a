"""What a kubelet and a gateway controller would write into statuses, written by hand where there is neither."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.integration.harness import Cluster, Obj, eventually

GATEWAY = "/apis/gateway.networking.k8s.io/v1"
CONTROLLER_NAME = "example.net/gateway-controller"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, status: str = "True", reason: str = "", generation: int = 1, message: str = "") -> Obj:
    return {
        "type": kind,
        "status": status,
        "reason": reason or kind,
        "message": message,
        "lastTransitionTime": now(),
        "observedGeneration": generation,
    }


def _write(cluster: Cluster, path: str, status: Obj) -> None:
    cluster.patch(f"{path}/status", {"status": status})


def pods(cluster: Cluster, namespace: str, app: str) -> list[Obj]:
    found = cluster.items(f"/api/v1/namespaces/{namespace}/pods?labelSelector=decco.platform9.com/app={app}")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def run_pods(cluster: Cluster, namespace: str, app: str, phase: str = "Running") -> list[Obj]:
    """As a kubelet: every pod that the App has now reaches this phase; Running ones are ready. Waits for the first."""
    found = eventually(lambda: pods(cluster, namespace, app), 20, f"pods of {namespace}/{app}")
    for pod in found:
        ready = [{"type": "Ready", "status": "True", "lastTransitionTime": now()}] if phase == "Running" else []
        path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}/status"
        headers = {"Content-Type": "application/merge-patch+json"}
        answer = cluster.cp.request("PATCH", path, {"status": {"phase": phase, "conditions": ready}}, headers=headers)
        assert answer.status in (200, 404), answer.json()  # a rollout takes old pods away meanwhile
    return found


def accept_listeners(
    cluster: Cluster,
    namespace: str,
    *addresses: str,
    plural: str = "gateways",
    name: str = "decco",
    programmed: str = "True",
    **listener: Any,
) -> None:
    """As a gateway controller: takes a Gateway or ListenerSet, and reports these addresses (Gateways only).

    ``listener`` maps a listener's name to the condition that it has instead of being well.
    """
    path = f"{GATEWAY}/namespaces/{namespace}/{plural}/{name}"
    obj = eventually(lambda: cluster.get(path), 15, path)
    generation = obj["metadata"]["generation"]
    own = [condition("Accepted", generation=generation), condition("Programmed", programmed, generation=generation)]
    well = [condition(kind, generation=generation) for kind in ("Accepted", "ResolvedRefs", "Programmed")]
    status: Obj = {
        "conditions": own,
        "listeners": [
            {
                "name": each["name"],
                "attachedRoutes": 0,
                "supportedKinds": [],
                "conditions": [listener[each["name"]]] if each["name"] in listener else well,
            }
            for each in obj["spec"]["listeners"]
        ],
    }
    if plural == "gateways":
        status["addresses"] = [
            {"type": "Hostname" if each[-1].isalpha() and ":" not in each else "IPAddress", "value": each}
            for each in addresses
        ]
    _write(cluster, path, status)


def answer_route(
    cluster: Cluster, namespace: str, plural: str, name: str, *given: Obj, generation: int | None = None
) -> None:
    """As a gateway controller: accepts a route, or reports ``given`` for it."""
    path = f"{GATEWAY}/namespaces/{namespace}/{plural}/{name}"
    route = eventually(lambda: cluster.get(path), 15, path)
    of = generation or route["metadata"]["generation"]
    conditions = list(given) or [condition("Accepted", generation=of), condition("ResolvedRefs", generation=of)]
    answer = {"controllerName": CONTROLLER_NAME, "conditions": conditions}
    _write(cluster, path, {"parents": [{**answer, "parentRef": each} for each in route["spec"]["parentRefs"]]})


def answer_policy(cluster: Cluster, namespace: str, name: str, *given: Obj) -> None:
    """As a gateway controller: says this of a BackendTLSPolicy."""
    path = f"{GATEWAY}/namespaces/{namespace}/backendtlspolicies/{name}"
    eventually(lambda: cluster.get(path), 15, path)
    ancestor = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "decco"}
    answer = {"controllerName": CONTROLLER_NAME, "ancestorRef": ancestor, "conditions": list(given)}
    _write(cluster, path, {"ancestors": [answer]})
