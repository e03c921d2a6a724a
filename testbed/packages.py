"""Programs that Debian has: says which are missing, and installs their packages where that is possible."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from testbed.found import AssetsMissing
from testbed.progress import step

SBIN = "/usr/sbin:/sbin"
LOCK_SECONDS = 300


def path_of(name: str) -> Path | None:
    """Path of a program, also where /usr/sbin is not on the PATH; of a file, if it is absolute and there."""
    found = shutil.which(name) or shutil.which(name, path=SBIN) or (name if Path(name).exists() else None)
    return Path(found) if found else None


def ensure(wanted: Mapping[str, str]) -> None:
    """Installs, as root on Debian, what is missing.

    Args:
        wanted: program, or absolute path of a file, to the package that has it.

    Raises:
        AssetsMissing: something is missing and cannot be installed; the message says what to install.
    """
    missing = {name: package for name, package in wanted.items() if path_of(name) is None}
    if not missing:
        return
    packages = sorted(set(missing.values()))
    if os.geteuid() == 0 and shutil.which("apt-get"):
        with step(f"installing Debian's {', '.join(packages)}"):
            said = _install(packages)
        missing = {name: package for name, package in missing.items() if path_of(name) is None}
    else:
        said = "no apt-get here, or not root"
    if missing:
        raise AssetsMissing(
            f"missing: {', '.join(missing)}; install (names of Debian's packages) "
            f"{', '.join(sorted(set(missing.values())))}. {said}"
        )


def _install(packages: list[str]) -> str:
    # RUNLEVEL=1: Debian's invoke-rc.d then starts no service for a package.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    lock = f"DPkg::Lock::Timeout={LOCK_SECONDS}"
    install = ["install", "-q", "-y", "--no-install-recommends", *packages]
    said = ""
    # A fresh machine has no package lists, a kept one has old ones: then what they name may be gone.
    for arguments in (install, ["update", "-q"], install):
        done = subprocess.run(["apt-get", "-o", lock, *arguments], env=env, capture_output=True, text=True, check=False)
        if done.returncode == 0 and arguments is install:
            return ""
        said = f"apt-get {' '.join(arguments)}: {done.stderr.strip()[-500:]}"
    return said
