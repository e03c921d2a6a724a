"""One life of the controller as a process of its own: SIGKILL is the kernel's."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

END_SECONDS = 60.0
DEFECTS = ("Traceback", "hit a defect", "was cancelled", "never retrieved")


class Process:
    """As ``Instance``. It has no zone, because the one in memory would end with it."""

    def __init__(self, kubeconfig: Path, settings: dict[str, str]) -> None:
        self.alive = True
        self.errors: list[str] = []
        self._log = kubeconfig.with_suffix(".log")
        self._kubeconfig = kubeconfig
        self._settings = {name: value for name, value in settings.items() if "DNS" not in name}

    @property
    def lines(self) -> list[str]:
        return self._log.read_text(errors="replace").splitlines()[-40:]

    def start(self) -> None:
        others = {name: value for name, value in os.environ.items() if not name.startswith("DECCO_")}
        command = [sys.executable, "-m", "decco.cli.controller", "--kubeconfig", str(self._kubeconfig)]
        with self._log.open("ab") as log:
            # It leads no group of its own: it ends with the process that runs the plans.
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={**others, **self._settings})

    def die(self) -> None:
        self.alive = False
        self._process.send_signal(signal.SIGKILL)

    async def kill(self) -> None:
        self.die()
        await asyncio.to_thread(self._process.wait)
        self._read_log()

    async def stop(self) -> None:
        if self._process.poll() is not None:
            self.errors.append(f"the controller had ended with status {self._process.returncode}")
        self._process.send_signal(signal.SIGTERM)
        try:
            status = await asyncio.to_thread(self._process.wait, END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = await asyncio.to_thread(self._process.wait)
        if status != 0:
            self.errors.append(f"the controller ended with status {status} after SIGTERM")
        self._read_log()

    def _read_log(self) -> None:
        text = self._log.read_text(errors="replace")
        self.errors += [line[:600] for line in text.splitlines() if any(each in line for each in DEFECTS)]
