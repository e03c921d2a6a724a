"""Finding the cluster and its credentials: every kind of user that a kubeconfig can have, against a real TLS server."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from decco.errors import ConfigError
from decco.kube import config
from decco.kube.client import Client
from decco.kube.clock import boot_time
from decco.kube.config import InClusterSource, KubeconfigSource, connect
from decco.kube.connection import Connection
from decco.kube.errors import Unreachable
from tests.capture import capture_logs
from tests.promises import PATIENCE
from tests.sample import thorough

JWT_END = 4_000_000_000
EXEC_API = "client.authentication.k8s.io/v1"


class Pair(NamedTuple):
    cert: bytes
    key: bytes


class Authority:
    """A certificate authority; without key identifiers, as clusters' authorities often are."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        cert = self._builder(self._name, self._key).add_extension(constraints, critical=True)
        self.cert = cert.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
        )

    def issue(self, name: str, *alternatives: x509.GeneralName) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return Pair(
            builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )


@pytest.fixture(scope="module")
def ca() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def alice(ca: Authority) -> Pair:
    return ca.issue("alice")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment in which nothing leads to a cluster."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def nothing_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Keys never stay on disk: whatever makes temporary files makes them in a folder that is empty at the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


class Server(NamedTuple):
    url: str
    users: list[tuple[str, str]]
    """Of each request: the common name of the client certificate, and the Authorization header."""


async def serve(
    handler: Callable[[web.Request], Any], pair: Pair, ca: Authority, folder: Path
) -> tuple[web.AppRunner, int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    file = folder / "server.pem"
    file.write_bytes(pair.cert + pair.key)
    context.load_cert_chain(file)
    context.load_verify_locations(cadata=ca.cert.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    return runner, runner.addresses[0][1]


@pytest.fixture
async def server(ca: Authority, tmp_path: Path) -> AsyncIterator[Server]:
    """A TLS server that notes who came."""
    users: list[tuple[str, str]] = []

    async def whoami(request: web.Request) -> web.Response:
        assert request.transport is not None
        subject = (request.transport.get_extra_info("peercert") or {}).get("subject", ())
        name = next((value for part in subject for field, value in part if field == "commonName"), "")
        users.append((name, request.headers.get("Authorization", "")))
        return web.json_response({"ok": True})

    pair = ca.issue("server", x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("kube.example.com"))
    runner, port = await serve(whoami, pair, ca, tmp_path)
    yield Server(f"https://127.0.0.1:{port}", users)
    await runner.cleanup()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def write(path: Path, cluster: dict[str, Any], user: dict[str, Any]) -> str:
    document = {
        "current-context": "one",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


def content(file: str) -> bytes:
    return Path(file).read_bytes()


async def come(connection: Connection) -> None:
    async with Client(connection, user_agent="test") as client:
        await client.raw("/who")


class Plugin:
    """An exec plugin that counts its runs, and prints a status or runs some shell code."""

    def __init__(self, path: Path, status: dict[str, Any] | None = None, *, code: str = "") -> None:
        self._runs = path.with_suffix(".runs")
        self._answer = path.with_suffix(".json")
        self.says(status)
        path.write_text(f"#!/bin/sh\necho run >> {self._runs}\n{code or f'cat {self._answer}'}\n")
        path.chmod(0o755)
        self.user = {"exec": {"command": str(path), "apiVersion": EXEC_API, "args": None, "env": None}}

    def says(self, status: Any) -> None:
        self._answer.write_text(json.dumps({"apiVersion": EXEC_API, "kind": "ExecCredential", "status": status}))

    @property
    def runs(self) -> int:
        return len(self._runs.read_text().splitlines()) if self._runs.exists() else 0


# Who we are


def unsigned_jwt(expires: float) -> str:
    parts = [b'{"alg":"none"}', json.dumps({"exp": expires}).encode(), b"x"]
    return ".".join(base64.urlsafe_b64encode(p).decode().rstrip("=") for p in parts)


def users(folder: Path, pair: Pair) -> dict[str, tuple[dict[str, Any], tuple[str, str]]]:
    """Kinds of users: the user's entry, and who the server must see."""
    (folder / "u.crt").write_bytes(pair.cert)
    (folder / "u.key").write_bytes(pair.key)
    (folder / "token").write_text("from-file\n")
    inline = {"client-certificate-data": b64(pair.cert), "client-key-data": b64(pair.key)}
    expiry = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    jwt = unsigned_jwt(JWT_END)
    return {
        "nobody": ({}, ("", "")),
        "inline certificate": (inline, ("alice", "")),
        "certificate files": ({"client-certificate": "u.crt", "client-key": "u.key"}, ("alice", "")),
        "token": ({"token": "abc"}, ("", "Bearer abc")),
        "token with newline": ({"token": "abc\n"}, ("", "Bearer abc")),
        "token file": ({"tokenFile": "token"}, ("", "Bearer from-file")),
        "token file wins": ({"tokenFile": "token", "token": "abc"}, ("", "Bearer from-file")),
        "certificate and token": ({**inline, "token": "abc"}, ("alice", "Bearer abc")),
        "password": ({"username": "me", "password": "pä:ss"}, ("", f"Basic {b64('me:pä:ss'.encode())}")),
        "plugin with token": (
            Plugin(folder / "p1", {"token": "from-plugin", "expirationTimestamp": expiry}).user,
            ("", "Bearer from-plugin"),
        ),
        "plugin with certificate": (
            Plugin(
                folder / "p2", {"clientCertificateData": pair.cert.decode(), "clientKeyData": pair.key.decode()}
            ).user,
            ("alice", ""),
        ),
        "oidc": ({"auth-provider": {"name": "oidc", "config": {"id-token": jwt}}}, ("", f"Bearer {jwt}")),
    }


KINDS = [
    "nobody",
    "inline certificate",
    "certificate files",
    "token",
    "token with newline",
    "token file",
    "token file wins",
    "certificate and token",
    "password",
    "plugin with token",
    "plugin with certificate",
    "oidc",
]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_server_sees_the_user(tmp_path: Path, ca: Authority, alice: Pair, server: Server, kind: str) -> None:
    user, expected = users(tmp_path, alice)[kind]
    file = write(tmp_path / "config", {"server": server.url, "certificate-authority-data": b64(ca.cert)}, user)
    before = content(file)
    connection = await connect(file)
    await come(connection)
    assert server.users == [expected]
    assert connection.describe() == f"context one of kubeconfig {file} at {server.url}"
    assert content(file) == before


# Whom we trust


@thorough
@pytest.mark.parametrize(
    ("cluster", "trusted"),
    [
        ({"certificate-authority": "ca.crt"}, True),
        ({"certificate-authority-data": "CA"}, True),
        ({"insecure-skip-tls-verify": True}, True),
        ({"certificate-authority": "ca.crt", "tls-server-name": "kube.example.com"}, True),
        ({"certificate-authority": "ca.crt", "tls-server-name": "other.example.com"}, False),
        ({"certificate-authority": "other.crt"}, False),
        ({}, False),
    ],
)
async def test_trust(tmp_path: Path, ca: Authority, server: Server, cluster: dict[str, Any], trusted: bool) -> None:
    (tmp_path / "ca.crt").write_bytes(ca.cert)
    (tmp_path / "other.crt").write_bytes(Authority().cert)
    if "certificate-authority-data" in cluster:
        cluster = {"certificate-authority-data": b64(ca.cert)}
    connection = await connect(write(tmp_path / "config", {"server": server.url, **cluster}, {"token": "abc"}))
    if trusted:
        await come(connection)
    else:
        with pytest.raises(Unreachable, match="its certificate is not trusted") as caught:
            await come(connection)
        assert caught.value.sent is False
    assert len(server.users) == trusted  # an untrusted server does not receive the token


async def test_through_a_proxy(tmp_path: Path, ca: Authority, server: Server) -> None:
    asked: list[bytes] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b"\r\n")[0])
        host, port = head.split(b" ")[1].decode().split(":")
        behind = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pipe(reader, behind[1]), pipe(behind[0], writer), return_exceptions=True)

    proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    cluster = {"server": server.url, "certificate-authority-data": b64(ca.cert), "proxy-url": url}
    await come(await connect(write(tmp_path / "config", cluster, {"token": "abc"})))
    proxy.close()
    assert asked == [f"CONNECT {server.url.removeprefix('https://')} HTTP/1.1".encode()]
    assert server.users == [("", "Bearer abc")]


# Keeping credentials fresh


async def test_a_token_file_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "FILE_SECONDS", 0.0)
    (tmp_path / "token").write_text("first")
    connection = await connect(write(tmp_path / "config", {"server": "http://c"}, {"tokenFile": "token"}))
    assert await connection.headers() == {"Authorization": "Bearer first"}
    generation = connection.generation
    assert await connection.headers() == {"Authorization": "Bearer first"}
    assert connection.generation == generation  # the same content is not a change
    (tmp_path / "token").write_text("second")
    assert await connection.headers() == {"Authorization": "Bearer second"}
    assert connection.generation > generation


async def test_credentials_expire_while_the_machine_is_suspended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspended = 0.0
    monkeypatch.setattr("decco.kube.connection.boot_time", lambda: boot_time() + suspended)
    (tmp_path / "token").write_text("first")
    connection = await connect(write(tmp_path / "config", {"server": "http://c"}, {"tokenFile": "token"}))
    (tmp_path / "token").write_text("second")
    assert await connection.headers() == {"Authorization": "Bearer first"}
    suspended = 3600.0
    assert await connection.headers() == {"Authorization": "Bearer second"}


async def test_old_credentials_stay_in_use_while_new_ones_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "FILE_SECONDS", 0.0)
    (tmp_path / "token").write_text("first")
    connection = await connect(write(tmp_path / "config", {"server": "http://c"}, {"tokenFile": "token"}))
    (tmp_path / "token").unlink()
    with capture_logs() as logs:
        assert await connection.headers() == {"Authorization": "Bearer first"}
        assert await connection.headers() == {"Authorization": "Bearer first"}
    assert len(logs) == 1  # the next try is some seconds away
    assert "cannot read" in logs[0]["error"]
    with pytest.raises(ConfigError, match="tokenFile of user 'u' of kubeconfig"):
        await connection.refresh()


async def test_a_renewed_certificate_is_used_and_an_old_one_costs_no_handshake(
    tmp_path: Path, ca: Authority, alice: Pair, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "CERTIFICATE_SECONDS", 0.0)
    users(tmp_path, alice)
    user = {"client-certificate": "u.crt", "client-key": "u.key"}
    cluster = {"server": server.url, "certificate-authority-data": b64(ca.cert)}
    connection = await connect(write(tmp_path / "config", cluster, user))
    context = connection.ssl
    async with Client(connection, user_agent="test") as client:
        await client.raw("/")
        assert connection.ssl is context
        bob = ca.issue("bob")
        (tmp_path / "u.crt").write_bytes(bob.cert)
        (tmp_path / "u.key").write_bytes(bob.key)
        await client.raw("/")
    assert [name for name, _ in server.users] == ["alice", "bob"]


async def test_a_plugin_runs_when_it_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "CERTIFICATE_SECONDS", 0.0)
    monkeypatch.setattr("decco.kube.connection.MIN_REFRESH_SECONDS", 0.0)
    (tmp_path / "ca.crt").write_text("unused with http")
    exec_ = Plugin(tmp_path / "plugin", {"token": "one"})
    cluster = {"server": "http://c", "certificate-authority": "ca.crt"}
    connection = await connect(write(tmp_path / "config", cluster, exec_.user))
    assert await connection.headers() == {"Authorization": "Bearer one"}
    await connection.headers()
    assert exec_.runs == 1  # files were read again, the plugin's answer is still good
    exec_.says({"token": "two"})
    await asyncio.gather(*(connection.refresh() for _ in range(10)))
    assert await connection.headers() == {"Authorization": "Bearer two"}
    assert exec_.runs == 2


@pytest.mark.parametrize(("seconds", "earliest", "latest"), [(3600, 3530, 3541), (60, 25, 31), (-5, 10, 10)])
async def test_a_plugins_credentials_are_renewed_before_they_expire(
    tmp_path: Path, seconds: float, earliest: float, latest: float
) -> None:
    expires = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    exec_ = Plugin(tmp_path / "plugin", {"token": "one", "expirationTimestamp": expires})
    source = KubeconfigSource([Path(write(tmp_path / "config", {"server": "http://c"}, exec_.user))], None)
    assert earliest <= (await source.load()).lasts <= latest
    await source.load()
    assert exec_.runs == (2 if seconds < 0 else 1)


@pytest.mark.parametrize("trusted", [True, False])
async def test_oidc_tokens_are_renewed_with_an_issuer_that_is_trusted(
    tmp_path: Path, ca: Authority, trusted: bool
) -> None:
    forms: list[dict[str, str]] = []
    fresh = unsigned_jwt(JWT_END)
    answers = iter([{"id_token": unsigned_jwt(0), "refresh_token": "r2"}, {"id_token": fresh}])

    async def issuer(request: web.Request) -> web.Response:
        if request.path == "/.well-known/openid-configuration":
            return web.json_response({"token_endpoint": f"{url}/token"})
        forms.append({**await request.post(), "auth": request.headers.get("Authorization", "")})  # type: ignore[dict-item]
        return web.json_response(next(answers))

    pair = ca.issue("issuer", x509.IPAddress(ip_address("127.0.0.1")))
    runner, port = await serve(issuer, pair, ca, tmp_path)
    url = f"https://127.0.0.1:{port}"
    settings = {"idp-issuer-url": url, "client-id": "decco", "client-secret": "s", "refresh-token": "r1"}
    if trusted:
        settings["idp-certificate-authority-data"] = b64(ca.cert)
    user = {"auth-provider": {"name": "oidc", "config": settings}}
    file = write(tmp_path / "config", {"server": "http://c"}, user)
    before = content(file)
    if trusted:
        connection = await connect(file)
        await connection.refresh()
        assert await connection.headers() == {"Authorization": f"Bearer {fresh}"}
        assert [form["refresh_token"] for form in forms] == ["r1", "r2"]  # the second one is good once, too
        assert forms[0]["auth"] == f"Basic {b64(b'decco:s')}"
    else:
        with pytest.raises(ConfigError, match="did not give a new token"):
            await connect(file)
        assert forms == []
    assert content(file) == before
    await runner.cleanup()


# What can be wrong


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "echo you must log in first >&2; exit 3",
            "plugin' of user 'u' .* failed: it ended with status 3: you must log in first",
        ),
        ("exit 1", "failed: it ended with status 1$"),
        ("kill -9 $$", "failed: it ended with status -9$"),
        ("echo '<html>'", "failed: it did not print JSON"),
        ("echo '{}'", "failed: it did not print an ExecCredential"),
        (
            'echo \'{"apiVersion":"v9","kind":"ExecCredential","status":{}}\'',
            "failed: it speaks 'v9', the kubeconfig asks for 'client.authentication.k8s.io/v1'",
        ),
        ("test -t 0 || head -c 1; echo read >&2; exit 1", "failed: .* read$"),
        ("head -c 1000000 /dev/zero | tr '\\0' e >&2; exit 1", "failed: … e*$"),
        ("cat $0.none", "No such file"),
        ("printf 'x\\033[31m%.0s' $(seq 2000) >&2; exit 1", r"failed: … .*x \[31m"),
    ],
)
async def test_a_plugin_that_fails(tmp_path: Path, code: str, message: str) -> None:
    exec_ = Plugin(tmp_path / "plugin", code=code)
    with pytest.raises(ConfigError, match=message) as caught:
        await connect(write(tmp_path / "config", {"server": "http://c"}, exec_.user))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 900


async def test_a_plugin_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decco.kube.exec_plugin.PLUGIN_SECONDS", 0.5)
    exec_ = Plugin(tmp_path / "plugin", code=f"sleep 60 & echo $! > {tmp_path}/child; wait")
    with pytest.raises(ConfigError, match=r"gave no answer within 0\.5 s"):
        await connect(write(tmp_path / "config", {"server": "http://c"}, exec_.user))
    child = int((tmp_path / "child").read_text())
    async with asyncio.timeout(PATIENCE):
        while is_running(child):  # noqa: ASYNC110 - a process that is not ours to wait for
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "status",
    [{}, None, {"token": ""}, {"clientCertificateData": "x"}, {"clientKeyData": "x"}, {"token": 5}, []],
)
async def test_a_plugin_that_gives_no_credentials(tmp_path: Path, status: Any) -> None:
    exec_ = Plugin(tmp_path / "plugin", status)
    with pytest.raises(
        ConfigError,
        match=r"the exec plugin '.*' of user 'u' of kubeconfig .* failed: it (gave neither|printed a status)",
    ):
        await connect(write(tmp_path / "config", {"server": "http://c"}, exec_.user))


@pytest.mark.parametrize(
    ("cluster", "user", "message"),
    [
        ({}, {}, "the cluster of context 'one' .* must have a server of the form https://host:port, not None"),
        ({"server": "c.example.com"}, {}, "must have a server of the form"),
        ({"server": "https://"}, {}, "must have a server of the form"),
        ({"server": 5}, {}, "must have a server of the form"),
        (
            {"server": "https://c", "insecure-skip-tls-verify": True, "certificate-authority": "x"},
            {},
            "has both a certificate-authority and insecure-skip-tls-verify",
        ),
        (
            {"server": "https://c", "certificate-authority": "none.crt"},
            {},
            "certificate-authority of .*: cannot read .*none.crt",
        ),
        (
            {"server": "https://c", "certificate-authority-data": "eA=="},
            {},
            "certificate-authority of .* must be PEM certificates",
        ),
        (
            {"server": "https://c", "certificate-authority-data": "x"},
            {},
            "certificate-authority-data of .* must be base64",
        ),
        ({"server": "https://[::1"}, {}, "must have a server of the form https://host:port"),
        ({"server": "https://h:99999"}, {}, "must have a server of the form https://host:port"),
        ({"server": "https://h:port"}, {}, "must have a server of the form https://host:port"),
        ({"server": "https://h h"}, {}, "must have a server of the form https://host:port"),
        ({"server": "https://h\nx"}, {}, "must have a server of the form https://host:port"),
        ({"server": "https://c", "proxy-url": "socks5://p"}, {}, "other kinds of proxies are not supported"),
        ({"server": "https://c"}, {"client-certificate-data": "eA=="}, "has a client-certificate but no client-key"),
        ({"server": "https://c"}, {"client-key-data": "eA=="}, "has a client-key but no client-certificate"),
        (
            {"server": "https://c"},
            {"client-certificate-data": "eA==", "client-key-data": "eA=="},
            "client-certificate and client-key of .* cannot be used",
        ),
        (
            {"server": "https://c"},
            {"tokenFile": "none"},
            r"tokenFile of user 'u' .*: cannot read .*none \(No such file",
        ),
        ({"server": "https://c"}, {"token": "two\nlines"}, "has characters that cannot be sent"),
        ({"server": "https://c"}, {"token": "ü"}, "has characters that cannot be sent"),
        ({"server": "https://c"}, {"as": "root"}, r"asks for impersonation \(as\), which decco does not do"),
        ({"server": "https://c"}, {"auth-provider": {"name": "azure"}}, "auth-provider that is not supported: 'azure'"),
        ({"server": "https://c"}, {"auth-provider": {"name": "gcp"}}, "auth-provider that is not supported: 'gcp'"),
        (
            {"server": "https://c"},
            {"auth-provider": {"name": "oidc", "config": {"id-token": "abc"}}},
            "its id-token is not a JSON Web Token",
        ),
        ({"server": "https://c"}, {"auth-provider": {"name": "oidc"}}, "user 'u' .* cannot be used"),
        (
            {"server": "https://c"},
            {"auth-provider": {"name": "oidc", "config": {"idp-issuer-url": "https://i"}}},
            "idp-issuer-url, client-id or refresh-token is not set",
        ),
        ({"server": "https://c"}, {"exec": "aws"}, "exec of user 'u' .* must be a mapping"),
        ({"server": "https://c"}, {"exec": {"command": "x"}}, "its apiVersion is None, and must be client.auth"),
        ({"server": "https://c"}, {"exec": {"apiVersion": EXEC_API}}, "its command is missing"),
        (
            {"server": "https://c"},
            {"exec": {"command": "x", "apiVersion": EXEC_API, "interactiveMode": "Always"}},
            "interactiveMode is Always, but decco has no terminal",
        ),
        (
            {"server": "https://c"},
            {"exec": {"command": "x", "apiVersion": EXEC_API, "interactiveMode": "never"}},
            "must be Never, IfAvailable or Always",
        ),
        (
            {"server": "https://c"},
            {"exec": {"command": "x", "apiVersion": EXEC_API, "args": [1]}},
            "args must be a list",
        ),
        (
            {"server": "https://c"},
            {"exec": {"command": "x", "apiVersion": EXEC_API, "args": "a b"}},
            "args must be a list",
        ),
        (
            {"server": "https://c"},
            {"exec": {"command": "x", "apiVersion": EXEC_API, "env": ["A=b"]}},
            "env must be a list",
        ),
        ({"server": "https://c"}, {"exec": {"command": "x", "apiVersion": EXEC_API, "env": {"A": "b"}}}, "env must be"),
        (
            {"server": "https://c"},
            {"exec": {"command": "no-such-plugin", "apiVersion": EXEC_API, "installHint": "get it\nthere"}},
            "the exec plugin 'no-such-plugin' of user 'u' .* is not installed: get it there",
        ),
    ],
)
async def test_what_is_wrong_is_said(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        await connect(write(tmp_path / "config", cluster, user))
    assert "\n" not in str(caught.value)


async def test_certificate_and_key_that_do_not_match(tmp_path: Path, ca: Authority, alice: Pair) -> None:
    other = ca.issue("other")
    user = {"client-certificate-data": b64(alice.cert), "client-key-data": b64(other.key)}
    with pytest.raises(ConfigError, match="cannot be used: key values mismatch"):
        await connect(write(tmp_path / "config", {"server": "https://c"}, user))


async def test_an_encrypted_key_does_not_prompt_for_a_password(tmp_path: Path, alice: Pair) -> None:
    key = serialization.load_pem_private_key(alice.key, None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    user = {"client-certificate-data": b64(alice.cert), "client-key-data": b64(encrypted)}
    with pytest.raises(ConfigError, match=r"client-certificate and client-key of .* cannot be used"):
        await connect(write(tmp_path / "config", {"server": "https://c"}, user))


# The sources of the cluster's address


async def test_the_file_given_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = write(tmp_path / "given", {"server": "http://given"}, {})
    listed = write(tmp_path / "listed", {"server": "http://listed"}, {})
    (tmp_path / "home" / ".kube").mkdir(parents=True)
    home = write(tmp_path / "home" / ".kube" / "config", {"server": "http://home"}, {})
    assert (await connect(None)).server == "http://home"
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(["", str(tmp_path / "none"), listed, home]))
    assert (await connect(None)).server == "http://listed"
    assert (await connect(given)).server == "http://given"
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"KUBECONFIG names no file that exists: .*none"):
        await connect(None)


@pytest.mark.parametrize(
    ("kubeconfig", "context", "message"),
    [
        (None, None, "no cluster to connect to: .*/home/.kube/config does not exist, .* name a file with --kubeconfig"),
        (None, "one", "context 'one' was asked for, but there is no kubeconfig"),
        ("/no/such/file", None, r"kubeconfig: cannot read /no/such/file \(No such file or directory\)"),
    ],
)
async def test_no_cluster_at_all(kubeconfig: str | None, context: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        await connect(kubeconfig, context)


# In a pod


@pytest.fixture
def account(tmp_path: Path, ca: Authority, server: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a service account."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("of-the-pod\n")
    (folder / "ca.crt").write_bytes(ca.cert)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", server.url.rsplit(":", 1)[1])
    monkeypatch.setattr(config, "SERVICE_ACCOUNT", folder)
    return folder


async def test_the_pods_service_account(account: Path, server: Server) -> None:
    connection = await connect()
    await come(connection)
    (account / "token").write_text("renewed")
    await connection.refresh()
    await come(connection)
    assert server.users == [("", "Bearer of-the-pod"), ("", "Bearer renewed")]
    assert connection.describe() == f"service account of this pod at {server.url}"
    assert 0 < (await InClusterSource().load()).lasts <= 60


@pytest.mark.parametrize(("name", "content"), [("token", None), ("token", ""), ("ca.crt", None), ("ca.crt", "x")])
async def test_a_service_account_that_is_broken(account: Path, name: str, content: str | None) -> None:
    (account / name).unlink() if content is None else (account / name).write_text(content)
    with pytest.raises(ConfigError, match="the pod's service account"):
        await connect()
