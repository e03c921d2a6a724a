"""What somebody with all permissions does to decco's children: alters their labels, or puts foreign objects there."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from decco.objects import ANNOTATION_HASH
from tests.integration.harness import Cluster, Obj

WORKLOADS = ("/apis/apps/v1/{}/deployments", "/apis/apps/v1/{}/statefulsets", "/apis/batch/v1/{}/jobs")
BUDGETS = "/apis/policy/v1/{}/poddisruptionbudgets"
PERMITTED = "/apis/gateway.envoyproxy.io/v1alpha1/{}/securitypolicies"
ROUTES = (
    "/apis/networking.k8s.io/v1/{}/ingresses",
    *(
        f"/apis/gateway.networking.k8s.io/v1/{{}}/{plural}"
        for plural in ("gateways", "listenersets", "httproutes", "tlsroutes", "backendtlspolicies")
    ),
    *(
        f"/apis/traefik.io/v1alpha1/{{}}/{plural}"
        for plural in ("ingressroutetcps", "middlewares", "serverstransports", "tlsoptions")
    ),
    *(
        f"/apis/gateway.envoyproxy.io/v1alpha1/{{}}/{plural}"
        for plural in ("backendtrafficpolicies", "clienttrafficpolicies")
    ),
    PERMITTED,
)
CHILDREN = (
    *(f"/api/v1/{{}}/{plural}" for plural in ("configmaps", "services", "resourcequotas", "limitranges", "secrets")),
    "/apis/networking.k8s.io/v1/{}/networkpolicies",
    *(f"/apis/security.istio.io/v1/{{}}/{plural}" for plural in ("authorizationpolicies", "peerauthentications")),
    BUDGETS,
    "/apis/cert-manager.io/v1/{}/certificates",
    *WORKLOADS,
    *ROUTES,
)
"""Collections of what decco writes in a Space's namespace."""
_MINE = "app.kubernetes.io/managed-by=decco"
_LEVEL = "pod-security.kubernetes.io/"
_KEPT = frozenset(
    {
        "app.kubernetes.io/managed-by",
        "kubernetes.io/metadata.name",
        "decco.platform9.com/space",
        "decco.platform9.com/app",
    }
)
"""Labels by which children are found, and those that the API server checks."""
_FOREIGN = {"foreign": "true"}


Child = tuple[str, Obj]
"""The path of its collection, and the object."""


def children(cluster: Cluster, namespace: str, forms: Iterable[str], *kinds: str) -> Iterator[Child]:
    """Of these collections, and of owners of these kinds."""
    for form in forms:
        path = form.format(f"namespaces/{namespace}")
        for obj in cluster.items(f"{path}?labelSelector={_MINE}"):
            if obj["metadata"].get("ownerReferences", [{}])[0].get("kind") in kinds:
                yield path, obj


def alter(cluster: Cluster, name: str) -> None:
    """A label of every child of a Space and its Apps, and of the namespace; or decco's digest where there is none."""
    namespace = cluster.get(f"/api/v1/namespaces/{name}") or {}
    for path, obj in (*children(cluster, name, CHILDREN, "Space", "App"), ("/api/v1/namespaces", namespace)):
        named = {label for label in obj["metadata"]["labels"] if label not in _KEPT and not label.startswith(_LEVEL)}
        changed = (
            {"labels": dict.fromkeys(named, "altered")} if named else {"annotations": {ANNOTATION_HASH: "altered"}}
        )
        child = f"{path}/{obj['metadata']['name']}"
        merge = {"Content-Type": "application/merge-patch+json"}
        answer = cluster.cp.request("PATCH", child, {"metadata": changed}, headers=merge)
        assert answer.status in {200, 404}, (path, answer.body)


def usurp(cluster: Cluster, these: Iterable[Child], until: Callable[[Callable[[], object], str], None]) -> None:
    """They are deleted and made again by somebody else."""
    for path, obj in these:
        cluster.delete(f"{path}/{obj['metadata']['name']}?propagationPolicy=Background")
        until(lambda path=path, obj=obj: _made(cluster, path, obj), f"the foreign {path}")  # type: ignore[misc]


def leave(cluster: Cluster, these: Iterable[Child]) -> None:
    """The foreign objects go."""
    for path, obj in these:
        cluster.delete(f"{path}/{obj['metadata']['name']}")


def are_back(cluster: Cluster, these: Iterable[Child]) -> bool:
    """Whether decco has made them again. It does not run a Job twice, and reads copies of Secrets once an hour."""
    watched = [(path, obj) for path, obj in these if not path.endswith(("jobs", "secrets"))]
    found = (cluster.get(f"{path}/{obj['metadata']['name']}") for path, obj in watched)
    return all(each and each["metadata"].get("labels") != _FOREIGN for each in found)


def _made(cluster: Cluster, path: str, child: Obj) -> bool:
    body: dict[str, Any] = {key: copy.deepcopy(value) for key, value in child.items() if key != "status"}
    body["metadata"] = {"name": child["metadata"]["name"], "labels": _FOREIGN}
    if "clusterIP" in body.get("spec", {}):
        body["spec"] = {"ports": [{"port": 1}]}
    if path.endswith("jobs"):
        template = {"spec": {"containers": [{"name": "c", "image": "x"}], "restartPolicy": "Never"}}
        body["spec"] = {"template": template, "suspend": True}
    return cluster.cp.request("POST", path, body).status == 201
