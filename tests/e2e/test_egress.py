"""TLS out of a pod: the container speaks plain text to localhost, the sidecar mutual TLS to the target."""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.api import RequestFailed
from tests.e2e.world import APPS, Tenant, World, eventually, shared_secret
from tests.images.pki import Authority, Leaf
from tests.promises import PATIENCE

OUTSIDE = "payments.example.com"
DATABASE, SLOPPY, OUT, LOST = 15432, 15433, 15434, 15435


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Of the project that both Spaces are of: the other trusts the certificate of the one."""
    return Authority("authority of the project")


@pytest.fixture(scope="module")
def server(world: World, authority: Authority) -> Tenant:
    tenant = Tenant(world, "ledger")
    tenant.authority = authority
    tenant.tcp = authority.leaf(tenant.host("database"))
    wrong = authority.leaf(tenant.host("other"))
    world.apply(*tenant.objects({"project": "money"}), shared_secret("ledger-wrong", wrong, "ledger"))
    tenant.wait_ready()
    database = {"name": "database", "port": 9000, "allowedClients": ["billing.decco.test"]}
    tenant.run(tenant.app("database", ["echo:9000"], endpoints=[database]))
    # decco reports the wrong certificate, and uses it: there is no better one.
    sloppy = {"name": "sloppy", "port": 9001, "certAndCaSecretName": "ledger-wrong"}
    world.apply(tenant.app("sloppy", ["echo:9001"], endpoints=[sloppy]))
    eventually(lambda: _status(tenant, "sloppy", "WorkloadReady") == "True", PATIENCE, "sloppy runs")
    assert _status(tenant, "sloppy", "CertificatesReady") == "False"
    return tenant


def _status(tenant: Tenant, app: str, condition: str) -> str:
    found = tenant.world.get(APPS, app, tenant.name)["status"].get("conditions") or ()
    return next((str(each["status"]) for each in found if each["type"] == condition), "")


@pytest.fixture(scope="module")
def client(world: World, server: Tenant, authority: Authority) -> Tenant:
    tenant = Tenant(world, "billing")
    tenant.authority = authority
    tenant.tcp = authority.leaf("billing.decco.test")
    world.apply(*tenant.objects({"project": "money"}))
    tenant.wait_ready()
    egresses = [
        {"localPort": DATABASE, "endpoint": "database", "spaceName": "ledger"},
        {"localPort": SLOPPY, "endpoint": "sloppy", "spaceName": "ledger"},
        {"localPort": OUT, "fqdn": OUTSIDE, "targetPort": 8443},
        {"localPort": LOST, "fqdn": "nobody.example.com"},
    ]
    tenant.run(tenant.app("billing", tlsEgresses=egresses, endpoints=[]))
    return tenant


def ask(tenant: Tenant, port: int, text: str, app: str = "billing", host: str = "localhost") -> str:
    """What a plain connection from inside of the App's container to localhost answers; raises RequestFailed."""
    [pod, *_] = tenant.pods(app)
    argv = ["exec", pod["metadata"]["name"], "-n", tenant.name, "-c", "echo", "--"]
    return tenant.world.kubectl(*argv, "/echo", "ask", "--text", text, f"{host}:{port}")


def test_another_spaces_endpoint_by_mutual_tls(client: Tenant) -> None:
    assert eventually(lambda: ask(client, DATABASE, "select 1"), 15) == "select 1"


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_localhost_of_both_families(client: Tenant, host: str) -> None:
    """Many runtimes take the first address of localhost and no other."""
    assert eventually(lambda: ask(client, DATABASE, "select 1", host=host), 15) == "select 1"


def test_a_server_with_the_wrong_name_is_refused(client: Tenant) -> None:
    assert eventually(lambda: ask(client, DATABASE, "up"), 15)
    with pytest.raises(RequestFailed):
        ask(client, SLOPPY, "select 1")
    # And not for another reason: the sidecar says which. The certificate's authority is the right one.
    [pod] = client.pods("billing")
    log = client.world.kubectl("logs", pod["metadata"]["name"], "-n", client.name, "-c", "decco-tls")
    refused = log[log.index("Service [localhost:15433] accepted") :]
    assert "Subject checks failed" in refused, refused[:2000]


def test_a_name_that_does_not_exist_fails_alone(client: Tenant) -> None:
    with pytest.raises(RequestFailed):
        ask(client, LOST, "hello?")
    assert eventually(lambda: ask(client, DATABASE, "select 2"), 15) == "select 2"


def test_a_host_outside_of_the_cluster(client: Tenant, authority: Authority) -> None:
    node = client.world.cluster.node
    if node is None:
        pytest.skip("a server outside can be had with the testbed's own node only")
    with outside(node.box.addresses.host, authority.leaf(OUTSIDE)):
        node.hosts.write_text(f"{node.box.addresses.host} {OUTSIDE}\n")
        assert eventually(lambda: ask(client, OUT, "pay"), 15) == "seen: pay"
    with outside(node.box.addresses.host, authority.leaf("else.example.com")), pytest.raises(RequestFailed):
        ask(client, OUT, "pay")


@contextmanager
def outside(address: str, leaf: Leaf) -> Iterator[None]:
    """A server beside the cluster that requests a certificate of the project's authority."""
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=leaf.ca.decode())
    trust.verify_mode = ssl.CERT_REQUIRED
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder) / "pair.pem"
        pair.write_bytes(leaf.cert + leaf.key)
        trust.load_cert_chain(pair)
    with socket.create_server((address, 8443)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, trust))
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listener: socket.socket, trust: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        plain.settimeout(10)
        # A client that refuses our certificate ends the handshake, and that is its right.
        try:
            with plain, trust.wrap_socket(plain, server_side=True) as connection:
                connection.sendall(b"seen: " + connection.recv(100))
        except OSError:
            continue
