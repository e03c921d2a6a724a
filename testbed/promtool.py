"""Finds or makes promtool, Prometheus' own judge of rules and metrics: PATH, the cache, Debian's package.

The package is unpacked and not installed: that would also start a Prometheus.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from testbed import cache
from testbed.found import AssetsMissing, program
from testbed.progress import step

PACKAGE = "prometheus"
SECONDS = 120


def provide() -> Path:
    """Gives a promtool; what is not here is taken out of Debian's package, and cached.

    Raises:
        AssetsMissing: there is none, and none can be provided.
    """
    if on_path := shutil.which("promtool"):
        return Path(on_path)
    target = cache.root() / PACKAGE / "debian" / "promtool"
    if program(target):
        return target
    with cache.locked(PACKAGE):
        if not program(target):
            with step("taking promtool from Debian's package"), cache.appearing(target) as draft:
                _unpack(draft)
    return target


def _unpack(target: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise AssetsMissing("promtool is not to be had: there is no apt-get here; install Prometheus")
    with tempfile.TemporaryDirectory(prefix="decco-promtool-") as scratch:
        folder = Path(scratch)
        # A fresh machine has no package lists yet.
        for arguments in (["download", PACKAGE], ["update"], ["download", PACKAGE]):
            _run(["apt-get", *arguments], folder)
            if packages := list(folder.glob(f"{PACKAGE}_*.deb")):
                break
        else:
            raise AssetsMissing(
                f"promtool is not to be had: `apt-get download {PACKAGE}` got nothing; install Prometheus"
            )
        _run(["dpkg-deb", "-x", str(packages[0]), "unpacked"], folder)
        shutil.copy(folder / "unpacked" / "usr" / "bin" / "promtool", target)


def _run(argv: list[str], folder: Path) -> None:
    try:
        subprocess.run(argv, cwd=folder, capture_output=True, check=False, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise AssetsMissing(f"promtool is not to be had: {argv[0]} {argv[1]} gave no answer in {SECONDS} s") from error
