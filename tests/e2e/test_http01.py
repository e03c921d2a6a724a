"""HTTP-01 through the edge: Pebble reads the challenge at port 80 of a Space's own name, from cert-manager's solver in
the Space's namespace, past the redirect to HTTPS and the NetworkPolicies, which are enforced meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from testbed import certmanager
from testbed.api import RequestFailed
from testbed.certmanager import CertManager
from testbed.cluster import Backend
from testbed.dns.bind import Bind
from testbed.dns.server import HOST
from testbed.enforcer import Enforcer
from testbed.found import AssetsMissing
from testbed.pebble import Pebble
from tests.e2e import clients
from tests.e2e.conftest import BACKEND, FULL
from tests.e2e.world import DOMAIN, SPACES, Obj, World, eventually, ready
from tests.integration.harness import Cluster
from tests.issuers.world import apply, certificates, cluster_issuer, documented, renew

WITH_ISSUERS = FULL or os.environ.get("E2E_ISSUERS") == "1"
EDGE_READS = 60.0
SOLVERS = "acme.cert-manager.io/http01-solver=true"
CHALLENGES = "challenges.acme.cert-manager.io"
NAME = "http01"
FQDN, WWW = f"{NAME}.{DOMAIN}", "www.http01.test"


@dataclass
class Issuing:
    """A cluster with an issuer, and what it takes part with."""

    world: World
    cluster: Cluster
    bind: Bind
    pebble: Pebble
    manager: CertManager

    def leads_to_the_edge(self, zone: str, name: str) -> None:
        self.bind.put(zone, name, 60, "A", self.world.edge)

    def serial(self, name: str) -> int:
        """Of the certificate with which the edge answers a client that trusts Pebble."""
        with clients.tls(self.world.edge, name, self.pebble.root()) as connection:
            return clients.serial_of(connection)

    def solvers(self, kind: str) -> list[Obj]:
        return self.world.list(kind, NAME, SOLVERS)


@pytest.fixture(scope="module")
def issuing(world: World) -> Iterator[Issuing]:
    node = world.cluster.node
    if BACKEND is not Backend.GATEWAY or node is None:
        pytest.skip("with the shared Gateway of our own node only")
    if not WITH_ISSUERS:
        pytest.skip("in make e2e and make test-issuers only, for its length")
    if line := Bind.missing():
        pytest.skip(line)
    try:
        image = certmanager.solver()
    except AssetsMissing as error:
        pytest.skip(f"no cert-manager: {error}")
    node.load(image.archive)
    with Bind() as bind:
        resolver = f"{HOST}:{bind.port}"
        for zone in (DOMAIN, "http01.test"):
            bind.create_zone(zone)
        with (
            Pebble(resolver) as pebble,
            CertManager(node.cp, resolver, solver_image=image.reference) as manager,
            Enforcer(node.cp.processes, node.cp.kubeconfig, [node.box.addresses.pods], netns=node.box.network),
        ):
            cluster = Cluster(node.cp)
            apply(cluster, *documented("cert-manager-in-spaces"))
            apply(cluster, *cluster_issuer(pebble, "letsencrypt-http", "letsencrypt-http"))
            made = Issuing(world, cluster, bind, pebble, manager)
            failed = True
            try:
                yield made
                failed = False
            finally:
                if failed:
                    print(manager.log[-6000:])


@pytest.fixture(scope="module")
def waiting(issuing: Issuing) -> Issuing:
    """A Space whose names do not lead to the edge yet: its challenges wait, and their solvers with them."""
    issuer = {"issuerRef": {"name": "letsencrypt-http", "kind": "ClusterIssuer"}}
    spec = {
        "domainName": DOMAIN,
        "project": "red",
        "podSecurity": "restricted",
        "certificates": issuer,
        "httpHostnames": [{"name": WWW, "createDnsRecord": False}],
    }
    space = {"apiVersion": "decco.platform9.com/v1beta2", "kind": "Space", "metadata": {"name": NAME}, "spec": spec}
    issuing.world.apply(space)
    eventually(lambda: len(running(issuing)) == 2, EDGE_READS, "two solvers")
    return issuing


def running(issuing: Issuing) -> list[Obj]:
    found = issuing.solvers("pods")
    return [pod for pod in found if pod.get("status", {}).get("phase") == "Running" and pod["status"].get("podIP")]


def token_of(issuing: Issuing, name: str) -> tuple[str, str]:
    """Token and key of the challenge for a name."""
    [spec] = [each["spec"] for each in issuing.world.list(CHALLENGES, NAME) if each["spec"]["dnsName"] == name]
    return spec["token"], spec["key"]


@pytest.mark.parametrize("name", [FQDN, WWW])
def test_the_challenge_alone_is_not_redirected(waiting: Issuing, name: str) -> None:
    token, key = token_of(waiting, name)
    path, edge = "/.well-known/acme-challenge", waiting.world.edge

    def answers() -> bool:
        answer = clients.http_(edge, name, f"{path}/{token}")
        assert (answer.status, answer.body) == (200, key.encode()), answer
        return True

    eventually(answers, EDGE_READS)
    for other in (f"{path}/other", f"{path}/", f"{path}/{token}/x", "/", f"/x{path}/{token}"):
        assert clients.http_(edge, name, other).status == 301, other


def test_only_the_edge_reaches_a_solver(waiting: Issuing) -> None:
    stranger = waiting.world.tenant("stranger01")
    stranger.run(stranger.app("from", ["http:8080", "echo:9000"], endpoints=[]))
    [pod] = eventually(lambda: stranger.pods("from"), 30)

    def reaches(address: str) -> bool:
        argv = ["exec", pod["metadata"]["name"], "-n", stranger.name, "-c", "echo", "--", "/echo", "ask"]
        try:
            return waiting.world.kubectl(*argv, "--text", "GET / HTTP/1.0\r\n\r\n", "--deadline", "3s", address) != ""
        except RequestFailed:
            return False

    assert reaches(f"{pod['status']['podIP']}:9000")
    for solver in running(waiting):
        assert not reaches(f"{solver['status']['podIP']}:8089")


def test_the_space_reports_what_the_challenges_wait_for(waiting: Issuing) -> None:
    def reported() -> bool:
        conditions = {each["type"]: each for each in waiting.world.get(SPACES, NAME)["status"]["conditions"]}
        message = conditions["CertificatesReady"].get("message", "")
        assert conditions["CertificatesReady"]["reason"] == "CertificateIssuing"
        assert "self check" in message, message
        return True

    eventually(reported, EDGE_READS)


def test_a_name_that_leads_to_the_edge_is_certified(waiting: Issuing) -> None:
    waiting.leads_to_the_edge(DOMAIN, FQDN)
    waiting.leads_to_the_edge("http01.test", WWW)
    eventually(lambda: ready(waiting.world.get(SPACES, NAME)), 2 * EDGE_READS, "Ready")
    for name in (FQDN, WWW):
        eventually(lambda name=name: waiting.serial(name) > 0, EDGE_READS, name)  # type: ignore[misc]
    for kind in ("pods", "services", "httproutes"):
        eventually(lambda kind=kind: not waiting.solvers(kind), EDGE_READS, f"no {kind} of solvers")  # type: ignore[misc]
    assert clients.http_(waiting.world.edge, FQDN, "/.well-known/acme-challenge/other").status == 301


def test_a_renewal_passes_without_a_refused_connection(waiting: Issuing) -> None:
    eventually(lambda: waiting.serial(FQDN) > 0, EDGE_READS)
    seen: list[int] = []
    refused: list[str] = []
    end = threading.Event()

    def connect() -> None:
        while not end.is_set():
            try:
                seen.append(waiting.serial(FQDN))
            except OSError as error:
                refused.append(str(error))
            time.sleep(0.1)

    client = threading.Thread(target=connect)
    client.start()
    try:
        old = waiting.serial(FQDN)
        renew(waiting.cluster, NAME, "decco-issued-http")
        eventually(lambda: seen and seen[-1] != old, 2 * EDGE_READS, "the new certificate")
    finally:
        end.set()
        client.join()
    assert refused == []
    first = next(place for place, serial in enumerate(seen) if serial != old)
    # Two threads of Envoy take the new one a moment apart.
    assert set(seen[:first]) == {old}
    # cert-manager writes the Secret first.
    eventually(lambda: certificates(waiting.cluster, NAME)["decco-issued-http"]["status"]["revision"] == 2, 15)
    with contextlib.suppress(RequestFailed):
        waiting.world.kubectl("delete", SPACES, NAME, "--wait=false")
