from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from decco.desired.egress import ResolvedEgress, resolve_egresses
from decco.desired.endpoints import ResolvedEndpoint, TlsServer, resolve
from decco.desired.model import AppInputs, EgressTarget
from decco.desired.stunnel import NOWHERE, SECRETS_DIR, SYSTEM_CA_FILE, config
from testbed import prerequisites
from tests.unit.desired.app_cases import app, sections_of

STUNNEL = shutil.which("stunnel4") or shutil.which("stunnel")


def server(**changes: Any) -> ResolvedEndpoint:
    endpoint = resolve(app({"allowedClients": [], "verifyTcpClientCert": True})).endpoints[0]
    return replace(endpoint, **changes)


def tls(**changes: Any) -> TlsServer:
    listener = server().tls
    assert listener is not None
    return replace(listener, **changes)


EGRESS = ResolvedEgress(
    5432, EgressTarget("db.gamma.svc.cluster.local.", 443, "db.gamma.decco.test"), "tcp", system_ca=False, verify=True
)


# -- content ----------------------------------------------------------------------------------------------------------


def test_a_server_without_client_certificates() -> None:
    inputs = app({})
    port = resolve(inputs).endpoints[0].pod_port
    assert sections_of(inputs) == {
        "web": [
            f"accept = :::{port}",
            "connect = 127.0.0.1:8080",
            "connect = ::1:8080",
            "cert = /etc/decco/tls/tcp/tls.crt",
            "key = /etc/decco/tls/tcp/tls.key",
        ]
    }


CHECKS = ["CAfile = /etc/decco/tls/tcp/ca.crt", "requireCert = yes", "verifyChain = yes"]


@pytest.mark.parametrize(
    ("item", "want"),
    [
        ({"verifyTcpClientCert": True}, CHECKS),
        ({"allowedClients": ["a.test", "b.test"]}, [*CHECKS, "checkHost = a.test", "checkHost = b.test"]),
    ],
)
def test_a_server_that_verifies_its_clients(item: dict[str, Any], want: list[str]) -> None:
    lines = sections_of(app({"endpoints": [{"name": "db", "port": 8080, **item}]}))["db"]
    assert lines[5:] == want


def test_an_egress_verifies_the_name_and_not_only_the_authority() -> None:
    text, problems = config([], [EGRESS])
    assert problems == ()
    assert text.split("\n\n")[-1].splitlines() == [
        "[localhost:5432]",
        "client = yes",
        "accept = 127.0.0.1:5432",
        "connect = db.gamma.svc.cluster.local.:443",
        "sni = db.gamma.decco.test",
        "delay = yes",
        "cert = /etc/decco/tls/tcp/tls.crt",
        "key = /etc/decco/tls/tcp/tls.key",
        "CAfile = /etc/decco/tls/tcp/ca.crt",
        "verifyChain = yes",
        "checkHost = db.gamma.decco.test",
    ]


@pytest.mark.parametrize(
    ("egress", "there", "absent"),
    [
        (replace(EGRESS, secret=None), [f"CAfile = {SYSTEM_CA_FILE}", "checkHost"], ["cert =", "key ="]),
        (replace(EGRESS, system_ca=True), [f"CAfile = {SYSTEM_CA_FILE}", "cert = ", "checkHost"], ["ca.crt"]),
        (replace(EGRESS, verify=False), ["cert = ", "sni = "], ["CAfile", "verifyChain", "checkHost"]),
        (replace(EGRESS, target=None), [f"connect = {NOWHERE}", "verifyChain = yes"], ["sni", "checkHost"]),
    ],
    ids=["no Secret", "no ca.crt", "no verification", "no target"],
)
def test_variants_of_an_egress(egress: ResolvedEgress, there: list[str], absent: list[str]) -> None:
    text, _ = config([], [egress])
    section = text.split("\n\n")[-1]
    assert [part for part in there if part not in section] == []
    assert [part for part in absent if part in section] == []


def test_the_options_for_all_sections() -> None:
    head = config([server()], [])[0].partition("[")[0]
    assert head.splitlines() == [
        "foreground = yes",
        "syslog = no",
        "pid =",
        "debug = notice",
        "",
        "sslVersionMin = TLSv1.2",
        "renegotiation = no",
        "",
    ]


# -- nothing that a tenant writes ends a line, or begins one ----------------------------------------------------------

EVIL = [
    "a\nverifyChain = no",
    "a\rb",
    "a\n",
    "a\x00b",
    "a b",
    "a;b",
    "a#b",
    'a"b',
    "a'b",
    "a\\b",
    "a]\n[b",
    "a=b",
    "a:b",
    "a/b",
    "../a",
    "$a",
    "a\u2028b",
    "\uff41",
    "",
    "*.a.test",
    "a" * 300,
]

PLACES: dict[str, Any] = {
    "endpoint name": lambda evil: config([server(name=evil)], []),
    "server's Secret": lambda evil: config([server(tls=tls(secret=evil))], []),
    "allowed client": lambda evil: config([server(tls=tls(allowed_clients=("a.test", evil)))], []),
    "target host": lambda evil: config([], [replace(EGRESS, target=EgressTarget(evil, 443, "a.test"))]),
    "target name": lambda evil: config([], [replace(EGRESS, target=EgressTarget("a.test", 443, evil))]),
    "egress's Secret": lambda evil: config([], [replace(EGRESS, secret=evil)]),
}


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("place", PLACES)
def test_a_value_of_the_wrong_form_leaves_its_section_out(place: str, evil: str) -> None:
    text, problems = PLACES[place](evil)
    assert text == config([], [])[0]
    assert [problem.reason for problem in problems] == ["Invalid"]
    assert "\n" not in problems[0].message
    assert len(problems[0].message) < 400


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_number_that_is_no_port_leaves_its_section_out(port: int) -> None:
    assert len(config([server(container_port=port)], [])[1]) == 1
    assert len(config([server(tls=tls(port=port))], [])[1]) == 1
    assert len(config([], [replace(EGRESS, local_port=port)])[1]) == 1
    assert len(config([], [replace(EGRESS, target=EgressTarget("a.test", port, "a.test"))])[1]) == 1


def test_the_other_sections_stay() -> None:
    text, problems = config([server(), server(name="a b")], [EGRESS])
    assert [line for line in text.splitlines() if line.startswith("[")] == ["[web]", "[localhost:5432]"]
    assert len(problems) == 1


# -- the real program -------------------------------------------------------------------------------------------------


def _certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    folder.mkdir(parents=True)
    (folder / "tls.crt").write_bytes(pem)
    (folder / "ca.crt").write_bytes(pem)
    (folder / "tls.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _full() -> AppInputs:
    return app(
        {
            "endpoints": [
                {"name": "a", "port": 8080},
                {"name": "b", "port": 8081, "verifyTcpClientCert": True},
                {"name": "c", "port": 8082, "allowedClients": ["x.test", "y.test"]},
                {"name": "d", "port": 8083, "httpPath": "/d"},
            ],
            "tlsEgresses": [
                {"localPort": 15432, "fqdn": "api.example.com"},
                {"localPort": 15433, "endpoint": "db", "spaceName": "gamma"},
                {"localPort": 15434, "endpoint": "gone"},
                {"localPort": 15435, "fqdn": "x.test", "disableServerCertVerification": True},
                {"localPort": 15436, "fqdn": "y.test", "certAndCaSecretName": "own"},
            ],
        },
        space={"encryptHttp": True},
        targets={("gamma", "db"): EgressTarget("db.gamma.svc", 443, "db.gamma.decco.test")},
    )


@pytest.mark.skipif(STUNNEL is None, reason=prerequisites.reason(prerequisites.STUNNEL))
def test_stunnel_takes_the_text(tmp_path: Path) -> None:
    inputs = _full()
    resolved = resolve(inputs)
    text, problems = config(resolved.servers, resolve_egresses(inputs, resolved)[0])
    assert problems == ()
    for name in ("tcp", "http", "own"):
        _certificate(tmp_path / name)
    text = text.replace(SECRETS_DIR, str(tmp_path))
    # A section whose address cannot be had ends stunnel after it has read all of the text, and before it serves.
    taken = "[last]\nclient = yes\naccept = 192.0.2.1:1\nconnect = 127.0.0.1:1\n"
    file = tmp_path / "stunnel.conf"
    file.write_text(f"{text}\n{taken}")
    assert STUNNEL is not None
    ran = subprocess.run([STUNNEL, str(file)], capture_output=True, text=True, timeout=30, check=False)
    assert "Configuration successful" in ran.stderr, ran.stderr

    file.write_text(text.replace("sslVersionMin", "sslVersionMinimum"))
    ran = subprocess.run([STUNNEL, str(file)], capture_output=True, text=True, timeout=30, check=False)
    assert "Configuration successful" not in ran.stderr
