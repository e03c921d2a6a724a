"""What decco cannot reconcile, or only in part, keeps what it has, but not what it may not have any more.

Otherwise its author would have a pause without the permission for one: by an App or Space that is too large, or whose
next route cannot be written.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.harness import APIS, GROUP, Cluster, Decco, Obj, app, eventually, tls_secret
from tests.integration.test_pausing import GATEWAY_API, POLICY, condition, peers, project_of

ENDPOINT = {"port": 8443, "disableTlsTermination": True}


def too_large(cluster: Cluster, name: str, endpoints: list[Obj]) -> None:
    """More than decco reads of one object; the API server takes it."""
    container = {"name": "main", "image": "registry.example/app:1", "args": ["v" * 1_320_000]}
    cluster.patch(f"{APIS}/namespaces/{name}/apps/web", {"spec": {"pod": {"containers": [container]}}})
    eventually(lambda: "at most 1280 KiB" in condition(cluster.app(name, "web"), "Ready").get("message", ""), 20)


def unwritable(cluster: Cluster, name: str, endpoints: list[Obj]) -> None:
    """One more route, of a name at which somebody else's stands."""
    foreign = {"parentRefs": [{"name": "decco"}], "hostnames": [f"more.{name}.example.net"]}
    foreign["rules"] = [{"backendRefs": [{"name": "more", "port": 443}]}]  # type: ignore[list-item]
    head = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "TLSRoute", "metadata": {"name": "more"}}
    cluster.cp.create(f"{GATEWAY_API}/{name}/tlsroutes", {**head, "spec": foreign})
    more = [*endpoints, {"name": "more", "port": 9443, "disableTlsTermination": True}]
    cluster.patch(f"{APIS}/namespaces/{name}/apps/web", {"spec": {"endpoints": more}})
    eventually(lambda: condition(cluster.app(name, "web"), "RoutesReady").get("reason") == "Conflict", 20)


@pytest.mark.parametrize("stop", [too_large, unwritable])
def test_a_name_that_the_space_gives_up_is_free(
    cluster: Cluster, decco: Decco, name: str, stop: Callable[[Cluster, str, list[Obj]], None]
) -> None:
    host = f"shop.{name}.test"
    cluster.make_space(name, hostnames=[host])
    endpoints = [{**ENDPOINT, "name": "shop", "hostname": host}, {**ENDPOINT, "name": "db", "port": 5432}]
    cluster.create(app(name, "web", endpoints=endpoints))
    route, other = (f"{GATEWAY_API}/{name}/tlsroutes/{each}" for each in ("shop", "db"))
    eventually(lambda: cluster.get(route) and cluster.get(other), 10)
    stop(cluster, name, endpoints)
    assert cluster.get(route)
    cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"hostnames": []}})
    eventually(lambda: cluster.get(route) is None, 10)
    assert cluster.get(other), "everything else stays"
    cluster.make_space(f"{name}-b", hostnames=[host])
    gateway = f"{GATEWAY_API}/{name}-b/gateways/decco"
    eventually(lambda: host in {each["hostname"] for each in (cluster.get(gateway) or {})["spec"]["listeners"]}, 15)


def test_a_port_is_closed_to_a_former_project(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name)
    endpoints = [{**ENDPOINT, "name": "web"}]
    cluster.create(app(name, "web", endpoints=endpoints))
    eventually(lambda: cluster.get(POLICY.format(name)), 10)
    assert peers(cluster, name) is None
    too_large(cluster, name, endpoints)
    cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"project": "bank"}})
    eventually(lambda: project_of(cluster, name) == ["bank"], 5)


def swollen(cluster: Cluster, name: str) -> None:
    """A Space of more than decco reads."""
    hard = {f"count/x{i}.{'v' * 200}.example": "1" for i in range(6000)}
    cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"resourceQuota": {"hard": hard}}})
    eventually(lambda: "at most 1280 KiB" in condition(cluster.space(name), "Ready").get("message", ""), 20)


def test_a_secret_is_taken_back_from_a_space_that_cannot_be_understood(
    cluster: Cluster, decco: Decco, name: str
) -> None:
    source, copy = (f"/api/v1/namespaces/{where}/secrets/{name}" for where in ("decco", name))
    cluster.create(tls_secret(name, share=f"{name}.example.net"))
    cluster.make_space(name, httpCertSecretName=name, project="bank")
    eventually(lambda: cluster.get(copy), 10)
    swollen(cluster, name)
    decco.settle(quiet=0.5)
    assert cluster.get(copy)
    cluster.patch(source, {"metadata": {"annotations": {f"{GROUP}/share-with": "somebody.example.net"}}})
    eventually(lambda: cluster.get(copy) is None, 5)
    labels = (cluster.get(f"/api/v1/namespaces/{name}") or {})["metadata"]["labels"]
    assert labels[f"{GROUP}/project"] == "bank", "everything else stays"


def test_a_name_is_transferred_from_a_space_that_cannot_be_understood(
    cluster: Cluster, decco: Decco, name: str
) -> None:
    host, second = f"shop.{name}.test", f"{name}-b"
    cluster.make_space(name, hostnames=[host])
    cluster.make_space(second)
    endpoint = {**ENDPOINT, "name": "shop", "hostname": host}
    cluster.create(app(name, "web", endpoints=[endpoint]))
    route = f"{GATEWAY_API}/{name}/tlsroutes/shop"

    def listeners(of: str) -> set[str]:
        gateway = cluster.get(f"{GATEWAY_API}/{of}/gateways/decco") or {}
        return {each["hostname"] for each in gateway.get("spec", {}).get("listeners", ())}

    eventually(lambda: host in listeners(name) and cluster.get(route), 10)
    swollen(cluster, name)
    decco.settle(quiet=0.5)
    assert host in listeners(name)
    assert cluster.get(route), "what it has stays"
    transfer = {f"{GROUP}/transfer": f"{host}={name}"}
    cluster.patch(f"{APIS}/spaces/{second}", {"metadata": {"annotations": transfer}, "spec": {"hostnames": [host]}})
    eventually(lambda: host in listeners(second), 15)
    assert host not in listeners(name)
    assert cluster.get(route) is None
    assert f"*.{name}.example.net" in listeners(name), "everything else stays"
