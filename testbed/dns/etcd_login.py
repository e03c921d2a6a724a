"""An etcd that speaks TLS only and accepts only known users, as the etcd of a larger CoreDNS installation."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from testbed.dns.server import HOST, free_port
from testbed.packages import path_of
from testbed.pki import Authority
from testbed.processes import Processes

START_SECONDS = 30.0
PREFIX = "/skydns/"
USER, PASSWORD = "decco", "correct horse"


class EtcdWithLogin:
    """``with EtcdWithLogin() as etcd``: at ``url``; ``USER`` may read and write below ``PREFIX`` and nothing else.

    ``ca`` is its authority's certificate in PEM.
    """

    def __enter__(self) -> EtcdWithLogin:
        self.folder = Path(tempfile.mkdtemp(prefix="decco-etcd-"))
        self._processes = Processes(self.folder)
        pki = self.folder / "pki"
        pki.mkdir(mode=0o700)
        authority = Authority(pki)
        serving = authority.server("etcd", [HOST, "localhost"])
        self.ca = authority.files.cert.read_bytes()
        port, peer = free_port(), free_port()
        self.url = f"https://{HOST}:{port}"
        self._tls = ssl.create_default_context(cafile=str(authority.files.cert))
        try:
            etcd = self._processes.start(
                "etcd",
                [
                    path_of("etcd") or "etcd",
                    *("--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync"),
                    *("--cert-file", str(serving.cert), "--key-file", str(serving.key)),
                    *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
                    *("--listen-peer-urls", f"http://{HOST}:{peer}"),
                ],
            )
            etcd.wait_until(self._healthy, START_SECONDS)
            self._lock_up()
        except BaseException:
            self._processes.close(0)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.close(0)

    def _healthy(self) -> bool:
        try:
            self.call("maintenance/status", {})
        except OSError:
            return False
        return True

    def _lock_up(self) -> None:
        key, end = _b64(PREFIX), _b64(PREFIX[:-1] + chr(ord(PREFIX[-1]) + 1))
        self.call("auth/user/add", {"name": "root", "password": "root"})
        self.call("auth/user/grant", {"user": "root", "role": "root"})
        self.call("auth/role/add", {"name": "dns"})
        self.call(
            "auth/role/grant",
            {"name": "dns", "perm": {"permType": "READWRITE", "key": key, "range_end": end}},
        )
        self.call("auth/user/add", {"name": USER, "password": PASSWORD})
        self.call("auth/user/grant", {"user": USER, "role": "dns"})
        self.call("auth/enable", {})

    def call(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(f"{self.url}/v3/{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10, context=self._tls) as response:
            return json.load(response)


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
