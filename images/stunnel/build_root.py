#!/usr/bin/env python3
"""Lays out the root filesystem of the TLS sidecar's image in a folder: the one description of what is in the image.

The Dockerfile calls it in its build stage. It needs Debian 12 with the packages ``gcc libc6-dev stunnel4
ca-certificates``, and Python with its standard library.

There is no shell and no package manager in the image: the entry point, stunnel, the libraries that it loads, the
authorities of the Web. Two runs on the same packages give the same bytes, modes and times.

    build_root.py <folder>        SOURCE_DATE_EPOCH sets the time of all files (default 0)
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
PRELOADED = "preload.so"
"""Loaded into stunnel by the entry point, which looks for it in its own folder."""
PRELOADED_SOURCES = (HERE / "authorities.c", HERE / "hangup.c", HERE / "names.c")
SOURCES = tuple(path for path in sorted(HERE.glob("*.c")) if path not in PRELOADED_SOURCES)
USER_ID = 65532
"""What the settings of the sidecar have by default; any other works as well, nothing in the image belongs to it."""
ENTRYPOINT = "/entry"
CONFIG = "/etc/decco/stunnel/stunnel.conf"
STUNNEL = Path("/usr/bin/stunnel4")
AUTHORITIES = Path("/usr/share/ca-certificates/mozilla")
PACKAGES = ("gcc", "libc6-dev", "stunnel4", "ca-certificates")
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror")
HARDENED = ("-O2", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-Wl,-z,relro,-z,now", "-s")
RELEASE = (*HARDENED, "-static-pie", "-fPIE")
LIBRARY = (*HARDENED, "-shared", "-fPIC")

FILES = {
    "etc/passwd": f"root:x:0:0:root:/:/sbin/nologin\nnonroot:x:{USER_ID}:{USER_ID}:nonroot:/:/sbin/nologin\n",
    "etc/group": f"root:x:0:\nnonroot:x:{USER_ID}:\n",
    # Without it glibc asks name servers before /etc/hosts.
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n",
    # Engines mount over these; buildah leaves executable ones behind where there are none.
    **dict.fromkeys(("etc/hostname", "etc/hosts", "etc/resolv.conf"), ""),
}
DIRECTORIES = ("dev", "etc/decco/stunnel", "etc/decco/tls", "proc", "run", "sys")


class BuildError(RuntimeError):
    """The image cannot be laid out on this machine; the text says what to do."""


def build_root(root: Path, *, epoch: int = 0) -> None:
    """Fills ``root``, an empty or new folder, with the image's content; its times are ``epoch``, seconds since 1970."""
    root.mkdir(parents=True, exist_ok=True)
    if any(root.iterdir()):
        raise BuildError(f"{root} is not empty: name a new folder")
    for needed in (STUNNEL, AUTHORITIES, Path("/var/lib/dpkg/status")):
        if not needed.exists():
            raise BuildError(f"{needed} is missing: this needs Debian with the packages {' '.join(PACKAGES)}")
    compile_entry(root / ENTRYPOINT.lstrip("/"), RELEASE)
    programs = [STUNNEL, *libraries(STUNNEL)]
    for program in programs:
        copy(program, root)
    write(root / "etc/ssl/certs/ca-certificates.crt", authorities())
    for path, text in FILES.items():
        write(root / path, text)
    for path in DIRECTORIES:
        (root / path).mkdir(parents=True, exist_ok=True)
    for package in sorted({"ca-certificates", *owners(programs)}):
        record(package, root)
    settle(root, epoch)


def compile_entry(program: Path, flags: Sequence[str]) -> None:
    """Compiles the entry point, and beside it what it loads into stunnel; a warning is an error."""
    if shutil.which("gcc") is None:
        raise BuildError("gcc is missing: install the packages gcc and libc6-dev")
    for target, how, sources in (
        (program, flags, SOURCES),
        (program.with_name(PRELOADED), LIBRARY, PRELOADED_SOURCES),
    ):
        # Relative names, so that no folder of this machine is in the program.
        run("gcc", *WARNINGS, *how, "-o", str(target.resolve()), *(source.name for source in sources))


def libraries(program: Path) -> list[Path]:
    """The loader and all shared libraries of a program, by the names under which the loader looks for them."""
    found = [Path(name) for name in re.findall(r"(/\S+) \(0x", run("ldd", str(program)))]
    libc = next((path for path in found if path.name == "libc.so.6"), None)
    if libc is None:
        raise BuildError(f"ldd names no C library of {program}: is it a program of this machine's architecture?")
    # glibc loads it when a thread ends (pthread_exit), without being linked to it: stunnel aborts without.
    return [*found, libc.parent / "libgcc_s.so.1"]


def authorities() -> str:
    """Those of the package alone, and never what an administrator has added to this machine."""
    return "".join(path.read_text().rstrip("\n") + "\n" for path in sorted(AUTHORITIES.glob("*.crt")))


def owners(paths: Sequence[Path]) -> set[str]:
    """The packages of some files; dpkg may know a library without the ``/usr`` before ``/lib``."""
    names: dict[str, Path] = {}
    for path in paths:
        real = path.resolve()
        names |= {str(name): path for name in (path, real, str(real).removeprefix("/usr"))}
    lines = run("dpkg-query", "--search", *names, may_fail=True).splitlines()
    found = {names[name]: owner for owner, _, name in (line.partition(": ") for line in lines) if name in names}
    for path in paths:
        if path not in found:
            raise BuildError(f"{path} belongs to no Debian package: use Debian's stunnel4 and libraries")
    return {owner.partition(":")[0] for owner in found.values()}


def record(package: str, root: Path) -> None:
    """The licence, and what scanners for vulnerabilities read in images without a package manager."""
    write(root / "var/lib/dpkg/status.d" / package, run("dpkg-query", "--status", package))
    copy(Path("/usr/share/doc") / package / "copyright", root)


def copy(path: Path, root: Path) -> None:
    if not path.exists():
        raise BuildError(f"{path} is missing: reinstall its package")
    target = root / path.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def settle(root: Path, epoch: int) -> None:
    """Readable by any user, writable by none, all of one time."""
    for folder, _, names in os.walk(root, topdown=False):
        for path in (*(Path(folder, name) for name in names), Path(folder)):
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
            os.utime(path, (epoch, epoch))


def run(*command: str, may_fail: bool = False, more: Mapping[str, str] | None = None) -> str:
    """What a command prints; ``more`` is added to its environment. Raises BuildError if it fails and may not."""
    environment = {**os.environ, **(more or {})}
    done = subprocess.run(  # noqa: S603 - no user's text
        command, cwd=HERE, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and not may_fail:
        raise BuildError(f"{command[0]} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def main(arguments: Sequence[str]) -> int:
    """Exit status 2 for wrong arguments, 1 for a machine on which it cannot be done."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or "0"
    if len(arguments) != 1 or arguments[0].startswith("-") or not epoch.isdecimal():
        sys.stderr.write(f"usage: build_root.py <folder>\n\n{__doc__}")
        return 2
    try:
        build_root(Path(arguments[0]), epoch=int(epoch))
    except (BuildError, OSError) as error:
        sys.stderr.write(f"build_root.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
