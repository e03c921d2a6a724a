"""``decco ui`` as a process, and requests to it as a browser or as somebody else would send them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.controlplane import ControlPlane

EDGE = {"DECCO_EDGE__NAMESPACE": "edge", "DECCO_EDGE__ADDRESSES": "192.0.2.10"}


@dataclass
class Ui:
    """A page that is served; ``url`` as it was printed."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def port(self) -> int:
        return int(urllib.parse.urlsplit(self.url).port or 0)

    @property
    def token(self) -> str:
        return self.url.partition("#token=")[2]

    def request(
        self, path: str, headers: Mapping[str, str] | None = None, *, token: str | None = "", method: str = "GET"
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body. ``token``: "" for the right one, None for none."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token or self.token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, headers=sent)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def data(self, path: str) -> Any:
        status, _, body = self.request(f"/api/{path}")
        assert status == 200, (path, status, body)
        return json.loads(body)

    @contextlib.contextmanager
    def events(self) -> Iterator[Iterator[Any]]:
        """The states that the stream reports."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/api/events", headers={"Authorization": f"Bearer {self.token}"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.status
            yield (json.loads(line[6:]) for line in answer if line.startswith(b"data: "))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


@contextlib.contextmanager
def serving(cp: ControlPlane, *words: str, kubeconfig: Path | None = None) -> Iterator[Ui]:
    """``decco ui`` as the administrator, or with another kubeconfig, until left."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DECCO_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "decco.cli.main", "ui", "--no-lookup", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment, **EDGE, "KUBECONFIG": str(kubeconfig or cp.kubeconfig)},
        start_new_session=True,
    )
    cp.processes.end_with_us(process)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        url = process.stdout.readline().decode().strip()
        if not url:
            process.wait(20)  # its output ended, so it ends
        assert url.startswith("http://127.0.0.1:"), (url, process.stderr.read() if process.poll() is not None else "")
        yield Ui(url, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)
        process.stdout.close()
        process.stderr.close()


@contextlib.contextmanager
def serving_tenant(cp: ControlPlane, namespace: str) -> Iterator[Ui]:
    """``decco ui`` as somebody who may read what decco-tenant-view contains, in one namespace."""
    words = ("-n", namespace, "--clusterrole=decco-tenant-view", "--user=ui-tenant")
    cp.kubectl("create", "rolebinding", "ui-tenant", *words)
    with serving(cp, "-n", namespace, kubeconfig=cp.kubeconfig_for("ui-tenant")) as ui:
        yield ui
