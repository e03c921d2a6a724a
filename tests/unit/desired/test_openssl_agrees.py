"""decco never accepts a Secret that OpenSSL refuses: compared in real handshakes, for all of ``tls_shapes.py``."""

from __future__ import annotations

import ssl
import subprocess
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import pytest

from decco.desired.secret_content import inspect
from decco.desired.secret_use import CLIENT, SERVER, Use, defects
from tests.sample import thorough
from tests.tls_shapes import HOST, Shape, shapes

pytestmark = thorough

SERVES, CONNECTS = Use(frozenset({HOST}), frozenset({SERVER})), Use(purposes=frozenset({CLIENT}))
MUST_BE_ACCEPTED = {
    "tls.crt: as it is",
    "tls.crt: without a final line feed",
    "tls.crt: CRLF",
    "tls.crt: text before",
    "tls.crt: text between",
    "tls.crt: spaces at the end",
    "tls.key: empty lines around",
    "ca.crt: as it is",
    *(f"key {kind}" for kind in ("P-256", "P-384", "P-521", "RSA-2048", "RSA-3072", "Ed25519", "Ed448")),
    *(f"self-signed {kind}" for kind in ("P-256", "P-384", "RSA-2048")),
    "P-256 as PKCS1 or SEC1",
    "RSA-2048 as PKCS1 or SEC1",
    "private key: EC PARAMETERS before",
    "chain: complete",
    "chain: complete with the root",
    "chain: issued twice",
    "issuer: names permitted",
    "issuer: other names excluded",
    "leaf: wildcard",
    "leaf: several names",
    "leaf: serverAuth",
    "leaf: server and client",
    "leaf: both usages",
    "leaf: without basicConstraints",
    "leaf: authority",
    "leaf signed by PSS",
    "authorities: two",
    "authorities: expired and good",
}


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """Raises what one of the two raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=HOST),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(10):
        for end in list(ends):
            try:
                end.do_handshake()
                end.write(b"x")
                ends.remove(end)
            except ssl.SSLWantReadError:
                pass
        if not ends:
            break
    assert not ends
    # In TLS 1.3 the server judges the client's certificate after the client is done.


def refusal(shape: Shape, folder: Path, *, as_client: bool) -> str:
    """Why OpenSSL does not load the content or complete a handshake with it; "" if it does both."""
    crt, key, root = folder / "tls.crt", folder / "tls.key", folder / "root"
    crt.write_bytes(shape.data["tls.crt"])
    key.write_bytes(shape.data["tls.key"])
    root.write_bytes(shape.root)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    shown, verifies = (client, server) if as_client else (server, client)
    try:
        shown.load_cert_chain(crt, key, password=lambda: b"")
        verifies.load_verify_locations(root)
        if shape.data.get("ca.crt"):
            shown.load_verify_locations(_file(folder / "ca.crt", shape.data["ca.crt"]))
        if as_client:
            server.verify_mode = ssl.CERT_REQUIRED
            server.load_cert_chain(*_other(folder))
            client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            server.minimum_version = server.maximum_version = version
            handshake(server, client)
    except (ssl.SSLError, OSError, ValueError) as error:
        return str(error) or type(error).__name__
    return ""


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _other(folder: Path) -> tuple[Path, Path]:
    good = next(shapes()).data
    return _file(folder / "other.crt", good["tls.crt"]), _file(folder / "other.key", good["tls.key"])


def accepted(shape: Shape, use: Use) -> bool:
    facts = inspect("kubernetes.io/tls", {name: b64encode(value).decode() for name, value in shape.data.items()})
    return not defects(facts, use, datetime.now(UTC))


@pytest.fixture(scope="module")
def every() -> list[Shape]:
    found = list(shapes())
    assert len({shape.name for shape in found}) == len(found) >= 300
    return found


def test_what_openssl_refuses_is_refused(every: list[Shape], tmp_path: Path) -> None:
    wrong, taken = [], set()
    for shape in every:
        if accepted(shape, SERVES):
            taken.add(shape.name)
            if why := refusal(shape, tmp_path, as_client=False):
                wrong.append(f"{shape.name}: {why}")
        if accepted(shape, CONNECTS) and (why := refusal(shape, tmp_path, as_client=True)):
            wrong.append(f"{shape.name}, as a client: {why}")
    assert not wrong, "\n".join(wrong)
    assert taken >= MUST_BE_ACCEPTED, sorted(MUST_BE_ACCEPTED - taken)
    assert len(taken) < len(every) * 2 // 3


def test_what_the_program_openssl_refuses_is_refused(every: list[Shape], tmp_path: Path) -> None:
    """``openssl verify`` for the chain, ``openssl pkey -check`` for the key."""
    wrong = []
    for shape in every:
        if not accepted(shape, SERVES):
            continue
        crt, key = _file(tmp_path / "crt", shape.data["tls.crt"]), _file(tmp_path / "key", shape.data["tls.key"])
        root = _file(tmp_path / "root", shape.root)
        how: list[str | Path] = [
            "-CAfile",
            root,
            "-untrusted",
            crt,
            "-purpose",
            "sslserver",
            "-verify_hostname",
            HOST,
            "-auth_level",
            "2",
        ]
        argvs: list[list[str | Path]] = [["verify", *how, crt], ["pkey", "-in", key, "-check", "-noout"]]
        for argv in argvs:
            done = subprocess.run(["openssl", *argv], capture_output=True, check=False, stdin=subprocess.DEVNULL)
            if done.returncode != 0:
                wrong.append(f"{shape.name}: {(done.stderr + done.stdout).decode(errors='replace')}")
    assert not wrong, "\n".join(wrong)
