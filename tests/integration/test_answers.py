"""RoutesReady, DNSReady and what answers: the real controller and API server, an edge and a name server of this test.

The edge listens on port 443 of loopback addresses, so these tests need root or the right to bind it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.controlplane import ControlPlane
from tests.images.pki import Authority, Leaf
from tests.integration.answering import Edge, NameServer, may_bind
from tests.integration.by_hand import GATEWAY, accept_listeners, answer_route, run_pods
from tests.integration.by_hand import condition as gateway_condition
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, tls_secret
from tests.integration.loop import assert_no_defects
from tests.sample import full

ADDRESS, NOWHERE, DNS_ADDRESS = "127.77.0.1", "127.77.0.2", "127.77.0.3"
DOMAIN = "answers.test"
SECONDS = 30.0
"""An interval of probes, what confirms a failure, and a reconcile."""

pytestmark = pytest.mark.skipif(not may_bind(ADDRESS), reason="MISSING the right to bind port 443 of 127.77.0.1")


@pytest.fixture
def cluster(control_plane: ControlPlane) -> Cluster:
    return Cluster(control_plane)


@pytest.fixture
def server() -> Iterator[NameServer]:
    found = NameServer(DNS_ADDRESS)
    with found.running():
        yield found


@pytest.fixture
def decco(
    control_plane: ControlPlane, server: NameServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Decco]:
    provider = {"type": "memory", "zones": [DOMAIN], "nameServers": [server.address]}
    settings = {
        "probe__enabled": "true",
        "probe__interval_seconds": "10",
        "edge__addresses": json.dumps([getattr(request, "param", ADDRESS)]),
        "dns__providers": json.dumps([provider]),
    }
    with Decco(control_plane, tmp_path, **settings) as found:
        yield found
        assert found.stop() == 0, found.tail()
        assert_no_defects(found)


def leaf_of(name: str) -> Leaf:
    """With an intermediate authority, so that there is a chain to send."""
    return Authority().intermediate("between.test").leaf(f"{name}.{DOMAIN}", f"*.{name}.{DOMAIN}")


def make(cluster: Cluster, server: NameServer, name: str, leaf: Leaf, endpoint: Obj) -> None:
    """A Space with one App whose pods run, all accepted by the gateway, and served by the zone."""
    prepare(cluster, server, name, leaf, endpoint)
    accept_listeners(cluster, name)
    run_pods(cluster, name, endpoint["name"])
    answer_route(cluster, name, "httproutes", "decco.probe")
    answer_route(cluster, name, "httproutes" if "httpPath" in endpoint else "tlsroutes", endpoint["name"])


def prepare(cluster: Cluster, server: NameServer, name: str, leaf: Leaf, endpoint: Obj) -> None:
    """A Space with one App, served by the zone."""
    data = {key: base64.b64encode(value).decode() for key, value in leaf.secret.items()}
    cluster.create({**tls_secret(f"{name}-tls"), "data": data})
    cluster.make_space(name, domain=DOMAIN, tcpCertAndCaSecretName=f"{name}-tls", httpCertSecretName=f"{name}-tls")
    server.records |= dict.fromkeys((f"{name}.{DOMAIN}", f"{endpoint['name']}.{name}.{DOMAIN}"), ADDRESS)
    cluster.create(app(name, endpoint["name"], endpoints=[{"port": 5432, **endpoint}]))


def condition(cluster: Cluster, name: str, kind: str, of: str = "db") -> tuple[str, str]:
    found = cluster.app_condition(name, of, kind) or {}
    return found.get("status", ""), found.get("reason", "")


def expect(cluster: Cluster, name: str, reason: str, kind: str = "RoutesReady", of: str = "db") -> None:
    """Waits for the reason of a failure, or for True."""
    wanted = ("True", "Reconciled") if reason == "True" else ("False", reason)
    eventually(lambda: condition(cluster, name, kind, of) == wanted, SECONDS, f"{kind} {wanted}")


def break_and_repair(cluster: Cluster, name: str, edge: Edge, broken: str, reason: str) -> None:
    edge.broken = broken
    expect(cluster, name, reason)
    assert condition(cluster, name, "Ready") == ("False", reason)
    edge.broken = ""
    expect(cluster, name, "True")


def test_ready_after_the_answer_and_the_record_after_it(
    cluster: Cluster, decco: Decco, server: NameServer, tmp_path: Path
) -> None:
    name = "answers-ready"
    leaf = leaf_of(name)
    edge = Edge(tmp_path, ADDRESS, leaf_of(name))
    with edge.running():
        make(cluster, server, name, leaf, {"name": "db", "createDnsRecord": True})
        expect(cluster, name, "WrongCertificate")
        assert condition(cluster, name, "DNSReady") == ("False", "WaitingForDNS")  # no record before the answer
        edge.leaf = leaf
        expect(cluster, name, "True")
        expect(cluster, name, "True", "DNSReady")
        assert decco.metric('decco_endpoints{answers="true"') >= 1
    expect(cluster, name, "AddressUnreachable")
    assert condition(cluster, name, "DNSReady")[0] == "True"  # a record that exists stays
    with edge.running():
        expect(cluster, name, "True")


@full
def test_each_link_in_front_of_a_tcp_endpoint_is_named(
    cluster: Cluster, decco: Decco, server: NameServer, tmp_path: Path
) -> None:
    name = "answers-tcp"
    edge = Edge(tmp_path, ADDRESS, leaf_of(name))
    with edge.running():
        make(cluster, server, name, edge.leaf, {"name": "db", "createDnsRecord": True})
        expect(cluster, name, "True")
        expect(cluster, name, "True", "DNSReady")
        for broken, reason in (
            ("closes", "ListenerNotAnswering"),
            ("alert", "RefusedByProxy"),
            ("chain", "IncompleteChain"),
            ("silent", "BackendBlocked"),
            ("port", "PortClosed"),
        ):
            break_and_repair(cluster, name, edge, broken, reason)
        server.records[f"db.{name}.{DOMAIN}"] = NOWHERE
        expect(cluster, name, "RecordNotServed", "DNSReady")
        assert NOWHERE in (cluster.app_condition(name, "db", "DNSReady") or {})["message"]
        server.records[f"db.{name}.{DOMAIN}"] = ADDRESS
        expect(cluster, name, "True", "DNSReady")
        edge.broken = "requests"
        path = f"{APIS}/namespaces/{name}/apps/db"
        endpoint = {"name": "db", "port": 5432, "createDnsRecord": True, "verifyTcpClientCert": True}
        cluster.patch(path, {"spec": {"endpoints": [endpoint]}})
        run_pods_again(cluster, name)
        expect(cluster, name, "True")
        edge.broken = ""
        expect(cluster, name, "ClientCertificateNotRequested")


def run_pods_again(cluster: Cluster, name: str) -> None:
    """Until the pods of the new revision are ready."""

    def ready() -> bool:
        run_pods(cluster, name, "db")
        return condition(cluster, name, "WorkloadReady")[0] == "True"

    eventually(ready, SECONDS)


def test_each_link_in_front_of_an_http_endpoint_is_named(
    cluster: Cluster, decco: Decco, server: NameServer, tmp_path: Path
) -> None:
    name = "answers-http"
    edge = Edge(tmp_path, ADDRESS, leaf_of(name))
    edge.locations["/.well-known/decco-probe"] = "none.decco-probe.invalid"
    with edge.running():
        make(cluster, server, name, edge.leaf, {"name": "db", "httpPath": "/db", "probePath": "/healthz"})
        expect(cluster, name, "RouteNotAnswering")
        edge.locations["/.well-known/decco-probe/db"] = redirect_of(cluster, name)
        expect(cluster, name, "True")
        edge.locations["/.well-known/decco-probe/db"] = "none.decco-probe.invalid"
        expect(cluster, name, "RouteNotAnswering")
        edge.locations["/.well-known/decco-probe/db"] = redirect_of(cluster, name)
        expect(cluster, name, "True")
        edge.status = 500
        expect(cluster, name, "ApplicationError")
        edge.status = 204
        expect(cluster, name, "True")
        eventually(lambda: (cluster.space_condition(name, "Ready") or {}).get("status") == "True", SECONDS)


def test_a_route_of_before_the_pods_were_ready_is_no_proof_of_them(
    cluster: Cluster, decco: Decco, server: NameServer, tmp_path: Path
) -> None:
    """A gateway reports ready pods before its proxy has them: the answer from before does not count."""
    name, path = "answers-starting", "/.well-known/decco-probe/db"
    edge = Edge(tmp_path, ADDRESS, leaf_of(name))
    edge.locations["/.well-known/decco-probe"] = "none.decco-probe.invalid"
    with edge.running():
        prepare(cluster, server, name, edge.leaf, {"name": "db", "httpPath": "/db"})
        accept_listeners(cluster, name)
        answer_route(cluster, name, "httproutes", "decco.probe")
        answer_route(cluster, name, "httproutes", "db", *without_pods(cluster, name))
        first = edge.locations[path] = redirect_of(cluster, name)
        run_pods(cluster, name, "db")
        expect(cluster, name, "True", "WorkloadReady")
        assert redirect_of(cluster, name) == first  # until the gateway reports them
        assert condition(cluster, name, "RoutesReady") == ("False", "WaitingForEdge")
        answer_route(cluster, name, "httproutes", "db")
        eventually(lambda: redirect_of(cluster, name) != first, SECONDS, "another answer")
        answer_route(cluster, name, "httproutes", "db")
        expect(cluster, name, "RouteNotAnswering")
        edge.locations[path] = redirect_of(cluster, name)
        expect(cluster, name, "True")
        assert redirect_of(cluster, name) == edge.locations[path]  # no further write

        answer_route(cluster, name, "httproutes", "db", *without_pods(cluster, name))  # all pods are away
        eventually(lambda: redirect_of(cluster, name) == first, SECONDS, "the first answer again")


def without_pods(cluster: Cluster, name: str) -> tuple[Obj, Obj]:
    """What Envoy Gateway reports of a route without a ready pod."""
    route = eventually(lambda: cluster.get(f"{GATEWAY}/namespaces/{name}/httproutes/db"), SECONDS)
    of = route["metadata"]["generation"]
    refused = gateway_condition(
        "ResolvedRefs", "False", "NoReadyEndpoints", message="no ready endpoints", generation=of
    )
    return gateway_condition("Accepted", generation=of), refused


def redirect_of(cluster: Cluster, name: str) -> str:
    """The host by which the App's route answers."""
    route = cluster.get(f"{GATEWAY}/namespaces/{name}/httproutes/db") or {}
    filters = [each for rule in route["spec"]["rules"] for each in rule.get("filters", ())]
    hosts = [str(each.get("requestRedirect", {}).get("hostname", "")) for each in filters]
    return next(host for host in hosts if host.endswith("decco-probe.invalid"))


@full
def test_probes_are_switched_on_and_off_while_decco_runs(
    control_plane: ControlPlane, cluster: Cluster, server: NameServer, tmp_path: Path
) -> None:
    name, file = "answers-switch", tmp_path / "decco.yaml"
    file.write_text("probe:\n  enabled: false\n  intervalSeconds: 10\n")
    decco = Decco(control_plane, tmp_path, edge__addresses=json.dumps([ADDRESS]))
    del decco.settings["DECCO_PROBE__ENABLED"]  # it would be stronger than the file
    decco.start(flags=(f"--config={file}",))
    edge = Edge(tmp_path, ADDRESS, leaf_of(name))
    try:
        with edge.running():
            make(cluster, server, name, leaf_of(name), {"name": "db"})
            expect(cluster, name, "True")
            file.write_text("probe:\n  enabled: true\n  intervalSeconds: 10\n")
            expect(cluster, name, "WrongCertificate")
            file.write_text("probe:\n  enabled: false\n  intervalSeconds: 10\n")
            expect(cluster, name, "True")
        assert decco.stop() == 0, decco.tail()
        assert_no_defects(decco)
    finally:
        decco.kill()


@pytest.mark.parametrize("decco", [NOWHERE], indirect=True)
def test_an_edge_that_cannot_be_reached_from_here_fails_no_app(
    cluster: Cluster, decco: Decco, server: NameServer
) -> None:
    name = "answers-hairpin"
    make(cluster, server, name, leaf_of(name), {"name": "db", "createDnsRecord": True})
    server.records = dict.fromkeys(server.records, NOWHERE)
    expect(cluster, name, "True")
    expect(cluster, name, "True", "DNSReady")
    reason: Callable[[], str] = lambda: (cluster.space_condition(name, "RoutesReady") or {}).get("reason", "")  # noqa: E731
    eventually(lambda: reason() == "NotProbed", SECONDS)
    assert decco.metric('decco_probe_total{result="connect"}') > 0
