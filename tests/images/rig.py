"""One sidecar on this machine: the real entry point and the real stunnel, files as the kubelet mounts them, an App.

Nothing here waits a fixed time: what happens is read from the log, or from a connection.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol

from cryptography import x509

from decco.desired import stunnel
from decco.desired.egress import ResolvedEgress
from decco.desired.endpoints import EndpointKind, ResolvedEndpoint, TlsServer
from decco.desired.model import EgressTarget
from tests.images.pki import Leaf

PATIENCE = 15.0
"""Seconds for anything to happen on a busy machine; most of it takes milliseconds."""
LOADED = "LOG5[entry]: configuration and certificates are loaded"


class Volume:
    """A directory as the kubelet writes one for a Secret or ConfigMap (kubernetes, pkg/volume/util/atomic_writer.go).

    The files are symbolic links through ``..data``, itself a link to a directory with the time in its name. A change
    makes a new directory, swaps ``..data`` by a rename, and removes the old directory.
    """

    def __init__(self, folder: Path, files: Mapping[str, bytes | str]) -> None:
        self.folder = folder
        self._turn = 0
        folder.mkdir(parents=True)
        self._names: set[str] = set()
        self.write(files)

    def write(self, files: Mapping[str, bytes | str]) -> None:
        """Replaces the content of all files at once; names that come or go do so a moment later."""
        self._turn += 1
        fresh = self.folder / f"..2026_11_23_12_00_00.{self._turn}"
        fresh.mkdir()
        for name, content in files.items():
            (fresh / name).write_bytes(content.encode() if isinstance(content, str) else content)
        link, swap = self.folder / "..data", self.folder / "..data_tmp"
        old = link.readlink() if link.is_symlink() else None
        swap.symlink_to(fresh.name)
        swap.rename(link)
        if old is not None:
            for path in (self.folder / old).iterdir():
                path.unlink()
            (self.folder / old).rmdir()
        for name in files.keys() - self._names:
            (self.folder / name).symlink_to(f"..data/{name}")
        for name in self._names - files.keys():
            (self.folder / name).unlink()
        self._names = set(files)


class Listening(Protocol):
    """An App, as far as the configuration is concerned."""

    @property
    def port(self) -> int: ...


class App:
    """A container's port: sends its name to each client, then echoes what it receives."""

    def __init__(self, name: str, address: str = "127.0.0.1", port: int = 0) -> None:
        self.name = name

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.sendall(name.encode().ljust(8))
                try:
                    while data := self.request.recv(65536):
                        self.request.sendall(data)
                except ConnectionError:
                    pass  # the other side may end as it likes

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 256
            allow_reuse_address = True
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

        self._server = Server((address, port), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> App:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Sidecar:
    """The entry point with stunnel below it; ends both at the end of the block."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.log = ""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Sidecar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            for pid in [*descendants(self.process.pid), self.process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.wait()
        if error is not None:
            sys.stderr.write(self.log)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.log += line
                self._changed.notify_all()

    def count(self, text: str) -> int:
        with self._changed:
            return self.log.count(text)

    def await_log(self, text: str, times: int = 1) -> None:
        """Waits until the log holds the text that often."""
        with self._changed:
            ended = self._changed.wait_for(lambda: self.log.count(text) >= times, PATIENCE)
            assert ended, f"{text!r} was logged {self.log.count(text)} times, not {times}:\n{self.log}"

    def change(self, says: str = LOADED) -> _Change:
        """A block of which the sidecar must say, at its end, that it loaded what was changed in it (or what else)."""
        return _Change(self, says)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """The exit status, once its output has been read."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return status

    @property
    def stunnel_pid(self) -> int:
        (child,) = children(self.process.pid)
        return child


class _Change:
    def __init__(self, sidecar: Sidecar, says: str) -> None:
        self._sidecar, self._says = sidecar, says

    def __enter__(self) -> None:
        self._before = self._sidecar.count(self._says)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._sidecar.await_log(self._says, self._before + 1)


class Pod:
    """The mounted volumes of one pod under a folder, and the configuration that decco writes for it."""

    def __init__(self, folder: Path, secrets: Mapping[str, Leaf]) -> None:
        self._folder = folder
        self.secrets = {name: Volume(folder / "tls" / name, leaf.secret) for name, leaf in secrets.items()}
        self._config: Volume | None = None

    @property
    def config_path(self) -> Path:
        return self._folder / "stunnel" / "stunnel.conf"

    def text(self, *sections: ResolvedEndpoint | ResolvedEgress) -> str:
        """decco's own text, but with the volumes where they are here."""
        servers = [section for section in sections if isinstance(section, ResolvedEndpoint)]
        egresses = [section for section in sections if isinstance(section, ResolvedEgress)]
        text, problems = stunnel.config(servers, egresses)
        assert not problems
        return text.replace(stunnel.SECRETS_DIR, str(self._folder / "tls"))

    def write(self, *sections: ResolvedEndpoint | ResolvedEgress) -> None:
        self.write_text(self.text(*sections))

    def write_text(self, text: str) -> None:
        if self._config is None:
            self._config = Volume(self.config_path.parent, {"stunnel.conf": text})
        else:
            self._config.write({"stunnel.conf": text})

    def renew(self, secret: str, leaf: Leaf, revoked: bytes | None = None) -> None:
        """``revoked``: lists of revoked certificates, the content of ca.crl; None: there is none."""
        lists = {"ca.crl": revoked} if revoked is not None else {}
        self.secrets[secret].write({**leaf.secret, **lists})


def server(
    name: str, port: int, app: Listening, secret: str = "own", clients: Sequence[str] | None = None
) -> ResolvedEndpoint:
    """An endpoint; ``clients``: None = anybody, empty = whoever the Secret's authority has signed, else the names."""
    tls = TlsServer(port, f"tls-{port}", secret, clients is not None, tuple(clients or ()))
    return ResolvedEndpoint(
        name, EndpointKind.TCP, app.port, 443, "tls", tls.port_name, clear_text_service=False, tls=tls
    )


def egress(local_port: int, port: int, server_name: str, secret: str | None = "own") -> ResolvedEgress:
    return ResolvedEgress(
        local_port, EgressTarget("localhost", port, server_name), secret, system_ca=False, verify=True
    )


def free_ports(number: int) -> list[int]:
    """Unused ports, below those of outgoing connections, so that none takes them meanwhile."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: list[int] = []
    port = 10000 + os.getpid() * 97 % max(1, low - 12000)
    while len(found) < number:
        port += 1
        with socket.socket(socket.AF_INET6) as probe:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            try:
                probe.bind(("::", port))
            except OSError:
                continue
        found.append(port)
    return found


def client_context(leaf: Leaf | None = None, folder: Path | None = None) -> ssl.SSLContext:
    """A client without verification of the server (the tests check its certificate), and maybe with a certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if leaf is not None and folder is not None:
        pem = folder / f"{leaf.serial}.pem"
        pem.write_bytes(leaf.cert + leaf.key)
        context.load_cert_chain(pem)
    return context


def connect(port: int, context: ssl.SSLContext, address: str = "127.0.0.1") -> tuple[ssl.SSLSocket, str]:
    """An open TLS connection, and the name that the App behind it has said."""
    raw = socket.create_connection((address, port), timeout=PATIENCE)
    try:
        tls = context.wrap_socket(raw)
    except BaseException:
        raw.close()
        raise
    try:
        return tls, greeting(tls)
    except BaseException:
        tls.close()
        raise


def greeting(sock: socket.socket) -> str:
    """The App's eight bytes; raises if the connection ends before."""
    said = b""
    while len(said) < 8:
        data = sock.recv(8 - len(said))
        if not data:
            raise ConnectionResetError("closed before the App said anything")
        said += data
    return said.decode().strip()


def ask(port: int, context: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> tuple[str, int]:
    """What answers at the port: the App's name, and the serial number of the certificate."""
    tls, name = connect(port, context or client_context(), address)
    with tls:
        return name, serial(tls)


def ask_plain(port: int, address: str = "127.0.0.1") -> str:
    """What answers at a local port of an egress."""
    with socket.create_connection((address, port), timeout=PATIENCE) as sock:
        return greeting(sock)


def serial(tls: ssl.SSLSocket) -> int:
    der = tls.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


def echo(sock: socket.socket, text: bytes) -> bytes:
    sock.sendall(text)
    heard = b""
    while len(heard) < len(text) and (data := sock.recv(65536)):
        heard += data
    return heard


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descendants(pid: int) -> list[int]:
    return [below for child in children(pid) for below in (child, *descendants(child))]


def descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def memory_kb(pid: int, what: str = "VmRSS") -> int:
    found = re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found.group(1))


def until(right: Callable[[], bool]) -> None:
    """For what sends no notification when it changes: the kernel's own state, and what a changed file leads to. The
    sidecar may load the former files twice, and "loaded" is then said of the second.
    """
    end = time.monotonic() + PATIENCE
    while not right():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)
