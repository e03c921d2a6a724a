"""How an endpoint's traffic is carried, on a running App: a field that comes, changes and goes is one write for each
object that depends on it, and no pod starts again.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, tls_secret

GATEWAY = "/apis/gateway.networking.k8s.io/v1"


@pytest.fixture(autouse=True)
def _ready(decco: Decco, cluster: Cluster) -> None:
    for name in ("traits-http", "traits-tcp"):
        if cluster.get(f"/api/v1/namespaces/decco/secrets/{name}") is None:
            cluster.create(tls_secret(name))


@pytest.fixture
def tenant(cluster: Cluster, name: str) -> str:
    cluster.make_space(name, httpCertSecretName="traits-http", tcpCertAndCaSecretName="traits-tcp")
    return name


def edit(cluster: Cluster, namespace: str, name: str, **endpoint: Any) -> None:
    """Replaces the one endpoint of an App, and waits until the status is about it."""
    patch = {"spec": {"endpoints": [{key: value for key, value in endpoint.items() if value is not None}]}}
    cluster.patch(f"{APIS}/namespaces/{namespace}/apps/{name}", patch)
    wait(cluster, namespace, name)


def wait(cluster: Cluster, namespace: str, name: str) -> None:
    def observed() -> bool:
        found = cluster.app(namespace, name) or {}
        return bool((found.get("status") or {}).get("observedGeneration") == found["metadata"]["generation"])

    eventually(observed, 10, f"status of {namespace}/{name}")


def port(cluster: Cluster, namespace: str, name: str) -> Obj:
    [found] = (cluster.service(namespace, name) or {})["spec"]["ports"]
    return dict(found)


def route(cluster: Cluster, namespace: str, name: str) -> Obj:
    found = eventually(lambda: cluster.get(f"{GATEWAY}/namespaces/{namespace}/httproutes/{name}"), 10)
    assert found is not None
    return found


def generation(cluster: Cluster, namespace: str, name: str) -> int:
    return int((eventually(lambda: cluster.deployment(namespace, name), 10) or {})["metadata"]["generation"])


def writes(cluster: Cluster, namespace: str, mark: int) -> list[str]:
    """What decco has written there since the mark, as "verb resource/name", without statuses and Events."""
    found = cluster.cp.audit("decco", since=mark, writes=True)
    return sorted(
        f"{event.verb} {event.resource}/{event.name}"
        for event in found
        if event.namespace == namespace and not event.subresource and event.resource != "events"
    )


def test_what_a_container_speaks(cluster: Cluster, decco: Decco, tenant: str) -> None:
    endpoint = {"name": "one", "port": 8080, "httpPath": "/one"}
    cluster.create(app(tenant, "one", endpoints=[endpoint]))
    before = generation(cluster, tenant, "one")
    eventually(lambda: port(cluster, tenant, "one"), 10)
    assert "appProtocol" not in port(cluster, tenant, "one")
    decco.settle()
    for protocol, said in (("grpc", "kubernetes.io/h2c"), ("websocket", "kubernetes.io/ws"), ("http", "http")):
        mark = cluster.cp.audit_mark()
        edit(cluster, tenant, "one", **endpoint, appProtocol=protocol)
        decco.settle()
        timed = ["update httproutes/one"] if protocol != "http" else []
        assert writes(cluster, tenant, mark) == [*timed, "update services/one"]
        assert port(cluster, tenant, "one")["appProtocol"] == said
        timeouts = route(cluster, tenant, "one")["spec"]["rules"][0].get("timeouts")
        assert timeouts == ({"request": "1h"} if protocol == "grpc" else None)
    edit(cluster, tenant, "one", **endpoint)
    assert "appProtocol" not in port(cluster, tenant, "one")
    # By hand it is undone: the field is what says it.
    path = f"/api/v1/namespaces/{tenant}/services/one"
    cluster.patch(path, [{"op": "add", "path": "/spec/ports/0/appProtocol", "value": "kubernetes.io/h2c"}], "json")
    eventually(lambda: "appProtocol" not in port(cluster, tenant, "one"), 10)
    assert generation(cluster, tenant, "one") == before
