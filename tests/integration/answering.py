"""An edge and a name server of a test's own: the test breaks and repairs their answers while decco probes them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rrset

from tests.images.pki import Leaf

EDGE_PORT = 443
_HANDSHAKE_FAILURE = bytes((21, 3, 3, 0, 2, 2, 40))


def may_bind(address: str) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind((address, EDGE_PORT))
        except OSError:
            return False
    return True


class Edge:
    """Serves ``leaf`` on port 443 of an address. ``broken`` is one of the ways of ``_serve``, "" for none."""

    def __init__(self, folder: Path, address: str, leaf: Leaf) -> None:
        self.folder, self.address = folder, address
        self.leaf = leaf
        self.broken = ""
        self.locations: dict[str, str] = {}
        """Path of a request -> host of the redirect that answers it; other requests have the status ``status``."""
        self.status = 200

    @contextlib.contextmanager
    def running(self, listener: socket.socket | None = None) -> Iterator[None]:
        """``listener``: in place of port 443 of the address."""
        with _accepting(listener or socket.create_server((self.address, EDGE_PORT)), self._serve):
            yield

    def _context(self) -> ssl.SSLContext:
        certificate = self.leaf.cert
        if self.broken == "chain":
            end = b"-----END CERTIFICATE-----\n"
            certificate = certificate.partition(end)[0] + end
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (self.folder / "tls.crt").write_bytes(certificate)
        (self.folder / "tls.key").write_bytes(self.leaf.key)
        context.load_cert_chain(self.folder / "tls.crt", self.folder / "tls.key")
        if self.broken == "requests":
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.leaf.ca.decode())
        return context

    def _serve(self, connection: socket.socket) -> None:
        if self.broken == "closes":
            return
        if self.broken == "silent":
            while connection.recv(4096):
                pass
            return
        if self.broken == "alert":
            connection.recv(4096)
            connection.sendall(_HANDSHAKE_FAILURE)
            return
        with self._context().wrap_socket(connection, server_side=True) as tls:
            if self.broken == "port":
                return
            while data := tls.recv(4096):
                if data.startswith(b"GET "):
                    tls.sendall(self._answer(data.split()[1].decode()))

    def _answer(self, path: str) -> bytes:
        if path in self.locations:
            return f"HTTP/1.1 302 Found\r\nLocation: https://{self.locations[path]}/\r\n\r\n".encode()
        return f"HTTP/1.1 {self.status} Status\r\nContent-Length: 0\r\n\r\n".encode()


@contextlib.contextmanager
def _accepting(listener: socket.socket, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    def one(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            serve(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


class NameServer:
    """Answers A of the names in ``records``, as a server of their zone; other names have no record."""

    def __init__(self, address: str) -> None:
        self.records: dict[str, str] = {}
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((address, 0))
        self.address = f"{address}:{self._sock.getsockname()[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._sock.sendto(b"", self._sock.getsockname())
            thread.join(5)
            self._sock.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, client = self._sock.recvfrom(4096)
                if not data:
                    return
                answer = dns.message.make_response(dns.message.from_wire(data))
                answer.flags |= dns.flags.AA
                name = answer.question[0].name
                value = self.records.get(name.to_text(omit_final_dot=True))
                if value:
                    answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", value))
                self._sock.sendto(answer.to_wire(), client)
