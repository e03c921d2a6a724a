"""Finds or makes etcd: ``$KUBEBUILDER_ASSETS``, the cache, PATH, Go modules; as a last resort an old one.

An etcd that cannot report its progress on request (before 3.4.31 and 3.5.13) makes the API server turn off streaming
lists and consistent lists from its cache, which every production cluster has. Debian 12's is such a one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from testbed import cache, golang
from testbed.found import AssetsMissing, given, program
from testbed.progress import say, step
from testbed.versions import ETCD_MODULE, ETCD_VERSION

MODULE = Path(__file__).resolve().parent / "etcd_module"
DEBIAN_SECONDS = 120
REPORTS_PROGRESS = {(3, 4): 31, (3, 5): 13}
"""First patch version of each old minor in which RequestWatchProgress is right, as kube-apiserver decides it."""


class DebianFailed(RuntimeError):
    """This is not Debian, or its package is not available."""


def provide() -> Path:
    """Gives an etcd; what is not here is made and cached.

    Raises:
        AssetsMissing: there is none, and none can be provided.
    """
    built = cache.programs("etcd", ETCD_VERSION) / "etcd"
    on_path = shutil.which("etcd")
    installed = Path(on_path) if on_path else None
    if found := given("etcd") or program(built):
        return found
    if installed and reports_progress(installed):
        return installed
    try:
        with cache.locked("etcd"):
            return program(built) or _build(built)
    except golang.GoFailed as error:
        old = installed or _debian(error)
        say(f"{old} is an old etcd, so streaming lists are off: {error}")
        return old


def reports_progress(etcd: Path) -> bool:
    """Whether an etcd is new enough for everything that the API server does with it."""
    done = subprocess.run([etcd, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"etcd Version: (\d+)\.(\d+)\.(\d+)", done.stdout)
    if found is None:
        return False
    major, minor, patch = (int(number) for number in found.groups())
    return (major, minor) > max(REPORTS_PROGRESS) or patch >= REPORTS_PROGRESS.get((major, minor), patch + 1)


def _build(target: Path) -> Path:
    with step(f"building etcd {ETCD_VERSION} from Go modules"), cache.appearing(target) as draft:
        golang.build(MODULE, ETCD_MODULE, draft)
    return target


def _debian(no_build: golang.GoFailed) -> Path:
    target = cache.root() / "etcd" / "debian" / "etcd"
    try:
        with cache.locked("etcd"):
            if not program(target):
                with cache.appearing(target) as draft:
                    _etcd_of_debian(draft)
    except DebianFailed as error:
        raise AssetsMissing(f"etcd is not to be had:\n  {no_build}\n  {error}\n  Install Go or etcd.") from error
    return target


def _etcd_of_debian(target: Path) -> None:
    """Takes the program out of Debian's package; installing that would also start a server, and need root."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise DebianFailed("no Debian package: there is no apt-get or dpkg-deb here")
    with step("taking etcd from Debian's package"), tempfile.TemporaryDirectory(prefix="decco-etcd-") as scratch:
        folder = Path(scratch)
        if not _run(["apt-get", "download", "etcd-server"], folder) and os.geteuid() == 0:
            # A fresh machine has no package lists yet.
            _run(["apt-get", "update"], folder)
            _run(["apt-get", "download", "etcd-server"], folder)
        packages = list(folder.glob("etcd-server_*.deb"))
        if not packages:
            raise DebianFailed("`apt-get download etcd-server` got nothing; `apt-get update` as root may help")
        if not _run(["dpkg-deb", "-x", str(packages[0]), str(folder / "unpacked")], folder):
            raise DebianFailed(f"{packages[0].name} cannot be unpacked")
        shutil.copy(folder / "unpacked" / "usr" / "bin" / "etcd", target)


def _run(argv: list[str], folder: Path) -> bool:
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEBIAN_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        say(f"  {argv[0]} {argv[1]}: no answer in {DEBIAN_SECONDS} s")
        return False
    return done.returncode == 0
