#!/usr/bin/env python3
"""Lays out the root filesystem of the controller's image in a folder: the one description of what is in the image.

The Dockerfile calls it in its build stage. It needs Debian with the packages of ``PACKAGES``, a checkout of decco, and
the package index that pip is configured for.

There is no shell, no compiler, no pip and no package manager in the image: Debian's Python with the parts of its
standard library that a server needs, the libraries that these load, decco and what it needs by version and hash
(requirements/runtime.txt), the authorities of the Web. Byte code is compiled here, since the container's root is
read-only, and carries no times. Two runs on the same packages give the same bytes, modes and times.

    build_root.py <folder>        SOURCE_DATE_EPOCH sets the time of all files (default 0)
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from configparser import ConfigParser
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
sys.path.insert(0, str(CHECKOUT))

from images.stunnel import build_root as base  # noqa: E402 - as a program it finds the checkout only now

BuildError = base.BuildError
SOURCES = ("src", "pyproject.toml", "README.md", "LICENSE", "requirements/runtime.txt", "requirements/build.txt")
"""What of the checkout is in the image, or decides what is."""
PYTHON = Path("/usr/bin/python3")
PACKAGES = ("python3", "python3-venv", "ca-certificates")
PARTS = ("{python}-minimal", "lib{python}-minimal", "lib{python}-stdlib")
"""Debian's packages of the interpreter, with ``python3.11`` for ``{python}``."""
LEFT_OUT = (
    *("curses", "dbm", "distutils", "ensurepip", "lib2to3", "pydoc_data", "sqlite3", "test", "tkinter", "unittest"),
    *("idlelib", "turtledemo", "lib-dynload/_curses", "lib-dynload/_dbm", "lib-dynload/_sqlite3", "lib-dynload/nis"),
    *("lib-dynload/readline", "lib-dynload/ossaudiodev"),
)
"""Parts of the standard library that nobody here imports, by the beginnings of their paths."""
AWS_SERVICES = frozenset({"route53", "signin", "sso", "sso-oidc", "sts"})
"""Route 53, and what its credentials may come from; botocore describes 400 more, in 25 MB."""
COMMANDS = ("decco-controller", "decco")
SITE = "usr/local/lib/{python}/dist-packages"
"""Where Debian's Python looks for packages that are not Debian's."""
BIN = "usr/local/bin"
# Isolated: no variable PYTHON* and no folder of the user changes what runs.
SCRIPT = "#!/usr/bin/{python} -I\nimport sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n"
FIRST_OF_ZIP = 315532800
"""1980-01-01: a zip file, as a wheel is one, knows no time before it."""
HASH_SEED = "0"
"""Sets in byte code are written in the order of their hashes."""

FILES = {
    **base.FILES,
    # OpenSSL complains about one that is missing.
    "usr/lib/ssl/openssl.cnf": "",
}
DIRECTORIES = ("dev", "etc/decco/controller", "proc", "run", "sys")


def build_root(root: Path, *, epoch: int = 0) -> None:
    """Fills ``root``, an empty or new folder, with the image's content; its times are ``epoch``, seconds since 1970."""
    root.mkdir(parents=True, exist_ok=True)
    if any(root.iterdir()):
        raise BuildError(f"{root} is not empty: name a new folder")
    for needed in (PYTHON, base.AUTHORITIES, Path("/var/lib/dpkg/status")):
        if not needed.exists():
            raise BuildError(f"{needed} is missing: this needs Debian with the packages {' '.join(PACKAGES)}")
    python = PYTHON.resolve().name
    debian = _interpreter(root, python)
    site = root / SITE.format(python=python)
    _packages(site, epoch)
    _slim(site)
    _commands(root, site, python)
    libraries = _libraries(root)
    for library in libraries:
        base.copy(library, root)
    authorities = base.authorities()
    # Where administrators and programs look for them, and OpenSSL's own default.
    for path in ("etc/ssl/certs/ca-certificates.crt", "usr/lib/ssl/cert.pem"):
        base.write(root / path, authorities)
    for path, text in FILES.items():
        base.write(root / path, text)
    for path in DIRECTORIES:
        (root / path).mkdir(parents=True, exist_ok=True)
    for package in sorted({"ca-certificates", *debian, *base.owners(libraries)}):
        base.record(package, root)
    _compile(root, python)
    base.settle(root, epoch)


def _interpreter(root: Path, python: str) -> list[str]:
    """Copies Debian's Python without what is left out; returns its packages."""
    packages = [part.format(python=python) for part in PARTS]
    library = Path("/usr/lib") / python
    for name in base.run("dpkg-query", "--listfiles", *packages).splitlines():
        path = Path(name)
        if path == Path("/usr/bin") / python or (
            path.is_relative_to(library) and path.is_file() and not str(path.relative_to(library)).startswith(LEFT_OUT)
        ):
            base.copy(path, root)
    return packages


def _packages(site: Path, epoch: int) -> None:
    """Installs what decco needs by version and hash, as wheels only, and decco itself from the checkout."""
    with tempfile.TemporaryDirectory(prefix="decco-image-") as scratch:
        pip = _pip(Path(scratch) / "venv")
        requirements = CHECKOUT / "requirements"
        locked = ["install", "--require-hashes", "--only-binary", ":all:", "--no-compile", "--no-warn-script-location"]
        _run(*pip, *locked, "--requirement", requirements / "build.txt")
        _run(*pip, *locked, "--target", site, "--requirement", requirements / "runtime.txt")
        shutil.rmtree(site / "bin", ignore_errors=True)
        # A copy without what a working checkout has besides; and a checkout may be read-only.
        source = Path(scratch) / "source"
        for name in SOURCES:
            if (CHECKOUT / name).is_dir():
                shutil.copytree(CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(CHECKOUT / name, source / name)
        wheels = Path(scratch) / "wheels"
        build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir"]
        _run(*pip, *build, wheels, source, more={"SOURCE_DATE_EPOCH": str(max(epoch, FIRST_OF_ZIP))})
        [wheel] = wheels.iterdir()
        # Unpacked and not installed: pip would write down the folder that it came from.
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)


def _pip(folder: Path) -> list[str]:
    try:
        base.run(str(PYTHON), "-m", "venv", str(folder))
    except BuildError as error:
        raise BuildError(f"{error}\ninstall the package python3-venv") from error
    return [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]


def _slim(site: Path) -> None:
    services = [path for path in (site / "botocore" / "data").iterdir() if path.is_dir()]
    if not {path.name for path in services} >= AWS_SERVICES:
        raise BuildError(f"botocore no longer has {' '.join(sorted(AWS_SERVICES))}: correct AWS_SERVICES")
    for path in services:
        if path.name not in AWS_SERVICES:
            shutil.rmtree(path)
    # What was taken away is no longer claimed; and pip's scripts, with their digests, hold the path of its environment.
    for record in site.glob("*.dist-info/RECORD"):
        rows = [row for row in csv.reader(record.read_text().splitlines()) if (site / row[0]).exists()]
        with record.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def _commands(root: Path, site: Path, python: str) -> None:
    """Writes the console scripts; an installer would write the path of the virtual environment into them."""
    [entry_points] = site.glob("decco-*.dist-info/entry_points.txt")
    parsed = ConfigParser()
    parsed.optionxform = str  # type: ignore[assignment, method-assign] # names are case-sensitive
    parsed.read_string(entry_points.read_text())
    for command in COMMANDS:
        module, _, function = parsed["console_scripts"][command].partition(":")
        script = root / BIN / command
        base.write(script, SCRIPT.format(python=python, module=module.strip(), function=function.strip()))
        script.chmod(0o755)


def _libraries(root: Path) -> list[Path]:
    """What the interpreter and all extension modules load from outside of the image's own packages."""
    programs = [*root.glob("usr/bin/python*"), *sorted(root.rglob("*.so*"))]
    listing = base.run("ldd", *map(str, programs))
    if "not found" in listing:
        raise BuildError(f"a library is missing:\n{listing}")
    found = {Path(name) for name in re.findall(r"(/\S+) \(0x", listing)}
    outside = {path for path in found if not path.is_relative_to(root)}
    libc = next((path for path in outside if path.name == "libc.so.6"), None)
    if libc is None:
        raise BuildError("ldd names no C library: is this Python one of this machine's architecture?")
    # glibc loads it when a thread ends (pthread_exit), without being linked to it.
    return sorted({*outside, libc.parent / "libgcc_s.so.1"})


def _compile(root: Path, python: str) -> None:
    """Byte code beside each module, believed without a look at its source, so that no time need be in it."""
    folders = [root / "usr/lib" / python, root / SITE.format(python=python)]
    arguments = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/"]
    _run(PYTHON.resolve(), "-m", "compileall", *arguments, *folders, more={"PYTHONHASHSEED": HASH_SEED})


def _run(*command: str | Path, more: Mapping[str, str] | None = None) -> str:
    return base.run(*map(str, command), more=more)


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
