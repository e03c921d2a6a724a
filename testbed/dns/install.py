"""Says which DNS programs are missing, and installs Debian's packages of them where that is possible."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PACKAGES = {
    "named": "bind9",
    "rndc": "bind9-utils",
    "knotd": "knot",
    "knotc": "knot",
    "pdns_server": "pdns-server",
    "pdnsutil": "pdns-server",
    "etcd": "etcd-server",
}
EXTRA = {"pdns_server": "pdns-backend-sqlite3"}
SBIN = "/usr/sbin:/sbin"
LOCK_SECONDS = 300


def program(name: str) -> str | None:
    """Path of a program, also where /usr/sbin is not on the PATH."""
    return shutil.which(name) or shutil.which(name, path=SBIN)


def missing(*names: str) -> list[str]:
    return [name for name in names if program(name) is None]


def packages(names: list[str]) -> list[str]:
    """Debian's packages of these programs."""
    return sorted({PACKAGES[name] for name in names} | {EXTRA[name] for name in names if name in EXTRA})


def can_install() -> bool:
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def install(*names: str) -> list[str]:
    """Install what is missing of ``names``, as root on Debian; services are not started. Returns what still misses."""
    wanted = packages(missing(*names))
    if not wanted or not can_install():
        return missing(*names)
    # RUNLEVEL=1: Debian's invoke-rc.d then starts no service for a package.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    lock = f"DPkg::Lock::Timeout={LOCK_SECONDS}"
    for step in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *wanted]):
        done = subprocess.run(["apt-get", "-o", lock, *step], env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"apt-get {' '.join(step)} failed: {done.stderr.strip()[-500:]}")
            break
    return missing(*names)


if __name__ == "__main__":
    from testbed.dns.coredns import build

    left = install(*PACKAGES)
    if build() is None:
        left.append("coredns (needs Go to be built)")
    print("missing: " + ", ".join(left) if left else "all DNS programs are here")
    raise SystemExit(1 if left else 0)
