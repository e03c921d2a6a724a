"""Children that a finalizer keeps in deletion: they are kept as desired, and the conditions say who holds them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, pod, tls_secret
from tests.sample import full

SECONDS = 30.0
KEEP = "x.example.net/keep"
GATEWAY = "/apis/gateway.networking.k8s.io/v1/namespaces/{n}"
POLICY = "/apis/networking.k8s.io/v1/namespaces/{n}/networkpolicies/decco"
OPENED = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}

# path -> (object with the condition, condition)
HELD = {
    "/api/v1/namespaces/{n}/resourcequotas/decco": ("space", "NamespaceReady"),
    "/api/v1/namespaces/{n}/limitranges/decco": ("space", "NamespaceReady"),
    POLICY: ("space", "NetworkReady"),
    GATEWAY + "/gateways/decco": ("space", "RoutesReady"),
    "/apis/networking.k8s.io/v1/namespaces/{n}/networkpolicies/app-web": ("web", "WorkloadReady"),
    "/api/v1/namespaces/{n}/services/web": ("web", "WorkloadReady"),
    "/api/v1/namespaces/{n}/configmaps/web-stunnel": ("web", "WorkloadReady"),
    "/apis/apps/v1/namespaces/{n}/deployments/web": ("web", "WorkloadReady"),
    "/apis/batch/v1/namespaces/{n}/jobs/once": ("once", "WorkloadReady"),
    GATEWAY + "/httproutes/web": ("web", "RoutesReady"),
    GATEWAY + "/tlsroutes/db": ("web", "RoutesReady"),
}


@pytest.fixture(scope="module")
def tenant(cluster: Cluster, decco: Decco) -> Iterator[str]:
    """A Space with a child of each kind."""
    name = "held"
    if cluster.get("/api/v1/namespaces/decco/secrets/held-tls") is None:
        cluster.create(tls_secret("held-tls"))
    limits = {"resourceQuota": {"hard": {"pods": "9"}}, "limitRange": {"limits": [{"type": "Container"}]}}
    cluster.make_space(name, httpCertSecretName="held-tls", tcpCertAndCaSecretName="held-tls", **limits)
    endpoints = [{"name": "web", "port": 8080, "httpPath": "/"}, {"name": "db", "port": 5432}]
    cluster.create(app(name, "web", endpoints=endpoints))
    cluster.create(app(name, "once", endpoints=[], runAsJob=True))
    for path in HELD:
        eventually(lambda path=path: cluster.get(path.format(n=name)), SECONDS, path)  # type: ignore[misc]
    decco.settle()
    yield name
    cluster.delete(f"{APIS}/spaces/{name}")


def hold(cluster: Cluster, path: str) -> Obj:
    """Deleted, and kept by somebody's finalizer."""
    cluster.patch(path, {"metadata": {"finalizers": [KEEP]}})
    cluster.delete(path)
    held = cluster.get(path) or {}
    assert held["metadata"]["deletionTimestamp"]
    return held


def release(cluster: Cluster, path: str) -> None:
    if cluster.get(path) is not None:
        cluster.patch(path, {"metadata": {"finalizers": None}})


def condition(cluster: Cluster, name: str, owner: str, kind: str) -> Obj:
    found = cluster.space_condition(name, kind) if owner == "space" else cluster.app_condition(name, owner, kind)
    return found or {}


@pytest.mark.parametrize("path", HELD)
def test_the_condition_names_who_holds_the_child_and_it_is_created_again(
    cluster: Cluster, decco: Decco, tenant: str, path: str
) -> None:
    owner, kind = HELD[path]
    where = path.format(n=tenant)
    held = hold(cluster, where)
    try:
        said = eventually(
            lambda: (
                (found := condition(cluster, tenant, owner, kind))
                and found["reason"] == "BeingDeleted"
                and found["message"]
            ),
            SECONDS,
            f"{kind} of {owner}",
        )
        assert KEEP in said
        assert f"{tenant}/{held['metadata']['name']}" in said
        decco.settle()
        assert (cluster.get(where) or {})["metadata"]["uid"] == held["metadata"]["uid"]
    finally:
        release(cluster, where)
    if path.endswith("/jobs/once"):  # a run is not repeated
        eventually(lambda: condition(cluster, tenant, owner, kind)["reason"] == "JobDeleted", SECONDS)
        assert cluster.get(where) is None
        return
    eventually(lambda: (cluster.get(where) or held)["metadata"]["uid"] != held["metadata"]["uid"], SECONDS)
    eventually(lambda: condition(cluster, tenant, owner, kind)["reason"] != "BeingDeleted", SECONDS)


ALTERED = {
    POLICY: {"spec": OPENED},
    "/apis/networking.k8s.io/v1/namespaces/{n}/networkpolicies/app-web": {"spec": {**OPENED, "podSelector": {}}},
    "/api/v1/namespaces/{n}/services/web": {"spec": {"selector": {"app": "theirs"}}},
    GATEWAY + "/httproutes/web": {"spec": {"hostnames": ["stolen.example.net"]}},
}


@pytest.mark.parametrize("path", ALTERED)
def test_a_child_that_is_held_is_still_kept_as_desired(cluster: Cluster, decco: Decco, tenant: str, path: str) -> None:
    where = path.format(n=tenant)
    held = hold(cluster, where)
    content = "data" if "data" in held else "spec"
    try:
        cluster.patch(where, ALTERED[path])
        eventually(lambda: (cluster.get(where) or {})[content] == held[content], SECONDS)
        assert (cluster.get(where) or {})["metadata"]["uid"] == held["metadata"]["uid"]
    finally:
        release(cluster, where)
    eventually(lambda: (cluster.get(where) or held)["metadata"]["uid"] != held["metadata"]["uid"], SECONDS)


def test_an_app_is_not_started_behind_a_policy_that_is_being_deleted(
    cluster: Cluster, decco: Decco, tenant: str
) -> None:
    where = POLICY.format(n=tenant)
    hold(cluster, where)
    deployment = f"/apis/apps/v1/namespaces/{tenant}/deployments/web"
    before = cluster.get(deployment) or {}
    try:
        eventually(lambda: condition(cluster, tenant, "space", "NetworkReady")["reason"] == "BeingDeleted", SECONDS)
        cluster.create(app(tenant, "later", endpoints=[]))
        eventually(lambda: "NetworkPolicy" in str(cluster.app_condition(tenant, "later", "WorkloadReady")), SECONDS)
        cluster.patch(f"{APIS}/namespaces/{tenant}/apps/web", {"spec": {"pod": pod(8080, image="new:2")}})
        eventually(lambda: "NetworkPolicy" in str(cluster.app_condition(tenant, "web", "WorkloadReady")), SECONDS)
        decco.settle()
        assert cluster.deployment(tenant, "later") is None
        after = cluster.get(deployment) or {}
        assert (after["metadata"]["uid"], after["spec"]) == (before["metadata"]["uid"], before["spec"])
    finally:
        release(cluster, where)
    eventually(lambda: cluster.deployment(tenant, "later"), SECONDS)
    eventually(lambda: "new:2" in str(cluster.get(deployment)), SECONDS)
    assert condition(cluster, tenant, "space", "NetworkReady")["status"] == "True"


@full
def test_it_is_the_same_after_a_restart(cluster: Cluster, decco: Decco, name: str) -> None:
    where = POLICY.format(n=name)
    cluster.make_space(name)
    assert decco.stop() == 0
    held = hold(cluster, where)
    try:
        cluster.patch(where, {"spec": OPENED})
        decco.start()
        eventually(lambda: (cluster.get(where) or {})["spec"] == held["spec"], SECONDS)
        eventually(lambda: condition(cluster, name, "space", "NetworkReady")["reason"] == "BeingDeleted", SECONDS)
        decco.settle()
        mark = cluster.cp.audit_mark()
        decco.settle()
        writes = [e for e in cluster.cp.audit("decco", since=mark, writes=True) if e.namespace == name]
        assert writes == [], "what is settled costs nothing, also while it is held"
    finally:
        release(cluster, where)
        cluster.delete(f"{APIS}/spaces/{name}")


def test_a_namespace_in_deletion_says_what_holds_it(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name)
    path = f"/api/v1/namespaces/{name}/configmaps/theirs"
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "theirs", "namespace": name, "finalizers": [KEEP]},
        }
    )
    cluster.delete(f"/api/v1/namespaces/{name}")
    try:
        eventually(lambda: KEEP in condition(cluster, name, "space", "NamespaceReady")["message"], SECONDS)
        for kind in ("NamespaceReady", "NetworkReady"):
            assert condition(cluster, name, "space", kind)["reason"] == "NamespaceTerminating"
    finally:
        release(cluster, path)
    eventually(lambda: condition(cluster, name, "space", "NetworkReady")["status"] == "True", 60)
    cluster.delete(f"{APIS}/spaces/{name}")


def test_what_is_not_wanted_any_more_and_is_held_is_reported(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name)
    cluster.create(app(name, "web", endpoints=[{"name": "web", "port": 8080}]))
    path = f"/api/v1/namespaces/{name}/services/web"
    eventually(lambda: cluster.get(path), SECONDS)
    hold(cluster, path)
    try:
        cluster.patch(f"{APIS}/namespaces/{name}/apps/web", {"spec": {"endpoints": []}})

        def said() -> bool:
            events = cluster.items(f"/apis/events.k8s.io/v1/namespaces/{name}/events")
            return any(each["reason"] == "LeftOver" and KEEP in each["note"] for each in events)

        eventually(said, SECONDS)
    finally:
        release(cluster, path)
    eventually(lambda: cluster.get(path) is None, SECONDS)
    cluster.delete(f"{APIS}/spaces/{name}")


ROUTE = GATEWAY + "/httproutes/web"


def serves(cluster: Cluster, where: str, host: str) -> bool:
    return host in str((cluster.get(where) or {}).get("spec"))


def make_routed(cluster: Cluster, name: str) -> tuple[str, str]:
    """A Space with a route; its path and its host name."""
    cluster.make_space(name)
    cluster.create(app(name, "web", endpoints=[{"name": "web", "port": 8080, "httpPath": "/"}]))
    where = ROUTE.format(n=name)
    route = eventually(lambda: cluster.get(where), SECONDS, where)
    return where, route["spec"]["hostnames"][0]


@pytest.mark.parametrize("what", ["endpoint", "app", "space"])
def test_a_route_that_is_held_serves_no_name_when_its_owner_no_longer_has_it(
    cluster: Cluster, decco: Decco, name: str, what: str
) -> None:
    where, host = make_routed(cluster, name)
    cluster.patch(where, {"metadata": {"finalizers": [KEEP]}})
    listeners = (GATEWAY + "/gateways/decco").format(n=name)
    cluster.patch(listeners, {"metadata": {"finalizers": [KEEP]}})
    try:
        if what == "endpoint":
            cluster.patch(f"{APIS}/namespaces/{name}/apps/web", {"spec": {"endpoints": []}})
        elif what == "app":
            cluster.delete(f"{APIS}/namespaces/{name}/apps/web")
        else:
            cluster.delete(f"{APIS}/spaces/{name}")
            eventually(lambda: not serves(cluster, listeners, host), SECONDS)
        eventually(lambda: not serves(cluster, where, host), SECONDS)
        assert (cluster.get(where) or {})["metadata"]["finalizers"] == [KEEP], "decco does not remove the finalizer"
        decco.settle()
        mark = cluster.cp.audit_mark()
        decco.settle()
        assert [e for e in cluster.cp.audit("decco", since=mark, writes=True) if e.namespace == name] == []
    finally:
        for each in (where, listeners):
            release(cluster, each)
        cluster.delete(f"{APIS}/spaces/{name}")


@full
def test_a_route_that_was_held_while_decco_was_down_is_withdrawn_at_its_start(
    cluster: Cluster, decco: Decco, name: str
) -> None:
    where, host = make_routed(cluster, name)
    assert decco.stop() == 0
    cluster.patch(where, {"metadata": {"finalizers": [KEEP]}})
    cluster.delete(f"{APIS}/spaces/{name}")
    try:
        eventually(lambda: (cluster.get(where) or {})["metadata"].get("deletionTimestamp"), SECONDS)
        decco.start()
        eventually(lambda: not serves(cluster, where, host), SECONDS)
    finally:
        release(cluster, where)
