"""What the page shows in its tests: a Space that is well, one that is broken at several parts, and a hostile one.

Statuses of gateways, pods and EndpointSlices are written by hand, as by a gateway controller and a kubelet.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.integration.by_hand import GATEWAY, accept_listeners, answer_route, condition, run_pods
from tests.integration.harness import Cluster, app, eventually, http_app, tls_secret

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@dataclass(frozen=True)
class World:
    """The names of the Spaces."""

    well: str
    broken: str
    hostile: str


def build(cluster: Cluster, prefix: str) -> World:
    """Creates all of it, beside a controller that runs, and waits until it is there."""
    world = World(f"{prefix}-well", f"{prefix}-broken", f"{prefix}-hostile")
    for name in (world.well, world.broken, world.hostile):
        cluster.create(tls_secret(f"{name}-tls", f"{name}.example.net", f"*.{name}.example.net"))
        tls = f"{name}-tls"
        cluster.make_space(name, project=prefix, httpCertSecretName=tls, tcpCertAndCaSecretName=tls)
        accept_listeners(cluster, name, "192.0.2.10")
    _well(cluster, world.well, world.broken)
    _broken(cluster, world.broken)
    _hostile(cluster, world.hostile)
    return world


def _well(cluster: Cluster, name: str, other: str) -> None:
    egress = {"localPort": 7000, "endpoint": "queue", "spaceName": other}
    cluster.create(http_app(name, "web", "/", tlsEgresses=[egress]))
    cluster.create(app(name, "db", endpoints=[{"name": "db", "port": 5432}]))
    for one, routes in (("web", "httproutes"), ("db", "tlsroutes")):
        run(cluster, name, one)
        answer_route(cluster, name, routes, one)


def _broken(cluster: Cluster, name: str) -> None:
    """The endpoint ``web`` at its route, ``queue`` at its pods, ``old`` at its certificate."""
    cluster.create(http_app(name, "web", "/"))
    run(cluster, name, "web")
    refuse(cluster, name, "web", "no listener of this name")
    cluster.create(app(name, "queue", endpoints=[{"name": "queue", "port": 5672}]))
    eventually(lambda: cluster.service(name, "queue"), 30)
    answer_route(cluster, name, "tlsroutes", "queue")
    cluster.create(app(name, "old", endpoints=[{"name": "old", "port": 9000, "certAndCaSecretName": "none-such"}]))
    eventually(lambda: cluster.app_condition(name, "old", "CertificatesReady"), 30)


def _hostile(cluster: Cluster, name: str) -> None:
    """A refusal whose text would be a script, if anything took it for markup."""
    cluster.create(http_app(name, "web", "/"))
    run(cluster, name, "web")
    refuse(cluster, name, "web", EVIL)


def refuse(cluster: Cluster, space: str, route: str, message: str) -> None:
    """As a gateway controller that does not accept a route."""
    path = f"{GATEWAY}/namespaces/{space}/httproutes/{route}"
    generation = eventually(lambda: cluster.get(path), 30, path)["metadata"]["generation"]
    refusal = condition("Accepted", "False", "NoMatchingParent", generation, message)
    answer_route(cluster, space, "httproutes", route, refusal)


def run(cluster: Cluster, namespace: str, name: str) -> None:
    """The pods of an App are ready, and those of the endpoint of the same name are in its EndpointSlice."""
    run_pods(cluster, namespace, name)
    eventually(lambda: cluster.service(namespace, name), 30)
    # The controller of the slices takes only pods on a node, and gives a slice the labels of the Service.
    labels = {"kubernetes.io/service-name": name, "app.kubernetes.io/managed-by": "decco"}
    meta = {"name": f"{name}-by-hand", "namespace": namespace, "labels": labels}
    body = {"metadata": meta, "addressType": "IPv4", "endpoints": [{"addresses": ["10.77.0.1"]}], "ports": []}
    cluster.cp.create(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices", body)
