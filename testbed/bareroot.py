"""A bare Debian in a folder, by debootstrap: the base of images where there is no registry, and a fresh machine.

How this machine reaches its package sources (addresses, proxies, authorities) is passed into such folders as found.
Needs root and Linux.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed import cache
from testbed.found import AssetsMissing
from testbed.progress import step

RELEASE = "bookworm"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SOURCES = (
    "etc/apt/sources.list",
    "etc/apt/sources.list.d",
    "etc/apt/apt.conf.d",
    "etc/apt/auth.conf.d",
    "etc/pip.conf",
)
NETWORK = ("etc/resolv.conf", "etc/hosts")
PASSED_ON = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
AUTHORITY_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
AUTHORITIES = "var/lib/authorities-of-this-machine.pem"
RUN_SECONDS = 1800.0
TAIL_LINES = 30


class StepFailed(RuntimeError):
    """A program ended with an error; the message has its last lines."""


def debian() -> Path:
    """A minimal Debian of the release of our images, made once; it is not to be written to.

    Raises:
        AssetsMissing: this is not root, or there is no debootstrap, or apt has no source of that release.
        StepFailed: debootstrap could not get the packages.
    """
    target = cache.root() / "debian" / f"{RELEASE}-{cache.go_platform()[1]}"
    if os.geteuid() != 0:
        raise AssetsMissing("a bare Debian can only be made by root (chroot, device files)")
    if target.is_dir():
        return target
    with cache.locked(RELEASE):
        if not target.is_dir():
            program = shutil.which("debootstrap", path=PATH)
            if program is None:
                raise AssetsMissing("install debootstrap (Debian: apt-get install debootstrap)")
            with step("making a minimal Debian (once, a minute)"), cache.appearing(target) as draft:
                run([program, "--variant=minbase", RELEASE, str(draft), _mirror()])
    return target


def copy_to(root: Path) -> dict[str, str]:
    """Copies the bare Debian to a folder; returns the variables with which its programs reach the package sources."""
    root.mkdir(parents=True, exist_ok=True)
    # cp and not shutil: it keeps devices, owners and links.
    run(["cp", "--archive", "--no-target-directory", str(debian()), str(root)])
    for name in (*SOURCES, *NETWORK):
        path, target = Path("/") / name, root / name
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        elif path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    variables = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    bundle = next((Path(os.environ[name]) for name in AUTHORITY_VARIABLES if os.environ.get(name)), None)
    if bundle is not None and bundle.is_file():
        shutil.copy(bundle, root / AUTHORITIES)
        variables |= dict.fromkeys(AUTHORITY_VARIABLES, f"/{AUTHORITIES}")
    return variables


def _mirror() -> str:
    """The address from which this machine's own packages of the release come."""
    listing = run(["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)"])
    for line in listing.splitlines():
        site, _, release = line.partition(" ")
        if release == RELEASE:
            return site
    raise AssetsMissing(f"apt is not configured for Debian's release {RELEASE}, of which the image is made")


def output_of(
    argv: Sequence[str], environment: Mapping[str, str] | None = None, seconds: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a program without input; ``stdout`` of the result has both streams. Raises what ``subprocess`` does."""
    return subprocess.run(
        argv,
        env=None if environment is None else dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        timeout=seconds,
    )


def run(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Runs a program that must succeed; returns what it printed. Raises StepFailed."""
    try:
        done = output_of(argv, environment, RUN_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StepFailed(f"{' '.join(argv)}: {error}") from error
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-TAIL_LINES:])
        raise StepFailed(f"{' '.join(argv)} ended with status {done.returncode}:\n{tail}")
    return done.stdout
