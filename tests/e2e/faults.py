"""Faults in the network of one pod, made from this machine, so that nothing in the cluster knows of them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from testbed.packages import path_of

_CLONE_NEWNET = 0x4000_0000
_LOCK_SECONDS = "10"


class PodNetwork:
    """The network of the pod that this process of it is in."""

    def __init__(self, pid: int) -> None:
        self._file = Path(f"/proc/{pid}/ns/net")

    @contextlib.contextmanager
    def rule(self, *words: str, table: str = "filter", tool: str = "iptables") -> Iterator[None]:
        """``words``: a chain, and a rule that is its first until the end of the block."""
        chain, *rest = words
        self._run(tool, "-t", table, "-I", chain, *rest)
        try:
            yield
        finally:
            self._run(tool, "-t", table, "-D", chain, *rest)

    def listen(self) -> socket.socket:
        """A socket that listens in the pod, and is ours."""

        def within() -> socket.socket:
            # Only the thread that calls it changes its network.
            with self._file.open() as file:
                if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET) != 0:
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number))
            return socket.create_server(("", 0))

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(within).result()

    def _run(self, tool: str, *words: str) -> None:
        argv = ["nsenter", f"--net={self._file}", str(path_of(tool) or tool), "-w", _LOCK_SECONDS, *words]
        subprocess.run(argv, check=True, capture_output=True, text=True)
