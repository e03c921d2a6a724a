"""How an endpoint's traffic is carried, on a running App: a field that comes, changes and goes is one write for each
object that depends on it, and no pod starts again.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.by_hand import answer_route, run_pods
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


def edit(cluster: Cluster, namespace: str, app_name: str, **endpoint: Any) -> None:
    """Replaces the one endpoint of an App, and waits until the status is about it."""
    patch = {"spec": {"endpoints": [{key: value for key, value in endpoint.items() if value is not None}]}}
    cluster.patch(f"{APIS}/namespaces/{namespace}/apps/{app_name}", patch)
    wait(cluster, namespace, app_name)


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


def test_timeouts(cluster: Cluster, decco: Decco, tenant: str) -> None:
    web = {"name": "web", "port": 8080, "httpPath": "/web"}
    cluster.create(app(tenant, "web", endpoints=[web]))
    cluster.create(app(tenant, "db", endpoints=[{"name": "db", "port": 5432}]))
    before = {name: generation(cluster, tenant, name) for name in ("web", "db")}
    route(cluster, tenant, "web")
    decco.settle()
    for request in ("5s", "1m30s", None):
        mark = cluster.cp.audit_mark()
        edit(cluster, tenant, "web", **web, timeouts={"request": request} if request else None)
        decco.settle()
        assert writes(cluster, tenant, mark) == ["update httproutes/web"]
        found = route(cluster, tenant, "web")["spec"]["rules"][0].get("timeouts")
        assert found == ({"request": request} if request else None)
    edit(cluster, tenant, "web", **web, timeouts={"idle": "5s"})
    eventually(lambda: reason(cluster, tenant, "web") == "RouteNotSupported", 10)
    assert "timeouts.idle" in str((cluster.app_condition(tenant, "web", "RoutesReady") or {})["message"])
    for idle, line in (("90s", "TIMEOUTidle = 90"), ("500ms", "TIMEOUTidle = 1"), (None, None)):
        mark = cluster.cp.audit_mark()
        edit(cluster, tenant, "db", name="db", port=5432, timeouts={"idle": idle} if idle else None)
        decco.settle()
        assert writes(cluster, tenant, mark) == ["update configmaps/db-stunnel"]
        config = (cluster.get(f"/api/v1/namespaces/{tenant}/configmaps/db-stunnel") or {})["data"]["stunnel.conf"]
        assert [each for each in config.splitlines() if "TIMEOUT" in each] == ([line] if line else [])
    assert {name: generation(cluster, tenant, name) for name in ("web", "db")} == before


# -- canaries ---------------------------------------------------------------------------------------------------------


def http(name: str, path: str, **more: Any) -> Obj:
    return {"endpoints": [{"name": name, "port": 8080, "httpPath": path}], **more}


def weights(cluster: Cluster, namespace: str, name: str) -> dict[str, int]:
    """Service -> weight, 1 where the route has none."""
    rule = route(cluster, namespace, name)["spec"]["rules"][0]
    return {backend["name"]: backend.get("weight", 1) for backend in rule["backendRefs"]}


def reason(cluster: Cluster, namespace: str, name: str) -> str:
    found = cluster.app_condition(namespace, name, "RoutesReady") or {}
    return "True" if found.get("status") == "True" else str(found.get("reason"))


def weigh(cluster: Cluster, namespace: str, name: str, weight: int) -> None:
    cluster.patch(f"{APIS}/namespaces/{namespace}/apps/{name}", {"spec": {"weight": weight}})
    wait(cluster, namespace, name)


def test_a_canary_gets_its_share_while_a_pod_is_ready(cluster: Cluster, decco: Decco, tenant: str) -> None:
    cluster.create(app(tenant, "main", **http("main", "/shop")))
    cluster.create(app(tenant, "next", **http("next", "/shop/", canaryOf="main", weight=5)))
    run_pods(cluster, tenant, "main")
    assert route(cluster, tenant, "main")
    eventually(lambda: reason(cluster, tenant, "next") == "CanaryWaiting", 10)
    assert weights(cluster, tenant, "main") == {"main": 1}
    run_pods(cluster, tenant, "next")
    eventually(lambda: weights(cluster, tenant, "main") == {"main": 95, "next": 5}, 10)
    eventually(lambda: reason(cluster, tenant, "next") == "True", 10)
    answer_route(cluster, tenant, "httproutes", "main")
    eventually(lambda: reason(cluster, tenant, "main") == "True", 10)
    assert cluster.get(f"{GATEWAY}/namespaces/{tenant}/httproutes/next") is None
    decco.settle()
    mark = cluster.cp.audit_mark()
    weigh(cluster, tenant, "next", 20)
    decco.settle()
    assert weights(cluster, tenant, "main") == {"main": 80, "next": 20}
    assert writes(cluster, tenant, mark) == ["update httproutes/main"]
    # Paused at 0 it keeps its pods, and the route is as without it.
    weigh(cluster, tenant, "next", 0)
    eventually(lambda: weights(cluster, tenant, "main") == {"main": 1}, 10)
    weigh(cluster, tenant, "next", 100)
    eventually(lambda: weights(cluster, tenant, "main") == {"main": 0, "next": 100}, 10)
    # Without pods, or gone, it has no part in the route.
    cluster.patch(f"/apis/apps/v1/namespaces/{tenant}/deployments/next", {"spec": {"replicas": 0}})
    eventually(lambda: weights(cluster, tenant, "main") == {"main": 1}, 15)
    cluster.patch(f"/apis/apps/v1/namespaces/{tenant}/deployments/next", {"spec": {"replicas": 1}})
    for _ in range(2):
        run_pods(cluster, tenant, "next")
    eventually(lambda: run_pods(cluster, tenant, "next") and len(weights(cluster, tenant, "main")) == 2, 15)
    cluster.delete(f"{APIS}/namespaces/{tenant}/apps/next")
    eventually(lambda: weights(cluster, tenant, "main") == {"main": 1}, 10)


def test_a_canary_alone_says_so_and_takes_over_when_asked(cluster: Cluster, decco: Decco, tenant: str) -> None:
    cluster.create(app(tenant, "main", **http("main", "/shop")))
    cluster.create(app(tenant, "next", **http("next", "/shop", canaryOf="main", weight=50)))
    run_pods(cluster, tenant, "main")
    run_pods(cluster, tenant, "next")
    eventually(lambda: len(weights(cluster, tenant, "main")) == 2, 15)
    started = generation(cluster, tenant, "next")
    cluster.delete(f"{APIS}/namespaces/{tenant}/apps/main")
    eventually(lambda: reason(cluster, tenant, "next") == "PrimaryNotFound", 15)
    assert "remove canaryOf" in str((cluster.app_condition(tenant, "next", "RoutesReady") or {})["message"])
    patch = {"spec": {"canaryOf": None, "weight": None}}
    cluster.patch(f"{APIS}/namespaces/{tenant}/apps/next", patch)
    assert route(cluster, tenant, "next")["spec"]["rules"][0]["backendRefs"][0]["name"] == "next"
    assert generation(cluster, tenant, "next") == started
    decco.settle()


def test_the_weights_of_all_canaries_are_a_hundred_at_most(cluster: Cluster, decco: Decco, tenant: str) -> None:
    cluster.create(app(tenant, "main", **http("main", "/shop")))
    for name, weight in (("one", 60), ("two", 50)):
        cluster.create(app(tenant, name, **http(name, "/shop", canaryOf="main", weight=weight)))
        run_pods(cluster, tenant, name)
        eventually(lambda name=name: reason(cluster, tenant, name) in ("True", "CanaryRefused"), 15)  # type: ignore[misc]
    refused = [name for name in ("one", "two") if reason(cluster, tenant, name) == "CanaryRefused"]
    assert len(refused) == 1  # the younger; of two in the same second the UID decides
    [other] = {"one", "two"} - set(refused)
    assert set(weights(cluster, tenant, "main")) == {"main", other}
    weigh(cluster, tenant, refused[0], 40)
    eventually(lambda: set(weights(cluster, tenant, "main")) == {"main", "one", "two"}, 10)
    decco.settle()
