"""The entry point as a process: start, end, status, log, and what it costs."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from decco.desired import stunnel
from tests.images.pki import Authority
from tests.images.rig import (
    LOADED,
    PATIENCE,
    App,
    Pod,
    Sidecar,
    ask,
    client_context,
    connect,
    echo,
    egress,
    free_ports,
    greeting,
    memory_kb,
    server,
    until,
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_without_connections_it_ends_at_once(quick: Path, pod: Pod, apps: tuple[App, App], number: int) -> None:
    (port,) = free_ports(1)
    pod.write(server("web", port, apps[0]))
    with Sidecar([quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        assert sidecar.end(number) == 0
        assert "LOG5[ui]: Terminated" in sidecar.log
        assert sidecar.log.endswith("LOG5[entry]: stunnel ended with status 0\n")
        with pytest.raises(ConnectionRefusedError):
            ask(port)


def test_it_ends_after_its_last_connection(quick: Path, pod: Pod, apps: tuple[App, App]) -> None:
    (port,) = free_ports(1)
    pod.write(server("web", port, apps[0]))
    with Sidecar([quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        held, _ = connect(port, client_context())
        with held:
            sidecar.process.send_signal(signal.SIGTERM)
            sidecar.await_log("ends when connections have")
            assert echo(held, b"x" * 30_000) == b"x" * 30_000
            assert sidecar.process.poll() is None
        assert sidecar.wait() == 0


@pytest.mark.parametrize(("drain_ms", "signals"), [(100, 1), (60_000, 2)])
def test_it_does_not_wait_for_ever(
    build: Callable[..., Path], pod: Pod, apps: tuple[App, App], drain_ms: int, signals: int
) -> None:
    """Neither for an idle connection, nor when it is asked a second time."""
    (port,) = free_ports(1)
    pod.write(server("web", port, apps[0]))
    with Sidecar([build("-O2", "-static", f"-DDRAIN_MS={drain_ms}"), pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        held, _ = connect(port, client_context())
        with held:
            for _ in range(signals):
                sidecar.process.send_signal(signal.SIGTERM)
                sidecar.await_log("ends when connections have")
            assert sidecar.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_its_status_is_that_of_stunnel(quick: Path, pod: Pod, apps: tuple[App, App], number: signal.Signals) -> None:
    (port,) = free_ports(1)
    pod.write(server("web", port, apps[0]))
    with Sidecar([quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        os.kill(sidecar.stunnel_pid, number)
        assert sidecar.wait() == 128 + number
        assert f"LOG3[entry]: stunnel was ended by signal {number.value} (" in sidecar.log


def test_stunnel_does_not_outlive_it(quick: Path, pod: Pod, apps: tuple[App, App]) -> None:
    (port,) = free_ports(1)
    pod.write(server("web", port, apps[0]))
    with Sidecar([quick, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        program = Path(f"/proc/{sidecar.stunnel_pid}/exe")
        assert os.getsid(sidecar.stunnel_pid) == sidecar.stunnel_pid  # no terminal, where it would ask for passphrases
        assert program.exists()
        assert sidecar.end(signal.SIGKILL) == -signal.SIGKILL
        until(lambda: not program.exists())


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        ("foreground = yes\n", 125, "there is no section, so there is nothing to serve"),
        ("[a]\naccept = 1\n[b]\naccept = :::1\n", 125, "two sections accept at :::1"),
        ("[a]\naccept = name:1\n", 125, "accept = name:1: the address must be a number"),
        ("[a]\naccept = 127.0.0.1:66000\n", 125, "accept = 127.0.0.1:66000: there is no port from 1 to 65535"),
        ("[a]\naccept = 127.0.0.1:{port}\nnonsense = 1\n", 1, "Specified option name is not valid here"),
        (
            "[a]\naccept = 127.0.0.1:{port}\nconnect = 1\ncert = /none\n",
            1,
            "LOG3[entry]: /none: No such file or directory",
        ),
        ("[a]\naccept = 127.0.0.1:{busy}\n", 125, "127.0.0.1:{busy}: Address already in use"),
    ],
)
def test_what_it_cannot_serve_ends_it(quick: Path, pod: Pod, text: str, status: int, says: str) -> None:
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        pod.write_text("foreground = yes\n" + text.replace("{port}", str(port)).replace("{busy}", str(busy)))
        with Sidecar([quick, pod.config_path]) as sidecar:
            assert sidecar.wait() == status
            assert says.replace("{busy}", str(busy)) in sidecar.log


@pytest.mark.parametrize("arguments", [[], ["--help"], ["a", "b"]])
def test_wrong_arguments(quick: Path, arguments: list[str]) -> None:
    with Sidecar([quick, *arguments]) as sidecar:
        assert sidecar.wait() == 125
        assert "usage: " in sidecar.log


def test_a_missing_configuration(quick: Path, tmp_path: Path) -> None:
    with Sidecar([quick, tmp_path / "none.conf"]) as sidecar:
        assert sidecar.wait() == 125
        assert f"{tmp_path / 'none.conf'}: No such file or directory" in sidecar.log


def test_version_is_that_of_both(quick: Path) -> None:
    said = subprocess.run([quick, "--version"], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert said.stdout.startswith("decco TLS sidecar, entry point ")
    assert "stunnel 5." in said.stderr


def test_more_clients_than_memory_are_turned_away(
    build: Callable[..., Path], pod: Pod, apps: tuple[App, App], tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    limit = tmp_path / "memory.max"
    limit.write_text(f"{50 << 20}\n")
    pod.write(server("web", port, apps[0]))
    admitted = 144 + 16  # 50 MiB but 32, at 128 KiB each, and what stunnel may use of 34 spare descriptors
    with Sidecar([build("-O2", "-static", f'-DMEMORY_LIMIT_V2="{limit}"'), pod.config_path]) as sidecar:
        sidecar.await_log(f"accepts {admitted} clients at once")
        sidecar.await_log(LOADED)
        with ExitStack() as stack:

            def opened() -> socket.socket:
                return stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))

            first, *_ = [opened() for _ in range(admitted)]
            sidecar.await_log("accepted connection", admitted)  # each is counted by its own thread
            assert [opened().recv(1) for _ in range(3)] == [b""] * 3
            sidecar.await_log("Connection rejected: too many clients", 3)
            with client_context().wrap_socket(first) as tls:
                assert greeting(tls) == "one"


def test_an_unread_log_does_not_block_signals(quick: Path, pod: Pod, apps: tuple[App, App]) -> None:
    (port,) = free_ports(1)
    pod.write(server("web", port, apps[0]))
    with subprocess.Popen([quick, pod.config_path], stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            size = fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
            os.read(process.stderr.fileno(), 1)  # it has begun
            for _ in range(size // 200):  # each says more than 300 bytes
                assert ask(port)[0] == "one"
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def test_eight_endpoints_are_one_small_process(entry: Path, pod: Pod, apps: tuple[App, App]) -> None:
    ports = free_ports(8)
    pod.write(*(server(f"web-{port}", port, apps[0]) for port in ports))
    with Sidecar([entry, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        assert [ask(port)[0] for port in ports] == ["one"] * 8
        own, below = memory_kb(sidecar.process.pid), memory_kb(sidecar.stunnel_pid)
        sys.stdout.write(f"resident: entry point {own} kB, stunnel {below} kB\n")
        assert own < 2048
        assert below < 20 * 1024


@pytest.mark.skipif(not Path(stunnel.SYSTEM_CA_FILE).exists(), reason="MISSING ca-certificates")
def test_many_egresses_share_the_systems_authorities(
    entry: Path, pod: Pod, authority: Authority, apps: tuple[App, App]
) -> None:
    """They are 2 MB for one of them, and again at each load."""
    port, *local = free_ports(17)
    pod.write(server("web", port, apps[0]), *(egress(each, 1, "a.test", None) for each in local))
    with Sidecar([entry, pod.config_path]) as sidecar:
        sidecar.await_log(LOADED)
        with sidecar.change():
            pod.renew("own", authority.leaf("server.test"))
        resident = memory_kb(sidecar.stunnel_pid)
        sys.stdout.write(f"resident: {resident} kB\n")
        assert resident < 25 * 1024
