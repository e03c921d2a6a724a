"""Changed files are loaded by the running stunnel: no connection fails, none is cut, and no bad file does harm."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.images import deny
from tests.images.pki import Authority
from tests.images.rig import (
    LOADED,
    App,
    Pod,
    Sidecar,
    ask,
    client_context,
    connect,
    descriptors,
    echo,
    free_ports,
    serial,
    server,
    until,
)

RENEWALS = int(os.environ.get("DECCO_RENEWALS", "5"))
"""More of them for a longer run."""
REFUSES_CONFIG = "LOG3[entry]: stunnel refuses the new configuration"
REFUSES_FILES = "LOG3[entry]: stunnel refuses the files"


class Load:
    """Clients that connect without pause, each time with a full handshake, until the end of the block."""

    def __init__(self, port: int, clients: int = 3) -> None:
        self.answers = 0
        self.failures: list[str] = []
        self._port = port
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def _run(self) -> None:
        context = client_context()
        while not self._end.is_set():
            try:
                name, _ = ask(self._port, context)
            except OSError as error:
                self.failures.append(repr(error))
            else:
                self.answers += name == "one"

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


def test_renewed_certificates_cost_no_connection(
    entry: Path, pod: Pod, authority: Authority, apps: tuple[App, App]
) -> None:
    (port,) = free_ports(1)
    pod.write(server("web", port, apps[0]))
    with Sidecar([entry, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        stunnel = sidecar.stunnel_pid
        held, name = connect(port, client_context())
        with held, Load(port) as load:
            for _ in range(RENEWALS):
                leaf = authority.leaf("server.test")
                with sidecar.change():
                    pod.renew("own", leaf)
                assert ask(port) == ("one", leaf.serial)
            assert (name, echo(held, b"still here")) == ("one", b"still here")
        sys.stdout.write(f"{RENEWALS} renewals, {load.answers} connections, {len(load.failures)} failed\n")
        assert load.failures == []
        assert load.answers > 20 * RENEWALS
        assert sidecar.stunnel_pid == stunnel
        assert sidecar.count(LOADED) == 1 + RENEWALS, "something was loaded without a change"
        for noise in ("No trusted certificates", "Insecure file permissions", "byte order mark"):
            assert noise not in sidecar.log
        assert sidecar.end() == 0


def test_sections_that_change_places_keep_their_ports(
    entry: Path, tmp_path: Path, authority: Authority, apps: tuple[App, App]
) -> None:
    secrets = {"own": authority.leaf("a.test"), "other": authority.leaf("b.test")}
    pod = Pod(tmp_path, secrets)
    first, second = free_ports(2)
    one, two = server("one", first, apps[0], "own"), server("two", second, apps[1], "other")
    pod.write(one, two)
    with Sidecar([entry, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        with sidecar.change():
            pod.write(two, one)
        assert ask(first) == ("one", secrets["own"].serial)
        assert ask(second) == ("two", secrets["other"].serial)


def test_listeners_that_come_or_go_wait_for_the_next_container(entry: Path, pod: Pod, apps: tuple[App, App]) -> None:
    gone, changed, fresh = free_ports(3)
    pod.write(server("gone", gone, apps[0]), server("changed", changed, apps[0]))
    with Sidecar([entry, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        with sidecar.change():
            pod.write(server("fresh", fresh, apps[0]), server("changed", changed, apps[1]))
        assert f":::{gone} is no longer configured: it stays as it was" in sidecar.log
        assert f":::{fresh} is not served: a new listener needs a new container" in sidecar.log
        assert (ask(gone)[0], ask(changed)[0]) == ("one", "two")
        with pytest.raises(ConnectionRefusedError):
            ask(fresh)
        with sidecar.change():
            pod.write_text("debug = notice\nforeground = yes\npid =\n")  # no section at all
        assert (ask(gone)[0], ask(changed)[0]) == ("one", "two")


def test_a_section_whose_files_are_not_mounted_stays_alone(
    quick: Path, pod: Pod, authority: Authority, apps: tuple[App, App]
) -> None:
    """What a pod sees that is about to be replaced: another section's change must not wait for its successor."""
    waits, changed = free_ports(2)
    pod.write(server("waits", waits, apps[0]), server("changed", changed, apps[0]))
    with Sidecar([quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        with sidecar.change():
            pod.write(server("waits", waits, apps[1], "successors"), server("changed", changed, apps[1]))
        assert f":::{waits} stays as it was: not all its files are there" in sidecar.log
        assert "successors/tls.crt: No such file or directory" in sidecar.log
        assert (ask(waits)[0], ask(changed)[0]) == ("one", "two")
        leaf = authority.leaf("server.test")
        with sidecar.change():
            pod.renew("own", leaf)
        assert (ask(waits), ask(changed)) == (("one", leaf.serial), ("two", leaf.serial))


@pytest.mark.parametrize(
    ("add", "says"),
    [
        ("no option of stunnel = 1\n", REFUSES_CONFIG),
        ("nonsense\n", REFUSES_CONFIG),
        ("[none]\nconnect = 127.0.0.1:1\n", "section 2 has no accept line"),
        ("accept = :::1\n", "section 1 has two accept lines"),
        ("include = /etc\n", "include is not supported"),
        ("CRLfile = /etc/crl.pem\n", "CRLfile is not supported: a ca.crl beside the ca.crt is used by itself"),
        ("CRLpath = /etc\n", "CRLpath is not supported"),
        ("\x01\n", "section 1 has a control character"),
        (f"; {'x' * 20_000}\n", "section 1 has a line of more than"),
    ],
)
def test_a_broken_configuration_keeps_the_last_one_and_its_renewals(
    quick: Path, pod: Pod, authority: Authority, apps: tuple[App, App], add: str, says: str
) -> None:
    (port,) = free_ports(1)
    right = server("web", port, apps[0])
    pod.write(right)
    with Sidecar([quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        with sidecar.change(), sidecar.change(says):
            pod.write_text(pod.text(server("web", port, apps[1])) + add)
        assert ask(port)[0] == "one"
        leaf = authority.leaf("server.test")
        with sidecar.change():
            pod.renew("own", leaf)
        assert ask(port) == ("one", leaf.serial)
        with sidecar.change():
            pod.write(server("web", port, apps[1]))
        assert ask(port) == ("two", leaf.serial)


def encrypted(key: bytes) -> bytes:
    cipher = serialization.BestAvailableEncryption(b"passphrase")
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return serialization.load_pem_private_key(key, None).private_bytes(pem, pkcs8, cipher)


@pytest.mark.parametrize("bad", ["garbage", "empty", "missing", "another's", "encrypted"])
def test_a_bad_key_keeps_the_last_certificate(
    quick: Path, pod: Pod, authority: Authority, apps: tuple[App, App], bad: str
) -> None:
    (port,) = free_ports(1)
    pod.write(server("web", port, apps[0]))
    files = authority.leaf("server.test").secret
    key = files.pop("tls.key")
    keys = {
        "garbage": {"tls.key": b"very-secret-garbage"},
        "empty": {"tls.key": b""},
        "missing": {},
        "another's": {"tls.key": authority.leaf("server.test").key},
        "encrypted": {"tls.key": encrypted(key)},
    }
    with Sidecar([quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        before = ask(port)
        held, _ = connect(port, client_context())
        with held:
            with sidecar.change(REFUSES_FILES):
                pod.secrets["own"].write({**files, **keys[bad]})
            assert ask(port) == before
            assert ("tls.key: No such file or directory" in sidecar.log) == (bad == "missing")
            assert REFUSES_CONFIG not in sidecar.log
            leaf = authority.leaf("server.test")
            with sidecar.change():
                pod.renew("own", leaf)
            assert ask(port) == ("one", leaf.serial)
            assert echo(held, b"still here") == b"still here"
        assert "very-secret-garbage" not in sidecar.log


def test_nothing_is_loaded_without_a_change(entry: Path, pod: Pod, apps: tuple[App, App]) -> None:
    (port,) = free_ports(1)
    pod.write(server("web", port, apps[0]))
    with Sidecar([entry, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        (pod.config_path.parent / "another file").touch()
        with sidecar.change():
            sidecar.process.send_signal(signal.SIGHUP)  # requests the reload; the other was checked by then
        assert sidecar.count(LOADED) == 2


def test_loads_and_connections_leave_no_descriptor_behind(quick: Path, pod: Pod, apps: tuple[App, App]) -> None:
    (port,) = free_ports(1)
    pod.write(server("web", port, apps[0]))
    with Sidecar([quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        pids = sidecar.process.pid, sidecar.stunnel_pid
        before = [descriptors(pid) for pid in pids]
        for _ in range(10):
            with sidecar.change():
                sidecar.process.send_signal(signal.SIGHUP)
            ask(port)
        sidecar.await_log("Connection closed", 10)
        until(lambda: [descriptors(pid) for pid in pids] == before)


def test_changes_are_found_at_once(
    build: Callable[..., Path], pod: Pod, authority: Authority, apps: tuple[App, App]
) -> None:
    """By inotify alone: without it they would be found after ten minutes."""
    (port,) = free_ports(1)
    pod.write(server("web", port, apps[0]))
    with Sidecar([build("-O2", "-static", "-DSETTLE_MS=1", "-DPOLL_MS=600000"), pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        for app in (*apps, *apps):
            leaf = authority.leaf("server.test")
            with sidecar.change():
                pod.renew("own", leaf)
            assert ask(port)[1] == leaf.serial
            with sidecar.change():
                pod.write(server(app.name, port, app))
            assert ask(port) == (app.name, leaf.serial)


def test_changes_are_found_without_inotify(
    build: Callable[..., Path], pod: Pod, authority: Authority, apps: tuple[App, App]
) -> None:
    (port,) = free_ports(1)
    pod.write(server("web", port, apps[0]))
    entry = build("-O2", "-static", "-DSETTLE_MS=20", "-DPOLL_MS=100")
    with Sidecar([sys.executable, deny.__file__, "inotify_init1", "EMFILE", entry, pod.config_path]) as sidecar:
        sidecar.await_log("inotify: Too many open files; changes are found within")
        sidecar.await_log(LOADED)
        leaf = authority.leaf("server.test")
        with sidecar.change():
            pod.renew("own", leaf)
        assert ask(port) == ("one", leaf.serial)


def test_all_addresses_of_both_families(entry: Path, pod: Pod, apps: tuple[App, App]) -> None:
    (port,) = free_ports(1)
    pod.write(server("web", port, apps[0]))
    with Sidecar([entry, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        assert ask(port, address="127.0.0.1")[0] == "one"
        if socket.has_ipv6 and Path("/proc/net/if_inet6").exists():
            assert ask(port, address="::1")[0] == "one"


def test_a_node_without_ipv6(quick: Path, pod: Pod, authority: Authority, apps: tuple[App, App]) -> None:
    (port,) = free_ports(1)
    pod.write(server("web", port, apps[0]))
    with Sidecar([sys.executable, deny.__file__, "socket:10", "EAFNOSUPPORT", quick, pod.config_path]) as sidecar:
        sidecar.await_log(f"listens at :::{port}, with IPv4 only")
        sidecar.await_log(LOADED)
        leaf = authority.leaf("server.test")
        with sidecar.change():
            pod.renew("own", leaf)
        assert ask(port) == ("one", leaf.serial)
        held, _ = connect(port, client_context())
        with held:
            assert serial(held) == leaf.serial
