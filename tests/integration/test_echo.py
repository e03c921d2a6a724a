"""The end-to-end tests' app as a process of its own: real clients of each protocol, and its own client against it."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import pytest

from testbed import golang
from testbed.images import pattern, programs
from testbed.pki import Authority
from tests.promises import PATIENCE

ALL = ("http", "echo", "sink", "source", "hello")
pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="MISSING Go: THE TEST APP IS NOT TESTED")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("echo") / "echo"
    programs.build("echo", target)
    return target


class Server:
    """`echo serve` on ports of the kernel's choice: ``ports`` by protocol, as it says them itself."""

    def __init__(self, program: Path, *protocols: str, flags: tuple[str, ...] = ()) -> None:
        listen = [word for protocol in protocols for word in ("--listen", f"{protocol}:127.0.0.1:0")]
        self.process = subprocess.Popen(
            [program, "serve", "--name", "one", "--edition", "7", *listen, *flags], stderr=subprocess.PIPE, text=True
        )
        self.ports: dict[str, int] = {}
        for _ in protocols:
            line = self.line()
            assert " listening " in line, line + self.rest()
            fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
            self.ports[fields["protocol"]] = int(fields["address"].rpartition(":")[2])

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def line(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def rest(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def connect(self, protocol: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.ports[protocol]), PATIENCE)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.ports['http']}{path}"

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert " draining " in self.line()


@pytest.fixture(scope="module")
def server(program: Path) -> Iterator[Server]:
    with Server(program, *ALL) as running:
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


def request(server: Server, method: str, path: str, **more: Any) -> tuple[http.client.HTTPResponse, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.ports["http"], timeout=PATIENCE)) as connection:
        connection.request(method, path, **more)
        answer = connection.getresponse()
        return answer, answer.read()


def read_all(conn: socket.socket) -> bytes:
    return b"".join(iter(lambda: conn.recv(1 << 16), b""))


def ask(program: Path, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
    done = subprocess.run([program, "ask", *arguments], input=stdin, capture_output=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def test_a_request_is_reported_as_it_arrived(server: Server) -> None:
    answer, body = request(server, "PUT", "/web/shop%20a?b=1&b=2", headers={"X-Test": "yes", "Host": "foo.example.net"})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    seen = json.loads(body)
    assert seen.pop("remote").startswith("127.0.0.1:")
    assert seen.pop("headers")["X-Test"] == ["yes"]
    assert seen == {
        "name": "one",
        "edition": "7",
        "hostname": socket.gethostname(),
        "method": "PUT",
        "host": "foo.example.net",
        "path": "/web/shop a",
        "query": {"b": ["1", "2"]},
        "protocol": "HTTP/1.1",
    }


@pytest.mark.parametrize("code", [204, 404, 503])
def test_any_status_can_be_asked_for(server: Server, code: int) -> None:
    answer, body = request(server, "GET", f"/some/route/status/{code}")
    assert answer.status == code
    assert bool(body) == (code != 204)


@pytest.mark.parametrize("path", ["/status/99", "/status/many", "/slow", "/download?bytes=-1", "/download?bytes=x"])
def test_what_makes_no_sense_is_refused(server: Server, path: str) -> None:
    assert request(server, "GET", path)[0].status == 400


def test_health_is_at_whole_paths_only(server: Server) -> None:
    assert [request(server, "GET", path)[1] for path in ("/healthz", "/readyz")] == [b"ok\n", b"ok\n"]
    assert json.loads(request(server, "GET", "/web/healthz")[1])["path"] == "/web/healthz"


def test_an_upload_is_counted_and_hashed(server: Server) -> None:
    content = os.urandom(3_000_001)
    _, body = request(server, "POST", "/web/upload", body=content)
    assert json.loads(body) == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize("size", [0, 1, 65536, 200_001])
def test_a_download_is_the_pattern(server: Server, size: int) -> None:
    answer, body = request(server, "GET", f"/web/download?bytes={size}")
    assert answer.headers["Content-Length"] == str(size)
    assert body == b"".join(pattern.blocks(size))


def test_a_slow_answer_comes(server: Server) -> None:
    assert json.loads(request(server, "GET", "/slow?ms=20")[1])["path"] == "/slow"


async def test_websocket_messages_come_back(server: Server) -> None:
    big = os.urandom(1_000_000)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(server.url("/web/ws"), max_msg_size=2 * len(big)) as ws,
    ):
        await ws.send_str("text")
        await ws.send_bytes(big)
        assert await ws.receive_str(timeout=PATIENCE) == "text"
        assert await ws.receive_bytes(timeout=PATIENCE) == big
        await ws.close(code=1000)
        assert ws.close_code == 1000


def test_tcp_comes_back_and_survives_the_end_of_input(server: Server) -> None:
    """More than the buffers between hold: it must read and send at once, and what is left after our end of input."""
    content = os.urandom(8_000_000)
    with server.connect("echo") as conn:

        def send() -> None:
            conn.sendall(content)
            conn.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert read_all(conn) == content
        sender.join()


def test_a_sink_answers_at_the_end_of_input(server: Server) -> None:
    with server.connect("sink") as conn:
        for block in pattern.blocks(1_000_001):
            conn.sendall(block)
        conn.shutdown(socket.SHUT_WR)
        assert json.loads(read_all(conn)) == {"bytes": 1_000_001, "sha256": pattern.sha256(1_000_001)}


def test_a_source_sends_what_was_asked_for(server: Server) -> None:
    with server.connect("source") as conn:
        conn.sendall(b"1000001\n")
        content = read_all(conn)
    assert len(content) == 1_000_001
    assert hashlib.sha256(content).hexdigest() == pattern.sha256(1_000_001)
    with server.connect("source") as conn:
        conn.sendall(b"many\n")
        assert read_all(conn) == b""


def test_hello_says_its_name_and_does_not_reset_an_active_client(server: Server) -> None:
    with server.connect("hello") as conn:
        assert read_all(conn) == b"one\n"
        for _ in range(3):  # a reset would be the answer to the first, and an error of the next
            conn.sendall(b"x" * 100_000)


def test_tls_ends_here_with_the_files_as_they_are_now(program: Path, authority: Authority, tmp_path: Path) -> None:
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"

    def renew() -> None:
        pair = authority.server("echo", ["foo.example.net"])
        shutil.copy(pair.cert, cert)
        shutil.copy(pair.key, key)

    renew()
    context = ssl.create_default_context(cafile=str(authority.files.cert))
    trust = ("--server-name", "foo.example.net", "--ca", str(authority.files.cert))
    with Server(program, "tls+http", "tls+echo", flags=("--cert", str(cert), "--key", str(key))) as server:
        web, tcp = server.ports["tls+http"], f"127.0.0.1:{server.ports['tls+echo']}"

        def serial() -> str:
            with context.wrap_socket(server.connect("tls+http"), server_hostname="foo.example.net") as conn:
                found = conn.getpeercert()
                assert found is not None
                return str(found["serialNumber"])

        first = serial()
        assert serial() == first
        renew()
        assert serial() != first

        status, answer, _ = ask(program, *trust, f"https://127.0.0.1:{web}/x")
        assert (status, json.loads(answer)["sni"]) == (0, "foo.example.net")
        content = os.urandom(300_000)
        assert ask(program, *trust, "--tls", "--stdin", tcp, stdin=content)[:2] == (0, content)

        status, answer, said = ask(program, "--tls", "--ca", str(authority.files.cert), "--server-name", "evil", tcp)
        assert (status, answer) == (1, b"")
        assert "not evil" in said


def test_asking_prints_all_answers_and_ends_with_the_status_that_was_chosen(program: Path, server: Server) -> None:
    tcp = [f"127.0.0.1:{server.ports[protocol]}" for protocol in ("echo", "hello")]
    status, answer, _ = ask(program, "--status", "3", "--text", "to all\n", server.url("/healthz"), *tcp)
    assert (status, answer) == (3, b"ok\nto all\none\n")


def test_a_failure_is_status_1_and_a_message(program: Path, server: Server) -> None:
    for target, message in {
        server.url("/status/404"): "/status/404 answers 404 Not Found",
        server.url("/status/302"): "/status/302 answers 302 Found",
        f"127.0.0.1:{server.ports['source']}": "closed the connection without an answer",
    }.items():
        status, answer, said = ask(program, "--status", "3", target, server.url("/healthz"))
        assert (status, answer) == (1, b"")
        assert message in said


def test_trying_again_waits_for_one_who_comes_later(program: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # not yet listening: connections are refused
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        status, _, said = ask(program, "--retry", "--deadline", "1s", target)
        assert (status, "connection refused" in said) == (1, True), said
        with subprocess.Popen([program, "ask", "--retry", target], stdout=subprocess.PIPE) as asking:
            listener.listen()
            listener.settimeout(PATIENCE)
            for answer in (b"", b"late"):
                with listener.accept()[0] as conn:
                    assert read_all(conn) == b"hello\n"
                    conn.sendall(answer)
            assert asking.communicate(timeout=PATIENCE)[0] == b"late"
        assert asking.returncode == 0


@pytest.mark.parametrize("arguments", [[], ["ask"], ["serve"], ["sing"], ["serve", "--listen", "http:1", "word"]])
def test_wrong_arguments_are_status_2(program: Path, arguments: list[str]) -> None:
    assert subprocess.run([program, *arguments], capture_output=True, check=False, timeout=PATIENCE).returncode == 2


@pytest.mark.parametrize("listen", ["gopher:127.0.0.1:0", "http:127.0.0.1:none", "tls+http:127.0.0.1:0"])
def test_a_port_that_cannot_be_served_ends_it(program: Path, listen: str) -> None:
    argv = [program, "serve", "--listen", listen]
    done = subprocess.run(argv, capture_output=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    assert f"--listen {listen}: ".encode() in done.stderr


def test_after_a_signal_it_is_not_ready_but_answers(program: Path) -> None:
    with Server(program, *ALL, flags=("--drain", "1h")) as server:
        assert request(server, "GET", "/readyz")[0].status == 200
        server.terminate()
        assert request(server, "GET", "/readyz")[0].status == 503
        assert request(server, "GET", "/healthz")[0].status == 200
        answer, _ = request(server, "GET", "/web")
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        with server.connect("hello") as conn:
            assert read_all(conn) == b"one\n"
        server.process.send_signal(signal.SIGTERM)  # the second one is meant
        assert server.process.wait(PATIENCE) == -signal.SIGTERM


def test_what_is_open_is_finished_before_the_end(program: Path) -> None:
    with (
        Server(program, "http", "echo", flags=("--drain", "0s", "--grace", "1m")) as server,
        server.connect("http") as upload,
        server.connect("echo") as tcp,
    ):
        upload.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert upload.recv(1000).startswith(b"HTTP/1.1 100 ")  # the handler reads
        tcp.sendall(b"a")
        assert tcp.recv(1) == b"a"
        server.terminate()
        assert " closed " in server.line()
        with pytest.raises(ConnectionRefusedError):
            server.connect("http")
        upload.sendall(b"late")
        assert read_all(upload).endswith(f'"{hashlib.sha256(b"late").hexdigest()}"}}\n'.encode())
        assert server.process.poll() is None
        tcp.sendall(b"b")
        tcp.shutdown(socket.SHUT_WR)
        assert read_all(tcp) == b"b"
        tcp.close()
        assert server.process.wait(PATIENCE) == 0
        assert server.rest().endswith(" ended\n")


def test_what_stays_open_does_not_keep_it_for_ever(program: Path) -> None:
    with Server(program, "echo", flags=("--drain", "0s", "--grace", "10ms")) as server, server.connect("echo") as tcp:
        tcp.sendall(b"a")
        assert tcp.recv(1) == b"a"
        server.terminate()
        assert server.process.wait(PATIENCE) == 1
        assert "connections are open after 10ms" in server.rest()


@pytest.mark.parametrize("module", ["echo", "pause"])
def test_its_source_is_formatted_and_vetted(module: str) -> None:
    folder = programs.HERE / module
    formatted = subprocess.run(["gofmt", "-l", "."], cwd=folder, capture_output=True, text=True, check=True)
    assert formatted.stdout == ""
    golang.go(["vet", "-trimpath", "./..."], folder)  # as it is built, so that what is compiled is used again
