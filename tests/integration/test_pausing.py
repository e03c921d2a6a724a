"""A paused Space or App: no write but its own status, deletion goes on, and resuming catches up with everything."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.harness import APIS, GROUP, Cluster, Decco, Obj, app, eventually, tls_secret
from tests.integration.test_delete import GONE_SECONDS, is_gone

PAUSED = f"{GROUP}/paused"
LABEL = f"{GROUP}/space"


def pause(cluster: Cluster, path: str, value: str | None = "true") -> Obj:
    return cluster.patch(path, {"metadata": {"annotations": {PAUSED: value}}})


def condition(obj: Obj | None, kind: str) -> dict[str, Any]:
    conditions = ((obj or {}).get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def is_paused(obj: Obj | None) -> bool:
    return condition(obj, "Paused").get("status") == "True"


@pytest.mark.parametrize("kind", ["app", "space"])
def test_nothing_is_written_while_paused(
    control_plane: ControlPlane, cluster: Cluster, decco: Decco, name: str, kind: str
) -> None:
    cluster.make_space(name)
    cluster.create(app(name, "web", endpoints=[]))
    eventually(lambda: cluster.deployment(name, "web"), 10)
    decco.settle()
    space, web = f"{APIS}/spaces/{name}", f"{APIS}/namespaces/{name}/apps/web"
    path = space if kind == "space" else web
    of_space, of_app = f"/api/v1/namespaces/{name}", f"/apis/apps/v1/namespaces/{name}/deployments/web"
    before = cluster.get(path)
    pause(cluster, path)
    eventually(lambda: is_paused(cluster.get(path)) and is_paused(cluster.get(web)), 5)
    assert condition(cluster.get(path), "Ready") == condition(before, "Ready"), "Ready stays as it was"

    mark = control_plane.audit_mark()
    # All that would make decco write: children bent and gone, specs edited, for a Space also a new App.
    bent = (of_space, of_app) if kind == "space" else (of_app,)
    for child in bent:
        cluster.patch(child, {"metadata": {"labels": {LABEL: "bent"}}})
    cluster.patch(web, {"spec": {"initialReplicas": 3}})
    if kind == "space":
        cluster.patch(space, {"spec": {"podSecurity": "restricted"}})
        cluster.delete(f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies/decco")
        cluster.create(app(name, "new", endpoints=[]))
        eventually(lambda: is_paused(cluster.app(name, "new")), 5)
        assert condition(cluster.app(name, "new"), "Ready")["status"] == "Unknown"
    eventually(lambda: condition(cluster.get(web), "Paused")["observedGeneration"] == 2, 5)
    decco.settle(quiet=0.5)
    writes = control_plane.audit("decco-controller", since=mark, writes=True)
    mine = [each for each in writes if name in (each.namespace, each.name) and each.resource != "events"]
    assert {(each.resource, each.subresource) for each in mine} <= {("spaces", "status"), ("apps", "status")}
    assert (cluster.get(web) or {})["status"]["observedGeneration"] == 1, "the new spec is not in effect"

    pause(cluster, path, None)
    for child in bent:
        eventually(lambda child=child: (cluster.get(child) or {})["metadata"]["labels"][LABEL] == name, 5)
    eventually(lambda: (cluster.deployment(name, "web") or {})["spec"]["replicas"] == 3, 5)
    eventually(lambda: not condition(cluster.get(path), "Paused") and not condition(cluster.get(web), "Paused"), 5)
    eventually(lambda: (cluster.get(web) or {})["status"]["observedGeneration"] == 2, 5)
    if kind == "space":
        eventually(lambda: cluster.get(f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies/decco"), 5)
        eventually(lambda: cluster.deployment(name, "new"), 5)
    events = cluster.items(f"/apis/events.k8s.io/v1/namespaces/{'default' if kind == 'space' else name}/events")
    event_reasons = {
        each["reason"] for each in events if each["regarding"].get("name") == (name if kind == "space" else "web")
    }
    assert {"Paused", "Resumed"} <= event_reasons


def test_created_paused_and_deleted_paused(cluster: Cluster, decco: Decco, name: str) -> None:
    new = {
        "apiVersion": f"{GROUP}/v1beta2",
        "kind": "Space",
        "metadata": {"name": name, "annotations": {PAUSED: "true"}},
        "spec": {"domainName": "example.net"},
    }
    path = f"{APIS}/spaces/{name}"
    cluster.create(new)
    eventually(lambda: is_paused(cluster.get(path)), 5)
    decco.settle(quiet=0.5)
    assert cluster.get(f"/api/v1/namespaces/{name}") is None
    pause(cluster, path, None)
    eventually(lambda: cluster.get(f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies/decco"), 10)
    cluster.create(app(name, "web", endpoints=[]))
    eventually(lambda: cluster.deployment(name, "web"), 10)
    pause(cluster, path)
    eventually(lambda: is_paused(cluster.app(name, "web")), 5)
    cluster.delete(f"{APIS}/namespaces/{name}/apps/web")
    eventually(lambda: cluster.deployment(name, "web") is None, GONE_SECONDS)
    cluster.delete(path)
    eventually(lambda: is_gone(cluster, name), GONE_SECONDS)


# -- what a pause does not keep ----------------------------------------------------------------------------------------

POLICY = "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies/app-web"
GATEWAY_API = "/apis/gateway.networking.k8s.io/v1/namespaces"


def peers(cluster: Cluster, name: str) -> list[Obj] | None:
    policy = cluster.get(POLICY.format(name)) or {}
    rules = policy.get("spec", {}).get("ingress") or [{}]
    found: list[Obj] | None = rules[0].get("from")
    return found


def project_of(cluster: Cluster, name: str) -> list[str]:
    return [
        each["namespaceSelector"]["matchLabels"][f"{GROUP}/project"]
        for each in peers(cluster, name) or ()
        if f"{GROUP}/project" in each.get("namespaceSelector", {}).get("matchLabels", {})
    ]


@pytest.mark.parametrize("kind", ["app", "space"])
def test_ports_are_closed_to_those_outside_the_project_while_paused(
    cluster: Cluster, decco: Decco, name: str, kind: str
) -> None:
    cluster.make_space(name)
    cluster.create(app(name, "web", endpoints=[{"name": "web", "port": 8443, "disableTlsTermination": True}]))
    eventually(lambda: cluster.get(POLICY.format(name)), 10)
    assert peers(cluster, name) is None
    space, web = f"{APIS}/spaces/{name}", f"{APIS}/namespaces/{name}/apps/web"
    pause(cluster, space if kind == "space" else web)
    eventually(lambda: is_paused(cluster.get(web)), 5)
    cluster.patch(web, {"spec": {"endpoints": [{"name": "web", "port": 9443, "disableTlsTermination": True}]}})
    cluster.patch(space, {"spec": {"project": "bank"}})
    eventually(lambda: project_of(cluster, name) == ["bank"], 5)

    def label() -> str | None:
        found: str | None = (cluster.get(f"/api/v1/namespaces/{name}") or {})["metadata"]["labels"].get(
            f"{GROUP}/project"
        )
        return found

    eventually(lambda: label() == "bank", 5)
    policy = cluster.get(POLICY.format(name)) or {}
    assert [port["port"] for port in policy["spec"]["ingress"][0]["ports"]] == [8443], "the edit waits for the end"
    cluster.patch(space, {"spec": {"project": None}})
    decco.settle(quiet=0.5)
    assert project_of(cluster, name) == ["bank"], "a pause opens nothing"


def test_a_revoked_secret_is_removed_while_the_space_is_paused(cluster: Cluster, decco: Decco, name: str) -> None:
    source, copy = f"/api/v1/namespaces/decco/secrets/{name}", f"/api/v1/namespaces/{name}/secrets/{name}"
    cluster.create(tls_secret(name, share=f"{name}.example.net"))
    cluster.make_space(name, httpCertSecretName=name)
    eventually(lambda: cluster.get(copy), 10)
    pause(cluster, f"{APIS}/spaces/{name}")
    eventually(lambda: is_paused(cluster.space(name)), 5)
    cluster.patch(source, {"metadata": {"annotations": {"note": "x"}}})
    decco.settle(quiet=0.5)
    assert cluster.get(copy)
    cluster.patch(source, {"metadata": {"annotations": {f"{GROUP}/share-with": "somebody.example.net"}}})
    eventually(lambda: cluster.get(copy) is None, 5)


def test_a_paused_app_gives_up_the_route_of_a_name_that_its_space_gives_up(
    cluster: Cluster, decco: Decco, name: str
) -> None:
    host = f"shop.{name}.test"
    cluster.make_space(name, hostnames=[host])
    endpoints = [
        {"name": "shop", "port": 8443, "hostname": host, "disableTlsTermination": True},
        {"name": "db", "port": 5432, "disableTlsTermination": True},
    ]
    cluster.create(app(name, "web", endpoints=endpoints))
    route, other = (f"{GATEWAY_API}/{name}/tlsroutes/{each}" for each in ("shop", "db"))
    eventually(lambda: cluster.get(route) and cluster.get(other), 10)
    pause(cluster, f"{APIS}/namespaces/{name}/apps/web")
    eventually(lambda: is_paused(cluster.app(name, "web")), 5)
    cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"hostnames": []}})
    eventually(lambda: cluster.get(route) is None, 10)
    assert cluster.get(other), "everything else stays"
    cluster.make_space(f"{name}-b", hostnames=[host])
    gateway = f"{GATEWAY_API}/{name}-b/gateways/decco"
    eventually(lambda: host in {each["hostname"] for each in (cluster.get(gateway) or {})["spec"]["listeners"]}, 15)


def test_a_paused_space_gives_up_the_listener_of_a_name_that_is_transferred(
    cluster: Cluster, decco: Decco, name: str
) -> None:
    host, first, second = f"shop.{name}.test", name, f"{name}-b"
    cluster.make_space(first, hostnames=[host])
    cluster.make_space(second)

    def listeners(of: str) -> set[str]:
        gateway = cluster.get(f"{GATEWAY_API}/{of}/gateways/decco") or {}
        return {each["hostname"] for each in gateway.get("spec", {}).get("listeners", ())}

    eventually(lambda: host in listeners(first), 10)
    pause(cluster, f"{APIS}/spaces/{first}")
    eventually(lambda: is_paused(cluster.space(first)), 5)
    annotations = {f"{GROUP}/transfer": f"{host}={first}"}
    cluster.patch(f"{APIS}/spaces/{second}", {"metadata": {"annotations": annotations}, "spec": {"hostnames": [host]}})
    eventually(lambda: host in listeners(second), 15)
    assert host not in listeners(first)
    assert f"*.{first}.example.net" in listeners(first), "everything else stays"
