"""RoutesReady and the edge: the real controller and API server, and TLS servers of this test at the edge's address.

The edge listens on port 443 of loopback addresses, so these tests need root or the right to bind it.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.controlplane import ControlPlane
from tests.integration.by_hand import accept_listeners, answer_route, run_pods
from tests.integration.harness import Cluster, Decco, Obj, app, eventually, tls_secret

ADDRESS, NOWHERE = "127.77.0.1", "127.77.0.2"
DOMAIN = "answers.test"


def may_bind() -> bool:
    with socket.socket() as sock:
        try:
            sock.bind((ADDRESS, 443))
        except OSError:
            return False
    return True


pytestmark = pytest.mark.skipif(not may_bind(), reason="MISSING the right to bind port 443 of 127.77.0.1")


@contextlib.contextmanager
def edge(folder: Path, secret: Obj) -> Iterator[None]:
    """TLS with the certificate of this Secret; keeps each connection open until the client ends it."""
    for name in ("tls.crt", "tls.key"):
        (folder / name).write_bytes(base64.b64decode(secret["data"][name]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    listener = socket.create_server((ADDRESS, 443))

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
            while tls.recv(1024):
                pass

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@pytest.fixture
def decco(control_plane: ControlPlane, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Decco]:
    address = getattr(request, "param", ADDRESS)
    settings = {
        "probe__enabled": "true",
        "edge__addresses": f'["{address}"]',
        "dns__providers": f'[{{"type": "memory", "zones": ["{DOMAIN}"]}}]',
    }
    with Decco(control_plane, tmp_path, **settings) as found:
        yield found
        assert found.stop() == 0, found.tail()


def make(cluster: Cluster, name: str) -> Obj:
    """A Space with one TCP App whose pods run and whose route is accepted; returns its Secret."""
    secret = tls_secret(f"{name}-tls", f"db.{name}.{DOMAIN}")
    cluster.create(secret)
    cluster.make_space(name, domain=DOMAIN, tcpCertAndCaSecretName=f"{name}-tls")
    cluster.create(app(name, "db", endpoints=[{"name": "db", "port": 5432, "createDnsRecord": True}]))
    accept_listeners(cluster, name)
    run_pods(cluster, name, "db")
    answer_route(cluster, name, "tlsroutes", "db")
    return secret


def routes(cluster: Cluster, name: str) -> tuple[str, str]:
    found = cluster.app_condition(name, "db", "RoutesReady") or {}
    return found.get("status", ""), found.get("reason", "")


def dns(cluster: Cluster, name: str) -> str:
    return (cluster.app_condition(name, "db", "DNSReady") or {}).get("status", "")


def test_ready_after_the_answer_and_the_record_after_it(
    control_plane: ControlPlane, decco: Decco, tmp_path: Path
) -> None:
    cluster, name = Cluster(control_plane), "answers-ready"
    other = tls_secret("other", f"db.{name}.{DOMAIN}")
    with edge(tmp_path, other):
        secret = make(cluster, name)
        eventually(lambda: routes(cluster, name) == ("False", "WrongCertificate"), 20)
        assert dns(cluster, name) == "False"  # no record before the answer
    with edge(tmp_path, secret):
        eventually(lambda: routes(cluster, name) == ("True", "Reconciled"), 20)
        eventually(lambda: dns(cluster, name) == "True", 10)
        assert decco.metric('decco_endpoints{answers="true"') == 1
    cluster.patch(f"/apis/decco.platform9.com/v1beta2/namespaces/{name}/apps/db", {"spec": {"initialReplicas": 2}})
    eventually(lambda: routes(cluster, name) == ("False", "AddressUnreachable"), 30)
    assert dns(cluster, name) == "True"  # a record that exists stays
    with edge(tmp_path, secret):
        eventually(lambda: routes(cluster, name) == ("True", "Reconciled"), 20)


@pytest.mark.parametrize("decco", [NOWHERE], indirect=True)
def test_an_edge_that_cannot_be_reached_from_here_fails_no_app(control_plane: ControlPlane, decco: Decco) -> None:
    cluster, name = Cluster(control_plane), "answers-hairpin"
    make(cluster, name)
    eventually(lambda: routes(cluster, name) == ("True", "Reconciled"), 40)
    eventually(lambda: dns(cluster, name) == "True", 10)
    cluster.patch(f"/apis/decco.platform9.com/v1beta2/spaces/{name}", {"metadata": {"labels": {"a": "b"}}})
    eventually(lambda: (cluster.space_condition(name, "RoutesReady") or {}).get("reason") == "NotProbed", 20)
    assert decco.metric('decco_probe_total{result="connect"}') > 0
