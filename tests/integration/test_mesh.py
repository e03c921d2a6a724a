"""Spaces in Istio's mesh on a real API server with Istio's CRDs: what is written, in which order, and that nothing else
is. What the policies permit is evaluated in tests/policies/test_mesh.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from testbed import manifests
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, http_app, own_control_plane, pod
from tests.integration.loop import assert_no_defects
from tests.sample import full

SECURITY = "/apis/security.istio.io/v1"
MODE = "istio.io/dataplane-mode"
RECORD = "decco.platform9.com/mesh"
TUNNEL = 15008
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_control_plane() as cp:
        cp.create("/api/v1/namespaces", {"metadata": {"name": "edge", "labels": {MODE: "ambient"}}})
        yield Cluster(cp)


@pytest.fixture(scope="module")
def bare(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    with Decco(cluster.cp, tmp_path_factory.mktemp("decco"), mesh__switch_seconds="2") as decco:
        yield decco
        assert decco.stop() == 0, decco.tail()
        assert_no_defects(decco)


@pytest.fixture(scope="module")
def decco(cluster: Cluster, bare: Decco) -> Decco:
    """A controller that began without the CRDs of Istio."""
    early(cluster)
    manifests.install_istio_crds(cluster.cp.api)
    eventually(lambda: phase(cluster, "early") == "Strict", 90, "the kinds are found")
    return bare


@pytest.fixture
def name(decco: Decco) -> str:
    return f"mesh{next(NUMBERS)}"


def early(cluster: Cluster) -> None:
    """Without the kinds nothing is claimed, and the tunnel is closed."""
    cluster.make_space("early", mesh="Istio")  # which is isolated all the same
    cluster.create(http_app("early", "web", "/"))
    eventually(lambda: ready(cluster, "early").get("reason") == "MeshMissing")
    found = ready(cluster, "early")
    assert "AuthorizationPolicy, PeerAuthentication of security.istio.io" in found["message"]
    assert "istio-base" in found["message"]
    eventually(lambda: policy(cluster, "early", "app-web"))
    assert not is_open(cluster, "early", "web")
    assert phase(cluster, "early") == ""


def namespace(cluster: Cluster, name: str) -> Obj:
    found: Obj = (cluster.get(f"/api/v1/namespaces/{name}") or {}).get("metadata", {})
    return found


def phase(cluster: Cluster, name: str) -> str:
    text = namespace(cluster, name).get("annotations", {}).get(RECORD, "")
    return text.partition("/")[2].partition("@")[0]


def is_labelled(cluster: Cluster, name: str) -> bool:
    return namespace(cluster, name).get("labels", {}).get(MODE) == "ambient"


def ready(cluster: Cluster, name: str) -> Obj:
    return cluster.space_condition(name, "MeshReady") or {}


def policy(cluster: Cluster, name: str, of: str) -> Obj | None:
    return cluster.get(f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies/{of}")


def of_mesh(cluster: Cluster, name: str) -> dict[str, Obj]:
    """ "kind/name" -> spec."""
    return {
        f"{kind}/{each['metadata']['name']}": each["spec"]
        for kind in ("authorizationpolicies", "peerauthentications")
        for each in cluster.items(f"{SECURITY}/namespaces/{name}/{kind}")
    }


def mode(cluster: Cluster, name: str) -> str | None:
    spec = of_mesh(cluster, name).get("peerauthentications/decco")
    return spec["mtls"]["mode"] if spec is not None else None


def is_open(cluster: Cluster, name: str, app: str) -> bool:
    spec = (policy(cluster, name, f"app-{app}") or {}).get("spec", {})
    return any(port["port"] == TUNNEL for rule in spec.get("ingress", ()) for port in rule.get("ports", ()))


def edit(cluster: Cluster, name: str, **spec: object) -> None:
    cluster.patch(f"{APIS}/spaces/{name}", {"spec": spec})


def writes(cluster: Cluster, since: int) -> list[tuple[str, str, str]]:
    said = cluster.cp.audit("decco", since=since)
    return [(each.verb, each.resource, each.name) for each in said if each.writes and each.resource != "events"]


def members(cluster: Cluster, name: str, app: str) -> list[str]:
    rules = of_mesh(cluster, name).get(f"authorizationpolicies/app-{app}", {}).get("rules", ())
    found = (source["source"].get("namespaces", []) for rule in rules for source in rule.get("from", ()))
    return [each for each in next(found, []) if each != "edge"]


@full
def test_a_new_space_is_strict_from_the_beginning(cluster: Cluster, name: str) -> None:
    cluster.make_space(name, project=f"p-{name}", mesh="Istio")
    cluster.make_space(f"{name}-b", project=f"p-{name}", mesh="Istio")
    cluster.create(http_app(name, "web", "/"))
    eventually(lambda: is_open(cluster, name, "web"))
    assert is_labelled(cluster, name)
    eventually(lambda: members(cluster, name, "web") == [f"{name}-b"])
    found = of_mesh(cluster, name)
    pods = {"matchLabels": {"decco.platform9.com/app": "web"}}
    clients = [{"source": {"namespaces": ["edge", f"{name}-b"]}}]
    assert found == {
        "authorizationpolicies/decco": {"action": "ALLOW", "rules": [{"from": [{"source": {"namespaces": [name]}}]}]},
        "authorizationpolicies/app-web": {
            "action": "ALLOW",
            "selector": pods,
            "rules": [{"from": clients, "to": [{"operation": {"ports": ["8080"]}}]}],
        },
        "peerauthentications/decco": {"mtls": {"mode": "STRICT"}},
    }
    assert ready(cluster, name)["reason"] == "Reconciled"


def test_a_running_space_enters_and_leaves_without_a_gap(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name)
    cluster.create(http_app(name, "web", "/"))
    eventually(lambda: cluster.deployment(name, "web"))
    decco.settle()
    before = cluster.deployment(name, "web") or {}
    networks = {of: policy(cluster, name, of) for of in ("decco", "app-web")}
    since = cluster.cp.audit_mark()

    edit(cluster, name, mesh="Istio")
    seen = []
    while phase(cluster, name) != "Strict":
        labelled, state = is_labelled(cluster, name), (mode(cluster, name), is_open(cluster, name, "web"))
        if labelled:
            assert state == ("PERMISSIVE", True) or phase(cluster, name) == "Strict", state
        seen.append(ready(cluster, name).get("reason"))
    eventually(lambda: mode(cluster, name) == "STRICT")
    assert "MeshSwitching" in seen
    found = of_mesh(cluster, name)
    assert found["authorizationpolicies/app-web"]["rules"] == [{"to": [{"operation": {"ports": ["8080"]}}]}]
    assert found["peerauthentications/app-web"]["portLevelMtls"] == {"8080": {"mode": "PERMISSIVE"}}
    order = writes(cluster, since)
    created, opened = ("create", "authorizationpolicies", "app-web"), ("update", "networkpolicies", "app-web")
    assert order.index(created) < order.index(opened)
    assert [each for each in order if each[1] in ("deployments", "services", "configmaps")] == []

    since = cluster.cp.audit_mark()
    edit(cluster, name, mesh="None")
    while phase(cluster, name):
        state = (is_labelled(cluster, name), mode(cluster, name), is_open(cluster, name, "web"))
        # Who is still inside finds the tunnel, who is already outside is not refused.
        assert state in ((True, "STRICT", True), (True, "PERMISSIVE", True), (False, "PERMISSIVE", True)) or (
            phase(cluster, name) == ""
        ), state
    eventually(lambda: not of_mesh(cluster, name))
    decco.settle()
    order = writes(cluster, since)
    closed, removed = ("update", "networkpolicies", "app-web"), ("delete", "authorizationpolicies", "app-web")
    assert order.index(closed) < order.index(removed)
    after = cluster.deployment(name, "web") or {}
    assert (after["metadata"]["generation"], after["metadata"]["uid"]) == (
        before["metadata"]["generation"],
        before["metadata"]["uid"],
    )
    for of, old in networks.items():
        assert (policy(cluster, name, of) or {})["spec"] == (old or {})["spec"]
    assert not is_labelled(cluster, name)


def test_a_restart_continues_a_switch_and_nothing_is_written_after_it(
    cluster: Cluster, decco: Decco, name: str
) -> None:
    cluster.make_space(name)
    cluster.create(http_app(name, "web", "/"))
    eventually(lambda: policy(cluster, name, "app-web"))
    edit(cluster, name, mesh="Istio")
    eventually(lambda: phase(cluster, name) in ("Prepared", "Passing"))
    assert decco.stop() == 0
    stopped = phase(cluster, name)
    decco.start()
    eventually(lambda: phase(cluster, name) == "Strict", what=f"after {stopped}")
    eventually(lambda: mode(cluster, name) == "STRICT")
    decco.settle()
    since = cluster.cp.audit_mark()
    assert decco.stop() == 0
    decco.start()
    decco.settle(3.0)
    assert [each for each in writes(cluster, since) if each[1] != "leases"] == []


def test_who_joins_or_leaves_a_project_is_listed(cluster: Cluster, decco: Decco, name: str) -> None:
    project, other = f"p-{name}", f"{name}-b"
    cluster.make_space(name, project=project, mesh="Istio")
    cluster.create(http_app(name, "web", "/"))
    cluster.make_space(other, mesh="Istio")
    eventually(lambda: is_open(cluster, name, "web") or policy(cluster, name, "app-web"))
    assert members(cluster, name, "web") == []
    edit(cluster, other, project=project)
    eventually(lambda: members(cluster, name, "web") == [other])
    assert "peerauthentications/app-web" not in of_mesh(cluster, name)
    edit(cluster, other, mesh="None")  # its plain connections are permitted before its pods leave
    eventually(lambda: "peerauthentications/app-web" in of_mesh(cluster, name))
    eventually(lambda: not phase(cluster, other))
    edit(cluster, other, project=None)
    eventually(lambda: not members(cluster, name, "web"))
    cluster.make_space(f"{name}-c", project=project, mesh="Istio")
    eventually(lambda: members(cluster, name, "web") == [f"{name}-c"])
    cluster.delete(f"{APIS}/spaces/{name}-c")
    eventually(lambda: not members(cluster, name, "web"))


def test_plain_text_by_the_mesh_is_opened_and_closed(cluster: Cluster, decco: Decco, name: str) -> None:
    """No pod is touched by it, and the name in allowedClients stands for an account once its Space is there."""
    endpoint = {"name": "db", "port": 5432, "createClearTextService": True}
    named = {**endpoint, "allowedClients": [f"batch.{name}-b.example.net"]}
    cluster.make_space(name, mesh="Istio")
    cluster.create(app(name, "web", pod=pod(5432), endpoints=[named]))
    eventually(lambda: is_open(cluster, name, "web"))
    eventually(lambda: cluster.deployment(name, "web"))
    decco.settle()
    before = cluster.deployment(name, "web") or {}

    def rules() -> list[Obj]:
        return list(of_mesh(cluster, name).get("authorizationpolicies/app-web", {}).get("rules", []))

    assert rules() == []
    to = [{"operation": {"ports": ["5432"]}}]
    cluster.make_space(f"{name}-b", mesh="Istio")
    batch = {"source": {"principals": [f"*/ns/{name}-b/sa/batch"]}}
    eventually(lambda: rules() == [{"from": [batch], "to": to}])
    assert "peerauthentications/app-web" not in of_mesh(cluster, name)
    cluster.delete(f"{APIS}/spaces/{name}-b")
    eventually(lambda: rules() == [])

    path = f"{APIS}/namespaces/{name}/apps/web"
    cluster.patch(path, {"spec": {"endpoints": [endpoint]}})
    eventually(lambda: rules() == [{"from": [{"source": {"principals": ["*"]}}], "to": to}])
    decco.settle()
    since = cluster.cp.audit_mark()
    cluster.patch(f"{APIS}/spaces/{name}", {"metadata": {"labels": {"again": "1"}}})
    cluster.patch(path, {"metadata": {"labels": {"again": "1"}}})
    decco.settle(2.0)
    assert [each for each in writes(cluster, since) if each[1] != "leases"] == []

    # For the mesh alone, it needs no certificate and nothing leads to it from outside.
    found = (cluster.get(path) or {})["status"]
    assert found["endpoints"] == [{"name": "db", "port": 443}]
    assert {each["type"] for each in found["conditions"]} == {"Ready", "WorkloadReady"}

    cluster.patch(path, {"spec": {"endpoints": [{"name": "db", "port": 5432}]}})
    eventually(lambda: (cluster.app_condition(name, "web", "CertificatesReady") or {}).get("status") == "False")
    eventually(lambda: "authorizationpolicies/app-web" not in of_mesh(cluster, name))
    eventually(lambda: not is_open(cluster, name, "web"))
    assert (cluster.deployment(name, "web") or {})["metadata"]["generation"] == before["metadata"]["generation"]


def test_the_edge_reaches_pods_that_answer_a_certificate_authority(cluster: Cluster, decco: Decco, name: str) -> None:
    """By the mesh, or without it where the edge is not in it."""
    cluster.make_space(name, mesh="Istio", httpCertSecretName="tls")
    kinds = ("authorizationpolicies/decco.acme", "peerauthentications/decco.acme")
    eventually(lambda: kinds[0] in of_mesh(cluster, name))
    to = [{"operation": {"ports": ["8089"]}}]
    inside = {"source": {"namespaces": ["edge"]}}
    assert of_mesh(cluster, name)[kinds[0]]["rules"] == [{"from": [inside], "to": to}]
    assert kinds[1] not in of_mesh(cluster, name)
    edge = "/api/v1/namespaces/edge"
    cluster.patch(edge, {"metadata": {"labels": {MODE: None}}})
    try:
        eventually(lambda: kinds[1] in of_mesh(cluster, name))
        outside = {"source": {"notPrincipals": ["*"]}}
        assert of_mesh(cluster, name)[kinds[0]]["rules"] == [{"from": [inside, outside], "to": to}]
        assert of_mesh(cluster, name)[kinds[1]]["portLevelMtls"] == {"8089": {"mode": "PERMISSIVE"}}
    finally:
        cluster.patch(edge, {"metadata": {"labels": {MODE: "ambient"}}})
    eventually(lambda: kinds[1] not in of_mesh(cluster, name))
    edit(cluster, name, mesh="None")
    eventually(lambda: not of_mesh(cluster, name))
    ports = ((policy(cluster, name, "decco.acme") or {})["spec"]["ingress"][0])["ports"]
    assert [port["port"] for port in ports] == [8089]


def test_the_tunnel_stays_closed_and_pods_outside_until_the_policies_exist(
    cluster: Cluster, decco: Decco, name: str
) -> None:
    """A quota of the namespace refuses the policies of the mesh."""
    cluster.make_space(name)
    cluster.create(http_app(name, "web", "/"))
    eventually(lambda: policy(cluster, name, "app-web"))
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "closed", "namespace": name},
        "spec": {"hard": {"count/authorizationpolicies.security.istio.io": "0"}},
    }
    cluster.create(quota)
    path = f"/api/v1/namespaces/{name}/resourcequotas/closed"
    eventually(lambda: ((cluster.get(path) or {}).get("status") or {}).get("hard"))
    edit(cluster, name, mesh="Istio")
    eventually(lambda: (cluster.app_condition(name, "web", "WorkloadReady") or {}).get("reason") == "QuotaExceeded")
    eventually(lambda: ready(cluster, name).get("reason") == "QuotaExceeded")
    assert phase(cluster, name) == "Prepared"
    assert not is_labelled(cluster, name)
    assert not is_open(cluster, name, "web")
    cluster.delete(path)
    for path in (f"{APIS}/spaces/{name}", f"{APIS}/namespaces/{name}/apps/web"):
        cluster.patch(path, {"metadata": {"labels": {"again": "1"}}})
    eventually(lambda: phase(cluster, name) == "Strict", 180)
    assert is_open(cluster, name, "web")


def test_what_another_writer_changes_is_repaired(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name, mesh="Istio")
    cluster.create(http_app(name, "web", "/"))
    eventually(lambda: is_open(cluster, name, "web"))
    found = of_mesh(cluster, name)
    for key in found:
        kind, of = key.split("/")
        cluster.delete(f"{SECURITY}/namespaces/{name}/{kind}/{of}")
    eventually(lambda: of_mesh(cluster, name) == found)
    cluster.patch(f"{SECURITY}/namespaces/{name}/peerauthentications/decco", {"spec": {"mtls": {"mode": "DISABLE"}}})
    eventually(lambda: of_mesh(cluster, name) == found)
    assert is_labelled(cluster, name)
