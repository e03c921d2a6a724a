"""The real ``decco-controller`` as a process outside of the cluster."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from testbed.processes import POLL_SECONDS, ProcessFailed

READY_SECONDS = 120.0
"""Of a busy machine."""
END_SECONDS = 10.0


class Controller:
    """``with Controller(kubeconfig, log):`` runs one that is ready.

    Attributes:
        address: host:port of its metrics.
        process: its process.
    """

    def __init__(
        self, kubeconfig: Path | str, log: Path, settings: Mapping[str, str] | None = None, *flags: str
    ) -> None:
        """Starts nothing yet.

        Args:
            kubeconfig: access to the cluster.
            log: file that its lines are added to.
            settings: environment variables; other ``DECCO_*`` variables of ours do not reach it.
            flags: further flags.
        """
        self._log = log
        self._settings = dict(settings or {})
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._argv = [sys.executable, "-m", "decco.cli.controller", "--kubeconfig", str(kubeconfig)]
        self._argv += ["--metrics-bind-address", self.address, *flags]

    def __enter__(self) -> Controller:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DECCO_")}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._argv, stdout=log, stderr=log, env={**kept, **self._settings})
        deadline = time.monotonic() + READY_SECONDS
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self._end()
                said = self._log.read_text(errors="replace")[-3000:]
                raise ProcessFailed(f"decco-controller did not become ready; it said:\n{said}")
            time.sleep(POLL_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def metrics(self) -> str:
        """What it exposes."""
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=10) as answer:
            return bytes(answer.read()).decode()

    def _end(self) -> None:
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
