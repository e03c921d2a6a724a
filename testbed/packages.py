"""Debian's packages: what is there of them, and how apt installs the rest. Needs nothing but Python's own library."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from testbed.progress import step

SBIN = "/usr/sbin:/sbin"
LOCK_SECONDS = 300
DISTRIBUTIONS = frozenset({"debian", "ubuntu"})


class InstallFailed(RuntimeError):
    """apt could not install the packages; the message has what it said."""


def path_of(name: str) -> Path | None:
    """Path of a program, also where /usr/sbin is not on the PATH; of a file, if it is absolute and there."""
    found = shutil.which(name) or shutil.which(name, path=SBIN) or (name if Path(name).exists() else None)
    return Path(found) if found else None


def is_debian(os_release: Path = Path("/etc/os-release")) -> bool:
    """Whether this is Debian or Ubuntu, or made from them, with apt."""
    try:
        lines = [line.partition("=") for line in os_release.read_text().splitlines()]
    except OSError:
        return False
    words = " ".join(value.strip('"') for key, _, value in lines if key in {"ID", "ID_LIKE"}).split()
    return bool(DISTRIBUTIONS.intersection(words)) and shutil.which("apt-get") is not None


def can_install() -> bool:
    """Whether this process may install packages by itself: as root on Debian or Ubuntu."""
    return os.geteuid() == 0 and is_debian()


def install(packages: Sequence[str]) -> None:
    """Installs packages without a question, and starts none of their services.

    Raises:
        InstallFailed: see the class.
    """
    # RUNLEVEL=1: Debian's invoke-rc.d then starts no service for a package.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    lock = f"DPkg::Lock::Timeout={LOCK_SECONDS}"
    wanted = ["install", "-q", "-y", "--no-install-recommends", *packages]
    said = ""
    with step(f"installing {' '.join(packages)}"):
        # A fresh machine has no package lists, a kept one has old ones: then what they name may be gone.
        for arguments in (wanted, ["update", "-q"], wanted):
            argv = ["apt-get", "-o", lock, *arguments]
            done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
            if done.returncode == 0 and arguments is wanted:
                return
            said = f"apt-get {' '.join(arguments)}: {done.stderr.strip()[-500:]}"
    raise InstallFailed(said)
