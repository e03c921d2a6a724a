"""Who may connect through the sidecar, in both directions, with certificates that differ in one point each."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.images.pki import Authority, Leaf
from tests.images.rig import (
    LOADED,
    App,
    Pod,
    Sidecar,
    ask,
    ask_plain,
    client_context,
    egress,
    free_ports,
    server,
)

SERVER = "db.gamma.decco.test"
ALLOWED = ("nova.acme.decco.test", "pay.acme.decco.test")
NAMES = ("open", "signed", "named")
LOCAL = ("right", "wrong name", "stranger", "no certificate", "nowhere")


@dataclass
class World:
    """Endpoints for anybody, for whom the authority signed, and for allowed names; egresses to the last one."""

    sidecar: Sidecar
    pod: Pod
    ports: dict[str, int]
    clients: dict[str, Leaf | None]


@pytest.fixture(scope="module")
def world(
    entry: Path, authority: Authority, apps: tuple[App, App], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    stranger = Authority()
    client = authority.leaf(ALLOWED[0])
    secrets = {
        "own": authority.leaf(SERVER),
        "client": client,
        "trusts-another": Leaf(client.cert, client.key, stranger.cert, client.serial),
    }
    clients = {
        "none": None,
        "expired": authority.leaf(ALLOWED[0], expired=True),
        "stranger": stranger.leaf(ALLOWED[0]),
        "wrong name": authority.leaf("evil.acme.decco.test"),
        "longer name": authority.leaf(ALLOWED[0] + ".evil.test", "x" + ALLOWED[0]),
        "first name": authority.leaf(ALLOWED[0]),
        "second name": authority.leaf("other.test", ALLOWED[1]),
    }
    ports = dict(zip((*NAMES, *LOCAL), free_ports(len(NAMES) + len(LOCAL)), strict=True))
    pod = Pod(tmp_path_factory.mktemp("pod"), secrets)
    pod.write(
        server("open", ports["open"], apps[0]),
        server("signed", ports["signed"], apps[0], clients=()),
        server("named", ports["named"], apps[0], clients=ALLOWED),
        egress(ports["right"], ports["named"], SERVER, "client"),
        egress(ports["wrong name"], ports["named"], "mysql.gamma.decco.test", "client"),
        egress(ports["stranger"], ports["named"], SERVER, "trusts-another"),
        egress(ports["no certificate"], ports["named"], SERVER, None),
        egress(ports["nowhere"], 1, SERVER, "client"),
    )
    # The one egress without a Secret trusts the system's authorities; here that is the test's.
    text = pod.config_path.read_text().replace(
        "/etc/ssl/certs/ca-certificates.crt", str(pod.secrets["own"].folder / "ca.crt")
    )
    pod.write_text(text)
    with Sidecar([entry, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        yield World(sidecar, pod, ports, clients)
        assert sidecar.end() == 0


@pytest.mark.parametrize(
    ("endpoint", "admitted"),
    [
        ("open", {"none", "expired", "stranger", "wrong name", "longer name", "first name", "second name"}),
        ("signed", {"wrong name", "longer name", "first name", "second name"}),
        ("named", {"first name", "second name"}),
    ],
)
def test_who_is_admitted(world: World, tmp_path: Path, endpoint: str, admitted: set[str]) -> None:
    answered = set()
    for name, leaf in world.clients.items():
        try:
            said, _ = ask(world.ports[endpoint], client_context(leaf, tmp_path))
        except (ssl.SSLError, ConnectionError):
            continue
        assert said == "one"
        answered.add(name)
    assert answered == admitted


@pytest.mark.parametrize(
    ("version", "right"),
    [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_no_tls_below_1_2(world: World, version: ssl.TLSVersion, right: bool) -> None:
    context = client_context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # so that it is not the client who refuses
    context.minimum_version = context.maximum_version = version
    if right:
        assert ask(world.ports["open"], context)[0] == "one"
    else:
        with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
            ask(world.ports["open"], context)


@pytest.mark.parametrize("name", LOCAL)
def test_egress(world: World, name: str) -> None:
    if name == "right":
        assert ask_plain(world.ports[name]) == "one"
    else:
        with pytest.raises(ConnectionError):
            ask_plain(world.ports[name])


def test_an_egress_listens_on_loopback_only(world: World) -> None:
    """On an address of loopback that is not configured, which stands for the pod's own here."""
    with socket.socket() as sock, pytest.raises(ConnectionRefusedError):
        sock.connect(("127.0.0.2", world.ports["right"]))


def test_a_changed_list_of_clients_is_in_force(world: World, tmp_path: Path) -> None:
    right, wrong = world.clients["first name"], world.clients["wrong name"]
    text = world.pod.config_path.read_text()
    try:
        with world.sidecar.change():
            world.pod.write_text(text.replace(f"checkHost = {ALLOWED[0]}", "checkHost = evil.acme.decco.test"))
        assert ask(world.ports["named"], client_context(wrong, tmp_path))[0] == "one"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(world.ports["named"], client_context(right, tmp_path))
        with pytest.raises(ConnectionError):
            ask_plain(world.ports["right"])  # its certificate has the name that went
    finally:
        with world.sidecar.change():
            world.pod.write_text(text)


def test_a_renewed_client_certificate_is_shown(world: World, authority: Authority) -> None:
    """The egress is refused with the one, and admitted with the other."""
    try:
        with world.sidecar.change():
            world.pod.renew("client", authority.leaf("evil.acme.decco.test"))
        with pytest.raises(ConnectionError):
            ask_plain(world.ports["right"])
    finally:
        with world.sidecar.change():
            world.pod.renew("client", authority.leaf(ALLOWED[1]))
    assert ask_plain(world.ports["right"]) == "one"
