"""TCP by TLS server name, on the port that HTTPS is on: two endpoints of one App, and an App in another Space."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import ssl
from pathlib import Path

import pytest

from testbed.images import pattern
from tests.e2e import clients
from tests.e2e.world import Tenant, World

GIGABYTE = 1_000_000_000
SAMPLE = 200_000_000
"""In the sampled run; ``E2E=full`` sends the whole gigabyte."""


@pytest.fixture(scope="module")
def bank(world: World) -> Tenant:
    tenant = world.tenant("bank")
    ports = [{"name": name, "port": port} for name, port in (("ledger", 9000), ("vault", 9001))]
    endpoints = [*ports, {"name": "pump", "port": 9002}, {"name": "drain", "port": 9003}]
    listen = ["hello:9000", "echo:9001", "source:9002", "sink:9003"]
    tenant.run(tenant.app("core", listen, endpoints=endpoints))
    for endpoint in endpoints:
        tenant.listening(str(endpoint["name"]))
    return tenant


@pytest.fixture(scope="module")
def shop(world: World) -> Tenant:
    tenant = world.tenant("store")
    tenant.run(tenant.app("till", ["hello:9000"], endpoints=[{"name": "till", "port": 9000}]))
    tenant.listening("till")
    return tenant


def test_the_server_name_decides(bank: Tenant, shop: Tenant) -> None:
    with bank.tls("ledger") as connection:
        assert clients.read_all(connection) == b"bank/core\n"
        assert clients.serial_of(connection) == bank.tcp.serial, "not the Space's own certificate"
    with bank.tls("vault") as connection:
        assert clients.exchange(connection, b"to the vault") == b"to the vault"
    with shop.tls("till") as connection:
        assert clients.read_all(connection) == b"store/till\n"


def test_an_app_that_listens_at_its_pods_own_address_is_reached(shop: Tenant) -> None:
    env = [
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "ECHO_NAME", "value": "store/own"},
    ]
    endpoints = [{"name": "own", "port": 9000}]
    shop.run(shop.app("own", ["hello:$(POD_IP):9000"], endpoints=endpoints, pod={"container": {"env": env}}))
    shop.listening("own")
    with shop.tls("own") as connection:
        assert clients.read_all(connection) == b"store/own\n"


@pytest.mark.parametrize("name", [None, "nobody.bank.decco.test", "ledger.nowhere.decco.test", "ledger.bank", "bank"])
def test_no_name_or_an_unknown_one_is_closed(bank: Tenant, name: str | None) -> None:
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        clients.whoever(bank.edge, name) as connection,
    ):
        pytest.fail(f"{name}: got {connection.recv(100)!r}")


def test_what_is_not_tls_reaches_no_pod(bank: Tenant) -> None:
    """Envoy closes; Traefik, which accepts HTTP without TLS on any port, has no backend for it."""
    with socket.create_connection((bank.edge, clients.HTTPS), 5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: ledger.bank.decco.test\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert plain.recv(100).partition(b"\r\n")[0] in {b"", b"HTTP/1.1 404 Not Found"}


def test_at_least_tls_1_2(bank: Tenant) -> None:
    """What ends in the pod: 1.2 and 1.3 are spoken, 1.1 is not, whatever a client would like."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        trust = clients.context(bank.authority.cert)
        trust.minimum_version = trust.maximum_version = version
        with (
            socket.create_connection((bank.edge, clients.HTTPS), 5) as plain,
            trust.wrap_socket(plain, server_hostname=bank.host("ledger")) as connection,
        ):
            assert clients.read_all(connection) == b"bank/core\n"
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection((bank.edge, clients.HTTPS), 5) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        old.wrap_socket(plain, server_hostname=bank.host("ledger"))


def test_bytes_pass_unaltered_at_full_speed(bank: Tenant, asker: Path) -> None:
    """Down, then up; each with the hash of the other side."""
    size = GIGABYTE if os.environ.get("E2E") == "full" else SAMPLE
    whole = hashlib.sha256()
    with bank.tls("pump", seconds=120) as connection:
        connection.sendall(b"%d\n" % size)
        while part := connection.recv(1 << 20):
            whole.update(part)
    assert whole.hexdigest() == pattern.sha256(size)
    answer = json.loads(bank.ask(asker, "drain", pattern.blocks(size)))
    assert (answer["bytes"], answer["sha256"]) == (size, pattern.sha256(size))


def test_half_closed_connections(bank: Tenant, asker: Path) -> None:
    """The client has said all; what the server still has to say arrives whole, and in both directions at once."""
    content = b"".join(pattern.blocks(5_000_000))
    assert clients.digest(bank.ask(asker, "vault", content)) == clients.digest(content)
