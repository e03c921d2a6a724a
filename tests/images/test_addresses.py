"""Both families, in and out: "localhost" is 127.0.0.1 or ::1, and an App may listen at the pod's own address alone."""

from __future__ import annotations

import os
import re
import socket
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.images import deny
from tests.images.netns import network
from tests.images.pki import Authority
from tests.images.rig import (
    LOADED,
    PATIENCE,
    App,
    Pod,
    Sidecar,
    ask,
    ask_plain,
    echo,
    egress,
    free_ports,
    server,
)

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="THE SIDECAR'S ADDRESSES ARE NOT TESTED: a network of its own needs root"
)
FOUR, SIX = "198.18.77.5", "2001:2::5"
"""Of the ranges that tests may connect to (tests/conftest.py)."""
DUAL = (f"{FOUR}/24", f"{SIX}/64")
REFUSED = (ssl.SSLError, ConnectionError)
PORT, LISTENER, LOCAL = 8080, 20443, 15432
"""Of the App, of its endpoint's listener, of an egress; a network of its own has all ports free."""


@dataclass(frozen=True)
class Declared:
    """The port of an App, whether or not somebody listens there."""

    port: int = PORT


@pytest.fixture
def dual() -> Iterator[None]:
    with network(*DUAL):
        yield


def written(pod: Pod) -> Pod:
    """With an endpoint, and an egress that leads to it."""
    pod.write(server("web", LISTENER, Declared()), egress(LOCAL, LISTENER, "server.test"))
    return pod


@needs_root
@pytest.mark.usefixtures("dual")
def test_an_egress_listens_at_both_loopback_addresses_and_no_other(quick: Path, pod: Pod) -> None:
    with App("one", port=PORT), Sidecar([quick, written(pod).config_path]) as sidecar:
        sidecar.await_log(LOADED)
        assert [ask_plain(LOCAL, address) for address in ("127.0.0.1", "::1")] == ["one", "one"]
        for address in (FOUR, SIX, "127.0.0.2"):
            with pytest.raises(ConnectionRefusedError):
                ask_plain(LOCAL, address)


@needs_root
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", FOUR, SIX, "0.0.0.0", "::"])
@pytest.mark.usefixtures("dual")
def test_an_app_is_reached_at_whatever_address_it_listens(quick: Path, pod: Pod, address: str) -> None:
    with App("one", address, PORT), Sidecar([quick, written(pod).config_path]) as sidecar:
        sidecar.await_log(LOADED)
        assert {ask(LISTENER, address=client)[0] for client in ("127.0.0.1", "::1", FOUR, SIX)} == {"one"}


@needs_root
@pytest.mark.usefixtures("dual")
def test_the_loopback_address_comes_first(quick: Path, pod: Pod) -> None:
    """The destination of earlier versions stays the same, whoever else listens at the same port; and none of the two
    is taken in turns."""
    with (
        App("one", "127.0.0.1", PORT),
        App("two", FOUR, PORT),
        Sidecar([quick, written(pod).config_path]) as sidecar,
    ):
        sidecar.await_log(LOADED)
        assert [ask(LISTENER)[0] for _ in range(6)] == ["one"] * 6


@needs_root
@pytest.mark.usefixtures("dual")
def test_an_app_that_is_not_there_is_not_reached_elsewhere(quick: Path, pod: Pod) -> None:
    with Sidecar([quick, written(pod).config_path]) as sidecar:
        sidecar.await_log(LOADED)
        with pytest.raises(REFUSED):
            ask(LISTENER)
        sidecar.await_log("No more addresses to connect")
        with App("late", FOUR, PORT):
            assert ask(LISTENER)[0] == "late"


@needs_root
@pytest.mark.usefixtures("dual")
def test_an_endpoint_never_leads_to_the_sidecar_itself(quick: Path, pod: Pod) -> None:
    """decco writes no such text. One connection would become as many as there are descriptors."""
    text = pod.text(server("web", LISTENER, Declared()), server("loop", PORT, Declared()))
    pod.write_text(text.replace("connect = 127", ";"))
    with Sidecar([quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        text = Path(f"/proc/{sidecar.stunnel_pid}/fd/0").read_text()
        assert re.findall(r"^connect = .*", text, re.MULTILINE) == ["connect = ::1:8080"] * 2


@needs_root
@pytest.mark.parametrize(
    ("addresses", "loopback6", "at"),
    [((f"{FOUR}/24",), False, FOUR), ((f"{SIX}/64",), True, SIX), ((), True, "::1"), ((), False, "127.0.0.1")],
    ids=["IPv4 only", "IPv6 only", "no address", "none but 127.0.0.1"],
)
def test_pods_of_one_family(
    quick: Path, pod: Pod, authority: Authority, addresses: tuple[str, ...], loopback6: bool, at: str
) -> None:
    with (
        network(*addresses, loopback6=loopback6),
        App("one", at, PORT),
        Sidecar([quick, written(pod).config_path]) as sidecar,
    ):
        sidecar.await_log(LOADED)
        assert ask(LISTENER, address=at)[0] == "one"
        assert ask_plain(LOCAL) == "one"
        if loopback6:
            assert ask_plain(LOCAL, "::1") == "one"
        leaf = authority.leaf("server.test")
        with sidecar.change():
            pod.renew("own", leaf)
        assert ask(LISTENER, address=at) == ("one", leaf.serial)
        assert ask_plain(LOCAL) == "one"
        assert "is not served" not in sidecar.log


def test_an_egress_without_ipv6(quick: Path, pod: Pod, apps: tuple[App, App]) -> None:
    """In the kernel, that is; a second reload of the same text finds no listener missing."""
    port, local = free_ports(2)
    pod.write(server("web", port, apps[0]), egress(local, port, "server.test"))
    with Sidecar([sys.executable, deny.__file__, "socket:10", "EAFNOSUPPORT", quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        assert ask_plain(local) == "one"
        with sidecar.change():
            pod.write(server("web", port, apps[1]), egress(local, port, "server.test"))
        assert ask_plain(local) == "two"
        assert "is not served" not in sidecar.log


@needs_root
@pytest.mark.usefixtures("dual")
def test_both_listeners_of_an_egress_follow_changes(quick: Path, pod: Pod, authority: Authority) -> None:
    """Sections change places, one goes, another comes: each port keeps its own target, at both addresses."""
    ports = {"one": 20001, "two": 20002}
    first, second, third = 15001, 15002, 15003
    leads = [egress(first, ports["one"], "server.test"), egress(second, ports["two"], "server.test")]
    apps = [App("one", port=8081), App("two", port=8082)]
    with apps[0], apps[1]:
        servers = [server(app.name, ports[app.name], app) for app in apps]
        pod.write(*servers, *leads)
        with Sidecar([quick, pod.config_path]) as sidecar:
            sidecar.await_log(LOADED)

            def heard() -> list[str]:
                return [ask_plain(port, address) for port in (first, second) for address in ("127.0.0.1", "::1")]

            assert heard() == ["one", "one", "two", "two"]
            held = socket.create_connection(("::1", first), timeout=PATIENCE)
            with held:
                assert held.recv(8) == b"one     "
                with sidecar.change():
                    pod.write(*reversed(servers), *reversed(leads))
                assert heard() == ["one", "one", "two", "two"]
                with sidecar.change():
                    pod.write(*servers, egress(first, ports["two"], "server.test"), egress(third, 1, "server.test"))
                assert heard() == ["two", "two", "two", "two"]
                assert f"::1:{third} is not served: a new listener needs a new container" in sidecar.log
                with sidecar.change():
                    pod.renew("own", authority.leaf("server.test"))
                assert heard() == ["two", "two", "two", "two"]
                assert echo(held, b"still here") == b"still here"
