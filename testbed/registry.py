"""A registry for images and charts on loopback: the CNCF's Distribution, built from its Go module once, and cached."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed import gotool

VERSION = "3.1.2"
"""As in registry_module/go.mod."""
PACKAGE = "github.com/distribution/distribution/v3/cmd/registry"
CONFIG = """\
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %(folder)s}
http: {addr: "127.0.0.1:%(port)d", secret: for-tests-only}
"""
START_SECONDS = 30.0


def provide() -> Path:
    """Gives the program.

    Raises:
        AssetsMissing: it is not cached and cannot be built; the message says what to install.
    """
    return gotool.provide(gotool.Tool("registry", VERSION, "registry_module", PACKAGE, minutes=3))


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Runs a registry that keeps everything in a folder; gives its address, as ``127.0.0.1:5000``.

    Raises:
        AssetsMissing: see ``provide``.
        RuntimeError: it did not start; the message has what it said.
    """
    program = provide()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    config = folder / "config.yml"
    config.write_text(CONFIG % {"folder": folder / "data", "port": port})
    said = folder / "registry.log"
    with said.open("wb") as log:
        process = subprocess.Popen([str(program), "serve", str(config)], stdout=log, stderr=log)
    try:
        _wait(f"http://127.0.0.1:{port}/v2/", process, said)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _wait(url: str, process: subprocess.Popen[bytes], said: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=START_SECONDS).close()
            return
        except (urllib.error.URLError, ConnectionError) as error:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the registry does not answer ({error}):\n{said.read_text()}") from error
            time.sleep(0.05)
