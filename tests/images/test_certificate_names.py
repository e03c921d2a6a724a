"""Which names of a certificate count: of a client its DNS names, exactly; of a server its DNS names, with wildcards."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from images.stunnel import build_root
from tests.images.pki import Authority, Leaf
from tests.images.rig import (
    LOADED,
    PATIENCE,
    App,
    Pod,
    Sidecar,
    ask,
    ask_plain,
    client_context,
    egress,
    free_ports,
    greeting,
    server,
)

NAME, OTHER = "billing.acme.decco.test", "pay.acme.decco.test"
SERVER = "db.gamma.decco.test"
REFUSED = (ssl.SSLError, ConnectionError)


def directory_name(name: str) -> x509.DirectoryName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))


CLIENTS: dict[str, tuple[bool, Callable[[Authority], Leaf]]] = {
    "the name": (True, lambda ca: ca.leaf(NAME)),
    "the second of the list": (True, lambda ca: ca.leaf(OTHER)),
    "one of several names": (True, lambda ca: ca.leaf("a.test", "*.decco.test", NAME, common_name="b.test")),
    "capital letters": (True, lambda ca: ca.leaf("Billing.ACME.decco.TEST")),
    "through an intermediate authority": (True, lambda ca: ca.intermediate("ca.test").leaf(NAME)),
    "no name at all": (False, lambda ca: ca.leaf()),
    "a common name, no SAN": (False, lambda ca: ca.leaf(common_name=NAME)),
    "a common name beside another SAN": (False, lambda ca: ca.leaf("a.test", common_name=NAME)),
    "a common name and an e-mail address": (
        False,
        lambda ca: ca.leaf(x509.RFC822Name("x@example.com"), common_name=NAME),
    ),
    "a common name and an IP address": (
        False,
        lambda ca: ca.leaf(x509.IPAddress(ip_address("192.0.2.1")), common_name=NAME),
    ),
    "a common name and a URI": (
        False,
        lambda ca: ca.leaf(x509.UniformResourceIdentifier(f"spiffe://{NAME}/x"), common_name=NAME),
    ),
    "the name as an e-mail address": (False, lambda ca: ca.leaf(x509.RFC822Name(NAME))),
    "the name as a URI": (False, lambda ca: ca.leaf(x509.UniformResourceIdentifier(NAME))),
    "the name as a directory name": (False, lambda ca: ca.leaf(directory_name(NAME))),
    "a wildcard": (False, lambda ca: ca.leaf("*.acme.decco.test")),
    "a wildcard and the common name": (False, lambda ca: ca.leaf("*.acme.decco.test", common_name=NAME)),
    "a part of a wildcard": (False, lambda ca: ca.leaf("bill*.acme.decco.test", "*ing.acme.decco.test")),
    "a wildcard in the middle": (False, lambda ca: ca.leaf("billing.*.decco.test", "*.*.decco.test", "*")),
    "a dot before": (False, lambda ca: ca.leaf(f".{NAME}", ".acme.decco.test")),
    "a dot behind": (False, lambda ca: ca.leaf(f"{NAME}.")),
    "a blank": (False, lambda ca: ca.leaf(f" {NAME}", f"{NAME} ")),
    "a NUL behind": (False, lambda ca: ca.leaf(f"{NAME}\0.evil.test", f"{NAME}\0")),
    "a longer name": (False, lambda ca: ca.leaf(f"{NAME}.evil.test", f"x{NAME}", f"x.{NAME}")),
    "a shorter name": (False, lambda ca: ca.leaf("acme.decco.test", "billing", "illing.acme.decco.test")),
    "both names in one": (False, lambda ca: ca.leaf(f"{NAME},{OTHER}", f"{NAME}\n{OTHER}")),
    "the mark of the entry point": (False, lambda ca: ca.leaf(f"exact:{NAME}", common_name=f"exact:{NAME}")),
    "the name of an intermediate authority": (False, lambda ca: ca.intermediate(NAME).leaf("a.test")),
    "expired": (False, lambda ca: ca.leaf(NAME, expired=True)),
    "of a stranger": (False, lambda _: Authority().leaf(NAME)),
    "below a stranger of the same name": (False, lambda _: Authority().intermediate(NAME).leaf(NAME)),
}

SERVERS: dict[str, tuple[bool, Callable[[Authority], Leaf]]] = {
    "the name": (True, lambda ca: ca.leaf(SERVER)),
    "a wildcard": (True, lambda ca: ca.leaf("*.gamma.decco.test")),
    "a common name, no SAN": (False, lambda ca: ca.leaf(common_name=SERVER)),
    "a common name and an e-mail address": (
        False,
        lambda ca: ca.leaf(x509.RFC822Name("x@example.com"), common_name=SERVER),
    ),
    "a part of a wildcard": (False, lambda ca: ca.leaf("d*.gamma.decco.test")),
    "a wildcard for two labels": (False, lambda ca: ca.leaf("*.decco.test")),
    "the mark of the entry point": (False, lambda ca: ca.leaf(f"server:{SERVER}")),
}


@dataclass
class Named:
    """An endpoint for two names."""

    sidecar: Sidecar
    pod: Pod
    port: int
    app: App


@pytest.fixture(scope="module")
def named(
    entry: Path, authority: Authority, apps: tuple[App, App], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Named]:
    pod = Pod(tmp_path_factory.mktemp("pod"), {"own": authority.leaf(SERVER)})
    (port,) = free_ports(1)
    pod.write(server("named", port, apps[0], clients=(NAME, OTHER)))
    with Sidecar([entry, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        yield Named(sidecar, pod, port, apps[0])


@pytest.mark.parametrize("case", CLIENTS)
def test_allowed_clients_are_exact_dns_names(named: Named, authority: Authority, tmp_path: Path, case: str) -> None:
    admitted, leaf = CLIENTS[case]
    context = client_context(leaf(authority), tmp_path)
    if admitted:
        assert ask(named.port, context)[0] == "one"
    else:
        with pytest.raises(REFUSED):
            ask(named.port, context)


@pytest.mark.parametrize("case", SERVERS)
def test_a_target_is_known_by_its_dns_names(
    quick: Path, authority: Authority, apps: tuple[App, App], tmp_path: Path, case: str
) -> None:
    admitted, leaf = SERVERS[case]
    port, local = free_ports(2)
    pod = Pod(tmp_path, {"own": leaf(authority), "client": authority.leaf(NAME)})
    pod.write(server("target", port, apps[0]), egress(local, port, SERVER, "client"))
    with Sidecar([quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        if admitted:
            assert ask_plain(local) == "one"
        else:
            with pytest.raises(ConnectionError):
                ask_plain(local)
            sidecar.await_log("Subject checks failed")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_session_does_not_skip_the_check(
    named: Named, authority: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """A client that leaves the list is refused, also with the session of a time when it was on it."""
    context = client_context(authority.leaf(OTHER), tmp_path)
    context.minimum_version = context.maximum_version = version

    def said(session: ssl.SSLSession | None) -> tuple[str, ssl.SSLSession | None]:
        with (
            socket.create_connection(("127.0.0.1", named.port), timeout=PATIENCE) as raw,
            context.wrap_socket(raw, session=session) as tls,
        ):
            return greeting(tls), tls.session

    _, session = said(None)
    assert session is not None
    assert said(session)[0] == "one"
    try:
        with named.sidecar.change():
            named.pod.write(server("named", named.port, named.app, clients=(NAME,)))
        with pytest.raises(REFUSED):
            said(session)
        assert ask(named.port, client_context(authority.leaf(NAME), tmp_path))[0] == "one"
    finally:
        with named.sidecar.change():
            named.pod.write(server("named", named.port, named.app, clients=(NAME, OTHER)))
    assert said(session)[0] == "one"


def test_endpoints_with_one_authority_follow_its_change(
    quick: Path, pod: Pod, authority: Authority, apps: tuple[App, App], tmp_path: Path
) -> None:
    """Sections share what is read of one file, until it is another."""
    ports = free_ports(3)
    pod.write(*(server(f"named-{port}", port, apps[0], clients=(NAME,)) for port in ports))
    successor = Authority()
    old, new = (client_context(each.leaf(NAME), tmp_path) for each in (authority, successor))
    with Sidecar([quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        for right, wrong in ((old, new), (new, old), (old, new)):
            for port in ports:
                assert ask(port, right)[0] == "one"
                with pytest.raises(REFUSED):
                    ask(port, wrong)
            with sidecar.change():
                pod.renew("own", (successor if right is old else authority).leaf(SERVER))


def test_no_client_is_admitted_by_a_name_that_the_entry_point_did_not_mark(
    quick: Path, pod: Pod, authority: Authority, apps: tuple[App, App], tmp_path: Path
) -> None:
    """A global line holds for all sections; an empty name matches nothing."""
    first, second = free_ports(2)
    text = pod.text(server("all", first, apps[0], clients=()), server("none", second, apps[0], clients=("x.test",)))
    text = text.replace("sslVersionMin", f"verifyChain = yes\nCHECKHOST={NAME}\nsslVersionMin", 1)
    pod.write_text(text.replace("checkHost = x.test", "checkHost ="))
    with Sidecar([quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        assert ask(first, client_context(authority.leaf(NAME), tmp_path))[0] == "one"
        for leaf in (authority.leaf("*.acme.decco.test"), authority.leaf(common_name=NAME), authority.leaf("a.test")):
            with pytest.raises(REFUSED):
                ask(first, client_context(leaf, tmp_path))
        with pytest.raises(REFUSED):
            ask(second, client_context(authority.leaf("a.test"), tmp_path))


BROKEN = {
    "no library": "",
    "without the function": "int unused;",
}


@pytest.mark.parametrize("case", [*BROKEN, "missing"])
def test_it_refuses_to_start_where_names_would_not_be_exact(
    quick: Path, pod: Pod, apps: tuple[App, App], tmp_path: Path, case: str
) -> None:
    """The loader reports that and goes on; stunnel would serve."""
    entry = tmp_path / "entry"
    shutil.copy(quick, entry)
    library = tmp_path / build_root.PRELOADED
    if case == "no library":
        library.write_text("not an ELF file")
    elif case != "missing":
        source = tmp_path / "library.c"
        source.write_text(BROKEN[case])
        subprocess.run(["gcc", *build_root.LIBRARY, "-o", library, source], check=True, timeout=60)
    (port,) = free_ports(1)
    pod.write(server("named", port, apps[0], clients=(NAME,)))
    with Sidecar([entry, pod.config_path]) as sidecar:
        assert sidecar.wait() == 125
        assert f"LOG3[entry]: {library}: " in sidecar.log
        assert LOADED not in sidecar.log


def test_without_the_library_no_client_is_admitted(
    quick: Path, pod: Pod, authority: Authority, apps: tuple[App, App], tmp_path: Path
) -> None:
    """What stunnel alone makes of the text that the entry point gives it: also in the moment before it is ended."""
    port, alone_port = free_ports(2)
    pod.write(server("named", port, apps[0], clients=(NAME,)))
    with Sidecar([quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        text = Path(f"/proc/{sidecar.stunnel_pid}/fd/0").read_text()
    assert f"checkHost = exact:{NAME}\n" in text
    alone = tmp_path / "alone.conf"
    # The first one may still be ending.
    alone.write_text(text.replace(f":{port}\n", f":{alone_port}\n"))
    with Sidecar([build_root.STUNNEL, alone]) as sidecar:
        sidecar.await_log("Configuration successful")
        for leaf in (authority.leaf(NAME), authority.leaf("*.acme.decco.test"), authority.leaf(common_name=NAME)):
            with pytest.raises(REFUSED):
                ask(alone_port, client_context(leaf, tmp_path))
        sidecar.await_log("Subject checks failed", 3)
