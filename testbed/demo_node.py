"""What ``make demo NODE=1`` shows beyond the rest: pods that run, and real requests to them through one port 443."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from testbed.cluster import Cluster
from testbed.pki import Authority, KeyPair

Obj = dict[str, Any]

HTTPS = 443
SECONDS = 5.0
CLIENT = "billing.acme.decco.test"
LISTEN = {
    "web": ["http:8080"],
    "database": ["echo:5432"],
    "shop": ["http:8080", "echo:9000", "http:9090"],
}
"""What each App's container of manifests/examples speaks, by the testbed's echo program."""


class Edge:
    """Requests as a client outside of the cluster makes them, and the lines that describe them."""

    def __init__(self, cluster: Cluster, fqdn: str, authority: Authority) -> None:
        self._address = cluster.edge
        self._fqdn = fqdn
        self._authority = authority
        self._stranger = Authority(Path(tempfile.mkdtemp(dir=authority.folder)), "stranger")

    def show(self, wait: Callable[[str, Callable[[], object]], object], kubectl: Callable[..., str]) -> None:
        """Prints one line for each request. Raises what ``wait`` raises if one does not go as it must."""
        for path in ("/welcome", "/shop"):
            wait(f"https://{self._fqdn}{path}", lambda path=path: self._get(path)[0] == 200)  # type: ignore[misc]
        for path in ("/welcome/deep", "/shop/cart?item=7", "/unknown"):
            status, answer = self._get(path)
            seen = f"by {answer['name']}, which sees {answer['path']}" if answer else "by the edge"
            print(f"  GET https://{self._fqdn}{path:<20} {status}  {seen}")
        status, location = self._redirect()
        print(f"  GET http://{self._fqdn}/welcome{'':<13} {status}  to {location}")
        right = self._authority.peer("billing", [CLIENT])
        cases: list[tuple[str, str, KeyPair | None]] = [
            ("orders", f"with the certificate of {CLIENT}", right),
            ("orders", "with a certificate of another name", self._authority.peer("intruder", ["intruder.test"])),
            ("orders", "without a certificate", None),
            ("database", "with any certificate of the Space's authority", self._authority.peer("any", ["any.test"])),
            ("database", "with a stranger's certificate", self._stranger.peer("stranger", [CLIENT])),
            ("nobody", "an unknown name", None),
        ]
        wait(f"TLS to orders.{self._fqdn}", lambda: self._tls("orders", right) == "hello")
        for name, how, pair in cases:
            said = self._tls(name, pair)
            print(f"  TLS {name}.{self._fqdn}:443 {how}: {'answered ' + repr(said) if said else 'refused'}")
            if bool(said) is not (pair is right or how.startswith("with any")):
                raise ssl.SSLError(f"{name} {how}: {said!r}")
        ask = ["exec", "-n", "acme", "deploy/shop", "-c", "shop", "--", "/echo", "ask", "--text", "select 1"]
        out = kubectl(*ask, "localhost:15432")
        print(f"  inside the pod of shop, plain text to localhost:15432 (mutual TLS to database): answered {out!r}")
        if out != "select 1":
            raise ssl.SSLError(f"the egress answered {out!r}")

    def _get(self, path: str) -> tuple[int, Obj]:
        trust = ssl.create_default_context(cafile=str(self._authority.files.cert))
        with (
            socket.create_connection((self._address, HTTPS), SECONDS) as plain,
            trust.wrap_socket(plain, server_hostname=self._fqdn) as connection,
        ):
            asked = http.client.HTTPSConnection(self._fqdn)
            asked.sock = connection
            asked.request("GET", path)
            answer = asked.getresponse()
            body = answer.read()
            return answer.status, dict(json.loads(body)) if answer.status == 200 else {}

    def _redirect(self) -> tuple[int, str]:
        asked = http.client.HTTPConnection(self._address, 80, timeout=SECONDS)
        with contextlib.closing(asked):
            asked.request("GET", "/welcome", headers={"Host": self._fqdn})
            answer = asked.getresponse()
            return answer.status, answer.headers.get("location", "")

    def _tls(self, endpoint: str, pair: KeyPair | None) -> str:
        """What an endpoint sends back; nothing if it refuses."""
        trust = ssl.create_default_context(cafile=str(self._authority.files.cert))
        if pair is not None:
            trust.load_cert_chain(pair.cert, pair.key)
        try:
            with (
                socket.create_connection((self._address, HTTPS), SECONDS) as plain,
                trust.wrap_socket(plain, server_hostname=f"{endpoint}.{self._fqdn}") as connection,
            ):
                connection.sendall(b"hello")
                return connection.recv(100).decode()
        except (ssl.SSLError, ConnectionError):
            return ""


def secret_data(authority: Authority, name: str, hosts: list[str]) -> dict[str, str]:
    """Data of a TLS Secret for these host names."""
    pair = authority.peer(name, hosts)
    files = {"tls.crt": pair.cert, "tls.key": pair.key, "ca.crt": authority.files.cert}
    return {key: base64.b64encode(path.read_bytes()).decode() for key, path in files.items()}


def runnable(examples: Path, target: Path, image: str) -> None:
    """Copies manifests/examples with containers that can run where no registry is: the testbed's echo program."""
    for file in sorted(examples.glob("*.yaml")):
        objects = [obj for obj in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader) if obj]
        for obj in objects:
            if obj["kind"] == "App":
                _run_echo(obj, image)
        (target / file.name).write_text(yaml.dump_all(objects, sort_keys=False))


def _run_echo(app: Obj, image: str) -> None:
    name = app["metadata"]["name"]
    container = app["spec"]["pod"]["containers"][0]
    container["image"] = image
    container.pop("command", None)
    if name in LISTEN:
        container["args"] = ["serve", *(f"--listen={each}" for each in LISTEN[name])]
        container["env"] = [{"name": "ECHO_NAME", "value": name}]
        if "readinessProbe" in container:
            container["readinessProbe"] = {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1}
    else:
        container["args"] = ["ask", "--retry", "--deadline", "60s", "localhost:15432"]
