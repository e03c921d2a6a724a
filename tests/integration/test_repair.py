"""A child deleted or altered by hand is repaired within a second; what belongs to others survives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, pod, tls_secret
from tests.promises import promised, timed

REPAIR_SECONDS = 1.0
POLICIES = "/apis/networking.k8s.io/v1/namespaces/{n}/networkpolicies"
GATEWAY = "/apis/gateway.networking.k8s.io/v1/namespaces/{n}"

# One of each kind of child but copies of Secrets (test_copies.py), of a Space "n" with an App "web" that has an HTTP
# endpoint "web" and a TCP endpoint "db".
CHILDREN = [
    "/api/v1/namespaces/{n}/services/web",
    "/api/v1/namespaces/{n}/services/db",
    "/api/v1/namespaces/{n}/configmaps/web-stunnel",
    "/api/v1/namespaces/{n}/resourcequotas/decco",
    "/api/v1/namespaces/{n}/limitranges/decco",
    "/apis/apps/v1/namespaces/{n}/deployments/web",
    POLICIES + "/decco",
    POLICIES + "/app-web",
    GATEWAY + "/gateways/decco",
    GATEWAY + "/httproutes/web",
    GATEWAY + "/tlsroutes/db",
]

# (path, patch, kind of patch): what a person with too many rights may do
ALTERATIONS: list[tuple[str, Any, str]] = [
    ("/api/v1/namespaces/{n}", {"metadata": {"labels": {"decco.platform9.com/project": "stolen"}}}, "merge"),
    ("/api/v1/namespaces/{n}", {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}, "merge"),
    ("/api/v1/namespaces/{n}", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}, "merge"),
    ("/api/v1/namespaces/{n}", {"metadata": {"annotations": {"decco.platform9.com/fqdn": "x.y"}}}, "merge"),
    (CHILDREN[0], {"spec": {"selector": {"app": "other"}}}, "merge"),
    (CHILDREN[1], [{"op": "replace", "path": "/spec/ports/0/port", "value": 444}], "json"),
    (CHILDREN[1], [{"op": "add", "path": "/spec/ports/-", "value": {"name": "x", "port": 1, "targetPort": 1}}], "json"),
    (CHILDREN[1], {"spec": {"externalIPs": ["192.0.2.1"]}}, "merge"),
    (CHILDREN[2], {"data": {"stunnel.conf": "verifyChain = no"}}, "merge"),
    (CHILDREN[2], {"data": {"extra": "x"}}, "merge"),
    (CHILDREN[3], {"spec": {"hard": {"pods": "999"}}}, "merge"),
    (CHILDREN[4], {"spec": {"limits": []}}, "merge"),
    (CHILDREN[5], {"spec": {"template": {"spec": {"hostNetwork": True}}}}, "merge"),
    (CHILDREN[5], [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "evil:1"}], "json"),
    (
        CHILDREN[5],
        [{"op": "add", "path": "/spec/template/spec/containers/0/env", "value": [{"name": "A", "value": "B"}]}],
        "json",
    ),
    (
        CHILDREN[5],
        [{"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "evil", "image": "evil:1"}}],
        "json",
    ),
    (CHILDREN[5], [{"op": "remove", "path": "/spec/template/spec/initContainers"}], "json"),
    (CHILDREN[5], {"spec": {"paused": True}}, "merge"),
    (CHILDREN[5], {"spec": {"template": {"metadata": {"labels": {"extra": "x"}}}}}, "merge"),
    (CHILDREN[5], {"metadata": {"annotations": {"decco.platform9.com/hash": "0"}}}, "merge"),
    (CHILDREN[6], {"spec": {"podSelector": {"matchLabels": {"none": "such"}}}}, "merge"),
    (CHILDREN[6], {"spec": {"ingress": [{}]}}, "merge"),
    (CHILDREN[7], [{"op": "add", "path": "/spec/ingress/0/ports/-", "value": {"port": 22}}], "json"),
    (CHILDREN[7], {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}, "merge"),
    (CHILDREN[8], [{"op": "replace", "path": "/spec/listeners/0/port", "value": 8081}], "json"),
    (CHILDREN[9], {"spec": {"hostnames": ["stolen.example.net"]}}, "merge"),
    (CHILDREN[10], [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/port", "value": 1}], "json"),
    (CHILDREN[10], {"metadata": {"ownerReferences": None}}, "merge"),
]


@pytest.fixture(scope="module")
def tenant(cluster: Cluster, decco: Decco) -> str:
    """A Space with one child of every kind."""
    namespace = "repair"
    cluster.create(tls_secret("repair-tls"))
    cluster.make_space(
        namespace,
        project="foo",
        httpCertSecretName="repair-tls",
        resourceQuota={"hard": {"pods": "5"}},
        limitRange={"limits": [{"type": "Container", "max": {"cpu": "2"}}]},
    )
    endpoints = [
        {"name": "web", "port": 8080, "httpPath": "/web"},
        {"name": "db", "port": 5432, "certAndCaSecretName": "repair-tls"},
    ]
    cluster.create(app(namespace, "web", pod=pod(8080, automountServiceAccountToken=False), endpoints=endpoints))
    for path in CHILDREN:
        eventually(lambda path=path: cluster.get(path.format(n=namespace)), 5, path)
    decco.settle()
    return namespace


def _body(obj: Obj | None) -> Obj | None:
    """What must be as it was: everything but versions, times, status, and other managers' book-keeping."""
    if obj is None:
        return None
    meta = obj["metadata"]
    kept = {name: meta.get(name) for name in ("labels", "annotations", "ownerReferences", "name", "namespace")}
    if obj["kind"] == "Deployment":
        kept["annotations"] = {
            name: value
            for name, value in kept["annotations"].items()
            if not name.startswith("deployment.kubernetes.io/")
        }
    rest = {name: value for name, value in obj.items() if name not in {"metadata", "status"}}
    if obj["kind"] == "Service":
        # A Service that was deleted gets another address.
        rest["spec"] = {name: value for name, value in rest["spec"].items() if name not in {"clusterIP", "clusterIPs"}}
    return {"metadata": kept, **rest}


def _repaired(cluster: Cluster, path: str, before: Obj | None, change: Callable[[], object]) -> None:
    started = time.monotonic()
    change()
    eventually(lambda: _body(cluster.get(path)) == _body(before), what=f"repair of {path}")
    took = time.monotonic() - started
    promised(f"the repair of {path}", took, REPAIR_SECONDS)


@pytest.mark.parametrize("path", CHILDREN)
@timed
def test_a_deleted_child_comes_back(cluster: Cluster, tenant: str, path: str) -> None:
    path = path.format(n=tenant)
    before = cluster.get(path)
    _repaired(cluster, path, before, lambda: cluster.delete(path))


@pytest.mark.parametrize(
    "alteration", ALTERATIONS, ids=[f"{a[0].rsplit('/', 2)[1]}-{i}" for i, a in enumerate(ALTERATIONS)]
)
@timed
def test_an_altered_child_is_repaired(
    cluster: Cluster, decco: Decco, tenant: str, alteration: tuple[str, Any, str]
) -> None:
    path, patch, kind = alteration
    path = path.format(n=tenant)
    before = cluster.get(path)
    mark = cluster.cp.audit_mark()
    _repaired(cluster, path, before, lambda: cluster.patch(path, patch, kind))
    decco.settle(quiet=0.3)
    repairs = [event for event in cluster.cp.audit("decco", since=mark, writes=True) if event.code < 400]
    mine = [event for event in repairs if tenant in (event.namespace, event.name)]
    of_children = [event for event in mine if event.resource not in {"apps", "spaces", "events"}]
    # managed-by is what decco watches by: without it the object is missing at first.
    assert len(of_children) == 1, mine


def test_the_others_fields_survive(cluster: Cluster, decco: Decco, tenant: str) -> None:
    path = f"/apis/apps/v1/namespaces/{tenant}/deployments/web"
    cluster.patch(path, {"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}, "finalizers": ["x.y/z"]}})
    cluster.cp.kubectl("scale", "deployment", "web", "-n", tenant, "--replicas=3")
    cluster.cp.kubectl("rollout", "restart", "deployment", "web", "-n", tenant)
    restarted = cluster.get(path)["spec"]["template"]["metadata"]["annotations"]  # type: ignore[index]
    cluster.patch(f"{APIS}/namespaces/{tenant}/apps/web", {"spec": {"pod": pod(8080, image="registry.example/app:9")}})

    def followed() -> bool:
        live = cluster.get(path) or {}
        return bool(live["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":9"))

    eventually(followed, 5)
    live = cluster.get(path) or {}
    assert live["metadata"]["labels"]["team"] == "a"
    assert live["metadata"]["annotations"]["note"] == "b"
    assert live["metadata"]["finalizers"] == ["x.y/z"]
    assert live["spec"]["replicas"] == 3
    assert live["spec"]["template"]["metadata"]["annotations"] == restarted
    cluster.patch(path, {"metadata": {"finalizers": None}})
