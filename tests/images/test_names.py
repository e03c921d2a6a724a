"""What the sidecar's stunnel resolves, with the C library's own resolver and the search path of a pod.

A name server here has the public name, the Service, and what tenants could own below the search path; who is reached
is read from the connection. The resolv.conf is bound over /etc/resolv.conf in a mount namespace, which needs root.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from decco.desired.egress import resolve_egresses
from decco.desired.endpoints import resolve
from decco.desired.model import EgressTarget
from tests.images.pki import Authority
from tests.images.rig import LOADED, PATIENCE, Pod, Sidecar, free_ports
from tests.unit.desired.app_cases import app

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace for /etc/resolv.conf needs root")

RIGHT, TENANT = "127.0.0.1", "127.0.0.2"
ADDRESSES = {
    "github.com.": RIGHT,
    "db.bank.svc.cluster.local.": RIGHT,
    "mine.beta.svc.cluster.local.": RIGHT,
    # Service github in Space com; a pod of a headless Service in Space svc; Service example in Space com.
    "github.com.svc.cluster.local.": TENANT,
    "db.bank.svc.svc.cluster.local.": TENANT,
    "db.bank.svc.beta.svc.cluster.local.": TENANT,
    "aliased.example.com.svc.cluster.local.": TENANT,
}
SEARCH = "beta.svc.cluster.local svc.cluster.local cluster.local"


class NameServer:
    """Answers A for its names, NXDOMAIN for all others, over UDP; remembers what it was asked."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = addresses
        self.asked: list[str] = []
        # Any address of 127/8 will do, so no other port 53 is in the way.
        self.address = f"127.53.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.address, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                wire, client = self._socket.recvfrom(4096)
            except OSError:
                return  # closed
            query = dns.message.from_wire(wire)
            question = query.question[0]
            name = question.name.to_text().lower()
            self.asked.append(name)
            answer = dns.message.make_response(query, recursion_available=True)
            if name not in self._addresses:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            elif question.rdtype == dns.rdatatype.A:
                answer.answer.append(dns.rrset.from_text(question.name, 5, "IN", "A", self._addresses[name]))
            self._socket.sendto(answer.to_wire(), client)

    def close(self) -> None:
        self._socket.close()


class Target:
    """A TLS server that sends the address of the connection and the requested server name."""

    def __init__(self, address: str, port: int, pair: Path) -> None:
        self._address = address
        self._asked: str | None = None
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pair)
        self._context.sni_callback = self._remember
        self._socket = socket.create_server((address, port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self._socket.accept()
            except OSError:
                return  # closed
            raw.settimeout(PATIENCE)
            with raw, self._context.wrap_socket(raw, server_side=True) as talk:
                talk.sendall(f"{self._address} {self._asked}".encode())

    def _remember(self, _socket: ssl.SSLSocket | ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self._asked = name

    def close(self) -> None:
        self._socket.close()


@dataclass
class World:
    names: NameServer
    local: dict[str, int]

    def reached(self, egress: str) -> str:
        with socket.create_connection(("127.0.0.1", self.local[egress]), PATIENCE) as talk:
            talk.settimeout(PATIENCE)
            return b"".join(iter(lambda: talk.recv(4096), b"")).decode()


EGRESSES: dict[str, dict[str, Any]] = {
    "public name": {"fqdn": "github.com"},
    "endpoint": {"endpoint": "db", "spaceName": "bank"},
    "short form of a Service": {"fqdn": "db.bank.svc"},
    "Service of the own namespace": {"fqdn": "mine"},
    "host alias": {"fqdn": "aliased.example.com"},
}


@pytest.fixture(scope="module")
def world(entry: Path, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("names")
    port, *local = free_ports(1 + len(EGRESSES))
    ports = dict(zip(EGRESSES, local, strict=True))
    listed = [
        {"localPort": ports[name], "targetPort": port, "disableServerCertVerification": True, **target}
        for name, target in EGRESSES.items()
    ]
    alias = {"ip": RIGHT, "hostnames": ["aliased.example.com"]}
    inputs = app(
        {
            "endpoints": [],
            "tlsEgresses": listed,
            "pod": {"containers": [{"name": "main"}], "hostAliases": [alias]},
        },
        space={"tcpCertAndCaSecretName": None},
        targets={("bank", "db"): EgressTarget("db.bank.svc", port, "db.bank.decco.test")},
    )
    egresses, problems = resolve_egresses(inputs, resolve(inputs))
    assert not problems
    leaf = authority.leaf("any.test")
    pod = Pod(folder / "pod", {"own": leaf})
    pod.write(*egresses)

    pair = folder / "pair.pem"
    pair.write_bytes(leaf.cert + leaf.key)
    names = NameServer(ADDRESSES)
    targets = [Target(address, port, pair) for address in (RIGHT, TENANT)]
    (folder / "resolv.conf").write_text(f"search {SEARCH}\nnameserver {names.address}\noptions ndots:5\n")
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{RIGHT} aliased.example.com\n")
    mounts = " && ".join(f"mount --bind {folder / name} /etc/{name}" for name in ("resolv.conf", "hosts"))
    command = ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh", entry, pod.config_path]
    with Sidecar(command) as sidecar:
        sidecar.await_log(LOADED)
        yield World(names, ports)
    for closing in (names, *targets):
        closing.close()


@pytest.mark.parametrize(
    ("egress", "server_name"),
    [
        ("public name", "github.com"),
        ("endpoint", "db.bank.decco.test"),
        ("short form of a Service", "db.bank.svc"),
        ("Service of the own namespace", "mine"),
        ("host alias", "aliased.example.com"),
    ],
)
def test_no_namespace_of_the_search_path_answers_for_a_target(world: World, egress: str, server_name: str) -> None:
    assert world.reached(egress) == f"{RIGHT} {server_name}", world.names.asked


def test_only_absolute_names_are_asked_for(world: World) -> None:
    for egress in EGRESSES:
        world.reached(egress)
    assert set(world.names.asked) == {name for name, address in ADDRESSES.items() if address == RIGHT}
