"""Pebble, the ACME server of Let's Encrypt for tests: a real authority, which checks names by DNS and HTTP.

``with Pebble(resolver) as pebble:`` and an Issuer with ``pebble.directory`` and ``pebble.ca_bundle``. It keeps nothing:
each start has another root.
"""

from __future__ import annotations

import base64
import json
import signal
import ssl
import tempfile
import urllib.request
from pathlib import Path
from types import TracebackType

from testbed import gotool
from testbed.dns.server import HOST, free_port
from testbed.pki import Authority
from testbed.processes import Process, Processes

MODULE = "github.com/letsencrypt/pebble/v2"
VERSION = "2.10.3"
"""As in testbed/pebble_module/go.mod."""
PROGRAM = gotool.Tool(
    "pebble", VERSION, "pebble_module", f"{MODULE}/cmd/pebble", (("main.version", f"v{VERSION}"),), minutes=0.5
)
START_SECONDS = 30.0
REQUEST_SECONDS = 10.0
BLOCKED = "blocked.test"
"""For this domain and all below it Pebble refuses orders, as authorities do by policy."""


class Pebble:
    """One running authority on loopback.

    Attributes:
        directory: URL of its ACME directory.
        ca_bundle: for an Issuer's ``caBundle``: who signed the certificate of its own server, in base64.
    """

    def __init__(self, resolver: str, *, http_port: int = 80) -> None:
        """``resolver`` is host:port of the DNS server that it asks for everything; ``http_port`` is that of HTTP-01."""
        self._resolver = resolver
        self._http_port = http_port

    def __enter__(self) -> Pebble:
        program = gotool.provide(PROGRAM)
        folder = Path(tempfile.mkdtemp(prefix="decco-pebble-"))
        self._processes = Processes(folder)
        try:
            self._start(program, folder)
        except BaseException:
            self._processes.close(0)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.close(0)

    def _start(self, program: Path, folder: Path) -> None:
        authority = Authority(folder, "pebble's own")
        serving = authority.server("pebble", [HOST])
        self.ca_bundle = base64.b64encode(authority.files.cert.read_bytes()).decode()
        self._trust = ssl.create_default_context(cafile=str(authority.files.cert))
        port, management = free_port(), free_port()
        self.directory, self._management = f"https://{HOST}:{port}/dir", f"https://{HOST}:{management}"
        settings = {
            "listenAddress": f"{HOST}:{port}",
            "managementListenAddress": f"{HOST}:{management}",
            "certificate": str(serving.cert),
            "privateKey": str(serving.key),
            "httpPort": self._http_port,
            "domainBlocklist": [BLOCKED],
            "keyAlgorithm": "ecdsa",
            "retryAfter": {"authz": 1, "order": 1},
        }
        config = folder / "pebble.json"
        config.write_text(json.dumps({"pebble": settings}))
        # Otherwise it waits up to five seconds before each check, and now and then takes an old check for a new one.
        env = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"}
        argv: list[str | Path] = [program, "-config", config, "-dnsserver", self._resolver]
        self._process: Process = self._processes.start("pebble", argv, env)
        self._process.wait_until(self._answers, START_SECONDS)

    def pause(self) -> None:
        """It answers no request until ``resume``: its requests fail by time."""
        self._process.popen.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.popen.send_signal(signal.SIGCONT)

    def root(self) -> bytes:
        """The authority of the certificates that it issues, in PEM."""
        return self._get(f"{self._management}/roots/0")

    @property
    def log(self) -> str:
        return self._process.log.read_text(errors="replace")

    def _answers(self) -> bool:
        try:
            return bool(self._get(self.directory))
        except OSError:
            return False

    def _get(self, url: str) -> bytes:
        with urllib.request.urlopen(url, timeout=REQUEST_SECONDS, context=self._trust) as answer:
            return bytes(answer.read())
