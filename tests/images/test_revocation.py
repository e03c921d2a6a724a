"""A ``ca.crl`` in a Secret: who is refused, when that begins and ends, and what a bad one does."""

from __future__ import annotations

import socket
import ssl
import time
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
    connect,
    echo,
    egress,
    free_ports,
    server,
    until,
)

REFUSES_FILES = "LOG3[entry]: stunnel refuses the files"
REVOKED = "certificate revoked"


def is_admitted(port: int, client: Leaf, folder: Path) -> bool:
    try:
        return ask(port, client_context(client, folder))[0] == "one"
    except OSError:
        return False


def test_a_revoked_client_is_refused_after_a_reload_and_all_others_go_on(
    entry: Path, pod: Pod, authority: Authority, apps: tuple[App, App], tmp_path: Path
) -> None:
    strict, anybody, named = free_ports(3)
    pod.write(
        server("strict", strict, apps[0], clients=()),
        server("anybody", anybody, apps[0]),
        server("named", named, apps[0], clients=["stolen.test", "good.test"]),
    )
    own, stolen, good = (authority.leaf(name) for name in ("server.test", "stolen.test", "good.test"))
    with Sidecar([entry, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        for port in (strict, named):
            assert is_admitted(port, stolen, tmp_path)
            assert is_admitted(port, good, tmp_path)
        held, _ = connect(strict, client_context(good, tmp_path))
        with held:
            with sidecar.change():
                pod.renew("own", own, authority.revocations(stolen.serial))
            for port in (strict, named):
                until(lambda port=port: not is_admitted(port, stolen, tmp_path))  # type: ignore[misc]
                assert is_admitted(port, good, tmp_path)
            sidecar.await_log(REVOKED)
            assert is_admitted(anybody, stolen, tmp_path), "no certificate is requested there"
            assert echo(held, b"still here") == b"still here"
            time.sleep(1.1)  # lists of one second have the same thisUpdate, so neither is the newer one
            with sidecar.change():
                pod.renew("own", own, authority.revocations(good.serial))
            until(lambda: is_admitted(strict, stolen, tmp_path))  # a newer list counts alone
            until(lambda: not is_admitted(strict, good, tmp_path))
            with sidecar.change():
                pod.renew("own", own)
            until(lambda: is_admitted(strict, good, tmp_path))
            until(lambda: is_admitted(named, good, tmp_path))
        assert sidecar.end() == 0


def test_only_the_list_in_the_same_file_changes(
    entry: Path, pod: Pod, authority: Authority, apps: tuple[App, App], tmp_path: Path
) -> None:
    """Without the swap of a whole directory: the authorities stay the same file, which sections may share."""
    one, other = free_ports(2)
    pod.write(server("one", one, apps[0], clients=()), server("other", other, apps[0], clients=()))
    pod.renew("own", authority.leaf("server.test"), authority.revocations())
    client = authority.leaf("client.test")
    with Sidecar([entry, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        assert is_admitted(one, client, tmp_path)
        file = tmp_path / "tls" / "own" / "ca.crl"
        target = file.resolve()
        for revoked in ([client.serial], [], [client.serial]):
            # The watched directory is that of the links; a write in place behind them is found by polling, or by HUP.
            target.write_bytes(authority.revocations(*revoked))
            with sidecar.change():
                sidecar.process.send_signal(1)
            for port in (one, other):
                until(lambda port=port, allows=not revoked: is_admitted(port, client, tmp_path) is allows)  # type: ignore[misc]


def test_a_session_of_a_revoked_client_is_not_resumed(
    entry: Path, pod: Pod, authority: Authority, apps: tuple[App, App], tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    pod.write(server("strict", port, apps[0], clients=()))
    stolen = authority.leaf("stolen.test")
    context = client_context(stolen, tmp_path)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Sidecar([entry, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        first, _ = connect(port, context)
        with first:
            session = first.session
        assert is_resumed(port, context, session)
        with sidecar.change():
            pod.renew("own", authority.leaf("server.test"), authority.revocations(stolen.serial))
        until(lambda: not is_resumed(port, context, session))
        sidecar.await_log(REVOKED)  # the client was verified again


def is_resumed(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None) -> bool:
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=15) as raw,
            context.wrap_socket(raw, session=session) as tls,
        ):
            return bool(tls.session_reused and tls.recv(8))
    except OSError:
        return False


def test_a_revoked_server_is_refused(entry: Path, tmp_path: Path, authority: Authority, apps: tuple[App, App]) -> None:
    stolen, good, client = (authority.leaf(name) for name in ("stolen.test", "good.test", "client.test"))
    pod = Pod(tmp_path, {"stolen": stolen, "good": good, "client": client})
    ports = free_ports(4)
    pod.write(
        server("stolen", ports[0], apps[0], "stolen"),
        server("good", ports[1], apps[1], "good"),
        egress(ports[2], ports[0], "stolen.test", "client"),
        egress(ports[3], ports[1], "good.test", "client"),
    )
    with Sidecar([entry, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        assert (ask_plain(ports[2]), ask_plain(ports[3])) == ("one", "two")
        with sidecar.change():
            pod.renew("client", client, authority.revocations(stolen.serial))
        for address in ("127.0.0.1", "::1"):
            with pytest.raises(OSError, match=r"closed|reset"):
                ask_plain(ports[2], address)
            assert ask_plain(ports[3], address) == "two"
        sidecar.await_log(REVOKED)


def test_an_expired_list_refuses_everybody(
    entry: Path, pod: Pod, authority: Authority, apps: tuple[App, App], tmp_path: Path
) -> None:
    """decco reports it as CRLExpired."""
    (port,) = free_ports(1)
    pod.write(server("strict", port, apps[0], clients=()))
    client = authority.leaf("client.test")
    pod.renew("own", authority.leaf("server.test"), authority.revocations(expired=True))
    with Sidecar([entry, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        assert not is_admitted(port, client, tmp_path)
        sidecar.await_log("CRL has expired")


def test_each_authority_needs_a_list(
    entry: Path, pod: Pod, authority: Authority, apps: tuple[App, App], tmp_path: Path
) -> None:
    """Also an authority in between: decco demands a list for each in ca.crt."""
    (port,) = free_ports(1)
    pod.write(server("strict", port, apps[0], clients=()))
    other = Authority("other")
    below = authority.intermediate("between.test")
    clients = [each.leaf("client.test") for each in (authority, other, below)]
    own = authority.leaf("server.test")
    with Sidecar([entry, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)

        def admitted(*lists: bytes) -> list[bool]:
            with sidecar.change():
                pod.secrets["own"].write(
                    {**own.secret, "ca.crt": authority.cert + other.cert, "ca.crl": b"".join(lists)}
                )
            return [is_admitted(port, client, tmp_path) for client in clients]

        assert admitted(authority.revocations()) == [True, False, False]
        assert admitted(authority.revocations(), other.revocations()) == [True, True, False]
        assert admitted(authority.revocations(), other.revocations(), below.revocations()) == [True, True, True]
        assert admitted(authority.revocations(), other.revocations(clients[1].serial), below.revocations()) == [
            True,
            False,
            True,
        ]


@pytest.mark.parametrize("bad", [b"garbage", b"", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_a_list_that_cannot_be_read_keeps_what_was_in_force(
    quick: Path, pod: Pod, authority: Authority, apps: tuple[App, App], tmp_path: Path, bad: bytes
) -> None:
    (port,) = free_ports(1)
    pod.write(server("strict", port, apps[0], clients=()))
    stolen, good, own = (authority.leaf(f"{name}.test") for name in ("stolen", "good", "server"))
    pod.renew("own", own, authority.revocations(stolen.serial))
    with Sidecar([quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        with sidecar.change(REFUSES_FILES):
            pod.renew("own", own, bad)
        assert is_admitted(port, good, tmp_path)
        assert not is_admitted(port, stolen, tmp_path)
        with sidecar.change():
            pod.renew("own", own, authority.revocations())
        assert is_admitted(port, stolen, tmp_path)


def test_a_list_of_another_authority_refuses_everybody(
    quick: Path, pod: Pod, authority: Authority, apps: tuple[App, App], tmp_path: Path
) -> None:
    """stunnel loads it; decco does not copy such a Secret."""
    (port,) = free_ports(1)
    pod.write(server("strict", port, apps[0], clients=()))
    pod.renew("own", authority.leaf("server.test"), Authority().revocations())
    with Sidecar([quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        assert not is_admitted(port, authority.leaf("client.test"), tmp_path)
