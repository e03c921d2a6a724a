"""Starts processes that never outlive the testbed, and reports the output of one that failed.

Each process leads a group of its own, so a Ctrl-C in the terminal reaches the testbed alone, which then ends them in
order. Should the testbed die without a chance to, ``testbed.watchdog`` does it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

TAIL_LINES = 15
POLL_SECONDS = 0.01

AFTER_A_LINE = ("/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "sh")
"""Becomes the program that follows once it was given a line: when the watchdog has its number. Should the testbed be
killed between starting a program and informing the watchdog, the line never comes and the program never runs."""


class ProcessFailed(RuntimeError):
    """A process ended, or was not ready in time; the message holds the last lines that it wrote."""


class Process:
    """One started program: ``log`` is the file with all that it wrote."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.popen = popen
        self.log = log

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def tail(self) -> str:
        """The last lines of the log, indented, for error messages."""
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join(f"    {line[:400]}" for line in lines)

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Polls ``ready`` until it is true.

        Raises:
            ProcessFailed: the process ended meanwhile, or ``seconds`` have passed.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise ProcessFailed(
                    f"{self.name} ended with status {self.popen.returncode} while starting; it said:\n{self.tail()}"
                )
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{self.name} was not ready after {seconds:.0f} s; it said:\n{self.tail()}")
            time.sleep(POLL_SECONDS)


class Processes:
    """A set of processes and one folder that end together with this object, or with the Python process that holds it.

    Safe to use from several threads.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[Process] = []
        self._lock = threading.Lock()
        # A session of its own: a Ctrl-C or a hang-up of the terminal must not end the watchdog before the testbed.
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("watchdog.py"))],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._notify(f"folder {folder}")

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(
        self, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Process:
        """Starts a program whose output goes to ``<name>.log`` in the folder; ``env`` is added to the environment."""
        log = self.folder / f"{name}.log"
        with self._lock, log.open("ab") as output:
            popen = subprocess.Popen(
                [*AFTER_A_LINE, *(str(word) for word in argv)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else {**os.environ, **env},
                cwd=cwd or self.folder,
                start_new_session=True,
            )
            process = Process(name, popen, log)
            self._started.append(process)
            assert popen.stdin is not None
            with popen.stdin:
                self._notify(f"pid {popen.pid}")
                popen.stdin.write(b"\n")
        return process

    def end_with_us(self, popen: subprocess.Popen[bytes]) -> None:
        """Has the watchdog kill this process too, should the testbed be killed. The caller started it in a session of
        its own and ends it itself.
        """
        with self._lock:
            self._notify(f"pid {popen.pid}")

    def stop(self, process: Process, seconds: float = 10.0, *, sig: signal.Signals = signal.SIGTERM) -> int:
        """Ends one process: first ``sig``, after ``seconds`` SIGKILL to its whole group; returns its exit status."""
        if process.running:
            process.popen.send_signal(sig)
            try:
                process.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        status = process.popen.wait()
        with self._lock:
            if process in self._started:
                self._started.remove(process)
                self._notify(f"gone {process.pid}")
        return status

    def close(self, seconds: float = 5.0) -> None:
        """Ends all of them side by side, after ``seconds`` (or at once with 0) by SIGKILL, then removes the folder."""
        with self._lock:
            processes, self._started = self._started, []
        if seconds > 0:
            for process in processes:
                process.popen.terminate()
        deadline = time.monotonic() + seconds
        for process in processes:
            try:
                process.popen.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.popen.wait()
        if self._watchdog.stdin is not None and not self._watchdog.stdin.closed:
            self._watchdog.stdin.close()
        self._watchdog.wait()

    def _notify(self, line: str) -> None:
        stdin = self._watchdog.stdin
        if stdin is None or self._watchdog.poll() is not None:
            raise ProcessFailed("the testbed's watchdog process is gone, and nothing is started without it")
        try:
            stdin.write(f"{line}\n".encode())
            stdin.flush()
        except BrokenPipeError as error:
            raise ProcessFailed("the testbed's watchdog process has just gone") from error
