"""Carries out a Dockerfile's steps without a container engine: each stage is a folder, RUN is ``chroot`` in it.

The base image is made by debootstrap, which is what the official images of Debian are made with. What is not seen this
way: layers, the cache of an engine, multi-platform builds. Needs root and Linux.

How this machine reaches its package sources (addresses, proxies, authorities) is passed into the folders as found.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed import cache
from testbed.dockerfile import BuildStage, Copy, Run
from testbed.found import AssetsMissing
from testbed.progress import say, step

RELEASE = "bookworm"
DEBOOTSTRAP = "/usr/sbin:/usr/bin:/sbin:/bin"
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
AUTHORITIES = "run/authorities-of-this-machine.pem"
RUN_SECONDS = 900.0


class StepFailed(RuntimeError):
    """A step of the Dockerfile ended with an error; the message has its output."""


def build(stages: Sequence[BuildStage], context: Path, folder: Path) -> Path:
    """Carries out all stages in new folders below ``folder``; returns the last one's, the image's root.

    Raises:
        AssetsMissing: this is not root on Linux, or there is no debootstrap and none can be provided.
        StepFailed: see the class.
    """
    roots: dict[str, Path] = {}
    for stage in stages:
        root = folder / stage.name
        with step(f"stage {stage.name} of the Dockerfile"):
            if stage.base in roots:
                copy_tree(roots[stage.base], root)
            elif stage.base == "scratch":
                root.mkdir(parents=True)
            else:
                copy_tree(debian(), root)
                pass_on_sources(root)
            for each in stage.steps:
                if isinstance(each, Copy):
                    copy(each, roots[each.origin] if each.origin else context, root)
                else:
                    run(each, root)
        roots[stage.name] = root
    return roots[stages[-1].name]


def debian() -> Path:
    """A minimal Debian of the release of our images, made once; it is not to be written to.

    Raises:
        AssetsMissing: see ``build``.
    """
    target = cache.root() / "debian" / f"{RELEASE}-{cache.go_platform()[1]}"
    if os.geteuid() != 0:
        raise AssetsMissing("steps of a Dockerfile can only be carried out as root (chroot, device files)")
    if target.is_dir():
        return target
    with cache.locked(RELEASE):
        if not target.is_dir():
            program = shutil.which("debootstrap", path=DEBOOTSTRAP)
            if program is None:
                raise AssetsMissing("install debootstrap (Debian: apt-get install debootstrap)")
            with step("making a minimal Debian (once, a minute)"), cache.appearing(target) as draft:
                _ended_well([program, "--variant=minbase", RELEASE, str(draft), _mirror()])
    return target


def run(instruction: Run, root: Path, *, more: Mapping[str, str] | None = None) -> str:
    """Runs one command inside ``root``, in namespaces of its own for mounts and processes; returns what it printed.

    ``/proc`` is there for it, as in a container. Raises StepFailed.
    """
    (root / "proc").mkdir(exist_ok=True)
    user = instruction.user if ":" in instruction.user else f"{instruction.user}:{instruction.user}"
    chroot = ["chroot", f"--userspec={user}", str(root), *instruction.argv]
    argv = ["unshare", "--mount", "--pid", "--fork", f"--mount-proc={root / 'proc'}", *chroot]
    environment = {"PATH": PATH, "HOME": "/", **passed_on(root), **instruction.environment, **(more or {})}
    return _ended_well(argv, environment)


def copy(instruction: Copy, origin: Path, root: Path) -> None:
    """As COPY does: of a folder its content, a file under the target's name, or into it if that ends with a slash."""
    target = root / instruction.target.lstrip("/")
    many = len(instruction.sources) > 1 or instruction.target.endswith("/")
    for source in instruction.sources:
        path = origin / source.lstrip("/")
        if path.is_dir():
            copy_tree(path, target)
        else:
            into = target / path.name if many else target
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, into)


def copy_tree(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    # cp and not shutil: it keeps devices, owners and links.
    _ended_well(["cp", "--archive", "--no-target-directory", str(source), str(target)])


def _mirror() -> str:
    """The address from which this machine's own packages of the release come."""
    listing = _ended_well(["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)"])
    for line in listing.splitlines():
        site, _, release = line.partition(" ")
        if release == RELEASE:
            return site
    raise AssetsMissing(f"apt is not configured for Debian's release {RELEASE}, of which the image is made")


def pass_on_sources(root: Path) -> None:
    for name in (*SOURCES, *NETWORK):
        path, target = Path("/") / name, root / name
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        elif path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    bundle = next((Path(os.environ[name]) for name in AUTHORITY_VARIABLES if os.environ.get(name)), None)
    if bundle is not None and bundle.is_file():
        (root / AUTHORITIES).parent.mkdir(exist_ok=True)
        shutil.copy(bundle, root / AUTHORITIES)


def passed_on(root: Path) -> dict[str, str]:
    if not (root / "etc" / "apt").is_dir():
        return {}  # an image made from scratch is run as it is
    passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    if (root / AUTHORITIES).is_file():
        passed |= dict.fromkeys(AUTHORITY_VARIABLES, f"/{AUTHORITIES}")
    return passed


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


def _ended_well(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    try:
        done = output_of(argv, environment, RUN_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StepFailed(f"{' '.join(argv)}: {error}") from error
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-30:])
        raise StepFailed(f"{' '.join(argv)} ended with status {done.returncode}:\n{tail}")
    return done.stdout


if __name__ == "__main__":
    import sys

    from testbed.dockerfile import parse

    checkout = Path(__file__).resolve().parent.parent
    say(str(build(parse((checkout / "Dockerfile").read_text()), checkout, Path(sys.argv[1]))))
