"""The folder where the testbed keeps what was slow to get: programs and CRDs, under their exact versions.

``$DECCO_CACHE``, else ``$XDG_CACHE_HOME/decco``, else ``~/.cache/decco``. Everything in it can be made again; remove it
at will. Files appear in it whole or not at all, and two testbeds that want the same one build it once.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.progress import step


def root() -> Path:
    """The cache's folder; it may not exist yet."""
    if chosen := os.environ.get("DECCO_CACHE"):
        return Path(chosen).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "decco"


def go_platform() -> tuple[str, str]:
    """Operating system and processor of this machine, in Go's words: ``("linux", "amd64")``."""
    machine = platform.machine().lower()
    return sys.platform, {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def programs(part: str, version: str) -> Path:
    """The folder of the programs of one part at one version, for this kind of machine."""
    return root() / part / "-".join((f"v{version}", *go_platform()))


@contextmanager
def locked(part: str) -> Iterator[None]:
    """Keeps other processes from filling one part of the cache at the same time; waits for its turn.

    Args:
        part: any name; who waits for an image of seconds must not wait for a build of minutes.
    """
    folder = root()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{part}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step(f"waiting for another testbed that makes {part}"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Gives a path to write a file or folder to, which takes the name ``target`` only if the block succeeds."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as scratch:
        draft = Path(scratch) / target.name
        yield draft
        if target.is_dir():
            shutil.rmtree(target)
        draft.replace(target)
